//! Who works on one intent: what it holds, how it records, how it waits.
//!
//! It decides nothing; `work` says what is done in which order, and the files beside it do it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::gate::Shut;
use super::lot::Awaits;
use super::outcome::Lesson;
use crate::intents::board;
use crate::intents::lifecycle::{self, Illegal, Transition};
use crate::journal::{Journal, edge};
use crate::model::{Failure, Intent, IntentId, Run, Time};
use crate::platform::sleep;
use crate::playbook::Playbook;
use crate::store::{Commit, Write};

/// Whether the work goes on now.
#[derive(Debug, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// It waits for a time or a person, or is over.
    Wait,
}

/// What stops the work on an intent before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The engine stops, or a person ended the intent; the store knows how to go on.
    #[error("the work was told to stop")]
    Told,
    /// The playbook or the check waits, at most until then, a steady time; everything is durable.
    #[error("the work waits until {0} at most")]
    Parked(Time),
    /// It could not be recorded, so nothing may be done.
    #[error("{0}")]
    Record(board::Error),
    /// A person could not be told, so the intent must not end.
    #[error("a person could not be told: {0}")]
    Untold(String),
    /// The next effect is held back, though its start was recorded; nothing of it has begun.
    #[error("its next effect is held back: {0}")]
    NotBegun(Shut),
    /// The script could not be computed just now.
    #[error("the playbook could not be computed, as too much is under way or its interpreter broke")]
    Lost,
}

impl From<board::Error> for Stop {
    fn from(error: board::Error) -> Self {
        match error {
            board::Error::Unknown(_) => Self::Told,
            other => Self::Record(other),
        }
    }
}

impl From<crate::store::Error> for Stop {
    fn from(error: crate::store::Error) -> Self {
        Self::Record(error.into())
    }
}

/// The right to be one of the few that act at once; given back while waiting.
pub struct Slot {
    all: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    freed: Arc<Notify>,
}

impl Slot {
    /// With the permit, if it is held already; `freed` is told when it is given back early.
    pub fn new(all: Arc<Semaphore>, held: Option<OwnedSemaphorePermit>, freed: Arc<Notify>) -> Self {
        Self { all, held, freed }
    }

    /// Gives the right back.
    pub fn release(&mut self) {
        if self.held.take().is_some() {
            self.freed.notify_one();
        }
    }

    /// Waits for the right.
    pub async fn acquire(&mut self) {
        if self.held.is_none() {
            self.held = self.all.clone().acquire_owned().await.ok();
        }
    }
}

/// Who works on one intent.
pub struct Worker<'a> {
    /// What it works with.
    pub parts: &'a Parts,
    /// Which intent.
    pub id: IntentId,
    /// The era of the clock by which all its times are, and those of its runs.
    era: u32,
    /// Its right to act.
    pub slot: Slot,
    /// Told to stop.
    pub cancel: CancellationToken,
    /// The run under way, where it is in memory already.
    pub open_run: Option<OpenRun>,
    /// The events that it waits for, or has begun to.
    pub awaits: Awaits,
    /// What is to be learned once it is durable.
    pub(super) lesson: Option<Lesson<'a>>,
    /// The hash of a source that is on its way to the store.
    pub(super) source: Option<String>,
    unconfirmed: Vec<Commit>,
    unreported: Vec<Arc<Intent>>,
}

/// A run under way, in memory.
pub struct OpenRun {
    /// The run.
    pub run: Run,
    /// Its journal.
    pub journal: Journal,
    /// The source it began with.
    pub playbook: Arc<Playbook>,
    /// The step that had begun when the run was taken up from the store: it may have had its effect.
    pub doubtful: Option<u32>,
    /// Whether something of it could not be recorded, so that all of it has to be written again.
    pub unkept: bool,
}

