//! Once a cancel or a freeze is answered, the data directory is gone or the engine stops, no effect begins any more, not
//! even one whose start was recorded already; and none of these is taken for one that was cut off.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fs;
use std::time::{Duration, Instant};

use engine::{Engine, Home};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// Between the moment that a step's start is durable and its effect there is this much time.
const SLOW: [(&str, &str); 2] = [("FAILPOINTS", "started=sleep(700)"), ("TOKIO_WORKER_THREADS", "8")];

const RULES: &str = r#"
rules:
  - { name: mend, on: it.fell, group_by: subject, intent: { goal: Mend, target: "${subject}" }, playbooks: [mend] }
"#;

const MEND: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\nfn run(ctx) {\n    \
    act(\"exec.run\", #{ argv: [\"/bin/sh\", \"-c\", `echo ${ctx.target} >> EFFECTS`] });\n}\n";

fn home() -> Home {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    home.write("rules/mend.yaml", RULES);
    home.write("playbooks/mend.rhai", &MEND.replace("EFFECTS", &home.path("effects").to_string_lossy()));
    home
}

fn effects(home: &Home, target: &str) -> usize {
    let all = fs::read_to_string(home.path("effects")).unwrap_or_default();
    all.lines().filter(|line| *line == target).count()
}

async fn intent(engine: &Engine, target: &str, done: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/intents?target={target}");
    engine.until(&path, SOON, |answer| done(&answer["items"][0])).await["items"][0].clone()
}

/// The intent for `target`, once the start of its step is durable and its effect has not begun.
async fn about_to_act(engine: &Engine, target: &str) -> Value {
    engine.send(json!({ "topic": "it.fell", "source": "test", "subject": target })).await;
    let intent = intent(engine, target, |it| it["attempts"][0]["run"].is_string()).await;
    engine.until(&run_of(&intent), SOON, |run| run["steps"][0]["status"] == "started").await;
    intent
}

fn run_of(intent: &Value) -> String {
    format!("/api/runs/{}", intent["attempts"][0]["run"].as_str().unwrap())
}

async fn until_effect(home: &Home, target: &str) {
    let deadline = Instant::now() + SOON;
    while effects(home, target) == 0 {
        assert!(Instant::now() < deadline, "{target} is never repaired:\n{}", home.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn well_after() {
    tokio::time::sleep(Duration::from_millis(1_200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_whose_start_is_recorded_does_not_begin_after_a_no() {
    let home = home();
    let mut engine = home.start_with(&SLOW).await;

    let cancelled = about_to_act(&engine, "cancelled").await;
    let path = format!("/api/intents/{}/cancel", cancelled["id"].as_str().unwrap());
    assert_eq!(engine.post(&path, "application/json", "").await.unwrap().0, 200);
    assert_eq!(effects(&home, "cancelled"), 0);
    well_after().await;
    assert_eq!(effects(&home, "cancelled"), 0, "a cancel was answered, and then the effect began");
    let run = engine.until(&run_of(&cancelled), SOON, |run| run["status"] == "cancelled").await;
    assert_eq!(run["steps"][0]["status"], "not_begun", "{run:#}");
    assert_eq!(intent(&engine, "cancelled", |_| true).await["attempts"][0]["ended_by"], "cancellation");

    about_to_act(&engine, "frozen").await;
    let (status, answer) = engine.post("/api/freeze", "application/json", "{}").await.unwrap();
    assert_eq!(status, 201, "{answer}");
    assert_eq!(effects(&home, "frozen"), 0);
    well_after().await;
    assert_eq!(effects(&home, "frozen"), 0, "a freeze was answered, and then the effect began");
    let thawed = reqwest::Client::new().delete(format!("{}/api/freeze", engine.url)).send().await.unwrap();
    assert!(thawed.status().is_success());
    until_effect(&home, "frozen").await;
    let ended = intent(&engine, "frozen", |it| it["status"] == "succeeded").await;
    assert_ne!(ended["attempts"][0]["outcome"], "interrupted", "{ended:#}");

    about_to_act(&engine, "lost").await;
    fs::rename(home.path("data"), home.path("elsewhere")).unwrap();
    well_after().await;
    assert_eq!(effects(&home, "lost"), 0, "what came of it could not be kept, and the effect began");
    fs::rename(home.path("elsewhere"), home.path("data")).unwrap();
    until_effect(&home, "lost").await;

    about_to_act(&engine, "stopped").await;
    assert!(engine.stop(), "it stops in good order");
    assert_eq!(effects(&home, "stopped"), 0, "the engine stopped, and the effect began");
    let engine = home.start_with(&SLOW).await;
    until_effect(&home, "stopped").await;
    let ended = intent(&engine, "stopped", |it| it["status"] == "succeeded").await;
    assert_ne!(
        ended["attempts"][0]["outcome"], "interrupted",
        "what was held back was not cut off: {ended:#}"
    );
    for target in ["cancelled", "frozen", "lost", "stopped"] {
        assert_eq!(effects(&home, target), usize::from(target != "cancelled"), "{target}");
    }
}
