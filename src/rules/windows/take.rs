//! What each kind of pattern makes of one event that matches it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::state::{Armed, Awaited, Collected, Heard, State, Times};
use super::{Correlation, Groups, Tally, Why, Windows, after, members, micros};
use crate::condition::View;
use crate::model::{Event, Span};
use crate::rules::pattern::Change;
use crate::rules::rule::Rule;

/// Matches that wait for what should follow, and what followed lately, per group.
const AWAITED: usize = 32;
/// Values from which a baseline is learned, per group.
const VALUES: usize = 31;
/// Fewest values from which a baseline is learned.
const LEAST_VALUES: usize = 5;

/// What came of an event.
pub struct Taken {
    /// The group that it belongs to.
    pub group: String,
    /// What the pattern made of it.
    pub why: Why,
    /// The events that made it fire, where the pattern keeps them.
    pub events: Vec<Arc<Event>>,
    /// Whether it ends what the pattern saw before.
    pub resolved: bool,
}

/// An event on its way into a group.
struct Match<'a> {
    rule: &'a Rule,
    parts: &'a [u16],
    event: &'a Arc<Event>,
    view: &'a View<'a>,
    /// When it happened, and when it arrived.
    at: i64,
    arrived: i64,
    /// When it happened, but not in the future: by that go those that are quiet, or wait.
    past: i64,
}

impl Windows {
    /// Takes `event`, which matches `parts` of `rule`.
    pub fn take(&mut self, rule: &Rule, parts: &[u16], event: &Arc<Event>, view: &View<'_>) -> Taken {
        let group = match rule.group(view) {
            Ok(group) => group,
            Err(why) => {
                let why = Why::Ungrouped(why);
                return Taken { group: String::new(), why, events: Vec::new(), resolved: false };
            }
        };
        let (at, arrived) = (event.time.timestamp_micros(), event.arrival().timestamp_micros());
        let mut taken = Taken { group, why: Why::Fired(1), events: Vec::new(), resolved: false };
        if matches!(rule.pattern, Correlation::Every | Correlation::Any(_)) {
            return taken;
        }
        let it = Match { rule, parts, event, view, at, arrived, past: at.min(arrived) };
        let mut tally = std::mem::take(&mut self.tally);
        tally.late += u64::from(arrived > after(at, rule.lateness));
        let groups = self.groups(rule);
        it.take(groups, &mut tally, &mut taken);
        tally.evicted += groups.settle(&taken.group);
        self.tally = tally;
        if rule.pattern.has_timer() {
            self.queue(&rule.name, &taken.group);
        }
        taken
    }
}

