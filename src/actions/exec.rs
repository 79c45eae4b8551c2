//! `exec.run`: runs a program from an allow-list with the arguments given, never through a shell.
//!
//! The call is over when the program ends, and what is left of its process group is ended then; so is all of it at the
//! time-out and with the engine. A daemon that leaves the group on purpose, as an init script starts it, lives on and is
//! named in the result. The program sees few variables of the engine's environment,
//! and none that the caller could use to make another program of it. What an event brought along cannot become an
//! option: an argument that begins with `-` is refused unless it stands so in the playbook's own source, was declared,
//! or comes after `--`.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::schema::{text, texts};
use super::{Action, Call, ExecConfig, Program, Spec};
use crate::kernels::Spawner;
use crate::kernels::providers::process::{self, Kept, Launch, Output, SoFar};
use crate::model::{Failure, Risk, Span};

pub(super) struct Run {
    spawner: Spawner,
    config: ExecConfig,
    spec: Spec,
}

/// What it inherits of the engine's environment.
const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"];

/// How much of a line of what it said is told when it fails.
const SAID: usize = 500;

/// How many of the last lines are told then.
const LINES: usize = 10;

impl Run {
    pub(super) fn new(spawner: Spawner, config: ExecConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "argv": { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "type": "string" }, "description": "program and arguments, each as it is: no shell reads them" },
                "options": { "type": "array", "maxItems": 100, "items": { "type": "string" }, "description": "the arguments before `--` that may begin with `-`; a playbook's own words are declared without it" },
                "cwd": { "type": "string", "minLength": 1, "description": "absolute path of the folder it runs in; that of the configuration, or an empty one of its own, if not said" },
                "env": { "type": "object", "additionalProperties": { "type": "string" }, "description": "variables to set" },
                "accept": { "type": "array", "items": { "type": "integer" }, "description": "exit codes that count as success; [0] if not said" },
                "idempotent": { "type": "boolean", "description": "running it again does no more than once, so a call that was cut off may be repeated" },
            },
            "required": ["argv"],
            "additionalProperties": false,
        });
        let result = json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer" },
                "stdout": { "type": "string", "description": "its beginning and its end, if it is long" },
                "stderr": { "type": "string", "description": "likewise" },
                "truncated": { "type": "boolean" },
                "left_running": { "type": "array", "items": { "type": "string" }, "description": "processes that it started and that live on, as they left its process group; absent if there are none" },
            },
        });
        let spec = Spec {
            name: "exec.run".into(),
            doc: "Runs a program that the configuration allows.".into(),
            params,
            result,
            idempotent: false,
            acts: true,
            risk: Risk::Medium,
            timeout: Span::secs(60),
        };
        Self { spawner, config, spec }
    }

    fn launch(&self, call: &Call) -> Result<Launch, Failure> {
        let argv = texts(&call.params, "argv");
        if argv.iter().any(|arg| arg.contains('\0')) {
            return Err(Failure::new("invalid", "`argv` holds a NUL character, which no argument can"));
        }
        let program = self.allowed(argv.first().map(String::as_str).unwrap_or_default())?;
        check_options(&argv, program, &texts(&call.params, "options"), &call.options)?;
        let cwd = text(&call.params, "cwd").map(folder).transpose()?;
        // Never where the engine happens to run: a program that writes beside itself, or reads settings from there,
        // would do so in a place that nobody chose.
        let cwd = cwd.or_else(|| self.config.cwd.clone()).or_else(|| self.config.own.clone());
        Ok(Launch { env: environment(call)?, argv, cwd, capture: true, lasting: true, ..Launch::default() })
    }

    /// Compared as written: `./x`, `/bin/../bin/x` or a link to it is another text, so it is refused.
    fn allowed(&self, wanted: &str) -> Result<&Program, Failure> {
        let allow = &self.config.allow;
        if let Some(program) = allow.iter().find(|it| !wanted.is_empty() && it.program == wanted) {
            return Ok(program);
        }
        let names: Vec<&str> = allow.iter().map(|it| it.program.as_str()).collect();
        let allowed = match names.as_slice() {
            [] => "nothing is allowed yet".into(),
            some => format!("allowed are {}", some.join(", ")),
        };
        let message =
            format!("may not run `{wanted}`: {allowed}; see `actions.exec.allow` in the configuration");
        Err(Failure::new("refused", message))
    }
}

impl Action for Run {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let (launch, spawner, own) = (self.launch(&call), self.spawner.clone(), self.config.own.clone());
        Box::pin(async move {
            let launch = launch?;
            if let Some(own) = own.filter(|own| launch.cwd.as_ref() == Some(own)) {
                make(&own)?;
            }
            run(launch, &spawner, &call).await
        })
    }

    /// If the playbook's author says so: nobody else can know.
    fn idempotent(&self, call: &Call) -> bool {
        call.params.get("idempotent") == Some(&Value::Bool(true))
    }

    fn dry_run(&self, call: &Call) -> String {
        let launch = match self.launch(call) {
            Ok(launch) => launch,
            Err(failure) => return format!("would be refused: {failure}"),
        };
        let Some(program) = found(&launch.argv[0]) else {
            return format!("would fail: there is no program `{}`", launch.argv[0]);
        };
        let shown = json!(launch.argv);
        let place = launch.cwd.map(|cwd| format!(" in {}", cwd.display())).unwrap_or_default();
        let bare = Path::new(&launch.argv[0]) != program;
        let which = if bare { format!(" ({})", program.display()) } else { String::new() };
        format!("would run {shown}{which}{place}")
    }
}

