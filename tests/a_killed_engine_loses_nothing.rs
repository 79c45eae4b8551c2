//! `kill -9` at any moment: no acknowledged event lost, no non-idempotent action done twice, nothing stuck.
//!
//! `KILLS` sets how often it is killed at random (200 if unset; the long form is `just soak`). One kill in five comes
//! while the engine is still recovering. At each edge of an intent's way it is killed besides, panics, and finds its
//! disk broken or full, by a failpoint.
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
use paramedic::journal::edge::EDGES;
use rand::RngExt;
use serde_json::{Value, json};

/// What happens at each edge.
const MODES: [&str; 4] = ["abort", "panic", "io", "full"];

const RULES: &str = r#"
rules:
  - name: soak
    on: [soak.fail]
    group_by: data.n
    intent: { goal: "Mend ${data.n}", priority: normal, target: "${data.n}" }
    playbooks: [mend]
  - name: soak-asked
    on: [asked.fail]
    mode: ask
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
            match self.one(engine, "soak.fail", &format!("{life}-{i}")).await {
                Some(202) => done += 1,
                Some(503) => {}
                Some(other) => panic!("refused with {other}"),
                None => break,
            }
        }
        done
    }

    /// Sends one event and answers with what status it was taken, if the engine lived to say.
    async fn one(&mut self, engine: &Engine, topic: &str, id: &str) -> Option<u16> {
        let event = json!({"id": id, "topic": topic, "source": "soak", "data": {"n": format!("t{id}")}});
        let (status, _) = engine.post("/api/events", "application/json", event.to_string()).await?;
        if status == 202 {
            self.0.insert(id.into());
        }
        Some(status)
    }
}

async fn judge(home: &Home, acknowledged: &Acknowledged) -> BTreeMap<String, usize> {
    let engine = home.start().await;
    let open = "/api/intents?open=true";
    engine.until(open, Duration::from_secs(60), |answer| answer["items"] == json!([])).await;

    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for event in engine.all("/api/events?topic=*.fail").await {
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
    // So many are at hand; the store has all of them.
    let shown = interrupted.min(2_000);
    assert!(told >= shown, "{interrupted} intents need a person, who was told of {told}");
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
async fn whatever_happens_at_an_edge_it_goes_on_as_if_it_had_not() {
    for (number, mode) in MODES.into_iter().enumerate() {
        let home = home();
        let mut acknowledged = Acknowledged::default();
        for (life, edge) in EDGES.into_iter().enumerate() {
            let life = 1_000 * (number * EDGES.len() + life + 1);
            strike(&home, &mut acknowledged, edge, mode, life).await;
        }
        let statuses = judge(&home, &acknowledged).await;
        println!("`{mode}` at each of {EDGES:?}: intents ended as {statuses:?}");
        assert!(statuses["succeeded"] >= EDGES.len() / 2, "many must have been undisturbed: {statuses:?}");
    }
}

/// One life of an engine, which has `mode` happen to it the third time that something passes `edge`.
async fn strike(home: &Home, acknowledged: &mut Acknowledged, edge: &str, mode: &str, life: usize) {
    let before = home.log().len();
    // What an answer passes is passed once in a life here.
    let skip = if edge == "approved" { "" } else { "2*off->" };
    let failpoints = format!("{edge}={skip}1*return({mode})->off");
    let mut engine = home.spawn(&[("FAILPOINTS", failpoints.as_str())]);
    if !engine.ready().await {
        // The work that the life before left did it before anybody could ask.
        assert!(mode == "abort" && engine.was_aborted(), "it did not start:\n{}", home.log());
        return;
    }
    let struck = |engine: &mut Engine| match mode {
        "abort" => engine.is_dead(),
        _ => home.log()[before..].contains(&format!("the edge `{edge}`")),
    };
    if edge == "approved" {
        let taken = acknowledged.one(&engine, "asked.fail", &format!("{life}-asked")).await;
        assert_eq!(taken, Some(202));
        let asked = "/api/intents?status=awaiting_approval";
        let waiting = engine.until(asked, Duration::from_secs(10), |a| a["items"][0]["id"].is_string()).await;
        let path = format!("/api/intents/{}/approve", waiting["items"][0]["id"].as_str().unwrap());
        let answer = engine.post(&path, "application/json", "").await;
        let survives = matches!(mode, "io" | "full");
        // One that does not know whether the approval was kept says so, or is gone.
        let unknown = answer.as_ref().is_none_or(|(status, _)| *status == 503);
        assert!(if survives { answer.is_some() } else { unknown }, "the answer to the approval: {answer:?}");
    }
    for round in 0..10 {
        if struck(&mut engine) {
            break;
        }
        acknowledged.send(&engine, life + round, 5).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(struck(&mut engine), "`{mode}` never came at `{edge}`: is its failpoint there?\n{}", home.log());
    if mode == "abort" {
        // Its connections are gone a moment before the process is.
        engine.kill();
        return;
    }
    // It serves on, and takes more in; the commit that fails may be this one's, and then it says so.
    let mut taken = None;
    for _ in 0..3 {
        taken = acknowledged.one(&engine, "soak.fail", &format!("{life}-after")).await;
        if taken == Some(202) {
            break;
        }
    }
    assert_eq!(taken, Some(202), "{mode} at {edge}\n{}", home.log());
    let open = "/api/intents?open=true";
    engine.until(open, Duration::from_secs(60), |answer| answer["items"] == json!([])).await;
    engine.kill();
}
