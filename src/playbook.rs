//! Playbooks: Rhai scripts that are carried out durably, step by step.
//!
//! A script is run again from its top whenever something it waited for is there, and is given the recorded results of
//! its earlier calls in order; so what is kept of a waiting run is its journal and nothing else. Start with
//! [`Library`], which reads the files, and [`drive`], which carries out one burst.
//!
//! Pure and synchronous: no I/O, no clock but a monotonic one that bounds a burst. What a script wants of the world
//! comes out as a [`Request`]; carrying it out and writing it down is the caller's. Only this room knows how scripts
//! are run.

mod burst;
mod check;
mod convert;
mod drive;
mod engine;
mod failure;
mod header;
mod higher;
mod host;
mod library;
mod locate;
mod params;
mod pinned;
mod program;
pub mod reference;
mod request;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

pub use drive::{drive, traced};
pub use library::{Library, SourceFile};
pub use locate::beginning;
pub use params::{Kind, Param, Params};
pub use request::{ActRequest, Burst, Env, Limits, Request};

use crate::model::run::Phase;
use crate::model::{Diagnostic, Failure, Risk, Span};
use program::{File, Program};

/// Bytes of stack that a thread needs to carry out any script at all: values can be nested as deep as a script has
/// operations, and taking them apart goes as deep. It is address space; a playbook uses some kilobytes of it.
pub const STACK: usize = 512 << 20;

/// A playbook, ready to run.
#[derive(Clone, Debug, Serialize)]
pub struct Playbook {
    /// Its name, which is its file's.
    pub name: String,
    /// What it is for.
    pub doc: String,
    /// How much harm it can do.
    pub risk: Risk,
    /// What it usually takes.
    pub cost: Span,
    /// When a run's time is up.
    pub timeout: Span,
    /// The only actions it may call.
    pub actions: Vec<String>,
    /// What it can be given.
    pub params: Params,
    /// SHA-256 of `source`, in hex.
    pub hash: String,
    /// Its file, as the user is shown it.
    pub file: String,
    /// Whether it can say if it worked.
    pub has_verify: bool,
    /// Whether it can undo itself.
    pub has_rollback: bool,
    /// The script as it stands in its file.
    #[serde(skip)]
    pub text: String,
    /// Everything that decides what it does, the files it imports among it; kept under `hash`, and read back by
    /// [`Playbook::from_pinned`].
    #[serde(skip)]
    pub source: String,
    /// The texts in it that begin with `-`: what `exec.run` may take for an option.
    #[serde(skip)]
    pub options: Arc<[String]>,
    #[serde(skip)]
    allowed: Arc<[String]>,
    #[serde(skip)]
    program: Program,
}

impl Playbook {
    /// The playbook that was kept as `source`, for a run whose files have changed since it began.
    ///
    /// # Errors
    /// When `source` was written by a version whose host functions were different, or is damaged.
    pub fn from_pinned(source: &str) -> Result<Self, Failure> {
        let (path, files) = pinned::read(source)?;
        Self::link(&path, &files).map_err(|problem| Failure::new("script", problem.to_string()))
    }

    /// `given` with defaults filled in, for `ctx.params`. What is not declared passes as it is.
    ///
    /// # Errors
    /// When a parameter is of the wrong type, or a required one is missing.
    pub fn check_params(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, Failure> {
        params::check(&self.params, given)
    }

    /// Whether it has a function for `phase`.
    pub fn has(&self, phase: Phase) -> bool {
        match phase {
            Phase::Run => true,
            Phase::Verify => self.has_verify,
            Phase::Rollback => self.has_rollback,
        }
    }

    fn link(path: &str, files: &BTreeMap<String, File>) -> Result<Self, Box<Diagnostic>> {
        let (program, used) = Program::link(path, files)?;
        let file = &files[path];
        let header = header::read(file).0;
        let has = |name: &str| program.ast.iter_functions().any(|it| it.name == name && it.params.len() == 1);
        let source = pinned::write(path, &used, files);
        let mut playbook = Self {
            options: Arc::default(),
            name: path.rsplit('/').next().unwrap_or(path).into(),
            doc: header.doc,
            risk: header.risk,
            cost: header.cost,
            timeout: header.timeout,
            allowed: header.actions.clone().into(),
            actions: header.actions,
            params: header.params,
            hash: pinned::hash(&source),
            file: file.path.clone(),
            has_verify: has("verify"),
            has_rollback: has("rollback"),
            text: file.text.clone(),
            source,
            program,
        };
        playbook.options = playbook.texts(files).into_iter().filter(|text| text.starts_with('-')).collect();
        Ok(playbook)
    }

    /// Names of the files that it imports, directly or by way of others, in order.
    pub fn imports(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.program.modules.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// Every text in the script and in what it imports.
    fn texts(&self, files: &BTreeMap<String, File>) -> BTreeSet<String> {
        self.trees(files).iter().flat_map(check::texts).collect()
    }

    /// The script, and all that it imports.
    fn trees(&self, files: &BTreeMap<String, File>) -> Vec<rhai::AST> {
        let imported = self.program.modules.keys().filter_map(|name| check::parse(&files[name]).ok());
        imported.chain([self.program.ast.clone()]).collect()
    }
}

#[cfg(test)]
mod tests;
