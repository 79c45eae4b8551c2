//! The assembly: where the parts are put together once, and the handle that the edges call.
//!
//! No decision is made here; `rules`, `guard`, `learning` and `tasks` make them. Start with [`Engine::start`].

pub mod answer;
pub mod build;
mod clock;
pub mod config;
pub mod decisions;
mod disk;
pub mod dry;
pub mod explain;
mod freeze;
pub mod failing;
pub mod files;
mod good;
pub mod ingest;
pub mod metrics;
pub mod ports;
pub mod publish;
pub mod query;
pub mod rehearse;
pub mod reload;
pub mod replay;
pub mod reread;
mod retention;
pub mod retry;
mod set_aside;
pub mod shutdown;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alerts::Notifier;
use crate::bus::{Lanes, Taps};
use crate::intents::Board;
use crate::intents::lifecycle::{self, Transition};
use crate::journal::edge;
use crate::model::{Clock, Event, Intent, IntentId, Priority};
use crate::observability::Aggregator;
use crate::platform::Problems;
use crate::platform::metrics::Registry;
use crate::plugins::Plugins;
use crate::rules::{RuleSet, Windows};
use crate::store::Store;
use crate::{actions, kernels, tasks};

pub use config::Config;
pub use ingest::{Delivery, Receipt};

/// A running engine; cloning it makes another handle.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    config: Config,
    clock: Clock,
    started_at: crate::model::Time,
    store: Arc<dyn Store>,
    lanes: Arc<Lanes<Delivery>>,
    taps: Arc<Taps>,
    board: Arc<Board>,
    windows: Arc<Mutex<Windows>>,
    /// The rules of earlier that were asked for last.
    pinned: Mutex<Option<Arc<RuleSet>>>,
    parts: Arc<tasks::Parts>,
    tasks: tasks::Service,
    kernels: kernels::Registry,
    plugins: Plugins,
    actions: Arc<actions::Registry>,
    alerts: Arc<Notifier>,
    inbox: Arc<ports::Inbox>,
    observed: Arc<Mutex<Aggregator>>,
    metrics: Arc<metrics::Metrics>,
    reload: reload::State,
    disk: Arc<disk::Disk>,
    problems: Problems,
    intents: Arc<ports::ManualIntents>,
    /// Rung when the wall clock was set.
    clock_set: Arc<tokio::sync::Notify>,
    trust: Mutex<clock::Trust>,
    stop: CancellationToken,
    tracker: TaskTracker,
    replays: replay::served::Turn,
    failing: Arc<failing::Failing>,
    /// Batches of events that are with the store.
    under_way: Arc<std::sync::atomic::AtomicUsize>,
    /// Rung whenever an intent has changed.
    changed: Arc<tokio::sync::Notify>,
    ready: std::sync::atomic::AtomicBool,
    /// The number of the last event of those that were counted when the aggregates were kept last.
    saved: std::sync::atomic::AtomicU64,
    sources: Mutex<Vec<(String, crate::sources::jsonl::Handle)>>,
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error("failed to open the store in {dir}: {error}", dir = .dir.display())]
    Store {
        /// Where.
        dir: PathBuf,
        /// Why.
        error: crate::store::Error,
    },
    /// Rules or playbooks have mistakes.
    #[error("{}", reload::summary(.0))]
    Invalid(Vec<crate::model::Diagnostic>),
    /// A kernel's specification has a mistake.
    #[error("the configuration's kernels are not valid: {0}")]
    Kernels(String),
    /// Something else.
    #[error("failed to {what}: {why}")]
    Other {
        /// What was tried.
        what: String,
        /// Why it failed.
        why: String,
    },
}

/// Why events are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliverError {
    /// Too many wait already.
    #[error("{0} events wait to be taken in, which is the limit: send again later")]
    Full(usize),
    /// They could not be made durable.
    #[error("the events could not be made durable: {0}")]
    Store(String),
    /// The engine stops.
    #[error("the engine stops")]
    Stopping,
}

impl Engine {
    /// Takes in `events`; returns once they would survive `kill -9`.
    ///
    /// # Errors
    /// When the inbox is full, the store says no, or the engine stops; then none of them was taken.
    pub async fn deliver(&self, events: Vec<Event>) -> Result<Receipt, DeliverError> {
        let (reply, answer) = oneshot::channel();
        let priority = events.iter().map(|e| e.priority).max().unwrap_or(Priority::Normal);
        let weight = events.len();
        let delivery = Delivery { events, reply: Some(reply) };
        if self.0.stop.is_cancelled() {
            return Err(DeliverError::Stopping);
        }
        if self.0.store.is_stopped() {
            return Err(DeliverError::Store(crate::store::Error::Stopped.to_string()));
        }
        if let Some(trouble) = self.0.disk.trouble().filter(|trouble| trouble.lost) {
            return Err(DeliverError::Store(trouble.why));
        }
        if self.0.lanes.try_push(priority, delivery).is_err() {
            self.0.metrics.refused.inc_by(weight as u64);
            return Err(DeliverError::Full(self.0.config.limits.inbox));
        }
        match answer.await {
            Ok(Ok(receipt)) => Ok(receipt),
            Ok(Err(why)) => Err(DeliverError::Store(why)),
            Err(_) => Err(DeliverError::Stopping),
        }
    }

