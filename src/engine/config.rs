//! `paramedic.yaml`: what the engine serves and how. Everything has a default; unknown keys are errors.

pub mod problems;
pub mod size;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use size::Size;

use crate::model::Span;
use crate::model::diagnostic::Severity;
use crate::{actions, intents, kernels, observability, plugins, sources, tasks};

/// The configuration, as written by a person. Paths are relative to the file's own directory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Names and addresses under which it is reached besides loopback, such as that of a proxy in front of it. A request
    /// whose `Host` is none of them is refused.
    pub hosts: Vec<String>,
    /// Where everything durable lies.
    pub data: PathBuf,
    /// Directory of rule files.
    pub rules: PathBuf,
    /// Directory of playbooks.
    pub playbooks: PathBuf,
    /// Directory of kernels' and stress tests' logs.
    pub logs: PathBuf,
    /// What is watched and repaired. `${PARAMEDIC}` in a command is this program itself.
    pub kernels: Vec<kernels::Spec>,
    /// Native libraries that add actions.
    pub plugins: Vec<plugins::Spec>,
    /// Where events come from besides HTTP.
    pub sources: Sources,
    /// What actions may touch.
    pub actions: actions::Config,
    /// How the health score is made, and how long hourly rows are kept.
    pub observability: observability::Config,
    /// Bounds.
    pub limits: Limits,
    /// Where it was read from; none where nothing was.
    #[serde(skip)]
    pub origin: Option<super::reread::Origin>,
}

/// Where events come from besides HTTP.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sources {
    /// Files of JSON lines that are followed.
    pub jsonl: Vec<sources::jsonl::Config>,
}

/// Bounds, so that no storm makes it grow.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Events that wait to be taken in, over all lanes; beyond it senders are told to come back.
    pub inbox: usize,
    /// Open intents; a tenth more where they are critical.
    pub open_intents: usize,
    /// Intents acted on at once; a fifth more where they are critical.
    pub concurrency: usize,
    /// Events whose (source, id) is remembered, so that the same again is a duplicate.
    pub idempotency_window: usize,
    /// Largest body of `POST /api/events`, in bytes.
    pub body: usize,
    /// How long events are kept.
    pub keep_events: Span,
    /// How long intents are kept after their end, with their runs and journals; longer where a guard asks for them.
    pub keep_intents: Span,
    /// How long alerts are kept after they were resolved.
    pub keep_alerts: Span,
    /// Most bytes that the store's records may take. Past it the oldest events are deleted first.
    pub disk: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox: 65_536,
            open_intents: intents::board::DEFAULT_CAPACITY,
            concurrency: tasks::DEFAULT_CONCURRENCY,
            idempotency_window: 1_000_000,
            body: 64 << 20,
            keep_events: Span::secs(30 * 86_400),
            keep_intents: Span::secs(90 * 86_400),
            keep_alerts: Span::secs(90 * 86_400),
            disk: Size(10 << 30),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7112)),
            hosts: Vec::new(),
            data: "data".into(),
            rules: "rules".into(),
            playbooks: "playbooks".into(),
            logs: "logs".into(),
            kernels: Vec::new(),
            plugins: Vec::new(),
            sources: Sources::default(),
            actions: actions::Config::default(),
            observability: observability::Config::default(),
            limits: Limits::default(),
            origin: None,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("failed to read the configuration {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something in it is not what it should be.
    #[error("{}:{line}:{column}: {error}", .path.display())]
    Mistake {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: u32,
        /// Where in the line, from 1.
        column: u32,
        /// What is wrong, and what would be right.
        error: String,
    },
    /// The file is not what it should be.
    #[error("{path} is not a valid configuration: {error}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong and where.
        error: String,
    },
}

/// The first mistake in `text`, in one line with its place; where none is found, what the reader of YAML says.
fn mistake(path: &Path, text: &str, error: &str) -> Error {
    let mut mistakes = problems::of_text(path, text).into_iter().filter(|it| it.severity == Severity::Error);
    let Some(first) = mistakes.next() else {
        let error = error.strip_prefix("error: ").unwrap_or(error);
        let error = error.replacen("--> <input>:", &format!("--> {}:", path.display()), 1);
        return Error::Invalid { path: path.into(), error };
    };
    let help = first.help.map(|help| format!("; {help}")).unwrap_or_default();
    let more = match mistakes.count() {
        0 => "",
        _ => " (and more: `paramedic check` tells all)",
    };
    let error = format!("{}{help}{more}", first.message);
    Error::Mistake { path: path.into(), line: first.line, column: first.column, error }
}

impl Config {
    /// Reads `path`; its relative paths are taken from the directory it lies in.
    ///
    /// # Errors
    /// When it cannot be read, is not YAML, or holds an unknown key or a wrong value.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::Read { path: path.into(), error })?;
        let invalid = |error: String| Error::Invalid { path: path.into(), error };
        let mut config: Self = match text.trim() {
            "" => Self::default(),
            _ => serde_saphyr::from_str(&text).map_err(|error| mistake(path, &text, &error.to_string()))?,
        };
        config.rebase(path.parent().unwrap_or(Path::new("")));
        let tree = crate::rules::yaml::read(&text).map(|tree| tree.to_json()).unwrap_or_default();
        config.origin = Some(super::reread::Origin { path: path.into(), tree });
        let problems: Vec<String> = config.actions.problems().iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok(config) } else { Err(invalid(problems.join("; "))) }
    }

    /// The defaults, with paths taken from the directory in which `path` lies.
    pub fn beside(path: &Path) -> Self {
        let mut config = Self::default();
        config.rebase(path.parent().unwrap_or(Path::new("")));
        config
    }

    /// The variables of the environment that it reads secrets from, by `{ env: NAME }` wherever that stands. No process
    /// that the engine starts gets them.
    pub fn secret_variables(&self) -> Vec<String> {
        fn collect(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    // The `env` of a kernel is a map of variables to set.
                    found.extend(fields.get("env").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|value| collect(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        if let Some(origin) = &self.origin {
            collect(&origin.tree, &mut found);
        }
        found
    }

    fn rebase(&mut self, base: &Path) {
        for path in [&mut self.data, &mut self.rules, &mut self.playbooks, &mut self.logs] {
            *path = base.join(&*path);
        }
        self.actions.rebase(base);
        let own = std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        for kernel in &mut self.kernels {
            for word in &mut kernel.command {
                *word = word.replace("${PARAMEDIC}", &own);
            }
            kernel.rebase(base);
        }
        for plugin in &mut self.plugins {
            plugin.path = base.join(&plugin.path);
        }
        for source in &mut self.sources.jsonl {
            for path in &mut source.paths {
                *path = base.join(&*path).to_string_lossy().into_owned();
            }
        }
    }
}
