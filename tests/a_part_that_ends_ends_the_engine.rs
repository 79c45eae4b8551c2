//! An engine of which a part has died does not go on as if nothing were: it exits with code 70 and says which part and
//! why, so that whatever supervises it starts it again, and the next life goes on where this one stopped.
//!
//! Each part is ended by a failpoint, by a panic and where it makes a difference by a plain return.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::time::{Duration, Instant};

use engine::{Engine, Home};
use serde_json::json;

/// A debug build on a busy machine.
const LONG: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
actions: { exec: { allow: [/bin/true, /bin/sh] } }
sources: { jsonl: [{ name: boots, paths: ["boots/*.jsonl"] }] }
kernels:
  - { name: sleeper, command: [sleep, "600"] }
"#;

const RULES: &str = r#"
rules:
  - name: first
    on: [fail.first]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
  - name: second
    on: [fail.second]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
"#;

const PLAYBOOK: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\n\nfn run(ctx) { act(\"exec.run\", #{ argv: [\"/bin/true\"] }); }\nfn verify(ctx) { true }\n";

/// A part and the ways in which it ends, in the failpoint's words.
const PARTS: &[(&str, &[&str])] = &[
    ("publisher", &["panic", "return"]),
    ("ingest", &["panic", "return"]),
    ("conductor", &["panic", "return"]),
    ("file-watcher", &["return"]),
    ("housekeeping", &["return"]),
    ("disk-watcher", &["return"]),
    ("freeze-watcher", &["return"]),
    ("plugin-watcher", &["return"]),
    ("source boots", &["panic", "return"]),
    ("kernel sleeper/0", &["panic"]),
    ("kernel-dependencies", &["panic"]),
    ("http", &["return"]),
    ("spawner", &["panic"]),
    ("store-writer", &["panic"]),
    ("playbook-0", &["panic"]),
];

fn home() -> Home {
    let home = Home::new(CONFIG);
    home.write("rules/rules.yaml", RULES);
    home.write("playbooks/mend.rhai", PLAYBOOK);
    home
}

fn event(topic: &str, id: &str, n: &str) -> String {
    json!({ "id": id, "topic": topic, "source": "test", "data": { "n": n } }).to_string()
}

/// Gives it something to do until it has ended.
async fn until_ended(engine: &mut Engine) -> Option<i32> {
    let deadline = Instant::now() + LONG;
    let mut n = 0;
    while Instant::now() < deadline && !engine.is_dead() {
        n += 1;
        let event = event("fail.first", &format!("{n}"), &format!("t{n}"));
        // It may be gone at any moment.
        drop(engine.post("/api/events", "application/json", event).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.exit_code()
}

async fn ends(part: &str, how: &str) {
    let home = home();
    // The names of the threads of a pool differ, its failpoint is one.
    let point = if part.starts_with("playbook-") { "playbook-pool" } else { part };
    let mut engine = home.spawn(&[("FAILPOINTS", &format!("part::{point}=5*off->1*{how}->off"))]);
    let code = until_ended(&mut engine).await;
    let log = home.log();
    assert_eq!(code, Some(70), "{part} ended by a {how}, and the engine did not:\n{log}");
    // Any of the pool's threads may be the one; and a part that ends can take others along.
    let said = format!("{} ended unexpectedly", part.trim_start_matches("playbook-"));
    let said = said.trim_start_matches("0 ");
    assert!(
        log.lines()
            .any(|line| line.contains(said) && line.contains("exiting so that the engine can be restarted")),
        "{part} by a {how}: {log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_any_part_is_the_end_of_the_engine_and_is_said() {
    let all: Vec<(&str, &str)> =
        PARTS.iter().flat_map(|(part, ways)| ways.iter().map(|how| (*part, *how))).collect();
    for few in all.chunks(4) {
        futures_util::future::join_all(few.iter().map(|(part, how)| ends(part, how))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_part_ended_is_repaired_in_the_next_life() {
    let home = home();
    let mut engine = home.start_with(&[("FAILPOINTS", "part::store-writer=40*off->1*panic->off")]).await;
    let mut acknowledged = 0;
    let deadline = Instant::now() + LONG;
    while !engine.is_dead() && Instant::now() < deadline {
        let event = event("fail.first", &format!("{acknowledged}"), &format!("t{acknowledged}"));
        match engine.post("/api/events", "application/json", event).await {
            Some((202, _)) => acknowledged += 1,
            // Said at once instead of waiting for ever.
            Some((status, answer)) => assert_eq!(status, 503, "{answer}"),
            None => {}
        }
    }
    assert_eq!(engine.exit_code(), Some(70), "{}", home.log());
    let engine = home.start().await;
    engine.until("/api/intents?open=true", LONG, |it| it["items"] == json!([])).await;
    // One of them may have been cut off in its effect, which is told and not repeated.
    let taken_up = engine.all("/api/intents").await.len();
    assert!(taken_up >= acknowledged && acknowledged > 0, "{taken_up} of {acknowledged}\n{}", home.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_one_run_keeps_no_slot_and_no_target() {
    let home = home();
    home.write(
        "paramedic.yaml",
        &format!("listen: 127.0.0.1:{}\nlimits: {{ concurrency: 1 }}\n{CONFIG}", home.port),
    );
    let engine = home.start_with(&[("FAILPOINTS", "parking=1*panic->off")]).await;
    for (topic, id) in [("fail.first", "1"), ("fail.second", "2")] {
        let (status, answer) =
            engine.post("/api/events", "application/json", event(topic, id, "same")).await.unwrap();
        assert_eq!(status, 202, "{answer}");
        engine.until("/api/intents?open=true", LONG, |it| it["items"] == json!([])).await;
    }
    assert_eq!(engine.all("/api/intents?status=succeeded").await.len(), 2, "{}", home.log());
    assert!(home.log().contains("panicked"), "the failpoint did not strike: {}", home.log());
}
