//! Commits that fail under load, for those who cancel and for those who share their group: what is open in memory is open
//! on disk, one for each thing, and after a restart each is repaired once.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, Home};
use paramedic::model::intent::Plan;
use paramedic::model::{Clock, Event, Intent, IntentId, Span, Topic};
use paramedic::store::{Sqlite, Store, Write};
use serde_json::{Value, json};

const TARGETS: usize = 30;

const RULES: &str = r#"
rules:
  - { name: mend, on: it.fell, group_by: subject, mode: ask, expire: 10m, intent: { goal: Mend, target: "${subject}" }, playbooks: [mend] }
"#;

const MEND: &str = "//! Mend it.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: [exec.run]\nfn run(ctx) {\n    \
    act(\"exec.run\", #{ argv: [\"/bin/sh\", \"-c\", `echo ${ctx.target} >> EFFECTS`] });\n}\n";

async fn open(engine: &Engine) -> Vec<Value> {
    engine.all("/api/intents?open=true").await
}

fn by_target(intents: &[Value]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for intent in intents {
        *found.entry(intent["target"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cancels_that_fail_with_their_group_open_nothing_twice() {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    home.write("rules/mend.yaml", RULES);
    home.write("playbooks/mend.rhai", &MEND.replace("EFFECTS", &home.path("effects").to_string_lossy()));
    // Once it serves, two groups of five fail.
    let mut engine = home.start_with(&[("FAILPOINTS", "store::before_commit=12*off->40%return(io)")]).await;
    let fell = |round: usize, n: usize| json!({ "id": format!("{round}/{n}"), "topic": "it.fell", "source": "test", "subject": format!("t{n}") });
    let all = |round| json!((0..TARGETS).map(|n| fell(round, n)).collect::<Vec<_>>()).to_string();
    let deadline = Instant::now() + Duration::from_secs(30);
    while engine.post("/api/events", "application/json", all(0)).await.unwrap().0 != 202 {
        assert!(Instant::now() < deadline, "{}", home.log());
    }
    let mut failed = 0;
    for round in 1..9 {
        let open = open(&engine).await;
        let cancels = open.iter().map(|intent| {
            let path = format!("/api/intents/{}/cancel", intent["id"].as_str().unwrap());
            let engine = &engine;
            async move { engine.post(&path, "application/json", "").await.unwrap().0 }
        });
        let again = async {
            for part in 0..3 {
                drop(engine.post("/api/events", "application/json", all(round * 10 + part)).await);
            }
        };
        let (statuses, ()) = tokio::join!(futures_util::future::join_all(cancels), again);
        failed += statuses.iter().filter(|status| **status >= 500).count();
    }
    assert!(failed > 0, "no cancel failed, so nothing was tested");
    // What is in doubt is healed by itself.
    tokio::time::sleep(Duration::from_millis(500)).await;
    engine.kill();
    let engine = home.start().await;
    let open = open(&engine).await;
    for (target, count) in by_target(&open) {
        assert_eq!(count, 1, "{target} is open {count} times");
    }
    let count = open.len();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let open = self::open(&engine).await;
        if open.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{open:#?}\n{}", home.log());
        // One that is not asked about yet is approved a little later.
        for intent in &open {
            let path = format!("/api/intents/{}/approve", intent["id"].as_str().unwrap());
            drop(engine.post(&path, "application/json", "").await);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let effects = fs::read_to_string(home.path("effects")).unwrap_or_default();
    let mut acted = BTreeMap::<&str, usize>::new();
    effects.lines().for_each(|target| *acted.entry(target).or_default() += 1);
    assert!(acted.values().all(|count| *count == 1), "{acted:?}");
    assert_eq!(acted.len(), count, "each that was open is repaired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_intents_that_an_earlier_life_left_open_for_one_thing_only_one_acts() {
    let home = Home::new("actions: { exec: { allow: [/bin/sh] } }\n");
    home.write("rules/mend.yaml", RULES);
    home.write("playbooks/mend.rhai", &MEND.replace("EFFECTS", &home.path("effects").to_string_lossy()));
    let clock = Clock::system();
    let now = clock.now();
    let plan = Arc::new(Plan { playbooks: vec!["mend".into()], expire: Span::secs(600), ..Plan::default() });
    let event = Event::new("1", Topic::try_new("it.fell").unwrap(), "test", now, json!({}));
    let event = Arc::new(event.about("t1".to_owned()));
    let twins = [1, 2].map(|n| {
        let id = IntentId::new(now, n);
        Intent::new(id, "mend", "t1", "t1", event.clone(), plan.clone(), now)
    });
    let store = Sqlite::open(&home.path("data"), clock).unwrap();
    let writes = twins.iter().cloned().map(|it| Write::Intent(Arc::new(it))).collect();
    store.commit(writes).await.unwrap();
    drop(store);

    let engine = home.start().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !open(&engine).await.is_empty() {
        assert!(Instant::now() < deadline, "{}", home.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read_to_string(home.path("effects")).unwrap(), "t1\n", "one of the two has acted");
    for (twin, status) in twins.iter().zip(["succeeded", "cancelled"]) {
        let intent = engine.get(&format!("/api/intents/{}", twin.id)).await;
        assert_eq!(intent["status"], status, "the later one is closed: {intent:#}");
    }
    let alerts = engine.get("/api/alerts").await;
    assert!(alerts.to_string().contains("of two open intents one was closed"), "{alerts:#}");
}
