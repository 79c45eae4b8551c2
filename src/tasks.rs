//! The task manager: takes intents in order, breaks each into attempts, carries them out, checks and escalates.
//!
//! It decides nothing that `guard`, `learning` or `intents::lifecycle` decide, and performs no effect but through an
//! action. Everything it does can be interrupted at any point: after a restart each open intent is taken up from what
//! the store says. Start with [`Service`].

pub mod ask;
pub mod attempt;
pub mod check;
pub mod effect;
pub mod escalate;
pub mod gate;
pub mod hold;
pub mod live;
pub mod lives;
pub mod lot;
pub mod note;
pub mod outcome;
pub mod pool;
pub mod queue;
mod heal;
mod parking;
mod renew;
mod resume;
pub mod wait;
pub mod weigh;
pub mod work;
pub mod worker;

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::actions;
use crate::freeze::Switch;
use crate::intents::Board;
use crate::intents::board::Changes;
use crate::kernels;
use crate::learning::Learner;
use crate::model::alert::Level;
use crate::model::{Chance, Clock, Event, Intent, IntentId, OutcomeRecord, Status, Time};
use crate::platform::sleep;
use crate::playbook::Library;
use crate::store::{Commit, Store};
use lot::{Lot, Waits};
use queue::Queue;

/// Intents that are acted on at the same time unless configured otherwise.
pub const DEFAULT_CONCURRENCY: usize = 10;

/// How often the work on one intent may panic before a person is told instead.
const MAX_PANICS: u32 = 3;

/// How often a person is told that there is no room for more intents.
const FULL_AGAIN: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

/// Pause after a panic, so that one that comes again and again costs little.
const AFTER_A_PANIC: Duration = Duration::from_secs(1);

/// Where events made inside the engine go; resolves once they are durable.
pub trait Inbox: Send + Sync {
    /// Takes `events`; what was there already is dropped by its (source, id).
    fn deliver(&self, events: Vec<Event>) -> BoxFuture<'static, Result<(), String>>;
}

/// What the task manager works with.
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// When this life of the engine began.
    pub since: Time,
    /// Where random bits come from.
    pub chance: Chance,
    /// What survives.
    pub store: Arc<dyn Store>,
    /// The open intents.
    pub board: Arc<Board>,
    /// Waits for events, in the name of the intents whose work waits.
    pub waits: Waits,
    /// Where events go.
    pub inbox: Arc<dyn Inbox>,
    /// What can be done.
    pub actions: Arc<actions::Registry>,
    /// The kill switch.
    pub freeze: Switch,
    /// Whether what is written would be kept.
    pub ground: Arc<dyn gate::Ground>,
    /// Passed before each effect.
    pub gate: gate::Gate,
    /// Whom to tell.
    pub alerts: Arc<dyn actions::Alerts>,
    /// Where scripts compute.
    pub pool: pool::Pool,
    /// The rules and playbooks as they are now.
    pub live: Arc<live::Live>,
    /// What ended unrepaired lately, so that a storm is escalated once.
    pub storms: escalate::Storms,
    /// Whose turn it is to be judged by the guards.
    pub turn: Mutex<()>,
    /// Hashes of playbooks' sources that are in the store.
    pub sources: Mutex<HashSet<String>>,
    /// What is known of them.
    pub learner: Mutex<Learner>,
    /// The candidate that is tried first, whatever is known of it; only a rehearsal names one.
    pub first: Option<String>,
    /// The kernels, to ask how they are.
    pub kernels: kernels::Registry,
    /// Told of every intent that changed and every outcome.
    pub watch: Arc<dyn Watch>,
}

/// Who is told what the task manager does: metrics, the dashboard.
pub trait Watch: Send + Sync {
    /// An intent changed.
    fn intent(&self, intent: &Intent);
    /// An attempt came to an end.
    fn outcome(&self, outcome: &OutcomeRecord);
    /// A first action began this long after the event arrived, in microseconds.
    fn first_action(&self, micros: u64);
}

impl Parts {
    /// Tells whoever watches how `intent` stands now.
    pub fn report(&self, intent: &Intent) {
        self.watch.intent(intent);
        if let Some(outcome) = OutcomeRecord::untried(intent) {
            self.watch.outcome(&outcome);
        }
    }

