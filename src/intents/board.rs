//! The open intents, in memory and on disk alike: one per rule and group, the rest counted on it.
//!
//! Every change happens under one lock and is handed to the store before the lock is let go, so memory and disk see
//! the same order. It decides nothing about repairs; `lifecycle` says which changes are legal, `tasks` makes them.

mod arena;
mod batch;
mod doubts;
mod open;
mod restart;
mod shorthand;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::intents::lifecycle::Illegal;
use crate::intents::past;
use crate::model::{Clock, Intent, IntentId, OutcomeRecord, Priority, Time};
use crate::store::{Commit, Store, Write};
use doubts::Doubts;
use state::State;

pub use batch::{Batch, Became, Changes, birth};
pub use restart::SINCE;
pub use state::{Ended, Relapse, Twins};

/// Most open intents unless configured otherwise; more would be a storm that nobody could work off.
pub const DEFAULT_CAPACITY: usize = 10_000;

/// With more than this many open and kept whole, those that come stand in line packed.
const WHOLE: usize = 1_000;

/// The rule that wishes of people and other systems are put under.
pub const MANUAL: &str = "manual";

/// The open intents; shared by reference.
pub struct Board {
    store: Arc<dyn Store>,
    clock: Clock,
    capacity: usize,
    state: Mutex<State>,
    /// Locked after `state`, never before it.
    doubts: Doubts,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No open intent has this id.
    #[error("no open intent has the id {0}")]
    Unknown(IntentId),
    /// The lifecycle does not allow it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The store said no.
    #[error("failed to record the change: {0}")]
    Store(#[from] crate::store::Error),
    /// Too many are open.
    #[error("{0} intents are open, which is the limit; work them off or cancel some")]
    Full(usize),
}

impl Board {
    /// An empty board of at most `capacity` open intents.
    pub fn new(store: Arc<dyn Store>, clock: Clock, capacity: usize) -> Self {
        let state = Mutex::new(State::new(clock.clone()));
        Self { store, clock, capacity, state, doubts: Doubts::default() }
    }

    /// How many may be open for another one of `priority` to be: a storm of lesser ones leaves room for critical ones.
    fn room(&self, priority: Priority) -> usize {
        let reserve = if priority == Priority::Critical { self.capacity.div_ceil(10) } else { 0 };
        self.capacity.saturating_add(reserve)
    }

    /// Nobody works on `id` for a while: it is kept in little room until it changes.
    pub fn pack(&self, id: IntentId) {
        self.lock_state().open.pack(id, false);
    }

    /// `id` stands in line: if so do very many, it is kept in little room until its turn comes.
    pub fn pack_in_line(&self, id: IntentId) {
        let mut state = self.lock_state();
        if state.open.whole() > WHOLE {
            state.open.pack(id, true);
        }
    }

    /// The batch that made `changes` is durable: what it opened may be worked on.
    pub fn confirm(&self, changes: Changes) {
        let mut state = self.lock_state();
        state.settle(&changes.touched);
        state.fresh.extend(changes.opened.iter().map(|intent| intent.id));
        state.relapsed.extend(changes.relapsed);
    }

    /// The batch that made `changes` was not kept: makes memory what the store says again.
    ///
    /// # Errors
    /// When the store cannot be read; then what it changed stays in doubt, see [`Board::heal`].
    pub async fn take_back(&self, changes: Changes) -> Result<(), Error> {
        {
            let mut state = self.lock_state();
            state.settle(&changes.touched);
            self.doubts.add(changes.touched);
            for (key, ended) in changes.relapsed {
                state.ended.entry(key).or_insert(ended);
            }
        }
        self.heal().await
    }

    /// A batch broke, perhaps after its commit: what it changed is in doubt, as nobody will say whether it was kept.
    /// Call it when no other batch is under way, then [`Board::heal`].
    pub fn doubt(&self) {
        let mut state = self.lock_state();
        let broken = std::mem::take(&mut state.unsettled);
        self.doubts.add(broken.into_keys());
    }

    /// Makes memory what the store says of everything that is in doubt.
    ///
    /// # Errors
    /// When the store cannot be read; then call it again.
    pub async fn heal(&self) -> Result<(), Error> {
        while let Some(id) = self.doubts.first() {
            self.reread(id).await?;
        }
        Ok(())
    }

    /// Whether memory and disk may disagree about any intent.
    pub fn is_in_doubt(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// Resolves when something has come into doubt, or out of it.
    pub async fn doubts_changed(&self) {
        self.doubts.changed().await;
    }

    /// Locks the board for a whole batch of events.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self, self.lock_state())
    }

