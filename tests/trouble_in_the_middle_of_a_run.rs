//! A stop, a restart, a person or good news in the middle of a run: what was done is known, and no more is done.
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

const RULES: &str = r#"
rules:
  - name: auto
    on: [fail.auto]
    group_by: data.n
    resolved: { on: [well.auto] }
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [one, two]
    verify: { expect: never, within: 1s }
    escalate:
      - { to: tell }
      - { to: tell_again }
  - name: ask
    on: [fail.ask]
    group_by: data.n
    mode: ask
    expire: 2s
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [one, two]
"#;

fn playbook(timeout: &str, run: &str) -> String {
    // What takes an hour is tried after what takes a second.
    let cost = if run.contains("two") || run.contains("still") { "1h" } else { "1s" };
    format!(
        "//! Mend it.\n//! ---\n//! risk: low\n//! cost: {cost}\n//! timeout: {timeout}\n//! actions: [exec.run]\n//! params: {{ message: {{ type: string, default: none }} }}\n\nfn run(ctx) {{ {run} }}\n"
    )
}

/// A home whose playbooks write what they do into `effects`.
fn home(one: &str) -> Home {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    home.write("rules/rules.yaml", RULES);
    home.write("playbooks/one.rhai", &playbook("1m", one).replace("EFFECTS", &effects_file(&home)));
    for (name, text) in
        [("two", "two"), ("tell", "${ctx.params.message}"), ("tell_again", "${ctx.params.message}")]
    {
        let run = format!(
            "act(\"exec.run\", #{{ argv: [\"/bin/sh\", \"-c\", \"echo $0 >> EFFECTS\", `{text}`] }});"
        );
        home.write(
            &format!("playbooks/{name}.rhai"),
            &playbook("1m", &run).replace("EFFECTS", &effects_file(&home)),
        );
    }
    home
}

fn effects_file(home: &Home) -> String {
    home.path("effects").to_string_lossy().into_owned()
}

fn effects(home: &Home) -> String {
    std::fs::read_to_string(home.path("effects")).unwrap_or_default()
}

