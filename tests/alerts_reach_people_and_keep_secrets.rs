//! An alert of a playbook and one of the engine itself reach the channels of the configuration; a person's answer
//! reaches the pager, a crash keeps nobody in the dark; and no secret is to be found in anything that the engine keeps, says or shows.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Engine, Home};
use serde_json::{Value, json};

/// Secrets that look like nothing else; each stands in another place of the configuration.
const CANARIES: [&str; 4] =
    ["canary-slack-8f3a", "canary-pager-77d1", "canary-header-c0de", "canary-token-51ab"];

type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers each request by repeating what it was sent, with `status`; keeps the whole request and its body.
fn listen(status: &'static str) -> (String, Heard) {
    listen_at("127.0.0.1:0", status)
}

fn listen_at(address: &str, status: &'static str) -> (String, Heard) {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Heard::default();
    let keep = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let body = loop {
                let mut part = [0; 4096];
                let n = stream.read(&mut part).unwrap();
                request.extend(&part[..n]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .to_lowercase()
                    .lines()
                    .find_map(|it| it.strip_prefix("content-length: ").map(str::to_owned));
                if n == 0 || body.len() >= length.and_then(|it| it.parse().ok()).unwrap_or(0) {
                    break serde_json::from_str(body).unwrap_or_default();
                }
            };
            let text = String::from_utf8(request).unwrap();
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                text.len()
            )
            .unwrap();
            keep.lock().unwrap().push((text, body));
        }
    });
    (address, heard)
}

