//! A kernel that is killed from outside is back and verified within 10 s, and the repair is counted; an event over
//! HTTP and a line in a followed file lead to a repair just so.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fs;
use std::io::Write;
use std::time::Duration;

use engine::{Engine, Home};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const CONFIG: &str = r#"
kernels:
  - name: alpha
    layer: 1
    command: ["${PARAMEDIC}", __patient, --boot-ms, "50"]
    port: auto
    health: { http: "http://127.0.0.1:${PORT}/", interval: 200ms, timeout: 500ms, failures: 2 }
    replicas: { min: 1, max: 2 }
    stop_grace: 500ms
    baseline_boot_ms: 500
  - name: beta
    layer: 2
    command: ["${PARAMEDIC}", __patient, --boot-ms, "50"]
    port: auto
    health: { http: "http://127.0.0.1:${PORT}/", interval: 200ms, timeout: 500ms, failures: 2 }
    stop_grace: 500ms
    baseline_boot_ms: 500
    depends_on: [alpha]
sources: { jsonl: [{ name: watched, paths: ["watched/*.jsonl"] }] }
"#;

async fn healthy(engine: &Engine, kernel: &str) -> Value {
    let path = format!("/api/kernels/{kernel}");
    engine.until(&path, Duration::from_secs(20), |view| view["state"] == "healthy").await
}

fn pid(view: &Value) -> i32 {
    i32::try_from(view["pids"][0].as_i64().unwrap()).unwrap()
}

async fn succeeded(engine: &Engine, n: u64) -> Value {
    let path = "/api/observability/remediation/stats";
    engine.until(path, Duration::from_secs(10), |stats| stats["succeeded"].as_u64() >= Some(n)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_kernel_is_back_and_verified_within_ten_seconds_and_the_confidence_has_changed() {
    let home = Home::new(CONFIG).with_shipped();
    let engine = home.start().await;
    let before = pid(&healthy(&engine, "alpha").await);
    healthy(&engine, "beta").await;

    kill_process(Pid::from_raw(before).unwrap(), Signal::KILL).unwrap();
    let stats = succeeded(&engine, 1).await;
    let after = pid(&healthy(&engine, "alpha").await);
    assert_ne!(before, after, "another process is there now");

    let intents = engine.all("/api/intents?status=succeeded").await;
    let intent = &intents[0];
    assert_eq!((&intent["target"], &intent["attempts"][0]["outcome"]), (&json!("alpha"), &json!("fixed")));
    let why = intent["decision"]["why"].as_array().unwrap();
    assert!(!why.is_empty(), "the choice is explained");
    let row = &stats["playbooks"][0];
    let chosen_with = intent["attempts"][0]["confidence"].as_f64().unwrap();
    assert!(row["confidence"].as_f64().unwrap() > chosen_with, "a verified success raises confidence: {row}");
    assert!(row["interval"][0].as_f64() < row["confidence"].as_f64());

    let run = engine.get(&format!("/api/runs/{}", intent["attempts"][0]["run"].as_str().unwrap())).await;
    assert_eq!(run["steps"][0]["name"], "kernel.restart");
    assert!(run["steps"].as_array().unwrap().iter().all(|step| step["status"] == "finished"), "{run:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_kernel_is_repaired_too() {
    let home = Home::new(CONFIG).with_shipped();
    let engine = home.start().await;
    let before = pid(&healthy(&engine, "alpha").await);
    kill_process(Pid::from_raw(before).unwrap(), Signal::STOP).unwrap();
    succeeded(&engine, 1).await;
    assert_ne!(before, pid(&healthy(&engine, "alpha").await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_over_http_and_a_line_in_a_followed_file_lead_to_repairs() {
    let home = Home::new(CONFIG).with_shipped();
    fs::create_dir_all(home.path("watched")).unwrap();
    let engine = home.start().await;
    let alpha = pid(&healthy(&engine, "alpha").await);
    let beta = pid(&healthy(&engine, "beta").await);
    let failed = |kernel: &str| {
        json!({"topic": "telemetry.stress.boot_failed", "source": "stress_test", "subject": kernel,
               "data": {"kernel": kernel, "error": "timeout", "boot_duration_ms": 1200}})
    };
    engine.send(failed("alpha")).await;
    succeeded(&engine, 1).await;
    assert_ne!(alpha, pid(&healthy(&engine, "alpha").await));

    let mut file = fs::File::options().create(true).append(true).open(home.path("watched/a.jsonl")).unwrap();
    writeln!(file, "{}", failed("beta")).unwrap();
    succeeded(&engine, 2).await;
    assert_ne!(beta, pid(&healthy(&engine, "beta").await));
    let fixed: Vec<_> = engine.all("/api/intents?status=succeeded").await;
    assert_eq!(fixed.len(), 2, "one repair for each: {fixed:#?}");
}
