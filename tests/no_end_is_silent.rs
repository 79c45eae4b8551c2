//! Whatever a failure comes to that is not a repair or an operator's decision, an operator is alerted, and a storm of
//! such ends is one alert. A critical failure does not wait behind a storm of lesser ones.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(60);

const MEND: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: []\nfn run(ctx) { }\nfn verify(ctx) { true }\n";

/// An escalation that says what it was told.
const PAGE: &str = "//! Page.\n//! ---\n//! risk: low\n//! params:\n//!   message: { type: string, default: \"\" }\n//! actions: [alert.operator]\nfn run(ctx) { act(\"alert.operator\", #{ title: `page: ${ctx.params.message}`, key: `page/${ctx.target}` }) }\n";

/// An escalation that fails.
const BROKEN: &str =
    "//! Page.\n//! ---\n//! risk: low\n//! actions: []\nfn run(ctx) { fail(\"the pager is down\") }\n";

async fn send(engine: &Engine, topic: &str, targets: &[String]) {
    let events: Vec<Value> = targets
        .iter()
        .map(|it| json!({ "id": format!("{topic}/{it}"), "topic": topic, "source": "test", "subject": it, "data": { "host": it } }))
        .collect();
    let body = Value::from(events).to_string();
    let (status, said) = engine.post("/api/events", "application/json", body).await.unwrap();
    assert_eq!(status, 202, "{said}");
}

fn hosts(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("h{n:03}")).collect()
}

async fn alert(engine: &Engine, title: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let found = |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        items.iter().find(|it| it["title"].as_str().unwrap().starts_with(title) && fits(it)).cloned()
    };
    let answer = engine.until("/api/alerts?limit=1000", SOON, |answer| found(answer).is_some()).await;
    found(&answer).unwrap()
}

async fn ended(engine: &Engine, rule: &str, count: usize) -> Vec<Value> {
    let open = ["held", "pending", "awaiting_approval", "running", "verifying"];
    let all = |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        items.len() == count && !items.iter().any(|it| open.contains(&it["status"].as_str().unwrap()))
    };
    let path = format!("/api/intents?limit=1000&rule={rule}");
    engine.until(&path, SOON, all).await["items"].as_array().unwrap().clone()
}

