//! Changes of strategy as values; the engine publishes each as an event `brain.strategy.changed`. Pure.

use serde::{Deserialize, Serialize};

/// What changed in how failures are met, and on what evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StrategyChange {
    /// What sort of change.
    pub kind: Kind,
    /// The failure class it is about.
    pub class: String,
    /// Playbooks, in the order of preference before, or the confidence before.
    pub before: Vec<String>,
    /// The same after.
    pub after: Vec<String>,
    /// What made it so, in words.
    pub evidence: String,
}

/// What sort of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Another candidate is preferred now.
    Order,
    /// Outcomes are no longer what they were; what was known counts for less.
    DriftSuspected,
}
