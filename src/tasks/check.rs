//! After an attempt: did it help? Asked of the playbook's `verify` and of the event that the rule expects.
//!
//! Both must agree where both are defined. Where neither is, nothing is known, and nothing is learned.

use std::sync::Arc;

use super::attempt;
use super::lot::Ticket;
use super::wait::{self, Awaited};
use super::worker::{Stop, Worker, tell};
use crate::model::{Intent, Span, Time};

/// What the check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It helped; how that was seen.
    Works(String),
    /// It did not; why that is thought.
    Broken(String),
    /// Whether it did cannot be told, as the playbook's own check is wrong.
    Unclear(String),
    /// The engine ended while it was found out, and it is not tried again.
    Interrupted(String),
    /// Nothing is defined that would show it.
    Unknown,
}

/// Begins to wait for the event that the rule expects, from the start of the attempt on.
pub fn expect(worker: &Worker<'_>, intent: &Intent) -> Option<Ticket> {
    wait::begin(worker, &awaited(intent, worker.parts.since)?).ok()
}

/// Finds out whether the latest attempt of `intent` helped.
pub async fn check(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Verdict, Stop> {
    let own = attempt::verify(worker, intent).await?;
    match own {
        Some(Err(failure)) if failure.kind == attempt::UNCLEAR => {
            return Ok(Verdict::Unclear(failure.message));
        }
        Some(Err(failure)) if failure.kind == "interrupted" => {
            return Ok(Verdict::Interrupted(format!("the playbook's check was cut off: {}", tell(&failure))));
        }
        Some(Err(failure)) => {
            return Ok(Verdict::Broken(format!("the playbook's check failed: {}", tell(&failure))));
        }
        Some(Ok(false)) => {
            return Ok(Verdict::Broken("the playbook's own check says that it did not help".into()));
        }
        Some(Ok(true)) | None => {}
    }
    match (expected(worker, intent).await?, own) {
        (Some(verdict), _) => Ok(verdict),
        (None, Some(_)) => Ok(Verdict::Works("the playbook's own check passed".into())),
        (None, None) => Ok(Verdict::Unknown),
    }
}

async fn expected(worker: &mut Worker<'_>, intent: &Intent) -> Result<Option<Verdict>, Stop> {
    let (Some(verify), Some(awaited)) = (&intent.plan.verify, awaited(intent, worker.parts.since)) else {
        return Ok(None);
    };
    let Some(began) = intent.attempts.last().map(|a| a.started_at) else { return Ok(None) };
    let held = worker.awaits.check.take();
    let caught = held.as_ref().and_then(Ticket::take);
    if let Some(event) = caught.as_ref().filter(|event| event.arrival() >= worker.arrived_since(began)) {
        return Ok(Some(Verdict::Works(seen(event))));
    }
    let ticket = match held.filter(|_| caught.is_none()) {
        Some(ticket) => Some(ticket),
        None => {
            // Taken up after a restart: first begin to wait, then look at what came meanwhile. A condition that does
            // not compile any more shows nothing.
            let ticket = wait::begin(worker, &awaited).ok();
            if let Some(event) = wait::earlier(worker, &awaited, began, |_| true).await? {
                return Ok(Some(Verdict::Works(seen(&event))));
            }
            ticket
        }
    };
    worker.durable().await?;
    if let Some(event) = ticket.as_ref().and_then(Ticket::take) {
        return Ok(Some(Verdict::Works(seen(&event))));
    }
    if worker.now() >= awaited.until {
        return Ok(Some(missed(&verify.expect.to_string(), verify.within)));
    }
    worker.awaits.check = ticket;
    Err(worker.parked(awaited.until))
}

fn awaited(intent: &Intent, since: Time) -> Option<Awaited> {
    let verify = intent.plan.verify.as_ref()?;
    Some(Awaited {
        pattern: verify.expect.clone(),
        when: verify.when.clone(),
        target: intent.target.clone(),
        // What shows that it worked may have come while the engine was down, and be told again only after.
        until: intent.updated_at.max(since) + verify.within.delta(),
        since: None,
    })
}

fn seen(event: &crate::model::Event) -> String {
    format!("{} came at {}", event.topic, event.time.format("%H:%M:%S%.3f"))
}

fn missed(what: &str, within: Span) -> Verdict {
    Verdict::Broken(format!("{what} did not come within {within}"))
}
