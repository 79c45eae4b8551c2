//! What every backend of [`Store`] must do, as one suite. A backend's tests say `conformance!(its_home)`, where
//! `its_home()` makes a [`Home`]: a place whose store can be closed and opened again.

mod group;
mod log;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{Entry, Error, EventQuery, IntentQuery, Prune, Store, Write};
use crate::model::alert::{AlertStatus, Level};
use crate::model::clock::micros;
use crate::model::run::Phase;
use crate::model::{
    Alert, AlertId, EndedBy, Event, Intent, IntentId, Outcome, OutcomeRecord, Pattern, Priority, Run, RunId,
    RunStatus, Status, Step, StepKind, StepStatus, Time, Topic,
};

/// A place whose store can be closed (by dropping it) and opened again.
pub(crate) trait Home {
    fn open(&self) -> Arc<dyn Store>;

    /// The same, with a hand on how its commits are grouped and what becomes of the groups.
    fn open_grouped(&self) -> (Arc<dyn Store>, Arc<dyn Grouped>);
}

/// What becomes of a group of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is kept.
    Kept,
    /// It is lost, and said to be.
    Lost,
    /// It is kept, and said to be lost.
    KeptUnseen,
}

/// Puts commits into groups of a test's choice.
pub(crate) trait Grouped: Send + Sync {
    /// What is handed in from here on waits, and becomes one group.
    fn gather(&self);

    /// Settles what was gathered; what comes after it is taken as it comes.
    fn settle(&self, fate: Fate);
}

/// Makes one test of each promise.
macro_rules! conformance {
    ($home:path) => {
        $crate::store::conformance::conformance!($home:
            what_was_acknowledged_is_there_after_a_restart_in_the_order_of_the_calls,
            a_unit_is_kept_whole_and_an_empty_one_waits_for_those_before,
            the_same_thing_again_takes_the_place_of_the_older,
            keys_come_back_oldest_first_and_are_the_same_after_a_restart,
            a_query_finds_the_events_it_asks_for_and_no_others,
            pages_joined_are_the_whole_list_in_both_directions,
            an_event_comes_back_as_it_went_in_however_large_or_strange,
            runs_and_journals_come_in_pages_and_open_runs_by_themselves,
            intents_are_found_by_what_people_ask_for,
            the_timeline_sources_and_names_are_kept,
            the_log_is_read_on_from_a_number_and_what_was_noted_about_an_event_is_found,
            what_is_older_than_asked_is_forgotten_and_nothing_else,
            a_cursor_from_nowhere_is_refused,
            a_group_that_fails_fails_for_each_unit_in_it_and_an_empty_one_only_waits,
            what_is_told_first_of_a_commit_is_told_in_order_and_though_nobody_waits,
        );
    };
    ($home:path: $($name:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::store::conformance::$name(&$home()).await;
            }
        )+
    };
}
pub(crate) use conformance;
pub(crate) use group::{
    a_group_that_fails_fails_for_each_unit_in_it_and_an_empty_one_only_waits,
    what_is_told_first_of_a_commit_is_told_in_order_and_though_nobody_waits,
};
pub(crate) use log::{
    a_query_finds_the_events_it_asks_for_and_no_others,
    an_event_comes_back_as_it_went_in_however_large_or_strange,
    keys_come_back_oldest_first_and_are_the_same_after_a_restart,
    pages_joined_are_the_whole_list_in_both_directions,
    runs_and_journals_come_in_pages_and_open_runs_by_themselves,
    the_log_is_read_on_from_a_number_and_what_was_noted_about_an_event_is_found,
};

fn at(second: i64) -> Time {
    micros((1_700_000_000 + second) * 1_000_000)
}

fn event(n: i64, topic: &str, data: Value) -> Arc<Event> {
    Arc::new(Event::new(format!("e{n}"), Topic::try_new(topic).unwrap(), "test", at(n), data))
}

