//! Files of JSON lines that other programs append to: followed by glob, through rotation and truncation.
//!
//! Each complete line is an event in plain JSON (see [`super::cloudevents`]). A place in a file moves on only when
//! its events are durable, and is kept in the store; a line without an id gets one from its place, so that a line
//! read twice is one event. A line that is no event is counted and reported, and never stops the source. Files
//! that are copied (not renamed) into the glob are new files, unless the copy kept the original's time and took its name:
//! a folder that was away and restored goes on where it was. Start with [`Service`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::{Clock, Event, Span, Time};
use crate::platform::{Problems, sleep};
use crate::store::{self, Store};
use follow::{Batch, Followers};
use place::Places;

pub use metrics::Metrics;

mod file;
mod follow;
mod mark;
mod metrics;
mod place;
#[cfg(test)]
mod tests;

/// Longest pause between two tries to deliver.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long something that went wrong at one moment, such as a line that is not an event, is shown as a problem.
const SHOWN: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// What to follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names the places kept in the store; another name begins anew.
    pub name: String,
    /// Globs, such as `logs/stress/**/*.jsonl`.
    pub paths: Vec<String>,
    /// The source of events that name none.
    #[serde(default = "default_source")]
    pub source: String,
    /// Time between two looks at the files.
    #[serde(default = "default_poll")]
    pub poll: Span,
}

fn default_source() -> String {
    "jsonl".into()
}

fn default_poll() -> Span {
    Span(Duration::from_millis(200))
}

/// Who takes the events.
pub trait Sink: Send + Sync {
    /// Takes all of `events` or none; resolves when they are durable. An error says why not now: the same events
    /// come again later.
    fn deliver(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), String>>;
}

/// Why the source cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path is no glob.
    #[error("`{pattern}` is not a path pattern: {message}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// The places in the files could not be read.
    #[error("the places in the followed files could not be read: {0}")]
    Store(#[from] store::Error),
    /// Reading a file panicked.
    #[error("reading the followed files panicked; this is a bug in Paramedic, please report it with the log")]
    Panicked,
}

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Files followed now.
    pub files: usize,
    /// Events delivered since the start.
    pub events: u64,
    /// Lines that were no events.
    pub bad_lines: u64,
    /// The latest thing that went wrong and is not over, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Shows how it goes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Mutex<Status>>);

/// What the source works with.
#[derive(Clone)]
pub struct Ports {
    /// Where the places in the files are kept.
    pub store: Arc<dyn Store>,
    /// Who takes the events.
    pub sink: Arc<dyn Sink>,
    /// The time.
    pub clock: Clock,
    /// Where it says what is wrong.
    pub problems: Problems,
    /// Where it counts.
    pub metrics: Metrics,
}

/// Follows files until told to stop.
pub struct Service {
    config: Config,
    ports: Ports,
    handle: Handle,
    /// What is on the list of problems, by its key.
    wrong: BTreeMap<String, String>,
    /// The latest that went wrong at one moment, and when.
    mishap: Option<(Time, String)>,
}

impl Service {
    /// Checks the configuration.
    ///
    /// # Errors
    /// When a path is no glob.
    pub fn try_new(config: Config, ports: Ports) -> Result<Self, Error> {
        for pattern in &config.paths {
            glob::Pattern::new(pattern)
                .map_err(|error| Error::Pattern { pattern: pattern.clone(), message: error.to_string() })?;
        }
        Ok(Self { config, ports, handle: Handle::default(), wrong: BTreeMap::new(), mishap: None })
    }

    /// Shows how it goes.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Follows the files until `shutdown`. What was read and not delivered by then is read again next time.
    ///
    /// # Errors
    /// When the places kept in the store cannot be read, or reading a file panics.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut followers = self.followers().await?;
        loop {
            let now = self.ports.clock.now();
            // Reading may block for as long as a network file system likes.
            let look = tokio::task::spawn_blocking(move || {
                let batch = followers.poll(now);
                (followers, batch)
            });
            let (after, batch) = look.await.map_err(|_| Error::Panicked)?;
            followers = after;
            self.note(&batch, now);
            let idle = !batch.news;
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.deliver(batch.events) => {}
            }
            let places = followers.changed_places();
            if !places.is_empty() {
                // A place that is lost only means that lines are read, and recognised, again.
                match self.ports.store.commit(places).await {
                    Ok(()) => followers.places_kept(),
                    Err(error) => tracing::warn!(
                        source = self.config.name,
                        "failed to keep the places in followed files: {error}; they are kept with the next ones"
                    ),
                }
            }
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = sleep::pause(&self.ports.clock, self.config.poll.0) => {}
                }
            } else if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn followers(&self) -> Result<Followers, Error> {
        let name = &self.config.name;
        let old = self.ports.store.meta(Places::old_name(name)).await?;
        let kept = self.ports.store.metas(Places::prefix(name)).await?;
        let (places, wrong) = Places::read(name, old.as_deref(), &kept);
        for place in wrong {
            tracing::error!(
                source = name,
                "failed to read a place in a followed file: {place}; that file is read from its start"
            );
        }
        Ok(Followers::new(self.config.paths.clone(), self.config.source.clone(), places))
    }

    /// Tries until the events are taken.
    async fn deliver(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let count = events.len() as u64;
        let key = self.key("delivery");
        let mut pause = self.config.poll.0.max(Duration::from_millis(10));
        while let Err(reason) = self.ports.sink.deliver(events.clone()).await {
            let text = format!("events were not taken: {reason}");
            self.handle.lock().problem = Some(text.clone());
            if self
                .ports
                .problems
                .raise(&key, format!("{}: {text}; they are sent again until they are", self.config.name))
            {
                tracing::warn!(source = self.config.name, "{text}; trying again");
            }
            self.ports.metrics.refused(&self.config.name);
            sleep::pause(&self.ports.clock, pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.ports.problems.clear(&key);
        self.ports.metrics.events(&self.config.name, count);
        self.handle.lock().events += count;
    }

    fn key(&self, about: &str) -> String {
        format!("source/{}/{about}", self.config.name)
    }

    /// Tells what the look found.
    fn note(&mut self, batch: &Batch, now: Time) {
        let Self { config, ports, handle, .. } = &*self;
        ports.metrics.look(&config.name, batch.files, batch.bad_lines);
        let mut wrong: BTreeMap<String, String> =
            batch.wrong.iter().map(|(about, text)| (self.key(about), text.clone())).collect();
        let mishap = batch.mishap.clone().map(|text| (now, text));
        let mishap = mishap.or_else(|| self.mishap.clone().filter(|(at, _)| (now - *at).abs() < SHOWN));
        let bad_lines = handle.lock().bad_lines + batch.bad_lines;
        if let Some((_, text)) = &mishap {
            let counted =
                if bad_lines > 0 { format!("; {bad_lines} lines were not events") } else { String::new() };
            wrong.insert(self.key("mishap"), format!("{text}{counted}"));
        }
        for (key, text) in &wrong {
            if ports.problems.raise(key, format!("{}: {text}", config.name)) {
                tracing::warn!(source = config.name, bad_lines, "{text}");
            }
        }
        for key in self.wrong.keys().filter(|key| !wrong.contains_key(*key)) {
            ports.problems.clear(key);
        }
        let mut status = handle.lock();
        status.files = batch.files;
        status.bad_lines = bad_lines;
        status.problem = mishap.as_ref().map(|(_, text)| text).or(batch.wrong.values().next()).cloned();
        drop(status);
        (self.wrong, self.mishap) = (wrong, mishap);
    }
}

impl Handle {
    /// How it goes now.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
