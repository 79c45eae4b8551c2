//! A kernel that an operator or a playbook stopped or scaled stays so over a crash and a restart of the engine, and says
//! who did it and when. What the engine knows in confidence does not reach a kernel.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::process::Command;
use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

const CONFIG: &str = "
kernels:
  - { name: web, command: [sh, -c, 'env; exec sleep 600'], env: { OWN: fine } }
  - { name: pool, command: [sleep, '600'], replicas: { min: 1, max: 4 } }
  - { name: held, command: [sleep, '600'] }
actions:
  alert:
    slack: { url: { env: SLACK_ADDRESS } }
    pagerduty: { routing_key: { env: PAGER_KEY } }
    webhook: { url: 'http://127.0.0.1:9/', headers: { X-Key: { env: HOOK_KEY } } }
";

const PLAYBOOK: &str = "//! Takes it out of service.
//! ---
//! risk: medium
//! actions: [kernel.stop]

fn run(ctx) { act(\"kernel.stop\", #{ kernel: ctx.target }) }
";

const RULES: &str = "rules:
  - name: retire
    on: kernel.old
    intent: { target: '${subject}' }
    playbooks: [retire]
";

async fn kernel(engine: &Engine, name: &str, done: impl Fn(&Value) -> bool) -> Value {
    engine.until(&format!("/api/kernels/{name}"), Duration::from_secs(30), done).await
}

fn command(home: &Home, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .arg("kernels")
        .args(args)
        .args(["--url", &format!("http://127.0.0.1:{}", home.port)])
        .env("USER", "ann")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn what_is_stopped_or_scaled_by_hand_stays_so_and_says_who_did_it() {
    let home = Home::new(CONFIG);
    home.write("playbooks/retire.rhai", PLAYBOOK);
    home.write("rules/rules.yaml", RULES);
    let healthy = |it: &Value| it["state"] == "healthy";
    let secrets = [
        ("SLACK_ADDRESS", "http://127.0.0.1:9/canary"),
        ("PAGER_KEY", "canary"),
        ("HOOK_KEY", "canary"),
        ("OTHER", "plain"),
    ];
    let mut engine = home.start_with(&secrets).await;
    for name in ["web", "pool", "held"] {
        assert!(kernel(&engine, name, healthy).await.get("wish").is_none());
    }

    // Nothing that the engine keeps to itself reaches a kernel; all else does.
    let log = home.path("logs/kernels/web.0.log");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let mut seen = String::new();
    while !(seen.contains("OTHER=plain") && seen.contains("OWN=fine")) {
        assert!(std::time::Instant::now() < deadline, "{seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = std::fs::read_to_string(&log).unwrap_or_default();
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = std::fs::read_to_string(&log).unwrap();
    assert!(!seen.contains("canary") && !seen.contains("PAGER_KEY"), "{seen}");

    command(&home, &["stop", "web"]);
    let (status, _) =
        engine.post("/api/kernels/pool/scale?by=bob", "application/json", "{\"replicas\":3}").await.unwrap();
    assert_eq!(status, 200);
    engine.send(json!({"topic": "kernel.old", "source": "test", "subject": "held", "data": {}})).await;
    kernel(&engine, "held", |it| it["wish"]["stopped"] == true && it["state"] == "stopped").await;

    for crash in [true, false] {
        if crash {
            engine.kill();
        } else {
            assert!(engine.stop());
        }
        engine = home.start_with(&secrets).await;
        let pool =
            kernel(&engine, "pool", |it| healthy(it) && it["pids"].as_array().unwrap().len() == 3).await;
        assert_eq!((&pool["wish"]["by"], &pool["wish"]["replicas"]), (&"bob".into(), &3.into()));
        let web = kernel(&engine, "web", |_| true).await;
        assert_eq!((&web["state"], &web["pids"]), (&"stopped".into(), &json!([])));
        assert_eq!(&web["wish"]["by"], "ann");
        assert!(web["wish"]["at"].as_str().unwrap().starts_with("20"));
        let held = kernel(&engine, "held", |_| true).await;
        assert_eq!(held["state"], "stopped");
        let by = held["wish"]["by"].as_str().unwrap();
        assert!(by.starts_with("run ") && by.ends_with("of rule `retire`"), "{by}");
        let list = command(&home, &[]);
        assert!(list.contains("stopped by ann at 20"), "{list}");
    }

    // Started again it is as ever, over restarts too.
    command(&home, &["start", "web"]);
    engine.kill();
    let engine = home.start_with(&secrets).await;
    assert!(kernel(&engine, "web", healthy).await.get("wish").is_none());
}
