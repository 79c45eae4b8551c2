//! What has been learned, as it is kept over a restart, so that not every outcome of a long life has to be read again.
//!
//! It can always be thrown away: the outcomes say the same. What follows from the counts is computed anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use super::credit::Exposure;
use super::drift::Cusum;
use super::learner::{Counted, Learner, Numbers, Version};
use super::posterior::{Cell, Pool};
use crate::model::{IntentId, Time};

/// Attempts that can still be relabelled after a restart: those of some hours, as a rule.
const RELABELLED: usize = 8_192;

/// Raise it when counts mean something else: what was kept before is then read from the outcomes again.
const VERSION: u32 = 1;

/// Everything that outcomes up to a time have taught.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    /// Outcomes known before this time are in it. Of those known later some may be; they are recognised.
    pub as_of: Time,
    /// The number of the last outcome of those that are all in it; of later ones some may be, and are recognized. None
    /// of a version that had no numbers.
    #[serde(default)]
    pub position: Option<u64>,
    playbooks: BTreeMap<String, Vec<KeptVersion>>,
    counted: Vec<(IntentId, u32, bool, u32)>,
    exposure: BTreeMap<String, Exposure>,
    exposed: Exposure,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptVersion {
    hash: String,
    cells: BTreeMap<String, KeptCell>,
    minutes: f64,
    measured: u32,
    cuts: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptCell {
    successes: f64,
    failures: f64,
    attempts: u32,
    fixed: u32,
    drift: Cusum,
}

impl Learner {
    /// All that is worth keeping; none while nothing was learned.
    pub fn keep(&self) -> Option<Kept> {
        let kept_version = |version: &Version| KeptVersion {
            hash: version.hash.to_string(),
            cells: version.cells.iter().map(|(class, cell)| (class.to_string(), kept_cell(cell))).collect(),
            minutes: version.minutes,
            measured: version.measured,
            cuts: version.cuts,
        };
        let versions = |versions: &Vec<Version>| versions.iter().map(kept_version).collect();
        let from = self.oldest.len().saturating_sub(RELABELLED);
        let latest = self.oldest.iter().skip(from);
        let counted =
            latest.filter_map(|key| self.counted.get(key).map(|it| (key.0, key.1, it.fixed, it.cuts)));
        Some(Kept {
            version: VERSION,
            as_of: self.as_of?,
            position: Some(self.numbers.position()),
            playbooks: self.playbooks.iter().map(|(name, all)| (name.to_string(), versions(all))).collect(),
            counted: counted.collect(),
            exposure: self.exposure.iter().map(|(class, it)| (class.to_string(), *it)).collect(),
            exposed: self.exposed,
        })
    }

    /// A learner that knows what was kept; none if that was kept by a version that counted otherwise.
    pub fn from_kept(kept: Kept) -> Option<Self> {
        if kept.version != VERSION {
            return None;
        }
        let counted = kept.counted.into_iter().map(|(id, n, fixed, cuts)| ((id, n), Counted { fixed, cuts }));
        let counted: Vec<_> = counted.collect();
        Some(Self {
            oldest: counted.iter().map(|(key, _)| *key).collect(),
            counted: counted.into_iter().collect(),
            playbooks: kept
                .playbooks
                .into_iter()
                .map(|(name, all)| (name.into(), all.into_iter().map(version).collect()))
                .collect(),
            exposure: kept.exposure.into_iter().map(|(class, it)| (class.into(), it)).collect(),
            exposed: kept.exposed,
            preferred: AHashMap::new(),
            as_of: Some(kept.as_of),
            numbers: Numbers { last: kept.position.unwrap_or(0), ..Numbers::default() },
        })
    }
}

fn kept_cell((cell, drift): &(Cell, Cusum)) -> KeptCell {
    let Cell { successes, failures, attempts, fixed, .. } = *cell;
    KeptCell { successes, failures, attempts, fixed, drift: *drift }
}

fn version(kept: KeptVersion) -> Version {
    let mut pool = Pool::new(None);
    let mut cells: AHashMap<Arc<str>, (Cell, Cusum)> = AHashMap::new();
    for (class, it) in kept.cells {
        let mut cell = Cell::default();
        (cell.attempts, cell.fixed) = (it.attempts, it.fixed);
        pool.set(&mut cell, it.successes, it.failures);
        cells.insert(class.into(), (cell, it.drift));
    }
    let KeptVersion { hash, minutes, measured, cuts, .. } = kept;
    Version { hash: hash.into(), pool, cells, minutes, measured, cuts }
}
