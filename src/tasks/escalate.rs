//! When nothing more is to be tried: the rule's escalation chain, and the alert list as the last resort.

use std::sync::Arc;

use serde_json::Value;

use super::worker::{Go, Stop, Worker, tell as in_words};
use super::{Parts, attempt};
use crate::intents::lifecycle::{self, Transition};
use crate::model::{Failure, Intent};

/// Whether `intent` is past repair and the next step of its chain is to be taken.
pub fn is_due(intent: &Intent) -> bool {
    intent.exhausted
}

/// Nothing more is tried: the chain begins, or a person is told at once where the rule has none.
pub fn exhaust(worker: &mut Worker<'_>, intent: &Arc<Intent>, why: &str) -> Result<Go, Stop> {
    let now = worker.parts.clock.now();
    let first = intent.plan.escalate.first().map(|step| step.after);
    let reason = Some(why.to_string());
    worker.change(vec![], |intent| {
        intent.exhausted = true;
        intent.not_before = first.filter(|after| !after.is_zero()).map(|after| now + after.delta());
        if intent.status == crate::model::Status::Pending {
            intent.reason = reason;
            return Ok(());
        }
        lifecycle::apply(intent, Transition::Retry, reason, now)
    })?;
    Ok(if first.is_some_and(|after| !after.is_zero()) { Go::Wait } else { Go::On })
}

/// Takes the next step of the chain, or ends the intent where there is none.
pub async fn begin(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Go, Stop> {
    if intent.not_before.is_some_and(|at| at > worker.parts.clock.now()) {
        return Ok(Go::Wait);
    }
    let why = intent.reason.clone().unwrap_or_else(|| "not repaired".into());
    let Some(step) = intent.plan.escalate.get(intent.escalations).cloned() else {
        // An intent that ended without anybody knowing would be worse than one that ends late.
        let told = alert(worker.parts, intent, &format!("{} failed", intent.goal), &why).await;
        told.map_err(|failure| Stop::Untold(failure.message))?;
        worker.transition(Transition::Fail, Some(why))?;
        return Ok(Go::Wait);
    };
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
    if let Err(failure) = &result {
        let message = format!("{to} was to tell you and failed: {}", in_words(failure));
        tell(worker.parts, intent, &format!("{}: nobody could be told", intent.goal), &message).await;
    }
    let now = worker.parts.clock.now();
    let next = intent.plan.escalate.get(intent.escalations + 1).cloned();
    let message = result.err().map(|failure| in_words(&failure));
    // What went wrong stays in front: whoever is told next has to read it too.
    let before = intent.reason.as_deref().map(|reason| format!("{reason}; ")).unwrap_or_default();
    let why = match &next {
        Some(step) => format!("{before}a person was told by {to}, {} follows in {}", step.to, step.after),
        None => format!("{before}a person was told by {to}"),
    };
    worker.change(vec![], |intent| {
        if let Some(attempt) = intent.attempts.last_mut() {
            attempt.ended_at = Some(now);
            attempt.message = message;
        }
        intent.escalations += 1;
        intent.not_before = next.as_ref().map(|step| now + step.after.delta());
        let to = if next.is_some() { Transition::Retry } else { Transition::Escalate };
        lifecycle::apply(intent, to, Some(why), now)
    })?;
    Ok(if next.is_some_and(|step| step.after.is_zero()) { Go::On } else { Go::Wait })
}

/// The playbook `name` is not there any more.
pub fn missing(worker: &mut Worker<'_>, intent: &Arc<Intent>, name: &str) -> Result<Go, Stop> {
    let message = format!("the playbook `{name}` is not there any more");
    raise(worker.parts, intent, &format!("{} failed", intent.goal), &message);
    worker.transition(Transition::Fail, Some(message))?;
    Ok(Go::Wait)
}

/// The work on intent `id` broke again and again: a person is told and it is left alone. False if that could not be
/// recorded.
pub async fn give_up(parts: &Parts, id: crate::model::IntentId) -> bool {
    let Some(intent) = parts.board.get(id) else { return true };
    let why = "the engine broke while it worked on this intent, several times; the log says where";
    tell(parts, &intent, &format!("{} was given up", intent.goal), why).await;
    let now = parts.clock.now();
    let changed = parts
        .board
        .change(id, vec![], |it| lifecycle::apply(it, Transition::Escalate, Some(why.into()), now));
    let Ok((intent, commit)) = changed else { return false };
    if let Err(error) = commit.await {
        tracing::error!(intent = %id, "failed to record that the intent was given up: {error}");
        drop(parts.board.reread(id).await);
        return false;
    }
    parts.report(&intent);
    true
}

/// Puts an alert on the list and waits until it is there.
pub async fn tell(parts: &Parts, intent: &Intent, title: &str, message: &str) {
    let told = alert(parts, intent, title, message).await;
    if let Err(failure) = told {
        tracing::error!(intent = %intent.id, "{title}: {message} (and the alert could not be recorded: {failure})");
    }
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

fn raise(parts: &Parts, intent: &Intent, title: &str, message: &str) {
    let raised = alert(parts, intent, title, message);
    let (id, line) = (intent.id, format!("{title}: {message}"));
    tokio::spawn(async move {
        if let Err(failure) = raised.await {
            tracing::error!(intent = %id, "{line} (and the alert could not be recorded: {failure})");
        }
    });
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
