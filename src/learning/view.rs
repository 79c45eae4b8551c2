//! A playbook as it looks for one class of failure: rate, minutes, what heals alone. Reads the learner, changes nothing.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::choose::{Judged, expected};
use super::credit::{heals_within, own_share};
use super::decide::DRAWS;
use super::learner::{CARRIED, Learner};
use super::posterior::{Cell, Moments, Pool};

/// What is known of a playbook for a class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Posterior {
    /// Probability that the check after it passes, from 0 to 1.
    pub mean: f64,
    /// 90 % interval of that.
    pub interval: [f64; 2],
    /// Outcomes that it rests on; fewer than `attempts` once drift was suspected.
    pub n: u32,
    /// Verified outcomes of this class.
    pub attempts: u32,
    /// Those that were fixed.
    pub successes: u32,
    /// What it takes on average in minutes, over all classes, once something was measured.
    pub mean_minutes: Option<f64>,
    /// `mean` without what would have healed alone, once failures of this class were watched before an action.
    pub own: Option<f64>,
}

/// A playbook as it looks for one class.
pub(super) struct View<'a> {
    pub(super) pool: Cow<'a, Pool>,
    pub(super) cell: &'a Cell,
    pub(super) moments: Moments,
    /// Minutes that it takes: declared, then measured.
    pub(super) minutes: f64,
    /// Share that heals alone in that time; none where nobody watched.
    alone: Option<f64>,
    /// Outcomes of all classes, and the minutes that they took together.
    measured: (u32, f64),
}

/// Weight of the declared cost, in measurements.
const DECLARED: f64 = 3.0;
/// Least minutes that anything takes: a tenth of a second.
const INSTANT: f64 = 1.0 / 600.0;

impl View<'_> {
    /// What people see of it.
    pub(super) fn posterior(&self) -> Posterior {
        let (measured, total) = self.measured;
        Posterior {
            mean: self.moments.mean,
            interval: self.pool.interval(self.cell, self.moments),
            n: (self.cell.successes + self.cell.failures).round() as u32,
            attempts: self.cell.attempts,
            successes: self.cell.fixed,
            mean_minutes: (measured > 0).then(|| total / f64::from(measured)),
            own: self.alone.map(|alone| own_share(self.moments.mean, alone)),
        }
    }

    /// Expected minutes to a repair, were it tried again and again.
    pub(super) fn expected(&self) -> f64 {
        expected(self.minutes, self.own(self.moments.mean))
    }

    /// Share that heals without it.
    pub(super) fn alone(&self) -> f64 {
        self.alone.unwrap_or(0.0)
    }

    /// What it fixes itself, where `passed` of the checks pass.
    pub(super) fn own(&self, passed: f64) -> f64 {
        own_share(passed, self.alone())
    }

    /// Outcomes of other classes.
    pub(super) fn siblings(&self) -> u32 {
        self.measured.0.saturating_sub(self.cell.attempts)
    }

    /// What the choice needs of it.
    pub(super) fn judged(&self, explore: bool) -> Judged {
        // The mean of three draws: a third of the variance, the skew over the root of three. Taking off what heals
        // alone stretches the spread.
        let root = f64::from(DRAWS).sqrt();
        let spread = if explore { self.moments.variance.sqrt() / root / (1.0 - self.alone()) } else { 0.0 };
        Judged {
            mean: self.own(self.moments.mean),
            spread,
            skew: self.moments.skew / root,
            minutes: self.minutes,
        }
    }
}

impl Learner {
    /// How a playbook looks for a class, with the minutes that its author declared.
    pub(super) fn look(&self, playbook: &str, hash: &str, class: &str, declared: f64) -> View<'_> {
        static NOTHING: LazyLock<(Cell, Pool)> = LazyLock::new(|| (Cell::default(), Pool::new(None)));
        let versions = self.playbooks.get(playbook);
        let version = versions.and_then(|all| all.iter().rfind(|v| &*v.hash == hash));
        let pool = match (version, versions.and_then(|all| all.last())) {
            (Some(version), _) => Cow::Borrowed(&version.pool),
            (None, Some(latest)) => Cow::Owned(Pool::new(Some((&latest.pool, CARRIED)))),
            (None, None) => Cow::Borrowed(&NOTHING.1),
        };
        let cell = version.and_then(|v| v.cells.get(class)).map_or(&NOTHING.0, |(cell, _)| cell);
        let (measured, total) = version.map_or((0, 0.0), |v| (v.measured, v.minutes));
        let minutes = ((DECLARED * declared + total) / (DECLARED + f64::from(measured))).max(INSTANT);
        let moments = pool.moments(cell);
        let alone = self.exposure.get(class).map(|seen| heals_within(seen.hazard(&self.exposed), minutes));
        View { pool, cell, moments, minutes, alone, measured: (measured, total) }
    }
}
