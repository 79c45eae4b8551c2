//! 100,000 identical failures are one open intent with every one of them counted, and memory stays bounded.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fmt::Write;
use std::time::Duration;

use engine::Home;
use serde_json::json;

const EVENTS: usize = 100_000;

const RULES: &str = r#"
rules:
  - name: storm
    on: [storm.fail]
    when: data.error == "timeout"
    group_by: data.kernel
    intent: { goal: "Mend ${data.kernel}", priority: high, target: "${data.kernel}" }
    playbooks: [wait]
"#;

const PLAYBOOK: &str = r#"//! Wait, so that the intent stays open.
//! ---
//! risk: low
//! cost: 1m
//! timeout: 30m
//! actions: []

fn run(ctx) { sleep("20m"); }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_identical_failures_are_one_intent_all_counted() {
    let home = Home::new("");
    home.write("rules/storm.yaml", RULES);
    home.write("playbooks/wait.rhai", PLAYBOOK);
    let engine = home.start().await;
    let idle = memory(engine.pid());
    let mut body = String::new();
    for n in 0..EVENTS {
        let line = json!({"id": format!("e{n}"), "topic": "storm.fail", "source": "stress_test",
                          "data": {"kernel": "k1", "error": "timeout", "boot_duration_ms": 1200, "n": n}});
        writeln!(body, "{line}").unwrap();
    }
    let (status, answer) = engine.post("/api/events", "application/x-ndjson", body.clone()).await.unwrap();
    assert_eq!((status, answer), (202, json!({"accepted": EVENTS, "duplicates": 0})));

    let open = engine
        .until("/api/intents?open=true", Duration::from_secs(20), |a| a["items"][0]["count"] == EVENTS)
        .await;
    assert_eq!(open["items"].as_array().unwrap().len(), 1);
    assert_eq!(engine.all("/api/intents").await.len(), 1, "no second intent was ever made");

    let (status, answer) = engine.post("/api/events", "application/x-ndjson", body).await.unwrap();
    assert_eq!(
        (status, answer),
        (202, json!({"accepted": 0, "duplicates": EVENTS})),
        "the same again is known"
    );
    let peak = memory(engine.pid());
    println!("memory: {idle} MiB idle, {peak} MiB at its peak for two posts of {EVENTS} events");
    assert!(peak < 512, "{peak} MiB");
}

/// Most memory that the process had at once, in MiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
