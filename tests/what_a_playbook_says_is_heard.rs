//! A playbook's metric is an event and a number for Prometheus, and its log lines are in the engine's log; each once.
#![allow(clippy::unwrap_used, reason = "a test may stop at anything unexpected")]

#[path = "support/engine.rs"]
mod engine;

use std::time::Duration;

use engine::Home;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metric_is_counted_once_though_the_engine_dies_after_it() {
    let home = Home::new("");
    home.write(
        "rules/r.yaml",
        "rules:\n  - name: r\n    on: test.fail\n    group_by: data.n\n    \
         intent: { goal: Mend, target: \"${data.n}\" }\n    playbooks: [say]\n",
    );
    home.write(
        "playbooks/say.rhai",
        "//! Say something.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: []\n\
         fn run(ctx) { metric(\"freed.bytes\", 42); log(\"info\", \"heard of \" + ctx.target); sleep(\"500ms\"); }\n\
         fn verify(ctx) { true }\n",
    );
    let mut engine = home.start().await;
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "one"}})).await;
    let topic = "/api/events?topic=metric.freed.bytes";
    engine.until(topic, Duration::from_secs(5), |events| events["items"][0]["data"]["value"] == 42.0).await;
    engine.kill();

    let engine = home.start().await;
    engine.until("/api/intents", Duration::from_secs(10), |a| a["items"][0]["status"] == "succeeded").await;
    assert_eq!(engine.all(topic).await.len(), 1);
    let metrics = engine.text("/metrics").await;
    let line =
        metrics.lines().find(|line| line.starts_with("paramedic_reported") && line.contains("freed.bytes"));
    assert!(line.is_some_and(|line| line.ends_with(" 42") || line.ends_with(" 42.0")), "{line:?}");
    assert!(home.log().contains("heard of one"), "{}", home.log());
}
