//! Replay and live agree: what the engine's own intake decides about events is what a replay of its log finds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::bus::Publisher;
use crate::engine::decisions::Decisions;
use crate::engine::replay::source::course_of_log;
use crate::engine::wire::{Doors, Rest};
use crate::engine::{Config, Engine};
use crate::intents::board::Became;
use crate::learning::Learner;
use crate::model::clock::Shim;
use crate::model::{Chance, Clock, Event, Intent, IntentId, Topic};
use crate::observability::{Aggregator, alerts::Book};
use crate::playbook::Library;
use crate::rules::Why;
use crate::store::{IntentQuery, Memory, Store};
use crate::{actions, kernels, tasks};

/// One rule of each kind, with short times.
const RULES: &[&str] = &[
    "name: every, on: a.f, when: data.n > 2",
    "name: count, on: a.f, pattern: { count: 3, within: 20s }, resolved: { on: a.ok }",
    "name: all, pattern: { all: [{ on: a.f }, { on: a.g, when: data.n < 8 }], within: 15s }",
    "name: any, pattern: { any: [{ on: a.f, when: data.n == 1 }, { on: a.g, when: data.n == 2 }] }",
    "name: seq, pattern: { sequence: [{ on: a.f }, { on: a.g }, { on: a.f }], within: 30s }",
    "name: absent, pattern: { absent: a.g, for: 12s, expect: [k1, k9], lateness: 2s }",
    "name: not, pattern: { not: { on: a.ok }, after: { on: a.f }, within: 5s }",
    "name: change, on: a.g, pattern: { change: data.n, above: 1.5 }",
    "name: once, on: a.g, pattern: { once_within: 10s }",
    "name: later, on: \"a.*\", pattern: { once_after: 4s, lateness: 0s }",
    "name: timed, schedule: \"*/10 * * * * *\", intent: { target: it }",
    "name: stops, on: a.h, priority: 5, stop: true",
    "name: stopped, on: a.h",
    "name: rest, on: \"b.>\", backstop: true",
];

/// Time that passes, and an event: its topic, key, number, how much earlier it happened, and by how many seconds the
/// clock was set just before.
type Sent = (u64, usize, usize, i64, i64, i64);

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let one = (
        0_u64..9_000,
        0_usize..6,
        0_usize..4,
        0_i64..12,
        prop_oneof![4 => Just(0_i64), 1 => -2_000_i64..15_000],
        prop_oneof![14 => Just(0_i64), 1 => -8_000_i64..8_000, 1 => -30_i64..30],
    );
    prop::collection::vec(one, 1..60)
}

fn event(n: usize, sent: &Sent, now: Time) -> Event {
    let (_, topic, k, number, earlier, _) = *sent;
    let topic = ["a.f", "a.g", "a.ok", "a.h", "b.x", "c"][topic];
    let time = now - chrono::TimeDelta::milliseconds(earlier);
    let data = json!({ "k": format!("k{k}"), "n": number });
    Event::new(format!("e{n}"), Topic::try_new(topic).unwrap(), "test", time, data)
}

/// An engine that takes events in and works on nothing.
async fn engine(set: RuleSet) -> (Engine, Arc<Shim>) {
    let began = Instant::now();
    let (clock, shim) = Clock::shimmed(at(0), move || began.elapsed());
    let store = Arc::new(Memory::new(clock.clone()));
    let doors = Doors::open(Config::default(), store, clock.clone(), Chance::seeded(1), Book::default());
    let inbox: Arc<dyn Publisher> = doors.inbox.clone();
    let freeze = crate::freeze::Switch::none(clock.clone());
    let kernels = kernels::Registry::none(inbox, clock);
    let ports = actions::Ports {
        kernels: kernels.clone(),
        spawner: kernels::Spawner::none(),
        alerts: doors.alerts.clone(),
        intents: doors.intents.clone(),
        config: actions::Config::default(),
    };
    let rest = Rest {
        actions: actions::Registry::builtin(&ports),
        kernels,
        plugins: crate::plugins::Plugins::none(),
        rules: set,
        library: Library::load("none", &[], &[]).unwrap(),
        learner: Learner::default(),
        first: None,
        observed: Aggregator::default(),
        pool: tasks::pool::Pool::in_place(),
        freeze,
        gap: None,
    };
    let engine = Engine::assemble(doors, rest);
    let (ingest, publish, is_ready) = engine.pipe(crate::engine::ingest::quarantine::Quarantine::default());
    tokio::spawn(publish.run());
    tokio::spawn(ingest.run());
    is_ready.await.unwrap();
    (engine, shim)
}

