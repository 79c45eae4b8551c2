//! Where the time comes from: the machine's clocks, one that a test or a replay sets, or one that follows another.
//!
//! The engine's time is the wall clock as it was at the start, and goes on by a clock that only counts what passes
//! (`CLOCK_BOOTTIME`: suspension included, corrections not). When somebody sets the wall clock, the two part:
//! [`Clock::drift`] says by how much, and [`Clock::step`] begins another era, in which the engine's time is the wall
//! clock's again. A time that was written down in an earlier era is compared with [`Clock::now_in`] that era, so that
//! a duration under way is as long as it was going to be, however the wall clock is set. Timers that are kept in
//! memory go by [`Clock::steady`], which never steps.

mod eras;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::eras::Eras;
pub use self::eras::{Kept, Step};

/// A moment, in UTC.
pub type Time = DateTime<Utc>;

/// So far the wall clock may be from the engine's time before it counts as set: more than a leap second that is
/// smeared, less than anybody would set it by.
pub const TOLERANCE: TimeDelta = TimeDelta::seconds(1);

/// Two clocks are compared only if reading them took no longer than this, in microseconds.
const AT_ONCE: i64 = 100_000;

/// A source of the present time; cheap to clone.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<AtomicI64>),
    Running(Arc<Running>),
}

/// A clock that runs.
struct Running {
    machine: Machine,
    /// Odd while the two below are changed.
    version: AtomicU64,
    /// What is added to the time since boot, in microseconds.
    offset: AtomicI64,
    era: AtomicU32,
    eras: Mutex<Eras>,
}

/// The two clocks that a machine has.
enum Machine {
    System,
    Virtual { start: i64, elapsed: Box<dyn Fn() -> Duration + Send + Sync>, shim: Option<Arc<Shim>> },
}

/// The hand of a test on a virtual machine's clocks.
#[derive(Debug, Default)]
pub struct Shim {
    /// By how much the wall clock was set, in microseconds.
    wall: AtomicI64,
    /// How long the machine was suspended, in microseconds.
    suspended: AtomicI64,
}

