//! Holds what is frozen: before its next effect a run waits until a person has thawed it, or its time is up.
//!
//! Looks and alerts go on, as people need them most then.

use super::weigh;
use super::worker::{Stop, Worker};
use crate::freeze::Freeze;
use crate::model::{Failure, Status};
use crate::playbook::Request;

/// The name of the guard that holds, which its reasons begin with.
const GUARD: &str = "freeze: ";

/// The kind of failure of a run whose time was up while it was frozen.
const FROZEN: &str = "frozen";

/// Waits while what `request` would do is frozen. A failure if it is not to be done at all: the run's time is up, or what
/// it was about is over meanwhile.
pub async fn hold(worker: &mut Worker<'_>, request: &Request) -> Result<Option<Failure>, Stop> {
    let actions: Vec<&str> = match request {
        Request::Act(act) => vec![&act.action],
        Request::All { actions, .. } => actions.iter().map(|act| act.action.as_str()).collect(),
        _ => return Ok(None),
    };
    let acts = |name: &&str| worker.parts.actions.get(name).is_none_or(|action| action.spec().acts);
    if !actions.iter().any(acts) {
        return Ok(None);
    }
    let mut changed = worker.parts.freeze.subscribe();
    let mut waited = false;
    while let Some(freeze) = frozen(worker) {
        if !waited {
            tracing::info!(intent = %worker.id, "held before its next effect: {freeze}");
            worker.durable().await?;
        }
        waited = true;
        worker.slot.release();
        let left = worker.time_left();
        if left.is_zero() {
            let text = format!("its time was up before it was thawed: {freeze}");
            return Ok(Some(Failure::new(FROZEN, text)));
        }
        let ends = freeze.until.map(|until| (until - worker.parts.clock.now()).to_std().unwrap_or_default());
        tokio::select! {
            biased;
            () = worker.cancel.cancelled() => return Err(Stop::Told),
            _ = changed.changed() => {}
            () = tokio::time::sleep(ends.unwrap_or(left).min(left)) => {}
        }
    }
    if !waited {
        return Ok(None);
    }
    worker.slot.acquire().await;
    let over = worker.parts.board.get(worker.id).is_some_and(|intent| weigh::is_over(&intent));
    Ok(over.then(|| Failure::new("stale", "what it was about was over by itself while it was frozen")))
}

/// What holds the run under way.
fn frozen(worker: &Worker<'_>) -> Option<Freeze> {
    let playbook = worker.open_run.as_ref().map(|open| open.run.playbook.as_str());
    let intent = worker.parts.board.get(worker.id)?;
    worker.parts.freeze.on(&intent, playbook)
}

impl super::Service {
    /// Something was thawed: those that waited for it are looked at again.
    pub fn thawed(&self) {
        for id in self.parts.board.open_ids() {
            let held = self.parts.board.get(id).filter(|intent| {
                intent.status == Status::Pending
                    && intent.reason.as_deref().is_some_and(|reason| reason.starts_with(GUARD))
            });
            let Some(intent) = held else { continue };
            let playbook = intent.decision.as_ref().map(|it| it.playbook.as_str());
            if self.parts.freeze.on(&intent, playbook).is_some() {
                continue;
            }
            let freed = self.parts.board.change(id, vec![], |intent| {
                intent.not_before = None;
                intent.reason = None;
                Ok(())
            });
            // It is looked at in a moment, whether this was kept or not: a later start finds it as it was, and asks anew.
            if let Ok((intent, _)) = freed {
                self.enqueue(&intent);
            }
        }
        self.shared.changed.notify_one();
    }
}
