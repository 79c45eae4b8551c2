//! After a repair the same target is left alone for a while, so that a repair that does not help is not repeated
//! without end. The attempts of one intent are a ladder and do not wait for each other.

use super::{Facts, Verdict, after};

/// Waits until the cooldown after the last start of another intent of this rule and target is over. None unless the
/// rule sets it.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let (Some(span), Some(last)) = (facts.intent.plan.guard.cooldown, facts.last_start) else {
        return Verdict::Allow;
    };
    let until = after(last, span);
    if facts.now >= until || !facts.intent.attempts.is_empty() {
        return Verdict::Allow;
    }
    let target = &facts.intent.target;
    Verdict::Wait { until, reason: format!("{target} was repaired less than {span} ago") }
}