impl Shim {
    /// Sets the wall clock forward, or back.
    pub fn step(&self, by: TimeDelta) {
        self.wall.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// The machine sleeps for `time`: both clocks go on, and no timer does.
    pub fn suspend(&self, time: Duration) {
        self.suspended.fetch_add(whole_micros(time), Ordering::SeqCst);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The machine's own clocks.
    pub fn system() -> Self {
        Self::running(Machine::System)
    }

    /// A clock that stands still at `time` until [`Clock::set`] moves it.
    pub fn fixed(time: Time) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(time.timestamp_micros()))))
    }

    /// A clock that is as far past `start` as `elapsed` says: virtual time.
    pub fn following(start: Time, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let (start, elapsed) = (start.timestamp_micros(), Box::new(elapsed));
        Self::running(Machine::Virtual { start, elapsed, shim: None })
    }

    /// The same, with a wall clock that can be set, and a machine that can be suspended.
    pub fn shimmed(start: Time, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> (Self, Arc<Shim>) {
        let shim = Arc::new(Shim::default());
        let (start, elapsed) = (start.timestamp_micros(), Box::new(elapsed));
        (Self::running(Machine::Virtual { start, elapsed, shim: Some(shim.clone()) }), shim)
    }

    fn running(machine: Machine) -> Self {
        let offset = machine.wall().saturating_sub(machine.boot());
        Self(Source::Running(Arc::new(Running {
            machine,
            version: AtomicU64::new(0),
            offset: AtomicI64::new(offset),
            era: AtomicU32::new(0),
            eras: Mutex::default(),
        })))
    }

    /// The present time, to the microsecond.
    pub fn now(&self) -> Time {
        self.stamp().0
    }

    /// The present time, and the era that it is of: what is written down together.
    pub fn stamp(&self) -> (Time, u32) {
        match &self.0 {
            Source::Fixed(at) => (micros(at.load(Ordering::SeqCst)), 0),
            Source::Running(it) => {
                let (now, era) = it.read();
                (micros(now), era)
            }
        }
    }

    /// The present era: how often the wall clock was set since the engine has first run.
    pub fn era(&self) -> u32 {
        self.stamp().1
    }

    /// The present time as `era` would have called it: what times that were written down in it are compared with.
    pub fn now_in(&self, era: u32) -> Time {
        let (now, present) = self.stamp();
        now - self.between(era, present)
    }

    /// The present time on a scale that never steps while the process lives.
    pub fn steady(&self) -> Time {
        self.now_in(self.first_era())
    }

    /// Where `time`, which was written down in `era`, is on the scale of [`Clock::steady`].
    pub fn to_steady(&self, time: Time, era: u32) -> Time {
        moved(time, self.between(era, self.first_era()))
    }

    /// What `era` calls `steady`, a time on the scale of [`Clock::steady`].
    pub fn from_steady(&self, steady: Time, era: u32) -> Time {
        moved(steady, self.between(self.first_era(), era))
    }

    /// What era `to` calls `time`, which was written down in era `from`.
    pub fn convert(&self, time: Time, from: u32, to: u32) -> Time {
        moved(time, self.between(from, to))
    }

    /// By how much the wall clock was set from era `from` to era `to`.
    pub fn between(&self, from: u32, to: u32) -> TimeDelta {
        match &self.0 {
            Source::Running(it) if from != to => it.eras().between(from, to),
            _ => TimeDelta::zero(),
        }
    }

    /// The era in which the process began.
    pub fn first_era(&self) -> u32 {
        match &self.0 {
            Source::Fixed(_) => 0,
            Source::Running(it) => it.eras().first,
        }
    }

    /// How far the wall clock is ahead of the present time, if that is more than [`TOLERANCE`]: somebody has set it.
    pub fn drift(&self) -> Option<TimeDelta> {
        let Source::Running(it) = &self.0 else { return None };
        let (before, _) = it.read();
        let wall = it.machine.wall();
        let (after, _) = it.read();
        let drift = TimeDelta::microseconds(wall.saturating_sub(before));
        (after - before < AT_ONCE && drift.abs() > TOLERANCE).then_some(drift)
    }

    /// Begins another era, in which the present time is `by` later than it was. Only the thread that takes events in
    /// may do so, as it puts the step into the log.
    pub fn step(&self, by: TimeDelta) -> Option<Step> {
        let Source::Running(it) = &self.0 else { return None };
        let mut eras = it.eras();
        let step = eras.step(by, it.read().0.saturating_add(by.num_microseconds().unwrap_or(0)));
        it.write(|| {
            it.offset.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
            it.era.store(step.era, Ordering::SeqCst);
        });
        Some(step)
    }

    /// The steps of the eras after `era`, oldest first, as far as they are remembered.
    pub fn steps_since(&self, era: u32) -> Vec<Step> {
        match &self.0 {
            Source::Fixed(_) => Vec::new(),
            Source::Running(it) => it.eras().steps.iter().filter(|step| step.era > era).copied().collect(),
        }
    }

    /// What a later life has to know to go on with this one's times. `boot` tells one boot of the machine from another.
    pub fn keep(&self, boot: &str) -> Kept {
        match &self.0 {
            Source::Fixed(_) => Kept::default(),
            Source::Running(it) => {
                let (since_boot, (now, era)) = (it.machine.boot(), it.read());
                Kept { era, steps: it.eras().steps.clone(), time: now, since_boot, boot: boot.into() }
            }
        }
    }

    /// Goes on where an earlier life left off: with its eras, and at its time and what has passed since, as far as
    /// that is known. If the wall clock says otherwise, [`Clock::drift`] does too. What lies between the two lives is
    /// returned if only the wall clock knows it; none if the machine has counted it.
    pub fn go_on(&self, kept: Kept, boot: &str) -> Option<TimeDelta> {
        let Source::Running(it) = &self.0 else { return None };
        let (wall, since_boot) = (it.machine.wall(), it.machine.boot());
        let passed = since_boot - kept.since_boot;
        let counted = !boot.is_empty() && kept.boot == boot && passed >= 0;
        // Of a machine that was off only the wall clock knows for how long. It was not off for less than no time.
        let expected = if counted { kept.time + passed } else { wall.max(kept.time) };
        let now = if (wall - expected).abs() > whole(TOLERANCE) { expected } else { wall };
        *it.eras() = Eras::of(kept.era, kept.steps);
        it.write(|| {
            it.offset.store(now - since_boot, Ordering::SeqCst);
            it.era.store(kept.era, Ordering::SeqCst);
        });
        (!counted).then(|| TimeDelta::microseconds(wall - kept.time))
    }

    /// Is not before `time`, which the log says was: then the wall clock was set back while nobody looked.
    pub fn not_before(&self, time: Time) {
        let Source::Running(it) = &self.0 else { return };
        let behind = time.timestamp_micros() - it.read().0;
        if behind > whole(TOLERANCE) {
            it.write(|| {
                it.offset.fetch_add(behind, Ordering::SeqCst);
            });
        }
    }

    /// By how much what was written down since `from` may look older than it is, as the clock was behind then and was
    /// set forward: what is forgotten by its age is kept for so much longer.
    pub fn looks_older(&self, from: Time) -> TimeDelta {
        match &self.0 {
            Source::Fixed(_) => TimeDelta::zero(),
            Source::Running(it) => TimeDelta::microseconds(it.eras().looks_older(from.timestamp_micros())),
        }
    }

    /// Whether time may pass in which no timer runs, as the machine can be suspended.
    pub fn can_jump(&self) -> bool {
        match &self.0 {
            Source::Fixed(_) => false,
            Source::Running(it) => !matches!(it.machine, Machine::Virtual { shim: None, .. }),
        }
    }

    /// The least that any era since `era` calls `time`, which was written down in it: what came after it in the log
    /// arrived no earlier.
    pub fn earliest(&self, time: Time, era: u32) -> Time {
        let steps = self.steps_since(era);
        let (mut at, mut least) = (time, time);
        for step in steps {
            at = moved(at, step.delta());
            least = least.min(at);
        }
        least
    }

    /// Moves a fixed clock; does nothing to any other.
    pub fn set(&self, time: Time) {
        if let Source::Fixed(at) = &self.0 {
            at.store(time.timestamp_micros(), Ordering::SeqCst);
        }
    }
}

