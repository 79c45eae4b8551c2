//! Before an attempt: is it still wanted, is it allowed, and which playbook is it to be?
//!
//! `guard` answers whether, `learning` answers which; here they are asked, and the answer is recorded.

use std::sync::Arc;

use super::escalate::Cause;
use super::worker::{Go, Stop, Worker};
use super::{Parts, attempt, escalate, lock};
use crate::guard::{self, Facts, Fleet, Ruling, Verdict};
use crate::intents::lifecycle::Transition;
use crate::intents::{fleets, past};
use crate::journal::edge;
use crate::kernels;
use crate::learning::{Candidate, Learner, Situation};
use crate::model::{Decision, Intent, Mode, Outcome, Span, Status};

/// How long a person has to answer before silence means no.
pub const APPROVAL_WINDOW: Span = Span::secs(30 * 60);

/// The hold-down of `intent` is over: the failure has persisted.
pub fn held(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Go, Stop> {
    if intent.not_before.is_some_and(|at| at > worker.now()) {
        return Ok(Go::Wait);
    }
    worker.transition(Transition::Release, None)?;
    Ok(Go::On)
}

/// Nobody has answered in time, which means no.
pub async fn unanswered(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Go, Stop> {
    if intent.not_before.is_some_and(|at| at > worker.now()) {
        return Ok(Go::Wait);
    }
    let reason = format!("nobody approved it within {APPROVAL_WINDOW}");
    let went = escalate::unrepaired(worker, intent, Cause::Unanswered, reason).await?;
    super::ask::over(worker.parts, intent.id).await;
    Ok(went)
}

/// Whether an event has said meanwhile that what `intent` is about is over. What was interrupted is told all the same.
pub fn is_over(intent: &Intent) -> bool {
    let interrupted = intent.attempts.last().is_some_and(|a| a.outcome == Some(Outcome::Interrupted));
    intent.cleared_at.is_some() && !interrupted
}

/// Whether the next thing that may happen to `intent` is a repair.
pub fn waits(intent: &Intent) -> bool {
    let before = matches!(intent.status, Status::Held | Status::Pending | Status::AwaitingApproval);
    before && !escalate::is_due(intent) && !is_over(intent)
}

/// The rule of `intent` is no longer in force, as `why` says: nothing is repaired in its name. What was tried already and
/// did not help is escalated.
pub async fn withdrawn(worker: &mut Worker<'_>, intent: &Arc<Intent>, why: &str) -> Result<Go, Stop> {
    let asked = intent.status == Status::AwaitingApproval;
    tracing::info!(intent = %intent.id, rule = %intent.rule, "not repaired: {why}");
    let go = match intent.repairs().next() {
        Some(_) if intent.status == Status::Pending => {
            escalate::exhaust(worker, intent, &format!("nothing more is tried: {why}"))?
        }
        _ => {
            worker.transition(Transition::Cancel, Some(format!("{why} before anything was done")))?;
            Go::Wait
        }
    };
    if asked {
        super::ask::over(worker.parts, intent.id).await;
    }
    Ok(go)
}

/// Decides what happens to a pending intent.
pub async fn weigh(worker: &mut Worker<'_>, intent: &Arc<Intent>) -> Result<Go, Stop> {
    if let Some(why) = recovered(worker, intent).await {
        worker.transition(Transition::Clear, Some(why))?;
        return Ok(Go::Wait);
    }
    let approved = approved(worker, intent);
    let is_approved = approved.is_some();
    let Some(decision) = approved.or_else(|| choose(worker, intent)) else {
        return escalate::exhaust(worker, intent, "no playbook of the rule is left to try");
    };
    let because = |ruling: &Ruling, reason: String| format!("{}: {reason}", ruling.guard);
    let (ruling, decision) = {
        let parts = worker.parts;
        // One after the other: what two would find free at the same time goes to one of them.
        let _turn = lock(&parts.turn);
        // A reload takes its turn here too: what is begun after it is begun under what it put in force.
        if parts.live.withdrawn(intent).is_some() {
            return Ok(Go::On);
        }
        let ruling = ruling(parts, intent, &decision, is_approved);
        edge::pass("decided");
        if ruling.verdict == Verdict::Allow && (intent.plan.mode != Mode::Ask || is_approved) {
            return attempt::begin(worker, intent, decision);
        }
        (ruling, decision)
    };
    match ruling.verdict.clone() {
        Verdict::Deny { reason, .. } if ruling.guard == "max_attempts" => {
            escalate::exhaust(worker, intent, &reason)
        }
        Verdict::Deny { reason, expired } => {
            let cause = if expired { Cause::expired(intent) } else { Cause::Refused(ruling.guard.clone()) };
            escalate::unrepaired(worker, intent, cause, because(&ruling, reason)).await
        }
        Verdict::Wait { until, reason } => {
            let reason = because(&ruling, reason);
            // When it is too old it is looked at once more, and its end is told then and not when the guard would allow it.
            let untried = intent.repairs().next().is_none();
            let until = if untried { until.min(intent.expires_at) } else { until };
            worker.change(vec![], |i| {
                i.not_before = Some(until);
                i.reason = Some(reason);
                Ok(())
            })?;
            Ok(Go::Wait)
        }
        Verdict::Ask { reason } => {
            let reason = because(&ruling, reason);
            request(worker, intent, decision, reason).await
        }
        Verdict::Allow => request(worker, intent, decision, "the rule asks before it acts".into()).await,
    }
}

/// What the guards say to `decision`.
fn ruling(parts: &Parts, intent: &Intent, decision: &Decision, approved: bool) -> Ruling {
    let now = parts.clock.now_in(intent.era);
    let past = parts.board.past(intent, now);
    let frozen = parts.freeze.on(intent, Some(&decision.playbook));
    guard::combine(&Facts {
        intent,
        now,
        last_start: past.last_start,
        rule_starts: &past.rule_starts,
        confidence: Some(decision.confidence),
        approved,
        fleet: intent.plan.guard.blast_radius.map(|_| fleet(parts, intent, &past)),
        frozen: frozen.as_ref(),
        forgotten: past.forgotten,
    })
}

/// The fleet of `intent`: kernels that say so, and those that intents were about.
pub fn fleet<'a>(parts: &Parts, intent: &'a Intent, past: &past::Facts) -> Fleet<'a> {
    let name = fleets::of(intent);
    let kernels = parts.kernels.list().iter().filter(|kernel| kernel.fleet.as_deref() == Some(name)).count();
    Fleet { name, size: past.fleet_size.max(kernels), touched: past.touched.clone() }
}

