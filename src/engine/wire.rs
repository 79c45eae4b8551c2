//! The loop, wired once: the same for an engine that serves and for a rehearsal, which hands in other parts.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::disk::Disk;
use super::failing::Failing;
use super::ingest::Ingest;
use super::ingest::quarantine::Quarantine;
use super::metrics::Metrics;
use super::ports::{Inbox, ManualIntents, Watch};
use super::publish::Publish;
use super::{Config, Delivery, Engine, Inner, reload, replay};
use crate::alerts::{List, Notifier};
use crate::bus::{Lanes, Taps};
use crate::freeze::Switch;
use crate::intents::Board;
use crate::learning::Learner;
use crate::model::{Chance, Clock};
use crate::observability::{Aggregator, alerts::Book};
use crate::platform::Problems;
use crate::platform::metrics::Registry;
use crate::playbook::Library;
use crate::plugins::Plugins;
use crate::rules::{RuleSet, Windows};
use crate::store::Store;
use crate::{actions, kernels, tasks};

/// Batches handed to the store and not durable yet: enough to fill a group commit, few enough to stay small.
const UNDER_WAY: usize = 64;

/// What actions and kernels are given of the engine before it is there.
pub(super) struct Doors {
    pub(super) config: Config,
    pub(super) inbox: Arc<Inbox>,
    pub(super) intents: Arc<ManualIntents>,
    /// The alert list and the channels.
    pub(super) alerts: Arc<Notifier>,
    stop: CancellationToken,
    tracker: TaskTracker,
    pub(super) store: Arc<dyn Store>,
    clock: Clock,
    chance: Chance,
    board: Arc<Board>,
    lanes: Arc<Lanes<Delivery>>,
    /// What is wrong with the engine now.
    pub(super) problems: Problems,
    /// Where each room registers its metrics.
    pub(super) registry: Registry,
}

/// What it is made of besides.
pub(super) struct Rest {
    pub(super) kernels: kernels::Registry,
    pub(super) plugins: Plugins,
    pub(super) actions: actions::Registry,
    pub(super) rules: RuleSet,
    pub(super) library: Library,
    pub(super) learner: Learner,
    /// The candidate that is tried first, whatever is known of it; only a rehearsal names one.
    pub(super) first: Option<String>,
    pub(super) observed: Aggregator,
    pub(super) pool: tasks::pool::Pool,
    /// The kill switch.
    pub(super) freeze: Switch,
    /// How long the engine was down, if only the wall clock knows.
    pub(super) gap: Option<chrono::TimeDelta>,
}

impl Doors {
    /// What is durable.
    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Within the runtime on which the engine is to live.
    pub(super) fn open(
        config: Config,
        store: Arc<dyn Store>,
        clock: Clock,
        chance: Chance,
        book: Book,
    ) -> Self {
        let lanes = Arc::new(Lanes::new(config.limits.inbox, |delivery: &Delivery| delivery.events.len()));
        let runtime = tokio::runtime::Handle::current();
        let inbox = Arc::new(Inbox { lanes: lanes.clone(), runtime });
        let board = Arc::new(Board::new(store.clone(), clock.clone(), config.limits.open_intents));
        let intents = Arc::new(ManualIntents {
            clock: clock.clone(),
            chance: chance.clone(),
            board: board.clone(),
            tasks: OnceLock::new(),
        });
        let (problems, registry) = (Problems::default(), Registry::default());
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let list =
            List::new(clock.clone(), chance.clone(), store.clone(), board.clone(), inbox.clone(), book);
        let alerts = Arc::new(Notifier::new(
            Arc::new(list),
            actions::Channels::new(&config.actions.alert),
            problems.clone(),
            &registry,
            tracker.clone(),
            stop.clone(),
        ));
        Self {
            config,
            inbox,
            intents,
            alerts,
            stop,
            tracker,
            store,
            clock,
            chance,
            board,
            lanes,
            problems,
            registry,
        }
    }
}

