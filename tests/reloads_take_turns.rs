//! Two reloads at once: what was saved last stays. A rule that is disabled or removed while its intent waits is not acted
//! on, in whatever life of the engine that happens.
#![allow(clippy::unwrap_used, reason = "a test may stop at anything")]

#[path = "support/engine.rs"]
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(60);

const NOTE: &str = "//! Note.\n//! ---\n//! actions: []\nfn run(ctx) { log(\"info\", ctx.target) }\n";

fn rule(name: &str, more: &str) -> String {
    format!(
        "rules:\n  - name: {name}\n    on: fails.{name}\n    intent: {{ target: {name} }}\n    playbooks: note\n{more}"
    )
}

fn home() -> Home {
    let home = Home::new("");
    home.write("playbooks/note.rhai", NOTE);
    home
}

async fn send(engine: &Engine, name: &str) {
    let topic = format!("fails.{name}");
    let event = json!({ "specversion": "1.0", "id": name, "source": "test", "type": topic, "data": {} });
    let sent = engine.post("/api/events", "application/cloudevents+json", event.to_string()).await.unwrap();
    assert_eq!(sent.0, 202, "{}", sent.1);
}

fn live(rules: &Value) -> Vec<&str> {
    rules["items"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect()
}

fn is(all: &Value, rule: &str, status: &str) -> bool {
    let mut of_rule = all["items"].as_array().unwrap().iter().filter(|it| it["rule"] == rule);
    of_rule.any(|it| it["status"] == status)
}

#[tokio::test]
async fn what_was_saved_last_stays_when_two_reloads_run_at_once() {
    let home = home();
    home.write("rules/one.yaml", &rule("first", ""));
    // The first reload has read the files, and then takes its time.
    let engine = home.start_with(&[("FAILPOINTS", "reload=1*sleep(3000)->off")]).await;
    home.write("rules/one.yaml", &rule("older", ""));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    home.write("rules/one.yaml", &rule("newer", ""));
    let (status, answer) = engine.post("/api/rules/reload", "application/json", String::new()).await.unwrap();
    assert_eq!(
        (status, live(&answer)),
        (200, vec!["newer"]),
        "the answer is about what this reload has loaded"
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(live(&engine.get("/api/rules").await), ["newer"]);
}

#[tokio::test]
async fn a_rule_that_is_disabled_or_removed_while_its_intent_waits_is_not_acted_on() {
    let home = home();
    let held = "    guard: { hold_down: 6s }\n";
    for name in ["disabled", "removed", "later"] {
        home.write(&format!("rules/{name}.yaml"), &rule(name, held));
    }
    let mut engine = home.start().await;
    for name in ["disabled", "removed", "later"] {
        send(&engine, name).await;
        engine.until("/api/intents", SOON, |all| is(all, name, "held")).await;
    }
    home.write("rules/disabled.yaml", &rule("disabled", &format!("{held}    enabled: false\n")));
    std::fs::remove_file(home.path("rules/removed.yaml")).unwrap();
    for (name, why) in [("disabled", "was disabled"), ("removed", "was removed")] {
        let all = engine.until("/api/intents", SOON, |all| is(all, name, "cancelled")).await;
        assert!(all.to_string().contains(why), "{all}");
    }
    // The third is removed while nobody is there to see it.
    engine.kill();
    std::fs::remove_file(home.path("rules/later.yaml")).unwrap();
    engine = home.start().await;
    let all = engine.until("/api/intents", SOON, |all| is(all, "later", "cancelled")).await;
    for intent in all["items"].as_array().unwrap() {
        assert_eq!(intent["attempts"], json!([]), "{intent}");
    }
}