/// An action that takes as long as the shell command, and then has its effect.
fn shell(command: &str) -> String {
    format!(r#"act("exec.run", #{{ argv: ["/bin/sh", "-c", "{command}"] }});"#)
}

async fn fail(engine: &Engine, topic: &str, id: &str) {
    engine.send(json!({"id": id, "topic": topic, "source": "test", "data": {"n": "t1"}})).await;
}

async fn until(engine: &Engine, status: &str) -> Value {
    let answer = engine
        .until("/api/intents", Duration::from_secs(15), |answer| answer["items"][0]["status"] == status)
        .await;
    answer["items"][0].clone()
}

async fn has_effect(home: &Home, what: &str) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !effects(home).contains(what) {
        assert!(
            std::time::Instant::now() < deadline,
            "no `{what}` among the effects:\n{}\n{}",
            effects(home),
            home.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn run_of(intent: &Value) -> String {
    format!("/api/runs/{}", intent["attempts"][0]["run"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_that_ended_while_the_engine_was_stopped_is_not_taken_for_interrupted() {
    let run = format!(
        "{} {}",
        shell("echo begun >> EFFECTS; sleep 1; echo ended >> EFFECTS"),
        shell("echo next >> EFFECTS")
    );
    let home = home(&run);
    let mut engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    has_effect(&home, "begun").await;
    assert!(engine.stop(), "it stops in good order");
    assert_eq!(effects(&home), "begun\nended\n");
    let engine = home.start().await;
    has_effect(&home, "next").await;
    let intent = &engine.get("/api/intents").await["items"][0];
    assert_ne!(intent["attempts"][0]["outcome"], "interrupted", "{intent:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_cut_off_is_interrupted_even_if_the_engine_comes_back_after_the_runs_time() {
    let home = home("");
    let run = shell("echo begun >> EFFECTS; sleep 5");
    home.write("playbooks/one.rhai", &playbook("2s", &run).replace("EFFECTS", &effects_file(&home)));
    let mut engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    has_effect(&home, "begun").await;
    engine.kill();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let engine = home.start().await;
    let intent = until(&engine, "escalated").await;
    assert_eq!(intent["attempts"][0]["outcome"], "interrupted", "{intent:#}");
    assert!(!effects(&home).contains("two"), "nothing more is tried: {}", effects(&home));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_intent_a_person_ended_is_over_too() {
    let home = home("sleep(\"30s\");");
    let engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    let intent = until(&engine, "running").await;
    let path = format!("/api/intents/{}/cancel", intent["id"].as_str().unwrap());
    assert_eq!(engine.post(&path, "application/json", "").await.unwrap().0, 200);
    let intent = until(&engine, "cancelled").await;
    assert!(intent["attempts"][0]["ended_at"].is_string(), "{intent:#}");
    engine.until(&run_of(&intent), Duration::from_secs(5), |run| run["status"] == "cancelled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_while_a_playbook_runs_is_not_acted_on_again() {
    let home = home(&format!("{} wait_for(\"go.on\", \"20s\"); fail(\"no\");", shell("echo one >> EFFECTS")));
    let engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    has_effect(&home, "one").await;
    fail(&engine, "well.auto", "2").await;
    fail(&engine, "go.on", "3").await;
    let intent = until(&engine, "stale").await;
    assert_eq!(
        (effects(&home), intent["attempts"].as_array().unwrap().len()),
        ("one\n".into(), 1),
        "{intent:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_an_escalation_says_what_went_wrong() {
    let home = home("fail(\"the disk is gone\");");
    home.write("playbooks/two.rhai", &playbook("1m", "fail(\"the disk is still gone\");"));
    let engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    let intent = until(&engine, "escalated").await;
    let told = effects(&home);
    assert_eq!(
        told.lines().filter(|line| line.contains("the disk is still gone")).count(),
        2,
        "{told}\n{intent:#}"
    );
    assert!(intent["reason"].as_str().unwrap().contains("the disk is still gone"), "{intent:#}");
}

async fn approve(engine: &Engine, intent: &Value) {
    let path = format!("/api/intents/{}/approve", intent["id"].as_str().unwrap());
    assert_eq!(engine.post(&path, "application/json", "").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_for_the_playbook_that_was_shown_as_it_was_shown() {
    let home = home(&shell("echo one >> EFFECTS; exit 1"));
    let mut engine = home.start().await;
    fail(&engine, "fail.ask", "1").await;
    let shown = until(&engine, "awaiting_approval").await;
    let first = shown["decision"]["playbook"].as_str().unwrap().to_string();
    // Longer than the intent may wait otherwise, and over a restart.
    engine.kill();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let engine = home.start().await;
    // An edit voids it: the next question shows what there is now.
    for name in ["one", "two"] {
        let run = format!("{} fail(\"no\");", shell(&format!("echo edited-{name} >> EFFECTS")));
        home.write(
            &format!("playbooks/{name}.rhai"),
            &playbook("1m", &run).replace("EFFECTS", &effects_file(&home)),
        );
    }
    let hash = engine.get("/api/rules").await["reload"]["loaded_at"].clone();
    engine.until("/api/rules", Duration::from_secs(5), |rules| rules["reload"]["loaded_at"] != hash).await;
    approve(&engine, &shown).await;
    let again = engine
        .until("/api/intents", Duration::from_secs(5), |all| {
            let it = &all["items"][0];
            it["status"] == "awaiting_approval" && it["asked_for"] != shown["asked_for"]
        })
        .await["items"][0]
        .clone();
    assert_eq!(effects(&home), "", "nothing runs that nobody has seen");
    let first = again["decision"]["playbook"].as_str().map_or(first, str::to_string);
    approve(&engine, &again).await;
    has_effect(&home, &format!("edited-{first}")).await;
    // The next attempt is another playbook, and another question.
    let next = engine
        .until("/api/intents", Duration::from_secs(5), |all| {
            let it = &all["items"][0];
            it["status"] == "awaiting_approval" && it["attempts"].as_array().unwrap().len() == 1
        })
        .await["items"][0]
        .clone();
    assert_ne!(next["decision"]["playbook"], again["decision"]["playbook"]);
    assert_eq!(effects(&home), format!("edited-{first}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_answered_by_a_person_over_a_restart_or_by_nobody() {
    let said = "act(\"exec.run\", #{ argv: [\"/bin/sh\", \"-c\", \"echo $0 >> EFFECTS\", `said${said}`] });";
    let home = home(&format!("let said = ask(\"Go on?\", [\"yes\", \"no\"], \"30s\"); {said}"));
    let mut engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    let intent = until(&engine, "running").await;
    engine.until("/api/alerts", Duration::from_secs(5), |alerts| alerts.to_string().contains("Go on?")).await;
    engine.kill();
    let engine = home.start().await;
    let path = format!("/api/intents/{}/answer", intent["id"].as_str().unwrap());
    for (answer, status) in [("maybe", 400), ("yes", 204)] {
        let (got, why) =
            engine.post(&path, "application/json", json!({"answer": answer}).to_string()).await.unwrap();
        assert_eq!(got, status, "{answer}: {why}");
    }
    has_effect(&home, "saidyes").await;
    let (got, why) =
        engine.post(&path, "application/json", json!({"answer": "no"}).to_string()).await.unwrap();
    assert!(got == 409 || got == 404, "nothing is asked any more: {got} {why}");
    drop(engine);

    let home = self::home(&format!("let said = ask(\"Go on?\", [], \"1s\"); {said}"));
    let engine = home.start().await;
    fail(&engine, "fail.auto", "1").await;
    has_effect(&home, "said\n").await;
}