    /// The playbooks as they are now.
    pub fn library(&self) -> Arc<Library> {
        self.live.now().library.clone()
    }
}

/// The task manager. Clone it to keep a handle.
#[derive(Clone)]
pub struct Service {
    parts: Arc<Parts>,
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Those whose playbook or check waits.
    lot: Mutex<Lot>,
    working: Mutex<HashSet<IntentId>>,
    changed: Arc<Notify>,
    slots: Arc<Semaphore>,
    /// More slots, for critical intents and for telling that one became too old.
    reserve: Arc<Semaphore>,
    concurrency: usize,
    stop: CancellationToken,
    cancelled: Mutex<HashMap<IntentId, CancellationToken>>,
    broken: Mutex<HashMap<IntentId, u32>>,
    told_full: Mutex<Option<Time>>,
}

impl Service {
    /// A task manager that acts on at most `concurrency` intents at once.
    pub fn new(parts: Arc<Parts>, concurrency: usize, stop: CancellationToken) -> Self {
        let concurrency = concurrency.max(1);
        let shared = Shared {
            queue: Mutex::default(),
            lot: Mutex::default(),
            working: Mutex::default(),
            changed: Arc::default(),
            slots: Arc::new(Semaphore::new(concurrency)),
            reserve: Arc::new(Semaphore::new(reserve(concurrency))),
            concurrency,
            stop,
            cancelled: Mutex::default(),
            broken: Mutex::default(),
            told_full: Mutex::default(),
        };
        Self { parts, shared: Arc::new(shared) }
    }

    /// What a batch changed on the board is durable: it may be worked on.
    pub fn confirm(&self, changes: Changes) {
        for intent in changes.opened.iter().chain(&changes.ended) {
            self.parts.report(intent);
            if intent.status == Status::Stale && intent.decision.is_some() {
                // A person may have been asked about it.
                let (parts, id) = (self.parts.clone(), intent.id);
                tokio::spawn(async move { ask::over(&parts, id).await });
            }
            if escalate::is_without_target(intent) {
                self.alert_no_target(intent);
            }
        }
        if changes.refused > 0 {
            self.tell_full();
        }
        self.parts.board.confirm(changes);
        self.shared.changed.notify_one();
    }

    /// Alerts an operator to `intent`, which ended as it was recorded because it has no target.
    fn alert_no_target(&self, intent: &Intent) {
        let (raised, id) = (escalate::no_target(&self.parts, intent), intent.id);
        tokio::spawn(async move {
            if let Err(failure) = raised.await {
                tracing::error!(intent = %id, "failed to record the alert that the intent has no target: {failure}");
            }
        });
    }

    /// Failures come for which there is no room: a person is told, not more than once in a while.
    fn tell_full(&self) {
        let now = self.parts.clock.steady();
        let mut told = lock(&self.shared.told_full);
        if told.is_some_and(|at| now - at < FULL_AGAIN) {
            return;
        }
        *told = Some(now);
        let (open, refused) = (self.parts.board.len(), self.parts.board.refused());
        let message = format!(
            "{open} intents are open, which is the limit (`limits.open_intents`); {refused} matches so far led to none. \
             Work them off or cancel some: what is refused is repaired only if it fails again"
        );
        let title = "Failures are not acted on, as too many intents are open".to_owned();
        let raised =
            self.parts.alerts.raise("intents/full".into(), Level::Critical, title, message, None, None);
        tokio::spawn(async move {
            if let Err(failure) = raised.await {
                tracing::error!("too many intents are open, and the alert could not be recorded: {failure}");
            }
        });
    }

    /// What a batch changed on the board was not kept: memory is made what the store says, at once or as soon as it can be
    /// read.
    pub async fn take_back(&self, changes: Changes) {
        if let Err(error) = self.parts.board.take_back(changes).await {
            tracing::error!("failed to read back what a batch of events changed: {error}; retrying");
        }
        self.shared.changed.notify_one();
    }

