//! Which playbook was chosen, and why.

use serde::{Deserialize, Serialize};

use super::Time;

/// A choice among a rule's candidates, kept with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What was chosen.
    pub playbook: String,
    /// Reasons in words, the deciding one first.
    pub why: Vec<String>,
    /// Posterior mean that it works for this class, from 0 to 1.
    pub confidence: f64,
    /// 90 % interval of that.
    pub interval: [f64; 2],
    /// Probability with which the policy chooses it here, from 0 to 1.
    pub propensity: f64,
    /// Every candidate as it was judged, best first.
    pub candidates: Vec<Candidate>,
    /// When.
    pub at: Time,
}

/// A candidate as it was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which playbook.
    pub playbook: String,
    /// Posterior mean, from 0 to 1.
    pub confidence: f64,
    /// 90 % interval.
    pub interval: [f64; 2],
    /// Verified outcomes of (playbook, class) that this rests on.
    pub n: u32,
    /// Expected cost in minutes: time it takes over its probability.
    pub expected_minutes: f64,
}
