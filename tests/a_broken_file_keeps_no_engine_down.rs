//! An engine that crashes while a rule or a playbook on disk is broken comes back with the last good set, goes on with
//! what was in flight, and says so; only the very first start insists on good files.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(20);

const NOTE: &str = "//! Note.\n//! ---\n//! actions: []\nfn run(ctx) { log(\"info\", ctx.target) }\n";
const WAIT: &str = "//! Wait.\n//! ---\n//! actions: []\n//! timeout: 10m\nfn run(ctx) { let it = wait_for(\"go.on\", \"true\", \"5m\"); it.data.word }\n";

fn rule(name: &str, topic: &str, playbook: &str) -> String {
    format!(
        "  - name: {name}\n    on: {topic}\n    group_by: data.k\n    intent: {{ target: \"${{data.k}}\" }}\n    playbooks: {playbook}\n"
    )
}

fn good() -> String {
    format!("rules:\n{}{}", rule("noted", "it.fell", "note"), rule("waits", "it.waits", "wait"))
}

/// The alert about broken files, if there is one.
async fn alert(engine: &Engine) -> Option<Value> {
    engine.all("/api/alerts").await.into_iter().find(|it| it["key"] == "files/refused")
}

async fn ended(engine: &Engine, target: &str, status: &str) -> Value {
    let is_it = |it: &Value| it["target"] == target && it["status"] == status;
    let path = "/api/intents?limit=100";
    let all = engine.until(path, SOON, |page| page["items"].as_array().unwrap().iter().any(is_it)).await;
    all["items"].as_array().unwrap().iter().find(|it| is_it(it)).unwrap().clone()
}

fn event(id: &str, topic: &str, target: &str) -> Value {
    json!({ "id": id, "topic": topic, "source": "test", "data": { "k": target, "word": "well" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_last_good_set_goes_on_until_the_files_are_mended() {
    let home = Home::new("");
    home.write("playbooks/note.rhai", NOTE);
    home.write("playbooks/wait.rhai", WAIT);
    home.write("rules/all.yaml", &good());
    let mut engine = home.start().await;
    engine.send(event("1", "it.waits", "w1")).await;
    ended(&engine, "w1", "running").await;
    engine.kill();

    home.write("rules/all.yaml", &good().replace("group_by", "grup_by"));
    home.write("playbooks/note.rhai", &NOTE.replace("fn run(ctx) {", "fn run(ctx) {{"));
    home.write("playbooks/wait.rhai", &WAIT.replace("it.data.word", "\"another text\""));
    let mut engine = home.start().await;

    let ready = engine.get("/readyz").await;
    let problem = ready["problems"][0].as_str().unwrap_or_default();
    assert!(problem.contains("last good set") && problem.contains("mistakes"), "{ready}");
    let told = alert(&engine).await.unwrap();
    assert_eq!(told["status"], "active", "{told}");
    assert!(told["message"].as_str().unwrap().contains("grup_by") || problem.contains("note.rhai"), "{told}");
    let rules = engine.get("/api/rules").await;
    let names: Vec<&Value> = rules["items"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(json!(names), json!(["noted", "waits"]));
    assert!(!rules["reload"]["refused_at"].is_null(), "{}", rules["reload"]);
    let wrong: Vec<&Value> =
        rules["reload"]["diagnostics"].as_array().unwrap().iter().map(|it| &it["file"]).collect();
    for file in ["rules/all.yaml", "playbooks/note.rhai"] {
        assert!(wrong.iter().any(|it| it.as_str().unwrap().ends_with(file)), "{file}: {wrong:?}");
    }
    assert!(home.log().contains("the last good rules and playbooks stay"), "{}", home.log());

    engine.send(event("2", "it.fell", "k1")).await;
    ended(&engine, "k1", "succeeded").await;
    engine.send(event("3", "go.on", "w1")).await;
    let waited = ended(&engine, "w1", "succeeded").await;
    let run = engine.get(&format!("/api/runs/{}", waited["attempts"][0]["run"].as_str().unwrap())).await;
    assert_eq!(run["run"]["result"].as_str().or(run["result"].as_str()), Some("well"), "{run}");

    // Once more: the broken files are not taken for the good ones.
    engine.kill();
    let engine = home.start().await;
    engine.send(event("4", "it.fell", "k2")).await;
    ended(&engine, "k2", "succeeded").await;

    home.write("playbooks/note.rhai", NOTE);
    home.write("rules/all.yaml", &format!("rules:\n{}", rule("mended", "it.fell", "note")));
    engine.until("/readyz", SOON, |ready| ready["problems"] == json!([])).await;
    let over = |page: &Value| {
        let all = page["items"].as_array().unwrap();
        all.iter().filter(|it| it["key"] == "files/refused").all(|it| it["status"] == "resolved")
    };
    engine.until("/api/alerts", SOON, over).await;
    assert_eq!(engine.get("/api/rules").await["items"][0]["name"], "mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_mended_while_the_engine_was_down_ends_the_alert_at_the_start() {
    let home = Home::new("");
    home.write("playbooks/note.rhai", NOTE);
    home.write("rules/all.yaml", &format!("rules:\n{}", rule("first", "it.fell", "note")));
    let mut engine = home.start().await;
    fs::rename(home.path("rules"), home.path("elsewhere")).unwrap();
    engine.until("/readyz", SOON, |ready| ready["problems"] != json!([])).await;
    engine.kill();
    let mut engine = home.start().await;
    let rules = engine.get("/api/rules").await;
    assert_eq!(rules["items"][0]["name"], "first", "a folder that is gone is no empty one: {rules}");
    assert_eq!(alert(&engine).await.unwrap()["status"], "active");
    engine.kill();
    fs::rename(home.path("elsewhere"), home.path("rules")).unwrap();
    let engine = home.start().await;
    assert_eq!(engine.get("/readyz").await["problems"], json!([]));
    assert_eq!(alert(&engine).await.unwrap()["status"], "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_insists_on_good_files_and_tells_all_mistakes() {
    let home = Home::new("");
    home.write("playbooks/note.rhai", "fn run(");
    home.write("rules/all.yaml", &good().replace("group_by", "grup_by"));
    let mut engine = home.spawn(&[]);
    assert!(!engine.ready().await, "nothing is known yet that could be gone on with");
    let log = home.log();
    assert!(log.contains("grup_by") && log.contains("note.rhai"), "{log}");
}
