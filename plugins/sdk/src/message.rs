//! The JSON that goes across: what a plugin says of itself, requests and answers.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Failure;

/// How much harm an action can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Little: done without asking.
    #[default]
    Low,
    /// Some.
    Medium,
    /// Much: a person is asked first.
    High,
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Of interest to who works on the plugin.
    Debug,
    /// Of interest to who operates it.
    Info,
    /// Odd, but it goes on.
    Warning,
    /// Something failed.
    Error,
}

/// Why and for whom a call is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Idempotency key: the same when the same step is repeated after a crash.
    pub key: String,
    /// What the intent is about; empty outside an intent.
    pub target: String,
    /// For which intent; empty outside one.
    pub intent: String,
    /// In which run; empty outside one.
    pub run: String,
    /// At which place of the run's journal.
    pub step: u32,
    /// Which rule fired; empty outside an intent.
    pub rule: String,
    /// How long the call may take, in milliseconds; 0 if nobody said.
    pub timeout_ms: u64,
}

impl Context {
    /// How long the call may take, if that was said.
    pub fn timeout(&self) -> Option<Duration> {
        (self.timeout_ms > 0).then(|| Duration::from_millis(self.timeout_ms))
    }
}

/// What a plugin says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One line.
    #[serde(default)]
    pub doc: String,
    /// What it can do.
    pub actions: Vec<ActionSpec>,
}

/// What one action is, takes and gives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionSpec {
    /// Such as `disk.clean`.
    pub name: String,
    /// One line.
    pub doc: String,
    /// JSON Schema of its parameters.
    pub params: Value,
    /// JSON Schema of what it gives.
    pub result: Value,
    /// Whether a call may be repeated with the same key.
    #[serde(default)]
    pub idempotent: bool,
    /// Whether it can tell if a call that was cut off has had its effect.
    #[serde(default)]
    pub probe: bool,
    /// Whether it can say what a call would do.
    #[serde(default)]
    pub dry_run: bool,
    /// How much harm it can do.
    #[serde(default)]
    pub risk: Risk,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// What is asked of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Do it.
    Call,
    /// Say what it would do.
    DryRun,
    /// Say whether the call of this key has had its effect.
    Probe,
}

/// One request.
#[derive(Debug, Deserialize)]
pub struct Request<'a> {
    /// What is asked.
    pub op: Op,
    /// Of which action.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// With what.
    #[serde(borrow)]
    pub params: &'a RawValue,
    /// Why.
    #[serde(default)]
    pub context: Context,
}

/// One answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer<T> {
    /// It worked.
    Ok(T),
    /// It did not.
    Error(Failure),
}

/// What a probe found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// Whether the call has had its effect.
    pub done: bool,
    /// What it gave, if it has.
    #[serde(default)]
    pub result: Value,
}
