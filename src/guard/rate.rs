//! No more than so many intents of a rule start in a while.

use super::{Facts, Verdict, after, wait_out};

/// Waits until the oldest start that fills the rate is long enough ago. None unless the rule sets it.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let Some(rate) = facts.intent.plan.guard.rate else { return Verdict::Allow };
    if !facts.intent.attempts.is_empty() {
        return Verdict::Allow;
    }
    let full = format!("{} of this rule started within {}", rate.count, rate.within);
    if rate.count == 0 {
        return Verdict::Deny {
            reason: "the rule's rate is 0: nothing may start".to_owned(),
            expired: false,
        };
    }
    let mut ends: Vec<_> = facts
        .rule_starts
        .iter()
        .map(|start| after(*start, rate.within))
        .filter(|end| *end > facts.now)
        .collect();
    // With `count` or more still inside, there is room once all but `count - 1` of them have left.
    ends.sort_unstable();
    match ends.len().checked_sub(rate.count as usize) {
        Some(over) => Verdict::Wait { until: ends[over], reason: full },
        None => wait_out("starts of this rule", rate.within, facts.forgotten.rule_starts, facts.now),
    }
}
