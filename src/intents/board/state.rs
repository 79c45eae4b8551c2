//! What the board holds in memory: the open intents, and as much of the past as decisions go by. All of it is bounded.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::open::Open;
use crate::intents::past::Past;
use crate::model::{Clock, Intent, IntentId, Status, Time};

/// Most ended intents that are remembered to recognize a relapse, each until its hold period is over. Past it a relapse
/// counts as a new failure.
const MAX_ENDED: usize = 100_000;

/// Most intents that were only recorded on which matches are counted. Past it a match records another one.
const MAX_RECORDED: usize = 10_000;

/// Most wishes of people and other systems that are remembered by their keys, to grant none twice.
pub(super) const MAX_ANSWERED: usize = 100_000;

/// Times that it keeps for itself are steady ones, see [`Clock::steady`]: they are compared with those of any era.
#[derive(Default)]
pub(super) struct State {
    pub(super) clock: Clock,
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
    /// Those that are open for the same rule and group as another.
    pub(super) twins: Vec<Twins>,
    /// What committed batches have changed of which nobody has said yet whether it was kept, with how many of them.
    pub(super) unsettled: HashMap<IntentId, u32>,
    pub(super) refused: u64,
    pub(super) past: Past,
}

/// The rule and group that failed again, and how it had ended.
pub type Relapse = ((String, String), Ended);

/// Two open intents of one rule and group, as a failed commit can leave them: only one may be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twins {
    /// The one that goes on: the one that has begun to act where the other has not, else the older.
    pub kept: IntentId,
    /// The one to be closed; nobody may work on it.
    pub closed: IntentId,
}

pub(super) type Key = (String, String);

/// An intent that ended well not long ago.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which.
    pub intent: IntentId,
    /// When, by its own era.
    pub at: Time,
    /// The same, steady.
    pub since: Time,
    /// A match of the same rule and group up to this steady time is a relapse.
    pub hold_until: Time,
}

impl State {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Puts an open intent in its place. If another is open for its rule and group, one of the two has to be closed.
    pub(super) fn put_open(&mut self, intent: Arc<Intent>) {
        let id = intent.id;
        let other = self.open.of(&intent.rule, &intent.group).filter(|other| *other != id);
        let Some(other) = other.and_then(|other| self.open.get(other)) else {
            self.open.bind(&intent.rule, &intent.group, id);
            self.open.put(intent);
            return;
        };
        let (older, newer) = if other.id < id { (&other, &intent) } else { (&intent, &other) };
        let has_begun = |it: &Intent| !it.attempts.is_empty();
        let newer_stays = has_begun(newer) && !has_begun(older);
        let (kept, closed) = if newer_stays { (newer, older) } else { (older, newer) };
        self.open.bind(&kept.rule, &kept.group, kept.id);
        self.twins.retain(|twins| twins.closed != kept.id && twins.closed != closed.id);
        self.twins.push(Twins { kept: kept.id, closed: closed.id });
        self.open.put(intent);
    }

    /// Makes memory what is `stored` of `id`.
    pub(super) fn make(&mut self, id: IntentId, stored: Option<Intent>) {
        // That a repair was taken for begun stays known: guards wait rather than forget one.
        let old = self.open.remove(id);
        if let Some(old) = &old {
            self.open.unbind(&old.rule, &old.group, id);
        }
        self.recorded.retain(|_, intent| intent.id != id);
        match stored {
            Some(intent) if intent.status.is_open() => {
                let key = key(&intent.rule, &intent.group);
                if self.ended.get(&key).is_some_and(|ended| ended.intent == id) {
                    self.ended.remove(&key);
                }
                self.put_open(Arc::new(intent));
                // Whoever waited for the change waits in vain: it is looked at again as it is now.
                self.fresh.push(id);
            }
            Some(ended) if old.is_some() => self.remember_end(&ended),
            Some(_) => {}
            None => self.answered.retain(|_, answered| *answered != id),
        }
    }

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
        let since = self.clock.to_steady(at, intent.era);
        let hold_until = since + hold.delta();
        self.ended.insert(key.clone(), Ended { intent: intent.id, at, since, hold_until });
        self.ended_order.insert((hold_until, key));
        while let Some((first, _)) = self.ended_order.first()
            && (*first < since || self.ended_order.len() > MAX_ENDED)
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
        let created = self.clock.to_steady(intent.created_at, intent.era);
        let ended = self.ended.get(&key).filter(|ended| ended.since <= created)?.clone();
        self.ended.remove(&key);
        Some(ended)
    }

    /// `open` was there at the start: if it was a relapse, the engine may have died before it was put down as one; twice
    /// does no harm.
    pub(super) fn relapse(&mut self, open: &Intent) {
        if let Some(ended) = self.forget_end(open)
            && self.clock.to_steady(open.created_at, open.era) <= ended.hold_until
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
        self.past.see(intent, self.clock.to_steady(intent.created_at, intent.era));
        for attempt in intent.repairs() {
            let at = self.clock.to_steady(attempt.started_at, intent.era);
            self.past.start(intent, at, attempt.run);
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

pub(super) fn key(rule: &str, group: &str) -> Key {
    (rule.into(), group.into())
}