/// Rule, group, time, and of how many matches, which of timers is not kept.
type Fire = (String, String, Time, Option<u64>);

/// What fired, as the engine kept it beside its log.
async fn fired(set: &RuleSet, store: &dyn Store) -> Vec<Fire> {
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = log.clone();
    store.replay_log(0, Box::new(move |n, event| into.lock().unwrap().push((n, event)))).await.unwrap();
    let groups: BTreeMap<IntentId, String> =
        intents(store).await.into_iter().map(|it| (it.id, it.group)).collect();
    let log = log.lock().unwrap().clone();
    let mut all = Vec::new();
    for (number, event) in log {
        let Some(decided) = Decisions::of(store, number).await.unwrap() else { continue };
        for (rule, became) in decided.became {
            if let Became::Opened(id) | Became::Counted(id) = became {
                let count = decided.notes.iter().find_map(|note| match note.why {
                    Why::Fired(n) if set.rules()[note.rule as usize].name == rule => Some(n),
                    _ => None,
                });
                all.push((rule, groups[&id].clone(), event.arrival(), count));
            }
        }
    }
    all
}

async fn intents(store: &dyn Store) -> Vec<Intent> {
    let query = IntentQuery { limit: 10_000, ..IntentQuery::default() };
    store.intents(query).await.unwrap().items
}

fn agree(sent: &[Sent]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let set = rules(RULES);
    let (live, replayed, made, foreseen) = runtime.block_on(async {
        let (engine, shim) = engine(set.clone()).await;
        let mut waiting = Vec::new();
        for (n, one) in sent.iter().enumerate() {
            tokio::time::sleep(Duration::from_millis(one.0)).await;
            if one.5 != 0 {
                shim.step(chrono::TimeDelta::seconds(one.5));
            }
            let event = event(n, one, engine.clock().now());
            if n % 3 == 2 {
                waiting.push(event);
                engine.deliver(std::mem::take(&mut waiting)).await.unwrap();
            } else if one.3 % 4 == 0 {
                // It comes with the next.
                waiting.push(event);
            } else {
                engine.deliver(vec![event]).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let live = fired(&set, engine.store()).await;
        let mut made = intents(engine.store()).await;
        for it in &mut made {
            let steady = |time| engine.clock().to_steady(time, it.era);
            (it.created_at, it.last_event_at) = (steady(it.created_at), steady(it.last_event_at));
        }
        let options = Options { threads: 2, ..Options::default() };
        let course = course_of_log(&[set], &options, engine.store()).await.unwrap();
        (live, course.traces().remove(0), made, course.finish().side.intents)
    });
    let counted = |(it, live): (Seen, &Fire)| (it.rule, it.group, it.at, live.3.map(|_| it.count));
    let short = |it: &Fire| format!("{}/{} at {}", it.0, it.1, it.2);
    let (ours, theirs): (Vec<String>, Vec<String>) = (
        replayed.iter().map(|it| format!("{}/{} at {}", it.rule, it.group, it.at)).collect(),
        live.iter().map(short).collect(),
    );
    assert_eq!(ours, theirs, "a replay beside what happened");
    let replayed: Vec<Fire> = replayed.into_iter().zip(&live).map(counted).collect();
    assert_eq!(replayed, live);
    // Nobody works on them, so they are open until an event says that it is over, as in a replay.
    let mut made: Vec<_> =
        made.into_iter().map(|it| (it.rule, it.group, it.created_at, it.count, it.last_event_at)).collect();
    let mut foreseen: Vec<_> =
        foreseen.into_iter().map(|it| (it.rule.to_string(), it.group, it.at, it.count, it.last)).collect();
    made.sort();
    foreseen.sort();
    assert_eq!(foreseen, made);
    assert!(live.iter().any(|(rule, ..)| rule == "timed"), "time has passed");
}

#[test]
fn each_kind_of_rule_fires_in_this_comparison() {
    // So that the property below compares something.
    let mut all: Vec<Sent> = Vec::new();
    for n in 0..60_usize {
        all.push((700, [0, 1, 0, 3, 4, 2][n % 6], n % 3, [1, 9, 3, 2][n / 6 % 4], 0, 0));
    }
    agree(&all);
}

#[test]
fn a_schedule_goes_on_at_once_when_a_clock_that_was_ahead_is_set_right() {
    // Two hours ahead for two seconds.
    let quiet = |after, set| (after, 5, 0, 0, 0, set);
    agree(&[quiet(1_000, 7_200), quiet(2_000, -7_200), quiet(9_000, 0), quiet(9_000, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_of_the_log_fires_what_fired_live_at_the_same_times(sent in sent()) {
        agree(&sent);
    }
}
