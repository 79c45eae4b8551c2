//! The board while a batch of events is turned into intents: opened, counted on, closed, and committed as one.
//!
//! What a batch changed is in memory at once and on disk later, or not at all; until it is known which, nobody works
//! on it. Start with [`Batch`].

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use serde::{Deserialize, Serialize};

use super::state::{Key, Relapse, State, key};
use super::{Board, Error};
use crate::intents::lifecycle::{self, Transition};
use crate::model::intent::Plan;
use crate::model::{Event, Intent, IntentId, Mode, OutcomeRecord, Status, Time};
use crate::rules::{Fired, Rule};
use crate::store::{Commit, Write};

/// The board, locked while a batch of events is turned into intents. What it changed is worked on once it is durable.
pub struct Batch<'a> {
    board: &'a Board,
    state: MutexGuard<'a, State>,
    /// The clock's era, which is that of all times handed in.
    era: u32,
    opened: BTreeSet<IntentId>,
    dirty: BTreeSet<IntentId>,
    /// Those that were packed before.
    unpacked: Vec<IntentId>,
    born_ended: BTreeSet<IntentId>,
    /// Recorded only, and counted on or new.
    recounted: BTreeSet<Key>,
    /// The same, but over since.
    settled: Vec<Arc<Intent>>,
    refused: u64,
    relapsed: Vec<Relapse>,
}

/// What became of a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// It opened this intent, or recorded it as ended at birth.
    Opened(IntentId),
    /// It was counted on this intent.
    Counted(IntentId),
    /// It closed this intent, or told the repair under way that it is over.
    Over(IntentId),
    /// There was no room for it.
    Refused,
}

/// What a batch has changed. Once it is durable, [`Board::confirm`] it; if it was not kept, [`Board::take_back`].
#[derive(Debug, Default)]
pub struct Changes {
    /// Intents that are new and open.
    pub opened: Vec<Arc<Intent>>,
    /// Intents that ended in it, those included that were ended at birth.
    pub ended: Vec<Arc<Intent>>,
    /// Firings for which there was no room.
    pub refused: u64,
    pub(super) touched: Vec<IntentId>,
    pub(super) relapsed: Vec<Relapse>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(board: &'a Board, state: MutexGuard<'a, State>) -> Self {
        Self {
            board,
            state,
            era: board.clock.era(),
            opened: BTreeSet::new(),
            dirty: BTreeSet::new(),
            unpacked: Vec::new(),
            born_ended: BTreeSet::new(),
            recounted: BTreeSet::new(),
            settled: Vec::new(),
            refused: 0,
            relapsed: Vec::new(),
        }
    }
}

