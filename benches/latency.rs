//! P3: from an event on its way in to the first action, with the durable intent between, at 100 events a second.
//!
//! The action is an HTTP request back to this program, so the figure holds everything: the request that brings the
//! event, two durable commits, the start of the playbook, and the connection that the action makes. Beside it SEC, fed
//! the same events through a pipe, from a line in to its line out, with nothing made durable. `cargo bench --bench latency`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]
#![expect(clippy::disallowed_methods, reason = "events are paced by the wall clock")]

#[path = "../tests/support/engine.rs"]
mod engine;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::Home;
use serde_json::json;

const EVENTS: usize = 800;
const PACE: Duration = Duration::from_millis(10);

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("P3 event in to first action, {EVENTS} events at {} a second\n", 1_000 / PACE.as_millis());
    println!("| | p50 | p99 | most |\n| --- | --- | --- | --- |");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(ours());
    sec();
}

async fn ours() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let arrived: Arc<Mutex<HashMap<usize, Instant>>> = Arc::default();
    let seen = arrived.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let now = Instant::now();
            let mut text = [0; 1024];
            let read = stream.read(&mut text).unwrap_or(0);
            let text = String::from_utf8_lossy(&text[..read]).into_owned();
            if let Some(n) = text.split(['/', ' ']).find_map(|word| word.strip_prefix('n')?.parse().ok()) {
                seen.lock().unwrap().entry(n).or_insert(now);
            }
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        }
    });
    let home = Home::new(&format!("actions: {{ http: {{ allow: [\"{address}\"] }} }}\n"));
    home.write(
        "rules/bench.yaml",
        "rules:\n  - name: bench\n    on: bench.fail\n    group_by: data.n\n    \
         intent: { goal: Mend, target: \"n${data.n}\" }\n    playbooks: [call]\n",
    );
    home.write(
        "playbooks/call.rhai",
        &format!(
            "//! Call back.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [http.request]\n\
             fn run(ctx) {{ act(\"http.request\", #{{ url: \"http://{address}/\" + ctx.target }}); }}\n"
        ),
    );
    let engine = home.start().await;
    let mut sent = Vec::with_capacity(EVENTS);
    let mut pace = tokio::time::interval(PACE);
    for n in 0..EVENTS {
        pace.tick().await;
        sent.push(Instant::now());
        engine.send(json!({"topic": "bench.fail", "source": "bench", "data": {"n": n}})).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let arrived = arrived.lock().unwrap().clone();
    let delays = sent.iter().enumerate().map(|(n, sent)| {
        arrived
            .get(&n)
            .unwrap_or_else(|| panic!("event {n} led to no action\n{}", home.log()))
            .duration_since(*sent)
    });
    print("Paramedic, over HTTP to an HTTP action, with the fsync", delays.collect());
    let metrics = reqwest::get(format!("{}/metrics", engine.url)).await.unwrap().text().await.unwrap();
    print_histogram(&metrics);
}

/// What the engine itself measured, from the creation of the intent to its first action, by its histogram's bounds.
fn print_histogram(metrics: &str) {
    let buckets: Vec<(f64, f64)> = metrics
        .lines()
        .filter(|line| line.starts_with("paramedic_first_action_delay_seconds_bucket"))
        .filter_map(|line| {
            let (_, rest) = line.split_once("le=\"")?;
            let (bound, count) = rest.split_once("\"} ")?;
            Some((bound.parse().ok().unwrap_or(f64::INFINITY), count.parse().ok()?))
        })
        .collect();
    let Some((_, all)) = buckets.last() else { return };
    let below =
        |share: f64| buckets.iter().find(|(_, n)| *n >= all * share).map_or(f64::NAN, |(bound, _)| *bound);
    println!(
        "| of that inside the engine, from the match to the action | < {:.2} ms | < {:.2} ms | < {:.2} ms |",
        below(0.5) * 1e3,
        below(0.99) * 1e3,
        below(1.0) * 1e3
    );
}

fn sec() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("sec.conf");
    let rule = "type=Single\nptype=RegExp\npattern=\"topic\":\"bench\\.fail\".*\"n\":(\\d+)\ndesc=bench\naction=write - FIRE $1\n";
    std::fs::write(&conf, rule).unwrap();
    let spawned = Command::new("sec")
        .arg(format!("--conf={}", conf.display()))
        .args(["--input=-", "--nointevents", "--bufsize=1", "--log=/dev/null", "--debug=3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        println!("| SEC | not installed (Debian package `sec`) | | |");
        return;
    };
    let mut pipe = child.stdin.take().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::sleep(Duration::from_secs(1));
    let sender = std::thread::spawn(move || {
        let begin = Instant::now();
        (0..EVENTS)
            .map(|n| {
                std::thread::sleep(
                    (begin + PACE * u32::try_from(n).unwrap()).saturating_duration_since(Instant::now()),
                );
                let sent = Instant::now();
                writeln!(pipe, r#"{{"topic":"bench.fail","source":"bench","data":{{"n":{n}}}}}"#).unwrap();
                sent
            })
            .collect::<Vec<_>>()
    });
    let mut fired = HashMap::new();
    for line in out.lines().map_while(Result::ok) {
        if let Some(n) = line.strip_prefix("FIRE ").and_then(|n| n.trim().parse::<usize>().ok()) {
            fired.insert(n, Instant::now());
        }
        if fired.len() == EVENTS {
            break;
        }
    }
    let sent = sender.join().unwrap();
    let delays = sent.iter().enumerate().filter_map(|(n, sent)| Some(fired.get(&n)?.duration_since(*sent)));
    print("SEC, from a pipe, nothing made durable", delays.collect());
    child.kill().unwrap();
    child.wait().unwrap();
}

fn print(name: &str, mut delays: Vec<Duration>) {
    delays.sort();
    let at = |share: f64| {
        delays[((delays.len() as f64 * share) as usize).min(delays.len() - 1)].as_secs_f64() * 1e3
    };
    println!("| {name} | {:.2} ms | {:.2} ms | {:.2} ms |", at(0.5), at(0.99), at(1.0));
}
