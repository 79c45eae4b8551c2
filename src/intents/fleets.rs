//! Fleets: groups of targets that stand for each other, whom repairs have touched lately and who belongs to one, as far
//! as intents have shown.
//!
//! A member that is forgotten makes a fleet look smaller, so that fewer are touched at once. A repair is never forgotten
//! silently: [`Fleets::forgotten`] says up to when some may be missing, and the guard waits.

use super::latest::Latest;
use crate::model::{Intent, Time};

/// How long a repair counts as one that may still do harm.
pub const WINDOW: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// How long a target is known to belong to a fleet after it was heard of.
pub const KNOWN: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// Most members, and most repairs, that are remembered over all fleets; about 40 MiB each.
const MOST: usize = 500_000;

/// All fleets that intents belong to.
#[derive(Clone, Debug)]
pub struct Fleets {
    /// When each member was last heard of.
    known: Latest,
    /// When each member was last touched.
    touched: Latest,
    hasher: ahash::RandomState,
}

impl Default for Fleets {
    fn default() -> Self {
        Self::new(MOST)
    }
}

/// The fleet that `intent` counts in: the one that its rule names, or else that of the rule itself.
pub fn of(intent: &Intent) -> &str {
    intent.fleet.as_deref().unwrap_or(&intent.rule)
}

impl Fleets {
    /// Room for `most` members and `most` repairs over all fleets.
    pub fn new(most: usize) -> Self {
        Self { known: Latest::new(most), touched: Latest::new(most), hasher: ahash::RandomState::new() }
    }

    /// `intent`, which came at `at`, is about a member of its fleet.
    pub fn see(&mut self, intent: &Intent, at: Time) {
        let Some((fleet, target)) = self.key(intent) else { return };
        self.known.put(fleet, target, at);
    }

    /// A repair for `intent` began at `at`.
    pub fn start(&mut self, intent: &Intent, at: Time) {
        let Some((fleet, target)) = self.key(intent) else { return };
        self.touched.put(fleet, target, at);
    }

    /// How many targets the fleet of `intent` is known to have, its own among them, and when those of the others that
    /// were touched within [`WINDOW`] before `now` were touched last, in any order.
    pub fn facts(&mut self, intent: &Intent, now: Time) -> (usize, Vec<Time>) {
        self.expire(now);
        let (fleet, target) = self.hash(intent);
        let others = self.known.size(fleet) - usize::from(self.known.get(fleet, target).is_some());
        (others + 1, self.touched.others(fleet, target).collect())
    }

    /// Up to when repairs may be missing, for want of room.
    pub fn forgotten(&self) -> Option<Time> {
        self.touched.forgotten()
    }

    /// How many repairs were forgotten for want of room.
    pub fn dropped(&self) -> u64 {
        self.touched.dropped()
    }

    fn expire(&mut self, now: Time) {
        // Exactly `KNOWN` and `WINDOW` ago is over, as in the guard.
        let moment = chrono::TimeDelta::microseconds(1);
        self.known.expire(now - KNOWN + moment);
        self.touched.expire(now - WINDOW + moment);
    }

    /// None for an intent whose fleet nothing counts, which then costs nothing.
    fn key(&mut self, intent: &Intent) -> Option<(u64, u64)> {
        if intent.fleet.is_none() && intent.plan.guard.blast_radius.is_none() {
            return None;
        }
        Some(self.hash(intent))
    }

    fn hash(&self, intent: &Intent) -> (u64, u64) {
        (self.hasher.hash_one(of(intent)), self.hasher.hash_one(&intent.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;
    use crate::model::intent::{Guard, Plan};
    use crate::model::{Event, IntentId, Topic};

    fn at(minute: i64) -> Time {
        micros(minute * 60_000_000)
    }

    fn intent(target: &str, fleet: Option<&str>, minute: i64) -> Intent {
        let event =
            Event::new("e", Topic::try_new("a.b").unwrap(), "t", at(0), serde_json::Value::Null).into();
        let plan = Plan { guard: Guard { blast_radius: Some(0.1), ..Guard::default() }, ..Plan::default() };
        let id = IntentId::new(at(minute), 1);
        let mut intent = Intent::new(id, "r", target, target, event, plan.into(), at(minute));
        intent.fleet = fleet.map(Into::into);
        intent
    }

    #[test]
    fn a_group_is_as_large_as_the_targets_that_were_heard_of_lately() {
        let mut fleets = Fleets::default();
        for (n, minute) in [(1, 0), (2, 5), (2, 6), (3, 7)] {
            fleets.see(&intent(&format!("k{n}"), Some("web"), minute), at(minute));
        }
        fleets.see(&intent("other", Some("db"), 7), at(7));
        let size = |fleets: &mut Fleets, target, minute| {
            fleets.facts(&intent(target, Some("web"), minute), at(minute)).0
        };
        assert_eq!((size(&mut fleets, "k1", 8), size(&mut fleets, "k9", 8)), (3, 4));
        fleets.see(&intent("k3", Some("web"), 24 * 60 + 6), at(24 * 60 + 6));
        assert_eq!(
            (size(&mut fleets, "k3", 24 * 60 + 6), size(&mut fleets, "k9", 24 * 60 + 6)),
            (1, 2),
            "the others were not heard of for a day"
        );
    }

    #[test]
    fn each_other_target_that_was_touched_lately_counts_once() {
        let mut fleets = Fleets::default();
        for (target, minute) in [("k1", 0), ("k2", 10), ("k2", 20), ("k3", 25)] {
            fleets.start(&intent(target, None, minute), at(minute));
        }
        let mut touched = |target: &str, minute| {
            let mut touched = fleets.facts(&intent(target, None, 0), at(minute)).1;
            touched.sort();
            touched
        };
        assert_eq!(touched("k9", 26), [at(0), at(20), at(25)]);
        assert_eq!(touched("k2", 26), [at(0), at(25)], "its own repairs do not count");
        assert_eq!(touched("k9", 31), [at(20), at(25)]);
        assert!(touched("k9", 60).is_empty());
    }

    #[test]
    fn a_rule_without_a_group_and_without_a_limit_costs_nothing() {
        let mut fleets = Fleets::default();
        let mut plain = intent("k1", None, 0);
        plain.plan = Plan::default().into();
        fleets.see(&plain, at(0));
        fleets.start(&plain, at(0));
        assert_eq!((fleets.known.len(), fleets.touched.len()), (0, 0));
    }
}
