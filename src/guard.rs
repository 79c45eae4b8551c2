//! Guards: what may keep an intent from being acted on now. One file a guard, each a pure function over [`Facts`].
//!
//! A guard answers [`Verdict`]: allow, wait, ask a person, or deny; [`combine`] gives the strictest answer and which
//! guard gave it. Nothing here waits, stores or asks a clock. To add a guard: a file here, and a line in [`GUARDS`].
//!
//! In this version there is no cooldown, rate, hold-down, share of a fleet or lower bound of confidence unless the rule
//! sets one; three attempts; and an intent that is too old or has no single target is always denied.

mod ask_below;
mod blast_radius;
mod cooldown;
mod expiry;
mod freeze;
mod hold_down;
mod max_attempts;
mod rate;
mod target;

pub use max_attempts::DEFAULT as MAX_ATTEMPTS;

use serde::{Deserialize, Serialize};

use crate::freeze::Freeze;
use crate::intents::past::Forgotten;
use crate::model::{Intent, Span, Time};

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go ahead.
    Allow,
    /// Not before this time.
    Wait {
        /// When to ask again.
        until: Time,
        /// Why, in words.
        reason: String,
    },
    /// Only if a person approves.
    Ask {
        /// Why, in words.
        reason: String,
    },
    /// Not at all.
    Deny {
        /// Why, in words.
        reason: String,
        /// Whether the intent has simply become too old, which is `expired` and not `denied`.
        expired: bool,
    },
}

/// All that guards look at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The intent; its plan holds the rule's limits.
    pub intent: &'a Intent,
    /// The present time.
    pub now: Time,
    /// When a repair of the same target by the same rule last started, for another intent than this.
    pub last_start: Option<Time>,
    /// When intents of the same rule started lately, this one not included, in any order. Enough of them to fill the
    /// rule's rate.
    pub rule_starts: &'a [Time],
    /// Confidence in the playbook that would be run, from 0 to 1, if one is chosen.
    pub confidence: Option<f64>,
    /// Whether a person has approved what would be run; what they may allow is not asked again.
    pub approved: bool,
    /// The group of targets that it is one of, if the rule limits how many of them are touched.
    pub fleet: Option<Fleet<'a>>,
    /// What keeps it from acting until a person thaws it.
    pub frozen: Option<&'a Freeze>,
    /// What may be missing in the past that is told here. A guard that needs it waits.
    pub forgotten: Forgotten,
}

/// A group of targets that stand for each other.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    /// What it is called.
    pub name: &'a str,
    /// How many there are, as far as known, its own target among them.
    pub size: usize,
    /// When others of it were touched last, each of them once, in any order.
    pub touched: Vec<Time>,
}

/// A verdict and the guard that gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ruling {
    /// The guard's name, as in the rule's `guard:` block; empty when all allow.
    pub guard: String,
    /// What it says.
    pub verdict: Verdict,
}

/// A guard: its name, as in a rule's `guard:` block, and its function.
pub type Guard = (&'static str, fn(&Facts<'_>) -> Verdict);

/// All guards, in the order in which they are named where several are equally strict.
pub const GUARDS: &[Guard] = &[
    ("target", target::check),
    ("expire", expiry::check),
    ("freeze", freeze::check),
    ("max_attempts", max_attempts::check),
    ("hold_down", hold_down::check),
    ("cooldown", cooldown::check),
    ("rate", rate::check),
    ("blast_radius", blast_radius::check),
    ("ask_below", ask_below::check),
];

/// Asks all of them: the strictest answer wins. Deny goes before wait, wait before ask (there is no use in a person's
/// answer to what may not be done yet), the longest wait before shorter ones.
pub fn combine(facts: &Facts<'_>) -> Ruling {
    let mut strictest = Ruling { guard: String::new(), verdict: Verdict::Allow };
    for (name, check) in GUARDS {
        let verdict = check(facts);
        if strictness(&verdict) > strictness(&strictest.verdict) {
            strictest = Ruling { guard: (*name).to_owned(), verdict };
        }
    }
    strictest
}

fn strictness(verdict: &Verdict) -> (u8, Option<Time>) {
    match verdict {
        Verdict::Allow => (0, None),
        Verdict::Ask { .. } => (1, None),
        Verdict::Wait { until, .. } => (2, Some(*until)),
        Verdict::Deny { .. } => (3, None),
    }
}

/// A time that is `span` after `from`; the end of time if there is no such.
fn after(from: Time, span: Span) -> Time {
    from.checked_add_signed(span.delta()).unwrap_or(Time::MAX_UTC)
}

/// Waits where `what` of the last `span` may be missing because everything up to `forgotten` is: acting on a gap could
/// be acting twice.
fn wait_out(what: &str, span: Span, forgotten: Option<Time>, now: Time) -> Verdict {
    let Some((gap, until)) = forgotten.map(|at| (at, after(at, span))).filter(|(_, until)| *until > now)
    else {
        return Verdict::Allow;
    };
    let gap = gap.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let reason =
        format!("{what} within the last {span} are not all remembered: those up to {gap} may be missing");
    Verdict::Wait { until, reason }
}

#[cfg(test)]
mod tests;
