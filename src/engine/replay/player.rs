//! One set of rules on its way through the events: its patterns and its intents, in the order of arrival.

use std::sync::Arc;

use chrono::TimeDelta;

use super::ledger::Ledger;
use super::report::Side;
use crate::condition::EvalError;
use crate::model::{Event, Span, Time};
use crate::rules::{Firing, Hit, RuleSet, Stepped, Timed, Windows};

/// Most times at which something is due by itself between two events; more, as a schedule of seconds has in a gap of
/// years, are made up for at once.
const STEPS: usize = 100_000;

/// One set of rules on its way.
pub(super) struct Player {
    set: RuleSet,
    windows: Windows,
    pub(super) ledger: Ledger,
    only: Option<String>,
    /// Whether what is due between two events happens at its own time, and not when the next event comes.
    steps: bool,
    /// By how much the clock was set since the beginning: intents go by time that passes, whatever it is called.
    set_by: TimeDelta,
    due: Vec<Timed>,
    firings: Vec<Firing>,
    /// What fired, for tests to compare.
    #[cfg(test)]
    pub(super) trace: Vec<super::tests::Seen>,
}

impl Player {
    pub(super) fn new(set: RuleSet, steps: bool, since: Option<Time>, only: Option<&str>) -> Self {
        Self {
            ledger: Ledger::new(&set, since, only),
            only: only.map(Into::into),
            set,
            windows: Windows::default(),
            steps,
            set_by: TimeDelta::zero(),
            due: Vec::new(),
            firings: Vec::new(),
            #[cfg(test)]
            trace: Vec::new(),
        }
    }

    /// The rules are followed from `now` on.
    pub(super) fn begin(&mut self, now: Time) {
        self.windows.adopt(&self.set, now);
    }

    /// The clock was set.
    pub(super) fn step(&mut self, stepped: Stepped) {
        self.windows.step(&self.set, stepped);
        self.set_by += TimeDelta::microseconds(stepped.by);
    }

    /// Moves time to `now`.
    pub(super) fn advance(&mut self, now: Time) {
        if self.steps {
            for _ in 0..STEPS {
                let Some(due) = self.windows.due().filter(|due| *due < now) else { break };
                self.fire_due(due, false);
            }
        }
        self.fire_due(now, false);
        self.ledger.advance(now - self.set_by);
    }

    /// Takes an event that has just come, after time was moved to its arrival.
    pub(super) fn take(&mut self, event: &Arc<Event>, hits: &[Hit], heard: bool, now: Time) {
        let births = self.ledger.births();
        let passed = now - self.set_by;
        let mut firings = std::mem::take(&mut self.firings);
        self.windows.apply(&self.set, event, hits, &mut firings, &mut Vec::new());
        for firing in firings.drain(..) {
            match firing {
                Firing::Fire(fired) => {
                    #[cfg(test)]
                    self.trace.push(super::tests::Seen::of(&fired, now));
                    self.ledger.fire(&fired, event, passed);
                }
                Firing::Resolved { rule, group } => self.ledger.resolve(&rule, &group, event, passed),
            }
        }
        self.firings = firings;
        if heard {
            self.ledger.hear(event, births, passed);
        }
    }

    /// Conditions that failed for the event with this id.
    pub(super) fn failed(&mut self, errors: &[(u32, EvalError)], event: &str, now: Time) {
        for (rule, error) in errors {
            if self.ledger.is_told(*rule, now) {
                self.ledger.sums.failed(*rule, error, event);
            }
        }
    }

    /// Lets time run on after the last event, until nothing waits any more; `latest` is the latest time that an event
    /// named. Schedules would go on for ever, and do not go on.
    pub(super) fn run_out(&mut self, latest: Time) {
        let timed = self.set.rules().iter().filter(|rule| rule.enabled && rule.pattern.has_timer());
        let longest = timed.map(|rule| rule.pattern.reach().0 + rule.lateness.0).max().unwrap_or_default();
        // Every timer is due by then.
        let end = latest + Span(longest).delta();
        while let Some(due) = self.windows.due().filter(|due| *due <= end) {
            self.fire_due(due, true);
        }
        while let Some(due) = self.ledger.next_due() {
            self.ledger.advance(due);
        }
    }

    /// What it would have done, at the end of time.
    pub(super) fn finish(self, now: Time) -> Side {
        let (sums, intents, omitted) = self.ledger.finish(now - self.set_by);
        Side { rules: sums.finish(self.only.as_deref()), intents, omitted }
    }

    fn fire_due(&mut self, now: Time, past_the_end: bool) {
        let mut due = std::mem::take(&mut self.due);
        self.windows.advance(&self.set, now, &mut due);
        for Timed { event, fired } in due.drain(..) {
            if past_the_end && fired.rule.schedule.is_some() {
                continue;
            }
            self.ledger.advance(now - self.set_by);
            #[cfg(test)]
            self.trace.push(super::tests::Seen::of(&fired, now));
            self.ledger.fire(&fired, &event, now - self.set_by);
        }
        self.due = due;
    }
}
