//! Whoever froze it has to thaw it first. Also the next attempt of a ladder waits.

use super::{Facts, Verdict, after};
use crate::model::Span;

/// How long something waits that only a person thaws, before it is looked at again.
const AGAIN: Span = Span::secs(86_400);

/// Waits until the freeze ends by itself, the intent is too old, or a day is over; a thaw comes earlier.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let Some(freeze) = facts.frozen else { return Verdict::Allow };
    let until = freeze.until.unwrap_or_else(|| after(facts.now, AGAIN));
    // Looked at again when it becomes too old, so that it is said to be.
    let tried = facts.intent.repairs().next().is_some();
    let until = if tried { until } else { until.min(facts.intent.expires_at) };
    Verdict::Wait { until, reason: freeze.to_string() }
}