    /// The open intent `id`.
    pub fn get(&self, id: IntentId) -> Option<Arc<Intent>> {
        self.lock_state().open.get(id)
    }

    /// Whether `id` is open.
    pub fn has(&self, id: IntentId) -> bool {
        self.lock_state().open.contains(id)
    }

    /// The open intent of `rule` and `group`.
    pub fn open_of(&self, rule: &str, group: &str) -> Option<Arc<Intent>> {
        let state = self.lock_state();
        state.open.get(state.open.of(rule, group)?)
    }

    /// All open intents, oldest first.
    pub fn open(&self) -> Vec<Arc<Intent>> {
        self.open_ids().into_iter().filter_map(|id| self.get(id)).collect()
    }

    /// Their ids, oldest first; there may be too many for all of them to be had whole at once.
    pub fn open_ids(&self) -> Vec<IntentId> {
        self.lock_state().open.ids()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.lock_state().open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Firings refused so far because the board was full.
    pub fn refused(&self) -> u64 {
        self.lock_state().refused
    }

    /// What guards are told about the past of `intent` at `now`, all in times of its own era.
    pub fn past(&self, intent: &Intent, now: Time) -> past::Facts {
        let facts = self.lock_state().past.facts(intent, self.clock.to_steady(now, intent.era));
        facts.map(|steady| self.clock.from_steady(steady, intent.era))
    }

    /// Whether so many repairs were made that some had to be forgotten that guards may still ask for at `now`, and how
    /// many were forgotten ever.
    pub fn forgotten(&self, now: Time) -> (bool, u64) {
        let state = self.lock_state();
        (state.past.is_short(self.clock.to_steady(now, self.clock.era())), state.past.dropped())
    }

    /// Changes the open intent `id` with `change`, and writes it together with `more` in one transaction.
    ///
    /// # Errors
    /// When it is not open, or `change` is not allowed. Await the [`Commit`] before acting on the change. If that fails the
    /// intent is in doubt until it was read back, see [`Board::heal`], whoever awaits it.
    pub fn change(
        &self,
        id: IntentId,
        more: Vec<Write>,
        change: impl FnOnce(&mut Intent) -> Result<(), Illegal>,
    ) -> Result<(Arc<Intent>, Commit), Error> {
        let mut state = self.lock_state();
        let mut intent = state.open.get(id).ok_or(Error::Unknown(id))?.as_ref().clone();
        let attempts = intent.attempts.len();
        change(&mut intent)?;
        intent.updated_at = self.clock.now_in(intent.era);
        if let Some(attempt) = intent.attempts.get(attempts).filter(|attempt| !attempt.escalation) {
            let at = self.clock.to_steady(attempt.started_at, intent.era);
            state.past.start(&intent, at, attempt.run);
        }
        let intent = Arc::new(intent);
        if intent.status.is_open() {
            state.open.put(intent.clone());
        } else {
            state.close(&intent);
        }
        let mut writes = vec![Write::Intent(intent.clone())];
        writes.extend(OutcomeRecord::untried(&intent).map(Write::Outcome));
        writes.extend(more);
        Ok((intent, self.store.commit_watched(writes, Some(self.doubts.watch(vec![id])))))
    }

    /// Makes memory what the store says of `id`, if that is in doubt.
    ///
    /// # Errors
    /// When the store cannot be read; then it stays in doubt.
    pub async fn reread(&self, id: IntentId) -> Result<(), Error> {
        while let Some(changes) = self.doubts.changes(id) {
            // What is on its way is settled first, so that what is read is not older than memory.
            self.store.commit(vec![]).await?;
            let stored = self.store.intent(id).await?;
            let mut state = self.lock_state();
            if self.doubts.end(id, changes) {
                state.make(id, stored);
                break;
            }
        }
        Ok(())
    }

    /// Intents that came since the last call and wait for their first decision.
    pub fn take_fresh(&self) -> Vec<IntentId> {
        let mut fresh = std::mem::take(&mut self.lock_state().fresh);
        // Whoever waited for the batch to confirm them waits in vain.
        fresh.extend(self.doubts.take_cleared());
        fresh
    }

    /// Intents that are open for the same rule and group as another, since the last call: one of each two has to be closed.
    pub fn take_twins(&self) -> Vec<Twins> {
        std::mem::take(&mut self.lock_state().twins)
    }

    /// Ended intents whose failure came back within their hold period, since the last call.
    pub fn take_relapsed(&self) -> Vec<Relapse> {
        std::mem::take(&mut self.lock_state().relapsed)
    }

    /// `relapse` could not be put down: the next [`Board::take_relapsed`] gives it again.
    pub fn put_back(&self, relapse: Relapse) {
        self.lock_state().relapsed.push(relapse);
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
