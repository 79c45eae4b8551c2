//! Alerts to real listeners on this machine: what they are sent, and what becomes of those that refuse.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::channel::{Channels, Notice, Told};
use super::retry::Patience;
use crate::actions::AlertConfig;
use crate::model::alert::{Alert, AlertStatus, Level};
use crate::model::{AlertId, Time};

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// Answers each request with the next of `answers`, the last again and again; gives the address and what it heard.
async fn serve(answers: &[&'static str]) -> (String, std::sync::Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    let heard = std::sync::Arc::new(Mutex::new(Vec::<String>::new()));
    let keep = heard.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut part = [0; 4096];
                match stream.read(&mut part).await.unwrap() {
                    0 => break,
                    n => request.extend(&part[..n]),
                }
            }
            let n = {
                let mut heard = keep.lock().unwrap();
                heard.push(String::from_utf8(request).unwrap());
                heard.len() - 1
            };
            let answer = answers.get(n).or(answers.last()).unwrap();
            if *answer == "never" {
                // Kept open without a word.
                std::mem::forget(stream);
            } else {
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    (url, heard)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    body.len() >= length.and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn channels(config: Value) -> Channels {
    let config: AlertConfig = serde_json::from_value(config).unwrap();
    let patience = Patience {
        first: Duration::from_millis(20),
        total: Duration::from_secs(2),
        each: Duration::from_millis(500),
    };
    Channels::with(&config, patience)
}

fn notice(level: Level) -> Notice {
    Notice {
        alert: "01A".into(),
        key: "r/k1".into(),
        level,
        title: "k1 is down".into(),
        message: "since noon".into(),
        target: Some("k1".into()),
        intent: Some("01B".into()),
        rule: "r".into(),
    }
}

fn secret(dir: &tempfile::TempDir, name: &str, text: &str) -> Value {
    let path = dir.path().join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    json!({ "file": path })
}

fn shown(told: &[Told]) -> Vec<String> {
    told.iter().map(|it| format!("{} {} {}", it.channel, it.status, it.tries)).collect()
}

#[tokio::test]
async fn each_channel_gets_the_shape_that_it_documents_and_only_its_levels() {
    let dir = tempfile::tempdir().unwrap();
    let (web, web_heard) = serve(&[FINE]).await;
    let (slack, slack_heard) = serve(&[FINE]).await;
    let (pager, pager_heard) = serve(&[ACCEPTED]).await;
    let channels = channels(json!({
        "webhook": { "url": format!("{web}/in"), "headers": { "authorization": secret(&dir, "auth", "Bearer t0ken") } },
        "slack": { "name": "ops", "url": secret(&dir, "slack", &format!("{slack}/services/T0/B0/abcdef")) },
        "pagerduty": { "routing_key": secret(&dir, "pd", "R0UTINGKEY"), "url": format!("{pager}/v2/enqueue"), "levels": ["critical"] },
    }));
    let told = channels.tell(&notice(Level::Warning), "run/1").await;
    assert_eq!(shown(&told), ["webhook sent 1", "ops sent 1", "pagerduty not_for_level 0"]);
    let told = channels.tell(&notice(Level::Critical), "run/2").await;
    assert_eq!(shown(&told), ["webhook sent 1", "ops sent 1", "pagerduty sent 1"]);

    let request = web_heard.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /in HTTP/1.1\r\n"), "{request}");
    for header in ["content-type: application/json", "idempotency-key: run/1", "authorization: Bearer t0ken"]
    {
        assert!(request.contains(&format!("{header}\r\n")), "{header} in {request}");
    }
    assert_eq!(
        body(&request),
        json!({ "alert": "01A", "key": "r/k1", "level": "warning", "title": "k1 is down", "message": "since noon",
                "target": "k1", "intent": "01B", "rule": "r" })
    );
    let request = slack_heard.lock().unwrap()[1].clone();
    assert!(request.starts_with("POST /services/T0/B0/abcdef HTTP/1.1\r\n"), "{request}");
    assert_eq!(
        (&body(&request)["text"], &body(&request)["attachments"][0]["color"]),
        (&json!("*CRITICAL* k1 is down"), &json!("danger"))
    );
    let request = pager_heard.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /v2/enqueue HTTP/1.1\r\n"), "{request}");
    let event = body(&request);
    assert_eq!(
        (&event["routing_key"], &event["event_action"], &event["dedup_key"], &event["payload"]["severity"]),
        (&json!("R0UTINGKEY"), &json!("trigger"), &json!("paramedic/r/k1"), &json!("critical"))
    );
    for field in ["summary", "source", "severity"] {
        assert!(event["payload"][field].is_string(), "PagerDuty requires payload.{field}");
    }
}

#[tokio::test]
async fn a_repeated_step_tells_nobody_twice_and_one_that_failed_again() {
    let dir = tempfile::tempdir().unwrap();
    let (fine, heard) = serve(&[ACCEPTED]).await;
    let (broken, _) = serve(&["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", FINE]).await;
    let channels = channels(json!({
        "pagerduty": { "routing_key": secret(&dir, "pd", "R0UTINGKEY"), "url": fine },
        "webhook": broken,
    }));
    let told = channels.tell(&notice(Level::Critical), "run/1").await;
    assert_eq!(shown(&told), ["webhook failed 1", "pagerduty sent 1"]);
    let told = channels.tell(&notice(Level::Critical), "run/1").await;
    assert_eq!(shown(&told), ["webhook sent 1", "pagerduty sent_before 0"]);
    assert_eq!(heard.lock().unwrap().len(), 1);
    channels.tell(&notice(Level::Critical), "run/2").await;
    let keys: Vec<Value> = heard.lock().unwrap().iter().map(|it| body(it)["dedup_key"].clone()).collect();
    assert_eq!(
        keys,
        ["paramedic/r/k1", "paramedic/r/k1"],
        "another step of the same trouble is the same incident"
    );
}

#[tokio::test]
async fn a_channel_that_is_busy_or_broken_for_a_moment_is_tried_again() {
    for (answers, tries) in [
        (&["HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", FINE][..], 2),
        (&["HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n", FINE], 2),
        (&["never", FINE], 2),
        (&["", "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", FINE], 3),
    ] {
        let (url, _) = serve(answers).await;
        let begun = Instant::now();
        let told = channels(json!({ "webhook": url })).tell(&notice(Level::Info), "s").await;
        assert_eq!(shown(&told), [format!("webhook sent {tries}")], "{answers:?} {told:?}");
        let asked = answers[0].contains("retry-after");
        assert!(
            !asked || begun.elapsed() >= Duration::from_secs(1),
            "it wanted to be left alone for a second"
        );
    }
}

#[tokio::test]
async fn a_channel_that_stays_broken_is_given_up_with_a_reason_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (forbids, _) =
        serve(&["HTTP/1.1 403 Forbidden\r\ncontent-length: 30\r\n\r\nno such key R0UTINGKEY, really"]).await;
    let (busy, _) = serve(&["HTTP/1.1 429 Slow\r\nretry-after: 300\r\ncontent-length: 0\r\n\r\n"]).await;
    let (moved, _) =
        serve(&["HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"]).await;
    let (silent, _) = serve(&["never"]).await;
    let channels = channels(json!({
        "webhook": [busy, moved, silent],
        "slack": [
            { "url": secret(&dir, "slack", "http://127.0.0.1:1/services/T0/B0/hunter2") },
            { "url": { "env": "PARAMEDIC_NOT_SET" } },
        ],
        "pagerduty": { "routing_key": secret(&dir, "pd", "R0UTINGKEY"), "url": forbids },
    }));
    let begun = Instant::now();
    let told = channels.tell(&notice(Level::Info), "s").await;
    assert!(begun.elapsed() < Duration::from_secs(4), "all side by side, and bounded");
    let why: Vec<&str> = told.iter().map(|it| it.why.as_deref().unwrap()).collect();
    for (why, expected) in why.iter().zip([
        "status 429 and wants to be left alone for 300 s; gave up",
        "redirects are not followed",
        "no answer within",
        "; gave up",
        "the environment variable PARAMEDIC_NOT_SET is not set",
        "answered with status 403: no such key [secret], really",
    ]) {
        assert!(why.contains(expected), "{why}: {expected}");
    }
    let all = serde_json::to_string(&told).unwrap();
    assert!(!all.contains("hunter2") && !all.contains("R0UTINGKEY"), "{all}");
}

#[tokio::test]
async fn a_persons_answer_reaches_the_incident() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, heard) = serve(&[ACCEPTED]).await;
    let (web, web_heard) = serve(&[FINE]).await;
    let channels = channels(json!({
        "pagerduty": { "routing_key": secret(&dir, "pd", "R0UTINGKEY"), "url": pager, "levels": ["critical"] },
        "webhook": web,
    }));
    let mut alert = Alert {
        id: AlertId::new(Time::UNIX_EPOCH, 1),
        key: "r/k1".into(),
        level: Level::Critical,
        title: "t".into(),
        message: String::new(),
        target: None,
        intent: None,
        status: AlertStatus::Acked,
        telling: false,
        targets: Vec::new(),
        count: 1,
        created_at: Time::UNIX_EPOCH,
        updated_at: Time::UNIX_EPOCH,
    };
    channels.changed(&alert).await;
    alert.status = AlertStatus::Resolved;
    channels.changed(&alert).await;
    alert.level = Level::Info;
    channels.changed(&alert).await;
    let events: Vec<Value> = heard.lock().unwrap().iter().map(|it| body(it)).collect();
    assert_eq!(
        events,
        [
            json!({ "routing_key": "R0UTINGKEY", "event_action": "acknowledge", "dedup_key": "paramedic/r/k1" }),
            json!({ "routing_key": "R0UTINGKEY", "event_action": "resolve", "dedup_key": "paramedic/r/k1" }),
        ]
    );
    assert!(web_heard.lock().unwrap().is_empty());
}