async fn run(launch: Launch, spawner: &Spawner, call: &Call) -> Result<Value, Failure> {
    let program = launch.argv[0].clone();
    let failed = |error: std::io::Error| Failure::new("failed", format!("cannot run `{program}`: {error}"));
    let last_words = call.last_words.clone();
    let leave = move |so_far: SoFar| {
        last_words.leave(move || {
            let (out, err) = so_far.read();
            said(&out, &err)
        });
    };
    let Output { status, stdout: out, stderr: err, left } =
        spawner.output_seen(launch, process::EACH, leave).await.map_err(failed)?;
    for process in &left {
        tracing::info!("`{program}` has left {process} running");
    }
    let code = match status.code() {
        Some(code) => i64::from(code),
        None => {
            let message = format!("`{program}` was ended: {status}: {}", said(&out, &err));
            return Err(Failure::new("failed", with_left(message.trim_end_matches(": "), &left)));
        }
    };
    if !accepted(call).contains(&code) {
        let message = format!("`{program}` ended with exit code {code}: {}", said(&out, &err));
        return Err(Failure::new("failed", with_left(message.trim_end_matches(": "), &left)));
    }
    let mut result =
        json!({ "code": code, "stdout": out.text, "stderr": err.text, "truncated": out.cut || err.cut });
    if !left.is_empty() {
        result["left_running"] = json!(left);
    }
    Ok(result)
}

/// A failure, and what the program left running although it failed.
fn with_left(message: &str, left: &[String]) -> String {
    match left {
        [] => message.into(),
        left => format!("{message}\nIt has left {} running", left.join(", ")),
    }
}

/// What a program said last: of its trouble, or else of its work.
fn said(out: &Kept, err: &Kept) -> String {
    if err.text.trim().is_empty() { last_lines(&out.text) } else { last_lines(&err.text) }
}

/// The last line of what a program said, and, where there are more, the lines before it too, each on its own.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let short = |line: &str| line.chars().take(SAID).collect::<String>();
    let last = short(lines.last().map_or("", |line| line.trim_start()));
    if lines.len() < 2 {
        return last;
    }
    let end = lines[lines.len().saturating_sub(LINES)..].iter().map(|line| short(line));
    format!("{last}\n{}", end.collect::<Vec<_>>().join("\n"))
}

/// Refuses an argument that could be an option nobody meant.
fn check_options(
    argv: &[String],
    program: &Program,
    declared: &[String],
    written: &[String],
) -> Result<(), Failure> {
    for (i, arg) in argv.iter().enumerate().skip(1) {
        if arg == "--" {
            return Ok(());
        }
        if !arg.starts_with('-') || arg == "-" {
            continue;
        }
        let fits = |option: &String| match option.strip_suffix('*') {
            Some(start) if program.options.is_some() => arg.starts_with(start),
            _ => arg == option,
        };
        // Of `--sort=${by}` the playbook's own part is `--sort=`.
        let own = |text: &String| arg == text || (text.ends_with('=') && arg.starts_with(text.as_str()));
        let fine = match &program.options {
            Some(allowed) => allowed.iter().any(fits),
            None => declared.iter().any(fits) || written.iter().any(own),
        };
        if fine {
            continue;
        }
        let how = match &program.options {
            Some(options) => format!(
                "the configuration allows {} of `{}`",
                if options.is_empty() { "none".into() } else { options.join(", ") },
                program.program
            ),
            None => format!("if it is meant, declare it: `options: [\"{arg}\"]`"),
        };
        let message = format!(
            "`argv[{i}]`, `{arg}`, begins with `-` and would be taken for an option: put `\"--\"` before values; {how}"
        );
        return Err(Failure::new("refused", message));
    }
    Ok(())
}

/// Makes the folder of programs that are not told where to run.
fn make(own: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(own);
    made.map_err(|error| Failure::new("failed", format!("cannot make the folder {}: {error}", own.display())))
}

fn folder(text: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(text);
    let plain = path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir);
    if !plain || text.contains('\0') {
        return Err(Failure::new(
            "invalid",
            format!("`cwd` is {text:?}: expected an absolute path without `..`"),
        ));
    }
    if !path.is_dir() {
        return Err(Failure::new("invalid", format!("`cwd` is {text:?}: there is no such folder")));
    }
    Ok(path.to_owned())
}

fn environment(call: &Call) -> Result<BTreeMap<String, String>, Failure> {
    let mut env: BTreeMap<String, String> =
        INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    let wanted = call.params.get("env").and_then(Value::as_object);
    for (name, value) in wanted.into_iter().flatten() {
        if !may_set(name) {
            let message = format!("`env.{name}` may not be set: it could make another program of this one");
            return Err(Failure::new("refused", message));
        }
        let value = value.as_str().unwrap_or_default();
        if value.contains('\0') {
            let message = format!("`env.{name}` holds a NUL character, which no variable can");
            return Err(Failure::new("invalid", message));
        }
        env.insert(name.clone(), value.to_owned());
    }
    Ok(env)
}

/// Where a program is, as the operating system would find it.
pub(super) fn found(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Path::new(program).is_file().then(|| program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|it| it.is_file())
}

fn accepted(call: &Call) -> Vec<i64> {
    let list = call.params.get("accept").and_then(Value::as_array);
    list.map_or_else(|| vec![0], |list| list.iter().filter_map(|n| n.as_f64().map(|n| n as i64)).collect())
}

fn may_set(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let loads = ["LD_", "DYLD_", "BASH_", "PYTHON", "PERL", "RUBY", "NODE_", "GIT_", "GCONV_", "GLIBC_"];
    let exact = ["PATH", "IFS", "ENV", "SHELLOPTS", "PS4", "EDITOR", "VISUAL", "PAGER"];
    !name.is_empty()
        && name.bytes().all(word)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !loads.iter().any(|start| name.starts_with(start))
        && !exact.contains(&name)
}