    /// Waits until what a batch changed on the board is durable, and takes it up; or makes memory what the store says. That
    /// happens even if nobody waits for the answer any more.
    ///
    /// # Errors
    /// When it was not kept.
    pub async fn settle(&self, commit: Commit, changes: Changes) -> Result<(), crate::store::Error> {
        let service = self.clone();
        let settling = tokio::spawn(async move {
            let kept = commit.await;
            match kept {
                Ok(()) => service.confirm(changes),
                Err(_) => service.take_back(changes).await,
            }
            kept
        });
        settling.await.unwrap_or(Err(crate::store::Error::Stopped))
    }

    /// Other rules are in force: what waits to be repaired under a rule that no longer is ends now, and not when its turn
    /// comes.
    pub fn withdraw(&self) {
        for id in self.parts.board.open_ids() {
            let Some(intent) = self.parts.board.get(id) else { continue };
            let waits = matches!(intent.status, Status::Held | Status::Pending | Status::AwaitingApproval);
            if !waits || escalate::is_due(&intent) || self.parts.live.withdrawn(&intent).is_none() {
                continue;
            }
            let woken = self.parts.board.change(id, vec![], |intent| {
                intent.not_before = None;
                Ok(())
            });
            // It is looked at in a moment, whether this was kept or not: a later start asks anew.
            if let Ok((intent, _)) = woken {
                self.enqueue(&intent);
            }
        }
        self.shared.changed.notify_one();
    }

    /// Looks at intent `id` again, as after a person's answer.
    pub fn reconsider(&self, id: IntentId) {
        if let Some(intent) = self.parts.board.get(id) {
            self.enqueue(&intent);
        }
        self.shared.changed.notify_one();
    }

    /// Ends what is under way for `intent`, which a person has ended; its run stops before its next effect.
    pub fn cancel(&self, intent: &Intent) {
        self.queue().remove(intent.id);
        if let Some(token) = lock(&self.shared.cancelled).get(&intent.id) {
            token.cancel();
        }
        self.clear_away(intent.id, &intent.target);
    }

    /// Intents that wait, and intents that are being worked on.
    pub fn load(&self) -> (usize, usize) {
        let shared = &self.shared;
        let free = shared.slots.available_permits() + shared.reserve.available_permits();
        (self.queue().len(), (shared.concurrency + reserve(shared.concurrency)).saturating_sub(free))
    }

    /// Whether any intent is being worked on, waits included.
    pub fn is_working(&self) -> bool {
        !lock(&self.shared.working).is_empty() || !lock(&self.shared.lot).is_empty()
    }

    /// Whether any intent is being acted on. What only waits is durable, and is taken up again at the next start.
    pub fn is_acting(&self) -> bool {
        !lock(&self.shared.working).is_empty()
    }

    /// Serves until told to stop.
    pub async fn run(self) {
        tokio::select! {
            () = self.serve() => {}
            () = self.keep_healed() => {}
        }
    }

