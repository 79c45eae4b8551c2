//! Intents of which memory and disk may disagree, because a commit that changed them failed or because nobody knows.
//!
//! The store itself says what became of a change, in order and whether or not anybody still waits for it, so no caller can
//! forget to look. What is in doubt stays so until it was read back, or until a later change of it is durable: every change
//! writes the whole intent. Start with [`Doubts::watch`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::model::IntentId;
use crate::store::OnSettled;

/// Shared with the store's callbacks, which run under no other lock.
#[derive(Clone, Default)]
pub(super) struct Doubts(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    rung: Notify,
}

#[derive(Default)]
struct State {
    /// How many changes of an intent the store has not answered yet.
    under_way: HashMap<IntentId, u32>,
    /// What is in doubt, with how many changes were handed in since.
    doubtful: BTreeMap<IntentId, u64>,
    /// What is no longer in doubt, as a later change of it is durable.
    cleared: Vec<IntentId>,
}

impl Doubts {
    /// Changes of `ids` are handed in now: gives the callback for the store.
    pub(super) fn watch(&self, ids: Vec<IntentId>) -> OnSettled {
        {
            let mut state = self.lock();
            for id in &ids {
                *state.under_way.entry(*id).or_default() += 1;
                if let Some(changes) = state.doubtful.get_mut(id) {
                    *changes += 1;
                }
            }
        }
        let shared = self.clone();
        Box::new(move |answer| shared.settled(&ids, answer.is_ok()))
    }

    fn settled(&self, ids: &[IntentId], kept: bool) {
        let mut state = self.lock();
        for id in ids {
            if let Some(count) = state.under_way.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    state.under_way.remove(id);
                }
            }
            if !kept {
                *state.doubtful.entry(*id).or_default() += 1;
            } else if state.doubtful.remove(id).is_some() {
                state.cleared.push(*id);
            } else {
                continue;
            }
            self.0.rung.notify_one();
        }
    }

    /// What became of changes of `ids` will not be told.
    pub(super) fn add(&self, ids: impl IntoIterator<Item = IntentId>) {
        let mut state = self.lock();
        for id in ids {
            *state.doubtful.entry(id).or_default() += 1;
            self.0.rung.notify_one();
        }
    }

    /// The oldest intent in doubt.
    pub(super) fn first(&self) -> Option<IntentId> {
        self.lock().doubtful.first_key_value().map(|(id, _)| *id)
    }

    /// Whether any is in doubt.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().doubtful.is_empty()
    }

    /// How often `id` was changed since it is in doubt; none if it is not.
    pub(super) fn changes(&self, id: IntentId) -> Option<u64> {
        self.lock().doubtful.get(&id).copied()
    }

    /// `id` was read when it had been changed `changes` times. True if that is how it is still, and ends the doubt; else it
    /// has to be read again.
    pub(super) fn end(&self, id: IntentId, changes: u64) -> bool {
        let mut state = self.lock();
        if state.doubtful.get(&id) != Some(&changes) || state.under_way.contains_key(&id) {
            return false;
        }
        state.doubtful.remove(&id).is_some()
    }

    /// What a later change has cleared since the last call.
    pub(super) fn take_cleared(&self) -> Vec<IntentId> {
        std::mem::take(&mut self.lock().cleared)
    }

    /// Resolves when something has come into doubt, or out of it, since the last call.
    pub(super) async fn changed(&self) {
        self.0.rung.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
