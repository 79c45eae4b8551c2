//! A person is asked where nobody can be sure.

use super::{Facts, Verdict};

/// Asks when the confidence in the chosen playbook is below the rule's bound. None unless the rule sets it.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    match (facts.intent.plan.guard.ask_below, facts.confidence) {
        (Some(bound), Some(confidence)) if confidence < bound && !facts.approved => Verdict::Ask {
            reason: format!("the confidence is {confidence:.2}, below {bound:.2} a person decides"),
        },
        _ => Verdict::Allow,
    }
}
