//! Waits of a playbook and of a check: for a time, or for an event, which may have come before a restart.
//!
//! What is waited for holds no right to act meanwhile. A wait that is taken up again looks into the log for what it
//! missed.

use std::sync::Arc;

use serde_json::{Value, json};

use super::worker::{Stop, Worker};
use crate::condition;
use crate::model::{Event, Failure, Pattern, Span, Step, Time};
use crate::store::EventQuery;

/// Waits until `until`, or until the run's time is up.
pub async fn until(worker: &mut Worker<'_>, until: Time) -> Result<Result<(), Failure>, Stop> {
    // The promise to sleep is recorded before the wait, so that a restart waits only for the rest.
    worker.durable().await?;
    let rest = (until - worker.parts.clock.now()).to_std().unwrap_or_default();
    let limit = worker.time_left();
    if !worker.pause(rest.min(limit)).await {
        return Err(Stop::Told);
    }
    worker.slot.acquire().await;
    Ok(if rest > limit { Err(time_up()) } else { Ok(()) })
}

/// Waits for an event as the script described it.
pub async fn event_of(
    worker: &mut Worker<'_>,
    step: &Step,
    pattern: &str,
    when: Option<String>,
    timeout: Span,
    again: bool,
) -> Result<Result<Value, Failure>, Stop> {
    let pattern = match Pattern::try_new(pattern) {
        Ok(pattern) => pattern,
        Err(error) => return Ok(Err(Failure::new("invalid", error.to_string()))),
    };
    let target = worker.parts.board.get(worker.id).map(|i| i.target.clone()).unwrap_or_default();
    let test = match event_test(when.as_deref(), &target) {
        Ok(test) => test,
        Err(failure) => return Ok(Err(failure)),
    };
    let event = event(worker, step, &pattern, test, timeout, again).await?;
    Ok(event.map(|event| event.map_or(Value::Null, |event| json!(event))))
}

/// Waits for the event that `step` is about, until `timeout` has passed since the step began; `again` if it had begun
/// before, so that the event may have come already.
pub async fn event(
    worker: &mut Worker<'_>,
    step: &Step,
    pattern: &Pattern,
    test: Test,
    timeout: Span,
    again: bool,
) -> Result<Result<Option<Arc<Event>>, Failure>, Stop> {
    let waiter = worker.parts.waiters.wait(pattern.clone(), boxed(&test));
    worker.durable().await?;
    if again && let Some(event) = earlier(worker, pattern, step.started_at, &test).await? {
        return Ok(Ok(Some(event)));
    }
    let until = step.started_at + timeout.delta();
    let rest = (until - worker.parts.clock.now()).to_std().unwrap_or_default();
    let limit = worker.time_left();
    worker.slot.release();
    let result = tokio::select! {
        // What came in time counts, even where the time is up in the same moment.
        biased;
        event = waiter => Ok(Some(event)),
        () = tokio::time::sleep(rest.min(limit)) => if rest > limit { Err(time_up()) } else { Ok(None) },
        () = worker.cancel.cancelled() => return Err(Stop::Told),
    };
    worker.slot.acquire().await;
    Ok(result)
}

/// A test of events, shared between the wait and the search in the log.
pub type Test = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// The test that `when` describes, with `target` to compare with.
///
/// # Errors
/// When it is not a condition.
pub fn event_test(when: Option<&str>, target: &str) -> Result<Test, Failure> {
    let Some(when) = when else { return Ok(Arc::new(|_| true)) };
    let condition = condition::compile(when, &["target"])
        .map_err(|error| Failure::new("invalid", format!("`{when}` is not a condition: {error}")))?;
    let target = Value::from(target);
    Ok(Arc::new(move |event| condition.test(event, &[("target", &target)]).unwrap_or(false)))
}

/// The same test, as a wait takes it.
pub fn boxed(test: &Test) -> Box<dyn Fn(&Event) -> bool + Send + Sync> {
    let test = test.clone();
    Box::new(move |event| test(event))
}

/// The first event since `since` that is in the log already.
pub async fn earlier(
    worker: &Worker<'_>,
    pattern: &Pattern,
    since: Time,
    test: &Test,
) -> Result<Option<Arc<Event>>, Stop> {
    let mut cursor = None;
    loop {
        let query = EventQuery {
            pattern: Some(pattern.clone()),
            // By arrival: the clock of whoever sent it may be wrong.
            arrived_since: Some(since),
            cursor,
            ..EventQuery::default()
        };
        let page = worker.parts.store.events(query).await?;
        if let Some(event) = page.items.into_iter().find(|event| test(event)) {
            return Ok(Some(Arc::new(event)));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(None);
        }
    }
}

fn time_up() -> Failure {
    Failure::new("timeout", "the run's time is up")
}
