//! What the end of the engine in the middle of a run means for it: it has the time that the engine was down, and what ended
//! the engine three times is not done a fourth time.

use serde_json::Value;

use super::worker::Worker;
use super::{attempt, escalate};
use crate::model::{EndedBy, Failure, Step};

/// How often is begun at most what the engine has not outlived.
pub const MAX_TRIES: u32 = 3;

/// So many lives of the engine in a row that end with a run under way, and without a step of it, are laid to its script.
/// More than tries of a step: that a step was under way is on record, and here it may have been any other work.
const MAX_IDLE: u32 = 10;

/// A run of an earlier life of the engine goes on: what it had left of its time when it was last heard of it has from the
/// start of this life, so that no downtime ends it. False if it is of this life.
pub fn take_up(worker: &mut Worker<'_>) -> bool {
    let since = worker.parts.since;
    let Some(open) = worker.open_run.as_mut().filter(|open| open.run.status.is_open()) else { return false };
    let taken_up = open.run.taken_up_at.unwrap_or(open.run.started_at);
    if taken_up >= since {
        return false;
    }
    let last = open.journal.steps().last().map(|step| step.finished_at.unwrap_or(step.started_at));
    let heard_of = last.unwrap_or(taken_up).max(taken_up).min(since);
    open.run.deadline = open.run.deadline.max(since + (open.run.deadline - heard_of));
    open.run.taken_up_at = Some(since);
    open.run.disturbed_by = EndedBy::Downtime;
    open.run.idle_lives = if last.is_some_and(|at| at > taken_up) { 1 } else { open.run.idle_lives + 1 };
    attempt::keep(worker);
    true
}

/// The run waits, so what it did last has not ended the engine.
pub fn waits(worker: &mut Worker<'_>) {
    if let Some(open) = worker.open_run.as_mut().filter(|open| open.run.idle_lives > 0) {
        open.run.idle_lives = 0;
        attempt::keep(worker);
    }
}

/// Why a run that each life of the engine has ended with is not carried out once more; none if it is. A step that was under
/// way is counted by itself.
pub async fn deadly(worker: &mut Worker<'_>) -> Option<Failure> {
    let open = worker.open_run.as_mut()?;
    if open.run.idle_lives < MAX_IDLE || open.doubtful.is_some() {
        return None;
    }
    // What undoes it is tried as often.
    let lives = std::mem::take(&mut open.run.idle_lives);
    let playbook = open.run.playbook.clone();
    let why = format!("the engine ended {lives} times while it computed `{playbook}`; it is not tried again");
    if let Some(intent) = worker.parts.board.get(worker.id) {
        escalate::poisoned(worker.parts, &intent, &playbook, &why).await;
    }
    Some(Failure::new("interrupted", why))
}

/// The engine has died again and again while `step` was under way: it is not begun once more, and an operator is alerted.
pub async fn poisoned(worker: &Worker<'_>, step: &Step) -> Result<Value, Failure> {
    let action = if step.name.is_empty() { "several actions" } else { &step.name };
    let why = format!(
        "the engine ended {} times while {action} was under way; it is not tried again: find out what it does to the engine",
        step.tries
    );
    if let Some(intent) = worker.parts.board.get(worker.id) {
        escalate::poisoned(worker.parts, &intent, action, &why).await;
    }
    Err(Failure::new("interrupted", why).of(&step.name))
}
