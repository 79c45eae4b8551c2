//! Whatever is wrong — a rule file, a playbook, a body, a topic, too much at once — is answered clearly, and the engine
//! goes on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::process::Command;
use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

const RULES: &str = r#"
rules:
  - name: mend
    on: [test.fail]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
"#;

const PLAYBOOK: &str = r#"//! Do nothing.
//! ---
//! risk: low
//! cost: 1s
//! timeout: 1m
//! actions: []

fn run(ctx) { ctx.target }
fn verify(ctx) { true }
"#;

fn home(more: &str) -> Home {
    let home = Home::new(more);
    home.write("rules/mend.yaml", RULES);
    home.write("playbooks/mend.rhai", PLAYBOOK);
    home
}

async fn still_works(engine: &Engine, n: &str) {
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": n}})).await;
    let path = format!("/api/intents?target={n}");
    engine.until(&path, Duration::from_secs(10), |a| a["items"][0]["status"] == "succeeded").await;
}

/// Starts an engine that cannot start and returns what it says.
fn refused(home: &Home) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(["run", "--config"])
        .arg(home.path("paramedic.yaml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_malformed_rule_file_at_the_start_is_named_with_line_and_column() {
    let home = home("");
    home.write("rules/mend.yaml", "rules:\n  - name: mend\n    on: [test.fail\n    playbooks: [mend]\n");
    let said = refused(&home);
    assert!(said.contains("mend.yaml:") && said.contains("error["), "{said}");
    home.write("rules/mend.yaml", &RULES.replace("group_by", "groupby"));
    let said = refused(&home);
    assert!(said.contains("groupby") && said.contains("group_by"), "the right key is suggested: {said}");
}

#[test]
fn a_playbook_that_does_not_compile_is_named_with_line_and_column() {
    let home = home("");
    home.write("playbooks/mend.rhai", &PLAYBOOK.replace("{ ctx.target }", "{ ctx.target"));
    let said = refused(&home);
    assert!(said.contains("mend.rhai:") && said.contains("error["), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_while_running_changes_nothing_and_is_told_and_a_good_one_is_live_within_a_second() {
    let home = home("");
    let engine = home.start().await;
    home.write("rules/mend.yaml", "rules: [ {");
    let told = engine
        .until("/api/rules", Duration::from_secs(2), |rules| !rules["reload"]["refused_at"].is_null())
        .await;
    assert_eq!(told["items"][0]["name"], "mend", "the last good set stays");
    assert_eq!(told["reload"]["diagnostics"][0]["severity"], "error");
    still_works(&engine, "a").await;

    home.write("playbooks/mend.rhai", "fn run(ctx) {");
    still_works(&engine, "b").await;

    home.write("playbooks/mend.rhai", PLAYBOOK);
    home.write("rules/mend.yaml", &RULES.replace("name: mend", "name: mend-anew"));
    engine
        .until("/api/rules", Duration::from_secs(1), |rules| rules["items"][0]["name"] == "mend-anew")
        .await;
    still_works(&engine, "c").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_in_a_playbook_ends_that_run_and_no_other() {
    let home = home("");
    home.write(
        "playbooks/mend.rhai",
        &PLAYBOOK.replace("{ ctx.target }", "{ if ctx.target == \"loop\" { loop { } } }"),
    );
    let engine = home.start().await;
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "loop"}})).await;
    let ended = engine
        .until("/api/intents?target=loop", Duration::from_secs(10), |a| a["items"][0]["status"] == "failed")
        .await;
    let message = ended["items"][0]["attempts"][0]["message"].as_str().unwrap();
    assert!(message.contains("mend.rhai"), "where it was is said: {message}");
    still_works(&engine, "other").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_fails_does_not_hold_and_is_counted_where_rules_are_shown() {
    let home = home("");
    let when = "    when: 10 / data.left < 5\n    group_by";
    home.write("rules/mend.yaml", &RULES.replace("    group_by", when));
    let engine = home.start().await;
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "x", "left": 0}})).await;
    let rules =
        engine.until("/api/rules", Duration::from_secs(5), |r| r["items"][0]["failed"]["count"] == 1).await;
    assert!(rules["items"][0]["failed"]["last"].as_str().unwrap().contains("zero"), "{rules:#}");
    assert_eq!(engine.get("/api/intents").await["items"], json!([]));
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": "y", "left": 5}})).await;
    engine
        .until("/api/intents?target=y", Duration::from_secs(10), |a| a["items"][0]["status"] == "succeeded")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_rubbish_or_a_topic_that_is_none_is_refused_with_its_place() {
    let engine = home("").start().await;
    let good = json!({"topic": "test.fail", "source": "test", "data": {"n": "x"}}).to_string();
    let cases: [(&str, String, u16, &str); 7] = [
        ("application/json", "\u{1}\u{2} rubbish".into(), 400, "detail"),
        ("application/json", json!({"topic": "a..b", "source": "t"}).to_string(), 400, "topic"),
        ("application/json", json!({"topic": "a.*", "source": "t"}).to_string(), 400, "topic"),
        ("application/json", json!({"source": "t"}).to_string(), 400, "topic"),
        ("application/x-ndjson", format!("{good}\n{{\"topic\": 5}}\n"), 400, "topic"),
        ("text/html", "<p>".into(), 415, "detail"),
        ("application/cloudevents+json", json!({"specversion": "1.0", "id": "1"}).to_string(), 400, "detail"),
    ];
    for (kind, body, status, word) in cases {
        let (got, answer) = engine.post("/api/events", kind, body.clone()).await.unwrap();
        assert_eq!(got, status, "{kind} {body}: {answer}");
        assert!(answer.to_string().contains(word), "{kind} {body}: {answer}");
    }
    let (_, answer) =
        engine.post("/api/events", "application/x-ndjson", format!("{good}\nrubbish\n")).await.unwrap();
    assert_eq!(answer["index"], 1, "the second line is named: {answer}");
    let events = engine.get("/api/events?topic=test.fail").await;
    assert_eq!(events["items"], json!([]), "a batch is taken whole or not at all");
    // A topic that no rule knows is an event like any other.
    engine.send(json!({"topic": "nobody.listens", "source": "test"})).await;
    still_works(&engine, "y").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_than_the_inbox_holds_is_answered_with_a_time_to_come_back_and_nothing_of_it_is_taken() {
    let engine = home("limits: { inbox: 50 }\n").start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut posts = tokio::task::JoinSet::new();
    for n in 0..200 {
        let events: Vec<Value> = (0..25)
            .map(|i| json!({"id": format!("{n}-{i}"), "topic": "flood.it", "source": "test", "data": {}}))
            .collect();
        let request = client.post(format!("{}/api/events", engine.url)).json(&events);
        posts.spawn(async move {
            let answer = request.send().await.unwrap();
            let again = answer.headers().get("retry-after").is_some();
            (answer.status().as_u16(), again)
        });
    }
    let answers = posts.join_all().await;
    let taken = answers.iter().filter(|(status, _)| *status == 202).count();
    let refused = answers.iter().filter(|(status, again)| *status == 429 && *again).count();
    println!("of 200 batches at once {taken} were taken and {refused} told to come back");
    assert_eq!(taken + refused, 200, "{answers:?}");
    assert!(refused > 0, "the inbox was never full: the test proves nothing");
    assert_eq!(engine.all("/api/events?topic=flood.it").await.len(), taken * 25);
    still_works(&engine, "z").await;
}

#[tokio::test]
async fn every_refusal_is_a_problem_document_also_where_the_address_or_the_query_is_wrong() {
    let home = home("");
    let engine = home.start().await;
    for (method, path, status, told) in [
        ("GET", "/nothing/here", 404, "GET / lists"),
        ("PUT", "/api/events", 405, "does not take that method"),
        ("GET", "/api/intents/%ff", 400, "UTF-8"),
        ("POST", "/api/kernels/%ff/restart", 400, "UTF-8"),
        ("GET", "/api/events?limit=many", 400, "limit"),
        ("GET", "/api/events?cursor=here", 400, "next_cursor"),
        ("GET", "/api/intents?cursor=here", 400, "next_cursor"),
        ("GET", "/api/runs/nothing", 404, "not the id of a run"),
        ("POST", "/api/intents", 415, "application/json"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = reqwest::Client::new().request(method.clone(), format!("{}{path}", engine.url));
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_string();
        let got = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert_eq!((got, kind.as_str()), (status, "application/problem+json"), "{method} {path}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(told), "{method} {path}: {body}");
        assert_eq!(body["status"], status, "{body}");
    }
    // A page that somebody has open in a browser.
    let events = format!("{}/api/events", engine.url);
    let request = reqwest::Client::new().post(&events).header("origin", "https://evil.example");
    let request = request.header("content-type", "application/json").body(r#"{"topic": "test.fail"}"#);
    let answer = request.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
        (403, "application/problem+json")
    );
    still_works(&engine, "after").await;
}
