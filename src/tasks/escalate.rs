//! When nothing more is to be tried: the rule's escalation chain, and the alert list with its channels as the last resort.
//!
//! No intent ends unrepaired without an operator having been alerted: only this room makes the transitions that promise
//! it (`lifecycle::Ending::Alerted`, held by `tests/tidy.rs`), and each of them comes after an alert that is durable.

mod unrepaired;

use std::sync::Arc;

use serde_json::Value;

pub use unrepaired::{Cause, Storms, is_without_target, key as key_of_cause, no_target, unrepaired};

use super::worker::{Go, Stop, Worker, tell as in_words};
use super::{Parts, attempt};
use crate::intents::lifecycle::{self, Transition};
use crate::model::{Failure, Intent, Status};

/// Whether `intent` is past repair and the next step of its chain is to be taken.
pub fn is_due(intent: &Intent) -> bool {
    intent.exhausted
}

/// Nothing more is tried: the chain begins, or an operator is alerted at once where the rule has none.
pub fn exhaust(worker: &mut Worker<'_>, intent: &Arc<Intent>, why: &str) -> Result<Go, Stop> {
    let first = intent.plan.escalate.first().map(|step| step.after.delta());
    chain(worker, why, first.unwrap_or_default())
}

/// The chain begins after `wait`.
fn chain(worker: &mut Worker<'_>, why: &str, wait: chrono::TimeDelta) -> Result<Go, Stop> {
    let now = worker.now();
    let waits = wait > chrono::TimeDelta::zero();
    let reason = Some(why.to_string());
    worker.change(vec![], |intent| {
        intent.exhausted = true;
        intent.not_before = waits.then(|| now + wait);
        if intent.status == Status::Pending {
            intent.reason = reason;
            return Ok(());
        }
        lifecycle::apply(intent, Transition::Retry, reason, now)
    })?;
    Ok(if waits { Go::Wait } else { Go::On })
}

