//! At the start: takes up everything that was open when the engine stopped.
//!
//! What waited in a playbook waits on, without its script being run; what was at work stands in line again. What came
//! while nobody listened is looked up in the log, once for each topic pattern, beside the serving.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use super::lot::Awaits;
use super::wait::{self, Wait};
use super::{Service, lock};
use crate::model::{Intent, IntentId, Pattern, RunStatus, Status, StepStatus, Time};
use crate::store::{EventQuery, OpenRun};

/// What was found of the runs that had not ended.
#[derive(Default)]
struct Found {
    /// Intents whose run waits on.
    waiting: BTreeSet<IntentId>,
    /// Intents that have ended and left a run open.
    ended: Vec<IntentId>,
    /// What is waited for, and since when.
    missed: HashMap<Pattern, Time>,
}

impl Service {
    /// Takes up everything that was open when the engine stopped.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn resume(&self) -> Result<(), crate::store::Error> {
        self.close_twins().await;
        let found = Arc::new(Mutex::new(Found::default()));
        let (service, finds) = (self.clone(), found.clone());
        let each = move |run| service.take_up(run, &mut lock(&finds));
        self.parts.store.open_runs(Box::new(each)).await?;
        let Found { waiting, ended, missed } = std::mem::take(&mut *lock(&found));
        for id in self.parts.board.open_ids() {
            if !waiting.contains(&id)
                && let Some(intent) = self.parts.board.get(id)
            {
                if matches!(intent.status, Status::Running | Status::Verifying) {
                    self.queue().claim(&intent.target, id);
                }
                self.enqueue(&intent);
            }
        }
        self.shared.changed.notify_one();
        let service = self.clone();
        tokio::spawn(async move {
            for id in ended {
                service.close_left_over(id);
            }
            for (pattern, since) in missed {
                if let Err(error) = service.look_back(&pattern, since).await {
                    tracing::error!(%pattern, "failed to look for events that playbooks wait for: {error}");
                }
            }
        });
        Ok(())
    }

    fn take_up(&self, run: OpenRun, found: &mut Found) {
        let Some(intent) = self.parts.board.get(run.intent) else {
            return found.ended.push(run.intent);
        };
        // Read a second time, after what did not read has been set aside.
        if lock(&self.shared.lot).has(intent.id) {
            found.waiting.insert(intent.id);
            return;
        }
        if let Some((until, awaits)) = self.waits_on(&intent, &run, found) {
            self.queue().claim(&intent.target, intent.id);
            lock(&self.shared.lot).park(intent.id, until, awaits);
            found.waiting.insert(intent.id);
        }
    }

    /// What `run` waits for and until when at most, as a steady time; none if it does not wait.
    fn waits_on(&self, intent: &Intent, run: &OpenRun, found: &mut Found) -> Option<(Time, Awaits)> {
        let at_work = matches!(intent.status, Status::Running) && run.status == RunStatus::Running;
        let latest = intent.attempts.last().is_some_and(|attempt| attempt.run == run.id);
        let step = run.last.as_ref().filter(|step| step.status == StepStatus::Started)?;
        if !at_work || !latest {
            return None;
        }
        let wait = wait::of(&wait::recorded(step)?, step, &intent.target).ok()??;
        let (until, step) = match wait {
            Wait::Until(time) => (time, None),
            Wait::Event(it) => {
                let waits = &self.parts.waits;
                let ticket = waits.wait(intent.id, &it.pattern, it.when.as_deref(), &it.target).ok()?;
                // Not before the run, which began in the attempt. The work that is woken refuses what is too old.
                let began = intent.attempts.last().map_or(step.started_at, |attempt| attempt.started_at);
                let from = self.parts.clock.earliest(it.since.unwrap_or(began), intent.era);
                let since = found.missed.entry(it.pattern).or_insert(from);
                *since = (*since).min(from);
                (it.until, Some((step.seq, ticket)))
            }
        };
        let until = self.parts.clock.to_steady(until.min(run.deadline), intent.era);
        Some((until, Awaits { step, check: None }))
    }

    /// Wakes who waits for an event that came while nobody listened. One that is too old for it is refused by the work
    /// that it wakes.
    async fn look_back(&self, pattern: &Pattern, since: Time) -> Result<(), crate::store::Error> {
        let mut cursor = None;
        loop {
            let query = EventQuery {
                pattern: Some(pattern.clone()),
                arrived_since: Some(since),
                limit: 1_000,
                cursor,
                ..EventQuery::default()
            };
            let page = self.parts.store.events(query).await?;
            for event in page.items {
                self.publish(&Arc::new(event));
            }
            cursor = page.next_cursor;
            if cursor.is_none() || self.shared.stop.is_cancelled() {
                return Ok(());
            }
        }
    }
}
