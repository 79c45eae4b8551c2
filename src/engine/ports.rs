//! What the lower rooms ask of the engine: take events, raise alerts, open intents, hear what happened.

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
use crate::model::alert::Level;
use crate::model::intent::Plan;
use crate::model::{
    Alert, AlertId, Chance, Clock, Event, Failure, Intent, IntentId, OutcomeRecord, Priority, Span, Topic,
};
use crate::observability::Aggregator;
use crate::observability::alerts::{Book, Notice};
use crate::store::{Store, Write};
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

/// The alert list and the door for wishes.
pub struct AlertBook {
    /// The time.
    pub clock: Clock,
    /// Where random bits come from.
    pub chance: Chance,
    /// What survives.
    pub store: Arc<dyn Store>,
    /// The open intents.
    pub board: Arc<Board>,
    /// The list.
    pub book: Mutex<Book>,
    /// Set once the task manager is there.
    pub tasks: OnceLock<tasks::Service>,
    /// Where `alert.raised` goes.
    pub inbox: Arc<Inbox>,
}

impl actions::Alerts for AlertBook {
    fn raise(
        &self,
        key: String,
        level: Level,
        title: String,
        message: String,
        target: Option<String>,
        intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        // `alert.operator` tells the channels itself, and again after a crash, as a step.
        let notice = Notice { key, level, title, message, target, intent, telling: false };
        let (alert, commit) = self.put(notice);
        async move {
            commit.await?;
            Ok(alert.id)
        }
        .boxed()
    }

    fn resolve(&self, key: String) -> BoxFuture<'static, Result<Option<AlertId>, Failure>> {
        let over = lock(&self.book).resolve_key(&key, self.clock.now());
        let Some(alert) = over else { return async { Ok(None) }.boxed() };
        let commit = self.keep(&alert);
        async move {
            commit.await?;
            Ok(Some(alert.id))
        }
        .boxed()
    }
}

impl AlertBook {
    /// Puts an alert on the list; the future resolves once it is durable.
    pub fn put(&self, notice: Notice) -> (Alert, BoxFuture<'static, Result<(), Failure>>) {
        let now = self.clock.now();
        let alert = lock(&self.book).raise(notice, AlertId::new(now, self.chance.identity()), now);
        let commit = self.keep(&alert);
        if let Ok(topic) = Topic::try_new("alert.raised") {
            let id = format!("{}/{}", alert.id, alert.count);
            let data = serde_json::to_value(&alert).unwrap_or_default();
            self.inbox.publish(Event::new(id, topic, "alerts", now, data));
        }
        (alert, commit)
    }

    /// The channels were told of alert `id` as it was when it was raised for the `count`th time.
    pub async fn told(&self, id: AlertId, count: u64) {
        let told = lock(&self.book).told(id, count);
        if let Some(alert) = told
            && let Err(failure) = self.keep(&alert).await
        {
            tracing::warn!(alert = %id, "after a restart the channels will be told of it again: {failure}");
        }
    }

    fn keep(&self, alert: &Alert) -> BoxFuture<'static, Result<(), Failure>> {
        let commit = self.store.commit(vec![Write::Alert(alert.clone())]);
        async move {
            commit
                .await
                .map_err(|error| Failure::retryable("failed", format!("failed to record the alert: {error}")))
        }
        .boxed()
    }
}

impl actions::Intents for AlertBook {
    fn create(&self, wish: NewIntent) -> BoxFuture<'static, Result<IntentId, Failure>> {
        self.create_for(wish, None)
    }
}

impl AlertBook {
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
        let now = self.clock.now();
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
