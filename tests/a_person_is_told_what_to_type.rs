//! Whoever is asked something sees the question and the very command that answers it; whoever takes the wrong command, or
//! writes only the beginning of an id, is told the right one.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(20);

const RULES: &str = r#"
rules:
  - { name: asks, on: it.asks, group_by: data.k, intent: { target: "${data.k}" }, playbooks: asks }
  - { name: may, on: it.may, mode: ask, group_by: data.k, intent: { target: "${data.k}" }, playbooks: quick }
  - { name: waits, on: it.waits, group_by: data.k, intent: { target: "${data.k}" }, playbooks: waits }
"#;

fn paramedic(engine: &Engine, line: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    let out = command.args(line).args(["--url", &engine.url]).env("NO_COLOR", "1").output().unwrap();
    (out.status.success(), String::from_utf8([out.stdout, out.stderr].concat()).unwrap())
}

fn home() -> Home {
    let home = Home::new("");
    home.write("rules/all.yaml", RULES);
    for (name, run) in [
        (
            "asks",
            "let said = ask(\"Go on?\", [\"yes\", \"not now\"], \"5m\"); if said != \"yes\" { fail(said) }",
        ),
        ("quick", ""),
        ("waits", "wait_for(\"never.comes\", \"5m\");"),
    ] {
        let text = format!("//! It.\n//! ---\n//! timeout: 10m\n//! actions: []\nfn run(ctx) {{ {run} }}\n");
        home.write(&format!("playbooks/{name}.rhai"), &text);
    }
    home
}

async fn send(engine: &Engine, id: &str, topic: &str, target: &str) -> String {
    engine.send(json!({ "id": id, "topic": topic, "source": "test", "data": { "k": target } })).await;
    let path = format!("/api/intents?target={target}");
    let all = engine.until(&path, SOON, |it| it["items"][0]["id"].is_string()).await;
    all["items"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_answers_is_shown_and_a_wrong_one_is_put_right() {
    let home = home();
    let engine = home.start().await;
    let id = send(&engine, "1", "it.asks", "k1").await;
    let path = format!("/api/intents/{id}");
    let intent = engine.until(&path, SOON, |it| it["question"].is_object()).await;
    let question = intent["question"]["name"].as_str().unwrap();
    let (_, shown) = paramedic(&engine, &["intents", "show", &id]);
    for part in [
        "Go on?".to_owned(),
        intent["question"]["until"].as_str().unwrap().to_owned(),
        format!("paramedic intents answer {id} yes --question {question}\n"),
        format!("paramedic intents answer {id} 'not now' --question {question}\n"),
    ] {
        assert!(shown.contains(&part), "{part}: {shown}");
    }
    for wrong in ["approve", "deny"] {
        let (fine, told) = paramedic(&engine, &["intents", wrong, &id]);
        let right = format!("`paramedic intents answer {id} TEXT`, with yes, not now");
        assert!(!fine && told.contains(&right), "{wrong}: {told}");
    }
    let may = send(&engine, "2", "it.may", "k2").await;
    engine.until(&format!("/api/intents/{may}"), SOON, |it| it["status"] == "awaiting_approval").await;
    let (fine, told) = paramedic(&engine, &["intents", "answer", &may, "yes"]);
    assert!(!fine && told.contains(&format!("`paramedic intents approve {may}`")), "{told}");
    let (_, shown) = paramedic(&engine, &["intents", "show", &may]);
    assert!(shown.contains(&format!("    paramedic intents approve {may}\n")), "{shown}");

    // What has ended asks nothing any more.
    let (fine, told) = paramedic(&engine, &["intents", "cancel", &id]);
    assert!(fine, "{told}");
    let (_, shown) = paramedic(&engine, &["intents", "show", &id]);
    assert!(shown.contains("0 over      ask") && !shown.contains("started"), "{shown}");
    assert!(!shown.contains("intents answer"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_an_id_is_enough_where_no_other_begins_like_it() {
    let home = home();
    let engine = home.start().await;
    let one = send(&engine, "1", "it.may", "k1").await;
    // Ids begin with the time, in milliseconds.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let other = send(&engine, "2", "it.may", "k2").await;
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let (fine, shown) = paramedic(&engine, &["intents", "show", &one[..=same].to_lowercase(), "--json"]);
    let intent: Value = serde_json::from_str(&shown).unwrap();
    assert!(fine && intent["id"] == one.as_str(), "{shown}");
    let (fine, told) = paramedic(&engine, &["intents", "approve", &one[..4]]);
    assert!(!fine && told.contains(&one) && told.contains(&other) && told.contains("several"), "{told}");
    for (given, told) in [("0000", "no intent's id begins with `0000`"), ("01", "at least 4 characters")] {
        let (fine, said) = paramedic(&engine, &["intents", "retry", given]);
        assert!(!fine && said.contains(told), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_only_waits_does_not_hold_up_the_end_of_the_engine() {
    let home = home();
    let mut engine = home.start().await;
    let asks = send(&engine, "1", "it.asks", "k1").await;
    engine.until(&format!("/api/intents/{asks}"), SOON, |it| it["question"].is_object()).await;
    let waits = send(&engine, "2", "it.waits", "k2").await;
    let waiting = |it: &Value| it["status"] == "running";
    engine.until(&format!("/api/intents/{waits}"), SOON, waiting).await;
    let began = Instant::now();
    assert!(engine.stop(), "{}", home.log());
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());

    // They wait on in the next life.
    let engine = home.start().await;
    let (fine, told) = paramedic(&engine, &["intents", "answer", &asks, "yes"]);
    assert!(fine, "{told}");
    engine.until(&format!("/api/intents/{asks}"), SOON, |it| it["status"] == "succeeded").await;
    assert_eq!(engine.get(&format!("/api/intents/{waits}")).await["status"], "running");
}