fn events(range: std::ops::Range<i64>) -> Vec<Arc<Event>> {
    range.map(|n| event(n, if n % 2 == 0 { "even.n" } else { "odd.n" }, json!({ "n": n }))).collect()
}

fn ids<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    events.into_iter().map(|event| event.id.clone()).collect()
}

fn names(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| format!("e{n}")).collect()
}

fn intent(n: i64, status: Status, rule: &str, target: &str) -> Intent {
    let event = event(n, "a.b", json!({ "why": "it \"broke\"\n" }));
    let new =
        Intent::new(IntentId::new(at(n), n as u128), rule, target, target, event, Arc::default(), at(n));
    Intent { status, priority: Priority::High, class: "timeout".into(), expires_at: at(n + 900), ..new }
}

fn run(n: i64, intent: IntentId) -> Run {
    Run {
        id: RunId::new(at(n), n as u128),
        intent,
        attempt: 1,
        playbook: "restart_kernel".into(),
        source_hash: "abc".into(),
        ctx: json!({ "target": "k1" }),
        status: RunStatus::Running,
        started_at: at(n),
        deadline: at(n + 300),
        disturbed_by: EndedBy::Itself,
        taken_up_at: None,
        idle_lives: 0,
        ended_at: None,
        result: None,
        verified: None,
        error: None,
    }
}

fn step(run: RunId, seq: u32, status: StepStatus) -> Step {
    Step {
        run,
        phase: Phase::Run,
        seq,
        kind: StepKind::Act,
        name: "kernel.restart".into(),
        request: json!({ "kernel": "k1" }),
        status,
        tries: 1,
        result: None,
        error: None,
        started_at: at(0),
        finished_at: None,
    }
}

fn outcome(intent: IntentId, attempt: u32, second: i64, outcome: Outcome) -> OutcomeRecord {
    OutcomeRecord {
        intent,
        attempt,
        rule: "boot".into(),
        class: "timeout".into(),
        target: "k1".into(),
        playbook: "restart_kernel".into(),
        source_hash: "abc".into(),
        outcome,
        ended_by: EndedBy::Itself,
        untimed: false,
        escalation: false,
        recovery_ms: 1_200,
        attempt_ms: 800,
        propensity: 0.5,
        confidence: 0.7,
        at: at(second),
        number: 0,
    }
}

fn alert(n: i64, status: AlertStatus) -> Alert {
    Alert {
        id: AlertId::new(at(n), n as u128),
        key: format!("key-{n}"),
        level: Level::Critical,
        title: "k1 is down".into(),
        message: "Look at it.".into(),
        target: Some("k1".into()),
        intent: None,
        status,
        telling: false,
        rule: String::new(),
        channels: Default::default(),
        targets: Vec::new(),
        count: 1,
        created_at: at(n),
        updated_at: at(n),
    }
}

async fn replayed(store: &dyn Store, since: Time) -> Vec<Event> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let given = store.replay_events(since, Box::new(move |event| sink.lock().unwrap().push(event)));
    let given = given.await.unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(given, seen.len() as u64);
    seen
}

pub(crate) async fn what_was_acknowledged_is_there_after_a_restart_in_the_order_of_the_calls(
    home: &impl Home,
) {
    let store = home.open();
    let mut last = None;
    for n in 0..500 {
        last = Some(store.commit(vec![
            Write::Events(events(n..n + 1)),
            Write::Meta { key: "latest".into(), value: n.to_string() },
        ]));
    }
    last.unwrap().await.unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(ids(&replayed(&*store, at(0)).await), names(0..500));
    assert_eq!(store.meta("latest".into()).await.unwrap().as_deref(), Some("499"));
    store.commit(vec![Write::Events(events(500..10_000))]).await.unwrap();
    assert_eq!(ids(&replayed(&*store, at(9_998)).await), names(9_998..10_000), "`since` is kept to");
    assert_eq!(ids(&replayed(&*store, at(0)).await), names(0..10_000));
    assert_eq!(store.counts().await.unwrap().events, 10_000);
}