/// It was over before the next attempt, or the next step of the chain.
pub fn over(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Go, Stop> {
    let at = intent.cleared_at.unwrap_or(intent.updated_at).to_rfc3339();
    let (end, reason) = match intent.escalations {
        0 => (Transition::Clear, format!("over by itself before anything more was done, at {at}")),
        _ => (Transition::Escalate, format!("recovered after an operator was alerted, at {at}")),
    };
    worker.transition(end, Some(reason))?;
    Ok(Go::Wait)
}

/// Takes the next step of the chain, or ends the intent where there is none.
pub async fn begin(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Go, Stop> {
    if intent.not_before.is_some_and(|at| at > worker.now()) {
        return Ok(Go::Wait);
    }
    let mut why = intent.reason.clone().unwrap_or_else(|| "not repaired".into());
    let Some(step) = intent.plan.escalate.get(intent.escalations).cloned() else {
        // An intent that ended without anybody knowing would be worse than one that ends late.
        let told = alert(worker.parts, intent, &format!("{} failed", intent.goal), &why).await;
        told.map_err(|failure| Stop::Untold(failure.message))?;
        worker.transition(Transition::Fail, Some(why))?;
        return Ok(Go::Wait);
    };
    if worker.parts.library().get(&step.to).is_none() {
        let gone = Failure::new("missing", "the playbook was removed");
        return step_over(worker, intent, &step.to, Err(gone)).await;
    }
    why.extend(worker.parts.storms.others(intent));
    let mut params = intent.plan.params.clone();
    params.extend(step.params);
    params.entry("message").or_insert(Value::String(why));
    attempt::open(worker, intent, &step.to, params, None, true)
}

/// A step of the chain is done.
pub async fn ended(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
    result: Result<Value, Failure>,
) -> Result<Go, Stop> {
    let to = intent.attempts.last().map(|a| a.playbook.clone()).unwrap_or_default();
    step_over(worker, intent, &to, result).await
}

/// The step of the chain that `to` is was taken with `result`: one that failed is told by the engine itself, and the next
/// follows.
async fn step_over(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
    to: &str,
    result: Result<Value, Failure>,
) -> Result<Go, Stop> {
    // What went wrong stays in front: whoever is alerted next has to read it too.
    let before = intent.reason.as_deref().map(|reason| format!("{reason}; ")).unwrap_or_default();
    let failed = result.err().map(|failure| in_words(&failure));
    let this = match &failed {
        Some(why) => {
            let title = format!("{}: the escalation failed", intent.goal);
            let message = format!("{before}the escalation playbook {to} failed: {why}");
            let told = alert(worker.parts, intent, &title, &message).await;
            told.map_err(|failure| Stop::Untold(failure.message))?;
            format!("the escalation playbook {to} failed ({why}) and the alert list has it")
        }
        None => format!("an operator was alerted by {to}"),
    };
    let now = worker.now();
    let next = intent.plan.escalate.get(intent.escalations + 1).cloned();
    let why = match &next {
        Some(step) => format!("{before}{this}, {} follows in {}", step.to, step.after),
        None => format!("{before}{this}"),
    };
    worker.change(vec![], |intent| {
        let running = intent.status == Status::Running;
        if running && let Some(attempt) = intent.attempts.last_mut() {
            attempt.ended_at = Some(now);
            attempt.message = failed;
        }
        intent.escalations += 1;
        intent.not_before = next.as_ref().map(|step| now + step.after.delta());
        if !running && next.is_some() {
            intent.reason = Some(why);
            return Ok(());
        }
        let to = if next.is_some() { Transition::Retry } else { Transition::Escalate };
        lifecycle::apply(intent, to, Some(why), now)
    })?;
    Ok(if next.is_some_and(|step| step.after.is_zero()) { Go::On } else { Go::Wait })
}

/// The work on intent `id` broke again and again: a person is told and it is left alone. False if that could not be
/// recorded.
pub async fn give_up(parts: &Parts, id: crate::model::IntentId) -> bool {
    let Some(intent) = parts.board.get(id) else { return true };
    let why = "the engine broke while it worked on this intent, several times; the log says where";
    if let Err(failure) = alert(parts, &intent, &format!("{} was given up", intent.goal), why).await {
        tracing::error!(intent = %id, "failed to alert an operator that the intent is given up: {failure}");
        return false;
    }
    let changed = parts.board.change(id, vec![], |it| {
        let now = parts.clock.now_in(it.era);
        lifecycle::apply(it, Transition::Escalate, Some(why.into()), now)
    });
    let Ok((intent, commit)) = changed else { return false };
    if let Err(error) = commit.await {
        tracing::error!(intent = %id, "failed to record that the intent was given up: {error}");
        // What is in doubt is read back by itself.
        return false;
    }
    parts.report(&intent);
    true
}

/// What `playbook` did for `intent` could only be undone in part: told under a key of its own, as it stays true whatever
/// becomes of the intent.
pub async fn half_undone(parts: &Parts, intent: &Intent, playbook: &str, failed: &str) {
    let title = format!("The rollback of {playbook} failed");
    let message = format!("{failed}; look at {} yourself", intent.target);
    let key = format!("{}/rollback", key(intent));
    let (level, target) = (intent.priority.into(), Some(intent.target.clone()));
    let told = parts.alerts.raise(key, level, title.clone(), message.clone(), target, Some(intent.id)).await;
    if let Err(failure) = told {
        tracing::error!(intent = %intent.id, "{title}: {message} (and the alert could not be recorded: {failure})");
    }
}

/// Of two intents for the same thing one was closed, as `why` says.
pub async fn twin(parts: &Parts, intent: &Intent, why: &str) {
    let title = format!("{}: of two open intents one was closed", intent.goal);
    let key = format!("{}/twin", key(intent));
    let (level, target) = (intent.priority.into(), Some(intent.target.clone()));
    let raised = parts.alerts.raise(key, level, title.clone(), why.into(), target, Some(intent.id)).await;
    if let Err(failure) = raised {
        tracing::error!(intent = %intent.id, "{title}: {why} (and the alert could not be recorded: {failure})");
    }
}

/// `action` ended the engine again and again: told under a key of its own, as it stays true whatever becomes of the intent.
pub async fn poisoned(parts: &Parts, intent: &Intent, action: &str, why: &str) {
    let title = format!("{action} keeps ending the engine");
    let message = format!("{why}. It is part of `{}` on {}", intent.goal, intent.target);
    let key = format!("{}/poison/{action}", key(intent));
    let told = parts.alerts.raise(
        key,
        crate::model::alert::Level::Critical,
        title.clone(),
        message.clone(),
        Some(intent.target.clone()),
        Some(intent.id),
    );
    if let Err(failure) = told.await {
        tracing::error!(intent = %intent.id, "{title}: {message} (and the alert could not be recorded: {failure})");
    }
}

/// What `intent` was about is repaired: what a failure before it told is over. The alert is resolved at once, and that is
/// durable once the answer is there.
pub fn repaired(parts: &Parts, intent: &Intent) -> impl Future<Output = ()> + use<> {
    let (resolved, id) = (parts.alerts.resolve(key(intent)), intent.id);
    async move {
        if let Err(failure) = resolved.await {
            tracing::error!(intent = %id, "the alert of a failure that is repaired stays open: {failure}");
        }
    }
}

/// The key of its alert: whatever fails of the same rule in the same way is one alert.
fn key(intent: &Intent) -> String {
    format!("{}/{}", intent.rule, intent.group)
}

fn alert(
    parts: &Parts,
    intent: &Intent,
    title: &str,
    message: &str,
) -> futures_util::future::BoxFuture<'static, Result<crate::model::AlertId, Failure>> {
    let target = Some(intent.target.clone());
    parts.alerts.raise(
        key(intent),
        intent.priority.into(),
        title.into(),
        message.into(),
        target,
        Some(intent.id),
    )
}
