//! The one place where events come in: dropped if known, matched, turned into intents, made durable, then told.
//!
//! One thread takes batches from the lanes in order, so that what rules see is a sequence, whatever the number of
//! senders. Events and the intents they lead to go to the store in one transaction; senders hear of it, and everybody
//! else sees the events, only once that is durable. It performs no effect.

mod decide;
mod era;
pub(super) mod quarantine;
mod recall;
mod saving;
pub(super) mod seen;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};

use self::decide::Decided;
use self::quarantine::Quarantine;
use self::saving::{Progress, Saving};
use self::seen::Seen;
use super::failing::Failing;
use super::metrics::Metrics;
use crate::actions::Alerts;
use crate::bus::Lanes;
use crate::intents::Board;
use crate::intents::board::Changes;
use crate::journal::edge;
use crate::model::alert::Level;
use crate::model::{Chance, Clock, Event, Time};
use crate::platform::{Problems, sleep, supervisor};
use crate::rules::{RuleSet, STEPPED, Scratch, Windows};
use crate::store::{Commit, Store};
use crate::tasks::live::Live;

/// Most events taken into one transaction, unless one delivery alone is larger.
const MAX_BATCH: usize = 4_096;

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

/// A batch that is on its way; counted until it is dropped, wherever that happens.
#[derive(Debug)]
pub struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    /// One more.
    pub fn count(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::SeqCst);
        Self(all.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A batch handed to the store.
pub struct Committed {
    /// Held until it has been told.
    pub under_way: UnderWay,
    /// Resolves when it is durable.
    pub commit: Commit,
    /// Its events.
    pub events: Vec<Arc<Event>>,
    /// The number of the first of them in the log, if all batches since [`Committed::epoch`] began are kept.
    pub first: u64,
    /// How often memory was made what the disk says before it: numbers are in doubt from a failure until then.
    pub epoch: u64,
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
    pub live: Arc<Live>,
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
    /// Events that ended the engine.
    pub(super) quarantine: Quarantine,
    /// Told of them.
    pub(super) alerts: Arc<dyn Alerts>,
    /// Where it is shown that there are some.
    pub(super) problems: Problems,
    /// Rung when the wall clock was set.
    pub set: Arc<Notify>,
}

/// What the ingest thread keeps between batches.
struct Mind {
    /// The rules that decide.
    rules: Arc<RuleSet>,
    /// Events that are known.
    seen: Seen,
    scratch: Scratch,
    /// The latest time of arrival; it goes back only where another era of the clock begins.
    arrived: Time,
    /// That of the last event in the log when it was read.
    logged: Time,
    /// Whether the state of the patterns was read as it had been saved, and not made from the log alone.
    patterns_were_saved: bool,
    /// Number of the last event handed to the store.
    position: u64,
    /// How often it was read back.
    epoch: u64,
    /// Batches handed to the store.
    handed: u64,
    saving: Saving,
    quarantine: Quarantine,
}

impl Ingest {
    /// Takes events in until the lanes are closed. It computes for long between two waits, so it has a thread of its
    /// own.
    pub async fn run(mut self) {
        let mut mind = Mind {
            rules: self.current(),
            seen: Seen::new(self.window),
            scratch: Scratch::default(),
            arrived: self.clock.now(),
            logged: Time::MIN_UTC,
            patterns_were_saved: false,
            position: 0,
            epoch: 0,
            handed: 0,
            saving: Saving::default(),
            quarantine: std::mem::take(&mut self.quarantine),
        };
        self.show(&mind.quarantine);
        self.recall(&mind.rules).await;
        self.recover(&mut mind).await;
        self.go_on(&mut mind);
        if self.adopt(&mut mind, true).await.is_err() {
            return;
        }
        let (spent, _) = oneshot::channel();
        if std::mem::replace(&mut self.ready, spent).send(()).is_err() {
            return;
        }
        loop {
            let next = tokio::select! {
                biased;
                next = self.lanes.pop() => match next {
                    Some(first) => self.gather(first),
                    None => return,
                },
                () = self.until_due() => Vec::new(),
                () = self.set.notified() => Vec::new(),
            };
            if supervisor::is_struck("ingest") {
                return;
            }
            if self.failed.load(Ordering::SeqCst) > 0 {
                self.recover(&mut mind).await;
            }
            let now = self.current();
            if !Arc::ptr_eq(&now, &mind.rules) {
                let old = std::mem::replace(&mut mind.rules, now);
                // Taking thousands of rules apart takes a while, and events wait here.
                drop(tokio::task::spawn_blocking(move || drop(old)));
                self.failing.retain(&mind.rules);
                if self.adopt(&mut mind, false).await.is_err() {
                    return;
                }
            }
            let take_in = || self.take_in(next, &mut mind);
            let Ok(committed) = catch_unwind(AssertUnwindSafe(take_in)) else {
                // Its senders are told, by their answers' end; what else it changed is read back.
                tracing::error!(
                    "taking a batch of events in panicked: it is dropped, and the state read back"
                );
                mind.quarantine.struck();
                self.show(&mind.quarantine);
                self.failed.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            if let Some(committed) = committed
                && self.hand_on(committed).await.is_err()
            {
                return;
            }
        }
    }

    async fn hand_on(&self, committed: Committed) -> Result<(), mpsc::error::SendError<Committed>> {
        self.committed.send(committed).await
    }

    /// Returns when a pattern is due, and now and then, as clocks can be set.
    async fn until_due(&self) {
        let Some(due) = self.windows().due() else { return std::future::pending().await };
        let wait = (due - self.clock.now()).to_std().unwrap_or_default();
        sleep::pause(&self.clock, wait.min(sleep::LONGEST)).await;
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

    /// Takes a batch in; without any, only what is due by now.
    fn take_in(&self, batch: Vec<Delivery>, mind: &mut Mind) -> Option<Committed> {
        let stepped = self.look_at_clock(mind);
        mind.arrived = mind.arrived.max(self.clock.now());
        let now = mind.arrived;
        let ticks = batch.is_empty();
        let (mut events, mut keys) = (Vec::new(), Vec::new());
        let mut unattended = Vec::new();
        let mut replies = Vec::new();
        for delivery in batch {
            let mut receipt = Receipt::default();
            for mut event in delivery.events {
                if event.topic.as_str() == STEPPED {
                    // Only the engine knows its clock.
                    tracing::warn!(source = %event.source, "dropped an event that says that the engine's clock was set");
                    receipt.duplicates += 1;
                    continue;
                }
                let key = self.store.event_key(&event.source, &event.id);
                if mind.seen.insert(key) {
                    receipt.accepted += 1;
                    keys.push(key);
                    event.arrived = (event.time != now).then_some(now);
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
        edge::pass("received");
        let decided = self.decide(stepped, events, &keys, mind);
        if ticks && decided.events.is_empty() {
            return None;
        }
        let Decided { commit, events, changes, fired } = decided;
        let under_way = UnderWay::count(&self.under_way);
        let first = mind.position + 1 - events.len() as u64;
        let epoch = mind.epoch;
        mind.handed += 1;
        Some(Committed { under_way, commit, events, first, epoch, unattended, changes, replies, fired })
    }

    /// Shows that events are quarantined, as long as some are.
    fn show(&self, quarantine: &Quarantine) {
        const KEY: &str = "events/quarantined";
        match quarantine.len() {
            0 => drop(self.problems.clear(KEY)),
            many => drop(self.problems.raise(
                KEY,
                format!(
                    "{many} events are quarantined, as matching each of them ended the engine twice: they are kept, \
                     and no rule sees them; remove quarantine.json from the data directory and restart to match \
                     such events again"
                ),
            )),
        }
    }

    /// Tells operators that `event` is kept and not matched.
    fn hold(&self, event: &Event) {
        self.metrics.quarantined.inc();
        let title = format!("event {} of {} is quarantined", event.id, event.source);
        let message = format!(
            "Matching the event {} of {} (topic {}) ended the engine twice. It is in the event log, and no rule sees \
             it. Please report it with the log of the engine; to match it again remove quarantine.json from the data \
             directory and restart.",
            event.id, event.source, event.topic
        );
        let key = format!("event/quarantined/{}/{}", event.source, event.id);
        tracing::error!("{title}");
        let raised = self.alerts.raise(key, Level::Critical, title, message, event.subject.clone(), None);
        tokio::spawn(async move {
            if let Err(failure) = raised.await {
                tracing::error!("failed to keep the alert of a quarantined event: {failure}");
            }
        });
    }

    /// How far batches are when the next is number `handed`.
    fn progress(&self, handed: u64) -> Progress {
        // They are told in order; one that failed is counted before it is told.
        let told = (handed - 1).saturating_sub(self.under_way.load(Ordering::SeqCst) as u64);
        let durable = (self.failed.load(Ordering::SeqCst) == 0).then_some(told);
        Progress { handed, durable }
    }

    fn current(&self) -> Arc<RuleSet> {
        self.live.now().rules.clone()
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