async fn open_intents(store: &dyn Store) -> Vec<Intent> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let each = found.clone();
    let given = store.open_intents(Box::new(move |it| each.lock().unwrap().push(it))).await.unwrap();
    let found = std::mem::take(&mut *found.lock().unwrap());
    assert_eq!(found.len() as u64, given);
    found
}

async fn open_runs(store: &dyn Store) -> Vec<(RunId, Option<Step>)> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let each = found.clone();
    let given = store.open_runs(Box::new(move |it| each.lock().unwrap().push((it.id, it.last)))).await;
    let found = std::mem::take(&mut *found.lock().unwrap());
    assert_eq!(found.len() as u64, given.unwrap());
    found
}

pub(crate) async fn a_unit_is_kept_whole_and_an_empty_one_waits_for_those_before(home: &impl Home) {
    let store = home.open();
    let wish = intent(1, Status::Pending, "boot", "k1");
    let dropped = store.commit(vec![
        Write::Events(events(0..3)),
        Write::Intent(Arc::new(wish.clone())),
        Write::Run(Box::new(run(1, wish.id))),
    ]);
    drop(dropped);
    store.commit(Vec::new()).await.unwrap();
    assert_eq!(store.intent(wish.id).await.unwrap(), Some(wish.clone()));
    assert_eq!(store.runs_of(wish.id).await.unwrap(), [run(1, wish.id)]);
    assert_eq!(open_runs(&*store).await, [(run(1, wish.id).id, None)]);
    assert_eq!(replayed(&*store, at(0)).await.len(), 3);
}

pub(crate) async fn the_same_thing_again_takes_the_place_of_the_older(home: &impl Home) {
    let store = home.open();
    let mut wish = intent(1, Status::Pending, "boot", "k1");
    let mut attempt = run(1, wish.id);
    let both = [step(attempt.id, 1, StepStatus::Started), step(attempt.id, 0, StepStatus::Finished)];
    let first_step = both[1].clone();
    let first = vec![
        Write::Intent(Arc::new(wish.clone())),
        Write::Run(Box::new(attempt.clone())),
        Write::Steps(both.to_vec()),
        Write::Outcome(outcome(wish.id, 1, 5, Outcome::Fixed)),
        Write::Outcome(outcome(wish.id, 2, 4, Outcome::NotFixed)),
        Write::Alert(alert(1, AlertStatus::Active)),
    ];
    store.commit(first).await.unwrap();
    let started = (attempt.id, Some(step(attempt.id, 1, StepStatus::Started)));
    assert_eq!(open_runs(&*store).await, [started], "with the last step, by its number");
    wish.status = Status::Succeeded;
    wish.target = "k2".into();
    wish.updated_at = at(9);
    attempt.status = RunStatus::Succeeded;
    let done = Step { result: Some(json!({ "pid": 7 })), ..step(attempt.id, 1, StepStatus::Finished) };
    let second = vec![
        Write::Intent(Arc::new(wish.clone())),
        Write::Run(Box::new(attempt.clone())),
        Write::Steps(vec![done.clone()]),
        Write::Outcome(outcome(wish.id, 1, 6, Outcome::Relapsed)),
        Write::Alert(alert(1, AlertStatus::Resolved)),
    ];
    store.commit(second).await.unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(store.intent(wish.id).await.unwrap(), Some(wish.clone()));
    assert_eq!(open_intents(&*store).await, []);
    let by_target = IntentQuery { target: Some("k2".into()), ..Default::default() };
    assert_eq!(store.intents(by_target).await.unwrap().items, [wish.clone()]);
    assert_eq!(store.run(attempt.id).await.unwrap(), Some(attempt.clone()));
    assert_eq!(open_runs(&*store).await, []);
    let both = (attempt.clone(), vec![both[1].clone(), done.clone()]);
    assert_eq!(store.run_and_steps(attempt.id).await.unwrap(), Some(both));
    assert_eq!(store.steps(attempt.id).await.unwrap(), [first_step, done]);
    let known = [outcome(wish.id, 2, 4, Outcome::NotFixed), outcome(wish.id, 1, 6, Outcome::Relapsed)];
    assert_eq!(store.outcomes().await.unwrap(), known);
    assert_eq!(store.outcomes_since(at(5)).await.unwrap(), known[1..]);
    assert_eq!(store.outcomes_of(wish.id).await.unwrap(), [known[1].clone(), known[0].clone()]);
    assert_eq!(store.outcomes_of(intent(999, Status::Failed, "r", "k").id).await.unwrap(), []);
    outcomes_are_read_on_from_a_number(&*store, wish.id).await;
    assert_eq!(store.alerts(true, 10).await.unwrap(), []);
    assert_eq!(store.alerts(false, 10).await.unwrap(), [alert(1, AlertStatus::Resolved)]);
}

