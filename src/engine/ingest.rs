//! The one place where events come in: dropped if known, matched, turned into intents, made durable, then told.
//!
//! One thread takes batches from the lanes in order, so that what rules see is a sequence, whatever the number of
//! senders. Events and the intents they lead to go to the store in one transaction; senders hear of it, and everybody
//! else sees the events, only once that is durable. It performs no effect.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use tokio::sync::{mpsc, oneshot};

use super::failing::Failing;
use super::metrics::Metrics;
use crate::bus::Lanes;
use crate::intents::Board;
use crate::intents::board::Changes;
use crate::model::{Chance, Clock, Event, Time};
use crate::rules::{Firing, RuleSet, Scratch, Windows};
use crate::store::{Commit, IntentQuery, Store, Write};

/// Most events taken into one transaction, unless one delivery alone is larger.
const MAX_BATCH: usize = 4_096;

/// Ended intents that are read back, to know relapses and rates from before a restart.
const ENDED: usize = 1_000;

/// Events on their way in, and who waits to hear that they are safe.
#[derive(Debug)]
pub struct Delivery {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Who waits.
    pub reply: Option<oneshot::Sender<Result<Receipt, String>>>,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// Events that are in the log now.
    pub accepted: usize,
    /// Events that were there already.
    pub duplicates: usize,
}

/// A batch handed to the store.
pub struct Committed {
    /// Resolves when it is durable.
    pub commit: Commit,
    /// Its events.
    pub events: Vec<Arc<Event>>,
    /// Those of them whose sender does not wait, and would not send them again.
    pub unattended: Vec<Arc<Event>>,
    /// What they changed on the board.
    pub changes: Changes,
    /// Who waits.
    pub replies: Vec<(oneshot::Sender<Result<Receipt, String>>, Receipt)>,
    /// How many rules fired.
    pub fired: usize,
}

/// What the ingest thread works with.
pub struct Ingest {
    /// Where events come from.
    pub lanes: Arc<Lanes<Delivery>>,
    /// Where they go.
    pub store: Arc<dyn Store>,
    /// The open intents.
    pub board: Arc<Board>,
    /// The rules as they are now.
    pub rules: Arc<RwLock<Arc<RuleSet>>>,
    /// Conditions that failed.
    pub failing: Arc<Failing>,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// The state of patterns; shared with `explain`.
    pub windows: Arc<std::sync::Mutex<Windows>>,
    /// The time.
    pub clock: Clock,
    /// Where random bits come from.
    pub chance: Chance,
    /// Events remembered as known.
    pub window: usize,
    /// Where batches go once they are with the store.
    pub committed: mpsc::Sender<Committed>,
    /// Batches that failed to become durable; then memory is ahead of the disk.
    pub failed: Arc<AtomicUsize>,
    /// Batches on their way.
    pub under_way: Arc<AtomicUsize>,
    /// Told once memory is what the disk says.
    pub ready: oneshot::Sender<()>,
}

