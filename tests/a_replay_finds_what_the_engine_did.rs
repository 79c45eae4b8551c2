//! A replay of the log finds what the engine did, whether the engine runs or not, and says what other rules would change.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::process::{Command, Output};
use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

const PLAYBOOK: &str = "//! Nothing.\n//! ---\n//! risk: low\n//! actions: []\nfn run(ctx) { }\n";

fn rules(count: u32) -> String {
    format!(
        "rules:
  - {{ name: many, on: e.fail, when: data.ms > 1000, group_by: data.k, playbooks: [note], mode: shadow, pattern: {{ count: {count}, within: 5m }}, intent: {{ target: \"${{data.k}}\" }} }}
  - {{ name: quiet, playbooks: [note], group_by: data.k, mode: shadow, pattern: {{ not: {{ on: e.ok }}, after: {{ on: e.start }}, within: 1s, lateness: 100ms }}, intent: {{ target: \"${{data.k}}\" }} }}
  - {{ name: seq, playbooks: [note], group_by: data.k, mode: shadow, pattern: {{ sequence: [{{ on: e.start }}, {{ on: e.fail }}], within: 5m }}, intent: {{ target: \"${{data.k}}\" }} }}
"
    )
}

async fn send(engine: &Engine, topic: &str, k: &str) {
    engine.send(json!({"topic": topic, "source": "test", "data": {"k": k, "ms": 1_200}})).await;
}

fn paramedic(home: &Home, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(args)
        .args(["--config", "paramedic.yaml"])
        .current_dir(home.path("."))
        .env("PARAMEDIC_URL", format!("http://127.0.0.1:{}", home.port))
        .output()
        .unwrap();
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output
}

fn replay(home: &Home, args: &[&str]) -> (Value, i32) {
    let output = paramedic(home, &[&["replay", "--since", "1h", "--json"], args].concat());
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().unwrap())
}

/// Rule, group, time and count of each intent.
fn made(intents: &Value, at: &str) -> Vec<(String, String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one =
        |it: &Value| (text(&it["rule"]), text(&it["group"]), text(&it[at]), it["count"].as_u64().unwrap());
    let mut all: Vec<_> = intents.as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_replayed_gives_the_engines_own_intents_and_other_rules_are_compared() {
    let home = Home::new("");
    home.write("rules/r.yaml", &rules(3));
    std::fs::create_dir(home.path("lower")).unwrap();
    home.write("lower/r.yaml", &rules(2));
    std::fs::create_dir(home.path("broken")).unwrap();
    home.write("broken/r.yaml", &rules(2).replace("when:", "wehn:"));
    home.write("playbooks/note.rhai", PLAYBOOK);
    let mut engine = home.start().await;
    for (topic, k) in
        [("e.fail", "k1"), ("e.start", "k1"), ("e.fail", "k1"), ("e.fail", "k2"), ("e.fail", "k2")]
    {
        send(&engine, topic, k).await;
    }
    engine.kill();
    let mut engine = home.start().await;
    for (topic, k) in
        [("e.fail", "k1"), ("e.fail", "k1"), ("e.start", "k3"), ("e.ok", "k3"), ("e.fail", "k4")]
    {
        send(&engine, topic, k).await;
    }
    // The timer of k1, started before the death, has come as well.
    let quiet = |a: &Value| a["items"].as_array().unwrap().iter().any(|it| it["rule"] == "quiet");
    engine.until("/api/intents", Duration::from_secs(10), quiet).await;
    send(&engine, "e.other", "k1").await;
    let did = made(&json!(engine.all("/api/intents").await), "created_at");
    println!("the engine did {did:#?}");
    assert_eq!(did.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(), ["many", "quiet", "seq"]);
    assert_eq!(did[0].3, 4, "three and one more");

    // While it runs, the engine is asked.
    let (running, status) = replay(&home, &[]);
    assert_eq!((made(&running["intents"], "at"), status), (did.clone(), 0));
    let (lower, status) = replay(&home, &["--against", "lower"]);
    let appears = |answer: &Value| {
        let changes = answer["against"]["changes"].as_array().unwrap();
        let of = |kind: &str| -> Vec<Value> {
            changes.iter().filter(|it| it["change"] == kind).map(|it| it["group"].clone()).collect()
        };
        (of("appears"), of("vanishes"), of("changes"))
    };
    let expected = (vec![json!("k2")], vec![], vec![json!("k1")]);
    assert_eq!((appears(&lower), status), (expected.clone(), 1));
    let (status, problem) = engine
        .post(
            "/api/replay",
            "application/json",
            json!({"since": "1h", "against": [{"path": "x.yaml", "text": "rules: [{ nam: x }]"}]})
                .to_string(),
        )
        .await
        .unwrap();
    assert_eq!((status, &problem["field"]), (422, &json!("against")));
    assert!(problem["detail"].as_str().unwrap().contains("x.yaml:1:"), "{problem}");
    for (question, field) in [
        (json!({"since": "soon"}), "since"),
        (json!({"since": "90d"}), "since"),
        (json!({"since": "1h", "until": "2h"}), "until"),
        (json!({"since": "1h", "limit": 1_000_000}), "limit"),
    ] {
        let (status, problem) =
            engine.post("/api/replay", "application/json", question.to_string()).await.unwrap();
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{problem}");
    }
    let (_, short) = engine
        .post("/api/replay", "application/json", json!({"since": "1h", "limit": 1}).to_string())
        .await
        .unwrap();
    assert_eq!((short["truncated"].clone(), short["omitted"].clone()), (json!(true), json!(2)));

    // When it is dead, its data is read.
    engine.kill();
    let (dead, status) = replay(&home, &[]);
    assert_eq!((made(&dead["intents"], "at"), status), (did, 0));
    let (lower, status) = replay(&home, &["--against", "lower/r.yaml", "--threads", "3"]);
    assert_eq!((appears(&lower), status), (expected, 1));
    let (same, status) = replay(&home, &["--against", "rules"]);
    assert_eq!((&same["against"]["changed"], status), (&json!(false), 0));
    let (broken, status) = replay(&home, &["--against", "broken"]);
    assert_eq!((&broken["diagnostics"][0]["code"], status), (&json!("P0107"), 1));
    let shown = paramedic(&home, &["replay", "--since", "1h", "--against", "lower"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.lines().any(|line| line.starts_with("+ ") && line.contains("many k2")), "{shown}");

    // With neither, it says what it looked for; wrong use is wrong use.
    std::fs::remove_dir_all(home.path("data")).unwrap();
    let neither = paramedic(&home, &["replay", "--since", "1h"]);
    let error = String::from_utf8(neither.stderr).unwrap();
    assert!(error.contains("there is no log in") && error.contains("no engine answers"), "{error}");
    assert_eq!(neither.status.code(), Some(1));
    assert!(!home.path("data").exists(), "nothing is made");
    for args in [&["replay"][..], &["replay", "--since", "soon"], &["replay", "--events", "none.jsonl"]] {
        assert_eq!(paramedic(&home, args).status.code(), Some(2), "{args:?}");
    }
}