async fn ended_since(
    store: &dyn Store,
    since: i64,
    wanted: impl Fn(&str) -> bool + Send + 'static,
) -> Vec<Intent> {
    let found = Arc::new(Mutex::new(Vec::new()));
    let each = found.clone();
    let wanted = Box::new(move |rule: &str, _| wanted(rule));
    store.ended_since(at(since), wanted, Box::new(move |it| each.lock().unwrap().push(it))).await.unwrap();
    std::mem::take(&mut *found.lock().unwrap())
}

pub(crate) async fn intents_are_found_by_what_people_ask_for(home: &impl Home) {
    let store = home.open();
    let kinds = [Status::Pending, Status::Running, Status::Succeeded, Status::Failed];
    let all: Vec<Intent> = (0..40)
        .map(|n| {
            let rule = if n % 3 == 0 { "boot" } else { "slow" };
            intent(n, kinds[n as usize % 4], rule, &format!("k{}", n % 5))
        })
        .collect();
    store.commit(all.iter().cloned().map(|it| Write::Intent(Arc::new(it))).collect()).await.unwrap();
    let open: Vec<Intent> = all.iter().filter(|it| it.status.is_open()).cloned().collect();
    assert_eq!(open_intents(&*store).await, open);
    let ended: Vec<Intent> = all.iter().filter(|it| !it.status.is_open()).cloned().collect();
    assert_eq!(ended_since(&*store, 0, |_| true).await, ended);
    assert_eq!(ended_since(&*store, 0, |rule| rule == "no such rule").await, []);
    assert_eq!(ended_since(&*store, 1_000_000, |_| true).await, []);
    type Test = fn(&Intent) -> bool;
    let cases: [(IntentQuery, Test); 6] = [
        (IntentQuery::default(), |_| true),
        (IntentQuery { status: Some(Status::Failed), ..Default::default() }, |it| {
            it.status == Status::Failed
        }),
        (IntentQuery { open: Some(true), ..Default::default() }, |it| it.status.is_open()),
        (IntentQuery { open: Some(false), ..Default::default() }, |it| !it.status.is_open()),
        (IntentQuery { rule: Some("boot".into()), ..Default::default() }, |it| it.rule == "boot"),
        (IntentQuery { target: Some("k1".into()), rule: Some("slow".into()), ..Default::default() }, |it| {
            it.target == "k1" && it.rule == "slow"
        }),
    ];
    for (query, test) in cases {
        let expected: Vec<IntentId> = all.iter().rev().filter(|it| test(it)).map(|it| it.id).collect();
        for limit in [3, 0] {
            let mut query = IntentQuery { limit, ..query.clone() };
            let mut seen = Vec::new();
            loop {
                let page = store.intents(query.clone()).await.unwrap();
                seen.extend(page.items.iter().map(|it| it.id));
                let Some(cursor) = page.next_cursor else { break };
                query.cursor = Some(cursor);
            }
            assert_eq!(seen, expected, "{query:?}");
        }
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.intents, counts.open_intents), (40, 20));
}

