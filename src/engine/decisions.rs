//! What was decided about each event, kept beside it, and which rules decided: so that "why?" has the answer of then.
//!
//! Only what rules made of events that matched is kept; that others did not match is found again from the event and
//! the rules as they were, which are kept by their hash. Start with [`Decisions`].

use serde::{Deserialize, Serialize};

use crate::intents::board::Became;
use crate::model::Time;
use crate::rules::Note;
use crate::store::{Error, Store, Write};

/// Name under which it is kept which rules decided when.
const ERAS: &str = "rules.eras";
/// Most changes of rules that are remembered.
const MAX_ERAS: usize = 1_000;

/// What was decided about the events of one unit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Decisions(Vec<DecidedEvent>);

/// What was decided about one event.
#[derive(Debug, Serialize, Deserialize)]
pub struct DecidedEvent {
    /// Its place in the unit, from 0.
    pub at: usize,
    /// What the patterns of the rules made of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What became of each rule that fired or was over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub became: Vec<(String, Became)>,
}

/// A time in which the same rules decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Era {
    /// It begins after the event with this number.
    pub after: u64,
    /// Hash of the rules.
    pub rules: String,
    /// When it began.
    pub since: Time,
}

impl Decisions {
    /// Adds what was decided about an event, if anything was.
    pub fn add(&mut self, event: DecidedEvent) {
        if !event.notes.is_empty() || !event.became.is_empty() {
            self.0.push(event);
        }
    }

    /// Adds that a timer of `rule` fired.
    pub fn timed(&mut self, at: usize, rule: &str, became: Became) {
        self.0.push(DecidedEvent { at, notes: Vec::new(), became: vec![(rule.into(), became)] });
    }

    /// As it is kept beside the last `about` events of the unit.
    pub fn write(self, about: usize) -> Option<Write> {
        let text = serde_json::to_string(&self).ok()?;
        (!self.0.is_empty()).then_some(Write::Notes { about, text })
    }

    /// What was decided about event number `number`; none if nothing was.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn of(store: &dyn Store, number: u64) -> Result<Option<DecidedEvent>, Error> {
        let Some((first, text)) = store.notes(number).await? else { return Ok(None) };
        let all: Self = serde_json::from_str(&text).map_err(|error| {
            Error::Invalid(format!("what was decided about event {number} does not read: {error}"))
        })?;
        Ok(all.0.into_iter().find(|event| first + event.at as u64 == number))
    }
}

/// Which rules decided when, oldest first.
///
/// # Errors
/// When the store does not answer.
pub async fn eras(store: &dyn Store) -> Result<Vec<Era>, Error> {
    Ok(super::set_aside::kept(store, ERAS).await?.unwrap_or_default())
}

/// As they are kept.
pub fn keep(mut eras: Vec<Era>) -> Write {
    eras.drain(..eras.len().saturating_sub(MAX_ERAS));
    Write::Meta { key: ERAS.into(), value: serde_json::to_string(&eras).expect("texts and numbers are JSON") }
}