async fn until(heard: &Heard, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some((_, body)) = heard.lock().unwrap().iter().find(|(_, body)| fits(body)) {
            return body.clone();
        }
        assert!(Instant::now() < deadline, "{what}: {:#?}", heard.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ask(engine: &Engine, playbook: &str, target: &str, params: Value) -> Value {
    let wish = json!({ "goal": "g", "target": target, "playbooks": [playbook], "params": params });
    let (status, answer) = engine.post("/api/intents", "application/json", wish.to_string()).await.unwrap();
    assert!((200..300).contains(&status), "{status} {answer}");
    let path = format!("/api/intents/{}", answer["id"].as_str().unwrap());
    let over = ["succeeded", "failed", "escalated", "denied"];
    engine.until(&path, Duration::from_secs(30), |it| over.contains(&it["status"].as_str().unwrap())).await
}

/// Every file below `dir` that holds one of the secrets, but for those that the secrets were put into.
fn leaks(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            leaks(&path, found);
        } else if !path.ends_with("secret") {
            let bytes = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            found.extend(
                CANARIES
                    .iter()
                    .filter(|it| text.contains(**it))
                    .map(|it| format!("{it} in {}", path.display())),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_reach_the_channels_answers_reach_the_pager_and_secrets_stay_secret() {
    let (slack, slack_heard) = listen("200 OK");
    let (pager, pager_heard) = listen("202 Accepted");
    let (web, web_heard) = listen("400 Bad Request");
    let (service, _) = listen("200 OK");
    let home = Home::new(&format!(
        "actions:\n  \
           http: {{ allow: [\"{service}\"], secrets: {{ token: {{ from: {{ env: SERVICE_TOKEN }}, to: [\"{service}\"] }} }} }}\n  \
           alert:\n    \
             slack: {{ url: {{ env: SLACK_URL }}, levels: [warning, critical] }}\n    \
             pagerduty: {{ routing_key: {{ file: secret }}, url: \"http://{pager}/v2/enqueue\", levels: [critical] }}\n    \
             webhook: {{ url: \"http://{web}/in\", headers: {{ authorization: {{ env: HOOK_TOKEN }} }} }}\n    \
             give_up_after: 1h\n"
    ))
    .with_shipped();
    fs::write(home.path("secret"), CANARIES[1]).unwrap();
    home.write(
        "playbooks/call.rhai",
        &format!(
            "//! Calls a service.\n//! ---\n//! risk: low\n//! actions: [http.request]\nfn run(ctx) {{\n    \
             act(\"http.request\", #{{ url: \"http://{service}/\", headers: #{{ authorization: #{{ secret: \"token\" }} }} }})\n}}\n"
        ),
    );
    home.write(
        "playbooks/breaks.rhai",
        "//! Breaks.\n//! ---\n//! risk: low\nfn run(ctx) { fail(\"no way\") }\n",
    );
    let slack_url = format!("http://{slack}/services/{}", CANARIES[0]);
    let env = [
        ("SLACK_URL", slack_url.as_str()),
        ("HOOK_TOKEN", CANARIES[2]),
        ("SERVICE_TOKEN", CANARIES[3]),
        ("RUST_LOG", "debug"),
    ];
    let engine = home.start_with(&env).await;

    let intent =
        ask(&engine, "alert_operator", "k1", json!({ "title": "k1 is down", "level": "critical" })).await;
    let run = engine.get(&format!("/api/runs/{}", intent["attempts"][0]["run"].as_str().unwrap())).await;
    let told = &run["steps"][0]["result"]["channels"];
    let status =
        |kind: &str| told.as_array().unwrap().iter().find(|it| it["kind"] == kind).unwrap()["status"].clone();
    assert_eq!([status("slack"), status("pagerduty"), status("webhook")], ["queued"; 3], "{run:#}");
    let trigger = until(&pager_heard, "a page", |it| it["event_action"] == "trigger").await;
    assert_eq!(
        (&trigger["routing_key"], &trigger["payload"]["summary"]),
        (&json!(CANARIES[1]), &json!("k1 is down"))
    );
    let titled = |it: &Value| it.to_string().contains("k1 is down");
    until(&slack_heard, "a message", titled).await;
    until(&web_heard, "a request", titled).await;
    assert!(slack_heard.lock().unwrap()[0].0.starts_with(&format!("POST /services/{} ", CANARIES[0])));
    assert!(web_heard.lock().unwrap()[0].0.contains(&format!("authorization: {}", CANARIES[2])));

    // What became of it at each channel is shown with the alert.
    let of = |answer: &Value| answer["items"].as_array().unwrap().iter().find(|it| titled(it)).cloned();
    let became = |answer: &Value| {
        let Some(alert) = of(answer) else { return false };
        ["slack", "pagerduty", "webhook"].map(|it| alert["channels"][it]["status"].clone())
            == ["sent", "sent", "failing"]
    };
    let alert = of(&engine.until("/api/alerts", Duration::from_secs(20), became).await).unwrap();
    assert!(alert["channels"]["webhook"]["why"].as_str().unwrap().contains("status 400"), "{alert:#}");
    assert!(alert["channels"]["slack"]["sent_at"].is_string(), "{alert:#}");
    for (answer, action) in [("ack", "acknowledge"), ("resolve", "resolve")] {
        let path = format!("/api/alerts/{}/{answer}", alert["id"].as_str().unwrap());
        let (status, body) = engine.post(&path, "application/json", "").await.unwrap();
        assert_eq!(status, 200, "{body}");
        let heard = until(&pager_heard, action, |it| it["event_action"] == action).await;
        assert_eq!(heard["dedup_key"], trigger["dedup_key"]);
    }

    let (status, _) = engine
        .post(&format!("/api/alerts/{}/ack", alert["id"].as_str().unwrap()), "application/json", "")
        .await
        .unwrap();
    assert_eq!(status, 409, "it is over");

    // What the engine itself has to say goes the same way.
    ask(&engine, "breaks", "k2", json!({})).await;
    let by_engine = |it: &Value| it["attachments"].to_string().contains("k2");
    until(&slack_heard, "the engine's own alert", by_engine).await;

    let intent = ask(&engine, "call", "k3", json!({})).await;
    let run = engine.get(&format!("/api/runs/{}", intent["attempts"][0]["run"].as_str().unwrap())).await;
    assert!(run["steps"].to_string().contains("[secret]"), "the service repeated it: {run:#}");

    for path in [
        "/metrics",
        "/api/alerts",
        "/api/intents",
        "/api/actions",
        "/api/playbooks",
        "/api/rules",
        "/api/observability/alerts",
    ] {
        let text = engine.text(path).await;
        assert!(!CANARIES.iter().any(|it| text.contains(it)), "{path}");
    }
    let mut engine = engine;
    assert!(engine.stop());
    let mut found = Vec::new();
    leaks(&home.path("."), &mut found);
    assert!(found.is_empty(), "{found:#?}");
    assert!(!home.log().is_empty() && home.path("data").is_dir(), "there was something to look at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_told_even_if_the_engine_died_before_it_was_and_is_over_once_it_is_answered() {
    // A service that takes connections and says nothing until it is let.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let home =
        Home::new(&format!("actions: {{ alert: {{ webhook: {{ url: \"http://{address}/in\" }} }} }}\n"));
    home.write(
        "playbooks/asks.rhai",
        "//! Asks.\n//! ---\n//! risk: low\nfn run(ctx) { ask(\"Go on?\", [\"yes\", \"no\"], \"10m\") }\n",
    );
    let mut engine = home.start().await;
    let wish = json!({ "goal": "Mend k1", "target": "k1", "playbooks": ["asks"] }).to_string();
    let (_, intent) = engine.post("/api/intents", "application/json", wish).await.unwrap();
    let id = intent["id"].as_str().unwrap().to_owned();
    let soon = Duration::from_secs(20);
    let listed = engine.until("/api/alerts", soon, |it| it["items"][0]["title"] == "Go on?").await;
    assert_eq!(listed["items"][0]["telling"], true, "{listed:#}");
    engine.kill();
    drop(silent);
    let (_, heard) = listen_at(&address.to_string(), "200 OK");
    let engine = home.start().await;
    until(&heard, "the question", |it| it["title"] == "Go on?").await;
    let told = engine.until("/api/alerts", soon, |it| it["items"][0]["telling"].is_null()).await;
    assert_eq!(told["items"][0]["status"], "active", "{told:#}");
    let path = format!("/api/intents/{id}/answer");
    let (status, said) =
        engine.post(&path, "application/json", json!({"answer": "yes"}).to_string()).await.unwrap();
    assert_eq!(status, 204, "{said}");
    engine.until("/api/alerts", soon, |it| it["items"][0]["status"] == "resolved").await;

    // The same where a person ends the intent instead.
    let wish = json!({ "goal": "Mend k2", "target": "k2", "playbooks": ["asks"] }).to_string();
    let (_, intent) = engine.post("/api/intents", "application/json", wish).await.unwrap();
    let open =
        |it: &Value| it["items"].as_array().unwrap().iter().filter(|it| it["status"] == "active").count();
    engine.until("/api/alerts", soon, |it| open(it) == 1).await;
    let path = format!("/api/intents/{}/cancel", intent["id"].as_str().unwrap());
    assert_eq!(engine.post(&path, "application/json", "").await.unwrap().0, 200);
    engine.until("/api/alerts", soon, |it| open(it) == 0).await;
}

/// Takes connections and never answers.
fn hang() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            kept.push(stream);
        }
    });
    address
}

fn titles(heard: &Heard) -> String {
    heard.lock().unwrap().iter().map(|(_, body)| format!("{} {}\n", body["title"], body["message"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_with_dead_channels_delays_no_repair_and_loses_no_critical_alert_over_a_kill() {
    const STORM: usize = 300;
    let (healthy, heard) = listen("200 OK");
    let (broken, _) = listen("500 Oops");
    let home = Home::new(&format!(
        "actions: {{ alert: {{ per_minute: 10, webhook: [ {{ name: dead, url: \"http://{}\" }}, {{ name: broken, url: \"http://{broken}\" }}, {{ name: fine, url: \"http://{healthy}\" }} ] }} }}\n",
        hang()
    ));
    home.write(
        "rules/storm.yaml",
        "rules:\n  - { name: low, on: low.fell, group_by: subject, intent: { goal: \"Mend ${subject}\", target: \"${subject}\" }, playbooks: [fails] }\n  \
           - { name: top, on: top.fell, group_by: subject, intent: { goal: \"Mend ${subject}\", target: \"${subject}\", priority: critical }, playbooks: [fails] }\n  \
           - { name: good, on: good.fell, group_by: subject, intent: { target: \"${subject}\" }, playbooks: [tells] }\n",
    );
    home.write(
        "playbooks/fails.rhai",
        "//! Breaks.\n//! ---\n//! risk: low\nfn run(ctx) { fail(\"no way\") }\n",
    );
    home.write(
        "playbooks/tells.rhai",
        "//! Tells.\n//! ---\n//! risk: low\n//! actions: [alert.operator]\nfn run(ctx) { act(\"alert.operator\", #{ title: \"repaired\" }) }\nfn verify(ctx) { true }\n",
    );
    let mut engine = home.start().await;
    let event = |topic: &str, n: usize| json!({ "id": format!("{topic}{n}"), "topic": topic, "source": "test", "subject": format!("h{n}") });
    let mut events: Vec<Value> = (0..STORM).map(|n| event("low.fell", n)).collect();
    events.insert(STORM / 2, event("top.fell", 9_999));
    engine.post("/api/events", "application/json", Value::from(events).to_string()).await.unwrap();
    engine.send(event("good.fell", 1)).await;
    // The repair that tells is over while the dead channel hangs.
    let soon = Duration::from_secs(60);
    let path = "/api/intents?rule=good";
    let intent =
        engine.until(path, soon, |it| it["items"][0]["status"] == "succeeded").await["items"][0].clone();
    let at = |key: &str| {
        chrono::DateTime::parse_from_rfc3339(intent["attempts"][0][key].as_str().unwrap()).unwrap()
    };
    assert!((at("ended_at") - at("started_at")).num_seconds() < 8, "{intent:#}");
    until(&heard, "the critical one", |it| it["title"].as_str().is_some_and(|it| it.contains("h9999"))).await;
    let ended = |it: &Value| it["items"].as_array().unwrap().len() == STORM;
    engine.until("/api/intents?rule=low&status=failed&limit=1000", soon, ended).await;
    engine.kill();

    let mut engine = home.start().await;
    let alerts = engine.all("/api/alerts").await;
    let told = |name: &str, status: &str| {
        alerts.iter().filter(|it| it["channels"][name]["status"] == status).count()
    };
    assert_eq!(alerts.len(), STORM + 2, "each is on the list");
    assert!(told("fine", "sent") >= 10 && told("dead", "sent") == 0 && told("broken", "sent") == 0);
    let top = alerts.iter().find(|it| it["level"] == "critical").unwrap();
    assert_eq!(top["channels"]["fine"]["status"], "sent", "{top:#}");
    let fails = |it: &Value| {
        let top =
            it["items"].as_array().unwrap().iter().find(|it| it["level"] == "critical").cloned().unwrap();
        ["dead", "broken"].iter().all(|name| {
            top["channels"][*name]["status"] == "failing" && top["channels"][*name]["why"].is_string()
        })
    };
    engine.until("/api/alerts?limit=1000", soon, fails).await;
    // All of the storm reaches the channel that works: a few one by one, the rest in digests.
    let all = |it: &Value| {
        it["items"].as_array().unwrap().iter().all(|it| it["channels"]["fine"]["status"] == "sent")
    };
    engine.until("/api/alerts?limit=1000", Duration::from_secs(120), all).await;
    assert!(titles(&heard).contains("more alerts: "), "{}", titles(&heard));
    assert!(heard.lock().unwrap().len() < 60, "{} requests for {STORM} alerts", heard.lock().unwrap().len());
    let problems = |it: &Value| it["problems"].to_string().contains("Alert channel broken has failed since");
    engine.until("/readyz", soon, problems).await;
    let numbers = engine.text("/metrics").await;
    for line in [
        "paramedic_alerts_sent_total{channel=\"fine\"}",
        "paramedic_alert_sends_failed_total{channel=\"broken\"}",
        "paramedic_alert_queue_depth{channel=\"dead\"}",
    ] {
        assert!(numbers.contains(line), "{line}");
    }
    assert!(engine.stop());
}
