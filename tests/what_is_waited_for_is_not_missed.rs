//! A playbook that acts and then waits for what that causes gets it, however soon it comes, whatever crashes in between.
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

const CONFIG: &str = "
kernels:
  - { name: web, command: [sleep, '600'] }
";

/// Restarting a kernel is over when it is healthy again: the event is there before the wait begins.
const PLAYBOOK: &str = "//! Restarts it.
//! ---
//! risk: low
//! timeout: 5m
//! actions: [kernel.restart]
//! params: { pause: { type: duration, default: 0s } }

fn run(ctx) {
    act(\"kernel.restart\", #{ kernel: ctx.target });
    sleep(ctx.params.pause);
    let known = `subject == target && data.generation == 2`;
    let first = wait_for(\"telemetry.kernel.healthy\", known, \"20s\");
    let again = wait_for(\"telemetry.kernel.healthy\", known, \"1s\");
    let since = wait_for(\"telemetry.kernel.booting\", known, \"1s\", #{ since: now() });
    #{ first: first != (), again: again != (), since: since != () }
}
";

async fn finished(engine: &Engine) -> Value {
    let over = |it: &Value| {
        !["pending", "running", "verifying"].contains(&it["items"][0]["status"].as_str().unwrap_or("pending"))
    };
    let intents = engine.until("/api/intents", Duration::from_secs(60), over).await;
    let run = intents["items"][0]["attempts"][0]["run"]
        .as_str()
        .unwrap_or_else(|| panic!("{intents:#}"))
        .to_owned();
    engine.get(&format!("/api/runs/{run}")).await
}

async fn ask(engine: &Engine, pause: &str) {
    engine.until("/api/kernels/web", Duration::from_secs(30), |it| it["state"] == "healthy").await;
    let wish =
        json!({ "goal": "g", "target": "web", "playbooks": ["restart"], "params": { "pause": pause } });
    let (status, answer) = engine.post("/api/intents", "application/json", wish.to_string()).await.unwrap();
    assert!((200..300).contains(&status), "{status} {answer}");
}

#[tokio::test]
async fn the_event_that_an_action_causes_ends_the_wait_after_it_once() {
    let home = Home::new(CONFIG);
    home.write("playbooks/restart.rhai", PLAYBOOK);
    let engine = home.start().await;
    ask(&engine, "0s").await;
    let run = finished(&engine).await;
    assert_eq!(run["result"], json!({ "first": true, "again": false, "since": false }), "{run:#}");
}

#[tokio::test]
async fn an_event_from_before_a_crash_ends_the_wait_that_begins_after_it() {
    let home = Home::new(CONFIG);
    home.write("playbooks/restart.rhai", PLAYBOOK);
    let mut engine = home.start().await;
    ask(&engine, "3s").await;
    engine
        .until("/api/kernels/web", Duration::from_secs(30), |it| {
            it["generation"] == 2 && it["state"] == "healthy"
        })
        .await;
    // The run sleeps by now, or is about to.
    let sleeps = |it: &Value| {
        it["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["topic"] == "telemetry.kernel.healthy" && it["data"]["generation"] == 2)
    };
    engine.until("/api/events?topic=telemetry.kernel.>&limit=100", Duration::from_secs(30), sleeps).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    engine.kill();
    let engine = home.start().await;
    let run = finished(&engine).await;
    assert_eq!(run["result"], json!({ "first": true, "again": false, "since": false }), "{run:#}");
}
