//! Prometheus can read what `/metrics` says, as `promtool check metrics` confirms where it is installed, and finds the
//! numbers that events report there.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::io::Write;
use std::process::{Command, Stdio};

use engine::Home;
use serde_json::json;

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let home = Home::new("");
    let engine = home.start().await;
    engine.send(json!({"topic": "metric.queue.length", "source": "test", "data": {"value": 42.5}})).await;
    // Who sent it is told once it is durable, a moment before it is counted.
    let wanted = "paramedic_reported{name=\"queue.length\"} 42.5";
    let mut text = String::new();
    for _ in 0..500 {
        let answer = reqwest::get(format!("{}/metrics", engine.url)).await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_string();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        text = answer.text().await.unwrap();
        if text.contains(wanted) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(text.contains(wanted), "{text}");
    assert!(text.contains("paramedic_events_accepted_total 1\n"), "{text}");

    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing, and CI is to have it");
        println!("skipped: promtool is not installed (Debian package `prometheus`)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}