    /// Opens an intent of a person's making; one that is open for the same key is returned instead.
    ///
    /// # Errors
    /// In words, when it is not complete, names no playbook that there is, or too many are open.
    pub async fn create(&self, wish: actions::NewIntent) -> Result<IntentId, crate::model::Failure> {
        self.0.intents.create(wish).await
    }

    /// A person says yes to intent `id`.
    ///
    /// # Errors
    /// When it is not open or not waiting for approval.
    pub async fn approve(&self, id: IntentId, by: &str) -> Result<Arc<Intent>, crate::intents::board::Error> {
        let by = by.to_string();
        let reason = Some(format!("approved by {by}"));
        let clock = self.0.clock.clone();
        self.answer(id, Transition::Approve, reason, move |intent| {
            let now = clock.now_in(intent.era);
            intent.approved_by = Some(by);
            intent.not_before = None;
            // Its time to wait begins anew: the person may have taken longer than it had.
            intent.expires_at = intent.expires_at.max(now + intent.plan.expire.delta());
        })
        .await
    }

    /// A person says no to intent `id`.
    ///
    /// # Errors
    /// When it is not open, or runs already.
    pub async fn deny(&self, id: IntentId, by: &str) -> Result<Arc<Intent>, crate::intents::board::Error> {
        self.answer(id, Transition::Deny, Some(format!("denied by {by}")), |_| {}).await
    }

    /// A person ends intent `id`; a run stops before its next effect.
    ///
    /// # Errors
    /// When it is not open.
    pub async fn cancel(&self, id: IntentId, by: &str) -> Result<Arc<Intent>, crate::intents::board::Error> {
        let reason = format!("cancelled by {by}");
        self.answer(id, Transition::Cancel, Some(reason.clone()), |intent| {
            let now = self.0.clock.now_in(intent.era);
            if let Some(attempt) = intent.attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()) {
                attempt.ended_at = Some(now);
                attempt.ended_by = crate::model::EndedBy::Cancellation;
                attempt.message = Some(reason);
            }
        })
        .await
    }

    async fn answer(
        &self,
        id: IntentId,
        to: Transition,
        reason: Option<String>,
        also: impl FnOnce(&mut Intent),
    ) -> Result<Arc<Intent>, crate::intents::board::Error> {
        let (intent, commit) = self.0.board.change(id, vec![], |intent| {
            let now = self.0.clock.now_in(intent.era);
            lifecycle::apply(intent, to, reason, now)?;
            also(intent);
            Ok(())
        })?;
        let engine = self.clone();
        // What follows from it must follow, even if whoever asked has given up waiting.
        let answering = self.0.tracker.spawn(async move { engine.answered(intent, commit).await });
        answering.await.unwrap_or_else(|_| Err(crate::store::Error::Stopped.into()))
    }

    /// A person's change of an intent is with the store: what follows once it is durable, or is not.
    async fn answered(
        &self,
        intent: Arc<Intent>,
        commit: crate::store::Commit,
    ) -> Result<Arc<Intent>, crate::intents::board::Error> {
        let id = intent.id;
        let kept = commit.await;
        if kept.is_err() {
            // Nothing has changed then, in memory as little as on disk; what cannot be read now is read back later.
            if let Err(error) = self.0.board.reread(id).await {
                tracing::error!(intent = %id, "failed to read back a change that could not be recorded: {error}; retrying");
            }
        } else if !intent.status.is_open() {
            self.0.tasks.cancel(&intent);
            // The board lets no effect of it through by now; one that was let through before begins before the answer.
            self.0.parts.gate.clear(Some(id)).await;
        }
        self.0.tasks.reconsider(id);
        kept?;
        edge::pass("approved");
        self.0.parts.report(&intent);
        let parts = self.0.parts.clone();
        self.0.tracker.spawn(async move { tasks::ask::over(&parts, id).await });
        Ok(intent)
    }

    /// The kernels.
    pub fn kernels(&self) -> &kernels::Registry {
        &self.0.kernels
    }

    /// The actions.
    pub fn actions(&self) -> &actions::Registry {
        &self.0.actions
    }

    /// The plugins.
    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    /// What is durable, for queries.
    pub fn store(&self) -> &dyn Store {
        self.0.store.as_ref()
    }

    /// Durable events as they come.
    pub fn taps(&self) -> &Taps {
        &self.0.taps
    }

    /// The configuration it was started with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Why it does not take events now; none if it does.
    pub fn unready(&self) -> Option<String> {
        if !self.0.ready.load(std::sync::atomic::Ordering::SeqCst) || self.0.stop.is_cancelled() {
            return Some("the engine is starting or stopping".into());
        }
        if self.0.store.is_stopped() {
            return Some("the store's writer has stopped: restart the engine".into());
        }
        self.0.disk.trouble().map(|trouble| trouble.why)
    }

    /// The registry behind `/metrics`, for what an edge counts itself.
    pub fn registry(&self) -> &Registry {
        self.0.metrics.registry()
    }

    /// The list behind `problems` of `/readyz`, for what an edge finds itself.
    pub fn problem_list(&self) -> &Problems {
        &self.0.problems
    }

    /// Resolves when the engine has been told to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.0.stop.clone()
    }
}
