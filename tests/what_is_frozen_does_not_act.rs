//! The kill switch: what is frozen does nothing more from its next effect on, whatever is under way and whatever else is
//! broken, until a person thaws it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(15);

const RULES: &str = r#"
rules:
  - { name: mend, on: it.fell, group_by: subject, resolved: { on: it.rose }, intent: { goal: Mend, target: "${subject}", fleet: web }, playbooks: [mend] }
  - { name: other, on: other.fell, group_by: subject, intent: { goal: Mend, target: "${subject}" }, playbooks: [other] }
"#;

/// Two effects with a wait between them.
const MEND: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run, alert.operator]\nfn run(ctx) {\n    \
    act(\"exec.run\", #{ argv: [\"touch\", `${ctx.target}.first`] });\n    \
    act(\"alert.operator\", #{ title: `half of ${ctx.target}`, message: \"m\" });\n    \
    wait_for(\"go.on\", `subject == \"${ctx.target}\"`, \"50s\");\n    \
    act(\"alert.operator\", #{ title: `more of ${ctx.target}`, message: \"m\" });\n    \
    act(\"exec.run\", #{ argv: [\"touch\", `${ctx.target}.second`] });\n}\n";

const OTHER: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\nfn run(ctx) {\n    \
    act(\"exec.run\", #{ argv: [\"touch\", `${ctx.target}.first`] });\n}\n";

fn home() -> Home {
    let home = Home::new("actions: { exec: { allow: [touch], cwd: . } }\n");
    home.write("rules/mend.yaml", RULES);
    home.write("playbooks/mend.rhai", MEND);
    home.write("playbooks/other.rhai", OTHER);
    home
}

async fn fell(engine: &Engine, topic: &str, target: &str) {
    engine.send(json!({ "topic": topic, "source": "test", "subject": target })).await;
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < SOON, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn intent(engine: &Engine, target: &str, done: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/intents?target={target}");
    engine.until(&path, SOON, |answer| done(&answer["items"][0])).await["items"][0].clone()
}

fn cli(home: &Home, engine: Option<&Engine>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.args(args).current_dir(home.path("."));
    command.env("PARAMEDIC_URL", engine.map_or("http://127.0.0.1:9", |it| &it.url)).env("USER", "ann");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_frozen_begins_nothing_and_goes_on_once_it_is_thawed() {
    let home = home();
    let engine = home.start().await;
    for (i, args) in [vec![], vec!["--group", "web"], vec!["--playbook", "mend"], vec!["--rule", "mend"]]
        .iter()
        .enumerate()
    {
        let target = format!("k{i}");
        let frozen = cli(&home, Some(&engine), &[&["freeze", "--reason", "a storm"], &args[..]].concat());
        assert!(frozen.status.success() && said(&frozen).contains("a storm"), "{}", said(&frozen));
        fell(&engine, "it.fell", &target).await;
        let held = intent(&engine, &target, |it| it["reason"].is_string()).await;
        let reason = held["reason"].as_str().unwrap();
        assert!(held["status"] == "pending" && reason.starts_with("freeze: "), "{held}");
        assert!(reason.contains("frozen by ann") && reason.contains("a storm"), "{reason}");
        let alerts = |status: &'static str| {
            move |it: &Value| it["status"] == status && it["title"].as_str().unwrap().starts_with("Frozen: ")
        };
        let any = move |answer: &Value| answer["items"].as_array().unwrap().iter().any(alerts("active"));
        engine.until("/api/alerts", SOON, any).await;
        // Others are not touched by it.
        if i > 0 {
            fell(&engine, "other.fell", &format!("o{i}")).await;
            until("the other acts", || home.path(&format!("o{i}.first")).exists()).await;
        }
        assert!(!home.path(&format!("{target}.first")).exists());
        let thawed = cli(&home, Some(&engine), &[&["thaw"], &args[..]].concat());
        assert!(said(&thawed).contains("nothing is frozen"), "{}", said(&thawed));
        until("it acts", || home.path(&format!("{target}.first")).exists()).await;
        engine.until("/api/alerts", SOON, move |answer| !any(answer)).await;
    }
    let again = cli(&home, Some(&engine), &["thaw"]);
    assert!(again.status.code() == Some(1) && said(&again).contains("everything is not frozen; nothing is"));
    let told = engine.all("/api/events?topic=brain.>").await;
    for topic in ["brain.frozen", "brain.thawed"] {
        assert_eq!(told.iter().filter(|it| it["topic"] == topic).count(), 4, "{told:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_way_stops_before_its_next_effect_and_people_are_still_told() {
    let home = home();
    let engine = home.start().await;
    for target in ["a", "b"] {
        fell(&engine, "it.fell", target).await;
        until("it has begun", || home.path(&format!("{target}.first")).exists()).await;
    }
    // By hand, without the engine: an empty file is enough.
    fs::write(home.path("data/freeze.json"), "").unwrap();
    let frozen = Instant::now();
    for target in ["a", "b"] {
        fell(&engine, "go.on", target).await;
        let told = move |answer: &Value| {
            answer["items"].as_array().unwrap().iter().any(|it| it["title"] == format!("more of {target}"))
        };
        engine.until("/api/alerts", SOON, told).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!home.path("a.second").exists() && !home.path("b.second").exists(), "{:?}", frozen.elapsed());
    assert_eq!(engine.get("/api/freeze").await["items"][0]["scope"], "all");
    // It is over meanwhile: nothing is done though it may be.
    engine.send(json!({ "topic": "it.rose", "source": "test", "subject": "b" })).await;
    intent(&engine, "b", |it| it["cleared_at"].is_string()).await;
    fs::remove_file(home.path("data/freeze.json")).unwrap();
    until("it goes on", || home.path("a.second").exists()).await;
    let over = intent(&engine, "b", |it| it["attempts"][0]["outcome"].is_string()).await;
    assert!(!home.path("b.second").exists(), "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_outlives_the_engine_and_can_be_made_and_lifted_without_it() {
    let home = home();
    let mut engine = home.start().await;
    engine.kill();
    let frozen = cli(&home, None, &["freeze"]);
    assert!(frozen.status.success() && said(&frozen).contains("no engine answers"), "{}", said(&frozen));
    let engine = home.start().await;
    fell(&engine, "it.fell", "a").await;
    intent(&engine, "a", |it| it["reason"].as_str().is_some_and(|it| it.starts_with("freeze: "))).await;
    let listed = cli(&home, Some(&engine), &["freeze", "--list"]);
    assert!(said(&listed).contains("everything") && said(&listed).contains("ann"), "{}", said(&listed));
    let data = home.path("data").display().to_string();
    let thawed = cli(&home, None, &["thaw", "--data", &data]);
    assert!(thawed.status.success(), "{}", said(&thawed));
    until("it acts", || home.path("a.first").exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_ends_by_itself_if_it_was_given_a_time_and_nonsense_freezes_nothing() {
    let home = home();
    let engine = home.start().await;
    let (status, frozen) = engine
        .post("/api/freeze", "application/json", json!({ "for": "2s", "by": "bob" }).to_string())
        .await
        .unwrap();
    assert!(status == 201 && frozen["until"].is_string(), "{frozen}");
    let begun = Instant::now();
    fell(&engine, "it.fell", "a").await;
    until("it acts", || home.path("a.first").exists()).await;
    assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
    for (body, field) in [
        (json!({ "for": "0s" }), "no length"),
        (json!({ "group": "a", "rule": "b" }), "name one of"),
        (json!({ "group": "" }), "is empty"),
        (json!({ "grup": "a" }), "unknown field `grup`"),
    ] {
        let (status, said) = engine.post("/api/freeze", "application/json", body.to_string()).await.unwrap();
        assert!(status / 100 == 4 && said["detail"].as_str().unwrap().contains(field), "{status} {said}");
    }
    engine.until("/api/freeze", SOON, |answer| answer["items"] == json!([])).await;
}