async fn request(
    worker: &mut Worker<'_>,
    intent: &Intent,
    decision: Decision,
    reason: String,
) -> Result<Go, Stop> {
    // Told first: an intent that waits for a person who does not know of it would wait for nothing.
    let told =
        super::ask::permission(worker.parts, intent, &decision.playbook, &reason, APPROVAL_WINDOW).await;
    told.map_err(|failure| Stop::Untold(failure.message))?;
    let now = worker.now();
    let hash = worker.parts.library().get(&decision.playbook).map(|playbook| playbook.hash.clone());
    worker.change(vec![], |intent| {
        crate::intents::lifecycle::apply(intent, Transition::Ask, Some(reason), now)?;
        let until = now + APPROVAL_WINDOW.delta();
        intent.not_before = Some(until);
        intent.expires_at = intent.expires_at.max(until);
        intent.approved_by = None;
        intent.asked_for = hash;
        intent.decision = Some(decision);
        Ok(())
    })?;
    Ok(Go::Wait)
}

/// What a person has approved, as long as it is what they saw and was not tried yet. An edited playbook or the next
/// attempt is asked about anew.
fn approved(worker: &Worker<'_>, intent: &Intent) -> Option<Decision> {
    intent.approved_by.as_ref()?;
    let decision = intent.decision.clone()?;
    let playbook = worker.parts.library().get(&decision.playbook)?;
    let tried = intent.repairs().any(|attempt| attempt.playbook == decision.playbook);
    (!tried && intent.asked_for.as_deref() == Some(&*playbook.hash)).then_some(decision)
}

/// What learning prefers among the candidates that were not tried yet.
fn choose(worker: &Worker<'_>, intent: &Intent) -> Option<Decision> {
    let library = worker.parts.library();
    let mut candidates: Vec<Candidate> = intent
        .plan
        .playbooks
        .iter()
        .filter_map(|name| library.get(name))
        .map(|playbook| Candidate {
            playbook: playbook.name.clone(),
            hash: playbook.hash.clone(),
            risk: playbook.risk,
            cost: playbook.cost,
        })
        .collect();
    let tried: Vec<String> = intent.repairs().map(|attempt| attempt.playbook.clone()).collect();
    if let Some(first) = worker.parts.first.as_ref().filter(|first| !tried.contains(first))
        && candidates.iter().any(|it| it.playbook == *first)
    {
        candidates.retain(|it| it.playbook == *first);
    }
    let max = intent.plan.guard.max_attempts.unwrap_or(guard::MAX_ATTEMPTS);
    let situation = Situation {
        class: &intent.learning_class(),
        priority: intent.priority,
        tried: &tried,
        attempts_left: max.saturating_sub(u32::try_from(tried.len()).unwrap_or(u32::MAX)),
        person: Learner::PERSON,
        seed: worker.parts.chance.number(),
        now: worker.parts.clock.now(),
    };
    lock(&worker.parts.learner).choose(&candidates, &situation)
}

/// Whether a kernel that the rule's `resolved` speaks of is well again, asked of the kernel itself.
async fn recovered(worker: &Worker<'_>, intent: &Intent) -> Option<String> {
    if intent.attempts.iter().any(|a| !a.escalation)
        || !intent.plan.resolved_by.iter().any(|p| p.matches("telemetry.kernel.healthy"))
    {
        return None;
    }
    let kernel = worker.parts.kernels.get(&intent.target)?;
    let well = kernel.state == kernels::State::Healthy
        // One that is ahead of the clock was written down before the clock was set, and shows nothing.
        && kernel.since.is_some_and(|since| since > intent.last_event_at && since <= worker.parts.clock.now());
    well.then(|| format!("over by itself before anything was done: {} is healthy again", intent.target))
}
