//! Rule files are saved again and again with mistakes in them while events come in: the last good set stays in force,
//! no event is lost, and what is wrong is told at once. A good save goes live at once, in whatever way it is made.
//!
//! `SAVES=1000 cargo test --test a_broken_save_changes_nothing` is the long form.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Engine, Home};

/// What people are promised is one second; a debug build on a busy machine gets more.
const AT_ONCE: Duration = Duration::from_secs(3);
/// Events in one request, and the pause between two: 500 events a second.
const BATCH: u64 = 10;
const PAUSE: Duration = Duration::from_millis(20);

const PLAYBOOK: &str = "//! Note.\n//! ---\n//! actions: []\nfn run(ctx) { log(\"info\", ctx.target) }\n";

fn rule(name: &str, topic: &str) -> String {
    format!(
        "rules:\n  - name: {name}\n    on: {topic}\n    group_by: data.k\n    intent: {{ target: \"${{data.k}}\" }}\n    playbooks: note\n"
    )
}

/// A rule file with a mistake of one of many kinds, in which `n` can be found again.
fn broken(n: usize) -> String {
    let good = rule("watched", "r12.never");
    match n % 8 {
        0 => format!("{good}    when_{n}: data.x > 1\n"),
        1 => format!("{good}    when: unknown_{n} > 1\n"),
        2 => good.replace("playbooks: note", &format!("playbooks: note_{n}")),
        3 => format!("{good}    mode: mode_{n}\n"),
        4 => format!("{good}    description: \"mistake_{n}\n"),
        5 => format!("{good}    guard: {{ cooldown: cooldown_{n} }}\n"),
        6 => format!("key_{n}: [\n"),
        _ => format!("{good}{}", good.replace("rules:\n", &format!("    # again_{n}\n"))),
    }
}

