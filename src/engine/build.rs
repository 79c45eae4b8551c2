//! The parts of an engine that serves: made here from the configuration and what the store remembers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::good::First;
use super::ingest::quarantine::Quarantine;
use super::reload;
use super::set_aside;
use super::wire::{Doors, Rest};
use super::{Config, Engine, StartError};
use crate::actions::Alerts;
use crate::bus::Publisher;
use crate::freeze::Switch;
use crate::kernels::{self, Shim, Spawner};
use crate::learning::{Kept, Learner};
use crate::model::{Chance, Clock, Event, OutcomeRecord, Status};
use crate::observability::Aggregator;
use crate::observability::alerts::{self, Book};
use crate::platform::{Part, descriptors};
use crate::plugins::{self, Plugins};
use crate::store::{IntentQuery, Sqlite, Store};
use crate::tasks::{escalate, lock};
use crate::{actions, sources, tasks};

/// How far back the events are counted again when no aggregates were kept.
const AGGREGATED: chrono::TimeDelta = chrono::TimeDelta::days(7);

/// Alerts read back that are open: more than there can be.
const OPEN_ALERTS: usize = 2 * alerts::OPEN;

/// So many records read back at a start are much.
const MUCH: usize = 2_000;

/// How long an outcome may take from being known to being durable, generously.
const LATE: chrono::TimeDelta = chrono::TimeDelta::seconds(10);

/// Name under which is kept what was learned.
pub(super) const LEARNED: &str = "learning";

/// Name under which the aggregates of the dashboard are kept.
pub(super) const OBSERVED: &str = "observability";

