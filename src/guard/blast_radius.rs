//! Only a share of those that stand for each other is touched in a while: a repair that does harm must not do it to all.

use super::{Facts, Verdict, after, wait_out};
use crate::intents::fleets::WINDOW;
use crate::model::Span;

/// Waits until so many of the others were touched long enough ago that one more is within the share; one at a time may
/// always be. None unless the rule sets it.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let (Some(share), Some(fleet)) = (facts.intent.plan.guard.blast_radius, &facts.fleet) else {
        return Verdict::Allow;
    };
    let most = most(share, fleet.size);
    let window = Span(WINDOW.to_std().unwrap_or_default());
    let mut ends: Vec<_> =
        fleet.touched.iter().map(|at| after(*at, window)).filter(|end| *end > facts.now).collect();
    ends.sort_unstable();
    let (n, size, name) = (ends.len(), fleet.size, fleet.name);
    let Some(over) = n.checked_sub(most) else {
        return wait_out(&format!("repairs in `{name}`"), window, facts.forgotten.touched, facts.now);
    };
    let reason = format!(
        "{n} of the {size} known of `{name}` were touched within {window}, and {:.0} % ({most}) is the most",
        share * 100.0
    );
    Verdict::Wait { until: ends[over], reason }
}

/// How many of `size` may be touched: at least one.
fn most(share: f64, size: usize) -> usize {
    // A share of 0.29 of 100 is 29, whatever the nearest number in binary says.
    let exact = (share * size as f64 + 1e-9).floor();
    (exact as usize).max(1)
}
