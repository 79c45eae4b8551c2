//! The stateful half of matching: counts, groups and throttles hits in event order.
//!
//! Windows go by the time of events, not by any clock, and keep the latest matches of a group in the order in which
//! they arrived. So an event that comes late is counted where it belongs, and one whose clock is wrong only takes one
//! place, which later events push out. Memory is bounded: per group twice the `count` asked for, per rule
//! [`MAX_GROUPS`] groups and [`MAX_TIMES`] matches; above that the groups that were quiet the longest are forgotten,
//! which can only make a rule fire later, never wrongly.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::hits::Hit;
use super::rule::{Correlation, Rule};
use super::set::RuleSet;
use crate::condition::View;
use crate::model::{Event, Span};

/// Most groups of one rule whose matches are remembered.
pub const MAX_GROUPS: usize = 10_000;
/// Most matches that are remembered for one rule.
pub const MAX_TIMES: usize = 1_000_000;

/// The correlation state of all rules.
#[derive(Debug, Default)]
pub struct Windows {
    rules: HashMap<String, Groups, ahash::RandomState>,
}

/// What came of an event.
#[derive(Clone, Debug)]
pub enum Firing {
    /// A rule fired.
    Fire(Fired),
    /// What the rule saw in this group is over.
    Resolved {
        /// Which rule.
        rule: Arc<Rule>,
        /// Which failing thing.
        group: String,
    },
}

/// A rule that fired, with what it says about this event.
#[derive(Clone, Debug)]
pub struct Fired {
    /// Which rule.
    pub rule: Arc<Rule>,
    /// Which failing thing.
    pub group: String,
    /// What learning tells apart.
    pub class: String,
    /// What is wanted, in words.
    pub goal: String,
    /// The one thing to act on, or why there is none.
    pub target: Result<String, String>,
    /// The group of targets that blast radius counts.
    pub fleet: Option<String>,
    /// How many matches made it fire, this one included.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Groups {
    /// Hash of what the state depends on.
    window: u64,
    groups: HashMap<String, Group, ahash::RandomState>,
    /// Counts matches; a group's last one says how long it has been quiet.
    now: u64,
    /// Matches remembered in all.
    times: usize,
}

#[derive(Debug, Default)]
struct Group {
    /// Times of the latest matches in microseconds, in the order of arrival.
    times: VecDeque<i64>,
    /// How often a later of these stands before an earlier; mostly never.
    disorder: usize,
    touched: u64,
}

impl Windows {
    /// Takes `event`, for which `hits` were found in `set`, and adds to `out` what comes of it, in the order of rules.
    ///
    /// A rule with `stop: true` that fires ends the row, and one with `backstop: true` fires only if no other did. An
    /// event that matches a rule and its `resolved` counts as a match: what still fails is not over.
    pub fn apply(&mut self, set: &RuleSet, event: &Event, hits: &[Hit], out: &mut Vec<Firing>) {
        if hits.is_empty() {
            return;
        }
        let view = View::new(event, &[]);
        let rule_of = |hit: &Hit| &set.rules()[hit.rule as usize];
        let (last, first): (Vec<&Hit>, Vec<&Hit>) =
            hits.iter().filter(|hit| !hit.resolved).partition(|hit| rule_of(hit).backstop);
        let mut fired = false;
        for hit in first.into_iter().chain(last) {
            let rule = rule_of(hit);
            if rule.backstop && fired {
                break;
            }
            if let Some(firing) = self.take(rule, &view) {
                fired = true;
                out.push(firing);
                if rule.stop {
                    break;
                }
            }
        }
        for hit in hits.iter().filter(|hit| hit.resolved) {
            if hits.contains(&Hit { resolved: false, ..*hit }) {
                continue;
            }
            let rule = rule_of(hit);
            let group = rule.group(&view);
            if let Some(groups) = self.rules.get_mut(&rule.name) {
                groups.forget(&group);
            }
            out.push(Firing::Resolved { rule: rule.clone(), group });
        }
    }

    /// Drops the state of rules that `set` does not have, or has with another pattern.
    pub fn retain(&mut self, set: &RuleSet) {
        let kept: HashMap<&str, u64> =
            set.rules().iter().filter(|r| r.enabled).map(|r| (r.name.as_str(), r.window)).collect();
        self.rules.retain(|name, groups| kept.get(name.as_str()) == Some(&groups.window));
    }

    /// How many groups have state, over all rules.
    pub fn len(&self) -> usize {
        self.rules.values().map(|groups| groups.groups.len()).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.rules.values().all(|groups| groups.groups.is_empty())
    }

    /// How many matches of `group` are remembered that lie within the rule's time up to `event`.
    pub fn count(&self, rule: &Rule, group: &str, event: &Event) -> u64 {
        let (at, within) = (event.time.timestamp_micros(), micros(rule.pattern.reach()));
        let counts = |t: &&i64| **t <= at && at.abs_diff(**t) <= within;
        self.group(rule, group).map_or(0, |group| group.times.iter().filter(counts).count() as u64)
    }

