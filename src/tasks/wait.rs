//! Waits of a playbook: for a time, or for an event, which may have come before a restart.
//!
//! A wait ends the work on the intent with [`Stop::Parked`]; when what was waited for is there, or the time is up, the
//! work is taken up again from the store, comes to the same wait, and finds it over. What came between the start of the
//! run and the wait, or while a restart had cut it off, it finds in the log.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::lot::Ticket;
use super::worker::{Stop, Worker};
use crate::model::{Event, Failure, Pattern, Span, Step, StepKind, Time};
use crate::playbook::Request;
use crate::store::EventQuery;

/// What a step of a playbook waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// A time.
    Until(Time),
    /// An event.
    Event(Awaited),
}

/// The event that is waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Awaited {
    /// Which topics.
    pub pattern: Pattern,
    /// A condition on it.
    pub when: Option<String>,
    /// What the condition sees as `target`.
    pub target: String,
    /// Until when.
    pub until: Time,
    /// From when on events count, by their arrival; none: from the start of the run.
    pub since: Option<Time>,
}

/// What `request`, begun as `step` for `target`, waits for; none if it has an effect instead.
///
/// # Errors
/// When it is a wait that makes no sense.
pub fn of(request: &Request, step: &Step, target: &str) -> Result<Option<Wait>, Failure> {
    let until = |span: &Span| step.started_at + span.delta();
    Ok(Some(match request {
        Request::Sleep(span) => Wait::Until(until(span)),
        Request::WaitFor { pattern, when, timeout, since } => Wait::Event(Awaited {
            pattern: Pattern::try_new(pattern).map_err(|error| Failure::new("invalid", error.to_string()))?,
            when: when.clone(),
            target: target.into(),
            until: until(timeout),
            since: *since,
        }),
        Request::Ask { timeout, .. } => Wait::Event(super::ask::awaited(step, until(timeout))),
        Request::Act(_) | Request::All { .. } | Request::Emit { .. } | Request::Continue(_) => {
            return Ok(None);
        }
    }))
}

/// The request that `step` was made of, where it is a wait; none for anything else, or what does not read.
pub fn recorded(step: &Step) -> Option<Request> {
    let span = |name: &str| serde_json::from_value(step.request[name].clone()).ok();
    Some(match step.kind {
        StepKind::Sleep => Request::Sleep(span("time")?),
        StepKind::WaitFor => Request::WaitFor {
            pattern: step.name.clone(),
            when: step.request["when"].as_str().map(Into::into),
            timeout: span("timeout")?,
            since: serde_json::from_value(step.request["since"].clone()).ok().flatten(),
        },
        StepKind::Ask => Request::Ask {
            question: String::new(),
            choices: serde_json::from_value(step.request["choices"].clone()).ok()?,
            timeout: span("timeout")?,
            details: false,
        },
        _ => return None,
    })
}

/// Waits until `until`, or until the run's time is up.
pub async fn until(worker: &mut Worker<'_>, until: Time) -> Result<Result<(), Failure>, Stop> {
    let deadline = worker.deadline();
    let end = until.min(deadline);
    if worker.now() < end {
        // The promise to sleep is recorded before the wait, so that a restart waits only for the rest.
        worker.durable().await?;
        return Err(worker.parked(end));
    }
    Ok(if until > deadline { Err(time_up()) } else { Ok(()) })
}