impl Match<'_> {
    fn take(&self, groups: &mut Groups, tally: &mut Tally, taken: &mut Taken) {
        let Some(group) = groups.touch(&taken.group, || self.empty()) else {
            tally.refused += 1;
            taken.why = Why::NoRoom;
            return;
        };
        taken.why = match (&self.rule.pattern, &mut group.state) {
            (Correlation::Count { count, within }, State::Times(times)) => {
                tally.disordered += u64::from(times.is_late(self.at));
                let most = times.count(self.at, *count as usize, micros(*within));
                if most >= u64::from(*count) { Why::Fired(most) } else { Why::Short(most) }
            }
            (Correlation::OnceWithin(quiet), State::Times(times)) => {
                times.first(self.past, micros(*quiet)).map_or(Why::Fired(1), Why::Quiet)
            }
            (Correlation::All { members: all, within }, State::Seen(seen)) => {
                self.see(seen, *within, tally);
                self.seen(members::all(seen, all.len(), micros(*within), self.event), seen, taken)
            }
            (Correlation::Sequence { members: all, within }, State::Seen(seen)) => {
                self.see(seen, *within, tally);
                self.seen(members::sequence(seen, all.len(), micros(*within), self.event), seen, taken)
            }
            (Correlation::Absent { quiet, .. }, State::Heard(heard)) => {
                taken.resolved = heard.silent;
                tally.disordered += u64::from(heard.event.is_some() && heard.at > self.at);
                *heard = Heard {
                    at: heard.at.max(self.past),
                    due: heard.due.max(self.due(*quiet)),
                    event: Some(self.event.clone()),
                    silent: false,
                };
                Why::Heard(heard.due)
            }
            (Correlation::OnceAfter(span), State::Collected(collected)) => {
                // A new one is due at the end of time until its first match says when.
                collected.due = collected.due.min(self.due(*span));
                collected.count += 1;
                collected.last = self.event.clone();
                Why::Collecting(collected.count, collected.due)
            }
            (Correlation::NotAfter { within, .. }, State::Awaited(awaited)) => self.follow(awaited, *within),
            (Correlation::Change(change), State::Values(values)) => self.depart(change, values),
            // The hash of the pattern is that of the state, so this is a state that somebody has tampered with.
            (_, state) => {
                *state = self.empty();
                Why::NoRoom
            }
        };
    }

    fn empty(&self) -> State {
        match &self.rule.pattern {
            Correlation::All { .. } | Correlation::Sequence { .. } => State::Seen(Vec::new()),
            Correlation::Absent { .. } => {
                State::Heard(Heard { at: i64::MIN, due: i64::MIN, event: None, silent: false })
            }
            Correlation::OnceAfter(_) => {
                State::Collected(Collected { due: i64::MAX, count: 0, last: self.event.clone() })
            }
            Correlation::NotAfter { .. } => State::Awaited(Awaited::default()),
            Correlation::Change(_) => State::Values(VecDeque::new()),
            _ => State::Times(Times::default()),
        }
    }

    /// When a timer that this event starts is due. An event that is later than allowed starts it when it arrives: what
    /// it waits for is as late, most likely.
    fn due(&self, span: Span) -> i64 {
        let lateness = self.rule.lateness;
        let on_time = self.arrived.saturating_sub_unsigned(micros(lateness));
        after(after(self.past.max(on_time), span), lateness)
    }

    fn see(&self, seen: &mut Vec<members::Seen>, within: Span, tally: &mut Tally) {
        tally.disordered += u64::from(seen.last().is_some_and(|last| last.at > self.at));
        // An event from the future must not push out what is of today.
        let now = self.at.min(self.arrived);
        let oldest =
            now.saturating_sub_unsigned(micros(within)).saturating_sub_unsigned(micros(self.rule.lateness));
        members::add(seen, self.parts, self.at, self.event, oldest.min(self.at));
    }

    fn seen(&self, events: Option<Vec<Arc<Event>>>, seen: &[members::Seen], taken: &mut Taken) -> Why {
        match events {
            Some(events) => {
                taken.events = events;
                Why::Fired(taken.events.len() as u64)
            }
            None => Why::Partial(members::have(seen)),
        }
    }

    fn follow(&self, awaited: &mut Awaited, within: Span) -> Why {
        let within = micros(within);
        let follows = |after: i64, at: i64| after <= at && after.abs_diff(at) <= within;
        let already = awaited.followed.iter().any(|at| follows(self.at, *at));
        let mut why = Why::Already;
        if self.parts.contains(&0) && !already {
            let Correlation::NotAfter { within, .. } = &self.rule.pattern else { return why };
            let due = self.due(*within);
            // With that many waiting already, this one adds nothing to what is known.
            if awaited.armed.len() < AWAITED {
                awaited.armed.push_back(Armed { at: self.at, due, event: self.event.clone() });
            }
            why = Why::Armed(due);
        }
        if self.parts.contains(&1) {
            let before = awaited.armed.len();
            awaited.armed.retain(|armed| !follows(armed.at, self.at));
            why = Why::Followed((before - awaited.armed.len()) as u64);
            awaited.followed.push_back(self.at);
            if awaited.followed.len() > AWAITED {
                awaited.followed.pop_front();
            }
        }
        why
    }

    fn depart(&self, change: &Change, values: &mut VecDeque<f64>) -> Why {
        let number = |of: &crate::condition::Condition| match of.value_in(self.view) {
            Ok(value) => match value.as_f64() {
                Some(n) if n.is_finite() => Ok(n),
                _ => Err(format!("`{}` is {value}, which is no number", of.text())),
            },
            Err(error) => {
                let why = format!("`{}` failed: {error}", of.text());
                self.view.fail(error);
                Err(why)
            }
        };
        let value = match number(&change.value) {
            Ok(value) => value,
            Err(why) => return Why::NoNumber(why),
        };
        let baseline = match &change.baseline {
            Some(given) => match number(given) {
                Ok(n) => Some(n),
                Err(why) => return Why::NoNumber(why),
            },
            None => (values.len() >= LEAST_VALUES).then(|| median(values)),
        };
        let samples = values.len() as u64;
        if change.baseline.is_none() {
            values.push_back(value);
            if values.len() > VALUES {
                values.pop_front();
            }
        }
        let departs = |baseline: f64| {
            change.above.is_some_and(|above| value > above * baseline)
                || change.below.is_some_and(|below| value < below * baseline)
        };
        if baseline.is_some_and(departs) { Why::Fired(1) } else { Why::Usual(value, baseline, samples) }
    }
}

/// The middle of `values`: half of them may be off before it is.
fn median(values: &VecDeque<f64>) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}
