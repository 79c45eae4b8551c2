//! What is shown of a plugin.

use std::path::PathBuf;

use serde::Serialize;

use super::slot::Slot;
use super::spec::Isolation;
use crate::model::Time;

/// How a plugin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its actions can be called.
    Ready,
    /// An older version goes on, as what is there now was refused.
    Stale,
    /// It crashed too often in a row.
    Quarantined,
    /// It could not be loaded.
    Failed,
}

impl State {
    /// Its name, as it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Stale => "stale",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
        }
    }
}

/// A plugin, as `/api/plugins` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Its name in the configuration.
    pub name: String,
    /// The library.
    pub path: PathBuf,
    /// How it stands.
    pub state: State,
    /// Why it does not stand well.
    pub reason: Option<String>,
    /// What it calls itself.
    pub title: Option<String>,
    /// Its own version.
    pub version: Option<String>,
    /// What it is for.
    pub doc: Option<String>,
    /// Of the version that is loaded.
    pub sha256: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// Whether other content than the configured is refused.
    pub pinned: bool,
    /// Where it runs.
    pub isolation: Isolation,
    /// Its actions.
    pub actions: Vec<String>,
    /// Since when this version is loaded.
    pub loaded_at: Option<Time>,
    /// How often a new version took the place of one.
    pub swaps: u64,
    /// Processes that wait for a call.
    pub idle_processes: usize,
    /// Calls since the start of the engine; not counted in process.
    pub calls: u64,
    /// Calls that ended with the process.
    pub crashes: u64,
    /// Why the last of them did.
    pub last_crash: Option<String>,
    /// Seconds until one call is tried again, if it is quarantined.
    pub quarantined_s: Option<u64>,
}

/// How the plugin stands.
pub(super) fn of(slot: &Slot) -> View {
    let version = slot.loaded();
    let look = slot.look().clone();
    let health = slot.health.show();
    let quarantined = health.quarantined;
    let (state, reason) = match (&version, &look.refused, quarantined) {
        (None, why, _) => (State::Failed, why.clone()),
        (_, _, Some(_)) => (State::Quarantined, health.last.clone()),
        (_, Some(why), None) => (State::Stale, Some(why.clone())),
        _ => (State::Ready, None),
    };
    View {
        name: slot.spec.name.clone(),
        path: slot.spec.path.clone(),
        state,
        reason,
        title: version.as_ref().map(|version| version.said.name.clone()),
        version: version.as_ref().map(|version| version.said.version.clone()),
        doc: version.as_ref().map(|version| version.said.doc.clone()),
        sha256: version.as_ref().map(|version| version.sha256.clone()),
        size: version.as_ref().map(|version| version.size),
        pinned: slot.spec.sha256.is_some(),
        isolation: slot.spec.isolation,
        actions: look.names,
        loaded_at: version.as_ref().map(|version| version.loaded_at),
        swaps: look.swaps,
        idle_processes: version.as_ref().map_or(0, |version| version.runner.idle()),
        calls: health.calls,
        crashes: health.crashes,
        last_crash: health.last,
        quarantined_s: quarantined.map(|left| left.as_secs()),
    }
}
