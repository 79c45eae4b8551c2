//! Standard error on a full disk, with its reader gone, or with a reader that has stopped: events are taken and repaired
//! as before, what the log lost is counted, and the engine ends in good order.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fs::File;
use std::io::{PipeReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use engine::{Engine, Home};
use serde_json::json;

const LONG: Duration = Duration::from_secs(60);

const RULES: &str = r#"
rules:
  - name: talk
    on: [talk]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [talk]
"#;

/// Says more than a pipe holds (64 KiB).
const PLAYBOOK: &str = "//! Talk.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n\nfn run(ctx) { let text = \"\"; for i in 0..1000 { text += \"x\"; } for i in 0..100 { log(\"info\", text); } }\nfn verify(ctx) { true }\n";

fn home() -> Home {
    let home = Home::new("");
    home.write("rules/rules.yaml", RULES);
    home.write("playbooks/talk.rhai", PLAYBOOK);
    home
}

/// Has it repair things, each of which fills its log, and break a file, which its watcher complains of.
async fn works(home: &Home, engine: &mut Engine) {
    assert!(engine.ready().await);
    for n in 0..15 {
        engine
            .send(json!({ "id": n.to_string(), "topic": "talk", "source": "test", "data": { "n": n } }))
            .await;
    }
    engine.until("/api/intents?open=true", LONG, |it| it["items"] == json!([])).await;
    assert_eq!(engine.all("/api/intents?status=succeeded").await.len(), 15);
    home.write("rules/broken.yaml", "rules: [");
    engine.until("/api/rules", LONG, |it| it["reload"]["refused_at"].is_string()).await;
    std::fs::remove_file(home.path("rules/broken.yaml")).unwrap();
    engine.until("/api/rules", LONG, |it| it["reload"]["refused_at"].is_null()).await;
    assert!(!engine.is_dead());
    engine.get("/readyz").await;
}

async fn lost(engine: &Engine) -> u64 {
    let metrics = engine.text("/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("paramedic_log_lines_dropped_total"));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// SIGTERM ends it well, and soon.
fn ends_well(engine: &mut Engine) {
    let begun = Instant::now();
    assert!(engine.stop());
    assert!(begun.elapsed() < LONG);
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_error_on_a_full_disk_stops_nothing() {
    let home = home();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut engine = home.spawn_to(full.into(), &[]);
    works(&home, &mut engine).await;
    assert!(lost(&engine).await > 1_000);
    engine
        .until("/readyz", LONG, |it| it["problems"].to_string().contains("log lines are being dropped"))
        .await;
    ends_well(&mut engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_reader_is_gone_stops_nothing() {
    let home = home();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut engine = home.spawn_to(writer.into(), &[]);
    assert!(engine.ready().await);
    drop(reader);
    works(&home, &mut engine).await;
    assert!(lost(&engine).await > 1_000);
    ends_well(&mut engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_reader_has_stopped_stops_nothing_and_says_later_what_it_lost() {
    let home = home();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut engine = home.spawn_to(Stdio::from(writer), &[]);
    works(&home, &mut engine).await;
    let lost = lost(&engine).await;
    assert!(lost > 0, "more was said than the pipe and the queue hold");
    let text = read_until(&mut reader, "log lines were dropped");
    assert!(text.contains(&format!("{lost} log lines were dropped")), "{lost}");
    drop(reader);
    ends_well(&mut engine);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_with_a_blocked_log_can_be_stopped() {
    let home = home();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut engine = home.spawn_to(Stdio::from(writer), &[]);
    works(&home, &mut engine).await;
    ends_well(&mut engine);
    drop(reader);
}

fn read_until(reader: &mut PipeReader, word: &str) -> String {
    let (mut text, mut some) = (String::new(), [0; 1 << 16]);
    while !text.contains(word) {
        let n = reader.read(&mut some).unwrap();
        assert!(n > 0, "the log ended without `{word}`");
        text.push_str(&String::from_utf8_lossy(&some[..n]));
    }
    text
}
