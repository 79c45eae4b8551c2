//! Journals recorded by this and earlier versions: a run that began with one of them must go on for ever.
//!
//! Each file of `golden/` holds the source that was kept with a run, what its script was given, its journal and what it
//! came to. A file is never changed; `GOLDEN=record` adds one for the host functions as they are now.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Serialize, Deserialize)]
struct Golden {
    source: String,
    ctx: Value,
    journal: Vec<Step>,
    result: Value,
}

/// Every host function, in the places where scripts call them: loops, closures, `catch`, functions of imported files.
const SCRIPT: &str = r#"import "lib/words" as words;
fn run(ctx) {
    let seen = [now(), uuid(), random()];
    log("info", words::greet(ctx.target));
    metric("golden.count", 3);
    print("printed");
    let first = act("a.do", #{ kernel: ctx.target, grace: ctx.params.grace }, #{ retries: 2, backoff: "1s", key: "k" });
    let caught = ();
    try { act("a.other", #{ n: 2 }); } catch (e) { caught = e; }
    let both = all([#{ action: "a.do", params: #{ n: 3 } }, #{ action: "a.other", params: #{ n: 4 }, timeout: "5s" }]);
    let parts = all([#{ action: "a.do", params: #{ n: 5 } }, #{ action: "a.other" }], #{ partial: true });
    sleep("1m30s");
    let event = wait_for("a.>", "subject == target", "30s");
    let none = wait_for("b.c", 10);
    emit("golden.done", #{ at: seen[0] });
    let said = ask("go on?", ["yes", "no"], "1h");
    let who = ask("who are you?", [], 60, #{ details: true });
    [1, 2, 3].filter(|n| n != 2).for_each(|n| sleep(n * 0.5));
    #{ first: first, caught: caught, both: both, parts: parts, event: event.topic, none: none, said: said, who: who.by,
       steps: steps(), uuid: seen[1].len(), carried: ctx.carried?.page }
}
"#;

fn answered(request: &Request) -> Result<Value, Failure> {
    match request {
        Request::Act(act) if act.action == "a.other" => {
            Err(Failure::retryable("timeout", "no answer").of("a.other"))
        }
        Request::Act(_) => Ok(json!({ "pid": 7, "took_ms": 12.5, "notes": [null, true, "é"] })),
        Request::All { partial: true, .. } => Ok(json!([
            { "ok": true, "result": { "n": 5 } },
            { "ok": false, "error": Failure::new("failed", "it broke").of("a.other") },
        ])),
        Request::All { .. } => Ok(json!([{ "n": 3 }, { "n": 4 }])),
        Request::WaitFor { pattern, .. } if pattern == "a.>" => {
            Ok(json!({ "topic": "a.b", "data": { "x": 1 } }))
        }
        Request::Ask { details: true, .. } => {
            Ok(json!({ "answer": "me", "by": "ann", "at": "2026-11-24T00:00:00Z" }))
        }
        Request::Ask { .. } => Ok(json!("yes")),
        _ => Ok(Value::Null),
    }
}

fn ctx() -> Value {
    json!({ "target": "k1", "params": { "grace": "5s" }, "carried": { "page": 2 }, "event": { "data": { "n": 1 } } })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/playbook/tests/golden")
}

#[test]
fn a_journal_of_any_version_replays_from_each_of_its_steps() {
    if std::env::var_os("GOLDEN").is_some() {
        record();
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the recorded journals are gone from {}", folder().display());
    for file in files {
        let golden: Golden = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let playbook = Playbook::from_pinned(&golden.source).unwrap();
        for known in 0..=golden.journal.len() {
            goes_on(&playbook, &golden, known, &file);
        }
    }
}

/// With the first `known` steps given back, the script makes the next ones as they are recorded.
fn goes_on(playbook: &Playbook, golden: &Golden, known: usize, file: &Path) {
    let burst = drive(playbook, Phase::Run, &golden.ctx, &golden.journal[..known], &env());
    let next = match burst {
        Burst::Done { steps, value } => {
            assert_eq!(value, golden.result, "{} from step {known}", file.display());
            steps
        }
        Burst::Suspended { steps, step, .. } => steps.into_iter().chain([*step]).collect(),
        Burst::Failed { failure, .. } => panic!("{} from step {known}: {failure}", file.display()),
    };
    for (made, recorded) in next.iter().zip(&golden.journal[known..]) {
        let call = |step: &Step| (step.seq, step.kind, step.name.clone(), step.request.clone());
        assert_eq!(call(made), call(recorded), "{} from step {known}", file.display());
    }
    assert!(known + next.len() <= golden.journal.len(), "{} from step {known}", file.display());
}

fn record() {
    let main = format!("//! Golden.\n//! ---\n//! actions: [a.do, a.other]\n{SCRIPT}");
    let files = [file("golden", &main), file("lib/words", "fn greet(name) { \"hello \" + name }\n")];
    let playbook = library(&files).get("golden").unwrap();
    let mut journal = Vec::new();
    let result = loop {
        match drive(&playbook, Phase::Run, &ctx(), &journal, &env()) {
            Burst::Done { steps, value } => {
                journal.extend(steps);
                break value;
            }
            Burst::Failed { failure, .. } => panic!("{failure}"),
            Burst::Suspended { steps, mut step, request } => {
                journal.extend(steps);
                step.status = StepStatus::Finished;
                step.finished_at = Some(env().now);
                match answered(&request) {
                    Ok(value) => step.result = Some(value),
                    Err(failure) => step.error = Some(failure),
                }
                journal.push(*step);
            }
        }
    };
    let golden = Golden { source: playbook.source.clone(), ctx: ctx(), journal, result };
    let number = std::fs::read_dir(folder()).unwrap().count() + 1;
    let text = serde_json::to_string_pretty(&golden).unwrap();
    std::fs::write(folder().join(format!("{number:02}.json")), text + "\n").unwrap();
}