pub(crate) async fn the_timeline_sources_and_names_are_kept(home: &impl Home) {
    let store = home.open();
    let entry = |n: i64| Entry { at: at(n), kind: "note".into(), data: json!({ "n": n }) };
    let writes =
        [2, 1, 3].map(|n| Write::Timeline { at: at(n), kind: "note".into(), data: json!({ "n": n }) });
    store.commit(writes.to_vec()).await.unwrap();
    for value in ["one", "two ünï"] {
        store.commit(vec![Write::Meta { key: "k".into(), value: value.into() }]).await.unwrap();
        store.commit(vec![Write::Source { hash: "h".into(), text: "fn run(ctx) {}".into() }]).await.unwrap();
    }
    let large = "- name: ünï\n".repeat(50_000);
    store.commit(vec![Write::Source { hash: "l".into(), text: large.clone() }]).await.unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(store.timeline(2).await.unwrap(), [entry(3), entry(2)]);
    assert_eq!(store.meta("k".into()).await.unwrap().as_deref(), Some("two ünï"));
    assert_eq!(store.meta("other".into()).await.unwrap(), None);
    let named = |key: &str| Write::Meta { key: key.into(), value: key.to_uppercase() };
    store.commit(["a/2", "a/1", "a", "b/1", "a0"].map(named).to_vec()).await.unwrap();
    store.commit(vec![Write::RemoveMeta { key: "a/2".into() }, named("a/3")]).await.unwrap();
    store.commit(vec![Write::RemoveMeta { key: "never there".into() }]).await.unwrap();
    let of_a = store.metas("a/".into()).await.unwrap();
    assert_eq!(of_a, [("a/1".into(), "A/1".into()), ("a/3".into(), "A/3".into())]);
    assert_eq!(store.source("h".into()).await.unwrap().as_deref(), Some("fn run(ctx) {}"));
    assert!(store.source("l".into()).await.unwrap() == Some(large), "a large source is another");
    assert_eq!(store.source("g".into()).await.unwrap(), None);
}

/// Backends date what arrives by their clock; a home's clock stands at second 1,000.
pub(crate) async fn what_is_older_than_asked_is_forgotten_and_nothing_else(home: &impl Home) {
    let store = home.open();
    let (old, young, open) = (
        intent(1, Status::Succeeded, "boot", "k1"),
        intent(500, Status::Failed, "boot", "k1"),
        intent(2, Status::Running, "boot", "k2"),
    );
    let (first, second) = (run(1, old.id), run(500, young.id));
    let writes = vec![
        Write::Intent(Arc::new(old.clone())),
        Write::Intent(Arc::new(young.clone())),
        Write::Intent(Arc::new(open.clone())),
        Write::Run(Box::new(first.clone())),
        Write::Run(Box::new(second.clone())),
        Write::Steps(vec![step(first.id, 0, StepStatus::Finished), step(second.id, 0, StepStatus::Finished)]),
        Write::Outcome(outcome(old.id, 1, 1, Outcome::Fixed)),
        Write::Alert(alert(1, AlertStatus::Resolved)),
        Write::Alert(alert(2, AlertStatus::Active)),
        Write::Timeline { at: at(1), kind: "old".into(), data: json!(1) },
        Write::Timeline { at: at(500), kind: "young".into(), data: json!(1) },
    ];
    store.commit(writes).await.unwrap();
    store.commit(vec![Write::Events(events(0..9_000))]).await.unwrap();
    store.commit(vec![Write::Events(events(9_000..9_010))]).await.unwrap();
    let nothing = store.prune(Prune { events: Some(at(1_000)), ..Default::default() }).await.unwrap();
    assert_eq!(nothing.events, 0, "they arrived at that second, not before it");
    let before = Some(at(100));
    let what = Prune {
        events: Some(at(1_001)),
        intents: before,
        alerts: before,
        timeline: before,
        ..Default::default()
    };
    let done = store.prune(what).await.unwrap();
    assert_eq!((done.events, done.intents, done.alerts, done.timeline), (9_000, 1, 1, 1));
    assert_eq!(store.intent(old.id).await.unwrap(), None);
    assert_eq!(store.run(first.id).await.unwrap(), None);
    assert_eq!(store.steps(first.id).await.unwrap(), []);
    assert_eq!(store.intent(young.id).await.unwrap().map(|it| it.id), Some(young.id));
    assert_eq!(store.steps(second.id).await.unwrap().len(), 1);
    assert_eq!(open_intents(&*store).await.len(), 1);
    assert_eq!(store.outcomes().await.unwrap().len(), 1, "learning rests on outcomes");
    assert_eq!(store.alerts(false, 10).await.unwrap().len(), 1);
    assert_eq!(store.timeline(10).await.unwrap().len(), 1);
    sources_go_that_nothing_goes_by(&*store).await;
    drop(store);
    let store = home.open();
    store.commit(vec![Write::Events(events(9_010..9_020))]).await.unwrap();
    assert_eq!(ids(&replayed(&*store, at(0)).await), names(9_000..9_020));
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
}

