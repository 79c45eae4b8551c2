//! The state of the patterns as it is saved now and then, with the events that it rests on: a restart reads it and goes
//! on with the events after it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::Time;
use crate::rules::Windows;
use crate::store::Write;

/// Name under which it is kept.
pub(super) const KEY: &str = "rules.windows";
/// How often it is saved.
const EVERY: Duration = Duration::from_secs(10);
/// It is saved sooner after so many events: a restart reads no more than these again.
const EVENTS: usize = 200_000;
/// Of the time between two savings, no more than one part in so many goes into them.
const SHARE: u32 = 50;

/// The state as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    /// Number of the last event in it.
    pub(super) position: u64,
    /// The latest time of arrival.
    pub(super) arrived: Time,
    /// What [`Windows::save`] gave.
    pub(super) windows: Box<RawValue>,
}

/// When it was saved last, and what that cost.
pub(super) struct Saving {
    at: Instant,
    cost: Duration,
    events: usize,
}

impl Default for Saving {
    fn default() -> Self {
        Self { at: Instant::now(), cost: Duration::ZERO, events: 0 }
    }
}

impl Saving {
    /// The state, if it is time to save it, `more` events after the last call.
    pub(super) fn write(
        &mut self,
        windows: &Windows,
        position: u64,
        arrived: Time,
        more: usize,
    ) -> Option<Write> {
        self.events += more;
        let age = self.at.elapsed();
        let wanted = self.events > 0 && age >= EVERY || self.events >= EVENTS;
        if !wanted || age < self.cost * SHARE {
            return None;
        }
        self.now(windows, position, arrived)
    }

    /// The state.
    pub(super) fn now(&mut self, windows: &Windows, position: u64, arrived: Time) -> Option<Write> {
        let begun = Instant::now();
        let windows = RawValue::from_string(windows.save()).ok()?;
        let value = serde_json::to_string(&Saved { position, arrived, windows }).ok()?;
        *self = Self { at: Instant::now(), cost: begun.elapsed(), events: 0 };
        Some(Write::Meta { key: KEY.into(), value })
    }
}
