//! What the board holds in memory: the open intents, and as much of the past as decisions go by. All of it is bounded.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::open::Open;
use crate::intents::fleets::Fleets;
use crate::model::intent::Attempt;
use crate::model::intent::Rate;
use crate::model::{Intent, IntentId, Status, Time};

/// How many ended intents are remembered to recognise a relapse.
const MAX_ENDED: usize = 10_000;

/// How many starts are remembered a rule, for its rate.
const MAX_STARTS: usize = Rate::MAX as usize;

#[derive(Default)]
pub(super) struct State {
    pub(super) open: Open,
    pub(super) ended: HashMap<Key, Ended>,
    pub(super) ended_order: VecDeque<(Time, Key)>,
    pub(super) starts: HashMap<String, VecDeque<(Time, String)>>,
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
    pub(super) fleets: Fleets,
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
        self.ended.insert(key.clone(), Ended { intent: intent.id, at, hold_until: at + hold.delta() });
        self.ended_order.push_back((at, key));
        while self.ended_order.len() > MAX_ENDED {
            if let Some((at, key)) = self.ended_order.pop_front()
                && self.ended.get(&key).is_some_and(|ended| ended.at == at)
            {
                self.ended.remove(&key);
            }
        }
    }

    pub(super) fn remember_answered(&mut self, key: Key, id: IntentId) {
        if self.answered.insert(key.clone(), id).is_none() {
            self.answered_order.push_back(key);
        }
        while self.answered_order.len() > MAX_ENDED {
            if let Some(oldest) = self.answered_order.pop_front() {
                self.answered.remove(&oldest);
            }
        }
    }

    pub(super) fn remember_recorded(&mut self, intent: &Arc<Intent>) {
        let key = key(&intent.rule, &intent.group);
        self.recorded.insert(key.clone(), intent.clone());
        self.recorded_order.push_back((intent.id, key));
        while self.recorded_order.len() > MAX_ENDED {
            if let Some((id, key)) = self.recorded_order.pop_front()
                && self.recorded.get(&key).is_some_and(|intent| intent.id == id)
            {
                self.recorded.remove(&key);
            }
        }
    }

    pub(super) fn remember_start(&mut self, intent: &Intent, attempt: &Attempt) {
        if attempt.escalation {
            return;
        }
        self.fleets.start(intent, attempt.started_at);
        let starts = self.starts.entry(intent.rule.clone()).or_default();
        starts.push_back((attempt.started_at, intent.target.clone()));
        if starts.len() > MAX_STARTS {
            starts.pop_front();
        }
    }

    /// Puts the starts of `rule` in order. Mostly they are already: intents come in the order of their making.
    pub(super) fn sort_starts(&mut self, rule: &str) {
        if let Some(starts) = self.starts.get_mut(rule).filter(|starts| !starts.iter().is_sorted()) {
            starts.make_contiguous().sort();
        }
    }

    pub(super) fn remember_starts(&mut self, intent: &Intent) {
        self.fleets.see(intent);
        for attempt in &intent.attempts {
            self.remember_start(intent, attempt);
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
