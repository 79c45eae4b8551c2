//! After so many attempts it is a person's turn.

use super::{Facts, Verdict};

/// Attempts where the rule does not say: by then, in the learning benchmark, what can be repaired is.
pub const DEFAULT: u32 = 3;

/// Denies the attempt after the last one allowed. Escalations are no attempts.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let most = facts.intent.plan.guard.max_attempts.unwrap_or(DEFAULT);
    let made = facts.intent.attempts.iter().filter(|a| !a.escalation).count();
    if made < most as usize {
        return Verdict::Allow;
    }
    Verdict::Deny { reason: format!("{made} of {most} attempts were made"), expired: false }
}
