//! What holds for playbooks as a whole: replay, budgets, the sandbox, files.

mod budgets;
mod calls;
mod files;
mod golden;
mod replay;
mod sandbox;
mod shipped;
mod shown;
mod sound;
mod writing;

use serde_json::{Value, json};

use super::{Burst, Env, Library, Limits, Playbook, Request, SourceFile, drive};
use crate::actions::Spec;
use crate::model::clock::micros;
use crate::model::run::Phase;
use crate::model::{Diagnostic, Failure, Risk, RunId, Span, Step, StepStatus};

const HEADER: &str = "//! Test.\n//! ---\n//! actions: [a.do, a.other]\n";

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: format!("playbooks/{path}.rhai"), text: text.into() }
}

fn library(files: &[SourceFile]) -> Library {
    match Library::load("playbooks", files, &[]) {
        Ok(library) => library,
        Err(problems) => {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Some actions with parameters as the built-in ones have them.
fn specs() -> Vec<Spec> {
    let kernel = json!({ "type": "string", "description": "name of the kernel" });
    let grace = json!({ "type": ["string", "number"], "format": "duration" });
    let of = |name: &str, properties: Value, required: Value| Spec {
        name: name.into(),
        doc: String::new(),
        params: json!({
            "type": "object", "required": required, "additionalProperties": false, "properties": properties,
        }),
        result: match name {
            "kernel.health" => json!({ "properties": { "healthy": {}, "state": {}, "uptime": {} } }),
            _ => json!({}),
        },
        idempotent: true,
        acts: true,
        risk: Risk::Low,
        timeout: Span::secs(60),
    };
    let restart = json!({ "kernel": kernel, "grace": grace, "dependants": { "type": "boolean" } });
    let replicas = json!({ "type": "integer", "minimum": 1, "description": "how many there shall be" });
    let text = json!({ "type": "string" });
    vec![
        of("kernel.restart", restart, json!(["kernel"])),
        of("kernel.health", json!({ "kernel": kernel }), json!(["kernel"])),
        of("kernel.scale", json!({ "kernel": kernel, "replicas": replicas }), json!(["kernel", "replicas"])),
        of(
            "alert.operator",
            json!({ "title": text, "message": text, "level": { "enum": ["info", "warning", "critical"] }, "key": text, "target": text }),
            json!(["title", "message"]),
        ),
    ]
}

/// A playbook called `t` of this script, which begins on the fourth line of its file.
fn playbook(script: &str) -> Playbook {
    (*library(&[file("t", &format!("{HEADER}{script}"))]).get("t").unwrap()).clone()
}

/// The same, where only the body of `run` matters.
fn body(body: &str) -> Playbook {
    playbook(&format!("fn run(ctx) {{\n{body}\n}}"))
}

/// The same, of a body that `check` may refuse: what it does when it is run all the same.
fn unchecked(body: &str) -> Result<Playbook, Box<Diagnostic>> {
    let file = file("t", &format!("{HEADER}fn run(ctx) {{\n{body}\n}}"));
    let files = [("t".to_string(), super::program::File { path: file.path, text: file.text })].into();
    Playbook::link("t", &files)
}

fn env() -> Env {
    Env {
        run: RunId::new(micros(0), 7),
        now: micros(1_000_000),
        seed: 42,
        deadline: micros(9_000_000),
        cancelled: false,
        limits: Limits::default(),
    }
}

/// How a run ended, and its journal.
struct Played {
    end: Result<Value, Failure>,
    journal: Vec<Step>,
    bursts: usize,
}

/// Carries out `run` to its end, answering each request with `world`.
fn play(pb: &Playbook, mut world: impl FnMut(&Request) -> Result<Value, Failure>) -> Played {
    let mut journal = Vec::new();
    for bursts in 1..10_000 {
        match drive(pb, Phase::Run, &json!({"target": "k1"}), &journal, &env()) {
            Burst::Done { steps, value } => {
                journal.extend(steps);
                return Played { end: Ok(value), journal, bursts };
            }
            Burst::Failed { steps, failure } => {
                journal.extend(steps);
                return Played { end: Err(failure), journal, bursts };
            }
            Burst::Suspended { steps, mut step, request } => {
                journal.extend(steps);
                step.status = StepStatus::Finished;
                match world(&request) {
                    Ok(value) => step.result = Some(value),
                    Err(failure) => step.error = Some(failure),
                }
                journal.push(*step);
            }
        }
    }
    panic!("the run does not end");
}

fn nothing(_: &Request) -> Result<Value, Failure> {
    Ok(Value::Null)
}