fn of<'a>(intents: &'a [Value], status: &str) -> Vec<&'a Value> {
    intents.iter().filter(|it| it["status"] == status).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_neither_repaired_nor_decided_is_alerted_once_for_all_and_in_time() {
    let home = Home::new("");
    let of_playbook = |name: &str, target: &str, playbook: &str, more: &str| {
        format!(
            "  - {{ name: {name}, on: {name}.fell, group_by: subject, intent: {{ goal: Mend, target: \"{target}\" }}, playbooks: [{playbook}], {more} }}\n"
        )
    };
    let rule = |name: &str, target: &str, more: &str| of_playbook(name, target, "mend", more);
    let rules = [
        rule("rated", "${subject}", "expire: 3s, guard: { rate: 10/1h }"),
        rule("cooled", "${subject}", "expire: 2s, guard: { cooldown: 1h }"),
        rule("chained", "${subject}", "expire: 2s, guard: { rate: 10/1h }, escalate: [{ to: page }]"),
        rule("wild", "${subject}*", "expire: 1m"),
        rule("blank", "${data.nothing}", "expire: 1m"),
        of_playbook("broken", "${subject}", "fails", "escalate: [{ to: broken }]"),
        of_playbook("plain", "${subject}", "fails", "expire: 10m"),
    ];
    home.write("rules/storm.yaml", &format!("rules:\n{}", rules.concat()));
    home.write("playbooks/mend.rhai", MEND);
    home.write("playbooks/fails.rhai", &BROKEN.replace("the pager is down", "no way"));
    home.write("playbooks/page.rhai", PAGE);
    home.write("playbooks/broken.rhai", BROKEN);
    let engine = home.start().await;

    for topic in ["rated.fell", "chained.fell"] {
        send(&engine, topic, &hosts(100)).await;
    }
    for topic in ["wild.fell", "blank.fell", "broken.fell", "plain.fell", "cooled.fell"] {
        send(&engine, topic, &hosts(3)).await;
    }

    // Behind a rate: 90 of 100 are one alert, at the time at which each is too old.
    let rated = ended(&engine, "rated", 100).await;
    assert_eq!((of(&rated, "succeeded").len(), of(&rated, "expired").len()), (10, 90), "{rated:#?}");
    for it in of(&rated, "expired") {
        let at = |key: &str| chrono::DateTime::parse_from_rfc3339(it[key].as_str().unwrap()).unwrap();
        let late = (at("updated_at") - at("created_at")).num_seconds();
        assert!((3..30).contains(&late), "it ends when it is too old, not when the rate allows it: {it:#}");
    }
    let told =
        alert(&engine, "rated: not repaired, too old after waiting for `rate`", |it| it["count"] == 90).await;
    assert_eq!(
        (&told["status"], told["targets"].as_array().unwrap().len()),
        (&json!("active"), 10),
        "{told:#}"
    );

    // With a chain: one page speaks for all of them.
    let chained = ended(&engine, "chained", 100).await;
    let pages = of(&chained, "escalated");
    assert_eq!((pages.len(), of(&chained, "expired").len()), (1, 89));
    let page = alert(&engine, "page: ", |_| true).await;
    assert!(page["title"].as_str().unwrap().contains("89 more ended the same way: h"), "{page:#}");

    // Refused by a guard, and nothing to act on.
    assert_eq!(of(&ended(&engine, "wild", 3).await, "denied").len(), 3);
    alert(&engine, "wild: not repaired, refused by `target`", |it| it["count"] == 3).await;
    assert_eq!(of(&ended(&engine, "blank", 3).await, "denied").len(), 3);
    alert(&engine, "blank: not repaired, there is no target to act on", |it| it["count"] == 3).await;

    // An escalation that fails is itself told, and a rule without one has the list.
    assert_eq!(of(&ended(&engine, "broken", 3).await, "escalated").len(), 3);
    let failed = alert(&engine, "Mend: the escalation failed", |_| true).await;
    assert!(
        failed["message"].as_str().unwrap().contains("no way"),
        "what it was about is said too: {failed:#}"
    );
    assert!(failed["message"].as_str().unwrap().contains("the pager is down"), "{failed:#}");
    assert_eq!(of(&ended(&engine, "plain", 3).await, "failed").len(), 3);
    alert(&engine, "Mend failed", |it| it["target"] == "h000").await;

    // A cooldown that is longer than the wait.
    ended(&engine, "cooled", 3).await;
    let again = json!([{ "id": "again", "topic": "cooled.fell", "source": "test", "subject": "h000" }]);
    engine.post("/api/events", "application/json", again.to_string()).await.unwrap();
    assert_eq!(of(&ended(&engine, "cooled", 4).await, "expired").len(), 1);
    alert(&engine, "cooled: not repaired, too old after waiting for `cooldown`", |it| it["target"] == "h000")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_critical_failure_is_repaired_in_the_middle_of_a_storm_that_takes_every_slot_and_all_room() {
    let home =
        Home::new("limits: { concurrency: 2, open_intents: 50 }\nactions: { exec: { allow: [sleep] } }\n");
    home.write(
        "rules/storm.yaml",
        "rules:\n  - { name: low, on: low.fell, group_by: subject, intent: { goal: Mend, target: \"${subject}\", priority: high }, playbooks: [slow], expire: 4s }\n  \
           - { name: top, on: top.fell, group_by: subject, intent: { goal: Mend, target: \"${subject}\", priority: critical }, playbooks: [mend] }\n",
    );
    home.write("playbooks/mend.rhai", MEND);
    home.write(
        "playbooks/slow.rhai",
        "//! Slow.\n//! ---\n//! risk: low\n//! timeout: 5m\n//! actions: [exec.run]\nfn run(ctx) { act(\"exec.run\", #{ argv: [\"sleep\", \"120\"] }) }\n",
    );
    let engine = home.start().await;
    send(&engine, "low.fell", &hosts(60)).await;
    let running = |answer: &Value| answer["items"].as_array().unwrap().len() == 2;
    engine.until("/api/intents?status=running", SOON, running).await;
    send(&engine, "top.fell", &["t1".to_owned()]).await;
    let top = ended(&engine, "top", 1).await;
    assert_eq!(top[0]["status"], "succeeded", "{top:#?}");
    alert(&engine, "Failures are not acted on", |_| true).await;
    // Those that wait in line behind the slow ones are told when they are too old.
    alert(&engine, "low: not repaired, too old before its turn came", |it| it["count"] == 48).await;
}
