//! The values everything else speaks of: events, topics, intents, runs, steps, outcomes, alerts.
//!
//! No I/O, no clock and no randomness here: times and random bits come in as arguments. Start with [`Event`].

pub mod alert;
pub mod chance;
pub mod clock;
pub mod data;
pub mod decision;
pub mod diagnostic;
pub mod event;
pub mod id;
pub mod intent;
pub mod outcome;
pub mod run;
pub mod span;
pub mod topic;

pub use alert::Alert;
pub use chance::Chance;
pub use clock::{Clock, Time};
pub use data::Data;
pub use decision::Decision;
pub use diagnostic::Diagnostic;
pub use event::{Event, Priority};
pub use id::{AlertId, IntentId, RunId};
pub use intent::{Attempt, Intent, Status};
pub use outcome::{EndedBy, Outcome, OutcomeRecord};
pub use run::{Failure, Run, RunStatus, Step, StepKind, StepStatus};
pub use span::Span;
pub use topic::{Pattern, Topic};

/// How much harm an action or playbook can do; guards are stricter the higher it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Harmless when wrong: it looks, or it restarts one unit.
    Low,
    /// Hurts for a while when wrong.
    #[default]
    Medium,
    /// Cannot be undone, or reaches far.
    High,
}

/// What happens when a rule fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Repair without asking.
    #[default]
    Auto,
    /// Repair once a person has approved it.
    Ask,
    /// Record what would have been done, do nothing.
    Shadow,
}