impl Engine {
    /// Makes every part, puts back what the store remembers, and begins to serve. Kernels boot in the background.
    ///
    /// # Errors
    /// When the store cannot be opened, or rules, playbooks or kernels have mistakes.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::start_telling(config, clock, |_| {}).await
    }

    /// The same, and calls `tell` with what it is doing, such as "opening the store".
    ///
    /// # Errors
    /// Those of [`Engine::start`].
    pub async fn start_telling(
        config: Config,
        clock: Clock,
        tell: impl Fn(&'static str),
    ) -> Result<Self, StartError> {
        tell("opening the store");
        let other = |what: &str, why: String| StartError::Other { what: what.into(), why };
        let store: Arc<dyn Store> = Arc::new(
            Sqlite::open(&config.data, clock.clone())
                .map_err(|error| StartError::Store { dir: config.data.clone(), error })?,
        );
        starting();
        let lost = |error| StartError::Store { dir: config.data.clone(), error };
        let gap = super::clock::go_on(store.as_ref(), &clock).await.map_err(lost)?;
        // Before anything is done that may be frozen.
        let freeze = Switch::of(&config.data, clock.clone());
        tell("reading back what was counted, learned and alerted");
        let remembered = set_aside::reading(store.as_ref(), async || {
            Remembered::read(store.as_ref(), &config, clock.now()).await
        })
        .await
        .map_err(lost)?;
        let Remembered { learner, book, observed, read } = remembered;
        let doors = Doors::open(config, store, clock.clone(), Chance::system(), book);
        let config = &doors.config;

        let spawner =
            Spawner::new(Shim::own()).map_err(|e| other("start the spawner of kernels", e.to_string()))?;
        let spawner = spawner.hiding(config.secret_variables());
        let processes = config.kernels.iter().filter(|it| it.provider == kernels::spec::Provider::Process);
        let processes = processes.map(|it| it.replicas.max as usize).sum();
        if let Some(why) = descriptors::shortage(processes, config.sources.jsonl.len()) {
            tracing::warn!("{why}");
            doors.problems.raise("descriptors/limit", why);
        }
        let publisher: Arc<dyn Publisher> = doors.inbox.clone();
        let logs = config.logs.join("kernels");
        let kernels =
            kernels::Registry::new(config.kernels.clone(), publisher, spawner.clone(), logs, clock.clone())
                .map_err(|error| StartError::Kernels(error.to_string()))?;
        kernels.report_to(doors.problems.clone());
        kernels
            .remember_in(doors.store.clone())
            .await
            .map_err(|error| StartError::Store { dir: config.data.clone(), error })?;
        let mut allowed = config.actions.clone();
        allowed.exec.own = std::path::absolute(config.data.join("exec")).ok();
        for problem in allowed.unwise().iter().chain(&allowed.absent()) {
            tracing::warn!("{problem}");
        }
        let actions = actions::Registry::builtin(&actions::Ports {
            kernels: kernels.clone(),
            spawner: spawner.clone(),
            alerts: doors.alerts.clone(),
            intents: doors.intents.clone(),
            config: allowed,
        });
        let wrong = plugins::spec::check_all(&config.plugins);
        if !wrong.is_empty() {
            let why = wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return Err(other("use the configuration's plugins", why));
        }
        let parts = plugins::Parts {
            spawner,
            actions: actions.clone(),
            alerts: doors.alerts.clone(),
            clock: clock.clone(),
            problems: doors.problems.clone(),
            memory: config.data.join("plugins"),
        };
        tell("loading plugins");
        let plugins = Plugins::load(config.plugins.clone(), parts).await;
        forget_plugins(&doors).await;
        tell("reading rules and playbooks");
        // Looked at before they are read: a save in between is seen as one.
        let stamp = reload::stamp([&config.rules, &config.playbooks]);
        let dirs = [config.rules.as_path(), config.playbooks.as_path()];
        let first = First::read(doors.store(), dirs, actions.list(), clock.now()).await;
        let first = first.map_err(|error| StartError::Store { dir: config.data.clone(), error })?;
        let First { rules, library, since, diagnostics, earlier, kept, good } =
            first.map_err(StartError::Invalid)?;
        let pool =
            tasks::pool::Pool::start().map_err(|e| other("start the threads of playbooks", e.to_string()))?;
        let rest = Rest {
            kernels,
            plugins,
            actions,
            rules,
            library,
            learner,
            first: None,
            observed,
            pool,
            freeze,
            gap,
        };
        let engine = Self::assemble(doors, rest);
        let warnings = if earlier { Vec::new() } else { diagnostics.clone() };
        engine.0.reload.loaded(stamp, warnings, kept, since);
        match good {
            Some(good) => {
                engine.keep_good(&good);
                engine.files_are_good();
            }
            None => engine.stay(diagnostics, engine.0.clock.now()),
        }
        tell("reading back open intents, known events and the state of patterns");
        engine.serve().await?;
        // Before anybody else looks.
        engine.see_to_unreadable().await;
        // The next start should not have to.
        if read.0 + read.1 > MUCH {
            engine.save().await;
        }
        Ok(engine)
    }

    /// Starts the parts that run by themselves, in the order in which each needs the one before.
    async fn serve(&self) -> Result<(), StartError> {
        let inner = &self.0;
        let (ingest, publish, is_ready) = self.pipe(Quarantine::open(&inner.config.data));
        let part = |name| Part::new(name).until(&inner.stop);
        part("publisher").spawn_on(&inner.tracker, publish.run());
        let runtime = tokio::runtime::Handle::current();
        part("ingest")
            .thread(None, move || runtime.block_on(ingest.run()))
            .map_err(|e| StartError::Other { what: "start the ingest thread".into(), why: e.to_string() })?;
        is_ready.await.map_err(|_| StartError::Other {
            what: "start".into(),
            why: "the ingest thread ended at once; the log says why".into(),
        })?;
        inner.ready.store(true, Ordering::SeqCst);
        set_aside::reading(&*inner.store, async || self.count_again().await)
            .await
            .map_err(|error| StartError::Store { dir: inner.config.data.clone(), error })?;
        self.alert_what_has_no_target().await;
        inner.alerts.start();
        let resumed = set_aside::reading(&*inner.store, async || inner.tasks.resume().await).await;
        resumed.map_err(|error| StartError::Store { dir: inner.config.data.clone(), error })?;
        inner.tasks.withdraw();
        part("conductor").spawn_on(&inner.tracker, inner.tasks.clone().run());
        part("file-watcher").spawn_on(&inner.tracker, self.clone().watch_files());
        part("housekeeping").spawn_on(&inner.tracker, self.clone().housekeep());
        part("clock-watcher").spawn_on(&inner.tracker, self.clone().watch_clock());
        part("retention").spawn_on(&inner.tracker, self.clone().retain());
        part("disk-watcher").spawn_on(&inner.tracker, self.clone().watch_disk());
        part("freeze-watcher").spawn_on(&inner.tracker, self.clone().watch_freeze());
        part("plugin-watcher").spawn_on(&inner.tracker, self.clone().watch_plugins());
        self.follow_files()?;
        let kernels = inner.kernels.clone();
        Part::new("kernel-boot").spawn_on(&inner.tracker, async move { drop(kernels.boot().await) });
        Ok(())
    }

    /// Counts what became of intents since the aggregates were kept.
    async fn count_again(&self) -> Result<(), crate::store::Error> {
        let as_of = lock(&self.0.observed).intents_as_of();
        let open = self.0.board.open_ids();
        lock(&self.0.observed).resume(&open);
        let observed = self.0.observed.clone();
        let since = as_of.unwrap_or(crate::model::Time::MIN_UTC);
        let each = Box::new(move |intent| lock(&observed).resume_ended(&intent));
        self.0.store.ended_since(since, Box::new(|_, _| true), each).await?;
        Ok(())
    }

    /// Alerts an operator to intents that ended as they were recorded because they had no target, if the engine died
    /// between the two.
    async fn alert_what_has_no_target(&self) {
        let query = IntentQuery { status: Some(Status::Denied), limit: 100, ..IntentQuery::default() };
        let Ok(denied) = self.0.store.intents(query).await else { return };
        for intent in denied.items.iter().rev().filter(|it| escalate::is_without_target(it)) {
            let key = escalate::key_of_cause(intent, &escalate::Cause::NoTarget);
            let told = self.0.alerts.list().read(|book| book.covers(&key, intent.created_at));
            if !told && let Err(failure) = escalate::no_target(&self.0.parts, intent).await {
                tracing::error!(intent = %intent.id, "failed to record the alert that the intent has no target: {failure}");
            }
        }
    }

    fn follow_files(&self) -> Result<(), StartError> {
        let ports = sources::jsonl::Ports {
            store: self.0.store.clone(),
            sink: Arc::new(self.clone()),
            clock: self.0.clock.clone(),
            problems: self.0.problems.clone(),
            metrics: sources::jsonl::Metrics::new(self.0.metrics.registry()),
        };
        for config in &self.0.config.sources.jsonl {
            let source =
                sources::jsonl::Service::try_new(config.clone(), ports.clone()).map_err(|error| {
                    StartError::Other {
                        what: format!("follow the files of `{}`", config.name),
                        why: error.to_string(),
                    }
                })?;
            lock(&self.0.sources).push((config.name.clone(), source.handle()));
            let stop = self.0.stop.clone();
            let part = Part::new(format!("source {}", config.name)).until(&stop);
            part.spawn_on(&self.0.tracker, async move {
                if let Err(error) = source.run(stop).await {
                    tracing::error!("failed to follow the files of a source: {error}");
                }
            });
        }
        Ok(())
    }

    /// Sends an event made inside the engine on its way.
    pub fn publish(&self, event: Event) {
        self.0.inbox.publish(event);
    }
}

