//! P2: events over HTTP, acknowledged when they would survive `kill -9`, matched against 100 rules.
//!
//! A real engine as a child process; its own processor time is what counts. Beside it SEC, reading the same events
//! from a pipe with hash dispatch and keeping nothing, if `sec` is installed. `cargo bench --bench ingest`; `EVENTS`
//! sets how many batches of 1,000 are sent, so that the store can be filled as far as wanted.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

#[path = "../tests/support/engine.rs"]
mod engine;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use engine::Home;

const RULES: usize = 100;
const KERNELS: usize = 1_000;
const TOPICS: [&str; 10] = [
    "telemetry.stress.boot_failed",
    "telemetry.stress.slow_boot",
    "hardware.disk.degraded",
    "hardware.net.lost",
    "kernel.oops.seen",
    "vm.lifecycle.lost",
    "lab.power.lost",
    "ci.job.timeout",
    "storage.raid.degraded",
    "cluster.node.lost",
];

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let batches = std::env::var("EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("P2 durable ingest, {RULES} rules, synchronous=FULL; processor time is the engine's own\n");
    println!("| work | events | wall, events/s | events per CPU-second | memory, most |");
    println!("| --- | --- | --- | --- | --- |");
    runtime.block_on(async {
        let home = home();
        let engine = home.start().await;
        for connections in [1, 4] {
            batched(&engine, batches, connections).await;
        }
        single(&engine, 20_000, 64).await;
    });
    sec(batches.min(50) * 1_000);
}

fn home() -> Home {
    let home = Home::new("");
    let mut rules = String::from("rules:\n");
    for n in 0..RULES {
        let (topic, kernel) = (TOPICS[n % TOPICS.len()], n * 7 % KERNELS);
        write!(
            rules,
            "  - name: r{n}\n    on: {topic}\n    when: data.kernel == \"kernel-{kernel}\" && data.boot_duration_ms > 4950\n    \
             group_by: data.kernel\n    mode: shadow\n    intent: {{ goal: g, target: \"${{data.kernel}}\" }}\n    playbooks: [none]\n"
        )
        .unwrap();
    }
    home.write("rules/bench.yaml", &rules);
    home.write(
        "playbooks/none.rhai",
        "//! Nothing.\n//! ---\n//! risk: low\n//! cost: 1s\n//! actions: []\nfn run(ctx) { }\n",
    );
    home
}

fn event(n: usize) -> String {
    let (topic, kernel) = (TOPICS[n % TOPICS.len()], n * 13 % KERNELS);
    format!(
        r#"{{"id":"evt-{n:010}","topic":"{topic}","source":"stress_test","time":"2026-11-23T00:{:02}:{:02}.{:03}Z","severity":"high","payload":{{"kernel":"kernel-{kernel}","error":"timeout","boot_duration_ms":{},"attempt":{}}}}}"#,
        n / 60_000 % 60,
        n / 1_000 % 60,
        n % 1_000,
        n * 31 % 5_000,
        n % 6
    )
}

/// Batches of 1,000 as NDJSON over so many connections, each waiting for its answer before the next.
async fn batched(engine: &engine::Engine, batches: usize, connections: usize) {
    let bodies: Vec<String> = (0..batches)
        .map(|batch| {
            let start = (connections * batches + batch) * 1_000;
            (start..start + 1_000).map(|n| event(n) + "\n").collect()
        })
        .collect();
    let work = bodies.into_iter().map(|body| ("application/x-ndjson", body)).collect();
    report(&format!("batches of 1,000, {connections} connections"), engine, work, 1_000, connections).await;
}

/// One event a request.
async fn single(engine: &engine::Engine, events: usize, connections: usize) {
    let work = (0..events).map(|n| ("application/json", event(1_000_000_000 + n))).collect();
    report(&format!("one event a request, {connections} connections"), engine, work, 1, connections).await;
}

async fn report(
    name: &str,
    engine: &engine::Engine,
    work: Vec<(&'static str, String)>,
    each: usize,
    connections: usize,
) {
    let events = work.len() * each;
    let queue = std::sync::Arc::new(std::sync::Mutex::new(work));
    let (cpu, wall) = (processor_time(engine.pid()), Instant::now());
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (queue, url) = (queue.clone(), format!("{}/api/events", engine.url));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        senders.spawn(async move {
            loop {
                let Some((kind, body)) = queue.lock().unwrap().pop() else { return };
                let answer = client.post(&url).header("content-type", kind).body(body).send().await.unwrap();
                assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
            }
        });
    }
    senders.join_all().await;
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), processor_time(engine.pid()) - cpu);
    let (per_wall, per_cpu) = (events as f64 / wall, events as f64 / cpu);
    println!(
        "| Paramedic, {name} | {events} | {per_wall:.0} | {per_cpu:.0} | {} MiB |",
        memory(engine.pid())
    );
}

/// SEC reads the same events from a pipe; it acknowledges and keeps nothing.
fn sec(events: usize) {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("sec.conf");
    let mut rules = String::new();
    for n in 0..RULES {
        let (topic, kernel) = (TOPICS[n % TOPICS.len()].replace('.', "\\."), n * 7 % KERNELS);
        write!(
            rules,
            "type=Single\nptype=RegExp\npattern=\"topic\":\"{topic}\".*\"kernel\":\"kernel-{kernel}\".*\"boot_duration_ms\":(\\d+)\n\
             context= =( $1 > 4950 )\ndesc=r{n}\naction=none\n\n"
        )
        .unwrap();
    }
    std::fs::write(&conf, rules).unwrap();
    let spawned = Command::new("sec")
        .arg(format!("--conf={}", conf.display()))
        .args(["--input=-", "--notail", "--nointevents", "--bufsize=1", "--log=/dev/null", "--debug=3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("| SEC | not installed (Debian package `sec`) | | | |");
        return;
    };
    let text: String = (0..events).map(|n| event(n) + "\n").collect();
    let wall = Instant::now();
    let mut pipe = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || pipe.write_all(text.as_bytes()).unwrap());
    feeder.join().unwrap();
    let before = rustix::process::Pid::from_child(&child);
    let mut cpu = processor_time(child.id());
    while rustix::process::test_kill_process(before).is_ok() {
        match child.try_wait().unwrap() {
            Some(_) => break,
            None => cpu = processor_time(child.id()).max(cpu),
        }
        std::thread::yield_now();
    }
    let wall = wall.elapsed().as_secs_f64();
    println!(
        "| SEC, from a pipe, nothing kept | {events} | {:.0} | {:.0} | |",
        events as f64 / wall,
        events as f64 / cpu
    );
}

/// User and system time of a process so far, in seconds.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(')') else { return 0.0 };
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
}

/// Most memory that a process had at once, in MiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
