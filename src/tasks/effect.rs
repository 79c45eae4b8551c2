//! Carries out what a playbook asked of its host: an action, a wait, an event, a question.
//!
//! An effect begins only once its `started` record is durable. One that was cut off is repeated if its action is
//! idempotent, asked about if it can be probed, and otherwise reported as `interrupted`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::gate::Shut;
use super::wait::Wait;
use super::worker::{Slot, Stop, Worker};
use super::{ask, hold, wait};
use crate::actions::{self, Action, Call};
use crate::journal::edge;
use crate::model::{Chance, Clock, Event, Failure, Intent, Span, Step, Topic};
use crate::platform::beginning::{self, Pass};
use crate::platform::sleep;
use crate::playbook::{ActRequest, Request};

/// Longest pause between two tries of an action.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Pause before an event that could not be kept is sent again.
const EMIT_AGAIN: Duration = Duration::from_secs(1);

/// The source of what playbooks emit.
pub const EMITTED: &str = "playbook";

/// Carries out `request`, which is `step`; `again` if it was begun before and may have had its effect.
///
/// # Errors
/// [`Stop::NotBegun`] if it was held back after all; nothing of it has begun then but what had before.
pub async fn perform(
    worker: &mut Worker<'_>,
    step: Step,
    request: Request,
    again: bool,
) -> Result<Result<Value, Failure>, Stop> {
    let acts = matches!(request, Request::Act(_) | Request::All { .. });
    if !acts && !matches!(request, Request::Emit { .. }) {
        return wait(worker, step, request).await;
    }
    worker.durable().await?;
    if acts {
        edge::pass("started");
    }
    // Its record may have taken a while to become durable: asked again, now that nothing comes between.
    let who = hold::who(worker, &request);
    let (parts, cancel) = (worker.parts, worker.cancel.clone());
    let enter = move || match cancel.is_cancelled() {
        true => Err(Shut::Ended),
        false => parts.gate.enter(parts, &who),
    };
    let pass = enter().map_err(Stop::NotBegun)?;
    match request {
        Request::Act(act) => act_once(worker, &step, act, again, (&enter, pass)).await,
        Request::All { actions, partial } => {
            all(worker, &step, actions, (partial, again), (&enter, pass)).await
        }
        Request::Emit { topic, data } => beginning::with(pass, emit(worker, &step, &topic, data)).await,
        request => wait(worker, step, request).await,
    }
}

/// What is asked before each try of an action, and the pass for the first one.
type Gated<'a> = (&'a (dyn Fn() -> Result<Pass, Shut> + Send + Sync), Pass);

async fn wait(worker: &mut Worker<'_>, step: Step, request: Request) -> Result<Result<Value, Failure>, Stop> {
    match request {
        Request::Ask { question, choices, timeout, details } => {
            let question = ask::Question { text: question, choices, timeout, details };
            ask::ask(worker, &step, &question).await
        }
        request => match wait::of(&request, &step, &target(worker)) {
            Ok(Some(Wait::Until(time))) => Ok(wait::until(worker, time).await?.map(|()| Value::Null)),
            Ok(Some(Wait::Event(awaited))) => wait::event_of(worker, &step, &awaited).await,
            Ok(None) => Ok(Err(Failure::new("invalid", "this is nothing that a playbook can ask for"))),
            Err(failure) => Ok(Err(failure)),
        },
    }
}

fn target(worker: &Worker<'_>) -> String {
    worker.parts.board.get(worker.id).map(|intent| intent.target.clone()).unwrap_or_default()
}

async fn act_once(
    worker: &mut Worker<'_>,
    step: &Step,
    act: ActRequest,
    again: bool,
    gated: Gated<'_>,
) -> Result<Result<Value, Failure>, Stop> {
    let plan = match plan(worker, step, act, 0) {
        Ok(plan) => plan,
        Err(failure) => return Ok(Err(failure)),
    };
    let limit = worker.time_left();
    report_first(worker, step);
    let Worker { slot, cancel, .. } = worker;
    let result = limited(plan, again, limit, (gated, cancel), Some(&mut *slot)).await;
    // The run's time may have ended in a pause.
    slot.acquire().await;
    result
}

