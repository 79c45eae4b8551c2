//! The times between two settings of the wall clock, and by how much it was set.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::micros;

/// Most steps that are remembered. What was written down before them is taken to be of the oldest era that is.
const MOST: usize = 1_000;

/// The wall clock was set, which began an era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The era that it began, from 1.
    pub era: u32,
    /// By how much time went forward, in microseconds; below zero: back.
    pub by: i64,
    /// What time it was from then on, in microseconds since 1970.
    #[serde(default)]
    pub at: i64,
}

/// What is kept of a clock for the next life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The era.
    pub era: u32,
    /// The steps so far.
    pub steps: Vec<Step>,
    /// The time, in microseconds since 1970.
    pub time: i64,
    /// How long the machine was up then, in microseconds.
    pub since_boot: i64,
    /// Which boot of which machine that was.
    pub boot: String,
}

/// The eras so far.
#[derive(Debug, Default)]
pub(super) struct Eras {
    /// That in which the process began.
    pub(super) first: u32,
    present: u32,
    pub(super) steps: Vec<Step>,
}

impl Step {
    /// By how much time went forward.
    pub fn delta(self) -> TimeDelta {
        TimeDelta::microseconds(self.by)
    }

    /// It in words: "forward by 2h".
    pub fn text(self) -> String {
        let span = crate::model::Span::secs(self.by.unsigned_abs().div_ceil(1_000_000).max(1));
        format!("{} by {span}", if self.by < 0 { "back" } else { "forward" })
    }
}

impl Kept {
    /// Whether it says a time; what an earlier version left says none.
    pub fn is_known(&self) -> bool {
        self.time > 0 && micros(self.time).timestamp_micros() == self.time
    }
}

impl Eras {
    pub(super) fn of(era: u32, steps: Vec<Step>) -> Self {
        Self { first: era, present: era, steps }
    }

    pub(super) fn step(&mut self, by: TimeDelta, at: i64) -> Step {
        self.present = self.present.saturating_add(1);
        let step = Step { era: self.present, by: by.num_microseconds().unwrap_or(0), at };
        self.steps.push(step);
        let over = self.steps.len().saturating_sub(MOST);
        self.steps.drain(..over);
        step
    }

    /// By how much what was written down since `from` may look older than it is, both by the present era.
    pub(super) fn looks_older(&self, from: i64) -> i64 {
        let (mut most, mut forward) = (0, 0_i64);
        for step in self.steps.iter().rev() {
            if step.at.saturating_add(forward) < from {
                break;
            }
            forward = forward.saturating_add(step.by);
            most = most.max(forward);
        }
        most
    }

    /// By how much time went forward between two eras.
    pub(super) fn between(&self, from: u32, to: u32) -> TimeDelta {
        let (first, last) = (from.min(to), from.max(to));
        let steps = self.steps.iter().filter(|step| step.era > first && step.era <= last);
        let by = steps.fold(0_i64, |sum, step| sum.saturating_add(step.by));
        TimeDelta::microseconds(if from <= to { by } else { by.saturating_neg() })
    }
}
