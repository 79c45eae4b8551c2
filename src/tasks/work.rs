//! One intent's way from its turn to its end: weigh, attempt, check, and again or escalate.
//!
//! Each step is recorded before the next begins, so the loop may be entered with any status, as after a restart.

use std::sync::Arc;
use std::time::Duration;

use super::lot::Awaits;
use super::worker::{Go, Stop, Worker, tell};
use super::{attempt, check, escalate, lives, outcome, weigh};
use crate::intents::board;
use crate::intents::lifecycle::Transition;
use crate::journal::edge;
use crate::model::{EndedBy, Failure, Intent, Outcome, Status, Time};
use crate::store::Write;

/// Pause before what could not be recorded is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// Works until the intent ends or has to wait. Where its playbook or its check waits for a time or an event, it
    /// answers until when at most, and what for.
    pub async fn work(mut self) -> Option<(Time, Awaits)> {
        let mut parked = None;
        loop {
            self.slot.acquire().await;
            let Some(intent) = self.parts.board.get(self.id) else { break };
            let went = match self.step(&intent).await {
                Ok(Go::Wait) => self.durable().await.map(|()| Go::Wait),
                went => went,
            };
            match went {
                Ok(Go::On) => {}
                Ok(Go::Wait) | Err(Stop::Told | Stop::NotBegun(_)) => break,
                Err(Stop::Parked(until)) => {
                    lives::waits(&mut self);
                    parked = Some(until);
                    break;
                }
                Err(error @ (Stop::Record(_) | Stop::Lost | Stop::Untold(_))) => {
                    tracing::error!(intent = %self.id, "work on the intent waits: {error}");
                    // What is known of the run stays known; it is written again.
                    if let Some(open) = &mut self.open_run {
                        open.unkept = true;
                    }
                    self.forget();
                    if !self.pause(AGAIN).await || !self.reread().await {
                        // Whether it came to that is read from the store by whoever goes on.
                        self.lesson = None;
                        break;
                    }
                }
            }
        }
        // What came of an action must be known at the next start, or it would count as cut off.
        attempt::flush(&mut self);
        if self.parts.board.get(self.id).is_none() {
            attempt::cancelled(&mut self);
        }
        while let Err(error) = self.durable().await {
            tracing::error!(intent = %self.id, "failed to record where the intent stands: {error}; retrying");
            self.forget();
            self.lesson = None;
            if matches!(error, Stop::Record(board::Error::Store(crate::store::Error::Stopped))) {
                break;
            }
            // Not cut short by a stop: what came of an action is worth the time that a stop gives.
            self.slot.release();
            tokio::time::sleep(AGAIN).await;
            attempt::write_again(&mut self);
        }
        Some((parked?, self.awaits))
    }

    /// Makes memory what the store says; false when told to stop before the store could be read.
    async fn reread(&mut self) -> bool {
        loop {
            let read = async {
                self.parts.board.reread(self.id).await?;
                match &self.lesson {
                    Some(_) => Ok(self.parts.store.intent(self.id).await?),
                    None => Ok::<_, crate::intents::board::Error>(None),
                }
            };
            match read.await {
                Ok(stored) => {
                    self.repeat_lesson(stored);
                    return true;
                }
                Err(error) => {
                    tracing::error!(intent = %self.id, "failed to read where the intent stands: {error}; retrying");
                    if !self.pause(AGAIN).await {
                        return false;
                    }
                }
            }
        }
    }

    /// The outcome of an attempt could not be recorded. If the intent says `stored` as it is that the attempt came to it,
    /// as it was kept after all or with a later change, it is written again; else it did not happen.
    fn repeat_lesson(&mut self, stored: Option<Intent>) {
        let Some(lesson) = self.lesson.take() else { return };
        let came_to_it = |attempt: &crate::model::Attempt| {
            attempt.number == lesson.record.attempt && attempt.outcome == Some(lesson.record.outcome)
        };
        if stored.is_some_and(|it| it.attempts.iter().any(came_to_it)) {
            self.write(vec![Write::Outcome(lesson.record.clone())]);
            self.lesson = Some(lesson);
        }
    }

    async fn step(&mut self, intent: &Arc<Intent>) -> Result<Go, Stop> {
        if self.cancel.is_cancelled() {
            return Err(Stop::Told);
        }
        fail::fail_point!("worker");
        if weigh::waits(intent)
            && let Some(why) = self.parts.live.withdrawn(intent)
        {
            return weigh::withdrawn(self, intent, &why).await;
        }
        match intent.status {
            Status::Held => weigh::held(self, intent),
            Status::Pending if weigh::is_over(intent) => escalate::over(self, intent),
            Status::Pending if escalate::is_due(intent) => escalate::begin(self, intent).await,
            Status::Pending => weigh::weigh(self, intent).await,
            Status::AwaitingApproval => weigh::unanswered(self, intent).await,
            Status::Running => self.running(intent).await,
            Status::Verifying => self.verifying(intent).await,
            _ => Ok(Go::Wait),
        }
    }

    async fn running(&mut self, intent: &Arc<Intent>) -> Result<Go, Stop> {
        let result = attempt::carry_out(self, intent).await?;
        if intent.attempts.last().is_some_and(|a| a.escalation) {
            return escalate::ended(self, intent, result).await;
        }
        let failure = match result {
            Ok(_) => {
                self.transition(Transition::Check, None)?;
                return Ok(Go::On);
            }
            Err(failure) => failure,
        };
        let undone = attempt::roll_back(self, intent, &failure).await?;
        let outcome = if failure.kind == "interrupted" { Outcome::Interrupted } else { Outcome::Failed };
        let ended_by = outcome::ended_by(self, &failure);
        outcome::attempt_ended(self, intent, (outcome, ended_by), both(tell(&failure), undone)).await
    }

    async fn verifying(&mut self, intent: &Arc<Intent>) -> Result<Go, Stop> {
        let verdict = match attempt::undoing(self, intent).await? {
            // Cut off while it was undone: that was decided, whatever has come since.
            Some(why) if why.kind == attempt::UNCLEAR => check::Verdict::Unclear(why.message),
            Some(why) => check::Verdict::Broken(why.message),
            None => check::check(self, intent).await?,
        };
        edge::pass("verified");
        let (outcome, kind, message) = match verdict {
            check::Verdict::Works(how) => {
                return outcome::attempt_ended(self, intent, (Outcome::Fixed, EndedBy::Itself), how).await;
            }
            check::Verdict::Unknown => {
                let how = "the playbook ended well; nothing is defined that checks it".into();
                return outcome::attempt_ended(self, intent, (Outcome::Unverified, EndedBy::Itself), how)
                    .await;
            }
            check::Verdict::Broken(why) => (Outcome::NotFixed, "not_fixed", why),
            check::Verdict::Unclear(why) => (Outcome::Failed, attempt::UNCLEAR, why),
            check::Verdict::Interrupted(why) => (Outcome::Interrupted, "interrupted", why),
        };
        let undone = attempt::roll_back(self, intent, &Failure::new(kind, message.clone())).await?;
        outcome::attempt_ended(self, intent, (outcome, EndedBy::Itself), both(message, undone)).await
    }
}

/// Why an attempt failed, and why what it did could not be undone, if that failed too.
fn both(why: String, undone: Option<String>) -> String {
    match undone {
        Some(failed) => format!("{why}; and the rollback failed: {failed}"),
        None => why,
    }
}
