//! The kill switch: what may not be acted on until a person says so.
//!
//! Kept in a file of its own in the data directory, so that it holds with bus and store down, is there before anything
//! else at the next start, and can be thrown without the engine: a file that is empty or cannot be read freezes
//! everything. The file is looked at before each effect. Nothing here acts or waits; only a person thaws.

mod file;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::model::{Clock, Intent, Time};
use file::{Read, Seen};

/// The file's name in the data directory.
pub const FILE: &str = "freeze.json";

/// What is frozen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    All,
    /// A target, a group of a rule, or a fleet of this name.
    Group(String),
    /// A playbook.
    Playbook(String),
    /// All that a rule asks for.
    Rule(String),
}

/// Something is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// What.
    pub scope: Scope,
    /// Why, in the words of whoever froze it.
    #[serde(default)]
    pub reason: String,
    /// Who.
    #[serde(default)]
    pub by: String,
    /// Since when.
    pub since: Time,
    /// Until when; none: until a person thaws it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Why the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {path}: {source}")]
pub struct Unwritten {
    path: String,
    source: std::io::Error,
}

/// The switch; clone it to keep a handle.
#[derive(Clone)]
pub struct Switch {
    clock: Clock,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<u64>>,
}

struct State {
    file: Option<file::File>,
    seen: Seen,
    frozen: Vec<Freeze>,
    /// When those end that end by themselves, as steady times: as late as they were going to, however the clock is set.
    ends: Vec<(Freeze, Time)>,
}

impl Switch {
    /// The switch of the data directory `dir`.
    pub fn of(dir: &Path, clock: Clock) -> Self {
        let switch = Self::with(Some(file::File::new(dir.join(FILE))), clock);
        switch.look();
        switch
    }

    /// One that nobody can throw from outside, as for a rehearsal.
    pub fn none(clock: Clock) -> Self {
        Self::with(None, clock)
    }

    fn with(file: Option<file::File>, clock: Clock) -> Self {
        let state = State { file, seen: Seen::default(), frozen: Vec::new(), ends: Vec::new() };
        Self { clock, state: Arc::new(Mutex::new(state)), changed: Arc::new(watch::Sender::new(0)) }
    }

    /// Freezes `scope`; what is said of it before is replaced.
    ///
    /// # Errors
    /// When it cannot be kept. It is frozen all the same, as long as the engine lives.
    pub fn freeze(&self, freeze: Freeze) -> Result<(), Unwritten> {
        self.change(|frozen| {
            frozen.retain(|it| it.scope != freeze.scope);
            frozen.push(freeze);
        })
    }

    /// Thaws `scope`; false if it was not frozen.
    ///
    /// # Errors
    /// When that cannot be kept; then it stays frozen.
    pub fn thaw(&self, scope: &Scope) -> Result<bool, Unwritten> {
        let before = self.list();
        if !before.iter().any(|it| it.scope == *scope) {
            return Ok(false);
        }
        let result = self.change(|frozen| frozen.retain(|it| it.scope != *scope));
        if let Err(error) = result {
            let mut state = self.lock();
            state.frozen = before;
            state.remember_ends(&self.clock);
            drop(state);
            return Err(error);
        }
        Ok(true)
    }

    /// All that is frozen now, in the order in which it was frozen.
    pub fn list(&self) -> Vec<Freeze> {
        self.look();
        let now = self.clock.steady();
        let state = self.lock();
        state.frozen.iter().filter(|it| state.holds(it, now)).cloned().collect()
    }

    /// What keeps `playbook` from acting for `intent` now.
    pub fn on(&self, intent: &Intent, playbook: Option<&str>) -> Option<Freeze> {
        self.look();
        let now = self.clock.steady();
        let state = self.lock();
        state.frozen.iter().find(|it| state.holds(it, now) && it.scope.covers(intent, playbook)).cloned()
    }

    /// Told of each change that is seen.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Looks whether the file has changed.
    pub fn look(&self) {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(file) = &state.file else { return };
        let Some((seen, read)) = file.changed(&state.seen) else { return };
        let frozen = match read {
            Read::Frozen(frozen) => frozen,
            Read::Unclear(why) => vec![Freeze {
                scope: Scope::All,
                reason: why,
                by: file.name().into(),
                since: now,
                until: None,
            }],
        };
        state.seen = seen;
        if frozen != state.frozen {
            state.frozen = frozen;
            state.remember_ends(&self.clock);
            drop(state);
            self.changed.send_modify(|n| *n += 1);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Freeze>)) -> Result<(), Unwritten> {
        self.look();
        let now = self.clock.steady();
        let mut state = self.lock();
        let before = std::mem::take(&mut state.frozen);
        state.frozen = before.into_iter().filter(|it| state.holds(it, now)).collect();
        change(&mut state.frozen);
        state.remember_ends(&self.clock);
        let written = match &state.file {
            Some(file) => file.write(&state.frozen).map(Some),
            None => Ok(None),
        };
        let result = match written {
            Ok(seen) => {
                state.seen = seen.unwrap_or_default();
                Ok(())
            }
            Err(source) => {
                let path = state.file.as_ref().map(file::File::name).unwrap_or_default().to_owned();
                Err(Unwritten { path, source })
            }
        };
        drop(state);
        self.changed.send_modify(|n| *n += 1);
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds(&self, freeze: &Freeze, now: Time) -> bool {
        let ends = self.ends.iter().find(|(it, _)| it == freeze).map(|(_, at)| *at);
        ends.is_none_or(|at| now < at)
    }

    fn remember_ends(&mut self, clock: &Clock) {
        let known = std::mem::take(&mut self.ends);
        let era = clock.era();
        for freeze in &self.frozen {
            let Some(until) = freeze.until else { continue };
            let before = known.iter().find(|(it, _)| it == freeze).map(|(_, at)| *at);
            let at = before.unwrap_or_else(|| clock.to_steady(until, era));
            self.ends.push((freeze.clone(), at));
        }
    }
}

impl Freeze {
    /// Whether it is still frozen at `now`.
    pub fn holds(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl std::fmt::Display for Freeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is frozen", self.scope)?;
        if !self.by.is_empty() {
            write!(f, " by {}", self.by)?;
        }
        if let Some(until) = self.until {
            write!(f, " until {}", until.format("%FT%TZ"))?;
        }
        if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
    }
}

impl Scope {
    /// Whether it stands for what `playbook` would do for `intent`.
    pub fn covers(&self, intent: &Intent, playbook: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Group(name) => {
                let fleet = intent.fleet.as_deref();
                intent.target == *name || intent.group == *name || fleet == Some(name)
            }
            Self::Playbook(name) => playbook == Some(name),
            Self::Rule(name) => intent.rule == *name,
        }
    }
}

/// What is said to whoever wants to thaw `scope`, while only these are `frozen`.
pub fn not_frozen(scope: &Scope, frozen: &[Freeze]) -> String {
    let frozen: Vec<String> = frozen.iter().map(|it| it.scope.to_string()).collect();
    match frozen.as_slice() {
        [] => format!("{scope} is not frozen; nothing is"),
        there => format!("{scope} is not frozen; frozen are: {}", there.join(", ")),
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("everything"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Playbook(name) => write!(f, "playbook {name}"),
            Self::Rule(name) => write!(f, "rule {name}"),
        }
    }
}

#[cfg(test)]
mod tests;