/// Waits for the event that `step` is about and that `fits`. Events count that arrived before the wait began, too: the
/// action before it may have caused one at once.
pub async fn event(
    worker: &mut Worker<'_>,
    step: &Step,
    awaited: &Awaited,
    fits: impl Fn(&Event) -> bool,
) -> Result<Result<Option<Arc<Event>>, Failure>, Stop> {
    let deadline = worker.deadline();
    let began = worker.open_run.as_ref().map_or(step.started_at, |open| open.run.started_at);
    let since = awaited.since.unwrap_or(began);
    let held = worker.awaits.step.take().filter(|(seq, _)| *seq == step.seq).map(|(_, ticket)| ticket);
    let mut look_back = held.is_none();
    let mut ticket = match held {
        Some(ticket) => ticket,
        None => match begin(worker, awaited) {
            Ok(ticket) => ticket,
            Err(failure) => return Ok(Err(failure)),
        },
    };
    worker.durable().await?;
    if !look_back && let Some(event) = ticket.take() {
        if event.arrival() >= worker.arrived_since(since) && fits(&event) {
            return Ok(Ok(Some(event)));
        }
        // Not the one: wait on, and look at what may have come between the two waits.
        match begin(worker, awaited) {
            Ok(next) => ticket = next,
            Err(failure) => return Ok(Err(failure)),
        }
        look_back = true;
    }
    // What is in the log by now is before what the new wait has seen: the first comes first.
    if look_back && let Some(event) = earlier(worker, awaited, since, &fits).await? {
        return Ok(Ok(Some(event)));
    }
    let now = worker.now();
    if now < awaited.until.min(deadline) {
        worker.awaits.step = Some((step.seq, ticket));
        return Err(worker.parked(awaited.until.min(deadline)));
    }
    Ok(if awaited.until > deadline { Err(time_up()) } else { Ok(None) })
}

/// The same for `wait_for`, as its result. What fired the rule and what the run itself emitted is not waited for, and an
/// event that ended a wait of this run ends no other one.
pub async fn event_of(
    worker: &mut Worker<'_>,
    step: &Step,
    awaited: &Awaited,
) -> Result<Result<Value, Failure>, Stop> {
    let mut given: HashSet<(String, String)> = HashSet::new();
    if let Some(open) = &worker.open_run {
        let waits =
            open.journal.steps().iter().filter(|it| it.kind == StepKind::WaitFor && it.seq < step.seq);
        let name = |event: &Value| Some((event["source"].as_str()?.into(), event["id"].as_str()?.into()));
        given.extend(waits.filter_map(|it| it.result.as_ref().and_then(name)));
    }
    if let Some(intent) = worker.parts.board.get(worker.id) {
        let fired = intent.events.iter().chain([&intent.event]);
        given.extend(fired.map(|event| (event.source.clone(), event.id.clone())));
    }
    let own = format!("{}/", step.run);
    let fits = |event: &Event| {
        let is_own = event.source == super::effect::EMITTED && event.id.starts_with(&own);
        !is_own && !given.contains(&(event.source.clone(), event.id.clone()))
    };
    let event = event(worker, step, awaited, fits).await?;
    Ok(event.map(|event| event.map_or(Value::Null, |event| json!(event))))
}

/// Begins to wait.
pub fn begin(worker: &Worker<'_>, awaited: &Awaited) -> Result<Ticket, Failure> {
    let Awaited { pattern, when, target, .. } = awaited;
    worker.parts.waits.wait(worker.id, pattern, when.as_deref(), target).map_err(|error| {
        Failure::new("invalid", format!("`{}` is not a condition: {error}", when.as_deref().unwrap_or("")))
    })
}

/// The first event since `since` that is in the log already and fits.
pub async fn earlier(
    worker: &Worker<'_>,
    awaited: &Awaited,
    since: Time,
    fits: impl Fn(&Event) -> bool,
) -> Result<Option<Arc<Event>>, Stop> {
    let condition = match &awaited.when {
        // Checked before it was waited for; a text that does not compile any more shows nothing.
        Some(when) => match crate::condition::compile(when, &["target"]) {
            Ok(condition) => Some(condition),
            Err(_) => return Ok(None),
        },
        None => None,
    };
    let since = worker.arrived_since(since);
    let target = Value::from(awaited.target.as_str());
    let passes = |event: &Event| {
        let when =
            condition.as_ref().is_none_or(|it| it.test(event, &[("target", &target)]).unwrap_or(false));
        when && fits(event)
    };
    let mut cursor = None;
    loop {
        let query = EventQuery {
            pattern: Some(awaited.pattern.clone()),
            // By arrival: the clock of whoever sent it may be wrong.
            arrived_since: Some(since),
            cursor,
            ..EventQuery::default()
        };
        let page = worker.parts.store.events(query).await?;
        if let Some(event) = page.items.into_iter().find(|event| event.arrival() >= since && passes(event)) {
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
