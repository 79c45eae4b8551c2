//! The learner: outcomes in, posteriors and choices out. No I/O, no clock, no randomness but the seed it is given.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use super::credit::Exposure;
use super::decide::Candidate;
use super::drift::Cusum;
use super::posterior::{Cell, Moments, Pool};
use super::strategy::{Kind, StrategyChange};
use super::text;
use super::view::Posterior;
use crate::model::{IntentId, OutcomeRecord, Span, Time};

/// A row of the table of all that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The playbook.
    pub playbook: String,
    /// Its content hash.
    pub hash: String,
    /// The failure class.
    pub class: String,
    /// What is known.
    #[serde(flatten)]
    pub posterior: Posterior,
}

/// All that outcomes have taught.
#[derive(Clone, Debug, Default)]
pub struct Learner {
    pub(super) playbooks: AHashMap<Arc<str>, Versions>,
    pub(super) counted: AHashMap<Attempt, Counted>,
    pub(super) oldest: VecDeque<Attempt>,
    pub(super) exposure: AHashMap<Arc<str>, Exposure>,
    pub(super) exposed: Exposure,
    pub(super) preferred: AHashMap<Arc<str>, Vec<Preference>>,
    /// When the latest outcome was known.
    pub(super) as_of: Option<Time>,
    pub(super) numbers: Numbers,
}

/// The numbers of outcomes: which were given out, and which of these may still be on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) last: u64,
    pub(super) under_way: BTreeSet<u64>,
}

impl Numbers {
    /// Everything up to this number has been taken in, or never will be.
    pub(super) fn position(&self) -> u64 {
        self.under_way.first().map_or(self.last, |first| first - 1)
    }
}

type Attempt = (IntentId, u32);
/// Versions of one playbook, the latest observed last.
pub(super) type Versions = Vec<Version>;

#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) hash: Arc<str>,
    pub(super) pool: Pool,
    pub(super) cells: AHashMap<Arc<str>, (Cell, Cusum)>,
    pub(super) minutes: f64,
    pub(super) measured: u32,
    pub(super) cuts: u32,
}

/// How an attempt was counted, so that a later word about it can put that right.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) fixed: bool,
    pub(super) cuts: u32,
}

/// The order in which the candidates of a choice were last preferred.
#[derive(Clone, Debug)]
pub(super) struct Preference {
    candidates: Vec<Candidate>,
    order: Vec<usize>,
}

/// Share of the pooled prior of the version before that a new content hash starts with. None: an edit may have broken
/// it, and the benchmark's announced change is of that kind.
pub(super) const CARRIED: f64 = 0.0;
/// Share of the counts that is left when drift is suspected.
const KEPT: f64 = 0.3;
/// Versions of a playbook that are remembered, for those who go back.
const VERSIONS: usize = 8;
/// Attempts that can still be relabelled; about 3 MiB.
const COUNTED: usize = 65_536;
/// Sets of candidates a class whose order is watched for changes.
const PREFERENCES: usize = 8;

impl Learner {
    /// What a person is taken to need when nothing better is known.
    pub const PERSON: Span = Span::secs(3_600);

