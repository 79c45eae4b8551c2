//! P4 and P5: playbook runs of three durable steps a second of processor time; what runs that wait cost, how fast
//! many of them go on at once, and how fast an engine is ready that finds them waiting.
//!
//! Processor time is the engine's own, all threads, from the first event to the last outcome: taking the events in,
//! matching, intents, runs, steps and outcomes, all synced to disk. `RUNS` and `WAITING` change the sizes.
//! `cargo bench --bench runs`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

#[path = "../tests/support/engine.rs"]
mod engine;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use engine::{Engine, Home};
use serde_json::json;

const BATCH: usize = 1_000;
const DUE: usize = 10_000;

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let only = std::env::var("ONLY").unwrap_or_default();
    if only.is_empty() || only == "p4" {
        println!("P4: runs of three steps, each an action, every step durable\n");
        println!("| intents at once | runs | runs/s of processor time | µs a run | runs/s of wall time |");
        println!("| --- | --- | --- | --- | --- |");
        for concurrency in [10, 64] {
            runtime.block_on(steps(concurrency, sized("RUNS", 20_000)));
        }
    }
    if only.is_empty() || only == "p5" {
        runtime.block_on(waiting(sized("WAITING", 100_000)));
    }
    println!(
        "\nSeen elsewhere (November 2026): StackStorm starts a Python process a step (28 ms for an empty one);"
    );
    println!("a thread a waiting run costs 19 KB and 0.14 ms of processor time.");
}

fn sized(name: &str, or: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or)
}

fn home(concurrency: usize) -> Home {
    let home = Home::new(&format!(
        "limits: {{ concurrency: {concurrency}, open_intents: 250000 }}\nkernels:\n  - {{ name: k, command: [sleep, \"1000000\"] }}\n"
    ));
    for (topic, playbook) in
        [("three", "three"), ("sleep", "sleep"), ("ask", "ask"), ("wait", "wait"), ("due", "due")]
    {
        home.write(
            &format!("rules/{topic}.yaml"),
            &format!(
                "rules:\n  - name: {topic}\n    on: bench.{topic}\n    group_by: data.n\n    \
                 intent: {{ goal: \"Mend ${{data.n}}\", target: \"kernel-${{data.n}}\" }}\n    playbooks: [{playbook}]\n"
            ),
        );
    }
    let health = "act(\"kernel.health\", #{ kernel: \"k\" });";
    for (name, body) in [
        ("three", health.repeat(3)),
        ("sleep", "sleep(\"12h\");".into()),
        ("ask", "ask(\"Go on?\", [\"yes\", \"no\"], \"12h\")".into()),
        ("wait", "wait_for(\"bench.healthy\", \"subject == target\", \"12h\")".into()),
        ("due", "wait_for(\"bench.go\", \"12h\")".into()),
    ] {
        home.write(
            &format!("playbooks/{name}.rhai"),
            &format!("//! Bench.\n//! ---\n//! risk: low\n//! timeout: 13h\n//! actions: [kernel.health]\nfn run(ctx) {{ {body} }}\n"),
        );
    }
    home
}

async fn send(engine: &Engine, topic: &str, from: usize, count: usize) {
    for first in (from..from + count).step_by(BATCH) {
        let mut body = String::new();
        for n in first..(first + BATCH).min(from + count) {
            let event = json!({"id": n.to_string(), "topic": format!("bench.{topic}"), "source": "bench", "data": {"n": n, "boot_duration_ms": 1200, "error": "timeout"}});
            writeln!(body, "{event}").unwrap();
        }
        let (status, answer) = engine.post("/api/events", "application/x-ndjson", body).await.unwrap();
        assert_eq!(status, 202, "{answer}");
    }
}

