//! The stateful half of matching: counts, groups and throttles hits in event order, and fires what is due by time.
//!
//! Windows go by the time of events; [`Windows::advance`] moves the time of arrival, by which timers go, so that a
//! silence is noticed without a further event. The same events with the same times of arrival always fire the same
//! rules: live, after a restart, in a replay. Memory is bounded per group and per rule (see `groups`). Nothing here
//! reads a clock; start with [`Windows::apply`].

mod count;
mod era;
mod groups;
mod members;
mod note;
mod state;
mod take;
mod timed;
mod timers;

use std::collections::HashMap;
use std::sync::Arc;

use self::groups::Groups;
use self::state::State;
use self::timers::Timers;
use super::hits::Hit;
use super::pattern::Correlation;
use super::rule::Rule;
use super::set::RuleSet;
use crate::condition::{EvalError, View};
use crate::model::{Event, Span, Time, clock};

pub use self::era::{STEPPED, Stepped};
pub use self::note::{Note, Why};
pub use self::timed::{Timed, is_timer};

/// The correlation state of all rules.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    rules: HashMap<String, Groups, ahash::RandomState>,
    timers: Timers,
    tally: Tally,
    /// What failed on the last event besides conditions, by the number of the rule.
    failed: Vec<(u32, EvalError)>,
    /// That of the clock, by which the same time of the calendar is told apart when it comes again.
    era: u32,
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
    /// The events that made it fire, in order of time, where the pattern keeps them.
    pub events: Vec<Arc<Event>>,
}

/// What the patterns have met since they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Matches that came later after their time than the rule allows for.
    pub late: u64,
    /// Matches that came after one of a later time.
    pub disordered: u64,
    /// Groups forgotten for want of room.
    pub evicted: u64,
    /// Matches of groups that there was no room for.
    pub refused: u64,
}

impl Windows {
    /// Takes `event`, for which `hits` were found in `set`, and adds to `out` what comes of it, in the order of rules,
    /// and to `notes` what each rule made of it. Call [`Windows::advance`] with its time of arrival first.
    ///
    /// A rule with `stop: true` that fires ends the row, and one with `backstop: true` fires only if no other did. An
    /// event that matches a rule and its `resolved` counts as a match: what still fails is not over.
    pub fn apply(
        &mut self,
        set: &RuleSet,
        event: &Arc<Event>,
        hits: &[Hit],
        out: &mut Vec<Firing>,
        notes: &mut Vec<Note>,
    ) {
        self.failed.clear();
        if hits.is_empty() {
            return;
        }
        let view = View::new(event, &[]);
        // Hits of one rule stand together, in the order of its parts, the resolved one last.
        let mut matched: Vec<(u32, Vec<u16>)> = Vec::new();
        for hit in hits.iter().filter(|hit| !hit.resolved()) {
            match matched.last_mut() {
                Some((rule, parts)) if *rule == hit.rule => parts.push(hit.part),
                _ => matched.push((hit.rule, vec![hit.part])),
            }
        }
        let rule_of = |number: u32| &set.rules()[number as usize];
        let (last, first): (Vec<_>, Vec<_>) =
            matched.iter().partition::<Vec<&(u32, Vec<u16>)>, _>(|(rule, _)| rule_of(*rule).backstop);
        let mut fired = false;
        let mut stopped = None;
        for (number, parts) in first.into_iter().chain(last) {
            let rule = rule_of(*number);
            let why = if let Some(by) = stopped {
                Why::Stopped(by)
            } else if rule.backstop && fired {
                Why::Others
            } else {
                let taken = self.take(rule, parts, event, &view);
                if taken.resolved {
                    out.push(Firing::Resolved { rule: rule.clone(), group: taken.group.clone() });
                }
                if let Why::Fired(count) = taken.why {
                    fired = true;
                    stopped = rule.stop.then_some(*number);
                    out.push(Firing::Fire(Fired::of(rule, taken.group, &view, count, taken.events)));
                }
                taken.why
            };
            self.failed.extend(view.failures().into_iter().map(|error| (*number, error)));
            notes.push(Note { rule: *number, why });
        }
        for hit in hits.iter().filter(|hit| hit.resolved()) {
            if matched.iter().any(|(rule, _)| *rule == hit.rule) {
                continue;
            }
            let rule = rule_of(hit.rule);
            let group = rule.group(&view);
            self.failed.extend(view.failures().into_iter().map(|error| (hit.rule, error)));
            let group = match group {
                Ok(group) => group,
                Err(why) => {
                    notes.push(Note { rule: hit.rule, why: Why::Ungrouped(why) });
                    continue;
                }
            };
            if let Some(groups) = self.rules.get_mut(&rule.name) {
                groups.forget(&group);
            }
            // One that is expected from the start is waited for anew.
            self.expect(rule, event.arrival().timestamp_micros());
            out.push(Firing::Resolved { rule: rule.clone(), group });
            notes.push(Note { rule: hit.rule, why: Why::Over });
        }
    }

