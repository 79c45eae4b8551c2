//! One attempt: a run of a playbook, driven from step to step through its journal.
//!
//! The script is run in short bursts on the threads of `pool`; between two of them its request is carried out. It never
//! begins an effect whose `started` record is not durable.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::effect;
use super::gate::Shut;
use super::hold;
use super::lives;
use super::note;
use super::renew;
use super::worker::{Go, OpenRun, Stop, Worker};
use crate::intents::lifecycle::{self, Transition};
use crate::journal::Journal;
use crate::journal::edge;
use crate::model::run::Phase;
use crate::model::{
    Attempt, Decision, EndedBy, Failure, Intent, Run, RunId, RunStatus, Step, StepKind, StepStatus,
};
use crate::playbook::{self, Burst, Env, Limits, Playbook, Request};
use crate::store::Write;

/// Time that a rollback gets beyond the run's own deadline.
pub const ROLLBACK_TIME: chrono::TimeDelta = chrono::TimeDelta::minutes(5);

/// The kind of failure of a `verify` that answers neither yes nor no.
pub const UNCLEAR: &str = "unclear";

/// Begins an attempt with what was decided.
pub fn begin(worker: &mut Worker<'_>, intent: &Arc<Intent>, decision: Decision) -> Result<Go, Stop> {
    let params = intent.plan.params.clone();
    open(worker, intent, &decision.playbook.clone(), params, Some(decision), false)
}

