//! After a repair the same target is left alone for a while, so that a repair that does not help is not repeated
//! without end. The attempts of one intent are a ladder and do not wait for each other.

use super::{Facts, Verdict, after, wait_out};

/// Waits until the cooldown after the last start of another intent of this rule and target is over, or one may have been
/// forgotten. None unless the rule sets it.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let Some(span) = facts.intent.plan.guard.cooldown else { return Verdict::Allow };
    if !facts.intent.attempts.is_empty() {
        return Verdict::Allow;
    }
    let target = &facts.intent.target;
    let until = facts.last_start.map(|last| after(last, span)).filter(|until| *until > facts.now);
    let Some(until) = until else {
        // The last one that is known is over, but one that was forgotten may not be.
        return wait_out(&format!("repairs of {target}"), span, facts.forgotten.last_start, facts.now);
    };
    Verdict::Wait { until, reason: format!("{target} was repaired less than {span} ago") }
}
