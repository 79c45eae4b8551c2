//! Why a rule did not fire last night is told as it was decided then, whatever the rules have become since.
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

const PLAYBOOK: &str = "//! Nothing.\n//! ---\n//! risk: low\n//! actions: []\nfn run(ctx) { }\n";

fn rules(limit: u32, count: u32) -> String {
    format!(
        "rules:
  - {{ name: many, on: e.fail, when: data.ms > {limit}, group_by: data.k, playbooks: [note], pattern: {{ count: {count}, within: 5m }}, intent: {{ target: \"${{data.k}}\" }} }}
  - {{ name: cool, on: e.cool, group_by: data.k, playbooks: [note], guard: {{ cooldown: 1h }}, intent: {{ target: \"${{data.k}}\" }} }}
  - {{ name: shadow, on: e.shadow, mode: shadow, playbooks: [note], intent: {{ target: t }} }}
  - {{ name: other, on: e.other, playbooks: [note] }}
  - {{ name: held, on: e.held, group_by: data.k, playbooks: [note], guard: {{ hold_down: 10m }}, resolved: {{ on: e.ok }}, intent: {{ target: \"${{data.k}}\" }} }}
"
    )
}

async fn send(engine: &Engine, id: &str, topic: &str, ms: i64) {
    engine.send(json!({"id": id, "topic": topic, "source": "test", "data": {"k": "k1", "ms": ms}})).await;
}

async fn explain(engine: &Engine, question: Value) -> Value {
    let (status, answer) =
        engine.post("/api/explain", "application/json", question.to_string()).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    println!("{answer:#}");
    answer
}

fn reason<'a>(answer: &'a Value, rule: &str) -> &'a str {
    let found = answer["rules"].as_array().unwrap().iter().find(|reason| reason["rule"] == rule);
    found.unwrap()["reason"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_the_past_is_explained_by_the_rules_and_windows_of_then() {
    let home = Home::new("");
    home.write("rules/r.yaml", &rules(1_000, 3));
    home.write("playbooks/note.rhai", PLAYBOOK);
    let mut engine = home.start().await;
    send(&engine, "first", "e.fail", 1_200).await;
    send(&engine, "slow", "e.fail", 900).await;
    send(&engine, "second", "e.fail", 1_300).await;
    send(&engine, "third", "e.fail", 1_300).await;
    send(&engine, "held", "e.held", 0).await;
    send(&engine, "held again", "e.held", 0).await;
    engine
        .until("/api/intents?rule=many", Duration::from_secs(10), |a| {
            a["items"][0]["status"] == "failed"
                || a["items"][0]["status"] == "succeeded"
                || a["items"][0]["status"] == "escalated"
        })
        .await;

    // One at hand is judged by what is there now, and changes nothing.
    let event = json!({"topic": "e.fail", "source": "test", "data": {"k": "k1", "ms": 1_100}});
    for _ in 0..2 {
        let now = explain(&engine, json!({"event": event})).await;
        assert_eq!(now["decided"]["when"], "now");
        assert!(reason(&now, "many").contains("4 of 3 within 5m for `k1`"));
        assert!(reason(&now, "many").contains("it would open an intent"));
    }
    let held =
        explain(&engine, json!({"event": {"topic": "e.held", "source": "test", "data": {"k": "k1"}}})).await;
    assert!(reason(&held, "held").contains("it would be counted on intent"), "{held}");

    // Guards and modes are named.
    send(&engine, "cool", "e.cool", 0).await;
    engine
        .until("/api/intents?rule=cool&open=false", Duration::from_secs(10), |a| a["items"][0].is_object())
        .await;
    let ask = |topic: &str| json!({"event": {"topic": topic, "source": "test", "data": {"k": "k1"}}});
    let cool = explain(&engine, ask("e.cool")).await;
    assert!(reason(&cool, "cool").contains("for cooldown"), "{cool}");
    assert!(reason(&explain(&engine, ask("e.shadow")).await, "shadow").contains("shadow mode"));

    // The rules change, and the engine dies.
    home.write("rules/r.yaml", &rules(5, 1));
    engine.until("/api/rules", Duration::from_secs(3), |a| a["reload"]["changed"] == json!(["many"])).await;
    send(&engine, "later", "e.fail", 6).await;
    engine.kill();
    let engine = home.start().await;

    let slow = explain(&engine, json!({"id": "slow"})).await;
    assert!(reason(&slow, "many").contains("`data.ms > 1000` is false, as data.ms = 900"));
    assert!(reason(&slow, "other").contains("topic `e.fail` is not covered by `e.other`"));
    assert_eq!((&slow["decided"]["when"], &slow["decided"]["still_live"]), (&json!("then"), &json!(false)));
    let second = explain(&engine, json!({"id": "second"})).await;
    assert!(reason(&second, "many").contains("2 of 3 within 5m for `k1`"));
    let third = explain(&engine, json!({"id": "third"})).await;
    assert!(reason(&third, "many").contains("3 of 3 within 5m"));
    assert!(reason(&third, "many").contains("it opened intent"));
    let again = explain(&engine, json!({"id": "held again"})).await;
    assert!(reason(&again, "held").contains("it was counted on intent"));
    assert!(reason(&again, "held").contains("must persist for 10m"), "the guard is named");
    let later = explain(&engine, json!({"id": "later"})).await;
    assert_eq!(later["decided"]["still_live"], true);
    assert!(reason(&later, "many").contains("of 1 within 5m"));
}
