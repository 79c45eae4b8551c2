//! After an attempt: did it help? Asked of the playbook's `verify` and of the event that the rule expects.
//!
//! Both must agree where both are defined. Where neither is, nothing is known, and nothing is learned.

use std::sync::Arc;

use super::Parts;
use super::attempt;
use super::wait::{self, Test};
use super::worker::{Stop, Worker, tell};
use crate::bus::Waiter;
use crate::model::{Intent, Span};

/// What the check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It helped; how that was seen.
    Works(String),
    /// It did not; why that is thought.
    Broken(String),
    /// Nothing is defined that would show it.
    Unknown,
}

/// Begins to wait for the event that the rule expects, from the start of the attempt on.
pub fn expect(parts: &Parts, intent: &Intent) -> Option<Waiter> {
    let verify = intent.plan.verify.as_ref()?;
    Some(parts.waiters.wait(verify.expect.clone(), wait::boxed(&test(intent)?)))
}

/// Finds out whether the latest attempt of `intent` helped.
pub async fn check(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Verdict, Stop> {
    let own = attempt::verify(worker, intent).await?;
    match own {
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
    let (Some(verify), Some(test)) = (&intent.plan.verify, test(intent)) else { return Ok(None) };
    let Some(began) = intent.attempts.last().map(|a| a.started_at) else { return Ok(None) };
    let waiter = match worker.expected.take() {
        Some(waiter) => waiter,
        None => {
            // Taken up after a restart: first begin to wait, then look at what came meanwhile.
            let waiter = worker.parts.waiters.wait(verify.expect.clone(), wait::boxed(&test));
            if let Some(event) = wait::earlier(worker, &verify.expect, began, &test).await? {
                return Ok(Some(Verdict::Works(seen(&event))));
            }
            waiter
        }
    };
    worker.durable().await?;
    let until = intent.updated_at + verify.within.delta();
    let rest = (until - worker.parts.clock.now()).to_std().unwrap_or_default();
    worker.slot.release();
    let verdict = tokio::select! {
        // What came in time counts, even where the time is up in the same moment.
        biased;
        event = waiter => Verdict::Works(seen(&event)),
        () = tokio::time::sleep(rest) => missed(&verify.expect.to_string(), verify.within),
        () = worker.cancel.cancelled() => return Err(Stop::Told),
    };
    worker.slot.acquire().await;
    Ok(Some(verdict))
}

fn seen(event: &crate::model::Event) -> String {
    format!("{} came at {}", event.topic, event.time.format("%H:%M:%S%.3f"))
}

fn missed(what: &str, within: Span) -> Verdict {
    Verdict::Broken(format!("{what} did not come within {within}"))
}

fn test(intent: &Intent) -> Option<Test> {
    let verify = intent.plan.verify.as_ref()?;
    // Checked when the rule was loaded; a text that does not compile any more shows nothing.
    wait::event_test(verify.when.as_deref(), &intent.target).ok().or_else(|| Some(Arc::new(|_| false)))
}
