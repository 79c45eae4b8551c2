//! A stored record that cannot be read keeps no engine from starting: it is set aside and kept, an operator hears of it,
//! and everything else goes on. While a start takes its time, the address says so.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::time::{Duration, Instant};

use engine::{Engine, Home};
use rusqlite::Connection;
use serde_json::json;

const LONG: Duration = Duration::from_secs(60);

const RULES: &str = r#"
rules:
  - name: asks
    on: [fail.asks]
    group_by: data.n
    mode: ask
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
  - name: mends
    on: [fail.mends]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
  - name: waits
    on: [fail.waits]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [waits]
"#;

const MEND: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\n\nfn run(ctx) { act(\"exec.run\", #{ argv: [\"/bin/true\"] }); }\nfn verify(ctx) { true }\n";

/// Acts, and then waits for longer than any test.
const WAITS: &str = "//! Wait.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1h\n//! actions: [exec.run]\n\nfn run(ctx) { act(\"exec.run\", #{ argv: [\"/bin/sh\", \"-c\", \"echo done >> EFFECTS\"] }); sleep(1800); }\nfn verify(ctx) { true }\n";

fn home() -> Home {
    let home = Home::new("actions: { exec: { allow: [/bin/true, /bin/sh] } }\n");
    home.write("rules/rules.yaml", RULES);
    home.write("playbooks/mend.rhai", MEND);
    let effects = home.path("effects").to_string_lossy().into_owned();
    home.write("playbooks/waits.rhai", &WAITS.replace("EFFECTS", &effects));
    home
}

async fn fail(engine: &Engine, topic: &str, n: &str) {
    engine
        .send(json!({ "id": format!("{topic}/{n}"), "topic": topic, "source": "test", "data": { "n": n } }))
        .await;
}

/// An engine that has everything in its store, and has been killed.
async fn lived() -> Home {
    let home = home();
    let mut engine = home.start().await;
    for n in ["1", "2"] {
        fail(&engine, "fail.asks", &format!("asked{n}")).await;
        fail(&engine, "fail.mends", &format!("mended{n}")).await;
        fail(&engine, "fail.waits", &format!("waiting{n}")).await;
    }
    let status = |status: &str| format!("/api/intents?status={status}");
    let two = |it: &serde_json::Value| it["items"].as_array().is_some_and(|items| items.len() == 2);
    engine.until(&status("awaiting_approval"), LONG, two).await;
    engine.until(&status("succeeded"), LONG, two).await;
    engine.until(&status("running"), LONG, two).await;
    let effects = home.path("effects");
    let deadline = Instant::now() + LONG;
    while std::fs::read_to_string(&effects).unwrap_or_default().lines().count() < 2 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The aggregates, what was learned and the state of patterns are kept at an end in good order.
    assert!(engine.stop());
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_record_does_not_read_the_engine_starts_and_tells() {
    let broken = [
        ("an intent", "UPDATE intents SET json = '{\"id\": 7}' WHERE rule = 'asks' AND target = 'asked1'", 1),
        ("an ended intent", "UPDATE intents SET json = 'x' WHERE rule = 'mends' AND target = 'mended1'", 1),
        (
            "a run",
            "UPDATE runs SET json = '{}' WHERE open = 1 AND id = (SELECT min(id) FROM runs WHERE open = 1)",
            1,
        ),
        ("a step", "UPDATE steps SET json = '[' WHERE run = (SELECT max(id) FROM runs WHERE open = 1)", 1),
        (
            "an outcome",
            "UPDATE outcomes SET json = '{}' WHERE intent = (SELECT min(intent) FROM outcomes)",
            1,
        ),
        ("alerts", "UPDATE alerts SET json = '{}'", 1),
        ("all that is kept by name", "UPDATE meta SET value = '{' WHERE key NOT LIKE 'store.%'", 3),
        ("the events", "UPDATE blocks SET payload = x'00', raw_len = 5", 1),
    ];
    let home = lived().await;
    for (what, sql, _) in broken {
        let store = Connection::open(home.path("data/paramedic.db")).unwrap();
        assert!(store.execute(sql, []).unwrap() > 0, "{what}: nothing was broken");
    }
    let before = std::fs::read_to_string(home.path("effects")).unwrap();
    let mut engine = home.start().await;
    let told = |it: &serde_json::Value| it["problems"].to_string().contains("set aside");
    engine.until("/readyz", LONG, told).await;
    let alerts = engine.until("/api/alerts", LONG, |it| it.to_string().contains("could not be read")).await;
    assert!(alerts.to_string().contains("critical"), "{alerts}");
    assert!(home.log().contains("set aside, as it cannot be read: intents"), "{}", home.log());

    // What reads goes on, lists are shown, and what is new is taken.
    let open = engine.all("/api/intents?open=true").await;
    assert!(open.iter().any(|it| it["target"] == "asked2"), "{open:?}");
    assert!(open.iter().all(|it| it["target"] != "asked1"), "{open:?}");
    engine.all("/api/intents").await;
    engine.all("/api/events").await;
    fail(&engine, "fail.mends", "new").await;
    engine.until("/api/intents?status=succeeded&target=new", LONG, |it| it["items"] != json!([])).await;
    // A run of which a part is gone does nothing again: an operator looks.
    let ended = |it: &serde_json::Value| it["items"].as_array().is_some_and(Vec::is_empty);
    engine.until("/api/intents?status=running", LONG, ended).await;
    assert_eq!(std::fs::read_to_string(home.path("effects")).unwrap(), before);

    // Nothing is deleted, and the next start finds nothing wrong.
    assert!(engine.stop());
    let store = Connection::open(home.path("data/paramedic.db")).unwrap();
    for (origin, least) in
        [("intents", 2), ("runs", 2), ("outcomes", 1), ("alerts", 1), ("meta", 3), ("blocks", 1)]
    {
        let sql = "SELECT count(*) FROM quarantine WHERE origin = ?1 AND length(content) > 0";
        let kept: i64 = store.query_row(sql, [origin], |row| row.get(0)).unwrap();
        assert!(kept >= least, "{origin}: {kept}\n{}", home.log());
    }
    drop(store);
    let engine = home.start().await;
    assert!(!engine.get("/readyz").await["problems"].to_string().contains("set aside"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_starts_it_is_alive_and_not_ready_and_says_what_it_does() {
    let home = home();
    let mut engine = home.spawn(&[("FAILPOINTS", "starting=1*sleep(1500)->off")]);
    let deadline = Instant::now() + LONG;
    let ask = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", engine.url)).await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    };
    let (status, text) = loop {
        if let Some(answer) = ask("/readyz").await {
            break answer;
        }
        assert!(Instant::now() < deadline, "{}", home.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("the engine is starting: "), "{text}");
    assert_eq!(ask("/healthz").await.unwrap().0, 200);
    let event =
        json!({ "id": "1", "topic": "fail.mends", "source": "test", "data": { "n": "1" } }).to_string();
    let sent = engine.post("/api/events", "application/json", event.clone()).await;
    assert_eq!(sent.unwrap().0, 503);
    assert!(engine.ready().await, "{}", home.log());
    let sent = engine.post("/api/events", "application/json", event).await;
    assert_eq!(sent.unwrap().0, 202);
}