    async fn serve(&self) {
        loop {
            self.dispatch().await;
            let (held, parked) = (self.queue().next_due(), lock(&self.shared.lot).next_due());
            let next = held.into_iter().chain(parked).min();
            let wait = async {
                match next {
                    Some(at) => sleep::until_steady(&self.parts.clock, at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shared.changed.notified() => {}
                () = wait => {}
                () = self.shared.stop.cancelled() => return,
            }
        }
    }

    async fn dispatch(&self) {
        let now = self.parts.clock.steady();
        for (key, ended) in self.parts.board.take_relapsed() {
            if let Err(error) = outcome::relapse(&self.parts, &ended).await {
                tracing::error!(intent = %ended.intent, "failed to record the relapse: {error}");
                self.parts.board.put_back((key, ended));
            }
        }
        self.close_twins().await;
        // While memory and disk may disagree, what came may be what is open already: it is begun when that is known.
        let fresh = if self.parts.board.is_in_doubt() { Vec::new() } else { self.parts.board.take_fresh() };
        let due = self.queue().due(now);
        for id in fresh.into_iter().chain(due) {
            if let Some(intent) = self.parts.board.get(id) {
                self.enqueue(&intent);
                self.parts.board.pack_in_line(id);
            }
        }
        let woken = lock(&self.shared.lot).due(now);
        for id in woken {
            self.wake(id);
        }
        self.fill(&self.shared.slots, Queue::take);
        self.fill(&self.shared.reserve, Queue::take_urgent);
    }

    /// Begins to work on as many as `slots` has room for.
    fn fill(&self, slots: &Arc<Semaphore>, take: fn(&mut Queue) -> Option<(IntentId, String)>) {
        while slots.available_permits() > 0 {
            let Some((id, target)) = take(&mut self.queue()) else { break };
            if self.parts.board.has(id) {
                self.spawn(id, target, slots);
            } else {
                // It ended while it waited in line.
                self.queue().release(&target, id);
            }
        }
    }

    fn enqueue(&self, intent: &Intent) {
        let id = intent.id;
        // One lock after the other, never both.
        let parked = lock(&self.shared.lot).has(id);
        let working = lock(&self.shared.working).contains(&id);
        if intent.status.is_open() && !parked && !working {
            self.put(intent);
        }
    }

    /// Puts `intent` in line, or aside until its time: by steady times, as the clock may be set while it waits.
    fn put(&self, intent: &Intent) {
        let steady = |time| self.parts.clock.to_steady(time, intent.era);
        self.queue().put(intent, steady, self.parts.clock.steady());
    }

    fn spawn(&self, id: IntentId, target: String, slots: &Arc<Semaphore>) {
        if !lock(&self.shared.working).insert(id) {
            return;
        }
        let at_work = AtWork { service: self.clone(), id, target, parked: false };
        let awaits = lock(&self.shared.lot).take(id, &self.parts.waits).unwrap_or_default();
        let token = self.shared.stop.child_token();
        lock(&self.shared.cancelled).insert(id, token.clone());
        // Taken here and not in the task, so that `dispatch` sees the slot gone.
        let slot = slots.clone().try_acquire_owned().ok();
        let slot = worker::Slot::new(slots.clone(), slot, self.shared.changed.clone());
        tokio::spawn(async move {
            let service = &at_work.service;
            let work = worker::Worker::new(&service.parts, id, slot, token.clone(), awaits).work();
            let parked = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(parked) => {
                    lock(&service.shared.broken).remove(&id);
                    parked
                }
                Err(_) => {
                    service.broke(id).await;
                    None
                }
            };
            fail::fail_point!("parking");
            if let Some((until, awaits)) = parked {
                at_work.park(until, awaits, &token);
            }
        });
    }

    /// The work on `id` is over, or waits for a time or a person before its next attempt.
    fn leave(&self, id: IntentId, target: &str) {
        lock(&self.shared.cancelled).remove(&id);
        lock(&self.shared.working).remove(&id);
        self.queue().release(target, id);
        if let Some(intent) = self.parts.board.get(id).filter(|_| !self.shared.stop.is_cancelled()) {
            self.enqueue(&intent);
        }
    }

    /// The work on intent `id` panicked: it is tried again a little later, and after the third time given up.
    async fn broke(&self, id: IntentId) {
        let times = {
            let mut broken = lock(&self.shared.broken);
            let times = broken.entry(id).or_default();
            *times += 1;
            *times
        };
        tracing::error!(intent = %id, times, "the work on the intent panicked");
        if times >= MAX_PANICS && escalate::give_up(&self.parts, id).await {
            lock(&self.shared.broken).remove(&id);
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(AFTER_A_PANIC) => {}
            () = self.shared.stop.cancelled() => {}
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        lock(&self.shared.queue)
    }
}

/// Slots besides `concurrency` that a storm of lesser intents cannot take.
fn reserve(concurrency: usize) -> usize {
    concurrency.div_ceil(5)
}

/// The work on one intent: wherever it ends, a panic included, the intent and its target are given back.
struct AtWork {
    service: Service,
    id: IntentId,
    target: String,
    parked: bool,
}

impl AtWork {
    /// The work waits, and keeps its target meanwhile.
    fn park(mut self, until: Time, awaits: lot::Awaits, told: &CancellationToken) {
        self.service.park(self.id, &self.target, until, awaits, told);
        self.parked = true;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.parked {
            self.service.leave(self.id, &self.target);
        }
        self.service.shared.changed.notify_one();
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
