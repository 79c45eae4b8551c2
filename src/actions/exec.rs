//! `exec.run`: runs a program from an allow-list with the arguments given, never through a shell.
//!
//! Its process group is ended at the time-out and with the engine. It sees few variables of the engine's environment,
//! and none that the caller could use to make another program of it.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::schema::texts;
use super::{Action, Call, ExecConfig, Spec};
use crate::kernels::Spawner;
use crate::kernels::providers::process::Launch;
use crate::model::{Failure, Risk, Span};

pub(super) struct Run {
    spawner: Spawner,
    config: ExecConfig,
    spec: Spec,
}

/// How much of each output is kept; the rest is read and thrown away, so that the program does not block.
const MAX_OUTPUT: usize = 64 * 1024;

/// What it inherits of the engine's environment.
const INHERITED: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ"];

impl Run {
    pub(super) fn new(spawner: Spawner, config: ExecConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "argv": { "type": "array", "minItems": 1, "maxItems": 1000, "items": { "type": "string" }, "description": "program and arguments, each as it is: no shell reads them" },
                "env": { "type": "object", "additionalProperties": { "type": "string" }, "description": "variables to set" },
                "accept": { "type": "array", "items": { "type": "integer" }, "description": "exit codes that count as success; [0] if not said" },
            },
            "required": ["argv"],
            "additionalProperties": false,
        });
        let result = json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer" },
                "stdout": { "type": "string" },
                "stderr": { "type": "string" },
                "truncated": { "type": "boolean" },
            },
        });
        let spec = Spec {
            name: "exec.run".into(),
            doc: "Runs a program that the configuration allows.".into(),
            params,
            result,
            idempotent: false,
            risk: Risk::Medium,
            timeout: Span::secs(60),
        };
        Self { spawner, config, spec }
    }

    fn launch(&self, call: &Call) -> Result<Launch, Failure> {
        let argv = texts(&call.params, "argv");
        let program = argv.first().cloned().unwrap_or_default();
        // Compared as written: `./x`, `/bin/../bin/x` or a link to it is another text, so it is refused.
        if program.is_empty() || !self.config.allow.contains(&program) {
            let allowed = match self.config.allow.as_slice() {
                [] => "nothing is allowed yet".into(),
                some => format!("allowed are {}", some.join(", ")),
            };
            let message =
                format!("may not run `{program}`: {allowed}; see `actions.exec.allow` in the configuration");
            return Err(Failure::new("refused", message));
        }
        if argv.iter().any(|arg| arg.contains('\0')) {
            return Err(Failure::new("invalid", "`argv` holds a NUL character, which no argument can"));
        }
        let mut env: std::collections::BTreeMap<String, String> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        let wanted = call.params.get("env").and_then(Value::as_object);
        for (name, value) in wanted.into_iter().flatten() {
            if !may_set(name) {
                return Err(Failure::new(
                    "refused",
                    format!("`env.{name}` may not be set: it could make another program of this one"),
                ));
            }
            let value = value.as_str().unwrap_or_default();
            if value.contains('\0') {
                return Err(Failure::new(
                    "invalid",
                    format!("`env.{name}` holds a NUL character, which no variable can"),
                ));
            }
            env.insert(name.clone(), value.to_owned());
        }
        Ok(Launch { argv, env, inherit_env: false, cwd: None, capture: true, channel: None })
    }
}

impl Action for Run {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let (launch, spawner) = (self.launch(&call), self.spawner.clone());
        Box::pin(async move { run(launch?, &spawner, &accepted(&call)).await })
    }

    fn dry_run(&self, call: &Call) -> String {
        match self.launch(call) {
            Ok(launch) => format!("would run {}", json!(launch.argv)),
            Err(failure) => format!("would be refused: {failure}"),
        }
    }
}

async fn run(launch: Launch, spawner: &Spawner, accepted: &[i64]) -> Result<Value, Failure> {
    let program = launch.argv[0].clone();
    let failed = |error: std::io::Error| Failure::new("failed", format!("cannot run `{program}`: {error}"));
    let mut running = spawner.start(launch).await.map_err(failed)?;
    let Some((out, err)) = running.output() else {
        return Err(Failure::new("failed", format!("`{program}` has no output")));
    };
    let reading = async { tokio::join!(keep(out), keep(err)) };
    // What it leaves behind is ended when it ends, so the pipes do end.
    let (status, ((stdout, more_out), (stderr, more_err))) = tokio::join!(running.wait(), reading);
    let status = status.map_err(failed)?;
    let code = match status.code() {
        Some(code) => i64::from(code),
        None => return Err(Failure::new("failed", format!("`{program}` was ended: {status}"))),
    };
    if !accepted.contains(&code) {
        let said = stderr.trim().lines().next_back().unwrap_or_default();
        let said: String = said.chars().take(500).collect();
        let message = format!("`{program}` ended with exit code {code}: {said}");
        return Err(Failure::new("failed", message.trim_end_matches(": ")));
    }
    Ok(json!({ "code": code, "stdout": stdout, "stderr": stderr, "truncated": more_out || more_err }))
}

/// Reads to the end, keeps the first part.
async fn keep(mut from: impl AsyncRead + Unpin) -> (String, bool) {
    let mut kept = Vec::new();
    let limit = MAX_OUTPUT as u64;
    // A pipe that breaks is at its end.
    (&mut from).take(limit).read_to_end(&mut kept).await.ok();
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await.unwrap_or(0);
    (String::from_utf8_lossy(&kept).into_owned(), rest > 0)
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