impl Ingest {
    /// Takes in events until the lanes are closed. It computes for long between two waits, so it has a thread of its
    /// own.
    pub async fn run(mut self) {
        let mut seen = Seen::new(self.window);
        let mut rules = self.current();
        let mut scratch = Scratch::default();
        self.recall().await;
        self.recover(&mut seen, &rules).await;
        let (spent, _) = oneshot::channel();
        if std::mem::replace(&mut self.ready, spent).send(()).is_err() {
            return;
        }
        while let Some(first) = self.lanes.pop().await {
            if self.failed.load(Ordering::SeqCst) > 0 {
                self.recover(&mut seen, &rules).await;
            }
            let now = self.current();
            if !Arc::ptr_eq(&now, &rules) {
                rules = now;
                self.windows().retain(&rules);
                self.failing.retain(&rules);
            }
            let batch = self.gather(first);
            let take_in = || self.take_in(batch, &rules, &mut seen, &mut scratch);
            let Ok(committed) = catch_unwind(AssertUnwindSafe(take_in)) else {
                // Its senders are told, by their answers' end; what else it changed is read back.
                tracing::error!(
                    "taking a batch of events in panicked: it is dropped, and the state read back"
                );
                self.failed.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            self.under_way.fetch_add(1, Ordering::SeqCst);
            if self.committed.send(committed).await.is_err() {
                return;
            }
        }
    }

    fn gather(&self, first: Delivery) -> Vec<Delivery> {
        let mut size = first.events.len();
        let mut batch = vec![first];
        while size < MAX_BATCH {
            let Some(next) = self.lanes.try_pop() else { break };
            size += next.events.len();
            batch.push(next);
        }
        batch
    }

    fn take_in(
        &self,
        batch: Vec<Delivery>,
        rules: &RuleSet,
        seen: &mut Seen,
        scratch: &mut Scratch,
    ) -> Committed {
        let now = self.clock.now();
        let mut events = Vec::new();
        let mut unattended = Vec::new();
        let mut replies = Vec::new();
        for delivery in batch {
            let mut receipt = Receipt::default();
            for event in delivery.events {
                if seen.insert(self.store.event_key(&event.source, &event.id)) {
                    receipt.accepted += 1;
                    let event = Arc::new(event);
                    if delivery.reply.is_none() {
                        unattended.push(event.clone());
                    }
                    events.push(event);
                } else {
                    receipt.duplicates += 1;
                }
            }
            replies.extend(delivery.reply.map(|reply| (reply, receipt)));
        }
        fail::fail_point!("received", |_| std::process::abort());
        let (commit, changes, fired) = self.decide(&events, rules, scratch, now);
        Committed { commit, events, unattended, changes, replies, fired }
    }

    /// Matches `events` and hands them to the store with the intents they lead to.
    fn decide(
        &self,
        events: &[Arc<Event>],
        rules: &RuleSet,
        scratch: &mut Scratch,
        now: Time,
    ) -> (Commit, Changes, usize) {
        let mut firings = Vec::new();
        let mut windows = self.windows();
        let mut board = self.board.batch();
        let mut fired = 0;
        for event in events {
            let hits = rules.hits(event, scratch);
            self.metrics.conditions_failed.inc_by(self.failing.note(rules, scratch.errors(), now));
            if hits.is_empty() {
                continue;
            }
            windows.apply(rules, event, &hits, &mut firings);
            for firing in firings.drain(..) {
                match firing {
                    Firing::Fire(it) => {
                        fired += 1;
                        board.fire(&it, event, now, self.chance.identity());
                    }
                    Firing::Resolved { rule, group } => board.resolve(&rule, &group, event, now),
                }
            }
        }
        fail::fail_point!("matched", |_| std::process::abort());
        let writes = if events.is_empty() { vec![] } else { vec![Write::Events(events.to_vec())] };
        let (commit, changes) = board.commit(writes);
        fail::fail_point!("intent", |_| std::process::abort());
        (commit, changes, fired)
    }

    /// Reads back the intents that were open when the engine stopped, and those that ended lately. Only at the start:
    /// afterwards they are being worked on, and what a batch did to them is taken back one by one.
    async fn recall(&self) {
        let ended = IntentQuery { open: Some(false), limit: ENDED, ..IntentQuery::default() };
        loop {
            match (self.store.open_intents().await, self.store.intents(ended.clone()).await) {
                (Ok(open), Ok(mut ended)) => {
                    ended.items.reverse();
                    return self.board.restore(open, ended.items);
                }
                (Err(error), _) | (_, Err(error)) => again(&error).await,
            }
        }
    }

    /// Makes the known events and the patterns what the disk says: at the start, and after a commit that failed.
    async fn recover(&self, seen: &mut Seen, rules: &Arc<RuleSet>) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        loop {
            self.failed.store(0, Ordering::SeqCst);
            match self.reload(seen, rules).await {
                Ok(()) => return,
                Err(error) => again(&error).await,
            }
        }
    }

    async fn reload(&self, seen: &mut Seen, rules: &Arc<RuleSet>) -> Result<(), crate::store::Error> {
        seen.clear();
        for key in self.store.recent_keys(self.window).await? {
            seen.insert(key);
        }
        if let Err(error) = self.board.heal().await {
            tracing::error!("failed to read back what a batch of events changed: {error}");
        }
        let since = self.clock.now() - rules.longest_window().delta();
        let (set, windows) = (rules.clone(), self.windows.clone());
        *self.windows() = Windows::default();
        let mut scratch = Scratch::default();
        let mut ignored = Vec::new();
        let again = move |event: Event| {
            let hits = set.hits(&event, &mut scratch);
            if !hits.is_empty() {
                // What it led to is in the store already; only the state of the patterns is wanted.
                let mut windows = windows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                windows.apply(&set, &Arc::new(event), &hits, &mut ignored);
                ignored.clear();
            }
        };
        if rules.longest_window().is_zero() {
            Ok(())
        } else {
            self.store.replay_events(since, Box::new(again)).await.map(drop)
        }
    }

    fn current(&self) -> Arc<RuleSet> {
        self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

async fn again(error: &crate::store::Error) {
    tracing::error!("failed to read the store, trying again in 1 s: {error}");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

/// The events that are known already, by the keys that the store gives them; the oldest are forgotten first.
struct Seen {
    keys: HashSet<u64, BuildHasherDefault<Identity>>,
    order: VecDeque<u64>,
    capacity: usize,
}

/// The keys are hashes already.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

impl Seen {
    fn new(capacity: usize) -> Self {
        Self { keys: HashSet::default(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Whether `key` is new.
    fn insert(&mut self, key: u64) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn the_same_event_again_is_known_until_the_window_has_moved_on() {
        let mut seen = Seen::new(2);
        assert!(seen.insert(1));
        assert!(!seen.insert(1));
        assert!(seen.insert(2));
        assert!(seen.insert(3));
        assert!(!seen.insert(3));
        assert!(seen.insert(1), "the window of two has forgotten it");
    }
}