impl Running {
    /// The present time and its era, of one moment.
    fn read(&self) -> (i64, u32) {
        loop {
            let version = self.version.load(Ordering::SeqCst);
            let (offset, era) = (self.offset.load(Ordering::SeqCst), self.era.load(Ordering::SeqCst));
            if version.is_multiple_of(2) && version == self.version.load(Ordering::SeqCst) {
                return (self.machine.boot().saturating_add(offset), era);
            }
            std::hint::spin_loop();
        }
    }

    fn write(&self, change: impl FnOnce()) {
        self.version.fetch_add(1, Ordering::SeqCst);
        change();
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    fn eras(&self) -> MutexGuard<'_, Eras> {
        self.eras.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// What everybody calls the time, in microseconds since 1970.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn wall(&self) -> i64 {
        match self {
            // By the standard library, so that a test can put another clock beneath it.
            Self::System => Utc::now().timestamp_micros(),
            Self::Virtual { start, shim, .. } => {
                let set = shim.as_ref().map_or(0, |shim| shim.wall.load(Ordering::SeqCst));
                start.saturating_add(self.boot()).saturating_add(set)
            }
        }
    }

    /// How long it has been up, suspension included, in microseconds.
    fn boot(&self) -> i64 {
        match self {
            Self::System => {
                let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                up.tv_sec.saturating_mul(1_000_000).saturating_add(up.tv_nsec / 1_000)
            }
            Self::Virtual { elapsed, shim, .. } => {
                let suspended = shim.as_ref().map_or(0, |shim| shim.suspended.load(Ordering::SeqCst));
                whole_micros(elapsed()).saturating_add(suspended)
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Fixed(_) => "Clock(fixed)",
            Source::Running(it) if matches!(it.machine, Machine::System) => "Clock(system)",
            Source::Running(_) => "Clock(virtual)",
        })
    }
}

/// The moment `n` microseconds after 1970; times outside chrono's range are taken to its ends.
pub fn micros(n: i64) -> Time {
    DateTime::from_timestamp_micros(n).unwrap_or(if n < 0 { Time::MIN_UTC } else { Time::MAX_UTC })
}

/// `time` and `by`; the end of time if there is no such.
pub fn moved(time: Time, by: TimeDelta) -> Time {
    time.checked_add_signed(by).unwrap_or(if by < TimeDelta::zero() { Time::MIN_UTC } else { Time::MAX_UTC })
}

fn whole(delta: TimeDelta) -> i64 {
    delta.num_microseconds().unwrap_or(i64::MAX)
}

fn whole_micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
