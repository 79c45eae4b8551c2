//! Where the time comes from: the machine's clock, one that a test or a replay sets, or one that follows another.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A moment, in UTC.
pub type Time = DateTime<Utc>;

/// A source of the present time; cheap to clone.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Fixed(Arc<AtomicI64>),
    Following(Time, Arc<dyn Fn() -> Duration + Send + Sync>),
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `time` until [`Clock::set`] moves it.
    pub fn fixed(time: Time) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(time.timestamp_micros()))))
    }

    /// A clock that is as far past `start` as `elapsed` says: virtual time.
    pub fn following(start: Time, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Source::Following(start, Arc::new(elapsed)))
    }

    /// The present time, to the microsecond.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => micros(Utc::now().timestamp_micros()),
            Source::Fixed(at) => micros(at.load(Ordering::SeqCst)),
            Source::Following(start, elapsed) => {
                let past = TimeDelta::from_std(elapsed()).unwrap_or(TimeDelta::MAX);
                micros(start.checked_add_signed(past).unwrap_or(Time::MAX_UTC).timestamp_micros())
            }
        }
    }

    /// Moves a fixed clock; does nothing to any other.
    pub fn set(&self, time: Time) {
        if let Source::Fixed(at) = &self.0 {
            at.store(time.timestamp_micros(), Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock(system)",
            Source::Fixed(_) => "Clock(fixed)",
            Source::Following(..) => "Clock(following)",
        })
    }
}

/// The moment `n` microseconds after 1970; times outside chrono's range are taken to its ends.
pub fn micros(n: i64) -> Time {
    DateTime::from_timestamp_micros(n).unwrap_or(if n < 0 { Time::MIN_UTC } else { Time::MAX_UTC })
}