impl sources::jsonl::Sink for Engine {
    fn deliver(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(
            async move { Engine::deliver(self, events).await.map(drop).map_err(|error| error.to_string()) },
        )
    }
}

/// Ends the alerts of an earlier life about plugins that the configuration names no more.
async fn forget_plugins(doors: &Doors) {
    let is_there = |name: &str| doors.config.plugins.iter().any(|spec| spec.name == name);
    let active = |book: &Book| book.active().into_iter().map(|it| it.key.clone()).collect::<Vec<String>>();
    let open = doors.alerts.list().read(active);
    for key in open {
        let mut parts = key.split('/');
        if parts.next() == Some("plugin")
            && parts.next().is_some_and(|name| !is_there(name))
            && let Err(failure) = doors.alerts.resolve(key.clone()).await
        {
            tracing::warn!("the alert {key} stays open although it is over: {failure}");
        }
    }
}

/// Lets a test see an engine that takes long to start.
fn starting() {
    fail::fail_point!("starting");
}

/// What the store knows of earlier lives.
struct Remembered {
    learner: Learner,
    book: Book,
    observed: Aggregator,
    /// How many events and outcomes were read back for it.
    read: (usize, usize),
}

/// What was learned, from what was kept of it and the outcomes since, which `observed` is told of too; also how many
/// these were.
async fn learned(
    store: &dyn Store,
    observed: &Arc<Mutex<Aggregator>>,
) -> Result<(Learner, usize), crate::store::Error> {
    // What does not read is set aside, and all outcomes are read again.
    let kept = set_aside::kept::<Kept>(store, LEARNED).await?;
    let kept = kept.and_then(|kept| Some((kept.position, Learner::from_kept(kept)?)));
    let (position, mut learner) = kept.unwrap_or((Some(0), Learner::default()));
    if let (None, Some(as_of)) = (position, learner.as_of()) {
        // Kept by a version that went by times.
        for outcome in store.outcomes_since(as_of - LATE).await? {
            drop(learner.observe(&outcome));
        }
    }
    let learned = position.unwrap_or(u64::MAX);
    let counted = lock(observed).outcomes();
    let learner = Arc::new(Mutex::new(learner));
    let read = Arc::new(AtomicUsize::new(0));
    let each = {
        let (learner, observed, read) = (learner.clone(), observed.clone(), read.clone());
        move |outcome: OutcomeRecord| {
            if outcome.number > learned {
                // Changes of strategy were published when they happened.
                drop(lock(&learner).observe(&outcome));
            }
            if outcome.number > counted {
                lock(&observed).observe_outcome(&outcome);
            }
            read.fetch_add(1, Ordering::Relaxed);
        }
    };
    let last = store.outcomes_after(learned.min(counted), Box::new(each)).await?;
    let mut learner = std::mem::take(&mut *lock(&learner));
    learner.caught_up(last);
    Ok((learner, read.load(Ordering::Relaxed)))
}

