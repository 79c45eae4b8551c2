//! An action that ends the engine each time is not repeated at every start for ever: after three tries it is interrupted,
//! and an operator is alerted.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fs;
use std::time::{Duration, Instant};

use engine::Home;
use serde_json::json;

const RULES: &str = r#"
rules:
  - { name: mend, on: it.fell, intent: { goal: Mend, target: it }, playbooks: [mend, other] }
"#;

/// Idempotent, so that it may be repeated after a crash; and deadly.
const MEND: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\nfn run(ctx) {\n    \
    act(\"exec.run\", #{ idempotent: true, argv: [\"/bin/sh\", \"-c\", \"echo tried >> EFFECTS; kill -9 $PPID; sleep 5\"] });\n}\n";

const OTHER: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1h\n//! timeout: 1m\n//! actions: [exec.run]\nfn run(ctx) {\n    \
    act(\"exec.run\", #{ argv: [\"/bin/sh\", \"-c\", \"echo other >> EFFECTS\"] });\n}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_ends_the_engine_each_time_is_tried_three_times_and_then_told() {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    let effects = home.path("effects");
    home.write("rules/mend.yaml", RULES);
    for (name, text) in [("mend", MEND), ("other", OTHER)] {
        home.write(&format!("playbooks/{name}.rhai"), &text.replace("EFFECTS", &effects.to_string_lossy()));
    }
    let mut engine = home.start().await;
    engine.send(json!({ "topic": "it.fell", "source": "test" })).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut lives = 1;
    let intent = loop {
        assert!(Instant::now() < deadline, "{}", home.log());
        if engine.is_dead() {
            lives += 1;
            assert!(lives <= 5, "it is repeated at every start: {}", fs::read_to_string(&effects).unwrap());
            engine = home.spawn(&[]);
            engine.ready().await;
            continue;
        }
        let answer = reqwest::get(format!("{}/api/intents", engine.url)).await;
        if let Ok(answer) = answer
            && let Ok(list) = answer.json::<serde_json::Value>().await
            && list["items"][0]["attempts"][0]["ended_at"].is_string()
        {
            break list["items"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(lives, 4, "three tries, and a life in which it is known");
    assert_eq!(intent["attempts"][0]["outcome"], "interrupted", "{intent:#}");
    let alerts = engine.get("/api/alerts").await;
    assert!(alerts.to_string().contains("exec.run keeps ending the engine"), "{alerts:#}");
    engine
        .until("/api/intents", Duration::from_secs(20), |list| list["items"][0]["status"] == "failed")
        .await;
    assert_eq!(fs::read_to_string(&effects).unwrap(), "tried\ntried\ntried\n", "nothing more is tried");
}
