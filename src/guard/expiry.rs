//! An old wish is not acted on: what was true then may be false now. Only before the first attempt; a ladder of
//! attempts under way has its own end.

use super::{Facts, Verdict};

/// Denies what has reached its `expires_at` with nothing attempted.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let intent = facts.intent;
    if facts.now < intent.expires_at || intent.attempts.iter().any(|a| !a.escalation) {
        return Verdict::Allow;
    }
    let reason = format!("nothing was done within {}; it is too old to act on", intent.plan.expire);
    Verdict::Deny { reason, expired: true }
}
