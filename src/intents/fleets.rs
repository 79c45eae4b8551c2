//! Groups of targets that stand for each other: who belongs to one, as far as intents have told, and whom repairs have
//! touched lately. Bounded: what is forgotten makes a group look smaller, and so fewer are touched at once.

use std::collections::{HashMap, VecDeque};

use crate::model::{Intent, Time};

/// How long a repair counts as one that may still do harm.
pub const WINDOW: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// How long a target is known to belong to a group after it was heard of.
const KNOWN: chrono::TimeDelta = chrono::TimeDelta::hours(24);

/// How often those are forgotten.
const PURGED: chrono::TimeDelta = chrono::TimeDelta::hours(1);

/// Most groups, and most targets of one, that are remembered.
const MOST_FLEETS: usize = 1_000;
const MOST_TARGETS: usize = 100_000;

/// All groups that intents have told of.
#[derive(Debug, Default)]
pub struct Fleets {
    fleets: HashMap<String, Fleet>,
    hasher: ahash::RandomState,
}

#[derive(Debug, Default)]
struct Fleet {
    /// Targets, by their hash, and when they were last heard of.
    known: HashMap<u64, Time>,
    /// When those were forgotten last that were not heard of for long.
    purged: Option<Time>,
    /// Repairs that began lately, oldest first, by the hash of their target.
    starts: VecDeque<(Time, u64)>,
}

/// The group that `intent` counts in: the one that its rule names, or else that of the rule itself.
pub fn of(intent: &Intent) -> &str {
    intent.fleet.as_deref().unwrap_or(&intent.rule)
}

impl Fleets {
    /// `intent` is about one of its group.
    pub fn see(&mut self, intent: &Intent) {
        let now = intent.created_at;
        let Some((fleet, target)) = self.entry(intent) else { return };
        if fleet.purged.is_none_or(|at| at + PURGED < now) || fleet.known.len() >= MOST_TARGETS {
            fleet.purged = Some(now);
            fleet.known.retain(|_, at| *at + KNOWN > now);
        }
        if fleet.known.len() < MOST_TARGETS || fleet.known.contains_key(&target) {
            let at = fleet.known.entry(target).or_insert(now);
            *at = now.max(*at);
        }
    }

    /// A repair for `intent` began at `at`.
    pub fn start(&mut self, intent: &Intent, at: Time) {
        let Some((fleet, target)) = self.entry(intent) else { return };
        fleet.starts.push_back((at, target));
        while fleet.starts.len() > MOST_TARGETS
            || fleet.starts.front().is_some_and(|(first, _)| *first + WINDOW < at)
        {
            fleet.starts.pop_front();
        }
    }

    /// How many targets the group of `intent` is known to have, its own among them, and when those of the others that
    /// were touched within [`WINDOW`] before `now` were touched last, in any order.
    pub fn facts(&self, intent: &Intent, now: Time) -> (usize, Vec<Time>) {
        let Some(fleet) = self.fleets.get(of(intent)) else { return (1, Vec::new()) };
        let own = self.hasher.hash_one(&intent.target);
        let known = fleet.known.len() - usize::from(fleet.known.contains_key(&own));
        let mut touched: HashMap<u64, Time> = HashMap::new();
        for (at, target) in fleet.starts.iter().filter(|(at, target)| *target != own && *at + WINDOW > now) {
            let last = touched.entry(*target).or_insert(*at);
            *last = (*last).max(*at);
        }
        (known + 1, touched.into_values().collect())
    }

    fn entry(&mut self, intent: &Intent) -> Option<(&mut Fleet, u64)> {
        // Groups that nothing counts cost nothing.
        if intent.fleet.is_none() && intent.plan.guard.blast_radius.is_none() {
            return None;
        }
        let name = of(intent);
        if self.fleets.len() >= MOST_FLEETS && !self.fleets.contains_key(name) {
            return None;
        }
        let target = self.hasher.hash_one(&intent.target);
        if !self.fleets.contains_key(name) {
            self.fleets.insert(name.into(), Fleet::default());
        }
        Some((self.fleets.get_mut(name)?, target))
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
            fleets.see(&intent(&format!("k{n}"), Some("web"), minute));
        }
        fleets.see(&intent("other", Some("db"), 7));
        let size = |fleets: &Fleets, target| fleets.facts(&intent(target, Some("web"), 8), at(8)).0;
        assert_eq!((size(&fleets, "k1"), size(&fleets, "k9")), (3, 4));
        fleets.see(&intent("k3", Some("web"), 24 * 60 + 6));
        assert_eq!(
            (size(&fleets, "k3"), size(&fleets, "k9")),
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
        let touched = |target: &str, minute| {
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
        fleets.see(&plain);
        fleets.start(&plain, at(0));
        assert!(fleets.fleets.is_empty());
    }
}
