//! `all` and `sequence`: members that must match within a time.
//!
//! The latest matches of each member are kept, so that an event that comes late is put where it belongs. What made a
//! pattern fire is used up: the next firing needs new matches.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Event;

/// Matches of one member that are kept, per group.
const KEPT: usize = 32;

/// A member that has matched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Which member.
    pub part: u16,
    /// When, by the event.
    pub at: i64,
    /// The event.
    pub event: Arc<Event>,
}

/// Takes in that `event` matches `parts` at `at`; drops what is older than `oldest`.
pub fn add(seen: &mut Vec<Seen>, parts: &[u16], at: i64, event: &Arc<Event>, oldest: i64) {
    seen.retain(|seen| seen.at >= oldest);
    for part in parts {
        if seen.iter().filter(|seen| seen.part == *part).count() >= KEPT
            && let Some(first) = seen.iter().position(|seen| seen.part == *part)
        {
            seen.remove(first);
        }
        seen.push(Seen { part: *part, at, event: event.clone() });
    }
}

/// The events that make `all` of `members` members match within the time, `event` among them, in order of time; they
/// are used up.
pub fn all(seen: &mut Vec<Seen>, members: usize, within: u64, event: &Arc<Event>) -> Option<Vec<Arc<Event>>> {
    let at = seen.iter().rev().find(|seen| same(&seen.event, event))?.at;
    let mut starts: Vec<i64> =
        seen.iter().map(|s| s.at).filter(|s| *s <= at && s.abs_diff(at) <= within).collect();
    starts.sort_unstable();
    let chosen = starts.into_iter().find_map(|start| {
        let fits = |s: &&Seen| s.at >= start && s.at.abs_diff(start) <= within;
        (0..members)
            .map(|part| {
                let of_part = || seen.iter().filter(|s| usize::from(s.part) == part);
                // The event itself where it fits, so that it is among them; else the oldest.
                of_part()
                    .find(|s| same(&s.event, event))
                    .or_else(|| of_part().filter(fits).min_by_key(|s| s.at))
                    .map(|s| s.event.clone())
            })
            .collect::<Option<Vec<_>>>()
    })?;
    Some(use_up(seen, chosen))
}

/// The events that make a sequence of `members` members within the time, `event` among them, in order of time; they
/// are used up.
pub fn sequence(
    seen: &mut Vec<Seen>,
    members: usize,
    within: u64,
    event: &Arc<Event>,
) -> Option<Vec<Arc<Event>>> {
    // Stable: of equal times, the first to arrive comes first.
    let mut order: Vec<&Seen> = seen.iter().collect();
    order.sort_by_key(|seen| seen.at);
    let here = order.iter().enumerate().filter(|(_, seen)| same(&seen.event, event));
    let chosen = here.clone().find_map(|(place, own)| {
        let mut chain = vec![*own];
        // Backwards the latest that fits gives the latest start; forwards the first that fits, the earliest end.
        let mut before = place;
        for part in (0..own.part).rev() {
            before = (0..before).rev().find(|i| order[*i].part == part && !taken(&chain, order[*i]))?;
            chain.insert(0, order[before]);
        }
        let mut after = place;
        for part in usize::from(own.part) + 1..members {
            after = (after + 1..order.len())
                .find(|i| usize::from(order[*i].part) == part && !taken(&chain, order[*i]))?;
            chain.push(order[after]);
        }
        let (first, last) = (chain.first()?.at, chain.last()?.at);
        (first.abs_diff(last) <= within)
            .then(|| chain.iter().map(|seen| seen.event.clone()).collect::<Vec<_>>())
    })?;
    Some(use_up(seen, chosen))
}

/// Which members are there.
pub fn have(seen: &[Seen]) -> Vec<u16> {
    let mut parts: Vec<u16> = seen.iter().map(|seen| seen.part).collect();
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// What was saved and read again is the same event in another place.
fn same(a: &Arc<Event>, b: &Arc<Event>) -> bool {
    Arc::ptr_eq(a, b) || a.id == b.id && a.source == b.source
}

fn taken(chain: &[&Seen], one: &Seen) -> bool {
    chain.iter().any(|seen| same(&seen.event, &one.event))
}

fn use_up(seen: &mut Vec<Seen>, mut events: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
    seen.retain(|seen| !events.iter().any(|event| same(event, &seen.event)));
    events.sort_by_key(|event| event.time);
    events.dedup_by(|a, b| same(a, b));
    events
}
