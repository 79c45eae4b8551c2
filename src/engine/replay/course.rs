//! The stateful half of a replay: events in the order of arrival, through the patterns and intents of each set.
//!
//! One thread, whatever the number of those that match: so the answer does not depend on it.

use std::sync::Arc;

use super::player::Player;
use super::report::{Played, Report};
use super::stage::{BadLine, Item, Matcher, Matters, What};
use super::{Options, Pace, compare};
use crate::engine::ingest::seen::Seen;
use crate::model::Time;
use crate::rules::{RuleSet, Stepped};

/// Events that are remembered as known, as in an engine.
const KNOWN: usize = 1_000_000;

/// The course of events.
pub(super) struct Course {
    players: Vec<Player>,
    /// For lines that could not be read before it was known when they came.
    matcher: Matcher,
    options: Options,
    pace: Pace,
    known: Seen,
    played: Played,
    /// The latest time of arrival.
    now: Option<Time>,
    /// The latest time that an event named.
    latest: Time,
    over: bool,
}

impl Course {
    pub(super) fn new(sets: &[RuleSet], options: &Options, pace: Pace) -> Self {
        let player =
            |set: &RuleSet| Player::new(set.clone(), pace.runs_out, options.since, options.only.as_deref());
        Self {
            players: sets.iter().map(player).collect(),
            matcher: Matcher::new(sets),
            options: options.clone(),
            pace,
            known: Seen::new(KNOWN),
            played: Played::default(),
            now: None,
            latest: Time::MIN_UTC,
            over: false,
        }
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// When its line is no event.
    pub(super) fn take(&mut self, item: Item) -> Result<(), BadLine> {
        if self.over {
            return Ok(());
        }
        let Item { time, key, stepped, what } = self.timed(item)?;
        if key.is_some_and(|key| !self.known.insert(key)) {
            self.played.duplicates += u64::from(self.options.since.is_none_or(|since| time >= since));
            return Ok(());
        }
        let now = match stepped {
            Some(_) => time,
            None => self.now.map_or(time, |now| now.max(time)),
        };
        if self.options.until.is_some_and(|until| now >= until) {
            self.over = true;
            return Ok(());
        }
        if self.now.is_none() {
            let first = stepped.map_or(now, Stepped::from);
            let begun = self.pace.begun.filter(|begun| *begun < first).unwrap_or(first);
            self.players.iter_mut().for_each(|player| player.begin(begun));
        }
        if let Some(stepped) = stepped {
            self.players.iter_mut().for_each(|player| player.step(stepped));
        }
        self.now = Some(now);
        self.latest = self.latest.max(now);
        self.count(now);
        for player in &mut self.players {
            player.advance(now);
        }
        if let What::Matters(matters) = what {
            self.play(*matters, now);
        }
        Ok(())
    }

    /// What all sets came to.
    pub(super) fn finish(mut self) -> Report {
        let end = match (self.now, self.options.until) {
            (None, _) => None,
            (Some(now), Some(until)) => {
                // Time has passed until then, with no further event.
                self.players.iter_mut().for_each(|player| player.advance(before(until).max(now)));
                Some(until)
            }
            (Some(now), None) => {
                if self.pace.runs_out {
                    self.players.iter_mut().for_each(|player| player.run_out(self.latest));
                }
                Some(now)
            }
        };
        let end = end.unwrap_or(Time::MIN_UTC);
        let mut sides = self.players.into_iter().map(|player| player.finish(end));
        let side = sides.next().unwrap_or_default();
        let against = sides.next().map(|after| compare::compare(&side, after));
        let mut report = Report { events: self.played, side, against, truncated: false };
        report.shorten(usize::MAX);
        report
    }

    #[cfg(test)]
    pub(super) fn traces(&self) -> Vec<Vec<super::tests::Seen>> {
        self.players.iter().map(|player| player.trace.clone()).collect()
    }

    /// The event with its time: one that names none came with the one before it.
    fn timed(&mut self, item: Item) -> Result<Item, BadLine> {
        let What::Untimed(line, text) = &item.what else { return Ok(item) };
        let line = *line;
        let Some(now) = self.now else {
            let message = "`time`: missing, and no line before it has one: say when it happened".into();
            return Err(BadLine { line, message });
        };
        self.matcher.untimed(line, text, now).map_err(|message| BadLine { line, message })
    }

    fn play(&mut self, matters: Matters, now: Time) {
        let Matters { mut event, hits, errors, heard } = matters;
        if self.pace.runs_out {
            self.latest = self.latest.max(event.time);
            event.arrived = (event.time != now).then_some(now);
        }
        for (player, errors) in self.players.iter_mut().zip(&errors) {
            player.failed(errors, &event.id, now);
        }
        let event = Arc::new(event);
        for (player, hits) in self.players.iter_mut().zip(&hits) {
            player.take(&event, hits, heard, now);
        }
    }

    fn count(&mut self, now: Time) {
        if self.options.since.is_some_and(|since| now < since) {
            self.played.before += 1;
            return;
        }
        self.played.count += 1;
        self.played.first = self.played.first.or(Some(now));
        self.played.last = Some(now);
    }
}

/// The last moment before `time`.
fn before(time: Time) -> Time {
    time - chrono::TimeDelta::microseconds(1)
}