impl Batch<'_> {
    /// A rule fired for `event`: opens an intent, or counts the match on the one that is open.
    pub fn fire(&mut self, fired: &Fired, event: &Arc<Event>, now: Time, random: u128) -> Became {
        let key = key(&fired.rule.name, &fired.group);
        if let Some(id) = self.state.open.of(&key.0, &key.1) {
            if let Some((intent, was_whole)) = self.state.open.change(id) {
                intent.count += 1;
                intent.last_event_at = self.board.clock.convert(now, self.era, intent.era);
                intent.cleared_at = None;
                self.unpacked.extend((!was_whole).then_some(id));
                self.mark(id);
            }
            return Became::Counted(id);
        }
        let intent = Intent { era: self.era, ..birth(fired, event, now, random) };
        let id = intent.id;
        if !intent.status.is_open() {
            if let Some(known) = self.recount(&key, &intent) {
                return Became::Counted(known);
            }
            self.born_ended.insert(id);
            self.state.remember_recorded(&Arc::new(intent));
            self.recounted.insert(key);
            return Became::Opened(id);
        }
        if self.state.open.len() >= self.board.room(intent.priority) {
            self.state.refused += 1;
            self.refused += 1;
            return Became::Refused;
        }
        let steady = self.board.clock.to_steady(now, self.era);
        if let Some(ended) = self.state.ended.remove(&key).filter(|ended| ended.hold_until >= steady) {
            self.relapsed.push((key, ended));
        }
        self.open(intent);
        Became::Opened(id)
    }

    /// Counts the match on an intent of the same end that was recorded lately, so that a storm in shadow mode is one
    /// intent like any other; none if there is none.
    fn recount(&mut self, key: &Key, new: &Intent) -> Option<IntentId> {
        let intent = self.state.recorded.get_mut(key)?;
        let until = intent.created_at + intent.plan.expire.delta();
        let now = self.board.clock.convert(new.created_at, new.era, intent.era);
        if intent.status != new.status || now >= until {
            return None;
        }
        let intent = Arc::make_mut(intent);
        intent.count += 1;
        intent.last_event_at = now;
        self.recounted.insert(key.clone());
        Some(intent.id)
    }

    /// An event says that what `rule` repairs in `group` is over: an intent that has not begun to act is closed. None
    /// if there is none.
    pub fn resolve(&mut self, rule: &Rule, group: &str, event: &Event, now: Time) -> Option<Became> {
        let key = key(&rule.name, group);
        let recorded = self.state.recorded.remove(&key);
        if self.recounted.remove(&key) {
            self.settled.extend(recorded);
        }
        let id = self.state.open.of(&key.0, &key.1)?;
        let (intent, was_whole) = self.state.open.change(id)?;
        self.unpacked.extend((!was_whole).then_some(id));
        let now = self.board.clock.convert(now, self.era, intent.era);
        intent.cleared_at = Some(now);
        if matches!(intent.status, Status::Running | Status::Verifying) {
            // The verification may see it; if it does not, nothing more is tried.
            self.mark(id);
            return Some(Became::Over(id));
        }
        let told = intent.escalations > 0;
        let (end, reason) = if told {
            (
                Transition::Escalate,
                format!("recovered after an operator was alerted: {} at {}", event.topic, event.time),
            )
        } else {
            let before = if intent.repairs().next().is_none() { "anything" } else { "anything more" };
            (
                Transition::Clear,
                format!("over by itself before {before} was done: {} at {}", event.topic, event.time),
            )
        };
        if lifecycle::apply(intent, end, Some(reason), now).is_ok() {
            self.mark(id);
        }
        Some(Became::Over(id))
    }

    /// Opens an intent of a person's or another system's making.
    ///
    /// # Errors
    /// When the board is full. If there is one of the same rule and group, even one that has ended lately, that one is
    /// returned instead: asking twice is wanting once.
    pub fn insert(&mut self, intent: Intent) -> Result<IntentId, Error> {
        let key = key(&intent.rule, &intent.group);
        let wished = intent.id;
        if self.state.open.of(&key.0, &key.1).is_none()
            && let Some(id) = self.state.answered.get(&key)
        {
            return Ok(*id);
        }
        let id = self.reopen(intent)?;
        if id == wished {
            self.state.remember_answered(key, id);
        }
        Ok(id)
    }

    /// Opens an intent although one of the same rule and group has ended.
    ///
    /// # Errors
    /// When the board is full. If one of the same rule and group is open, that one is returned instead.
    pub fn reopen(&mut self, intent: Intent) -> Result<IntentId, Error> {
        if let Some(open) = self.state.open.of(&intent.rule, &intent.group) {
            return Ok(open);
        }
        if self.state.open.len() >= self.board.room(intent.priority) {
            return Err(Error::Full(self.board.capacity));
        }
        let id = intent.id;
        self.open(intent);
        Ok(id)
    }

    /// Hands `first` and everything that changed to the store, as one transaction, and unlocks the board.
    pub fn commit(mut self, first: Vec<Write>) -> (Commit, Changes) {
        let mut writes = first;
        let relapsed = std::mem::take(&mut self.relapsed);
        let mut changes = Changes { relapsed, refused: self.refused, ..Changes::default() };
        let mut recorded = std::mem::take(&mut self.settled);
        let recounted = std::mem::take(&mut self.recounted);
        recorded.extend(recounted.iter().filter_map(|key| self.state.recorded.get(key).cloned()));
        for intent in recorded {
            changes.touched.push(intent.id);
            if self.born_ended.contains(&intent.id) {
                writes.extend(OutcomeRecord::untried(&intent).map(Write::Outcome));
                changes.ended.push(intent.clone());
            }
            writes.push(Write::Intent(intent));
        }
        for id in std::mem::take(&mut self.dirty) {
            let Some(intent) = self.state.open.get(id) else { continue };
            changes.touched.push(id);
            if !intent.status.is_open() {
                self.state.close(&intent);
                writes.extend(OutcomeRecord::untried(&intent).map(Write::Outcome));
                changes.ended.push(intent.clone());
            } else if self.opened.contains(&id) {
                changes.opened.push(intent.clone());
            }
            writes.push(Write::Intent(intent));
        }
        for id in &changes.touched {
            *self.state.unsettled.entry(*id).or_default() += 1;
        }
        // What waited for long still does: a match that is counted on it wakes nobody.
        for id in std::mem::take(&mut self.unpacked) {
            self.state.open.pack(id, false);
        }
        let watch = self.board.doubts.watch(changes.touched.clone());
        (self.board.store.commit_watched(writes, Some(watch)), changes)
    }

    fn open(&mut self, intent: Intent) {
        let id = intent.id;
        let created = self.board.clock.to_steady(intent.created_at, intent.era);
        self.state.past.see(&intent, created);
        self.state.open.bind(&intent.rule, &intent.group, id);
        self.state.open.put(Arc::new(intent));
        self.opened.insert(id);
        self.dirty.insert(id);
    }

    fn mark(&mut self, id: IntentId) {
        self.dirty.insert(id);
        let closed = self.state.open.get(id).filter(|intent| !intent.status.is_open());
        if let Some(intent) = closed {
            // Closed within this batch: the next match of the batch opens a new one.
            self.state.open.unbind(&intent.rule, &intent.group, id);
        }
    }
}

