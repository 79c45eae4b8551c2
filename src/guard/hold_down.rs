//! The failure must persist for a while before anything is done: many heal by themselves.

use super::{Facts, Verdict, after};

/// Waits until the intent is old enough. None unless the rule sets it.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let Some(span) = facts.intent.plan.guard.hold_down else { return Verdict::Allow };
    let until = after(facts.intent.created_at, span);
    if facts.now >= until || !facts.intent.attempts.is_empty() {
        return Verdict::Allow;
    }
    Verdict::Wait { until, reason: format!("it must persist for {span} first") }
}
