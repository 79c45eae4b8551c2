//! A client that stalls, drips, announces much or never reads costs others nothing: they are served as before.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::time::{Duration, Instant};

use engine::{Engine, Home};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than the engine serves at a time.
const MANY: usize = 1_200;

/// Lets this test hold many connections itself.
fn raise_the_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

/// A connection on which `text` was sent.
async fn begun(engine: &Engine, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(engine.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// The first line that comes on `stream`.
async fn first_line(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    let read = read.expect("there is an answer").unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

async fn serves_others(engine: &Engine, n: &str) {
    let began = Instant::now();
    engine.send(json!({"topic": "test.other", "source": "test", "id": n})).await;
    assert_eq!(engine.get("/healthz").await["status"], "ok");
    assert!(began.elapsed() < Duration::from_secs(10), "{n}: others waited {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_half_requests_are_held_open_others_are_served() {
    raise_the_limit();
    let home = Home::new("");
    let engine = home.start().await;
    let mut held = Vec::new();
    for part in
        ["", "GET /healthz HTTP/1.1\r\nhost: local", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"]
    {
        for _ in 0..MANY {
            held.push(begun(&engine, part).await);
        }
        serves_others(&engine, &format!("after {part:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_never_come_take_no_memory_from_those_that_do() {
    raise_the_limit();
    let home = Home::new("");
    let engine = home.start().await;
    let head = |length: u64| {
        format!(
            "POST /api/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(begun(&engine, &head(64 << 20)).await);
    }
    serves_others(&engine, "announced").await;
    for _ in 0..MANY {
        let mut half = begun(&engine, &head(64 << 20)).await;
        // It may have had to make room already.
        drop(half.write_all(&[b' '; 512]).await);
        held.push(half);
    }
    serves_others(&engine, "begun").await;
    let mut long = begun(&engine, &head(999 << 30)).await;
    assert!(first_line(&mut long).await.contains(" 413 "), "what is too long is refused at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_that_stop_midway_leave_room_and_bounded_memory() {
    let home = Home::new("");
    let engine = home.start().await;
    let chunk = vec![b' '; 1 << 20];
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..8 {
        let mut stream = begun(
            &engine,
            "POST /api/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
        for _ in 0..60 {
            let sent = async {
                stream.write_all(b"100000\r\n").await?;
                stream.write_all(&chunk).await?;
                stream.write_all(b"\r\n").await
            };
            if sent.await.is_err() {
                break;
            }
        }
        let answer = tokio::time::timeout(Duration::from_millis(200), first_line(&mut stream)).await;
        refused += usize::from(answer.is_ok_and(|line| line.contains(" 429 ") || line.is_empty()));
        held.push(stream);
    }
    assert!(refused >= 4, "only {refused} of 8 were told that there is no room");
    serves_others(&engine, "midway").await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak of memory: {} MiB", peak >> 10);
    assert!(peak < 400 << 10, "{peak} kB with 480 MiB on their way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_still_sends_what_was_refused_hears_why() {
    let home = Home::new("limits: { body: 1000000 }");
    let engine = home.start().await;
    let body = vec![b' '; 32 << 20];
    let (status, answer) =
        engine.post("/api/events", "application/json", body).await.expect("an answer comes");
    assert_eq!(status, 413, "{answer}");
    let (status, answer) = engine.post("/api/events", "application/json", "x".repeat(999)).await.unwrap();
    assert_eq!(status, 400, "{answer}");
}

/// Threads of the engine.
fn threads(engine: &Engine) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", engine.pid())).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_nobody_waits_for_any_more_take_no_threads_and_no_connections() {
    let home = Home::new("");
    let engine = home.start().await;
    for batch in 0..60 {
        let event = |n: u32| json!({"topic": "test.log", "source": "test", "id": format!("{batch}-{n}"), "data": "x".repeat(300)});
        let lines: Vec<String> = (0..2_000).map(|n| event(n).to_string()).collect();
        let sent = engine.post("/api/events", "application/x-ndjson", lines.join("\n")).await.unwrap();
        assert_eq!(sent.0, 202, "{}", sent.1);
    }
    let before = threads(&engine);
    for n in 0..300 {
        let body = format!("{{\"id\": \"unknown-{n}\"}}");
        let ask = format!(
            "POST /api/explain HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        drop(begun(&engine, &ask).await);
    }
    let after = threads(&engine);
    println!("threads: {before}, then {after}");
    assert!(after < before + 16, "{before} threads became {after}");
    serves_others(&engine, "asked").await;
    let (status, answer) =
        engine.post("/api/explain", "application/json", "{\"id\": \"29-999\"}").await.unwrap();
    assert_eq!((status, &answer["event"]["id"]), (200, &json!("29-999")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_the_stream_who_is_too_slow_is_told_how_much_is_missing() {
    let home = Home::new("");
    let engine = home.start().await;
    let mut slow = begun(&engine, "GET /api/events/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(first_line(&mut slow).await.contains(" 200 "));
    let (batches, each) = (40, 10);
    for batch in 0..batches {
        let event = |n: u32| json!({"topic": "test.large", "source": "test", "id": format!("{batch}-{n}"), "data": "x".repeat(100 << 10)});
        let lines: Vec<String> = (0..each).map(|n| event(n).to_string()).collect();
        let sent = engine.post("/api/events", "application/x-ndjson", lines.join("\n")).await.unwrap();
        assert_eq!(sent.0, 202, "{}", sent.1);
    }
    let (mut text, mut seen, mut lost) = (String::new(), 0, 0);
    let mut buffer = vec![0; 1 << 20];
    while seen + lost < u64::from(batches * each) {
        let read = tokio::time::timeout(Duration::from_secs(20), slow.read(&mut buffer)).await;
        let read = read.unwrap_or_else(|_| panic!("{seen} events and a loss of {lost} are not all")).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let data: Value = serde_json::from_str(data).unwrap_or_default();
            match data["lost"].as_u64() {
                Some(gap) => lost += gap,
                None if data["topic"] == "test.large" => seen += 1,
                None => {}
            }
        }
    }
    println!("{seen} events came, {lost} are told to be missing");
    assert!(lost > 100, "40 MiB do not wait for one reader");
    assert!(engine.text("/metrics").await.contains(&format!("paramedic_stream_events_lost_total {lost}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_more_than_a_thousand_is_shown_whole_and_comes_in_pages() {
    let home = Home::new("");
    home.write(
        "rules/watch.yaml",
        "rules:\n  - name: watch\n    on: [test.fail]\n    mode: shadow\n    group_by: data.n\n    \
         intent: { goal: \"Mend ${data.n}\", target: \"${data.n}\" }\n    playbooks: [mend]\n",
    );
    home.write(
        "playbooks/mend.rhai",
        "//! Do nothing.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: []\n\nfn run(ctx) { ctx.target }\nfn verify(ctx) { true }\n",
    );
    let engine = home.start().await;
    let event = |n: u32| json!({"topic": "test.fail", "source": "test", "id": n.to_string(), "data": {"n": format!("t{n}")}});
    let lines: Vec<String> = (0..2_345).map(|n| event(n).to_string()).collect();
    engine.post("/api/events", "application/x-ndjson", lines.join("\n")).await.unwrap();
    assert_eq!(engine.get("/api/intents?limit=100000").await["items"].as_array().unwrap().len(), 1_000);
    for (limit, expected) in [("100000", 2_345), ("1500", 1_500), ("7", 7)] {
        let shown = std::process::Command::new(env!("CARGO_BIN_EXE_paramedic"))
            .args(["intents", "--json", "--limit", limit, "--url", &engine.url])
            .output()
            .unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["items"].as_array().unwrap().len(), expected);
    }
}
