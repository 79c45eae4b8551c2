//! What the board holds in memory: the open intents, and as much of the past as decisions go by. All of it is bounded.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::open::Open;
use crate::intents::past::Past;
use crate::model::{Intent, IntentId, Status, Time};

/// Most ended intents that are remembered to recognize a relapse, each until its hold period is over. Past it a relapse
/// counts as a new failure.
const MAX_ENDED: usize = 100_000;

/// Most intents that were only recorded on which matches are counted. Past it a match records another one.
const MAX_RECORDED: usize = 10_000;

/// Most wishes of people and other systems that are remembered by their keys, to grant none twice.
pub(super) const MAX_ANSWERED: usize = 100_000;

#[derive(Default)]
pub(super) struct State {
    pub(super) open: Open,
    pub(super) ended: HashMap<Key, Ended>,
    /// By the end of their hold period.
    ended_order: BTreeSet<(Time, Key)>,
    /// Intents that were ended at birth (shadow mode, no target), on which further matches are counted for a while.
    pub(super) recorded: HashMap<Key, Arc<Intent>>,
    pub(super) recorded_order: VecDeque<(IntentId, Key)>,
    /// What `insert` has answered, so that the same wish is not granted twice.
    pub(super) answered: HashMap<Key, IntentId>,
    pub(super) answered_order: VecDeque<Key>,
    pub(super) fresh: Vec<IntentId>,
    pub(super) relapsed: Vec<Relapse>,
    /// What a batch that came to no commit has changed.
    pub(super) doubtful: BTreeSet<IntentId>,
    /// What committed batches have changed of which nobody has said yet whether it was kept, with how many of them.
    pub(super) unsettled: HashMap<IntentId, u32>,
    pub(super) refused: u64,
    pub(super) past: Past,
}

/// The rule and group that failed again, and how it had ended.
pub type Relapse = ((String, String), Ended);

pub(super) type Key = (String, String);

/// An intent that ended well not long ago.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub intent: IntentId,
    /// When.
    pub at: Time,
    /// A match of the same rule and group up to this time is a relapse.
    pub hold_until: Time,
}

impl State {
    pub(super) fn close(&mut self, intent: &Arc<Intent>) {
        self.open.remove(intent.id);
        self.open.unbind(&intent.rule, &intent.group, intent.id);
        self.remember_end(intent);
    }

    /// It is known whether a batch that changed these was kept.
    pub(super) fn settle(&mut self, touched: &[IntentId]) {
        for id in touched {
            if let Some(batches) = self.unsettled.get_mut(id) {
                *batches -= 1;
                if *batches == 0 {
                    self.unsettled.remove(id);
                }
            }
        }
    }

    pub(super) fn remember_end(&mut self, intent: &Intent) {
        let hold = intent.plan.verify.as_ref().map(|v| v.hold).unwrap_or_default();
        if intent.status != Status::Succeeded || hold.is_zero() {
            return;
        }
        let key = key(&intent.rule, &intent.group);
        let at = intent.updated_at;
        let hold_until = at + hold.delta();
        self.ended.insert(key.clone(), Ended { intent: intent.id, at, hold_until });
        self.ended_order.insert((hold_until, key));
        while let Some((first, _)) = self.ended_order.first()
            && (*first < at || self.ended_order.len() > MAX_ENDED)
        {
            if let Some((first, key)) = self.ended_order.pop_first()
                && self.ended.get(&key).is_some_and(|ended| ended.hold_until == first)
            {
                self.ended.remove(&key);
            }
        }
    }

    /// `intent` was opened after the one of the same rule and group had ended, which therefore can't come back any more.
    pub(super) fn forget_end(&mut self, intent: &Intent) -> Option<Ended> {
        let key = key(&intent.rule, &intent.group);
        let ended = self.ended.get(&key).filter(|ended| ended.at <= intent.created_at)?.clone();
        self.ended.remove(&key);
        Some(ended)
    }

    /// `open` was there at the start: if it was a relapse, the engine may have died before it was put down as one; twice
    /// does no harm.
    pub(super) fn relapse(&mut self, open: &Intent) {
        if let Some(ended) = self.forget_end(open)
            && open.created_at <= ended.hold_until
        {
            self.relapsed.push((key(&open.rule, &open.group), ended));
        }
    }

    pub(super) fn remember_answered(&mut self, key: Key, id: IntentId) {
        if self.answered.insert(key.clone(), id).is_none() {
            self.answered_order.push_back(key);
        }
        while self.answered_order.len() > MAX_ANSWERED {
            if let Some(oldest) = self.answered_order.pop_front() {
                self.answered.remove(&oldest);
            }
        }
    }

    pub(super) fn remember_recorded(&mut self, intent: &Arc<Intent>) {
        let key = key(&intent.rule, &intent.group);
        self.recorded.insert(key.clone(), intent.clone());
        self.recorded_order.push_back((intent.id, key));
        while self.recorded_order.len() > MAX_RECORDED {
            if let Some((id, key)) = self.recorded_order.pop_front()
                && self.recorded.get(&key).is_some_and(|intent| intent.id == id)
            {
                self.recorded.remove(&key);
            }
        }
    }

    pub(super) fn remember_starts(&mut self, intent: &Intent) {
        if is_recorded_only(intent) {
            return;
        }
        self.past.see(intent);
        for attempt in intent.repairs() {
            self.past.start(intent, attempt.started_at, attempt.run);
        }
    }
}

/// Whether `intent` was ended at birth, as nothing could or should be done.
pub(super) fn is_recorded_only(intent: &Intent) -> bool {
    match intent.status {
        Status::Shadowed => true,
        Status::Denied => intent.target.is_empty(),
        _ => false,
    }
}

/// What tells two states of an intent apart.
pub(super) fn version(intent: &Intent) -> (Time, Time, u64, usize, Status) {
    let latest = intent.last_event_at.max(intent.cleared_at.unwrap_or_default());
    (intent.updated_at, latest, intent.count, intent.attempts.len(), intent.status)
}

pub(super) fn key(rule: &str, group: &str) -> Key {
    (rule.into(), group.into())
}
