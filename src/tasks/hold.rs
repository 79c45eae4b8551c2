//! Holds what may not act now: before its next effect a run waits until an operator has thawed it, or the data directory is
//! back, or its time is up.
//!
//! Looks and alerts go on, as people need them most then.

use std::time::Duration;

use super::gate::{self, Shut, Who};
use super::worker::{Stop, Worker};
use super::{attempt, weigh};
use crate::model::{EndedBy, Failure, Status};
use crate::platform::sleep;
use crate::playbook::Request;

/// The name of the guard that holds, which its reasons begin with.
const GUARD: &str = "freeze: ";

/// The kind of failure of a run whose time was up while it was frozen.
pub const FROZEN: &str = "frozen";

/// The kind of failure of a run whose time was up while the data directory was gone.
pub const LOST: &str = "lost";

/// The kind of failure of a run that had nothing left to do when it was thawed.
pub const STALE: &str = "stale";

/// How often it is looked whether a freeze that ends by itself has ended.
const ENDS: Duration = Duration::from_secs(1);

/// How often it is looked whether a data directory is back, which nobody tells.
const LOOK: Duration = Duration::from_millis(250);

/// Waits while what `request` would do is held. A failure if it is not to be done at all: the run's time is up, or what
/// it was about is over meanwhile.
pub async fn hold(worker: &mut Worker<'_>, request: &Request) -> Result<Option<Failure>, Stop> {
    let who = who(worker, request);
    if !who.acts {
        return Ok(None);
    }
    let mut changed = worker.parts.freeze.subscribe();
    let since = worker.now();
    let mut waited = None;
    while let Some(shut) = gate::shut(worker.parts, &who) {
        if shut == Shut::Ended {
            return Err(Stop::Told);
        }
        if waited.is_none() {
            tracing::info!(intent = %worker.id, "held before its next effect: {shut}");
            worker.durable().await?;
        }
        waited = Some(match shut {
            Shut::Lost(_) => EndedBy::LostStore,
            _ => EndedBy::Freeze,
        });
        worker.slot.release();
        let left = worker.time_left();
        if left.is_zero() {
            let failure = match &shut {
                Shut::Lost(why) => {
                    Failure::new(LOST, format!("its time was up while nothing could be kept: {why}"))
                }
                shut => Failure::new(FROZEN, format!("its time was up before it was thawed: {shut}")),
            };
            return Ok(Some(failure));
        }
        // What ends by itself tells nobody, and neither does a data directory that is back.
        let look = match &shut {
            Shut::Frozen(freeze) if freeze.until.is_none() => sleep::LONGEST,
            Shut::Frozen(_) => ENDS,
            _ => LOOK,
        };
        tokio::select! {
            biased;
            () = worker.cancel.cancelled() => return Err(Stop::Told),
            _ = changed.changed() => {}
            () = sleep::pause(&worker.parts.clock, left.min(look)) => {}
        }
    }
    let Some(by) = waited else { return Ok(None) };
    worker.slot.acquire().await;
    // The time that it was held is not its own.
    let held = worker.now() - since;
    if let Some(open) = &mut worker.open_run {
        open.run.deadline += held.max(chrono::TimeDelta::zero());
        open.run.disturbed_by = by;
        attempt::keep(worker);
    }
    let over = worker.parts.board.get(worker.id).is_some_and(|intent| weigh::is_over(&intent));
    Ok(over.then(|| Failure::new(STALE, "what it was about was over by itself while it was held")))
}

/// Who would have an effect by `request`.
pub fn who(worker: &Worker<'_>, request: &Request) -> Who {
    let actions: Vec<&str> = match request {
        Request::Act(act) => vec![&act.action],
        Request::All { actions, .. } => actions.iter().map(|act| act.action.as_str()).collect(),
        _ => Vec::new(),
    };
    let acts = |name: &&str| worker.parts.actions.get(name).is_none_or(|action| action.spec().acts);
    let playbook = worker.open_run.as_ref().map(|open| open.run.playbook.clone());
    Who { intent: worker.id, playbook, acts: actions.iter().any(acts) }
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
                intent.disturbed = true;
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
