//! P6, P7, P8: from the start of the process to its first event handled, the memory it then takes, a reload of many rules
//! under load, and a start on a large store after a clean stop and after `kill -9`.
//!
//! "Handled" is the answer to a POST: the event was matched against all rules and is durable. The reload is timed from
//! the save of the file until `/api/rules` names the new rules; meanwhile events come in one a request, and how long
//! each takes is compared with the time before. The large store holds `EVENTS` events (10 million unless that variable of
//! the environment says otherwise) and 90,000 outcomes. `cargo bench --bench start`, or with `-- large` only that part.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

#[path = "../tests/support/engine.rs"]
mod engine;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::Home;
use paramedic::model::intent::Plan;
use paramedic::model::{Clock, Event, Intent, IntentId, Outcome, OutcomeRecord, Status, Topic};
use paramedic::store::{Sqlite, Store, Write};
use serde_json::json;

const SIZES: [usize; 3] = [100, 1_000, 10_000];
const RUNS: usize = 5;
const RELOADS: usize = 5;
const PACE: Duration = Duration::from_millis(2);

const PLAYBOOK: &str = "//! Nothing.\n//! ---\n//! risk: low\n//! actions: []\nfn run(ctx) { }\n";

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let events = std::env::var("EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    if std::env::args().any(|arg| arg == "large") {
        return runtime.block_on(large(events));
    }
    println!("P6 and P7: start of the process to its first event handled, medians of {RUNS}\n");
    println!("| rules | first event handled after | memory then |\n| --- | --- | --- |");
    for size in SIZES {
        runtime.block_on(start(size));
    }
    println!(
        "\nP8: reload of {} rules, one of them changed, at {} events a second\n",
        SIZES[2],
        1_000 / PACE.as_millis()
    );
    println!("| | live after | p50 of an event | p99 | most |\n| --- | --- | --- | --- | --- |");
    runtime.block_on(reload(SIZES[2]));
    runtime.block_on(large(events));
    println!(
        "\nSeen elsewhere (November 2026, 2 cores): first event after 62 s with ansible-rulebook at 1,000 rules,"
    );
    println!("2.3 s with SEC at 10,000, 0.3 s with Alertmanager at 1,000.");
}

fn rules(size: usize, limit: usize) -> String {
    let mut text = String::from("rules:\n");
    for n in 0..size {
        let limit = if n == size / 2 { limit } else { 4_500 };
        writeln!(
            text,
            "  - name: r{n}\n    on: telemetry.stress.t{}\n    when: data.kernel == \"kernel-{n}\" && data.boot_duration_ms > {limit}\n    group_by: data.kernel\n    pattern: {{ count: 3, within: 5m }}\n    intent: {{ goal: \"Restart ${{data.kernel}}\", target: \"${{data.kernel}}\" }}\n    playbooks: [note]",
            n % 50
        )
        .unwrap();
    }
    text
}

fn home(size: usize) -> Home {
    let home = Home::new("");
    home.write("rules/bench.yaml", &rules(size, 4_500));
    home.write("playbooks/note.rhai", PLAYBOOK);
    home
}

fn event(n: usize) -> String {
    json!({"topic": format!("telemetry.stress.t{}", n % 50), "source": "bench", "data": {"kernel": format!("kernel-{n}"), "boot_duration_ms": 4_000}}).to_string()
}

async fn start(size: usize) {
    let home = home(size);
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begun = Instant::now();
        let mut engine = home.spawn(&[]);
        loop {
            if let Some((202, _)) = engine.post("/api/events", "application/json", event(7)).await {
                break;
            }
            assert!(!engine.is_dead(), "{}", home.log());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begun.elapsed());
        memory.push(resident(engine.pid()));
        engine.stop();
    }
    times.sort();
    memory.sort_unstable();
    println!("| {size} | {:.0} ms | {} MB |", times[RUNS / 2].as_secs_f64() * 1e3, memory[RUNS / 2] >> 10);
}

