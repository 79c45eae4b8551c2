//! Many failures at the same moment do not slip through the guards: what is counted is counted for all at once.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(30);
const TARGETS: usize = 100;

const PLAYBOOK: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: []\nfn run(ctx) { }\nfn verify(ctx) { true }\n";

fn rule(name: &str, more: &str) -> String {
    format!(
        "  - {{ name: {name}, on: {name}.fell, group_by: subject, intent: {{ goal: Mend, target: \"${{subject}}\"{more}, playbooks: [mend] }}\n"
    )
}

/// An engine that acts on many at once, after all of them have failed at the same moment.
async fn storm(rules: &str, topics: &[&str]) -> (Home, Engine, Vec<Value>) {
    let home = Home::new("limits: { concurrency: 64 }\n");
    home.write("rules/storm.yaml", &format!("rules:\n{rules}"));
    home.write("playbooks/mend.rhai", PLAYBOOK);
    // Between what the guards say and the beginning of the run, the others have time to be judged as well.
    let engine = home.start_with(&[("FAILPOINTS", "decided=sleep(5)")]).await;
    let events: Vec<Value> = (0..TARGETS)
        .flat_map(|n| topics.iter().map(move |topic| (n, topic)))
        .map(|(n, topic)| json!({ "id": format!("{topic}{n}"), "topic": topic, "source": "test", "subject": format!("k{n}") }))
        .collect();
    let count = events.len();
    let (status, said) =
        engine.post("/api/events", "application/json", Value::from(events).to_string()).await.unwrap();
    assert_eq!(status, 202, "{said}");
    // Each has been acted on, or was told to wait by a guard.
    let judged = |it: &Value| !it["attempts"].as_array().unwrap().is_empty() || it["reason"].is_string();
    let all = move |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        items.len() == count && items.iter().all(judged)
    };
    let answer = engine.until("/api/intents?limit=1000", SOON, all).await;
    (home, engine, answer["items"].as_array().unwrap().clone())
}

fn touched(intents: &[Value]) -> BTreeSet<&str> {
    let acted = intents.iter().filter(|it| !it["attempts"].as_array().unwrap().is_empty());
    acted.map(|it| it["target"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_lets_through_as_many_as_it_says_and_not_one_more() {
    let (_home, _engine, intents) = storm(&rule("rated", " }, guard: { rate: 3/1h }"), &["rated.fell"]).await;
    assert_eq!(touched(&intents).len(), 3);
    let held =
        intents.iter().filter(|it| it["reason"].as_str().is_some_and(|it| it.starts_with("rate: "))).count();
    assert_eq!(held, TARGETS - 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_a_fleet_is_touched_whichever_rules_touch_it() {
    let one = rule("one", ", fleet: web }, guard: { blast_radius: 10% }");
    let two = rule("two", ", fleet: web }, guard: { blast_radius: 10% }");
    let (_home, engine, intents) = storm(&format!("{one}{two}"), &["one.fell", "two.fell"]).await;
    assert_eq!(touched(&intents).len(), 10, "of the {TARGETS} that there are");
    let held: Vec<&Value> = intents.iter().filter(|it| it["status"] == "pending").collect();
    let reason = held[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("blast_radius: 10 of the 100 known of `web`"), "{reason}");
    let why = json!({ "event": { "topic": "one.fell", "source": "test", "subject": "new" } }).to_string();
    let (_, told) = engine.post("/api/explain", "application/json", why).await.unwrap();
    assert!(told.to_string().contains("for blast_radius: 10 of the 101 known of `web`"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_guards_all_are_touched() {
    let (_home, _engine, intents) = storm(&rule("free", ", fleet: web }"), &["free.fell"]).await;
    assert_eq!(touched(&intents).len(), TARGETS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_before_a_thousand_others_and_a_crash_still_keeps_its_cooldown() {
    const OTHERS: usize = 1_001;
    let home = Home::new("limits: { concurrency: 64 }\n");
    let (quiet, free) = (rule("quiet", " }, guard: { cooldown: 1h }"), rule("free", " }"));
    home.write("rules/storm.yaml", &format!("rules:\n{quiet}{free}"));
    home.write("playbooks/mend.rhai", PLAYBOOK);
    let mut engine = home.start().await;
    let fell = |rule: &str, n: usize, target: &str| json!({ "id": format!("{rule}{n}"), "topic": format!("{rule}.fell"), "source": "test", "subject": target });
    let repaired = |count: usize| {
        move |answer: &Value| {
            let items = answer["items"].as_array().unwrap();
            items.len() == count && items.iter().all(|it| it["status"] == "succeeded")
        }
    };
    engine.send(fell("quiet", 0, "first")).await;
    engine.until("/api/intents?rule=quiet", SOON, repaired(1)).await;
    let others: Vec<Value> = (0..OTHERS).map(|n| fell("free", n, &format!("k{n}"))).collect();
    let (status, said) =
        engine.post("/api/events", "application/json", Value::from(others).to_string()).await.unwrap();
    assert_eq!(status, 202, "{said}");
    let deadline = Instant::now() + SOON * 4;
    while !repaired(OTHERS)(&json!({ "items": engine.all("/api/intents?rule=free").await })) {
        assert!(Instant::now() < deadline, "not all were repaired: {}", home.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    engine.kill();
    let engine = home.start().await;
    engine.send(fell("quiet", 1, "first")).await;
    let judged = |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        items.len() == 2 && (items[0]["reason"].is_string() || items[0]["status"] == "succeeded")
    };
    let answer = engine.until("/api/intents?rule=quiet", SOON, judged).await;
    let reason = answer["items"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("cooldown: first was repaired less than 1h ago"), "{answer}");
}
