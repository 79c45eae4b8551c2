//! What a start reads does not grow with what lies in the store.

use serde_json::json;

use super::*;
use crate::model::clock::micros;
use crate::model::{IntentId, Outcome, Topic};
use crate::store::Write;

const EVENTS: u64 = 30_000;
const OUTCOMES: u64 = 9_000;

fn event(n: u64) -> Event {
    let at = micros(1_700_000_000_000_000 + n as i64);
    let topic = Topic::try_new("telemetry.stress.boot_completed").unwrap();
    Event::new(n.to_string(), topic, "test", at, json!({"kernel": "k1", "boot_duration_ms": n % 100}))
}

/// Outcome `number`; all of them are known within one second, as in a storm.
fn outcome(number: u64) -> OutcomeRecord {
    let at = micros(1_700_000_000_000_000 + number as i64);
    OutcomeRecord {
        intent: IntentId::new(at, number.into()),
        attempt: 1,
        rule: "r".into(),
        class: "r".into(),
        target: "k1".into(),
        playbook: "mend".into(),
        source_hash: "h".into(),
        outcome: if number.is_multiple_of(3) { Outcome::NotFixed } else { Outcome::Fixed },
        ended_by: Default::default(),
        untimed: false,
        escalation: false,
        recovery_ms: 1,
        attempt_ms: 1,
        propensity: 1.0,
        confidence: 0.5,
        at,
        number,
    }
}

/// An engine's memory, told of everything that is in `store`.
struct Life {
    store: Arc<dyn Store>,
    learner: Learner,
    observed: Aggregator,
    events: u64,
}

impl Life {
    async fn go_on(&mut self, events: u64, outcomes: u64) {
        let all: Vec<_> = (self.events + 1..=self.events + events).map(|n| Arc::new(event(n))).collect();
        for (number, event) in (self.events + 1..).zip(&all) {
            self.observed.observe(number, event, event.time);
        }
        self.events += events;
        let mut writes: Vec<Write> = all.chunks(4_096).map(|some| Write::Events(some.to_vec())).collect();
        for _ in 0..outcomes {
            let record = outcome(self.learner.number());
            drop(self.learner.observe(&record));
            self.observed.observe_outcome(&record);
            self.learner.settle(record.number);
            writes.push(Write::Outcome(record));
        }
        for write in writes {
            drop(self.store.commit(vec![write]));
        }
        self.store.commit(vec![]).await.unwrap();
    }

    async fn save(&mut self) {
        self.observed.outcomes_up_to(self.learner.position());
        let observed = self.observed.snapshot().unwrap().to_string();
        let learned = serde_json::to_string(&self.learner.keep().unwrap()).unwrap();
        let writes = vec![
            Write::Meta { key: OBSERVED.into(), value: observed },
            Write::Meta { key: LEARNED.into(), value: learned },
        ];
        self.store.commit(writes).await.unwrap();
    }

    /// What another life reads, and that it then knows the same.
    async fn is_taken_up(&self) -> (usize, usize) {
        let now = micros(1_700_000_100_000_000);
        let read = Remembered::read(self.store.as_ref(), &Config::default(), now).await.unwrap();
        assert_eq!(read.observed.position(), Some(self.events));
        assert_eq!(read.learner.position(), self.learner.position());
        // What follows from the counts is computed anew.
        let counts = |it: &Learner| {
            let rows = it.table().into_iter();
            rows.map(|row| (row.playbook, row.class, row.posterior.attempts, row.posterior.successes))
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(&read.learner), counts(&self.learner));
        let shown = |it: &Aggregator| {
            let stats = it.remediation_stats(vec![], vec![]);
            serde_json::to_value((it.dashboard(now), stats, it.stress_current())).unwrap()
        };
        assert_eq!(shown(&read.observed), shown(&self.observed));
        read.read
    }
}

#[tokio::test]
async fn a_start_reads_what_came_after_the_last_save_and_nothing_before() {
    let clock = Clock::fixed(micros(1_700_000_050_000_000));
    let store: Arc<dyn Store> = Arc::new(Sqlite::open_temporary(clock).unwrap());
    let mut life = Life { store, learner: Learner::default(), observed: Aggregator::default(), events: 0 };
    life.go_on(EVENTS, OUTCOMES).await;
    life.save().await;
    assert_eq!(life.is_taken_up().await, (0, 0), "after a stop in good order");
    life.go_on(123, 45).await;
    assert_eq!(life.is_taken_up().await, (123, 45), "after a kill");
    // Something is on its way while it is saved, and comes to its end after it.
    let number = life.learner.number();
    life.go_on(7, 3).await;
    life.save().await;
    let record = outcome(number);
    life.store.commit(vec![Write::Outcome(record.clone())]).await.unwrap();
    drop(life.learner.observe(&record));
    life.observed.observe_outcome(&record);
    life.learner.settle(number);
    assert_eq!(life.is_taken_up().await, (0, 4));
}
