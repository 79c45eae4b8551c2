//! A run's journal: what the script asked of its host and what it got back, durable in the right order.
//!
//! The promise: a step's `started` record is durable before its effect begins. Its `finished` record travels with the
//! next record that has to be durable anyway, so a run of n steps costs n + 1 commits, not 2n. It never performs an
//! effect itself. Start with [`Journal`].

pub mod edge;

use serde_json::Value;

use crate::model::{Failure, Step, StepStatus, Time};
use crate::store::Write;

/// The steps of one run, and those of them that are not durable yet.
#[derive(Debug)]
pub struct Journal {
    steps: Vec<Step>,
    unsaved: Vec<usize>,
}

impl Journal {
    /// The journal of a run that has not begun.
    pub fn empty() -> Self {
        Self { steps: Vec::new(), unsaved: Vec::new() }
    }

    /// A journal as it was left in the store.
    pub fn of(steps: Vec<Step>) -> Self {
        Self { steps, unsaved: Vec::new() }
    }

    /// All steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Adds a step, or replaces the one in its place.
    pub fn put(&mut self, step: Step) {
        let at = step.seq as usize;
        match self.steps.get_mut(at) {
            Some(old) => *old = step,
            None => self.steps.push(step),
        }
        if !self.unsaved.contains(&at) {
            self.unsaved.push(at);
        }
    }

    /// Records what step `seq` came to.
    pub fn finish(&mut self, seq: u32, result: Result<Value, Failure>, now: Time) {
        let Some(step) = self.steps.get(seq as usize) else { return };
        let (result, error) = match result {
            Ok(value) => (Some(value), None),
            Err(failure) => (None, Some(failure)),
        };
        self.put(Step {
            status: StepStatus::Finished,
            finished_at: Some(now),
            result,
            error,
            ..step.clone()
        });
    }

    /// What was handed out to be written was not kept: all of it has to be written again.
    pub fn forget_saved(&mut self) {
        self.unsaved = (0..self.steps.len()).collect();
    }

    /// What has to be written next; call it once for each commit.
    pub fn take_unsaved(&mut self) -> Option<Write> {
        if self.unsaved.is_empty() {
            return None;
        }
        let steps = self.unsaved.drain(..).map(|at| self.steps[at].clone()).collect();
        Some(Write::Steps(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::Phase;
    use crate::model::{RunId, StepKind};

    fn step(seq: u32) -> Step {
        Step {
            run: RunId::new(Time::UNIX_EPOCH, 1),
            phase: Phase::Run,
            seq,
            kind: StepKind::Act,
            name: "kernel.restart".into(),
            request: Value::Null,
            status: StepStatus::Started,
            tries: 1,
            result: None,
            error: None,
            started_at: Time::UNIX_EPOCH,
            finished_at: None,
        }
    }

    #[test]
    fn a_finished_record_travels_with_the_next_started_one() {
        let mut journal = Journal::empty();
        journal.put(step(0));
        let Some(Write::Steps(first)) = journal.take_unsaved() else { panic!("nothing to write") };
        assert_eq!(first[0].status, StepStatus::Started);
        journal.finish(0, Ok(Value::Bool(true)), Time::UNIX_EPOCH);
        journal.put(step(1));
        let Some(Write::Steps(second)) = journal.take_unsaved() else { panic!("nothing to write") };
        assert_eq!(
            second.iter().map(|s| (s.seq, s.status)).collect::<Vec<_>>(),
            [(0, StepStatus::Finished), (1, StepStatus::Started)]
        );
        assert!(journal.take_unsaved().is_none());
    }
}
