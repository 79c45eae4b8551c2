//! Where the time comes from: the machine's clock, or one that a test or a replay sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// A moment, in UTC.
pub type Time = DateTime<Utc>;

/// A source of the present time; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `time` until [`Clock::set`] moves it.
    pub fn fixed(time: Time) -> Self {
        Self(Some(Arc::new(AtomicI64::new(time.timestamp_micros()))))
    }

    /// The present time, to the microsecond.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> Time {
        match &self.0 {
            None => micros(Utc::now().timestamp_micros()),
            Some(at) => micros(at.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock; does nothing to the machine's.
    pub fn set(&self, time: Time) {
        if let Some(at) = &self.0 {
            at.store(time.timestamp_micros(), Ordering::SeqCst);
        }
    }
}

/// The moment `n` microseconds after 1970; times outside chrono's range are taken to its ends.
pub fn micros(n: i64) -> Time {
    DateTime::from_timestamp_micros(n).unwrap_or(if n < 0 { Time::MIN_UTC } else { Time::MAX_UTC })
}
