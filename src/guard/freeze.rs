//! Whoever froze it has to thaw it first. Also the next attempt of a ladder waits.

use super::{Facts, Verdict};

/// Waits until the freeze ends by itself or the intent is too old; a thaw comes earlier.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let Some(freeze) = facts.frozen else { return Verdict::Allow };
    let until = freeze.until.unwrap_or(Verdict::NEVER);
    // Looked at again when it becomes too old, so that it is said to be.
    let tried = facts.intent.repairs().next().is_some();
    let until = if tried { until } else { until.min(facts.intent.expires_at) };
    Verdict::Wait { until, reason: freeze.to_string() }
}
