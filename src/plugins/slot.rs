//! One configured plugin: the version that is loaded, and what became of the last look at its file.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::health::Health;
use super::image::Stamp;
use super::manifest::Said;
use super::runner::Runner;
use super::spec::Spec;
use crate::model::{Failure, Time};

/// Wait before a plugin that never loaded is tried again though its file has not changed; doubled each time.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

pub(super) struct Slot {
    pub(super) spec: Arc<Spec>,
    pub(super) health: Arc<Health>,
    now: RwLock<Option<Arc<Version>>>,
    look: Mutex<Look>,
    /// How it is to be loaded, where that did not work yet.
    wanted: Mutex<Option<Spec>>,
    /// Whether the configuration has another in its place, or none.
    pub(super) gone: AtomicBool,
    /// Held while the file is looked at, so that two looks do not load it twice.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// A version that is loaded.
pub(super) struct Version {
    pub(super) runner: Runner,
    pub(super) said: Said,
    pub(super) sha256: String,
    pub(super) size: u64,
    pub(super) loaded_at: Time,
}

/// What became of the last look at the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// How the file stood when it was read last.
    pub(super) read: Stamp,
    /// How it stood at the last look: one that still changes is left alone.
    pub(super) seen: Stamp,
    /// Why what is there now is not what is loaded.
    pub(super) refused: Option<String>,
    /// When to try again.
    pub(super) again: Option<(Instant, Duration)>,
    /// How often a new version took the place of one.
    pub(super) swaps: u64,
    /// Names of its actions that are in the registry.
    pub(super) names: Vec<String>,
}

impl Slot {
    pub(super) fn new(spec: Spec) -> Self {
        Self {
            spec: Arc::new(spec),
            health: Arc::default(),
            now: RwLock::new(None),
            look: Mutex::default(),
            wanted: Mutex::default(),
            gone: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The version to call.
    ///
    /// # Errors
    /// `unavailable` if none could be loaded.
    pub(super) fn version(&self) -> Result<Arc<Version>, Failure> {
        self.loaded().ok_or_else(|| {
            let why = self.look().refused.clone().unwrap_or_else(|| "it is still being loaded".into());
            Failure::retryable("unavailable", format!("plugin `{}` is not loaded: {why}", self.spec.name))
        })
    }

    /// The version that is loaded.
    pub(super) fn loaded(&self) -> Option<Arc<Version>> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a version in; gives the one that was there.
    pub(super) fn put(&self, version: Option<Arc<Version>>) -> Option<Arc<Version>> {
        std::mem::replace(&mut *self.now.write().unwrap_or_else(PoisonError::into_inner), version)
    }

    pub(super) fn look(&self) -> MutexGuard<'_, Look> {
        self.look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wanted(&self) -> MutexGuard<'_, Option<Spec>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
