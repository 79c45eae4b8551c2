//! One run of a playbook, and the steps in its journal.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EndedBy, IntentId, RunId, Time};

/// One run of a playbook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// For which intent.
    pub intent: IntentId,
    /// Which of the intent's attempts, from 1.
    pub attempt: u32,
    /// Which playbook.
    pub playbook: String,
    /// SHA-256 of everything that decides what the script does, in hex; the run ends on the source it began with.
    pub source_hash: String,
    /// What the script sees as `ctx`.
    pub ctx: Value,
    /// Where it stands.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Time,
    /// When its time is up; later than its playbook says if it was held by a freeze or by a downtime of the engine.
    pub deadline: Time,
    /// What last kept it from going on, if anything did.
    #[serde(default, skip_serializing_if = "EndedBy::is_itself")]
    pub disturbed_by: EndedBy,
    /// When the engine that took it up last was started, if that is not the one that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_up_at: Option<Time>,
    /// How many lives of the engine have taken it up since it last made a step or began to wait.
    #[serde(default, skip_serializing_if = "is_none")]
    pub idle_lives: u32,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// What `run` returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// What `verify` answered, if the playbook has one and it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// `run` is being carried out.
    Running,
    /// `verify` is being carried out.
    Verifying,
    /// `rollback` is being carried out.
    RollingBack,
    /// Ended well.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// A person ended it.
    Cancelled,
    /// It went on as another run, with an empty journal.
    Continued,
}

impl RunStatus {
    /// Whether it still has something to do.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Verifying | Self::RollingBack)
    }
}

/// One entry of a run's journal: a call that the script made of its host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Whose journal.
    pub run: RunId,
    /// Which function of the playbook made it: `run`, `verify` or `rollback`. Sequence numbers go on through all three.
    pub phase: Phase,
    /// Place in the journal, from 0.
    pub seq: u32,
    /// Which host function.
    pub kind: StepKind,
    /// What of it: the action, the topic, the metric; empty for others.
    pub name: String,
    /// What was asked for: parameters and options. Replay compares it.
    pub request: Value,
    /// Where it stands.
    pub status: StepStatus,
    /// How often its effect was begun.
    pub tries: u32,
    /// What the script got back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// What the script got thrown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// When it began.
    pub started_at: Time,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// The function of a playbook that a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// `fn run(ctx)`
    Run,
    /// `fn verify(ctx)`
    Verify,
    /// `fn rollback(ctx)`
    Rollback,
}

impl Phase {
    /// The function's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Verify => "verify",
            Self::Rollback => "rollback",
        }
    }
}

/// A host function that is a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// An action.
    Act,
    /// Several actions side by side.
    All,
    /// A wait for a time.
    Sleep,
    /// A wait for an event.
    WaitFor,
    /// A question to a person.
    Ask,
    /// An event sent.
    Emit,
    /// A log line.
    Log,
    /// A metric.
    Metric,
    /// The time.
    Now,
    /// A random number.
    Random,
    /// A random id.
    Uuid,
    /// The end of this run, which goes on as another.
    Continue,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Its effect may have happened.
    Started,
    /// Its result is in the journal.
    Finished,
    /// It was to begin and was held back before its effect began.
    NotBegun,
}

/// Why an action, a step or a run failed; scripts catch it as `#{kind, action, message, retryable}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// A short stable word: `failed`, `timeout`, `refused`, `interrupted`, `invalid`, `limit`, `script`, `cancelled`.
    pub kind: String,
    /// The action, where one failed.
    #[serde(default)]
    pub action: String,
    /// What happened, for people.
    pub message: String,
    /// Whether trying again may help.
    #[serde(default)]
    pub retryable: bool,
}

impl Failure {
    /// A failure that trying again will not mend.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), action: String::new(), message: message.into(), retryable: false }
    }

    /// The same, where trying again may help.
    pub fn retryable(kind: &str, message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new(kind, message) }
    }

    /// The same, said of `action`.
    #[must_use]
    pub fn of(mut self, action: &str) -> Self {
        self.action = action.into();
        self
    }
}
