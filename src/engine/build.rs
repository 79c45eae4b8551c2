//! The wiring, once: every part is made here, from the configuration and what the store remembers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::files::Sources;
use super::ingest::Ingest;
use super::metrics::Metrics;
use super::ports::{AlertBook, Inbox, Watch};
use super::publish::Publish;
use super::{Config, Delivery, Engine, Inner, StartError, reload};
use crate::bus::{Lanes, Publisher, Taps, Waiters};
use crate::intents::Board;
use crate::kernels::{self, Shim, Spawner};
use crate::learning::Learner;
use crate::model::{Clock, Event};
use crate::observability::{Aggregator, alerts::Book};
use crate::rules::Windows;
use crate::store::{Sqlite, Store};
use crate::tasks::lock;
use crate::{actions, sources, tasks};

/// Batches handed to the store and not durable yet: enough to fill a group commit, few enough to stay small.
const UNDER_WAY: usize = 64;

/// How far back the events are counted again when no aggregates were kept.
const AGGREGATED: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Alerts at hand; the store has all of them.
const ALERTS: usize = 2_000;

/// Name under which the aggregates of the dashboard are kept.
pub(super) const OBSERVED: &str = "observability";

impl Engine {
    /// Makes every part, puts back what the store remembers, and begins to serve. Kernels boot in the background.
    ///
    /// # Errors
    /// When the store cannot be opened, or rules, playbooks or kernels have mistakes.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let other = |what: &str, why: String| StartError::Other { what: what.into(), why };
        let lanes = Arc::new(Lanes::new(config.limits.inbox, |delivery: &Delivery| delivery.events.len()));
        let runtime = tokio::runtime::Handle::current();
        let inbox = Arc::new(Inbox { lanes: lanes.clone(), runtime: runtime.clone() });

        let store: Arc<dyn Store> = Arc::new(
            Sqlite::open(&config.data, clock.clone())
                .map_err(|error| StartError::Store { dir: config.data.clone(), error })?,
        );
        let board = Arc::new(Board::new(store.clone(), clock.clone(), config.limits.open_intents));
        let remembered = Remembered::read(store.as_ref(), &config, clock.now())
            .await
            .map_err(|error| StartError::Store { dir: config.data.clone(), error })?;
        let observed = Arc::new(Mutex::new(remembered.observed));
        let alerts = Arc::new(AlertBook {
            clock: clock.clone(),
            store: store.clone(),
            board: board.clone(),
            book: Mutex::new(remembered.book),
            tasks: OnceLock::new(),
            inbox: inbox.clone(),
        });

        let spawner =
            Spawner::new(Shim::own()).map_err(|e| other("start the spawner of kernels", e.to_string()))?;
        let publisher: Arc<dyn Publisher> = inbox.clone();
        let logs = config.logs.join("kernels");
        let kernels =
            kernels::Registry::new(config.kernels.clone(), publisher, spawner.clone(), logs, clock.clone())
                .map_err(|error| StartError::Kernels(error.to_string()))?;
        let actions = actions::Registry::builtin(&actions::Ports {
            kernels: kernels.clone(),
            spawner,
            alerts: alerts.clone(),
            intents: alerts.clone(),
            config: config.actions.clone(),
        });
        let actions = Arc::new(actions);

        let known: Vec<String> = actions.list().iter().map(|spec| spec.name.clone()).collect();
        let built = Sources::below(&config.rules, &config.playbooks).build(&known);
        let (Some(rules), Some(library)) = (built.rules, built.library) else {
            return Err(StartError::Invalid(built.diagnostics));
        };
        let metrics = Arc::new(Metrics::default());
        metrics.rules.set(rules.rules().len() as i64);
        let rules = Arc::new(RwLock::new(Arc::new(rules)));
        let windows = Arc::new(Mutex::new(Windows::default()));
        let reload = reload::State::default();
        reload.loaded([&config.rules, &config.playbooks], built.diagnostics, clock.now());

        let stop = CancellationToken::new();
        let waiters = Arc::new(Waiters::default());
        let parts = Arc::new(tasks::Parts {
            clock: clock.clone(),
            pool: tasks::pool::Pool::start()
                .map_err(|e| other("start the threads of playbooks", e.to_string()))?,
            store: store.clone(),
            board: board.clone(),
            waiters: waiters.clone(),
            inbox: inbox.clone(),
            actions: actions.clone(),
            alerts: alerts.clone(),
            library: RwLock::new(Arc::new(library)),
            learner: Mutex::new(remembered.learner),
            kernels: kernels.clone(),
            watch: Arc::new(Watch { metrics: metrics.clone(), observed: observed.clone() }),
        });
        let tasks = tasks::Service::new(parts.clone(), config.limits.concurrency, stop.clone());
        drop(alerts.tasks.set(tasks.clone()));

