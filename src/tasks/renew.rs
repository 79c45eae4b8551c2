//! `continue_as_new`: a run ends and goes on as another, with an empty journal and what it carries.

use serde_json::{Value, json};

use super::attempt;
use super::worker::{OpenRun, Stop, Worker};
use crate::journal::Journal;
use crate::model::{Run, RunId, RunStatus, Step};
use crate::store::Write;

/// A run that goes on as another has lasted this long at least: one that does nothing else would fill the disk.
const LEAST_RUN: chrono::TimeDelta = chrono::TimeDelta::seconds(1);

/// Goes on as another run, as `step` asks; not before this one has lasted for a while.
pub async fn go_on(worker: &mut Worker<'_>, step: Step, carried: Value) -> Result<(), Stop> {
    let began = worker.open_run.as_ref().map_or(worker.now(), |it| it.run.started_at);
    if worker.now() < began + LEAST_RUN {
        attempt::flush(worker);
        worker.durable().await?;
        return Err(worker.parked((began + LEAST_RUN).min(worker.deadline())));
    }
    attempt::record(worker, vec![step]);
    begin(worker, carried)
}

/// Ends the run under way and goes on as another: the same playbook, intent and time, and an empty journal. Both are one
/// commit, so a crash finds the one or the other.
fn begin(worker: &mut Worker<'_>, carried: Value) -> Result<(), Stop> {
    let Some(mut open) = worker.open_run.take() else { return Ok(()) };
    let now = worker.now();
    let id = RunId::new(now, worker.parts.chance.identity());
    if let Some(last) = open.journal.steps().last() {
        open.journal.finish(last.seq, Ok(Value::Null), now);
    }
    let mut ctx = open.run.ctx.clone();
    ctx["carried"] = carried;
    let next = Run { id, ctx, started_at: now, ..open.run.clone() };
    let over = Run {
        status: RunStatus::Continued,
        ended_at: Some(now),
        result: Some(json!({ "continued_as": id })),
        ..open.run
    };
    let mut writes: Vec<Write> = open.journal.take_unsaved().into_iter().collect();
    writes.extend([Write::Run(Box::new(over)), Write::Run(Box::new(next.clone()))]);
    worker.change(writes, |intent| {
        if let Some(attempt) = intent.attempts.last_mut() {
            attempt.run = id;
        }
        Ok(())
    })?;
    worker.open_run = Some(OpenRun { run: next, journal: Journal::empty(), ..open });
    Ok(())
}
