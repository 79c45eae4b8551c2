//! What came of an attempt; the only thing that learning reads.

use serde::{Deserialize, Serialize};

use super::{Intent, IntentId, Status, Time};

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The check after it passed.
    Fixed,
    /// The check after it did not pass.
    NotFixed,
    /// The playbook itself failed.
    Failed,
    /// It was over before the playbook did anything.
    SelfRecovered,
    /// Fixed at first, and back within the hold period.
    Relapsed,
    /// The condition had cleared when it was about to act.
    Stale,
    /// A guard or a person said no.
    Denied,
    /// The engine died in the middle of an effect that can't be repeated or probed.
    Interrupted,
    /// Nothing says whether it worked.
    Unverified,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Fixed,
        Self::NotFixed,
        Self::Failed,
        Self::SelfRecovered,
        Self::Relapsed,
        Self::Stale,
        Self::Denied,
        Self::Interrupted,
        Self::Unverified,
    ];

    /// The name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::NotFixed => "not_fixed",
            Self::Failed => "failed",
            Self::SelfRecovered => "self_recovered",
            Self::Relapsed => "relapsed",
            Self::Stale => "stale",
            Self::Denied => "denied",
            Self::Interrupted => "interrupted",
            Self::Unverified => "unverified",
        }
    }
}

/// What ended an attempt, if not the playbook and the world that it acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Nothing else: it came to its own end.
    #[default]
    Itself,
    /// It was frozen until its time was up, or until there was nothing left to repair.
    Freeze,
    /// The engine was down while it should have gone on.
    Downtime,
    /// The data directory was gone until its time was up.
    LostStore,
    /// It waited until it was too old to act on.
    Expiry,
    /// An operator ended it.
    Cancellation,
    /// Its rule or its playbook was taken away.
    Reload,
}

impl EndedBy {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Itself,
        Self::Freeze,
        Self::Downtime,
        Self::LostStore,
        Self::Expiry,
        Self::Cancellation,
        Self::Reload,
    ];

    /// Whether it came to its own end, as most do.
    pub fn is_itself(&self) -> bool {
        *self == Self::Itself
    }
}

/// The one table of what teaches: whether the playbook worked, did not work, or nothing, by what came of the attempt and
/// what ended it.
pub fn teaches(outcome: Outcome, ended_by: EndedBy) -> Option<bool> {
    use EndedBy as By;
    match (ended_by, outcome) {
        (By::Itself, Outcome::Fixed) => Some(true),
        (By::Itself, Outcome::NotFixed | Outcome::Failed | Outcome::Relapsed) => Some(false),
        (
            By::Itself,
            Outcome::SelfRecovered
            | Outcome::Stale
            | Outcome::Denied
            | Outcome::Interrupted
            | Outcome::Unverified,
        ) => None,
        // What the engine or its operator did says nothing of the playbook.
        (
            By::Freeze | By::Downtime | By::LostStore | By::Expiry | By::Cancellation | By::Reload,
            Outcome::Fixed
            | Outcome::NotFixed
            | Outcome::Failed
            | Outcome::SelfRecovered
            | Outcome::Relapsed
            | Outcome::Stale
            | Outcome::Denied
            | Outcome::Interrupted
            | Outcome::Unverified,
        ) => None,
    }
}

/// One outcome as it is kept for ever; (`intent`, `attempt`) names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// For which intent.
    pub intent: IntentId,
    /// Which attempt, from 1; 0 when nothing was attempted (self-recovery, stale, denied).
    pub attempt: u32,
    /// The rule.
    pub rule: String,
    /// What learning tells apart.
    pub class: String,
    /// The target.
    pub target: String,
    /// The playbook; empty when nothing was attempted.
    pub playbook: String,
    /// Content hash of the playbook: another content is another playbook to learn about.
    pub source_hash: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What ended it, if not itself: then it teaches nothing.
    #[serde(default, skip_serializing_if = "EndedBy::is_itself")]
    pub ended_by: EndedBy,
    /// Whether it was frozen, or the engine down, for a part of that time: then how long it took says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untimed: bool,
    /// Whether it was an escalation, which does not repair.
    #[serde(default)]
    pub escalation: bool,
    /// From the intent's creation to this outcome, in milliseconds.
    pub recovery_ms: u64,
    /// From the attempt's start to this outcome, in milliseconds.
    pub attempt_ms: u64,
    /// Probability with which this playbook was chosen, from 0 to 1.
    pub propensity: f64,
    /// Confidence in (playbook, class) before this outcome, from 0 to 1.
    pub confidence: f64,
    /// When it was known.
    pub at: Time,
    /// Its place among all outcomes that teach, from 1, in the order in which they were handed to the store; 0 for one
    /// that does not teach. Kept beside the record and not in it.
    #[serde(skip)]
    pub number: u64,
}

impl OutcomeRecord {
    /// What this teaches of the playbook: worked, did not work, or nothing.
    pub fn verdict(&self) -> Option<bool> {
        teaches(self.outcome, self.ended_by)
    }

    /// What is kept of an intent that ended with nothing attempted: that it healed by itself, or was denied. None for
    /// one that is open, was acted on, or ended for a reason that says nothing of the failure.
    pub fn untried(intent: &Intent) -> Option<Self> {
        let outcome = match intent.status {
            Status::Stale if intent.cleared_at.is_some() => Outcome::SelfRecovered,
            Status::Stale => Outcome::Stale,
            Status::Denied => Outcome::Denied,
            _ => return None,
        };
        if intent.repairs().next().is_some() {
            return None;
        }
        let at = intent.updated_at;
        Some(Self {
            intent: intent.id,
            attempt: 0,
            rule: intent.rule.clone(),
            class: intent.learning_class(),
            target: intent.target.clone(),
            playbook: String::new(),
            source_hash: String::new(),
            outcome,
            ended_by: if intent.disturbed { EndedBy::Freeze } else { EndedBy::Itself },
            untimed: intent.disturbed,
            escalation: false,
            recovery_ms: (at - intent.created_at).num_milliseconds().max(0).unsigned_abs(),
            attempt_ms: 0,
            propensity: 1.0,
            confidence: 0.0,
            at,
            number: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_or_its_operator_ended_teaches_nothing() {
        for ended_by in EndedBy::ALL {
            for outcome in Outcome::ALL {
                let teaches = teaches(outcome, ended_by);
                assert!(ended_by.is_itself() || teaches.is_none(), "{outcome:?} ended by {ended_by:?}");
            }
        }
        let taught = Outcome::ALL.map(|outcome| teaches(outcome, EndedBy::Itself));
        assert_eq!(taught.iter().flatten().count(), 4, "fixed, not fixed, failed and relapsed");
    }
}