impl Remembered {
    async fn read(
        store: &dyn Store,
        config: &Config,
        now: crate::model::Time,
    ) -> Result<Self, crate::store::Error> {
        let mut observed = Aggregator::new(config.observability);
        if let Some(saved) = set_aside::kept(store, OBSERVED).await?
            && let Err(error) = observed.restore(saved)
        {
            tracing::warn!("{error}");
            store.set_meta_aside(OBSERVED.into(), error.to_string()).await?;
        }
        let after = match observed.position() {
            Some(position) => position,
            // None was kept, or by a version that went by times.
            None => store.last_before(observed.legacy_as_of().unwrap_or(now - AGGREGATED)).await?,
        };
        let observed = Arc::new(Mutex::new(observed));
        let events = Arc::new(AtomicUsize::new(0));
        let each = {
            let (observed, events) = (observed.clone(), events.clone());
            move |number, event: Event| {
                tasks::lock(&observed).observe(number, &event, now);
                events.fetch_add(1, Ordering::Relaxed);
            }
        };
        let last = store.replay_log(after, Box::new(each)).await?;
        let (learner, outcomes) = learned(store, &observed).await?;
        let mut observed = std::mem::take(&mut *tasks::lock(&observed));
        observed.caught_up(last);
        let events = events.load(Ordering::Relaxed);
        // What is open is never left out for what is over.
        let open = store.alerts(true, OPEN_ALERTS).await?;
        let latest = store.alerts(false, alerts::KEPT).await?;
        let book = Book::restore(latest.into_iter().chain(open));
        Ok(Self { learner, book, observed, read: (events, outcomes) })
    }
}

#[cfg(test)]
mod tests;
