//! Files of JSON lines that other programs append to: followed by glob, through rotation and truncation.
//!
//! Each complete line is an event in plain JSON (see [`super::cloudevents`]). A place in a file moves on only when
//! its events are durable, and is kept in the store; a line without an id gets one from its place, so that a line
//! read twice is one event. A line that is no event is counted and reported, and never stops the source. Files
//! that are copied (not renamed) into the glob are new files. Start with [`Service`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::model::{Clock, Event, Span};
use crate::store::{self, Store, Write};
use follow::{Batch, Followers};

mod file;
mod follow;
#[cfg(test)]
mod tests;

/// Longest pause between two tries to deliver.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

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
    /// The latest thing that went wrong, with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Shows how it goes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Handle(Arc<Mutex<Status>>);

/// Follows files until told to stop.
pub struct Service {
    config: Config,
    store: Arc<dyn Store>,
    sink: Arc<dyn Sink>,
    clock: Clock,
    handle: Handle,
}

impl Service {
    /// Checks the configuration.
    ///
    /// # Errors
    /// When a path is no glob.
    pub fn try_new(
        config: Config,
        store: Arc<dyn Store>,
        sink: Arc<dyn Sink>,
        clock: Clock,
    ) -> Result<Self, Error> {
        for pattern in &config.paths {
            glob::Pattern::new(pattern)
                .map_err(|error| Error::Pattern { pattern: pattern.clone(), message: error.to_string() })?;
        }
        Ok(Self { config, store, sink, clock, handle: Handle::default() })
    }

    /// Shows how it goes.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Follows the files until `shutdown`. What was read and not delivered by then is read again next time.
    ///
    /// # Errors
    /// When the places kept in the store cannot be read.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let key = format!("source.jsonl.{}", self.config.name);
        let places = self.store.meta(key.clone()).await?;
        let globs = self.config.paths.clone();
        let mut followers = Followers::new(globs, self.config.source.clone(), places.as_deref());
        loop {
            let now = self.clock.now();
            // Reading may block for as long as a network file system likes.
            let look = tokio::task::spawn_blocking(move || {
                let batch = followers.poll(now);
                (followers, batch)
            });
            let Ok((after, batch)) = look.await else { return Ok(()) };
            followers = after;
            self.handle.note(&batch);
            let idle = batch.events.is_empty();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.deliver(batch.events) => {}
            }
            if let Some(places) = followers.changed_places() {
                // A place that is lost only means that lines are read, and recognised, again.
                if let Err(error) =
                    self.store.commit(vec![Write::Meta { key: key.clone(), value: places }]).await
                {
                    followers.places_not_kept();
                    tracing::warn!(
                        source = self.config.name,
                        "could not keep the places in followed files: {error}"
                    );
                }
            }
            if idle {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(self.config.poll.0) => {}
                }
            } else if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Tries until the events are taken.
    async fn deliver(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let count = events.len() as u64;
        let mut pause = self.config.poll.0.max(Duration::from_millis(10));
        while let Err(reason) = self.sink.deliver(events.clone()).await {
            self.handle.lock().problem = Some(format!("events were not taken: {reason}"));
            tracing::warn!(source = self.config.name, "events were not taken, trying again: {reason}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.handle.lock().events += count;
    }
}

impl Handle {
    /// How it goes now.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    fn note(&self, batch: &Batch) {
        let mut status = self.lock();
        status.files = batch.files;
        status.bad_lines += batch.bad_lines;
        if let Some(problem) = &batch.problem {
            if status.problem.as_ref() != Some(problem) {
                tracing::warn!(bad_lines = status.bad_lines, "{problem}");
            }
            status.problem = Some(problem.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a file, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    path: PathBuf,
    #[serde(flatten)]
    identity: file::Identity,
    /// How often the file was begun anew under the same identity.
    generation: u64,
    /// Start of the first line that was not delivered.
    offset: u64,
    /// Length and hash of the file's beginning, by which a rewritten file is known.
    head: (u64, u64),
}
