//! Whatever comes in between, an intent comes to an end and its target can be repaired again.
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
  - name: first
    on: [first.fail]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [slow]
  - name: second
    on: [second.fail]
    group_by: data.n
    resolved: { on: [second.well] }
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [quick]
"#;

const HEADER: &str =
    "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\n";

fn home() -> Home {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    home.write("rules/rules.yaml", RULES);
    let playbook = |run: &str| format!("{HEADER}\nfn run(ctx) {{ {run} }}\nfn verify(ctx) {{ true }}\n");
    home.write("playbooks/quick.rhai", &playbook("1"));
    home.write("playbooks/slow.rhai", &playbook(r#"wait_for("go.on", "30s");"#));
    home
}

fn event(topic: &str, id: &str) -> Value {
    json!({"id": id, "topic": topic, "source": "test", "data": {"n": "t1"}})
}

async fn ended(engine: &Engine, rule: &str, n: usize) -> Vec<Value> {
    let over = |answer: &Value| {
        let items = answer["items"].as_array().unwrap();
        let open = ["held", "pending", "awaiting_approval", "running", "verifying"];
        items.len() >= n && items.iter().all(|it| !open.contains(&it["status"].as_str().unwrap()))
    };
    let path = format!("/api/intents?rule={rule}");
    let answer = engine.until(&path, Duration::from_secs(20), over).await;
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_is_repaired_again_after_an_intent_for_it_was_over_while_it_waited_in_line() {
    let home = home();
    let engine = home.start().await;
    engine.send(event("first.fail", "1")).await;
    let running = |answer: &Value| answer["items"][0]["status"] == "running";
    engine.until("/api/intents?rule=first", Duration::from_secs(10), running).await;
    engine.send(event("second.fail", "2")).await;
    engine.send(event("second.well", "3")).await;
    assert_eq!(ended(&engine, "second", 1).await[0]["status"], "stale");
    engine.send(event("go.on", "4")).await;
    assert_eq!(ended(&engine, "first", 1).await[0]["status"], "succeeded");
    engine.send(event("second.fail", "5")).await;
    assert_eq!(ended(&engine, "second", 2).await[0]["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_panics_is_done_again_and_a_person_is_told_if_it_always_does() {
    let home = home();
    let engine = home.start_with(&[("FAILPOINTS", "worker=1*panic->off")]).await;
    engine.send(event("second.fail", "1")).await;
    assert_eq!(ended(&engine, "second", 1).await[0]["status"], "succeeded");
    drop(engine);

    let engine = home.start_with(&[("FAILPOINTS", "worker=3*panic->off")]).await;
    engine.send(event("second.fail", "2")).await;
    assert_eq!(ended(&engine, "second", 2).await[0]["status"], "escalated");
    let told = |answer: &Value| answer.to_string().contains("was given up");
    engine.until("/api/alerts", Duration::from_secs(5), told).await;
    engine.send(event("second.fail", "3")).await;
    assert_eq!(ended(&engine, "second", 3).await[0]["status"], "succeeded", "its target is free again");
}

/// A commit in each place fails once, as on a disk that is full for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_for_a_moment_only_delays_and_repeats_nothing() {
    for place in 1..=16 {
        let home = home();
        let effects = home.path("effects");
        let line = format!(
            r#"act("exec.run", #{{ argv: ["/bin/sh", "-c", "echo $0 >> {}", "N"] }});"#,
            effects.display()
        );
        let run = format!(
            "{} emit(\"first.done\", #{{}}); {}",
            line.replace("\"N\"", "\"a\""),
            line.replace("\"N\"", "\"b\"")
        );
        home.write(
            "playbooks/quick.rhai",
            &format!("{HEADER}\nfn run(ctx) {{ {run} }}\nfn verify(ctx) {{ true }}\n"),
        );
        let failpoints = format!("store::before_commit={place}*off->1*return(full)->off");
        let engine = home.start_with(&[("FAILPOINTS", &failpoints)]).await;
        let sent = event("second.fail", "1").to_string();
        while engine.post("/api/events", "application/json", sent.clone()).await.unwrap().0 != 202 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let intents = ended(&engine, "second", 1).await;
        assert_eq!(intents.len(), 1, "at {place}: {intents:#?}");
        assert_eq!(intents[0]["status"], "succeeded", "at {place}: {intents:#?}\n{}", home.log());
        assert_eq!(std::fs::read_to_string(&effects).unwrap(), "a\nb\n", "at {place}\n{}", home.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intent_that_fails_while_the_disk_is_full_ends_only_once_a_person_is_told() {
    for place in 3..=10 {
        let home = home();
        home.write("playbooks/quick.rhai", &format!("{HEADER}\nfn run(ctx) {{ fail(\"no\"); }}\n"));
        let failpoints = format!("store::before_commit={place}*off->1*return(full)->off");
        let mut engine = home.start_with(&[("FAILPOINTS", &failpoints)]).await;
        engine.send(event("second.fail", "1")).await;
        assert_eq!(ended(&engine, "second", 1).await[0]["status"], "failed", "at {place}");
        engine.kill();
        let alerts = home.start().await.get("/api/alerts").await;
        assert!(alerts.to_string().contains("Mend t1 failed"), "at {place}: {alerts:#}\n{}", home.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_break_the_matching_are_refused_and_the_next_ones_are_taken() {
    let home = home();
    let engine = home.start_with(&[("FAILPOINTS", "matched=1*panic->off")]).await;
    let sent = event("second.fail", "1").to_string();
    let (status, answer) = engine.post("/api/events", "application/json", sent).await.unwrap();
    assert!(status >= 500, "{status} {answer}");
    engine.send(event("second.fail", "1")).await;
    assert_eq!(ended(&engine, "second", 1).await[0]["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_for_which_there_is_no_room_is_told_to_a_person() {
    let home = home();
    let port = home.port;
    home.write("paramedic.yaml", &format!("listen: 127.0.0.1:{port}\nlimits: {{ open_intents: 1 }}\n"));
    let engine = home.start().await;
    engine.send(event("first.fail", "1")).await;
    engine.send(event("second.fail", "2")).await;
    let told = |answer: &Value| answer.to_string().contains("too many intents are open");
    engine.until("/api/alerts", Duration::from_secs(5), told).await;
    let soon = Duration::from_secs(20);
    let begun = |a: &Value| a["items"][0]["attempts"][0]["run"].is_string();
    let first = engine.until("/api/intents?rule=first", soon, begun).await;
    let run = format!("/api/runs/{}", first["items"][0]["attempts"][0]["run"].as_str().unwrap());
    engine.until(&run, soon, |run| run["steps"][0]["status"] == "started").await;
    engine.send(event("go.on", "3")).await;
    assert_eq!(ended(&engine, "first", 1).await[0]["status"], "succeeded");
    engine.send(event("second.fail", "4")).await;
    assert_eq!(ended(&engine, "second", 1).await[0]["status"], "succeeded", "there is room again");
}

/// Kernels say once that they ended: nobody would say it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_saw_itself_while_the_disk_was_full_is_not_lost() {
    let home = Home::new("kernels: [{ name: k1, layer: 1, command: [sleep, '1000'] }]\n");
    let engine = home.start_with(&[("FAILPOINTS", "store::before_commit=3*return(full)->off")]).await;
    let seen = |answer: &Value| answer["items"].as_array().is_some_and(|items| items.len() == 1);
    for topic in ["booting", "healthy"] {
        engine
            .until(&format!("/api/events?topic=telemetry.kernel.{topic}"), Duration::from_secs(15), seen)
            .await;
    }
    assert!(home.log().contains("could not be made durable"), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_that_pauses_before_its_next_try_holds_up_nobody() {
    // Nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new(&format!(
        "limits: {{ concurrency: 1 }}\nactions: {{ http: {{ allow: [\"127.0.0.1:{port}\"] }} }}\n"
    ));
    home.write("rules/rules.yaml", RULES);
    let act = format!(
        "act(\"http.request\", #{{ url: \"http://127.0.0.1:{port}/\" }}, #{{ retries: 5, backoff: \"30s\" }})"
    );
    let header = HEADER.replace("exec.run", "http.request");
    home.write(
        "playbooks/slow.rhai",
        &format!("{header}\nfn run(ctx) {{ {act}; }}\nfn verify(ctx) {{ true }}\n"),
    );
    home.write(
        "playbooks/quick.rhai",
        &format!("{HEADER}\nfn run(ctx) {{ 1 }}\nfn verify(ctx) {{ true }}\n"),
    );
    let engine = home.start().await;
    let of = |topic: &str, n: &str| json!({"id": n, "topic": topic, "source": "test", "data": {"n": n}});
    engine.send(of("first.fail", "t1")).await;
    let running = |answer: &Value| answer["items"][0]["status"] == "running";
    engine.until("/api/intents?rule=first", Duration::from_secs(10), running).await;
    engine.send(of("second.fail", "t2")).await;
    assert_eq!(ended(&engine, "second", 1).await[0]["status"], "succeeded", "{}", home.log());
}
