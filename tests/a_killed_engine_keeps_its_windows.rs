//! An engine that is killed in the middle of each pattern's window fires what one that lives on fires, each once.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

/// Each is in shadow mode, so that what fired is recorded and nothing else happens. Those with a time wait through the
/// kills.
const RULES: &str = r#"
rules:
  - { name: count, on: w.a, group_by: data.k, mode: shadow, playbooks: [note], pattern: { count: 3, within: 1m } }
  - { name: once-within, on: w.a, group_by: data.k, mode: shadow, playbooks: [note], pattern: { once_within: 1m } }
  - { name: once-after, on: w.a, group_by: data.k, mode: shadow, playbooks: [note], pattern: { once_after: 6s } }
  - { name: all, group_by: data.k, mode: shadow, playbooks: [note], pattern: { all: [w.a, w.b], within: 1m } }
  - { name: sequence, group_by: data.k, mode: shadow, playbooks: [note], pattern: { sequence: [w.b, w.c, w.a], within: 1m } }
  - { name: not-after, group_by: data.k, mode: shadow, playbooks: [note], pattern: { not: w.a, after: w.c, within: 6s } }
  - { name: absent, group_by: data.k, mode: shadow, playbooks: [note], pattern: { absent: w.b, for: 6s, expect: [never] } }
  - { name: change, on: w.n, group_by: data.k, mode: shadow, playbooks: [note], pattern: { change: data.n, above: 2.0 } }
  - { name: any, group_by: data.k, mode: shadow, playbooks: [note], pattern: { any: [{ on: w.n, when: data.n > 250 }, { on: w.c }] } }
"#;

const PLAYBOOK: &str = "//! Nothing.\n//! ---\n//! risk: low\n//! actions: []\nfn run(ctx) { }\n";

/// What is sent before, between and after the kills.
const PARTS: [&[(&str, &str, i64)]; 3] = [
    &[
        ("w.a", "x", 0),
        ("w.b", "x", 0),
        ("w.b", "y", 0),
        ("w.n", "x", 100),
        ("w.n", "x", 101),
        ("w.n", "x", 99),
    ],
    &[
        ("w.a", "x", 0),
        ("w.c", "x", 0),
        ("w.c", "y", 0),
        ("w.n", "x", 100),
        ("w.n", "x", 98),
        ("w.a", "y", 0),
    ],
    &[("w.a", "x", 0), ("w.c", "z", 0), ("w.n", "x", 300), ("w.b", "y", 0)],
];

async fn send(engine: &Engine, part: usize) {
    for (n, (topic, k, value)) in PARTS[part].iter().enumerate() {
        let id = format!("{part}-{n}");
        engine.send(json!({"id": id, "topic": topic, "source": "test", "data": {"k": k, "n": value}})).await;
    }
}

/// What fired: rule, group and how often.
async fn fired(engine: &Engine) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let intents = engine.all("/api/intents").await;
    let mut fired: Vec<_> =
        intents.iter().map(|i| (text(&i["rule"]), text(&i["group"]), i["count"].as_u64().unwrap())).collect();
    fired.sort();
    fired
}

/// The story, with a kill between its parts or not, and one while timers are due.
async fn story(kills: bool) -> Vec<(String, String, u64)> {
    let home = Home::new("");
    home.write("rules/all.yaml", RULES);
    home.write("playbooks/note.rhai", PLAYBOOK);
    let mut engine = home.start().await;
    for part in 0..PARTS.len() {
        send(&engine, part).await;
        if kills {
            engine.kill();
            engine = home.start().await;
        }
    }
    if kills {
        // Down while everything that waits comes due.
        engine.kill();
    }
    tokio::time::sleep(Duration::from_secs(8)).await;
    if kills {
        engine = home.start().await;
    }
    let timers = |answer: &Value| answer["items"].as_array().unwrap().len() >= 6;
    engine.until("/api/events?topic=paramedic.timer.%3E&limit=100", Duration::from_secs(10), timers).await;
    fired(&engine).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_fires_with_and_without_a_kill_in_the_middle() {
    let (lived, killed) = tokio::join!(story(false), story(true));
    println!("{lived:#?}");
    for kind in
        ["count", "once-within", "once-after", "all", "sequence", "not-after", "absent", "change", "any"]
    {
        assert!(lived.iter().any(|(rule, ..)| rule == kind), "{kind} never fired: {lived:?}");
    }
    assert_eq!(killed, lived);
}

/// Counts of so many groups are more than travels with a batch of events.
const MANY: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_too_large_for_one_write_survives_too() {
    let home = Home::new("");
    home.write(
        "rules/all.yaml",
        "rules:\n  - { name: third, on: w.a, group_by: data.k, mode: shadow, playbooks: [note], pattern: { count: 3, within: 1h } }\n",
    );
    home.write("playbooks/note.rhai", PLAYBOOK);
    let mut engine = home.start().await;
    let round = async |engine: &Engine, round: usize| {
        let event = |n| json!({"id": format!("{round}-{n}"), "topic": "w.a", "source": "test", "data": {"k": format!("group {n}")}});
        let body = Value::from((0..MANY).map(event).collect::<Vec<_>>()).to_string();
        let (status, answer) = engine.post("/api/events", "application/json", body).await.unwrap();
        assert_eq!(status, 202, "{answer}");
    };
    round(&engine, 1).await;
    round(&engine, 2).await;
    for _ in 0..2 {
        // A start writes the state that it found, in pieces; the next reads them.
        engine.kill();
        engine = home.start().await;
    }
    let database = rusqlite::Connection::open(home.path("data/paramedic.db")).unwrap();
    let pieces: i64 = database
        .query_row("SELECT count(*) FROM meta WHERE key LIKE 'rules.windows/%'", [], |row| row.get(0))
        .unwrap();
    assert!(pieces > 0, "it was written in pieces");
    assert_eq!(fired(&engine).await, []);
    round(&engine, 3).await;
    let fired = fired(&engine).await;
    assert_eq!(fired.len(), MANY, "each group fired at its third event");
}
