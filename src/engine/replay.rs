//! Replay: what rules would have done with events that really happened, and what other rules would do instead.
//!
//! Events go through the same matching and the same patterns as live ones, in the order and at the times of their
//! arrival; nothing is touched and nothing is carried out. What becomes of a firing is foreseen as far as events alone
//! can say: see [`Foreseen`]. Stateless matching runs on any number of threads, the rest in order on one, so the same
//! input gives the same answer, byte for byte. Start with [`file`] and [`log`].

mod compare;
mod course;
mod ledger;
mod pipe;
mod player;
pub mod report;
pub mod served;
mod source;
mod stage;
mod sums;
#[cfg(test)]
mod tests;

use crate::model::Time;

pub use report::{Against, Change, Foreseen, Kind, Outcome, Report, Side};
pub use source::{file, log};

/// How a replay is played.
#[derive(Clone, Debug)]
pub struct Options {
    /// What happens before it fills the patterns, and is not told.
    pub since: Option<Time>,
    /// Where it ends; an event of this time is not played.
    pub until: Option<Time>,
    /// Tells only of rules whose name holds this text.
    pub only: Option<String>,
    /// Threads that match.
    pub threads: usize,
    /// Whether its threads give way to all others, as beside an engine that works.
    pub gives_way: bool,
}

/// How time passes in a replay.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// When the rules began to be followed, if that was before the first event.
    begun: Option<Time>,
    /// Whether time goes by the events alone: what is due between two happens at its own time, and after the last one
    /// time runs on until nothing waits. In the log, recorded arrivals say when time was looked at.
    runs_out: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { since: None, until: None, only: None, threads: 1, gives_way: false }
    }
}

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line is no event.
    #[error("{file}:{line}: {message}")]
    Line {
        /// Which file.
        file: String,
        /// From 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The file cannot be read.
    #[error("failed to read {file}: {why}")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        why: String,
    },
    /// The log cannot be read.
    #[error("failed to read the log: {0}")]
    Log(#[from] crate::store::Error),
    /// The system gives no threads.
    #[error("failed to start the replay: {0}")]
    Threads(String),
    /// It panicked.
    #[error("the replay broke off; that is a defect of Paramedic")]
    Broke,
}