/// Begins a run of `name`; with `escalation` it tells a person and does not repair.
pub fn open(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
    name: &str,
    params: Map<String, Value>,
    decision: Option<Decision>,
    escalation: bool,
) -> Result<Go, Stop> {
    let parts = worker.parts;
    let now = worker.now();
    let number = u32::try_from(intent.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
    let Some(playbook) = parts.library().get(name) else {
        // Taken away since it was chosen: it is chosen again, from what there is now.
        tracing::warn!(intent = %intent.id, "the playbook `{name}` was removed before it began");
        return Ok(Go::On);
    };
    let confidence = decision.as_ref().map_or(1.0, |d| d.confidence);
    let declared = params.into_iter().filter(|(key, _)| playbook.params.contains_key(key)).collect();
    let (params, refused) = match playbook.check_params(&declared) {
        Ok(params) => (params, None),
        Err(failure) => (declared, Some(failure)),
    };
    let run = Run {
        id: RunId::new(now, parts.chance.identity()),
        intent: intent.id,
        attempt: number,
        playbook: playbook.name.clone(),
        source_hash: playbook.hash.clone(),
        ctx: ctx(intent, number, confidence, params),
        status: if refused.is_some() { RunStatus::Failed } else { RunStatus::Running },
        started_at: now,
        deadline: now + playbook.timeout.delta(),
        disturbed_by: EndedBy::Itself,
        taken_up_at: None,
        idle_lives: 0,
        ended_at: refused.is_some().then_some(now),
        result: None,
        verified: None,
        error: refused,
    };
    let attempt = Attempt {
        number,
        playbook: playbook.name.clone(),
        run: run.id,
        escalation,
        confidence,
        started_at: now,
        ended_at: None,
        outcome: None,
        ended_by: EndedBy::Itself,
        message: None,
    };
    let mut writes = vec![Write::Run(Box::new(run.clone()))];
    if !super::lock(&parts.sources).contains(&playbook.hash) {
        writes.push(Write::Source { hash: playbook.hash.clone(), text: playbook.source.clone() });
        worker.source = Some(playbook.hash.clone());
    }
    let reason = intent.reason.clone().filter(|_| escalation);
    let intent = worker.change(writes, |intent| {
        lifecycle::apply(intent, Transition::Start, reason, now)?;
        intent.attempts.push(attempt);
        intent.not_before = None;
        if let Some(decision) = decision {
            intent.decision = Some(decision);
        }
        Ok(())
    })?;
    if !escalation {
        worker.awaits.check = super::check::expect(worker, &intent);
    }
    worker.open_run =
        Some(OpenRun { run, journal: Journal::empty(), playbook, doubtful: None, unkept: false });
    Ok(Go::On)
}

/// Runs the playbook of the latest attempt to its end and returns what `run` returned.
pub async fn carry_out(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
) -> Result<Result<Value, Failure>, Stop> {
    load(worker, intent).await?;
    let Some(open) = &worker.open_run else { return Ok(Err(gone())) };
    if open.run.status == RunStatus::Failed {
        return Ok(Err(open.run.error.clone().unwrap_or_else(gone)));
    }
    if let (RunStatus::Verifying | RunStatus::Succeeded, Some(result)) = (open.run.status, &open.run.result) {
        return Ok(Ok(result.clone()));
    }
    if open.run.status == RunStatus::RollingBack {
        return Ok(Err(open.run.error.clone().unwrap_or_else(gone)));
    }
    let result = phase(worker, Phase::Run).await?;
    let now = worker.now();
    close(worker, |run| match &result {
        Ok(value) => {
            run.status = RunStatus::Succeeded;
            run.result = Some(value.clone());
            run.ended_at = Some(now);
        }
        Err(failure) => {
            run.status = RunStatus::Failed;
            run.error = Some(failure.clone());
            run.ended_at = Some(now);
        }
    });
    Ok(result)
}

/// Asks the playbook itself whether it worked; `None` if it has no `verify`.
pub async fn verify(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
) -> Result<Option<Result<bool, Failure>>, Stop> {
    load(worker, intent).await?;
    let Some(open) = &worker.open_run else { return Ok(Some(Err(gone()))) };
    if !open.playbook.has_verify {
        return Ok(None);
    }
    let result = phase(worker, Phase::Verify).await?;
    let Some(open) = &worker.open_run else { return Ok(Some(Err(gone()))) };
    let verdict = result.and_then(|value| verdict(&open.playbook, &value));
    close(worker, |run| run.verified = verdict.as_ref().ok().copied());
    Ok(Some(verdict))
}

/// What the `answer` of a playbook's `verify` means: whether it worked.
///
/// # Errors
/// When it is neither true nor false, so that nothing is known.
pub fn verdict(playbook: &Playbook, answer: &Value) -> Result<bool, Failure> {
    answer.as_bool().ok_or_else(|| {
        let said = match answer {
            Value::Null => "nothing".to_owned(),
            other => format!("{:.80}", other.to_string()),
        };
        let place = playbook::beginning(playbook, Phase::Verify);
        let text = format!("`verify` must answer true or false, and answered {said} ({place})");
        Failure::new(UNCLEAR, text)
    })
}

/// Undoes what the playbook did, as it has failed with `why`, if it says how. A failure of that is told to a person, and
/// given in words.
pub async fn roll_back(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
    why: &Failure,
) -> Result<Option<String>, Stop> {
    load(worker, intent).await?;
    let Some(open) = &worker.open_run else { return Ok(None) };
    if !open.playbook.has_rollback {
        return Ok(None);
    }
    if open.run.status != RunStatus::RollingBack {
        // Its time is set once, and written down: a restart in the middle gives it no more.
        let deadline = open.run.deadline.max(worker.now()) + ROLLBACK_TIME;
        close(worker, |run| {
            run.status = RunStatus::RollingBack;
            run.error = Some(why.clone());
            run.deadline = deadline;
            run.ended_at = None;
        });
    }
    let failed = phase(worker, Phase::Rollback).await?.err().map(|failure| super::worker::tell(&failure));
    if let Some(failed) = &failed {
        let playbook = intent.attempts.last().map(|a| a.playbook.as_str()).unwrap_or_default();
        super::escalate::half_undone(worker.parts, intent, playbook, failed).await;
    }
    let now = worker.now();
    close(worker, |run| {
        run.status = RunStatus::Failed;
        run.ended_at = Some(now);
    });
    Ok(failed)
}

/// Why the run of the latest attempt is being undone, if it is.
pub async fn undoing(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Option<Failure>, Stop> {
    load(worker, intent).await?;
    let open = worker.open_run.as_ref().filter(|open| open.run.status == RunStatus::RollingBack);
    Ok(open.and_then(|open| open.run.error.clone()))
}

/// A person ended the intent: its run, if one was under way, is over too.
pub fn cancelled(worker: &mut Worker<'_>) {
    if worker.open_run.as_ref().is_none_or(|open| !open.run.status.is_open()) {
        return;
    }
    let now = worker.now();
    close(worker, |run| {
        run.status = RunStatus::Cancelled;
        run.ended_at = Some(now);
    });
}

/// Drives one function of the playbook to its end.
async fn phase(worker: &mut Worker<'_>, phase: Phase) -> Result<Result<Value, Failure>, Stop> {
    if let Some(failure) = lives::deadly(worker).await {
        return Ok(Err(failure));
    }
    loop {
        if worker.cancel.is_cancelled() {
            return Err(Stop::Told);
        }
        let Some(open) = worker.open_run.take() else { return Ok(Err(gone())) };
        let (open, burst) = burst(worker, open, phase).await?;
        worker.open_run = Some(open);
        let (Burst::Done { steps, .. } | Burst::Failed { steps, .. } | Burst::Suspended { steps, .. }) =
            &burst;
        note::pass_on(worker, steps);
        match burst {
            Burst::Done { steps, value } => {
                record(worker, steps);
                return Ok(Ok(value));
            }
            Burst::Failed { steps, failure } => {
                record(worker, steps);
                return Ok(Err(in_doubt(worker, phase).unwrap_or(failure)));
            }
            Burst::Suspended { steps, step, request: Request::Continue(carried) } => {
                record(worker, steps);
                renew::go_on(worker, *step, carried).await?;
            }
            Burst::Suspended { steps, step, request } => {
                record(worker, steps);
                if let Some(failure) = hold::hold(worker, &request).await? {
                    return Ok(Err(in_doubt(worker, phase).unwrap_or(failure)));
                }
                carry_on(worker, *step, request).await?;
            }
        }
    }
}

/// Carries out what the script asks for as `step`; where it is held back at the last moment, it will ask again.
async fn carry_on(worker: &mut Worker<'_>, mut step: Step, request: Request) -> Result<(), Stop> {
    let seq = step.seq;
    let acts = matches!(step.kind, StepKind::Act | StepKind::All);
    let known = acts && worker.open_run.as_ref().is_some_and(|open| open.doubtful == Some(seq));
    let before = step.clone();
    let result = if known && step.tries >= lives::MAX_TRIES {
        Ok(lives::poisoned(worker, &step).await)
    } else {
        step.tries += u32::from(acts);
        step.status = StepStatus::Started;
        record(worker, vec![step.clone()]);
        flush(worker);
        effect::perform(worker, step, request, known).await
    };
    let result = match result {
        Err(Stop::NotBegun(shut)) => {
            // One that was cut off in an earlier life is in doubt as before.
            let status = if known { StepStatus::Started } else { StepStatus::NotBegun };
            record(worker, vec![Step { status, ..before }]);
            flush(worker);
            return if shut == Shut::Ended { Err(Stop::Told) } else { Ok(()) };
        }
        result => result?,
    };
    edge::pass("effect");
    let now = worker.now();
    if let Some(open) = &mut worker.open_run {
        open.journal.finish(seq, result, now);
        open.doubtful = None;
    }
    edge::pass("finished");
    Ok(())
}

/// What is said of a run that ended before it was known what came of an action that was cut off, as when its time was
/// up before the engine was back: whether that action took effect must not be guessed.
fn in_doubt(worker: &Worker<'_>, phase: Phase) -> Option<Failure> {
    let open = worker.open_run.as_ref()?;
    let step = open.journal.steps().get(open.doubtful? as usize)?;
    let acts = matches!(step.kind, StepKind::Act | StepKind::All) && step.phase == phase;
    let repeatable = worker.parts.actions.get(&step.name).is_some_and(|action| action.spec().idempotent);
    (acts && !repeatable).then(|| effect::cut_off(&step.name))
}

async fn burst(worker: &Worker<'_>, open: OpenRun, phase: Phase) -> Result<(OpenRun, Burst), Stop> {
    let env = Env {
        now: worker.now(),
        seed: seed(open.run.id),
        run: open.run.id,
        deadline: open.run.deadline,
        cancelled: false,
        limits: Limits::default(),
    };
    let computed = worker.parts.pool.run(move || {
        let burst = playbook::drive(&open.playbook, phase, &open.run.ctx, open.journal.steps(), &env);
        (open, burst)
    });
    // A burst that panicked has had no effect; the run is taken up again from the store.
    computed.await.ok_or(Stop::Lost)
}

/// Everything of the journal that is not on its way to the store yet.
pub fn flush(worker: &mut Worker<'_>) {
    let unsaved = worker.open_run.as_mut().and_then(|open| open.journal.take_unsaved());
    worker.write(unsaved.into_iter().collect());
}

/// The same for everything of the run, as some of it could not be recorded: if it is the intent's run still, or the intent
/// has ended.
pub fn write_again(worker: &mut Worker<'_>) {
    let intent = worker.parts.board.get(worker.id);
    let is_its = |run| intent.as_ref().is_none_or(|it| it.attempts.last().is_some_and(|a| a.run == run));
    if worker.open_run.as_ref().is_some_and(|open| is_its(open.run.id)) {
        write_all(worker);
    }
}

fn write_all(worker: &mut Worker<'_>) {
    let Some(open) = &mut worker.open_run else { return };
    open.journal.forget_saved();
    let source = Write::Source { hash: open.playbook.hash.clone(), text: open.playbook.source.clone() };
    let run = Write::Run(Box::new(open.run.clone()));
    worker.write(vec![source, run]);
    flush(worker);
}

pub(super) fn record(worker: &mut Worker<'_>, steps: Vec<Step>) {
    if let Some(open) = &mut worker.open_run {
        for step in steps {
            open.journal.put(step);
        }
    }
}

fn close(worker: &mut Worker<'_>, change: impl FnOnce(&mut Run)) {
    flush(worker);
    if let Some(open) = &mut worker.open_run {
        change(&mut open.run);
        let run = open.run.clone();
        worker.write(vec![Write::Run(Box::new(run))]);
    }
}

async fn load(worker: &mut Worker<'_>, intent: &Intent) -> Result<(), Stop> {
    let Some(attempt) = intent.attempts.last() else { return Ok(()) };
    if let Some(open) = worker.open_run.as_mut().filter(|open| open.run.id == attempt.run) {
        if std::mem::take(&mut open.unkept) {
            write_all(worker);
        }
        return Ok(());
    }
    let store = worker.parts.store.as_ref();
    let Some((run, steps)) = store.run_and_steps(attempt.run).await? else { return Ok(()) };
    let playbook = match worker.parts.library().get(&run.playbook).filter(|p| p.hash == run.source_hash) {
        Some(current) => Some(current),
        None => match store.source(run.source_hash.clone()).await? {
            Some(text) => Playbook::from_pinned(&text).ok().map(Arc::new),
            None => None,
        },
    };
    let Some(playbook) = playbook else { return Ok(()) };
    let journal = Journal::of(steps);
    let begun = journal.steps().last().filter(|step| step.status == StepStatus::Started);
    let doubtful = begun.map(|step| step.seq);
    worker.open_run = Some(OpenRun { run, journal, playbook, doubtful, unkept: false });
    if lives::take_up(worker) {
        // Durable before anything of it is computed, so that lives are counted that end there.
        worker.durable().await?;
    }
    Ok(())
}

/// Writes the run down as it is now.
pub(super) fn keep(worker: &mut Worker<'_>) {
    let run = worker.open_run.as_ref().map(|open| Write::Run(Box::new(open.run.clone())));
    worker.write(run.into_iter().collect());
}

/// What a script is given: the intent with all that is known of it.
pub fn ctx(intent: &Intent, attempt: u32, confidence: f64, params: Map<String, Value>) -> Value {
    let tried: Vec<_> = intent
        .attempts
        .iter()
        .map(|a| json!({"playbook": a.playbook, "outcome": a.outcome, "message": a.message}))
        .collect();
    json!({
        "event": intent.event,
        "events": if intent.events.is_empty() { json!([intent.event]) } else { json!(intent.events) },
        "target": intent.target,
        "params": params,
        "rule": intent.rule,
        "intent": {
            "id": intent.id, "goal": intent.goal, "domain": intent.domain, "priority": intent.priority,
            "group": intent.group, "class": intent.class, "fleet": intent.fleet, "count": intent.count,
            "reason": intent.reason, "attempts": tried, "created_at": intent.created_at,
        },
        "attempt": attempt,
        "confidence": confidence,
    })
}

fn seed(run: RunId) -> u128 {
    use std::hash::{BuildHasher, BuildHasherDefault};
    let hasher = BuildHasherDefault::<siphasher::sip::SipHasher13>::default();
    let low = hasher.hash_one(run);
    u128::from(hasher.hash_one((run, low))) << 64 | u128::from(low)
}

fn gone() -> Failure {
    let why = "what this run began with is not in the store any more; how far it came is not known";
    Failure::new("interrupted", why)
}
