//! What came of an attempt: recorded, taught to the learner, and what follows from it.

use std::sync::Arc;

use super::lot::Awaits;
use super::worker::{Go, Stop, Worker};
use super::{Parts, escalate, hold, lock};
use crate::guard;
use crate::intents::board::Ended;
use crate::intents::lifecycle::{self, Transition};
use crate::model::{EndedBy, Event, Failure, Intent, Outcome, OutcomeRecord, Time, Topic};
use crate::store::Write;

/// The latest attempt of `intent` came to `outcome`: success, the next attempt, or the end of trying.
pub async fn attempt_ended(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
    (outcome, ended_by): (Outcome, EndedBy),
    message: String,
) -> Result<Go, Stop> {
    let now = worker.now();
    let number = Number::new(worker.parts);
    let record = record(worker, intent, (outcome, ended_by), now).map(|it| OutcomeRecord {
        number: number.value,
        at: worker.parts.clock.now(),
        ..it
    });
    let writes = record.iter().cloned().map(Write::Outcome).collect();
    let success = matches!(outcome, Outcome::Fixed | Outcome::Unverified);
    let max = intent.plan.guard.max_attempts.unwrap_or(guard::MAX_ATTEMPTS) as usize;
    let tried = intent.repairs().count();
    let left = intent.plan.playbooks.iter().any(|name| !intent.repairs().any(|a| a.playbook == *name));
    let over = outcome == Outcome::Interrupted || tried >= max || !left;
    let text = message.clone();
    let changed = worker.change(writes, |intent| {
        if let Some(attempt) = intent.attempts.last_mut() {
            attempt.outcome = Some(outcome);
            attempt.ended_by = ended_by;
            attempt.ended_at = Some(now);
            attempt.message = Some(text.clone());
        }
        match (success, over) {
            (true, _) => lifecycle::apply(intent, Transition::Succeed, Some(text), now),
            (false, false) => lifecycle::apply(intent, Transition::Retry, Some(text), now),
            (false, true) => Ok(()),
        }
    })?;
    let repaired = (outcome == Outcome::Fixed).then(|| escalate::repaired(worker.parts, &changed));
    worker.lesson = record.map(|record| Lesson { record, _number: number });
    worker.settled().await?;
    if let Some(repaired) = repaired {
        repaired.await;
    }
    worker.open_run = None;
    worker.awaits = Awaits::default();
    match (success, over) {
        (true, _) => Ok(Go::Wait),
        (false, false) => Ok(Go::On),
        (false, true) => {
            let why = match outcome {
                Outcome::Interrupted => {
                    format!("nothing more is tried, as it is not known how far it came: {message}")
                }
                _ => given_up(tried, left, &message),
            };
            escalate::exhaust(worker, &changed, &why)
        }
    }
}

/// Why no further attempt follows the one that ended with `message`: so many as may be were made, or no playbook is
/// `left`.
fn given_up(tried: usize, left: bool, message: &str) -> String {
    match (tried, left) {
        (1, true) => format!("the one attempt that the rule allows had no success: {message}"),
        (1, false) => format!("the only playbook was tried without success: {message}"),
        (n, true) => format!("all {n} attempts that the rule allows had no success; the last: {message}"),
        (n, false) => format!("all {n} playbooks were tried without success; the last: {message}"),
    }
}

/// An intent that ended well is back within its hold period: what was taken for a success was none.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn relapse(parts: &Parts, ended: &Ended) -> Result<(), crate::store::Error> {
    let Some(mut intent) = parts.store.intent(ended.intent).await? else { return Ok(()) };
    let now = parts.clock.now();
    let known = parts.store.outcomes_of(ended.intent).await?;
    let last = known.into_iter().rfind(|o| o.outcome == Outcome::Fixed);
    let Some(mut record) = last else { return Ok(()) };
    let number = Number::new(parts);
    record.number = number.value;
    record.outcome = Outcome::Relapsed;
    // Known anew, so that a restart hears of it.
    record.at = now;
    if let Some(attempt) = intent.attempts.iter_mut().rfind(|a| a.number == record.attempt) {
        attempt.outcome = Some(Outcome::Relapsed);
        attempt.message =
            Some(format!("the failure was back at {}, within the hold period", now.to_rfc3339()));
    }
    parts.store.commit(vec![Write::Intent(Arc::new(intent)), Write::Outcome(record.clone())]).await?;
    teach(parts, record);
    Ok(())
}