        let engine = Self(Arc::new(Inner {
            started_at: clock.now(),
            config,
            clock,
            store,
            lanes,
            taps: Arc::new(Taps::default()),
            board,
            rules,
            windows,
            parts,
            tasks,
            kernels,
            actions,
            observed,
            metrics,
            reload,
            alerts,
            stop,
            tracker: TaskTracker::new(),
            failing: Arc::default(),
            ready: AtomicBool::new(false),
            sources: Mutex::default(),
        }));
        engine.serve(waiters, runtime).await?;
        Ok(engine)
    }

    /// Starts the parts that run by themselves, in the order in which each needs the one before.
    async fn serve(&self, waiters: Arc<Waiters>, runtime: tokio::runtime::Handle) -> Result<(), StartError> {
        let inner = &self.0;
        let (committed, batches) = mpsc::channel(UNDER_WAY);
        let (ready, is_ready) = oneshot::channel();
        let failed = Arc::new(AtomicUsize::new(0));
        let under_way = Arc::new(AtomicUsize::new(0));
        let ingest = Ingest {
            lanes: inner.lanes.clone(),
            store: inner.store.clone(),
            board: inner.board.clone(),
            rules: inner.rules.clone(),
            windows: inner.windows.clone(),
            failing: inner.failing.clone(),
            metrics: inner.metrics.clone(),
            clock: inner.clock.clone(),
            window: inner.config.limits.idempotency_window,
            committed,
            failed: failed.clone(),
            under_way: under_way.clone(),
            ready,
        };
        let publish = Publish {
            batches,
            failed,
            under_way,
            waiters,
            taps: inner.taps.clone(),
            observed: inner.observed.clone(),
            kernels: inner.kernels.clone(),
            tasks: inner.tasks.clone(),
            metrics: inner.metrics.clone(),
            clock: inner.clock.clone(),
            lanes: inner.lanes.clone(),
            stop: inner.stop.clone(),
        };
        inner.tracker.spawn(publish.run());
        std::thread::Builder::new()
            .name("ingest".into())
            .spawn(move || runtime.block_on(ingest.run()))
            .map_err(|e| StartError::Other { what: "start the ingest thread".into(), why: e.to_string() })?;
        is_ready.await.map_err(|_| StartError::Other {
            what: "start".into(),
            why: "the ingest thread ended at once; the log says why".into(),
        })?;
        inner.ready.store(true, Ordering::SeqCst);
        inner.tasks.resume().await;
        inner.tracker.spawn(inner.tasks.clone().run());
        inner.tracker.spawn(self.clone().watch_files());
        inner.tracker.spawn(self.clone().housekeep());
        self.follow_files()?;
        let kernels = inner.kernels.clone();
        inner.tracker.spawn(async move {
            kernels.boot().await;
        });
        Ok(())
    }

    fn follow_files(&self) -> Result<(), StartError> {
        for config in &self.0.config.sources.jsonl {
            let sink = Arc::new(self.clone());
            let (store, clock) = (self.0.store.clone(), self.0.clock.clone());
            let source =
                sources::jsonl::Service::try_new(config.clone(), store, sink, clock).map_err(|error| {
                    StartError::Other {
                        what: format!("follow the files of `{}`", config.name),
                        why: error.to_string(),
                    }
                })?;
            lock(&self.0.sources).push((config.name.clone(), source.handle()));
            let stop = self.0.stop.clone();
            self.0.tracker.spawn(async move {
                if let Err(error) = source.run(stop).await {
                    tracing::error!("files are not followed any more: {error}");
                }
            });
        }
        Ok(())
    }

    /// Sends an event made inside the engine on its way.
    pub fn publish(&self, event: Event) {
        self.0.alerts.inbox.publish(event);
    }
}

impl sources::jsonl::Sink for Engine {
    fn deliver(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(
            async move { Engine::deliver(self, events).await.map(drop).map_err(|error| error.to_string()) },
        )
    }
}

/// What the store knows of earlier lives.
struct Remembered {
    learner: Learner,
    book: Book,
    observed: Aggregator,
}

impl Remembered {
    async fn read(
        store: &dyn Store,
        config: &Config,
        now: crate::model::Time,
    ) -> Result<Self, crate::store::Error> {
        let mut learner = Learner::default();
        let mut observed = Aggregator::new(config.observability);
        if let Some(saved) = store.meta(OBSERVED.into()).await? {
            let saved = serde_json::from_str(&saved).map_err(Into::into);
            if let Err(error) = saved.and_then(|saved| observed.restore(saved)) {
                tracing::warn!("{error}");
            }
        }
        let since = observed.replay_from().unwrap_or(now - AGGREGATED);
        let replayed = Arc::new(Mutex::new(observed));
        let again = replayed.clone();
        store.replay_events(since, Box::new(move |event| tasks::lock(&again).observe(&event, now))).await?;
        let mut observed = std::mem::take(&mut *tasks::lock(&replayed));
        for id in observed.open_intents() {
            if let Some(intent) = store.intent(id).await? {
                observed.observe_intent(&intent);
            }
        }
        for outcome in store.outcomes().await? {
            // Changes of strategy were published when they happened.
            drop(learner.observe(&outcome));
        }
        let book = Book::restore(store.alerts(false, ALERTS).await?);
        Ok(Self { learner, book, observed })
    }
}
