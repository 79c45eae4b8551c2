//! Alerts to real listeners on this machine: what they are sent, and what becomes of those that refuse.

use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::channel::{Channels, Notice, Trouble};
use crate::actions::AlertConfig;
use crate::model::alert::Level;

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
    Channels::new(&config)
}

/// Tries once each of those that are for its level.
async fn tell(channels: &Channels, notice: &Notice, step: &str) -> Vec<(String, Result<(), Trouble>)> {
    let wanted = channels.for_level(notice.level);
    let mut told = Vec::new();
    for at in 0..channels.len() {
        let name = channels.name(at).to_owned();
        if wanted.iter().any(|(it, _)| *it == name) {
            told.push((name, channels.send(at, notice, step).await));
        }
    }
    told
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
        count: 1,
        ..Notice::default()
    }
}

fn secret(dir: &tempfile::TempDir, name: &str, text: &str) -> Value {
    let path = dir.path().join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    json!({ "file": path })
}

fn sent(told: &[(String, Result<(), Trouble>)]) -> Vec<&str> {
    told.iter().filter(|(_, it)| it.is_ok()).map(|(name, _)| name.as_str()).collect()
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
    let told = tell(&channels, &notice(Level::Warning), "run/1").await;
    assert_eq!(sent(&told), ["webhook", "ops"]);
    let told = tell(&channels, &notice(Level::Critical), "run/2").await;
    assert_eq!(sent(&told), ["webhook", "ops", "pagerduty"]);

    let request = web_heard.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /in HTTP/1.1\r\n"), "{request}");
    for header in ["content-type: application/json", "idempotency-key: run/1", "authorization: Bearer t0ken"]
    {
        assert!(request.contains(&format!("{header}\r\n")), "{header} in {request}");
    }
    assert_eq!(
        body(&request),
        json!({ "alert": "01A", "key": "r/k1", "level": "warning", "title": "k1 is down", "message": "since noon",
                "target": "k1", "count": 1, "intent": "01B", "rule": "r" })
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
async fn what_a_refusal_means_is_told_with_a_reason_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let (forbids, _) =
        serve(&["HTTP/1.1 403 Forbidden\r\ncontent-length: 30\r\n\r\nno such key R0UTINGKEY, really"]).await;
    let (busy, _) = serve(&["HTTP/1.1 429 Slow\r\nretry-after: 300\r\ncontent-length: 0\r\n\r\n"]).await;
    let (moved, _) =
        serve(&["HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"]).await;
    let (broken, _) = serve(&["HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"]).await;
    let channels = channels(json!({
        "webhook": [busy, moved, broken],
        "slack": [
            { "url": secret(&dir, "slack", "http://127.0.0.1:1/services/T0/B0/hunter2") },
            { "url": { "env": "PARAMEDIC_NOT_SET" } },
        ],
        "pagerduty": { "routing_key": secret(&dir, "pd", "R0UTINGKEY"), "url": forbids },
    }));
    let told = tell(&channels, &notice(Level::Info), "s").await;
    let said: Vec<String> = told.iter().map(|(name, it)| format!("{name}: {it:?}")).collect();
    for (said, expected) in said.iter().zip([
        "webhook: Err(Passing(\"answered with status 429\", Some(300s)))",
        "redirects are not followed",
        "webhook-3: Err(Passing(\"answered with status 500\", None))",
        "slack: Err(Passing(",
        "slack-2: Err(Final(\"the environment variable PARAMEDIC_NOT_SET is not set",
        "pagerduty: Err(Final(\"answered with status 403: no such key [secret], really",
    ]) {
        assert!(said.contains(expected), "{said}: {expected}");
    }
    let all = said.concat();
    assert!(!all.contains("hunter2") && !all.contains("R0UTINGKEY"), "{all}");
}

#[tokio::test]
async fn a_persons_answer_reaches_the_incident_of_the_alert() {
    let dir = tempfile::tempdir().unwrap();
    let (pager, heard) = serve(&[ACCEPTED]).await;
    let channels = channels(json!({
        "pagerduty": { "routing_key": secret(&dir, "pd", "R0UTINGKEY"), "url": pager, "levels": ["critical"] },
        "webhook": "http://127.0.0.1:1",
    }));
    let incidents = [("webhook".to_owned(), false), ("pagerduty".to_owned(), true)];
    assert_eq!(channels.for_level(Level::Critical), incidents);
    channels.send(1, &notice(Level::Critical), "run/1").await.unwrap();
    channels.changed(1, "r/k1", false).await.unwrap();
    channels.changed(1, "r/k1", true).await.unwrap();
    let events: Vec<Value> = heard.lock().unwrap().iter().map(|it| body(it)).collect();
    assert_eq!(events[0]["dedup_key"], "paramedic/r/k1");
    assert_eq!(
        events[1..],
        [
            json!({ "routing_key": "R0UTINGKEY", "event_action": "acknowledge", "dedup_key": "paramedic/r/k1" }),
            json!({ "routing_key": "R0UTINGKEY", "event_action": "resolve", "dedup_key": "paramedic/r/k1" }),
        ]
    );
}