/// Waits until so many intents are open and nothing is computed; gives the time of the last change.
async fn settled(engine: &Engine, open: usize) -> Instant {
    let mut since: Option<Instant> = None;
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        let it = engine.get("/readyz").await["intents"].clone();
        if it["open"] == open && it["waiting"] == 0 && it["working"] == 0 {
            let first = *since.get_or_insert_with(Instant::now);
            // A worker between two holds of its slot looks idle for a moment.
            if first.elapsed() > Duration::from_millis(300) {
                return first;
            }
        } else {
            since = None;
        }
        assert!(Instant::now() < deadline, "it does not settle at {open} open intents: {it}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn steps(concurrency: usize, runs: usize) {
    let home = home(concurrency);
    let engine = home.start().await;
    send(&engine, "three", 0, 500).await;
    settled(&engine, 0).await;
    let (cpu, begin) = (processor(&engine), Instant::now());
    send(&engine, "three", 1_000, runs).await;
    let wall = settled(&engine, 0).await - begin;
    let spent = processor(&engine) - cpu;
    let stats = engine.get("/api/observability/remediation/stats").await;
    assert_eq!(stats["succeeded"], json!(runs + 500), "{stats}");
    let rate = |time: Duration| runs as f64 / time.as_secs_f64();
    println!(
        "| {concurrency} | {runs} | {:.0} | {:.0} | {:.0} |",
        rate(spent),
        spent.as_secs_f64() * 1e6 / runs as f64,
        rate(wall)
    );
}

async fn waiting(runs: usize) {
    let home = home(64);
    let mut engine = home.start().await;
    println!("\nP5: {runs} runs that wait: a third each in `sleep`, `ask` and `wait_for`\n");
    println!("| | memory | threads | processor time | wall time |\n| --- | --- | --- | --- | --- |");
    let row = |what: &str, engine: &Engine, cpu: Duration, wall: Duration| {
        let (memory, threads) = size(engine);
        println!(
            "| {what} | {memory:.0} MB | {threads} | {:.2} s | {:.2} s |",
            cpu.as_secs_f64(),
            wall.as_secs_f64()
        );
    };
    // Every path once, so that what is needed anyway is there before.
    for (n, topic) in ["sleep", "ask", "wait", "three"].into_iter().enumerate() {
        send(&engine, topic, 900_000 + n, 1).await;
    }
    settled(&engine, 3).await;
    row("idle", &engine, Duration::ZERO, Duration::ZERO);
    let (cpu, begin) = (processor(&engine), Instant::now());
    let third = runs / 3;
    for (n, topic) in ["sleep", "ask", "wait"].into_iter().enumerate() {
        for first in (0..third).step_by(BATCH) {
            // As fast as they are begun: what stands in line for that is bounded by `open_intents`, and not what is
            // measured here.
            while engine.get("/readyz").await["intents"]["waiting"].as_u64() > Some(BATCH as u64) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            send(&engine, topic, n * third + first, BATCH.min(third - first)).await;
        }
    }
    let open = 3 * third + 3;
    let end = settled(&engine, open).await;
    row("all waiting", &engine, processor(&engine) - cpu, end - begin);

    engine.kill();
    let begin = Instant::now();
    let engine = home.start().await;
    row("ready after `kill -9`", &engine, processor(&engine), begin.elapsed());
    settled(&engine, open).await;

    let (cpu, begin) = (processor(&engine), Instant::now());
    send(&engine, "due", 500_000, DUE).await;
    let end = settled(&engine, open + DUE).await;
    row(&format!("{DUE} more"), &engine, processor(&engine) - cpu, end - begin);
    let (cpu, begin) = (processor(&engine), Instant::now());
    engine.send(json!({"topic": "bench.go", "source": "bench"})).await;
    let end = settled(&engine, open).await;
    row(&format!("those {DUE} due at once and done"), &engine, processor(&engine) - cpu, end - begin);

    let begin = Instant::now();
    engine
        .send(
            json!({"topic": "bench.healthy", "source": "bench", "subject": format!("kernel-{}", 2 * third)}),
        )
        .await;
    let end = settled(&engine, open - 1).await;
    row("one of the others goes on", &engine, Duration::ZERO, end - begin);
}

/// Memory in MB and threads.
fn size(engine: &Engine) -> (f64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    (number("VmRSS:") / 1024.0, number("Threads:") as usize)
}

/// User and system time of the engine so far.
fn processor(engine: &Engine) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", engine.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}
