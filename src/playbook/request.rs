//! What a run wants from the world when it suspends, and how one burst of it ended.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Failure, RunId, Span, Step, Time};

/// How one burst ended. `steps` are the calls answered on the spot (log, metric, time, random), in order and not yet
/// durable: they must be, before the next effect begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Burst {
    /// The script waits for an effect.
    Suspended {
        /// Answered on the spot.
        steps: Vec<Step>,
        /// The step that waits, with status `started`; after a restart the one that the journal already holds.
        step: Box<Step>,
        /// What it waits for.
        request: Request,
    },
    /// The function came to its end.
    Done {
        /// Answered on the spot.
        steps: Vec<Step>,
        /// What it returned.
        value: Value,
    },
    /// The function failed, was cancelled, or spent its budget.
    Failed {
        /// Answered on the spot.
        steps: Vec<Step>,
        /// Why, with file, line and column.
        failure: Failure,
    },
}

/// An effect that a script waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// One action; the step's result is the action's.
    Act(ActRequest),
    /// Several side by side. The step's result, once all have ended, is the list of their results in the same order, its
    /// error the first failure. With `partial` nothing of it fails: each result is `{"ok": true, "result": …}` or
    /// `{"ok": false, "error": …}`.
    All {
        /// Which.
        actions: Vec<ActRequest>,
        /// Whether each failure is for the script to look at.
        partial: bool,
    },
    /// Time passes; the result is `null`.
    Sleep(Span),
    /// An event; the result is the event, or `null` when the time is up.
    WaitFor {
        /// Which topics.
        pattern: String,
        /// A condition on it, as in rules.
        when: Option<String>,
        /// How long at most.
        timeout: Span,
        /// From when on events count, by their arrival; none: from the start of the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Time>,
    },
    /// An event is sent; the result is `null`.
    Emit {
        /// Its topic.
        topic: String,
        /// Its payload.
        data: Value,
    },
    /// The run goes on as another one with an empty journal, which is given this as `ctx.carried`; nothing comes back.
    Continue(Value),
    /// A person answers; the result is the answer, or `null` when the time is up. With `details` the answer is
    /// `{"answer": …, "by": …, "at": …}`.
    Ask {
        /// What they are asked.
        question: String,
        /// What they may answer; none: anything.
        choices: Vec<String>,
        /// How long at most.
        timeout: Span,
        /// Whether who answered is wanted too.
        details: bool,
    },
}

/// A call of an action, as the script wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActRequest {
    /// Which action; one that the playbook's header names.
    pub action: String,
    /// Its parameters.
    pub params: Map<String, Value>,
    /// How long it may take; none: the action's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How often to try again after a retryable failure; none: not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Pause before the first retry; it doubles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Span>,
    /// Idempotency key; none: one made from run and step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a burst may know of the world besides its arguments.
#[derive(Clone, Debug)]
pub struct Env {
    /// Whose journal.
    pub run: RunId,
    /// What `now()` says in steps made by this burst.
    pub now: Time,
    /// Where `random()` and `uuid()` come from, with the step's number; keep it the same for a run.
    pub seed: u128,
    /// When the run's time is up.
    pub deadline: Time,
    /// Whether a person has ended the run.
    pub cancelled: bool,
    /// How much a script may use.
    pub limits: Limits,
}

/// How much a script may use. What Rhai itself bounds (depth, variables, sizes) is the same for all: see `engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations of one function from its beginning, replayed ones counted again.
    pub operations: u64,
    /// Wall time of one burst, by a clock that nobody can set.
    pub wall: Span,
    /// Steps of one run, all its functions together.
    pub journal: u32,
}

impl Default for Limits {
    /// 500,000 operations: a playbook uses some hundreds, and this much takes under 0.2 s. 2 s of wall time: ten times
    /// that, for a busy machine. 5,000 steps: resuming from there takes some 5 ms.
    fn default() -> Self {
        Self { operations: 500_000, wall: Span::secs(2), journal: 5_000 }
    }
}