/// What is to be learned once it is durable.
pub struct Lesson<'a> {
    /// What came of an attempt.
    pub record: OutcomeRecord,
    _number: Number<'a>,
}

/// The number of an outcome on its way: what is kept of learning counts it as missing until this is dropped.
struct Number<'a> {
    parts: &'a Parts,
    value: u64,
}

impl<'a> Number<'a> {
    fn new(parts: &'a Parts) -> Self {
        Self { parts, value: lock(&parts.learner).number() }
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        lock(&self.parts.learner).settle(self.value);
    }
}

/// Tells the learner and whoever watches; publishes what changed in the strategy.
pub fn teach(parts: &Parts, record: OutcomeRecord) {
    let changes = lock(&parts.learner).observe(&record);
    parts.watch.outcome(&record);
    let Ok(topic) = Topic::try_new("brain.strategy.changed") else { return };
    for (n, change) in changes.into_iter().enumerate() {
        let id =
            format!("{}/{}/{}/{}/{n}", record.intent, record.attempt, record.outcome.as_str(), change.class);
        let data = serde_json::to_value(&change).unwrap_or_default();
        let event = Event::new(id, topic.clone(), "brain", record.at, data).about(record.playbook.clone());
        let sent = parts.inbox.deliver(vec![event]);
        tokio::spawn(async move {
            if let Err(error) = sent.await {
                tracing::warn!("failed to publish the change of strategy: {error}");
            }
        });
    }
}

/// What ended the run under way with `failure`, if not itself: the one place that says so, from the kind of its failure.
pub fn ended_by(worker: &Worker<'_>, failure: &Failure) -> EndedBy {
    let disturbed_by = worker.open_run.as_ref().map_or(EndedBy::Itself, |open| open.run.disturbed_by);
    match failure.kind.as_str() {
        hold::FROZEN | hold::STALE => EndedBy::Freeze,
        hold::LOST => EndedBy::LostStore,
        // Its time was up, or an action was cut off: that may be what held it, though the time of that is given back.
        "deadline" | "timeout" | "interrupted" => disturbed_by,
        _ => EndedBy::Itself,
    }
}

fn record(
    worker: &Worker<'_>,
    intent: &Intent,
    (outcome, ended_by): (Outcome, EndedBy),
    now: Time,
) -> Option<OutcomeRecord> {
    let attempt = intent.attempts.last()?;
    let run = worker.open_run.as_ref().map(|open| &open.run);
    let was_held = intent.disturbed || run.is_some_and(|run| !run.disturbed_by.is_itself());
    let millis = |from: Time| (now - from).num_milliseconds().max(0).unsigned_abs();
    Some(OutcomeRecord {
        intent: intent.id,
        attempt: attempt.number,
        rule: intent.rule.clone(),
        class: intent.learning_class(),
        target: intent.target.clone(),
        playbook: attempt.playbook.clone(),
        source_hash: run.map(|run| run.source_hash.clone()).unwrap_or_default(),
        outcome,
        ended_by,
        untimed: was_held || intent.created_at < worker.parts.since,
        escalation: attempt.escalation,
        recovery_ms: millis(intent.created_at),
        attempt_ms: millis(attempt.started_at),
        propensity: intent.decision.as_ref().map_or(1.0, |d| d.propensity),
        confidence: attempt.confidence,
        at: now,
        number: 0,
    })
}