/// Fills a store as `events` events and 90,000 repairs within the last minute leave it.
async fn fill(home: &Home, events: usize) {
    const OUTCOMES: usize = 90_000;
    const CHUNK: usize = 4_096;
    let clock = Clock::system();
    let store = Sqlite::open(&home.path("data"), clock.clone()).unwrap();
    let (topic, plan) = (Topic::try_new("telemetry.stress.t1").unwrap(), Arc::new(Plan::default()));
    for first in (0..events).step_by(CHUNK) {
        let chunk = (first..events.min(first + CHUNK)).map(|n| {
            let data = json!({"kernel": format!("kernel-{}", n % 1_000), "boot_duration_ms": 4_000});
            Arc::new(Event::new(format!("before-{n}"), topic.clone(), "bench", clock.now(), data))
        });
        store.commit(vec![Write::Events(chunk.collect())]).await.unwrap();
    }
    let event = Arc::new(Event::new("one", topic, "bench", clock.now(), json!(null)));
    for first in (0..OUTCOMES).step_by(1_000) {
        let mut writes = Vec::new();
        for n in first..first + 1_000 {
            let (now, target) = (clock.now(), format!("kernel-{n}"));
            let id = IntentId::new(now, n as u128);
            let mut intent = Intent::new(id, "r1", &target, &target, event.clone(), plan.clone(), now);
            intent.status = Status::Succeeded;
            writes.push(Write::Intent(Arc::new(intent)));
            writes.push(Write::Outcome(OutcomeRecord {
                intent: id,
                attempt: 1,
                rule: "r1".into(),
                class: "r1".into(),
                target,
                playbook: "note".into(),
                source_hash: "h".into(),
                outcome: if n % 4 == 0 { Outcome::NotFixed } else { Outcome::Fixed },
                ended_by: Default::default(),
                untimed: false,
                escalation: false,
                recovery_ms: 10,
                attempt_ms: 5,
                propensity: 1.0,
                confidence: 0.5,
                at: now,
                number: n as u64 + 1,
            }));
        }
        store.commit(writes).await.unwrap();
    }
}

/// From the start of the process to the answer to its first event, and the process.
async fn first_event(home: &Home) -> (Duration, engine::Engine) {
    let begun = Instant::now();
    let mut engine = home.spawn(&[]);
    while !matches!(engine.post("/api/events", "application/json", event(7)).await, Some((202, _))) {
        assert!(!engine.is_dead(), "{}", home.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (begun.elapsed(), engine)
}

async fn large(events: usize) {
    println!("\nStart on a store of {events} events and 90,000 outcomes, to the first event handled\n");
    let home = home(100);
    fill(&home, events).await;
    let (first, mut engine) = first_event(&home).await;
    assert!(engine.stop());
    let (clean, engine) = first_event(&home).await;
    // So many come just before it is killed.
    let batch: Vec<serde_json::Value> =
        (0..5_000).map(|n| serde_json::from_str(&event(n)).unwrap()).collect();
    for _ in 0..20 {
        let body = serde_json::to_string(&batch).unwrap();
        let answer = engine.post("/api/events", "application/json", body).await.unwrap();
        assert_eq!(answer.0, 202, "{}", answer.1);
    }
    drop(engine);
    let (killed, mut engine) = first_event(&home).await;
    engine.stop();
    println!(
        "| first start ever | after a clean stop | after kill -9, 100,000 events later |\n| --- | --- | --- |"
    );
    let ms = |time: Duration| time.as_millis();
    println!("| {} ms | {} ms | {} ms |", ms(first), ms(clean), ms(killed));
}

async fn reload(size: usize) {
    let home = home(size);
    let engine = Arc::new(home.start().await);
    let stop = Arc::new(AtomicBool::new(false));
    let reloading = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (engine, stop, reloading) = (engine.clone(), stop.clone(), reloading.clone());
        async move {
            let (mut quiet, mut during) = (Vec::new(), Vec::new());
            let mut pace = tokio::time::interval(PACE);
            let mut n = 0;
            while !stop.load(Ordering::SeqCst) {
                pace.tick().await;
                n += 1;
                let begun = Instant::now();
                let answer = engine.post("/api/events", "application/json", event(n)).await.unwrap();
                assert_eq!(answer.0, 202, "{}", answer.1);
                let list = if reloading.load(Ordering::SeqCst) { &mut during } else { &mut quiet };
                list.push(begun.elapsed());
            }
            (quiet, during)
        }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut live = Vec::new();
    // Made beforehand, as that is no part of a reload, and there are two cores for both sides.
    let texts: Vec<String> = (0..RELOADS).map(|round| rules(size, 4_000 + round)).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (round, text) in texts.iter().enumerate() {
        reloading.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        home.write("rules/bench.yaml", text);
        let name = format!("r{}", size / 2);
        loop {
            // A small answer, so that asking is no load: the count of reloads that went well.
            let metrics = engine.text("/metrics").await;
            let done = metrics
                .lines()
                .any(|l| l == format!("paramedic_reloads_total{{result=\"ok\"}} {}", round + 1));
            if done {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} was not reloaded: {}", home.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        live.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(300)).await;
        reloading.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (quiet, during) = load.await.unwrap();
    live.sort();
    print("before and between", "", quiet);
    print("during", &format!("{:.0} ms", live[RELOADS / 2].as_secs_f64() * 1e3), during);
}

fn print(what: &str, live: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("| {what} | {live} | {:.2} ms | {:.2} ms | {:.2} ms |", at(0.5), at(0.99), at(1.0));
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