async fn outcomes_are_read_on_from_a_number(store: &dyn Store, id: IntentId) {
    let numbered = |attempt, number| OutcomeRecord { number, ..outcome(id, attempt, 9, Outcome::Fixed) };
    // Handed in out of order, and the first again under another number.
    for (attempt, number) in [(3, 2), (4, 1), (3, 5), (5, 3), (6, 0)] {
        store.commit(vec![Write::Outcome(numbered(attempt, number))]).await.unwrap();
    }
    for (after, expected) in [(0, vec![(4, 1), (5, 3), (3, 5)]), (1, vec![(5, 3), (3, 5)]), (5, vec![])] {
        let found = Arc::new(Mutex::new(Vec::new()));
        let each = found.clone();
        let each = Box::new(move |it| each.lock().unwrap().push(it));
        assert_eq!(store.outcomes_after(after, each).await.unwrap(), 5);
        let expected: Vec<_> =
            expected.into_iter().map(|(attempt, number)| numbered(attempt, number)).collect();
        assert_eq!(*found.lock().unwrap(), expected);
    }
}

async fn sources_go_that_nothing_goes_by(store: &dyn Store) {
    let open = Run {
        source_hash: "open".into(),
        status: RunStatus::Running,
        ..run(700, intent(2, Status::Running, "boot", "k2").id)
    };
    let mut writes = vec![Write::Run(Box::new(open))];
    let hashes = ["gone", "named", "open"];
    writes.extend(hashes.map(|hash| Write::Source { hash: hash.into(), text: hash.into() }));
    store.commit(writes).await.unwrap();
    let before = |second| Prune { sources: Some((at(second), vec!["named".into()])), ..Prune::default() };
    assert_eq!(store.prune(before(1_000)).await.unwrap().sources, 0, "they were handed in at that second");
    assert_eq!(store.prune(before(1_001)).await.unwrap().sources, 1);
    for hash in hashes {
        assert_eq!(store.source(hash.into()).await.unwrap().is_some(), hash != "gone", "{hash}");
    }
}

pub(crate) async fn a_cursor_from_nowhere_is_refused(home: &impl Home) {
    let store = home.open();
    let query = EventQuery { cursor: Some("x".into()), ..Default::default() };
    assert!(matches!(store.events(query).await, Err(Error::Invalid(text)) if text.contains("`x`")));
    let query = IntentQuery { cursor: Some("7".into()), ..Default::default() };
    assert!(matches!(store.intents(query).await, Err(Error::Invalid(text)) if text.contains("`7`")));
}
