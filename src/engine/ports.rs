//! What the lower rooms ask of the engine: take events, open intents, hear what happened.

use std::sync::{Arc, Mutex, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::ingest::{Delivery, Receipt};
use super::metrics::Metrics;
use crate::actions::{self, NewIntent};
use crate::bus::{Full, Lanes, Publisher};
use crate::intents::Board;
use crate::intents::board::{Changes, MANUAL};
use crate::model::intent::Plan;
use crate::model::{Chance, Clock, Event, Failure, Intent, IntentId, OutcomeRecord, Priority, Span, Topic};
use crate::observability::Aggregator;
use crate::tasks::{self, lock};

/// How long a person's wish may wait before it is too old.
const MANUAL_EXPIRY: Span = Span::secs(15 * 60);

/// The lanes, as those see them who make events inside the engine.
pub struct Inbox {
    /// Where they go.
    pub lanes: Arc<Lanes<Delivery>>,
    /// The runtime that waits where a lane is full.
    pub runtime: tokio::runtime::Handle,
}

impl tasks::Inbox for Inbox {
    fn deliver(&self, events: Vec<Event>) -> BoxFuture<'static, Result<(), String>> {
        let lanes = self.lanes.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let priority = events.iter().map(|e| e.priority).max().unwrap_or(Priority::Normal);
            let stopped = |_| "the engine stops".to_string();
            lanes.push(priority, Delivery { events, reply: Some(reply) }).await.map_err(stopped)?;
            answer.await.map_err(|_| "the engine stops".to_string())?.map(|_: Receipt| ())
        }
        .boxed()
    }
}

impl Publisher for Inbox {
    fn publish(&self, event: Event) {
        let priority = event.priority;
        let delivery = Delivery { events: vec![event], reply: None };
        if let Err(Full(delivery)) = self.lanes.try_push(priority, delivery) {
            // Kernels are few and their events fewer: waiting aside is bounded by what they do.
            let lanes = self.lanes.clone();
            self.runtime.spawn(async move { drop(lanes.push(priority, delivery).await) });
        }
    }
}

/// The door for wishes.
pub struct ManualIntents {
    /// The time.
    pub clock: Clock,
    /// Where random bits come from.
    pub chance: Chance,
    /// The open intents.
    pub board: Arc<Board>,
    /// Set once the task manager is there.
    pub tasks: OnceLock<tasks::Service>,
}

impl actions::Intents for ManualIntents {
    fn create(&self, wish: NewIntent) -> BoxFuture<'static, Result<IntentId, Failure>> {
        self.create_for(wish, None)
    }
}

impl ManualIntents {
    /// The same as `actions::Intents::create`, for the edges.
    pub fn create(&self, wish: NewIntent) -> BoxFuture<'static, Result<IntentId, Failure>> {
        self.create_for(wish, None)
    }

    /// The same, with the event that the playbook is to see; one is made up if there is none.
    pub fn create_for(
        &self,
        wish: NewIntent,
        event: Option<Event>,
    ) -> BoxFuture<'static, Result<IntentId, Failure>> {
        let made = self.open(wish, event);
        let tasks = self.tasks.get().cloned();
        async move {
            let (id, commit, changes) = made?;
            let kept = match tasks {
                Some(tasks) => tasks.settle(commit, changes).await,
                None => commit.await,
            };
            kept.map_err(|error| {
                Failure::retryable("failed", format!("failed to record the intent: {error}"))
            })?;
            Ok(id)
        }
        .boxed()
    }

    fn open(
        &self,
        wish: NewIntent,
        event: Option<Event>,
    ) -> Result<(IntentId, crate::store::Commit, Changes), Failure> {
        let invalid = |message: &str| Failure::new("invalid", message);
        if wish.target.trim().is_empty() || wish.target.contains('*') {
            return Err(invalid(
                "`target` must name exactly one thing to act on: it is empty or has a wildcard",
            ));
        }
        if wish.playbooks.is_empty() {
            return Err(invalid("`playbooks` is empty: name at least one playbook that may be tried"));
        }
        let (now, era) = self.clock.stamp();
        let id = IntentId::new(now, self.chance.identity());
        let topic = Topic::try_new("intent.requested").map_err(|error| invalid(&error.to_string()))?;
        let key = if wish.key.is_empty() { id.to_string() } else { wish.key.clone() };
        let requested = || {
            let data = serde_json::json!({"target": wish.target});
            let mut event = Event::new(key.clone(), topic, "manual", now, data);
            event.correlationid = wish.cause.map(|intent| intent.to_string());
            event.about(wish.target.clone())
        };
        let event = Arc::new(event.unwrap_or_else(requested));
        let plan = Arc::new(Plan {
            playbooks: wish.playbooks,
            params: wish.params,
            expire: MANUAL_EXPIRY,
            ..Plan::default()
        });
        let intent = Intent {
            goal: wish.goal,
            priority: wish.priority,
            domain: wish.domain.unwrap_or_else(|| "infrastructure".into()),
            class: wish.class,
            era,
            ..Intent::new(id, MANUAL, &key, &wish.target, event, plan, now)
        };
        let mut batch = self.board.batch();
        let id = batch.insert(intent).map_err(|error| Failure::retryable("refused", error.to_string()))?;
        let (commit, changes) = batch.commit(vec![]);
        Ok((id, commit, changes))
    }
}

/// Counts what the task manager does.
pub struct Watch {
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// What the dashboard shows.
    pub observed: Arc<Mutex<Aggregator>>,
    /// Rung whenever an intent has changed.
    pub changed: Arc<tokio::sync::Notify>,
}

impl tasks::Watch for Watch {
    fn intent(&self, intent: &Intent) {
        if !intent.status.is_open() {
            self.metrics.ended(intent.status);
        }
        lock(&self.observed).observe_intent(intent);
        self.changed.notify_one();
    }

    fn outcome(&self, outcome: &OutcomeRecord) {
        self.metrics.outcome(&outcome.playbook, outcome.outcome);
        lock(&self.observed).observe_outcome(outcome);
    }

    fn first_action(&self, micros: u64) {
        self.metrics.first_action.observe(micros as f64 / 1e6);
    }
}
