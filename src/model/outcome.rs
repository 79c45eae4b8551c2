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

    /// What this teaches of the playbook: worked, did not work, or nothing.
    pub fn verdict(self) -> Option<bool> {
        match self {
            Self::Fixed => Some(true),
            Self::NotFixed | Self::Failed | Self::Relapsed => Some(false),
            Self::SelfRecovered | Self::Stale | Self::Denied | Self::Interrupted | Self::Unverified => None,
        }
    }

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
