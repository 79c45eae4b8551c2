//! What a long life leaves on disk, and what a full one gives up.

use std::time::Instant;

use serde_json::json;

use super::*;
use crate::model::alert::{AlertStatus, Level};
use crate::model::clock::micros;
use crate::model::intent::{Attempt, Guard, Plan};
use crate::model::run::Phase;
use crate::model::{
    Alert, AlertId, Clock, Event, Intent, IntentId, Outcome, OutcomeRecord, Run, RunId, RunStatus, Status,
    Step, StepKind, StepStatus, Topic,
};
use crate::store::{Counts, Sqlite};

const DAY: i64 = 86_400;

struct World {
    clock: Clock,
    store: Arc<dyn Store>,
    board: Arc<Board>,
    limits: Limits,
    problems: Problems,
    made: u128,
}

impl World {
    fn new(limits: Limits) -> Self {
        let clock = Clock::fixed(micros(1_700_000_000_000_000));
        let store: Arc<dyn Store> = Arc::new(Sqlite::open_temporary(clock.clone()).unwrap());
        let board = Arc::new(Board::new(store.clone(), clock.clone(), 10_000));
        Self { clock, store, board, limits, problems: Problems::default(), made: 0 }
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now() + chrono::TimeDelta::seconds(seconds));
    }

    async fn round(&self) -> Pruned {
        let Self { store, board, limits, problems, .. } = self;
        let retention = Retention { store, board, limits, problems, spared: 500 };
        retention.round(self.clock.now()).await.unwrap()
    }

    async fn counts(&self) -> Counts {
        self.store.counts().await.unwrap()
    }

    fn events(&mut self, count: usize) -> Write {
        let (now, first) = (self.clock.now(), self.made);
        self.made += count as u128;
        let event = |n: u128| {
            let topic = Topic::try_new("telemetry.stress.boot_failed").unwrap();
            // Does not compress.
            let data = json!({ "n": n as u64, "noise": format!("{:032x}", rand::random::<u128>()) });
            Arc::new(Event::new(n.to_string(), topic, "test", now, data))
        };
        Write::Events((first..self.made).map(event).collect())
    }

    /// An intent of `rule` that was tried once, with `status` now and all that belongs to it.
    fn intent(&mut self, rule: &str, status: Status, steps: u32) -> (IntentId, Vec<Write>) {
        self.made += 1;
        let (now, n) = (self.clock.now(), self.made);
        let (id, run) = (IntentId::new(now, n), RunId::new(now, n));
        let target = format!("k{n}");
        let event = Event::new(n.to_string(), Topic::try_new("a.b").unwrap(), "test", now, json!(null));
        let guard =
            Guard { cooldown: (rule == "slow").then(|| Span::secs(120 * 86_400)), ..Guard::default() };
        let plan = Plan { guard, ..Plan::default() };
        let mut it = Intent::new(id, rule, &target, &target, Arc::new(event), Arc::new(plan), now);
        it.status = status;
        let attempt = Attempt {
            number: 1,
            playbook: "mend".into(),
            run,
            escalation: false,
            confidence: 0.5,
            started_at: now,
            ended_at: Some(now),
            outcome: Some(Outcome::Fixed),
            ended_by: Default::default(),
            message: None,
        };
        it.attempts.push(attempt);
        let hash = format!("{rule} on day {}", now.timestamp() / DAY);
        let run = Run {
            id: run,
            intent: id,
            attempt: 1,
            playbook: "mend".into(),
            source_hash: hash.clone(),
            ctx: json!({}),
            status: if status.is_open() { RunStatus::Running } else { RunStatus::Succeeded },
            started_at: now,
            deadline: now,
            disturbed_by: Default::default(),
            taken_up_at: None,
            idle_lives: 0,
            ended_at: None,
            result: None,
            verified: None,
            error: None,
        };
        let step = |seq| Step {
            run: run.id,
            phase: Phase::Run,
            seq,
            kind: StepKind::Log,
            name: String::new(),
            request: json!({}),
            status: StepStatus::Finished,
            tries: 1,
            result: None,
            error: None,
            started_at: now,
            finished_at: Some(now),
        };
        let outcome = OutcomeRecord {
            intent: id,
            attempt: 1,
            rule: rule.into(),
            class: rule.into(),
            target,
            playbook: "mend".into(),
            source_hash: hash.clone(),
            outcome: Outcome::Fixed,
            ended_by: Default::default(),
            untimed: false,
            escalation: false,
            recovery_ms: 1,
            attempt_ms: 1,
            propensity: 1.0,
            confidence: 0.5,
            at: now,
            number: 0,
        };
        let steps = (0..steps).map(step).collect();
        let writes = vec![
            Write::Intent(Arc::new(it)),
            Write::Source { text: hash.repeat(50), hash },
            Write::Steps(steps),
            Write::Run(Box::new(run)),
            Write::Outcome(outcome),
        ];
        (id, writes)
    }

    fn alert(&mut self, status: AlertStatus) -> Write {
        self.made += 1;
        let now = self.clock.now();
        Write::Alert(Alert {
            id: AlertId::new(now, self.made),
            key: self.made.to_string(),
            level: Level::Warning,
            title: "A service is down".into(),
            message: "See to it".into(),
            target: None,
            targets: vec![],
            intent: None,
            status,
            count: 1,
            telling: false,
            rule: String::new(),
            channels: Default::default(),
            created_at: now,
            updated_at: now,
        })
    }
}