impl Engine {
    /// Puts the parts together; nothing runs yet.
    pub(super) fn assemble(doors: Doors, rest: Rest) -> Self {
        let Doors { config, inbox, intents, alerts, stop, tracker, .. } = doors;
        let Doors { store, clock, chance, board, lanes, problems, registry, .. } = doors;
        let Rest { kernels, plugins, actions, rules, library, learner, first, observed, pool, freeze, gap } =
            rest;
        let failing = Arc::new(Failing::new(problems.clone(), &registry));
        let metrics = Arc::new(Metrics::new(registry));
        metrics.rules.set(rules.rules().len() as i64);
        let observed = Arc::new(Mutex::new(observed));
        let disk = Arc::new(Disk::of(&config.data));
        let changed = Arc::new(Notify::new());
        let watch = Watch { metrics: metrics.clone(), observed: observed.clone(), changed: changed.clone() };
        let actions = Arc::new(actions);
        let trust = Mutex::new(super::clock::Trust { since: clock.steady(), gap });
        let parts = Arc::new(tasks::Parts {
            clock: clock.clone(),
            since: clock.now(),
            chance,
            pool,
            store: store.clone(),
            board: board.clone(),
            waits: tasks::lot::Waits::default(),
            inbox: inbox.clone(),
            actions: actions.clone(),
            freeze,
            ground: disk.clone(),
            gate: tasks::gate::Gate::default(),
            alerts: alerts.clone(),
            live: Arc::new(tasks::live::Live::new(rules, library)),
            storms: tasks::escalate::Storms::default(),
            turn: Mutex::default(),
            sources: Mutex::default(),
            learner: Mutex::new(learner),
            first,
            kernels: kernels.clone(),
            watch: Arc::new(watch),
        });
        let tasks = tasks::Service::new(parts.clone(), config.limits.concurrency, stop.clone());
        drop(intents.tasks.set(tasks.clone()));
        Self(Arc::new(Inner {
            started_at: clock.now(),
            config,
            clock,
            store,
            lanes,
            taps: Arc::new(Taps::counted(metrics.registry())),
            board,
            windows: Arc::new(Mutex::new(Windows::default())),
            pinned: Mutex::default(),
            parts,
            tasks,
            kernels,
            plugins,
            actions,
            inbox,
            observed,
            metrics,
            reload: reload::State::default(),
            disk,
            problems,
            clock_set: Arc::default(),
            trust,
            alerts,
            intents,
            stop,
            tracker,
            replays: replay::served::Turn::default(),
            failing,
            under_way: Arc::default(),
            changed,
            ready: AtomicBool::new(false),
            saved: AtomicU64::new(0),
            sources: Mutex::default(),
        }))
    }

    /// The two ends of the way of events: what takes them in, what tells of them once they are durable, and the word
    /// that events may come.
    pub(super) fn pipe(&self, quarantine: Quarantine) -> (Ingest, Publish, oneshot::Receiver<()>) {
        let inner = &self.0;
        let (committed, batches) = mpsc::channel(UNDER_WAY);
        let (ready, is_ready) = oneshot::channel();
        let failed = Arc::new(AtomicUsize::new(0));
        let ingest = Ingest {
            lanes: inner.lanes.clone(),
            store: inner.store.clone(),
            board: inner.board.clone(),
            live: inner.parts.live.clone(),
            windows: inner.windows.clone(),
            failing: inner.failing.clone(),
            metrics: inner.metrics.clone(),
            clock: inner.clock.clone(),
            chance: inner.parts.chance.clone(),
            window: inner.config.limits.idempotency_window,
            committed,
            failed: failed.clone(),
            under_way: inner.under_way.clone(),
            ready,
            quarantine,
            alerts: inner.alerts.clone(),
            problems: inner.problems.clone(),
            set: inner.clock_set.clone(),
        };
        let publish = Publish {
            disk: inner.disk.clone(),
            batches,
            failed,
            taps: inner.taps.clone(),
            observed: inner.observed.clone(),
            kernels: inner.kernels.clone(),
            tasks: inner.tasks.clone(),
            metrics: inner.metrics.clone(),
            clock: inner.clock.clone(),
            lanes: inner.lanes.clone(),
            stop: inner.stop.clone(),
        };
        (ingest, publish, is_ready)
    }
}