    /// What failed on the last event that was applied, besides conditions: a `group_by`, a `class`, a template. Each
    /// with the number of its rule.
    pub fn failures(&self) -> &[(u32, EvalError)] {
        &self.failed
    }

    /// What [`Windows::apply`] would make of `event`, with nothing changed.
    pub fn preview(&self, set: &RuleSet, event: &Arc<Event>, hits: &[Hit]) -> (Vec<Firing>, Vec<Note>) {
        let view = View::new(event, &[]);
        let mut copy = Self::default();
        for hit in hits {
            let rule = &set.rules()[hit.rule as usize];
            if let (Some(groups), Ok(group)) = (self.of(rule), rule.group(&view)) {
                copy.rules.entry(rule.name.clone()).or_insert_with(|| groups.only(&group));
            }
        }
        let (mut firings, mut notes) = (Vec::new(), Vec::new());
        copy.apply(set, event, hits, &mut firings, &mut notes);
        (firings, notes)
    }

    /// Makes `set` the set that is followed from `now` on: drops the state of rules that it does not have, or has with
    /// another pattern, and begins to wait for what is expected from the start.
    pub fn adopt(&mut self, set: &RuleSet, now: Time) {
        self.rules.retain(|name, groups| {
            set.get(name).is_some_and(|rule| rule.enabled && rule.window == groups.window)
        });
        for rule in set.rules().iter().filter(|rule| rule.enabled) {
            self.expect(rule, now.timestamp_micros());
        }
    }

    /// When something is due next, or before that.
    pub fn due(&self) -> Option<Time> {
        self.timers.next().map(clock::micros)
    }

    /// When the next group is due that waits because of an event; schedules are not among them, as they come for ever.
    pub fn waits_until(&self) -> Option<Time> {
        let mut next = None;
        for group in self.rules.values().flat_map(Groups::iter) {
            let due = group.state.due().filter(|_| !matches!(group.state, State::Scheduled(_)));
            next = [next, due].into_iter().flatten().min();
        }
        next.map(clock::micros)
    }

    /// How many groups have state, over all rules.
    pub fn len(&self) -> usize {
        self.rules.values().map(Groups::len).sum()
    }

    /// How many groups of `rule` have state.
    pub fn groups_of(&self, rule: &Rule) -> usize {
        self.of(rule).map_or(0, Groups::len)
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the patterns have met since they were made.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// About how many bytes the state is as it is saved.
    pub fn weight(&self) -> usize {
        self.rules.values().map(Groups::weight).sum()
    }

    /// A copy of the state, to be saved elsewhere: it has no timers.
    pub fn copy(&self) -> Self {
        Self { rules: self.rules.clone(), ..Self::default() }
    }

    /// The state as it is to be saved. The hashes in it are those of this version's rules.
    pub fn save(&self) -> String {
        serde_json::to_string(&self.rules).expect("maps of texts and numbers are JSON")
    }

    /// The state as it was saved.
    ///
    /// # Errors
    /// When it is not what [`Windows::save`] gave.
    pub fn restore(saved: &str) -> Result<Self, serde_json::Error> {
        let mut windows = Self { rules: serde_json::from_str(saved)?, ..Self::default() };
        for (name, groups) in &mut windows.rules {
            groups.recount();
            for (group, state) in groups.iter_mut() {
                state.queued = state.state.due();
                if let Some(due) = state.queued {
                    windows.timers.add(due, name, group);
                }
            }
        }
        Ok(windows)
    }

    fn of(&self, rule: &Rule) -> Option<&Groups> {
        self.rules.get(&rule.name).filter(|groups| groups.window == rule.window)
    }

    fn groups(&mut self, rule: &Rule) -> &mut Groups {
        if self.of(rule).is_none() {
            self.rules.insert(rule.name.clone(), Groups::new(rule.window));
        }
        self.rules.get_mut(&rule.name).expect("it was just put there")
    }

    /// Puts the group among the timers, if it waits and does not stand there yet.
    fn queue(&mut self, rule: &str, group: &str) {
        let Some(state) = self.rules.get_mut(rule).and_then(|groups| groups.get_mut(group)) else { return };
        // One that stands there for an earlier time is asked then and put where it belongs.
        if let Some(due) = state.state.due()
            && state.queued.is_none_or(|queued| queued > due)
        {
            state.queued = Some(due);
            self.timers.add(due, rule, group);
        }
    }
}

impl Fired {
    fn of(rule: &Arc<Rule>, group: String, view: &View<'_>, count: u64, events: Vec<Arc<Event>>) -> Self {
        Self {
            class: rule.class(view),
            goal: rule.goal(view),
            target: rule.target(view),
            fleet: rule.fleet(view),
            rule: rule.clone(),
            group,
            count,
            events,
        }
    }
}

fn micros(span: Span) -> u64 {
    u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX)
}

/// `at` plus `span`, both in microseconds.
fn after(at: i64, span: Span) -> i64 {
    at.saturating_add_unsigned(micros(span))
}