    /// When the latest match of `group` was, in microseconds; of a rule that fires once in a while, when it fired.
    pub(super) fn latest(&self, rule: &Rule, group: &str) -> Option<i64> {
        self.group(rule, group)?.times.back().copied()
    }

    fn group(&self, rule: &Rule, group: &str) -> Option<&Group> {
        self.rules.get(&rule.name).filter(|groups| groups.window == rule.window)?.groups.get(group)
    }

    fn take(&mut self, rule: &Arc<Rule>, view: &View<'_>) -> Option<Firing> {
        let group = rule.group(view);
        let at = view.event().time.timestamp_micros();
        let count = match rule.pattern {
            Correlation::Every => 1,
            Correlation::Count { count, within } => {
                self.groups(rule).count(&group, at, count as usize, micros(within))?
            }
            Correlation::OnceWithin(quiet) => self.groups(rule).first(&group, at, micros(quiet))?,
        };
        Some(Firing::Fire(Fired {
            class: rule.class(view),
            goal: rule.goal(view),
            target: rule.target(view),
            fleet: rule.fleet(view),
            rule: rule.clone(),
            group,
            count,
        }))
    }

    fn groups(&mut self, rule: &Rule) -> &mut Groups {
        if !self.rules.contains_key(&rule.name) {
            self.rules.insert(rule.name.clone(), Groups::default());
        }
        let groups = self.rules.get_mut(&rule.name).expect("it was just put there");
        if groups.window != rule.window {
            *groups = Groups { window: rule.window, ..Groups::default() };
        }
        groups
    }
}

impl Group {
    /// Adds a time and keeps no more than `most`; whether one was dropped for it.
    fn push(&mut self, at: i64, most: usize) -> bool {
        self.disorder += usize::from(self.times.back().is_some_and(|last| *last > at));
        self.times.push_back(at);
        if self.times.len() <= most {
            return false;
        }
        let gone = self.times.pop_front();
        self.disorder -=
            usize::from(gone.is_some_and(|gone| self.times.front().is_some_and(|next| gone > *next)));
        true
    }

    /// The most matches that lie within the time of each other, the latest to arrive among them.
    fn most(&self, at: i64, within: u64) -> usize {
        if self.disorder == 0 {
            return self.times.len() - self.times.partition_point(|t| t.abs_diff(at) > within);
        }
        let mut near: Vec<i64> = self.times.iter().copied().filter(|t| at.abs_diff(*t) <= within).collect();
        near.sort_unstable();
        let (mut first, mut most) = (0, 0);
        for (last, time) in near.iter().enumerate() {
            while near[first].abs_diff(*time) > within {
                first += 1;
            }
            if near[first] <= at && at <= *time {
                most = most.max(last - first + 1);
            }
        }
        most
    }
}

impl Groups {
    /// Adds a match at `at`; the number of matches within the time, if they are enough.
    fn count(&mut self, group: &str, at: i64, wanted: usize, within: u64) -> Option<u64> {
        let group = self.touch(group);
        let gone = group.push(at, wanted * 2);
        let most = group.most(at, within);
        self.times += usize::from(!gone);
        self.evict();
        (most >= wanted).then_some(most as u64)
    }

    /// Takes a match at `at`; 1 if none came within the time before.
    fn first(&mut self, group: &str, at: i64, quiet: u64) -> Option<u64> {
        let group = self.touch(group);
        if group.times.front().is_some_and(|last| last.abs_diff(at) < quiet) {
            return None;
        }
        let fresh = group.times.is_empty();
        let latest = group.times.pop_front().map_or(at, |last| last.max(at));
        group.times.push_back(latest);
        self.times += usize::from(fresh);
        self.evict();
        Some(1)
    }

    fn touch(&mut self, group: &str) -> &mut Group {
        self.now += 1;
        if !self.groups.contains_key(group) {
            self.groups.insert(group.into(), Group::default());
        }
        let found = self.groups.get_mut(group).expect("it was just put there");
        found.touched = self.now;
        found
    }

    fn forget(&mut self, group: &str) {
        if let Some(group) = self.groups.remove(group) {
            self.times -= group.times.len();
        }
    }

    /// Above a limit, forgets the tenth of the groups that were quiet the longest.
    fn evict(&mut self) {
        if self.groups.len() <= MAX_GROUPS && self.times <= MAX_TIMES {
            return;
        }
        let mut touched: Vec<u64> = self.groups.values().map(|group| group.touched).collect();
        let tenth = touched.len() / 10;
        let (_, limit, _) = touched.select_nth_unstable(tenth);
        let limit = *limit;
        let times = &mut self.times;
        self.groups.retain(|_, group| {
            let kept = group.touched > limit;
            if !kept {
                *times -= group.times.len();
            }
            kept
        });
    }
}

fn micros(span: Span) -> u64 {
    u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX)
}
