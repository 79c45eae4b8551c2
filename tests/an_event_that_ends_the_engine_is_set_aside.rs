//! An event that ends the engine while it is matched ends it twice at most, wherever it comes from: then it is kept
//! without being matched, an operator is alerted, and everything else goes on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use engine::{Engine, Home};
use serde_json::json;

const RULES: &str = r#"
rules:
  - { name: seen, on: a.b, group_by: data.n, mode: shadow, playbooks: [note], pattern: { count: 1, within: 1h } }
"#;

const PLAYBOOK: &str = "//! Nothing.\n//! ---\n//! risk: low\n//! actions: []\nfn run(ctx) { }\n";

/// What happens to an event whose id begins with `poison`.
const POISON: [(&str, &str); 1] = [("FAILPOINTS", "poison=return(abort)")];

fn home(more: &str) -> Home {
    let home = Home::new(more);
    home.write("rules/all.yaml", RULES);
    home.write("playbooks/note.rhai", PLAYBOOK);
    home
}

/// Starts engines until one lives; how many died, and the one that lives.
async fn lives(home: &Home, done: impl AsyncFn(&Engine) -> bool) -> (usize, Engine) {
    for died in 0..6 {
        let mut engine = home.spawn(&POISON);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "neither dead nor done:\n{}", home.log());
            if engine.is_dead() {
                assert!(engine.was_aborted(), "{}", home.log());
                break;
            }
            if engine.ready().await && done(&engine).await && !engine.is_dead() {
                return (died, engine);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    panic!("it dies at every start:\n{}", home.log());
}

/// What an operator sees of it.
async fn is_told(engine: &Engine) {
    let alerts = engine
        .until("/api/alerts", Duration::from_secs(20), |it| it.to_string().contains("event/quarantined/"))
        .await;
    assert!(alerts.to_string().contains("poison"), "{alerts}");
    let ready = engine.get("/readyz").await;
    assert!(ready["problems"].to_string().contains("quarantined"), "{ready}");
    let metrics = engine.text("/metrics").await;
    assert!(metrics.contains("paramedic_events_quarantined_total 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_in_a_followed_file_stops_neither_the_engine_nor_the_file() {
    let home = home("sources: { jsonl: [{ name: f, paths: [\"in/*.jsonl\"] }] }\n");
    let mut lines = String::new();
    for n in 0..40 {
        let id = if n == 17 { "poison".to_owned() } else { format!("e{n}") };
        let event = json!({"id": id, "topic": "a.b", "source": "f", "data": {"n": n}});
        writeln!(lines, "{event}").unwrap();
    }
    std::fs::create_dir_all(home.path("in")).unwrap();
    home.write("in/events.jsonl", &lines);
    let all = async |engine: &Engine| {
        let intents = engine.get("/api/intents?limit=1000").await;
        intents["items"].as_array().unwrap().len() >= 39
    };
    let (died, engine) = lives(&home, all).await;
    assert_eq!(died, 2, "once in its batch, once alone");
    let intents = engine.all("/api/intents").await;
    assert_eq!(intents.len(), 39, "each other event fired, once");
    assert!(intents.iter().all(|intent| intent["group"] != "17"));
    let logged = engine.all("/api/events?topic=a.b").await;
    assert_eq!(logged.len(), 40, "and the event itself is in the log");
    is_told(&engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_in_the_log_does_not_end_every_start() {
    let home = home("");
    let mut engine = home.start().await;
    for id in ["e1", "poison-2", "e3"] {
        engine.send(json!({"id": id, "topic": "a.b", "source": "t", "data": {"n": id}})).await;
    }
    engine.kill();
    // From now on it ends the engine, such as by a rule that was changed: at the start, where the log is read again.
    let (died, engine) = lives(&home, async |_| true).await;
    assert_eq!(died, 2);
    engine.send(json!({"id": "e4", "topic": "a.b", "source": "t", "data": {"n": "e4"}})).await;
    let problems = engine.get("/readyz").await["problems"].to_string();
    assert!(problems.contains("quarantined"), "{problems}");
}
