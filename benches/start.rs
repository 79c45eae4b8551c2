//! P6, P7, P8: from the start of the process to its first event handled, the memory it then takes, and a reload of
//! many rules under load.
//!
//! "Handled" is the answer to a POST: the event was matched against all rules and is durable. The reload is timed from
//! the save of the file until `/api/rules` names the new rules; meanwhile events come in one a request, and how long
//! each takes is compared with the time before. `cargo bench --bench start`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

#[path = "../tests/support/engine.rs"]
mod engine;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engine::Home;
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