impl Drop for Batch<'_> {
    /// A batch that broke before its commit leaves what it has changed in doubt.
    fn drop(&mut self) {
        let dirty = std::mem::take(&mut self.dirty);
        let recounted = std::mem::take(&mut self.recounted);
        for key in recounted {
            self.state.recorded.remove(&key);
        }
        self.board.doubts.add(dirty);
    }
}

/// The intent that a firing for `event` makes at `now`, where none is open: it may be ended at birth.
pub fn birth(fired: &Fired, event: &Arc<Event>, now: Time, random: u128) -> Intent {
    let rule = &fired.rule;
    let plan: Arc<Plan> = rule.plan.clone();
    let hold_down = plan.guard.hold_down.unwrap_or_default();
    let (status, reason, target) = match (&fired.target, plan.mode) {
        (Err(why), _) => (Status::Denied, Some(format!("no target to act on: {why}")), String::new()),
        (Ok(target), Mode::Shadow) => {
            (Status::Shadowed, Some("the rule is in shadow mode: recorded only".into()), target.clone())
        }
        (Ok(target), _) if !hold_down.is_zero() => {
            (Status::Held, Some(format!("the failure must persist for {hold_down} first")), target.clone())
        }
        (Ok(target), _) => (Status::Pending, None, target.clone()),
    };
    let id = IntentId::new(now, random);
    let expires_at = now + hold_down.delta() + plan.expire.delta();
    Intent {
        goal: fired.goal.clone(),
        priority: rule.wish.priority,
        domain: rule.wish.domain.clone(),
        fleet: fired.fleet.clone(),
        class: fired.class.clone(),
        status,
        reason,
        count: fired.count.max(1),
        expires_at,
        not_before: (status == Status::Held).then(|| now + hold_down.delta()),
        events: fired.events.clone(),
        ..Intent::new(id, &rule.name, &fired.group, &target, event.clone(), plan, now)
    }
}