/// Waits until the mistakes that the engine tells are those of `text`, the content of a file.
async fn told(engine: &Engine, text: &str) -> Duration {
    let start = Instant::now();
    let lines: Vec<&str> = text.lines().collect();
    engine
        .until("/api/rules", AT_ONCE, |rules| {
            let all = rules["reload"]["diagnostics"].as_array().unwrap();
            let shown = |d: &Value| {
                let line = d["line"].as_u64().unwrap() as usize;
                d["severity"] == "error" && lines.get(line - 1).is_some_and(|it| d["source_line"] == *it)
            };
            !rules["reload"]["refused_at"].is_null() && !all.is_empty() && all.iter().all(shown)
        })
        .await;
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_saves_under_load_lose_nothing_and_are_told_at_once() {
    let saves: usize = std::env::var("SAVES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let home = Home::new("");
    home.write("playbooks/note.rhai", PLAYBOOK);
    home.write("rules/all.yaml", &rule("watched", "r12.>"));
    let engine = Arc::new(home.start().await);
    let hash = engine.get("/api/rules").await["hash"].clone();

    let (done, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let sender = tokio::spawn({
        let (engine, done, sent) = (engine.clone(), done.clone(), sent.clone());
        async move {
            let mut pace = tokio::time::interval(PAUSE);
            while !done.load(Ordering::Relaxed) {
                pace.tick().await;
                let first = sent.load(Ordering::Relaxed);
                let batch: Vec<Value> = (first..first + BATCH)
                    .map(|n| json!({ "id": n.to_string(), "topic": "r12.event", "source": "load", "data": { "k": n % 7 } }))
                    .collect();
                let body = Value::from(batch).to_string();
                let (status, answer) = engine.post("/api/events", "application/json", body).await.unwrap();
                assert_eq!((status, &answer["accepted"]), (202, &json!(BATCH)), "{answer}");
                sent.fetch_add(BATCH, Ordering::Relaxed);
            }
        }
    });

    let (mut longest, start) = (Duration::ZERO, Instant::now());
    for n in 0..saves {
        let text = broken(n);
        home.write("rules/all.yaml", &text);
        if n % 10 == 9 {
            longest = longest.max(told(&engine, &text).await);
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
    done.store(true, Ordering::Relaxed);
    sender.await.unwrap();
    let sent = sent.load(Ordering::Relaxed);
    println!(
        "{saves} broken saves, {sent} events in {:?}; a mistake is told after {longest:?} at most",
        start.elapsed()
    );

    let rules = engine.get("/api/rules").await;
    assert_eq!(rules["hash"], hash, "the last good set stays");
    assert_eq!(engine.all("/api/events?topic=r12.event").await.len() as u64, sent, "every event is there");
    assert!(!engine.all("/api/intents").await.is_empty(), "the last good rule was at work");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_save_goes_live_at_once_however_it_is_made() {
    let home = Home::new("");
    home.write("playbooks/note.rhai", PLAYBOOK);
    home.write("rules/all.yaml", &rule("first", "a.b"));
    let engine = home.start().await;
    let live = async |way: &str, names: &[&str]| {
        let start = Instant::now();
        let names = json!(names);
        let rules = engine
            .until("/api/rules", AT_ONCE, |rules| {
                let live: Vec<&Value> =
                    rules["items"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
                json!(live) == names
            })
            .await;
        println!("{way}: live after {:?}", start.elapsed());
        assert_eq!(rules["reload"]["refused_at"], Value::Null, "{way}");
        rules["reload"].clone()
    };
    live("at the start", &["first"]).await;

    fs::write(home.path("rules/all.yaml"), rule("second", "a.b")).unwrap();
    let reload = live("written in place", &["second"]).await;
    assert_eq!((&reload["added"], &reload["removed"]), (&json!(["second"]), &json!(["first"])));

    home.write("rules/all.yaml", &rule("second", "a.c"));
    engine.until("/api/rules", AT_ONCE, |rules| rules["reload"]["changed"] == json!(["second"])).await;

    home.write("rules/more.yaml", &rule("third", "a.b"));
    live("a new file", &["second", "third"]).await;
    fs::remove_file(home.path("rules/all.yaml")).unwrap();
    live("a file taken away", &["third"]).await;
    fs::remove_file(home.path("rules/more.yaml")).unwrap();

    // As Kubernetes mounts a ConfigMap: each file is a link through `..data`, which is swapped as a whole.
    for (round, name) in ["fourth", "fifth"].into_iter().enumerate() {
        let version = format!("..2026_{round}");
        fs::create_dir(home.path("rules").join(&version)).unwrap();
        fs::write(home.path("rules").join(&version).join("map.yaml"), rule(name, "a.b")).unwrap();
        symlink(&version, home.path("rules/..data_tmp")).unwrap();
        fs::rename(home.path("rules/..data_tmp"), home.path("rules/..data")).unwrap();
        if round == 0 {
            symlink("..data/map.yaml", home.path("rules/map.yaml")).unwrap();
        }
        live("a ConfigMap", &[name]).await;
    }
    // Each change is an event, which is durable a moment after the change is live.
    let said = |page: &Value| page["items"].as_array().unwrap().len() >= 6;
    engine.until("/api/events?topic=rules.reloaded", AT_ONCE, said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_rules_that_is_gone_is_no_empty_one() {
    let home = Home::new("");
    home.write("playbooks/note.rhai", PLAYBOOK);
    home.write("rules/all.yaml", &rule("first", "a.b"));
    let engine = home.start().await;
    fs::rename(home.path("rules"), home.path("elsewhere")).unwrap();
    let refused = |rules: &Value| !rules["reload"]["refused_at"].is_null();
    let rules = engine.until("/api/rules", AT_ONCE, refused).await;
    assert_eq!(rules["items"][0]["name"], "first", "the last good rules stay: {rules}");
    assert!(rules["reload"]["diagnostics"][0]["message"].as_str().unwrap().contains("gone"), "{rules}");
    fs::rename(home.path("elsewhere"), home.path("rules")).unwrap();
    engine.until("/api/rules", AT_ONCE, |rules| rules["reload"]["refused_at"].is_null()).await;
}
