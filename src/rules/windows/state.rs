//! What is remembered of one group, by kind of pattern.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::members::Seen;
use crate::model::Event;

/// What is remembered of one group. Times are microseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Matches that are counted, or when it fired last.
    Times(Times),
    /// Members of `all` and `sequence` that have matched, in order of arrival.
    Seen(Vec<Seen>),
    /// When it was heard last.
    Heard(Heard),
    /// Matches that are collected.
    Collected(Collected),
    /// Matches that something should follow.
    Awaited(Awaited),
    /// The latest values of a number.
    Values(VecDeque<f64>),
    /// When it fires next by the calendar.
    Scheduled(i64),
}

/// Times of the latest matches, in the order of arrival.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// They themselves.
    pub times: VecDeque<i64>,
    /// How often a later of these stands before an earlier; mostly never.
    pub disorder: usize,
}

/// When a group was heard last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heard {
    /// When; of one that is only expected, when that began.
    pub at: i64,
    /// When silence is noticed.
    pub due: i64,
    /// What was heard last.
    pub event: Option<Arc<Event>>,
    /// Whether silence was noticed already.
    pub silent: bool,
}

/// Matches that are collected before it fires once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Collected {
    /// When it fires.
    pub due: i64,
    /// How many.
    pub count: u64,
    /// The last of them.
    pub last: Arc<Event>,
}

/// Matches that something should follow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Awaited {
    /// They themselves, in order of arrival.
    pub armed: VecDeque<Armed>,
    /// When what should follow came lately.
    pub followed: VecDeque<i64>,
}

/// A match that something should follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Armed {
    /// When it happened.
    pub at: i64,
    /// When it is too late.
    pub due: i64,
    /// The match.
    pub event: Arc<Event>,
}

/// What an event costs beside its payload.
const EVENT: usize = 400;

impl State {
    /// When it is due, if it waits for a time.
    pub fn due(&self) -> Option<i64> {
        match self {
            Self::Heard(heard) => (!heard.silent).then_some(heard.due),
            Self::Collected(collected) => Some(collected.due),
            Self::Awaited(awaited) => awaited.armed.iter().map(|armed| armed.due).min(),
            Self::Scheduled(next) => Some(*next),
            Self::Times(_) | Self::Seen(_) | Self::Values(_) => None,
        }
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let event = |event: &Arc<Event>| EVENT + event.data.text().len();
        match self {
            Self::Times(times) => times.times.len() * 8,
            Self::Seen(seen) => seen.iter().map(|seen| event(&seen.event)).sum(),
            Self::Heard(heard) => heard.event.as_ref().map_or(0, event),
            Self::Collected(collected) => event(&collected.last),
            Self::Awaited(awaited) => {
                awaited.armed.iter().map(|a| event(&a.event)).sum::<usize>() + awaited.followed.len() * 8
            }
            Self::Values(values) => values.len() * 8,
            Self::Scheduled(_) => 0,
        }
    }
}
