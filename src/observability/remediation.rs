//! Repairs, counted: intents that are open, how the others ended, outcomes of attempts. Pure fold over their states.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::{Intent, IntentId, Outcome, OutcomeRecord, Status, Time};

/// Intents and attempts that are remembered as counted, so that hearing of one twice changes nothing.
const REMEMBERED: usize = 10_000;
/// Ended intents that the effectiveness in the health score goes by.
const LATEST: usize = 500;
/// How long after its time the end of an intent may be counted: a commit that waits, a task that has no turn. What ended
/// so lately is remembered one by one, however much it is.
const LATE: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// All that was told of repairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Remediation {
    /// Not kept in a snapshot: which are open, the store says.
    #[serde(skip)]
    pub(super) open: HashSet<IntentId>,
    /// The latest change of an intent that was counted.
    pub(super) as_of: Option<Time>,
    ended: VecDeque<IntentId>,
    /// When the latest of them ended; of those before it was not noted.
    ended_at: VecDeque<Time>,
    /// Whether all that ended up to `as_of` is counted.
    pub(super) settled: bool,
    /// Whether each of the latest that ended succeeded or not.
    latest: VecDeque<bool>,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) escalated: u64,
    pub(super) other: u64,
    outcomes: BTreeMap<String, u64>,
    counted: VecDeque<(IntentId, u32, Outcome)>,
    /// Where in `counted` each of them is, counted from the first ever put there.
    #[serde(skip)]
    places: HashMap<(IntentId, u32), usize>,
    #[serde(skip)]
    forgotten: usize,
    recovered: u64,
    recovery_ms: f64,
    #[serde(skip)]
    known: BTreeSet<IntentId>,
}

impl Remediation {
    /// Takes the present state of an intent in; the same state again changes nothing.
    pub(super) fn intent(&mut self, intent: &Intent) {
        if self.known.len() != self.ended.len() {
            self.known = self.ended.iter().copied().collect();
        }
        if self.known.contains(&intent.id) {
            return;
        }
        self.open.remove(&intent.id);
        self.settled = false;
        self.as_of = self.as_of.max(Some(intent.updated_at));
        if intent.status.is_open() {
            self.open.insert(intent.id);
            return;
        }
        let by_itself = intent.repairs().last().is_none_or(|attempt| attempt.ended_by.is_itself());
        let success = match intent.status {
            Status::Failed | Status::Escalated if !by_itself => {
                self.other += 1;
                None
            }
            Status::Succeeded => {
                self.succeeded += 1;
                Some(true)
            }
            Status::Failed => {
                self.failed += 1;
                Some(false)
            }
            Status::Escalated => {
                self.escalated += 1;
                Some(false)
            }
            _ => {
                self.other += 1;
                None
            }
        };
        if let Some(success) = success {
            self.latest.push_back(success);
            if self.latest.len() > LATEST {
                self.latest.pop_front();
            }
        }
        self.ended.push_back(intent.id);
        self.ended_at.push_back(intent.updated_at);
        self.known.insert(intent.id);
        let late = self.as_of.map(|at| at - LATE);
        while self.ended.len() > REMEMBERED
            && (self.ended_at.len() < self.ended.len() || self.ended_at.front().copied() < late)
        {
            if self.ended_at.len() == self.ended.len() {
                self.ended_at.pop_front();
            }
            if let Some(oldest) = self.ended.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// All that ended before this time is counted.
    pub(super) fn complete(&self) -> Option<Time> {
        self.as_of.map(|at| if self.settled { at } else { at - LATE })
    }

    /// How many there ever were.
    pub(super) fn total(&self) -> u64 {
        self.succeeded + self.failed + self.escalated + self.other + self.open.len() as u64
    }

    /// After a restart: an intent that ended since the snapshot. It may be counted already.
    pub(super) fn resume_ended(&mut self, intent: &Intent) {
        self.intent(intent);
        if let Some(outcome) = OutcomeRecord::untried(intent) {
            self.outcome(&outcome);
        }
    }

    /// Takes an outcome in; the same attempt again with another outcome is moved over.
    pub(super) fn outcome(&mut self, record: &OutcomeRecord) {
        if record.escalation {
            return;
        }
        let key = (record.intent, record.attempt);
        if self.places.len() != self.counted.len() {
            let keys = self.counted.iter().map(|(intent, attempt, _)| (*intent, *attempt));
            self.places = keys.zip(self.forgotten..).collect();
        }
        let place = self.places.get(&key).map(|at| at - self.forgotten);
        match place.and_then(|at| self.counted.get_mut(at)) {
            Some((_, _, before)) if *before == record.outcome => return,
            Some((_, _, before)) => {
                let old = std::mem::replace(before, record.outcome);
                if let Some(count) = self.outcomes.get_mut(old.as_str()) {
                    *count = count.saturating_sub(1);
                }
            }
            None => {
                self.places.insert(key, self.forgotten + self.counted.len());
                self.counted.push_back((record.intent, record.attempt, record.outcome));
                if self.counted.len() > REMEMBERED
                    && let Some((intent, attempt, _)) = self.counted.pop_front()
                {
                    self.places.remove(&(intent, attempt));
                    self.forgotten += 1;
                }
                if record.outcome == Outcome::Fixed && !record.untimed {
                    self.recovered += 1;
                    self.recovery_ms += record.recovery_ms as f64;
                }
            }
        }
        *self.outcomes.entry(record.outcome.as_str().into()).or_default() += 1;
    }

    /// `succeeded` over those that ended repaired, unrepaired or with a person.
    pub(super) fn success_rate(&self) -> Option<f64> {
        let ended = self.succeeded + self.failed + self.escalated;
        (ended > 0).then(|| self.succeeded as f64 / ended as f64)
    }

    /// The same of the latest 500.
    pub(super) fn effectiveness(&self) -> Option<f64> {
        let good = self.latest.iter().filter(|ok| **ok).count();
        (!self.latest.is_empty()).then(|| good as f64 / self.latest.len() as f64)
    }

    /// Average time from the first match to the repair seen to work.
    pub(super) fn avg_recovery_ms(&self) -> Option<f64> {
        (self.recovered > 0).then(|| self.recovery_ms / self.recovered as f64)
    }

    /// How many attempts had which outcome.
    pub(super) fn outcomes(&self) -> BTreeMap<String, u64> {
        self.outcomes.iter().filter(|(_, n)| **n > 0).map(|(name, n)| (name.clone(), *n)).collect()
    }
}