    /// A learner that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an outcome in. Counts only what has a verdict and is no escalation, once per (intent, attempt); the same
    /// attempt again with another outcome puts the counts right. Returns what changes in the strategy.
    pub fn observe(&mut self, record: &OutcomeRecord) -> Vec<StrategyChange> {
        self.as_of = self.as_of.max(Some(record.at));
        if record.escalation || record.playbook.is_empty() {
            return vec![];
        }
        let key = (record.intent, record.attempt);
        let before = self.counted.get(&key).cloned();
        let verdict = record.verdict();
        if before.as_ref().map(|b| b.fixed) == verdict {
            return vec![];
        }
        let version = version(&mut self.playbooks, &record.playbook, &record.source_hash);
        if !version.cells.contains_key(record.class.as_str()) {
            version.cells.insert(record.class.as_str().into(), Default::default());
        }
        let (cell, cusum) = version.cells.get_mut(record.class.as_str()).expect("it was put there just now");
        let foreseen = version.pool.moments(cell);
        let drifts = match (&before, verdict) {
            (None, Some(fixed)) => {
                version.pool.observe(cell, fixed);
                if !record.untimed {
                    version.minutes += record.attempt_ms as f64 / 60_000.0;
                    version.measured += 1;
                }
                cusum.step(foreseen.mean, fixed)
            }
            (Some(old), verdict) => {
                // What was counted before a cut weighs less now; what is told anew weighs in full.
                let weight = KEPT.powi((version.cuts - old.cuts.min(version.cuts)).min(50) as i32);
                let (mut s, mut f) = (cell.successes, cell.failures);
                *(if old.fixed { &mut s } else { &mut f }) -= weight;
                cell.fixed -= u32::from(old.fixed && cell.fixed > 0);
                match verdict {
                    Some(true) => (s, cell.fixed) = (s + 1.0, cell.fixed + 1),
                    Some(false) => f += 1.0,
                    None => cell.attempts = cell.attempts.saturating_sub(1),
                }
                version.pool.set(cell, s, f);
                verdict.is_some_and(|fixed| cusum.correct(foreseen.mean, fixed))
            }
            (None, None) => false,
        };
        let cuts = version.cuts;
        match (verdict, before) {
            (Some(fixed), before) => {
                if before.is_none() {
                    self.oldest.push_back(key);
                }
                self.counted.insert(key, Counted { fixed, cuts });
            }
            // The key stays in the queue; when it comes to its end, nothing is there to forget.
            (None, _) => {
                self.counted.remove(&key);
            }
        }
        while self.oldest.len() > COUNTED {
            if let Some(old) = self.oldest.pop_front() {
                self.counted.remove(&old);
            }
        }
        let mut changes = vec![];
        if drifts {
            changes.push(self.drifted(record, foreseen));
        }
        self.reorder(record, &mut changes);
        changes
    }

    /// The number of an outcome that is about to be handed to the store. Until it is [`Learner::settle`]d, what is kept
    /// does not count as knowing it.
    pub fn number(&mut self) -> u64 {
        self.numbers.last += 1;
        self.numbers.under_way.insert(self.numbers.last);
        self.numbers.last
    }

    /// The outcome with this number was taken in wherever it counts, or was not kept.
    pub fn settle(&mut self, number: u64) {
        self.numbers.under_way.remove(&number);
    }

    /// Every outcome up to this number was taken in, or never will be.
    pub fn position(&self) -> u64 {
        self.numbers.position()
    }

    /// The store holds numbers up to `last`, and all of them have been taken in.
    pub fn caught_up(&mut self, last: u64) {
        self.numbers.last = self.numbers.last.max(last);
    }

    /// When the latest outcome was known that it has taken in.
    pub fn as_of(&self) -> Option<Time> {
        self.as_of
    }

    /// Tells of a failure that was only watched for so many minutes, until it healed or (censored) an action began.
    pub fn watched(&mut self, class: &str, minutes: f64, recovered: bool) {
        if !self.exposure.contains_key(class) {
            self.exposure.insert(class.into(), Exposure::default());
        }
        self.exposure.get_mut(class).expect("it was put there just now").add(minutes, recovered);
        self.exposed.add(minutes, recovered);
    }

    /// What is known of a playbook for a class; for a class never seen, what its siblings show.
    pub fn posterior(&self, playbook: &str, hash: &str, class: &str) -> Posterior {
        self.look(playbook, hash, class, 0.0).posterior()
    }

    /// All that is known, by playbook, hash and class.
    pub fn table(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = vec![];
        for (playbook, versions) in &self.playbooks {
            for version in versions {
                for class in version.cells.keys() {
                    rows.push(Row {
                        playbook: playbook.to_string(),
                        hash: version.hash.to_string(),
                        class: class.to_string(),
                        posterior: self.posterior(playbook, &version.hash, class),
                    });
                }
            }
        }
        rows.sort_by(|a, b| (&a.playbook, &a.hash, &a.class).cmp(&(&b.playbook, &b.hash, &b.class)));
        rows
    }
}

