//! `kill -9` at any moment: no acknowledged event lost, no non-idempotent action done twice, nothing stuck.
//!
//! `KILLS` sets how often it is killed at random (200 if unset; the long form is `just soak`). One kill in five comes
//! while the engine is still recovering. Each edge of the journal is killed at besides, by a failpoint.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::{Engine, Home};
use rand::RngExt;
use serde_json::{Value, json};

/// Edges of an intent's way, each with a failpoint that aborts the engine.
const EDGES: &[&str] =
    &["received", "matched", "intent", "decided", "started", "effect", "finished", "verified", "learned"];

const RULES: &str = r#"
rules:
  - name: soak
    on: [soak.fail]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", priority: normal, target: "${data.n}" }
    playbooks: [mend]
"#;

/// The action is not idempotent: it writes a line for the target, and a second line would be a second effect.
const PLAYBOOK: &str = r#"//! Write down that the target was mended.
//! ---
//! risk: low
//! cost: 1s
//! timeout: 1m
//! actions: [exec.run]

fn run(ctx) {
    let id = uuid();
    log("info", `mending ${ctx.target}`);
    act("exec.run", #{ argv: ["/bin/sh", "-c", "echo \"$1\" >> \"$2\"", "sh", ctx.target, "EFFECTS"] });
    emit("soak.mended", #{ n: ctx.target, id: id });
    id
}

fn verify(ctx) { true }
"#;

fn home() -> Home {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    home.write("rules/soak.yaml", RULES);
    let effects = home.path("effects").to_string_lossy().into_owned();
    home.write("playbooks/mend.rhai", &PLAYBOOK.replace("EFFECTS", &effects));
    home
}

/// Events that were acknowledged.
#[derive(Default)]
struct Acknowledged(BTreeSet<String>);

impl Acknowledged {
    /// Sends events one after the other until `n` are acknowledged or the engine is gone.
    async fn send(&mut self, engine: &Engine, life: usize, n: usize) -> usize {
        let mut done = 0;
        for i in 0..n {
            let id = format!("{life}-{i}");
            let event =
                json!({"id": id, "topic": "soak.fail", "source": "soak", "data": {"n": format!("t{id}")}});
            match engine.post("/api/events", "application/json", event.to_string()).await {
                Some((202, _)) => {
                    self.0.insert(id);
                    done += 1;
                }
                Some(other) => panic!("refused: {other:?}"),
                None => break,
            }
        }
        done
    }
}

async fn judge(home: &Home, acknowledged: &Acknowledged) -> BTreeMap<String, usize> {
    let engine = home.start().await;
    let open = "/api/intents?open=true";
    engine.until(open, Duration::from_secs(60), |answer| answer["items"] == json!([])).await;

    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for event in engine.all("/api/events?topic=soak.fail").await {
        *kept.entry(event["id"].as_str().unwrap().into()).or_default() += 1;
    }
    for id in &acknowledged.0 {
        assert_eq!(
            kept.get(id),
            Some(&1),
            "the acknowledged event {id} is in the log so often\n{}",
            home.log()
        );
    }
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    let intents: BTreeMap<String, Value> = engine
        .all("/api/intents")
        .await
        .into_iter()
        .map(|intent| (intent["target"].as_str().unwrap().to_string(), intent))
        .collect();
    let effects = std::fs::read_to_string(home.path("effects")).unwrap_or_default();
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for line in effects.lines() {
        *counted.entry(line).or_default() += 1;
    }
    for (target, times) in &counted {
        assert_eq!(*times, 1, "the action for {target} was done {times} times\n{}", home.log());
    }
    for id in kept.keys() {
        let target = format!("t{id}");
        let intent = intents.get(&target).unwrap_or_else(|| panic!("no intent for {id}\n{}", home.log()));
        let status = intent["status"].as_str().unwrap();
        *statuses.entry(status.into()).or_default() += 1;
        match status {
            "succeeded" => {
                assert_eq!(counted.get(target.as_str()), Some(&1), "{target} succeeded without its effect")
            }
            // Cut off in the middle of an action that can't be repeated: a person is told, and says so.
            "failed" => {
                let told = intent["attempts"][0]["outcome"] == "interrupted";
                assert!(told, "{target} failed for another reason: {intent:#}\n{}", home.log());
            }
            other => panic!("{target} is stuck as {other}: {intent:#}"),
        }
    }
    let told = engine.all("/api/alerts").await.len();
    let interrupted = statuses.get("failed").copied().unwrap_or(0);
    assert!(told >= interrupted, "{interrupted} intents need a person, who was told of {told}");
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_it_loses_nothing_and_repeats_nothing() {
    let kills: usize = std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let home = home();
    let mut acknowledged = Acknowledged::default();
    let mut rng = rand::rng();
    let mut work = Vec::new();
    let mut in_recovery = 0;
    for life in 0..kills {
        if rng.random_bool(0.2) {
            in_recovery += 1;
            let mut engine = home.spawn(&[]);
            tokio::time::sleep(Duration::from_millis(rng.random_range(1..120))).await;
            engine.kill();
            work.push(0);
            continue;
        }
        let mut engine = home.start().await;
        let done = acknowledged.send(&engine, life, rng.random_range(5..20)).await;
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
        engine.kill();
        work.push(done);
    }
    let statuses = judge(&home, &acknowledged).await;
    println!("{kills} kills, {in_recovery} of them in recovery; events acknowledged in each life: {work:?}");
    println!("{} acknowledged in all; intents ended as {statuses:?}", acknowledged.0.len());
    let worked = work.iter().filter(|n| **n >= 5).count();
    assert!(worked * 2 > kills, "most lives must have done some work, or this proves nothing: {work:?}");
    assert!(statuses.get("succeeded").is_some_and(|n| *n * 2 > acknowledged.0.len()), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_edge_it_goes_on_as_if_it_had_not_been() {
    let home = home();
    let mut acknowledged = Acknowledged::default();
    for (life, edge) in EDGES.iter().enumerate() {
        // The third time that the edge is passed it is the last thing this engine does.
        let failpoints = format!("{edge}=2*off->return");
        let mut engine = home.start_with(&[("FAILPOINTS", failpoints.as_str())]).await;
        let mut died = false;
        for round in 0..10 {
            acknowledged.send(&engine, 1_000 * (life + 1) + round, 5).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            died = engine.is_dead();
            if died {
                break;
            }
        }
        assert!(died, "the edge `{edge}` was never passed: is its failpoint there?\n{}", home.log());
    }
    let statuses = judge(&home, &acknowledged).await;
    println!("one life ended at each of {EDGES:?}; intents ended as {statuses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_as_a_person_approves_it_acts_once_and_does_not_ask_again() {
    let home = home();
    home.write("rules/soak.yaml", &RULES.replace("    on:", "    mode: ask\n    on:"));
    let mut acknowledged = Acknowledged::default();
    let mut engine = home.start_with(&[("FAILPOINTS", "approved=return")]).await;
    acknowledged.send(&engine, 0, 1).await;
    let asked = "/api/intents?status=awaiting_approval";
    let waiting = engine.until(asked, Duration::from_secs(10), |a| a["items"][0]["id"].is_string()).await;
    let path = format!("/api/intents/{}/approve", waiting["items"][0]["id"].as_str().unwrap());
    assert!(engine.post(&path, "application/json", "").await.is_none(), "it dies before it can answer");
    // Its connections are gone a moment before the process is.
    engine.kill();

    let statuses = judge(&home, &acknowledged).await;
    assert_eq!(statuses.get("succeeded").or(statuses.get("failed")), Some(&1), "{statuses:?}");
}