async fn all(
    worker: &mut Worker<'_>,
    step: &Step,
    acts: Vec<ActRequest>,
    (partial, again): (bool, bool),
    (enter, pass): Gated<'_>,
) -> Result<Result<Value, Failure>, Stop> {
    let limit = worker.time_left();
    report_first(worker, step);
    let plans: Vec<_> = acts.into_iter().enumerate().map(|(i, act)| plan(worker, step, act, i)).collect();
    let cancel = &worker.cancel;
    let results = join_all(plans.into_iter().map(|plan| {
        let pass = pass.clone();
        async move {
            match plan {
                // Together they hold one right to act, so none of them gives it back while it pauses.
                Ok(plan) => limited(plan, again, limit, ((enter, pass), cancel), None).await,
                Err(failure) => Ok(Err(failure)),
            }
        }
    }));
    // Each holds the pass until it has begun.
    drop(pass);
    let results = results.await;
    let results = results.into_iter().collect::<Result<Vec<_>, Stop>>()?;
    if partial {
        let each = results.into_iter().map(|result| match result {
            Ok(value) => json!({ "ok": true, "result": value }),
            Err(failure) => json!({ "ok": false, "error": failure }),
        });
        return Ok(Ok(each.collect()));
    }
    Ok(results.into_iter().collect::<Result<Vec<_>, _>>().map(Value::Array))
}

/// An action with everything its call needs.
struct Planned {
    action: Arc<dyn Action>,
    call: Call,
    timeout: Span,
    retries: u32,
    backoff: Duration,
    chance: Chance,
    clock: Clock,
}

fn plan(worker: &Worker<'_>, step: &Step, act: ActRequest, index: usize) -> Result<Planned, Failure> {
    let Some(action) = worker.parts.actions.get(&act.action) else {
        let advice = "see `paramedic actions list` for those there are";
        return Err(
            Failure::new("invalid", format!("there is no action `{}`; {advice}", act.action)).of(&act.action)
        );
    };
    let intent = worker.parts.board.get(worker.id);
    let call = Call {
        name: act.action.clone(),
        params: act.params,
        key: act.key.unwrap_or_else(|| format!("{}/{}/{index}", step.run, step.seq)),
        target: intent.as_ref().map(|i| i.target.clone()).unwrap_or_default(),
        intent: Some(worker.id),
        run: Some(step.run),
        step: step.seq,
        rule: intent.as_ref().map(|i| i.rule.clone()).unwrap_or_default(),
        options: worker.open_run.as_ref().map(|open| open.playbook.options.clone()).unwrap_or_default(),
        dry: false,
        last_words: actions::LastWords::default(),
    };
    actions::check(action.spec(), &call).map_err(|failure| failure.of(&act.action))?;
    let timeout = act.timeout.unwrap_or(action.spec().timeout);
    let backoff = act.backoff.map_or(Duration::from_secs(1), |span| span.0);
    let chance = worker.parts.chance.clone();
    let (clock, retries) = (worker.parts.clock.clone(), act.retries.unwrap_or(0));
    Ok(Planned { action, call, timeout, retries, backoff, chance, clock })
}

