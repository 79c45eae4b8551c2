//! Who may ask, what may be asked, and what the engine leaves behind: other hosts, misspelled filters, packed bodies,
//! signals, file modes and log lines.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use engine::{Engine, Home};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const RULES: &str = "rules:
  - name: mend
    on: [test.fail]
    group_by: data.n
    intent: { goal: \"Mend ${data.n}\", target: \"${data.n}\" }
    playbooks: [mend]
";

const PLAYBOOK: &str = "//! Do nothing.
//! ---
//! risk: low
//! cost: 1s
//! timeout: 1m
//! actions: []

fn run(ctx) { ctx.target }
fn verify(ctx) { true }
";

fn home(more: &str) -> Home {
    let home = Home::new(more);
    home.write("rules/mend.yaml", RULES);
    home.write("playbooks/mend.rhai", PLAYBOOK);
    home
}

/// The status that a request with these lines gets.
async fn status(engine: &Engine, head: &str) -> u16 {
    let mut stream = TcpStream::connect(engine.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_makes_its_own_name_mean_this_address_reads_nothing_and_freezes_nothing() {
    let home = home("hosts: [paramedic.example]");
    let engine = home.start().await;
    for (host, expected) in
        [("localhost", 200), ("127.0.0.1:7112", 200), ("paramedic.example", 200), ("evil.example:7112", 421)]
    {
        let read = format!("GET /api/intents HTTP/1.1\r\nhost: {host}");
        assert_eq!(status(&engine, &read).await, expected, "{host}");
    }
    let freeze = "POST /api/freeze HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example\r\ncontent-type: application/json\r\ncontent-length: 2";
    let mut stream = TcpStream::connect(engine.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("{freeze}\r\n\r\n{{}}").as_bytes()).await.unwrap();
    let mut answer = vec![0; 20];
    stream.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 421"));
    assert_eq!(engine.get("/api/freeze").await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_is_misspelled_is_an_error_that_names_the_right_ones() {
    let home = home("");
    let engine = home.start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, named) in [
        ("/api/intents?taget=k1", "`target`"),
        ("/api/events?topics=a", "`topic`"),
        ("/api/kernels?layer=1", "`limit`, `cursor`"),
        ("/api/rules?x", "`limit`, `cursor`"),
        ("/api/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV?from=1", "`limit`, `cursor`"),
        ("/api/observability/dashboard?hours=1", "it takes none"),
        ("/healthz?x=1", "it takes none"),
        ("/api/intents?limit=1&limit=2", "duplicate"),
    ] {
        let answer = client.get(format!("{}{path}", engine.url)).send().await.unwrap();
        let status = answer.status().as_u16();
        let problem = answer.text().await.unwrap();
        assert!(status == 400 && problem.contains(named), "{path}: {status} {problem}");
    }
    for path in
        ["/api/intents?target=k1&limit=5", "/api/events?topic=a.%3E", "/api/kernels?limit=3", "/api/rules?"]
    {
        engine.get(path).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packed_body_is_refused_by_name_and_json_in_base64_is_json() {
    let home = home("");
    let engine = home.start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let packed = client
        .post(format!("{}/api/events", engine.url))
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body(vec![0x1f, 0x8b, 8, 0])
        .send()
        .await
        .unwrap();
    assert_eq!(
        (packed.status().as_u16(), packed.headers()["accept-encoding"].to_str().unwrap()),
        (415, "identity")
    );
    let event = |data: &str| {
        json!({"specversion": "1.0", "type": "test.fail", "id": data, "source": "s", "datacontenttype": "application/json",
            "data_base64": data})
        .to_string()
    };
    // {"n":"k7"}
    let kind = "application/cloudevents+json";
    let (status, answer) = engine.post("/api/events", kind, event("eyJuIjoiazcifQ==")).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let path = "/api/intents?target=k7";
    engine.until(path, Duration::from_secs(20), |it| it["items"][0]["status"] == "succeeded").await;
    for wrong in ["eyJuIjo=", "!"] {
        let (status, answer) = engine.post("/api/events", kind, event(wrong)).await.unwrap();
        assert_eq!((status, &answer["field"]), (400, &json!("data_base64")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_no_group_is_said_and_never_taken_for_one_thing() {
    let home = home("");
    let engine = home.start().await;
    let bad = [json!({}), json!({"n": ["a", "b"]}), json!({"n": {"a": 1}}), json!({"n": ""})];
    for (n, data) in bad.iter().enumerate() {
        engine.send(json!({"topic": "test.fail", "source": "test", "id": n.to_string(), "data": data})).await;
    }
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "k1"}})).await;
    let all = engine
        .until("/api/intents", Duration::from_secs(20), |it| it["items"][0]["status"] == "succeeded")
        .await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "only what has a group is repaired: {all}");
    assert_eq!(all["items"][0]["target"], "k1");
    let rules = engine.get("/api/rules").await;
    assert_eq!(rules["items"][0]["failed"]["count"], 4, "{rules}");
    let problems = engine.get("/readyz").await["problems"].to_string();
    assert!(problems.contains("Rule mend") && problems.contains("data.n"), "{problems}");
    let (_, explained) = engine.post("/api/explain", "application/json", "{\"id\": \"1\"}").await.unwrap();
    let why = explained["rules"][0]["reason"].as_str().unwrap();
    assert!(why.contains("is a list") && explained["rules"][0]["fired"] == false, "{explained}");
    let metrics = engine.text("/metrics").await;
    assert!(metrics.contains("paramedic_events_without_group_total 4"), "{metrics}");
}

fn hang_up(engine: &Engine) {
    let pid = Pid::from_raw(i32::try_from(engine.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_and_never_ends_the_engine() {
    let home = home("");
    let mut engine = home.spawn(&[]);
    // Also while it starts: from the moment on in which it is more than a process.
    tokio::time::sleep(Duration::from_millis(50)).await;
    hang_up(&engine);
    assert!(engine.ready().await, "{}", home.log());
    home.write(
        "rules/mend.yaml",
        &RULES.replace("mend\n", "mended\n").replacen("name: mend", "name: mended", 1),
    );
    hang_up(&engine);
    let deadline = Duration::from_secs(20);
    engine.until("/api/rules", deadline, |it| it["items"][0]["name"].as_str() != Some("mend")).await;
    assert!(home.log().contains("SIGHUP: reloading"), "{}", home.log());
    assert!(!engine.is_dead());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_for_its_owner_alone_also_where_it_was_not_before() {
    let home = home("");
    std::fs::create_dir(home.path("data")).unwrap();
    std::fs::set_permissions(home.path("data"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let engine = home.start().await;
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "k1"}})).await;
    let (status, answer) = engine.post("/api/freeze", "application/json", "{}").await.unwrap();
    assert_eq!(status, 201, "{answer}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&home.path("data")), 0o700);
    let mut seen = 0;
    for entry in std::fs::read_dir(home.path("data")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            seen += 1;
            assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        }
    }
    assert!(seen >= 4, "the database, its log, the lock and the freeze: {seen}");
    assert!(home.log().contains("readable by its owner only"), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_cannot_write_lines_of_its_own_into_the_log() {
    let home = home("");
    home.write(
        "playbooks/mend.rhai",
        &PLAYBOOK.replace("{ ctx.target }", "{ log(\"warn\", \"seen \" + ctx.event.data.text); ctx.target }"),
    );
    let engine = home.start().await;
    let forged = "2026-01-01T00:00:00.000000Z  INFO all kernels are healthy";
    let text = format!("a\n{forged}\r\u{1b}[1A");
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "k1", "text": text}})).await;
    let path = "/api/intents?target=k1";
    let shown: Value =
        engine.until(path, Duration::from_secs(20), |it| it["items"][0]["status"] == "succeeded").await;
    drop(shown);
    let log = home.log();
    assert!(log.contains("all kernels are healthy"), "the text is in the log: {log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01")), "and is no line of it: {log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
