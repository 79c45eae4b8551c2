//! The wall clock is set while the engine runs and between two lives of it, forward and back: what waits waits as long as
//! it was going to, schedules go on at once, nothing expires or is deleted by mistake, and it is told.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Engine, Home};

/// Generous, as a debug build shares a busy machine; far below the hours by which the clock is set.
const SOON: Duration = Duration::from_secs(60);

const RULES: &str = r#"rules:
  - name: silent
    pattern: { absent: beat, for: 2s, lateness: 0s }
    intent: { target: it }
    playbooks: note
  - name: often
    schedule: "*/2 * * * * *"
    intent: { target: clock }
    mode: shadow
    playbooks: note
  - name: held
    on: fails
    guard: { hold_down: 1h }
    intent: { target: held }
    playbooks: note
  - name: sleeps
    on: sleepy
    intent: { target: sleeper }
    playbooks: nap
"#;

const NOTE: &str = "//! Note.\n//! ---\n//! actions: []\nfn run(ctx) { log(\"info\", ctx.target) }\n";
const NAP: &str = "//! Nap.\n//! ---\n//! actions: []\n//! timeout: 1m\nfn run(ctx) { sleep(\"8s\") }\n";

/// A machine whose wall clock the test sets; none where nothing can set it.
struct Machine {
    home: Home,
    library: PathBuf,
}

impl Machine {
    fn new() -> Option<Self> {
        let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let library = places.map(|it| it.path().join("faketime/libfaketimeMT.so.1")).find(|it| it.exists());
        let Some(library) = library else {
            assert!(std::env::var("CI").is_err(), "install faketime");
            println!("skipped: faketime is not installed");
            return None;
        };
        let home = Home::new("");
        home.write("rules/all.yaml", RULES);
        home.write("playbooks/note.rhai", NOTE);
        home.write("playbooks/nap.rhai", NAP);
        Some(Self { home, library })
    }

    fn set(&self, ahead: &str) {
        self.home.write("clock", ahead);
    }

    async fn start(&self) -> Engine {
        let (library, file) = (self.library.to_str().unwrap(), self.home.path("clock"));
        let env = [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        self.home.start_with(&env).await
    }
}

async fn send(engine: &Engine, id: &str, topic: &str) {
    let event = json!({ "specversion": "1.0", "id": id, "source": "test", "type": topic, "data": {} });
    let sent = engine.post("/api/events", "application/cloudevents+json", event.to_string()).await.unwrap();
    assert_eq!(sent.0, 202, "{}", sent.1);
}

fn intent<'a>(intents: &'a Value, rule: &str) -> Option<&'a Value> {
    intents["items"].as_array().unwrap().iter().find(|it| it["rule"] == rule)
}

async fn count(engine: &Engine, topic: &str) -> usize {
    engine.all(&format!("/api/events?topic={topic}")).await.len()
}

/// Waits until the engine has told `n` times that its clock was set.
async fn told(engine: &Engine, n: usize) {
    let steps = "/api/events?topic=paramedic.clock.stepped";
    engine.until(steps, SOON, |it| it["items"].as_array().unwrap().len() == n).await;
    let problem = |it: &Value| it["problems"].to_string().contains("the system clock was set");
    engine.until("/readyz", SOON, problem).await;
    engine.until("/api/alerts", SOON, |it| it.to_string().contains("The system clock was set")).await;
}

#[tokio::test]
async fn a_clock_that_was_two_hours_ahead_for_a_moment_stops_nothing_also_over_a_restart() {
    let Some(machine) = Machine::new() else { return };
    machine.set("+2h");
    let mut engine = machine.start().await;
    send(&engine, "1", "beat").await;
    engine.until("/api/intents", SOON, |all| intent(all, "silent").is_some()).await;
    machine.set("+0");
    told(&engine, 1).await;
    for life in 0..2 {
        let before = count(&engine, "paramedic.timer.schedule").await;
        let begun = Instant::now();
        while count(&engine, "paramedic.timer.schedule").await < before + 2 {
            assert!(begun.elapsed() < SOON, "schedules stopped in life {life}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let silences = count(&engine, "paramedic.timer.absent").await;
        send(&engine, &format!("again-{life}"), "beat").await;
        let begun = Instant::now();
        while count(&engine, "paramedic.timer.absent").await == silences {
            assert!(begun.elapsed() < SOON, "silence was not noticed in life {life}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if life == 0 {
            engine.kill();
            engine = machine.start().await;
        }
    }
    assert_eq!(count(&engine, "paramedic.clock.stepped").await, 1, "a restart does not tell it again");
}

#[tokio::test]
async fn a_clock_that_is_set_forward_wakes_nobody_and_ages_nothing_also_between_two_lives() {
    let Some(machine) = Machine::new() else { return };
    machine.set("+0");
    let mut engine = machine.start().await;
    send(&engine, "1", "fails").await;
    send(&engine, "2", "sleepy").await;
    let begun = Instant::now();
    engine
        .until("/api/intents", SOON, |all| intent(all, "sleeps").is_some_and(|it| it["status"] == "running"))
        .await;
    machine.set("+2h");
    told(&engine, 1).await;
    let done = |all: &Value| intent(all, "sleeps").is_some_and(|it| it["status"] == "succeeded");
    let all = engine.until("/api/intents", SOON, done).await;
    assert!(begun.elapsed() >= Duration::from_secs(7), "it was woken after {:?}", begun.elapsed());
    assert_eq!(intent(&all, "held").unwrap()["status"], "held");
    // Forty days ahead at the next start: longer than events are kept.
    engine.kill();
    machine.set("+40d");
    engine = machine.start().await;
    told(&engine, 2).await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!((count(&engine, "fails").await, count(&engine, "sleepy").await), (1, 1), "the log was pruned");
    assert_eq!(intent(&engine.get("/api/intents").await, "held").unwrap()["status"], "held");
}