/// The version of a playbook with this content; a new one starts from part of what the latest knew.
fn version<'a>(
    playbooks: &'a mut AHashMap<Arc<str>, Versions>,
    playbook: &str,
    hash: &str,
) -> &'a mut Version {
    if !playbooks.contains_key(playbook) {
        playbooks.insert(playbook.into(), vec![]);
    }
    let versions = playbooks.get_mut(playbook).expect("it was put there just now");
    match versions.iter().position(|v| &*v.hash == hash) {
        Some(at) if at + 1 == versions.len() => {}
        Some(at) => {
            let version = versions.remove(at);
            versions.push(version);
        }
        None => {
            let pool = Pool::new(versions.last().map(|v| (&v.pool, CARRIED)));
            if versions.len() == VERSIONS {
                versions.remove(0);
            }
            let hash = hash.into();
            versions.push(Version { hash, pool, cells: AHashMap::new(), minutes: 0.0, measured: 0, cuts: 0 });
        }
    }
    versions.last_mut().expect("the version is last now")
}

impl Learner {
    /// Cuts what is known of the playbook that drifted, in all classes.
    fn drifted(&mut self, record: &OutcomeRecord, foreseen: Moments) -> StrategyChange {
        let before = format!("{}: {:.2}", record.playbook, foreseen.mean);
        let version = version(&mut self.playbooks, &record.playbook, &record.source_hash);
        version.cuts += 1;
        let Version { cells, pool, .. } = version;
        for (cell, cusum) in cells.values_mut() {
            *cusum = Cusum::default();
            pool.set(cell, cell.successes * KEPT, cell.failures * KEPT);
        }
        let now = self.posterior(&record.playbook, &record.source_hash, &record.class);
        StrategyChange {
            kind: Kind::DriftSuspected,
            class: record.class.clone(),
            before: vec![before],
            after: vec![format!("{}: {}", record.playbook, text::chance(&now))],
            evidence: format!(
                "the latest outcomes of {} are not what was foreseen ({:.2}); its counts now weigh {:.0} %",
                record.playbook,
                foreseen.mean,
                KEPT * 100.0
            ),
        }
    }

    /// Keeps the order of this set of candidates, the latest a playbook set of its class.
    pub(super) fn remember(&mut self, class: &str, candidates: &[Candidate]) {
        let known =
            self.preferred.get(class).is_some_and(|all| all.iter().any(|p| p.candidates == candidates));
        if known || candidates.len() < 2 {
            return;
        }
        let order = self.order(class, candidates);
        let all = self.preferred.entry(class.into()).or_default();
        // The same playbooks with another hash or cost replace what was kept of them.
        all.retain(|p| !p.candidates.iter().map(|c| &c.playbook).eq(candidates.iter().map(|c| &c.playbook)));
        if all.len() == PREFERENCES {
            all.remove(0);
        }
        all.push(Preference { candidates: candidates.to_vec(), order });
    }

    /// Candidates by expected minutes, the best first.
    fn order(&self, class: &str, candidates: &[Candidate]) -> Vec<usize> {
        let cost: Vec<f64> = candidates
            .iter()
            .map(|c| self.look(&c.playbook, &c.hash, class, c.cost.as_secs_f64() / 60.0).expected())
            .collect();
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|a, b| cost[*a].total_cmp(&cost[*b]));
        order
    }

    /// Tells which sets of candidates of the record's class are preferred in another order now.
    fn reorder(&mut self, record: &OutcomeRecord, changes: &mut Vec<StrategyChange>) {
        let Some(mut all) = self.preferred.remove(record.class.as_str()) else { return };
        for preference in &mut all {
            if !preference.candidates.iter().any(|c| c.playbook == record.playbook) {
                continue;
            }
            let order = self.order(&record.class, &preference.candidates);
            if order == preference.order {
                continue;
            }
            let names = |order: &[usize]| -> Vec<String> {
                order.iter().map(|k| preference.candidates[*k].playbook.clone()).collect()
            };
            let known = self.posterior(&record.playbook, &record.source_hash, &record.class);
            changes.push(StrategyChange {
                kind: Kind::Order,
                class: record.class.clone(),
                before: names(&preference.order),
                after: names(&order),
                evidence: format!(
                    "{} was {} and is now {}",
                    record.playbook,
                    record.outcome.as_str(),
                    text::chance(&known)
                ),
            });
            preference.order = order;
        }
        self.preferred.insert(record.class.as_str().into(), all);
    }
}