/// What is on disk after a while of equal days.
#[derive(Debug, PartialEq)]
struct Kept {
    events: u64,
    intents: u64,
    runs: u64,
    alerts: usize,
    sources: usize,
}

#[tokio::test]
async fn on_day_400_the_store_is_as_large_as_on_day_150() {
    let mut world = World::new(Limits::default());
    let (first, writes) = world.intent("open", Status::Running, 3);
    world.store.commit(writes).await.unwrap();
    let active = world.alert(AlertStatus::Active);
    world.store.commit(vec![active]).await.unwrap();
    let begun = world.clock.now();
    let mut kept = Vec::new();
    for day in 1..=400 {
        for _ in 0..2 {
            world.pass(DAY / 2);
            let mut writes = vec![world.events(200)];
            for _ in 0..4 {
                writes.extend(world.intent("quick", Status::Succeeded, 5).1);
                writes.push(world.alert(AlertStatus::Resolved));
            }
            world.store.commit(writes).await.unwrap();
        }
        world.round().await;
        if day == 150 || day == 400 {
            let counts = world.counts().await;
            let mut sources = 0;
            for ago in 0..=day {
                let at = begun + chrono::TimeDelta::days(ago);
                let hash = format!("quick on day {}", at.timestamp() / DAY);
                sources += usize::from(world.store.source(hash).await.unwrap().is_some());
            }
            let alerts = world.store.alerts(false, 100_000).await.unwrap().len();
            let rows =
                Kept { events: counts.events, intents: counts.intents, runs: counts.runs, alerts, sources };
            kept.push((rows, counts));
        }
    }
    let [(rows, early), (last_rows, late)] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(rows, last_rows);
    assert!((721..=740).contains(&rows.intents) && (90..=95).contains(&rows.sources), "{rows:?}");
    assert_eq!((late.outcomes, early.outcomes), (1 + 8 * 400, 1 + 8 * 150), "learning rests on outcomes");
    // Outcomes are what grows, by half a kilobyte each; the rest is flat.
    let grown = late.bytes.saturating_sub(early.bytes);
    assert!(grown < (late.outcomes - early.outcomes) * 700, "{early:?}, then {late:?}");
    assert!(world.store.intent(first).await.unwrap().is_some(), "it is open");
    assert_eq!(world.store.alerts(true, 10).await.unwrap().len(), 1);
    let source = format!("open on day {}", begun.timestamp() / DAY);
    assert!(world.store.source(source).await.unwrap().is_some(), "the run that is open goes by it");
    assert!(world.problems.is_empty());
}

