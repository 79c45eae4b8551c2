//! A run that waits outlives kills, edits and long journals: it goes on with the script it began with, and where it was.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

fn home(run: &str) -> Home {
    let home = Home::new("");
    home.write(
        "rules/rules.yaml",
        "rules:\n  - name: mend\n    on: test.fail\n    group_by: data.n\n    intent: { goal: Mend, target: \"${data.n}\" }\n    playbooks: [mend]\n",
    );
    home.write("playbooks/mend.rhai", &playbook(run));
    home
}

fn playbook(run: &str) -> String {
    format!(
        "//! Mend it.\n//! ---\n//! risk: low\n//! timeout: 5m\n//! actions: []\n\nfn run(ctx) {{\n{run}\n}}\nfn verify(ctx) {{ true }}\n"
    )
}

async fn fail(engine: &Engine, n: &str) {
    engine.send(json!({"topic": "test.fail", "source": "test", "data": {"n": n}})).await;
}

/// Waits until the latest run of the only intent has `count` steps, the last of them begun; gives the run.
async fn waits(engine: &Engine, count: usize) -> Value {
    let intents =
        engine.until("/api/intents", SOON, |a| a["items"][0]["attempts"][0]["run"].is_string()).await;
    let path = format!("/api/runs/{}", intents["items"][0]["attempts"][0]["run"].as_str().unwrap());
    let last = |run: &Value| run["steps"].as_array().and_then(|all| all.last().cloned());
    engine
        .until(&path, SOON, |run| {
            run["steps"].as_array().is_some_and(|all| all.len() == count)
                && last(run).unwrap()["status"] == "started"
        })
        .await
}