async fn limited(
    plan: Planned,
    again: bool,
    limit: Duration,
    gated: (Gated<'_>, &CancellationToken),
    slot: Option<&mut Slot>,
) -> Result<Result<Value, Failure>, Stop> {
    let name = plan.call.name.clone();
    let clock = plan.clock.clone();
    let result = match sleep::within(&clock, limit, tries(plan, again, gated, slot)).await {
        Some(result) => result?,
        None => Err(Failure::new("timeout", "the run's time was up before the action ended")),
    };
    Ok(result.map_err(|failure| failure.of(&name)))
}

async fn tries(
    plan: Planned,
    again: bool,
    ((enter, first), cancel): (Gated<'_>, &CancellationToken),
    mut slot: Option<&mut Slot>,
) -> Result<Result<Value, Failure>, Stop> {
    let mut pass = Some(first);
    // A further try would be a further effect. After a restart an idempotent action is tried again.
    let ended = |failure| if plan.action.idempotent(&plan.call) { Err(Stop::Told) } else { Ok(Err(failure)) };
    if again {
        // Looking takes a while, so it is asked anew after that.
        pass = None;
        if let Some(answer) = repeat(&plan).await {
            return Ok(answer);
        }
    }
    let mut pause = plan.backoff;
    let mut last: Option<Failure> = None;
    for left in (0..=plan.retries).rev() {
        let pass = match pass.take().map_or_else(enter, Ok) {
            Ok(pass) => pass,
            Err(shut) => match (last, shut) {
                (None, shut) => return Err(Stop::NotBegun(shut)),
                (Some(failure), Shut::Ended) => return ended(failure),
                (Some(failure), shut) => {
                    let what = if matches!(shut, Shut::Frozen(_)) { "frozen" } else { "nothing can be kept" };
                    let message = format!("{}; {what}, so it is not tried again", failure.message);
                    return Ok(Err(Failure { message, ..failure }));
                }
            },
        };
        let call = actions::within(plan.action.as_ref(), plan.call.clone(), plan.timeout);
        let failure = match beginning::with(pass, call).await {
            Ok(value) => return Ok(Ok(value)),
            Err(failure) => failure,
        };
        if left == 0 || !failure.retryable {
            return Ok(Err(failure));
        }
        // Half to one and a half times the pause, so that many retries do not come at once.
        let pause_now = pause.mul_f64(0.5 + plan.chance.fraction()).min(MAX_BACKOFF);
        // Others may act meanwhile.
        if let Some(slot) = &mut slot {
            slot.release();
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return ended(failure),
            () = sleep::pause(&plan.clock, pause_now) => {}
        }
        if let Some(slot) = &mut slot {
            slot.acquire().await;
        }
        last = Some(failure);
        pause = (pause * 2).min(MAX_BACKOFF);
    }
    Ok(Err(Failure::new("failed", "the action was not tried")))
}

/// What a step that was cut off comes to without trying again; `None` if it is to be tried again.
async fn repeat(plan: &Planned) -> Option<Result<Value, Failure>> {
    if plan.action.idempotent(&plan.call) {
        return None;
    }
    match plan.action.probe(&plan.call) {
        Some(probe) => match probe.await {
            Ok(Some(value)) => Some(Ok(value)),
            Ok(None) => None,
            Err(failure) => Some(Err(failure)),
        },
        None => Some(Err(cut_off(&plan.call.name))),
    }
}

/// What is said of an action whose end nobody saw and that must not be repeated.
pub fn cut_off(action: &str) -> Failure {
    let what = if action.is_empty() { "several actions were" } else { "it was" };
    let why = format!("the engine died while {what} under way; whether it took effect is not known");
    Failure::new("interrupted", why).of(action)
}

async fn emit(
    worker: &mut Worker<'_>,
    step: &Step,
    topic: &str,
    data: Value,
) -> Result<Result<Value, Failure>, Stop> {
    let topic = match Topic::try_new(topic) {
        Ok(topic) => topic,
        Err(error) => return Ok(Err(Failure::new("invalid", error.to_string()))),
    };
    let intent = worker.parts.board.get(worker.id);
    let id = format!("{}/{}", step.run, step.seq);
    let mut event = Event::new(id, topic, EMITTED, step.started_at, data);
    if let Some(intent) = intent {
        event.subject = Some(intent.target.clone());
        event.causationid = Some(cause(&intent));
        event.correlationid = Some(intent.id.to_string());
    }
    // The same step sends the same (source, id), so a repeat after a crash is dropped as a duplicate.
    while let Err(why) = worker.parts.inbox.deliver(vec![event.clone()]).await {
        if worker.time_left() <= EMIT_AGAIN {
            return Ok(Err(Failure::retryable("failed", format!("emit: {why}"))));
        }
        if !worker.pause(EMIT_AGAIN).await {
            return Err(Stop::Told);
        }
        worker.slot.acquire().await;
    }
    Ok(Ok(Value::Null))
}

fn cause(intent: &Intent) -> String {
    format!("{}/{}", intent.event.source, intent.event.id)
}

fn report_first(worker: &Worker<'_>, step: &Step) {
    if step.seq == 0
        && let Some(intent) = worker.parts.board.get(worker.id).filter(|i| i.attempts.len() == 1)
    {
        let micros = (worker.now() - intent.created_at).num_microseconds().unwrap_or(i64::MAX);
        worker.parts.watch.first_action(micros.max(0).unsigned_abs());
    }
}

#[cfg(test)]
mod tests;