#[tokio::test]
async fn an_intent_stays_as_long_as_a_guard_may_ask_for_it() {
    let mut world = World::new(Limits::default());
    let (id, writes) = world.intent("slow", Status::Succeeded, 1);
    let (gone, more) = world.intent("quick", Status::Succeeded, 1);
    world.store.commit(writes.into_iter().chain(more).collect()).await.unwrap();
    // Another intent of the rule whose cooldown is 120 days is open.
    let (_, writes) = world.intent("slow", Status::Pending, 0);
    for write in writes {
        if let Write::Intent(intent) = write {
            world.board.take_up(intent.as_ref().clone());
        }
    }
    for (days, left) in [(89, 2), (10, 2), (22, 0)] {
        world.pass(days * DAY);
        world.round().await;
        assert_eq!(world.counts().await.intents, left, "{days} days later");
    }
    assert_eq!(world.store.intent(id).await.unwrap(), None);
    assert_eq!(world.store.intent(gone).await.unwrap(), None);
    let since = world.store.meta(board::SINCE.into()).await.unwrap().unwrap();
    let told: Time = since.parse().unwrap();
    assert_eq!(
        told,
        world.clock.now() - chrono::TimeDelta::days(120),
        "guards know from when on it is whole"
    );
}

#[tokio::test]
async fn over_the_disk_budget_the_oldest_events_go_first_and_an_operator_is_told() {
    let disk = Size(2 << 20);
    let mut world = World::new(Limits { disk, idempotency_window: 1_000, ..Limits::default() });
    for _ in 0..60 {
        let mut writes = vec![world.events(1_000)];
        writes.extend(world.intent("quick", Status::Succeeded, 2).1);
        world.store.commit(writes).await.unwrap();
        world.pass(3_600);
    }
    let before = world.counts().await;
    assert!(before.used > disk.0, "{before:?}");
    let done = world.round().await;
    let after = world.counts().await;
    assert!(after.used <= disk.0 && done.events > 0, "{after:?}");
    assert_eq!((done.intents, after.intents), (0, 60), "events go before intents");
    assert!(after.events >= 1_000, "those that are remembered as known stay");
    let told = world.problems.texts();
    assert!(told[0].starts_with("the store reached `limits.disk` (2 MiB)"), "{told:?}");

    // Much too small: what guards, learning and open intents need stays, and that is said.
    world.limits.disk = Size(100 << 10);
    world.pass(30 * DAY);
    let (open, writes) = world.intent("quick", Status::Running, 2);
    world.store.commit(writes).await.unwrap();
    world.round().await;
    let last = world.counts().await;
    assert_eq!((last.intents, last.outcomes), (1, 61));
    assert!(world.store.intent(open).await.unwrap().is_some());
    let told = world.problems.texts();
    assert!(told[0].contains("the rest of it is needed"), "{told:?}");
    // Room enough again.
    world.limits.disk = Size(1 << 30);
    world.round().await;
    assert!(world.problems.is_empty());
}

#[tokio::test]
async fn no_commit_waits_long_while_much_is_deleted() {
    let mut world = World::new(Limits::default());
    for _ in 0..20 {
        let mut writes = vec![world.events(4_000)];
        writes.extend(world.intent("quick", Status::Succeeded, 3_000).1);
        world.store.commit(writes).await.unwrap();
    }
    world.pass(400 * DAY);
    let world = Arc::new(world);
    let round = tokio::spawn({
        let world = world.clone();
        async move { world.round().await }
    });
    let mut waits: Vec<Duration> = Vec::new();
    while !round.is_finished() {
        let begun = Instant::now();
        world.store.commit(vec![Write::Meta { key: "k".into(), value: "v".into() }]).await.unwrap();
        waits.push(begun.elapsed());
    }
    let done = round.await.unwrap();
    assert_eq!(done.intents, 20);
    assert!(done.events >= 76_000, "{done:?}");
    waits.sort();
    // One portion takes 10 ms and what it had begun; a busy machine takes longer, but never as long as all of it.
    assert!(waits.len() >= 5, "commits had their turn between portions: {waits:?}");
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(50), "{waits:?}");
}