async fn result(engine: &Engine) -> Value {
    let over = |a: &Value| a["items"][0]["status"] == "succeeded";
    let intents = engine.until("/api/intents", SOON, over).await;
    let run = intents["items"][0]["attempts"][0]["run"].as_str().unwrap().to_owned();
    engine.get(&format!("/api/runs/{run}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_while_it_waits_and_a_kill_do_not_change_what_it_does() {
    let home = home(
        r#"let at = now(); let event = wait_for("test.go", "subject == target", "2m"); ["old", at, event.data.x]"#,
    );
    let mut engine = home.start().await;
    fail(&engine, "t1").await;
    let before = waits(&engine, 2).await;
    home.write("playbooks/mend.rhai", &playbook(r#"sleep("1s"); "new""#));
    engine
        .until("/api/playbooks", SOON, |a| {
            a.to_string().contains("mend") && {
                let hash = a["items"][0]["hash"].as_str();
                hash.is_some() && hash != before["source_hash"].as_str()
            }
        })
        .await;
    engine.kill();
    let mut engine = home.start().await;
    // Neither of these is the one: another topic, another subject.
    engine.send(json!({"topic": "test.come", "source": "test", "subject": "t1"})).await;
    engine.send(json!({"topic": "test.go", "source": "test", "subject": "t2"})).await;
    engine.kill();
    let engine = home.start().await;
    engine.send(json!({"topic": "test.go", "source": "test", "subject": "t1", "data": {"x": 7}})).await;
    let run = result(&engine).await;
    assert_eq!(run["result"], json!(["old", before["steps"][0]["result"], 7]), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_just_before_the_engine_died_is_not_missed() {
    let home = home(r#"let event = wait_for("test.go", "2m"); event.data.x"#);
    let mut engine = home.start().await;
    fail(&engine, "t1").await;
    waits(&engine, 1).await;
    // It is durable, and the engine dies before anybody can act on it.
    let go = json!({"topic": "test.go", "source": "test", "data": {"x": 8}}).to_string();
    engine.kill();
    let mut engine = home.start_with(&[("FAILPOINTS", "worker=return")]).await;
    drop(engine.post("/api/events", "application/json", go).await);
    engine.kill();
    let engine = home.start().await;
    assert_eq!(result(&engine).await["result"], 8, "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_run_goes_on_with_an_empty_journal_and_what_it_carries() {
    let home = home(
        r#"let page = if "carried" in ctx { ctx.carried.page } else { 0 };
        for i in 0..20 { log("info", `page ${page} line ${i}`); }
        if page < 5 { continue_as_new(#{ page: page + 1 }); }
        let event = wait_for("test.go", "2m");
        [page, steps(), event.topic]"#,
    );
    let mut engine = home.start().await;
    fail(&engine, "t1").await;
    let intents = engine.until("/api/intents", SOON, |a| a["items"][0]["id"].is_string()).await;
    let path = format!("/api/intents/{}", intents["items"][0]["id"].as_str().unwrap());
    engine.until(&path, SOON, |intent| intent["runs"].as_array().unwrap().len() == 6).await;
    waits(&engine, 21).await;
    engine.kill();
    let engine = home.start().await;
    engine.send(json!({"topic": "test.go", "source": "test"})).await;
    let run = result(&engine).await;
    assert_eq!(run["result"], json!([5, 21, "test.go"]), "{}", home.log());
    let intent = engine.get("/api/intents").await["items"][0].clone();
    assert_eq!(intent["attempts"].as_array().unwrap().len(), 1, "it is one attempt: {intent:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_that_a_person_ends_while_its_playbook_waits_frees_its_target() {
    // Once it stands aside, and just before it does.
    for faults in [[].as_slice(), &[("FAILPOINTS", "parking=sleep(1000)")]] {
        ended_while_it_waits(faults).await;
    }
}

async fn ended_while_it_waits(faults: &[(&str, &str)]) {
    let home = home(r#"wait_for("test.go", "2m")"#);
    let engine = home.start_with(faults).await;
    fail(&engine, "t1").await;
    let run = waits(&engine, 1).await;
    let id = run["intent"].as_str().unwrap().to_owned();
    let answer = engine.post(&format!("/api/intents/{id}/cancel"), "application/json", "").await;
    assert_eq!(answer.unwrap().0, 200);
    let path = format!("/api/runs/{}", run["id"].as_str().unwrap());
    engine.until(&path, SOON, |run| run["status"] == "cancelled").await;
    fail(&engine, "t1").await;
    let second = |a: &Value| a["items"].as_array().unwrap().iter().any(|it| it["status"] == "running");
    engine.until("/api/intents", SOON, second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_does_not_count_for_the_next_question() {
    let home = home(r#"[ask("one?", ["yes", "no"], "1m"), ask("two?", ["yes", "no"], "1m")]"#);
    let engine = home.start().await;
    fail(&engine, "t1").await;
    let run = waits(&engine, 1).await;
    let path = format!("/api/intents/{}/answer", run["intent"].as_str().unwrap());
    let say = |step: usize, word: &str| {
        let question = format!("{}/{step}", run["id"].as_str().unwrap());
        let said = json!({"answer": word, "question": question}).to_string();
        engine.post(&path, "application/json", said)
    };
    assert_eq!(say(0, "yes").await.unwrap().0, 204);
    waits(&engine, 2).await;
    let (status, problem) = say(0, "yes").await.unwrap();
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("two?"), "{problem}");
    assert_eq!(say(1, "no").await.unwrap().0, 204);
    assert_eq!(result(&engine).await["result"], json!(["yes", "no"]), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_does_nothing_but_go_on_as_another_fills_no_disk() {
    let home = home("continue_as_new(1)");
    home.write("playbooks/mend.rhai", &playbook("continue_as_new(1)").replace("timeout: 5m", "timeout: 3s"));
    let engine = home.start().await;
    fail(&engine, "t1").await;
    let over = |a: &Value| a["items"][0]["attempts"][0]["outcome"] == "failed";
    let intents = engine.until("/api/intents", SOON, over).await;
    let id = intents["items"][0]["id"].as_str().unwrap().to_owned();
    let runs = engine.get(&format!("/api/intents/{id}")).await["runs"].as_array().unwrap().len();
    assert!((2..10).contains(&runs), "{runs} runs");
}