impl<'a> Worker<'a> {
    /// A worker for intent `id`.
    pub fn new(
        parts: &'a Parts,
        id: IntentId,
        slot: Slot,
        cancel: CancellationToken,
        awaits: Awaits,
    ) -> Self {
        Self {
            parts,
            id,
            era: parts.board.get(id).map_or_else(|| parts.clock.era(), |intent| intent.era),
            slot,
            cancel,
            open_run: None,
            awaits,
            lesson: None,
            source: None,
            unconfirmed: vec![],
            unreported: vec![],
        }
    }

    /// The present time, as the intent and its runs call it.
    pub fn now(&self) -> Time {
        self.parts.clock.now_in(self.era)
    }

    /// That the work waits until `until`, which is a time of the intent's.
    pub fn parked(&self, until: Time) -> Stop {
        Stop::Parked(self.parts.clock.to_steady(until, self.era))
    }

    /// The least that the log calls `time`, which is one of the intent's: the clock may have been set since.
    pub fn arrived_since(&self, time: Time) -> Time {
        self.parts.clock.earliest(time, self.era)
    }

    /// Changes the intent; the change is durable once [`Worker::durable`] has returned.
    pub fn change(
        &mut self,
        more: Vec<Write>,
        change: impl FnOnce(&mut Intent) -> Result<(), Illegal>,
    ) -> Result<Arc<Intent>, Stop> {
        let (intent, commit) = self.parts.board.change(self.id, more, change)?;
        self.unconfirmed.push(commit);
        self.unreported.push(intent.clone());
        Ok(intent)
    }

    /// Moves the intent along its lifecycle.
    pub fn transition(&mut self, to: Transition, reason: Option<String>) -> Result<Arc<Intent>, Stop> {
        let now = self.now();
        self.change(vec![], |intent| lifecycle::apply(intent, to, reason, now))
    }

    /// Writes `writes`; durable once [`Worker::durable`] has returned.
    pub fn write(&mut self, writes: Vec<Write>) {
        if !writes.is_empty() {
            self.unconfirmed.push(self.parts.store.commit(writes));
        }
    }

    /// Waits until everything written so far would survive, and lets it be seen; no effect may come before this.
    pub async fn durable(&mut self) -> Result<(), Stop> {
        self.settled().await?;
        for intent in std::mem::take(&mut self.unreported) {
            self.parts.report(&intent);
        }
        Ok(())
    }

    /// The same, but what changed is not seen yet by those who watch.
    pub async fn settled(&mut self) -> Result<(), Stop> {
        for commit in std::mem::take(&mut self.unconfirmed) {
            commit.await?;
        }
        if let Some(hash) = self.source.take() {
            super::lock(&self.parts.sources).insert(hash);
        }
        if let Some(lesson) = self.lesson.take() {
            // Whoever sees the end also sees what was learned of it.
            super::outcome::teach(self.parts, lesson.record.clone());
            edge::pass("learned");
        }
        Ok(())
    }

    /// Waits without holding the right to act; false when told to stop meanwhile.
    pub async fn pause(&mut self, how_long: Duration) -> bool {
        self.slot.release();
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => false,
            () = sleep::pause(&self.parts.clock, how_long) => true,
        }
    }

    /// When the run's time is up.
    pub fn deadline(&self) -> Time {
        self.open_run.as_ref().map_or(Time::MIN_UTC, |open| open.run.deadline)
    }

    /// How much of the run's time is left.
    pub fn time_left(&self) -> Duration {
        let now = self.now();
        self.open_run.as_ref().map_or(Duration::ZERO, |open| open.time_left(now))
    }

    /// Forgets what was written and could not be recorded.
    pub(super) fn forget(&mut self) {
        self.source = None;
        self.unconfirmed.clear();
        self.unreported.clear();
    }
}

impl OpenRun {
    /// How long until the run has to be over.
    pub fn time_left(&self, now: Time) -> Duration {
        (self.run.deadline - now).to_std().unwrap_or_default()
    }
}

/// A failure in one line, with the action it came from.
pub fn tell(failure: &Failure) -> String {
    match failure.action.as_str() {
        "" => failure.message.clone(),
        action => format!("{action}: {}", failure.message),
    }
}
