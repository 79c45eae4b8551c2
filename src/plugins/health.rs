//! How a plugin fares: after a crash its next process waits a little, after several in a row it is quarantined.
//!
//! A quarantine ends by itself: when its time is up one call is let through, and decides. It ends at once when the file
//! changes or a person says so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Failure;

/// Crashes in a row that lead to a quarantine.
const CRASHES: u32 = 5;

/// Wait before the second process after a crash in a row; doubled for each further one. The first is at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The first quarantine; doubled each time the call that decides crashes again.
const QUARANTINE: Duration = Duration::from_secs(30);

/// The longest quarantine.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How one plugin fares.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Crashes since the last call that came back.
    in_a_row: u32,
    crashes: u64,
    calls: u64,
    last: Option<String>,
    not_before: Option<Instant>,
    quarantine: Option<Quarantine>,
}

#[derive(Clone, Copy, Debug)]
struct Quarantine {
    until: Instant,
    lasts: Duration,
    /// Whether a call that decides is under way.
    trying: bool,
}

/// A call that may be made. Say how it went; a call that is broken off says nothing.
#[derive(Debug)]
pub(super) struct Pass {
    health: Arc<Health>,
    /// When it may begin.
    pub(super) at: Option<Instant>,
    decides: bool,
}

/// What is shown of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) calls: u64,
    pub(super) crashes: u64,
    pub(super) last: Option<String>,
    /// How long it is still quarantined.
    pub(super) quarantined: Option<Duration>,
}

impl Health {
    /// Asks whether plugin `name` may be called.
    ///
    /// # Errors
    /// `unavailable` while it is quarantined.
    pub(super) fn admit(self: &Arc<Self>, name: &str) -> Result<Pass, Failure> {
        let now = Instant::now();
        let mut state = self.state();
        state.calls += 1;
        let mut pass =
            Pass { health: self.clone(), at: state.not_before.filter(|at| *at > now), decides: false };
        let last = state.last.clone().unwrap_or_default();
        let crashes = state.in_a_row;
        let Some(quarantine) = &mut state.quarantine else { return Ok(pass) };
        if now >= quarantine.until && !quarantine.trying {
            quarantine.trying = true;
            pass.decides = true;
            return Ok(pass);
        }
        let left = quarantine.until.saturating_duration_since(now).as_secs().max(1);
        let message = format!(
            "plugin `{name}` is quarantined, as it crashed {crashes} times in a row, the last time because {last}. One \
             call is tried in {left} s; at once after its file was changed, or by `paramedic plugin reload {name}`"
        );
        Err(Failure::retryable("unavailable", message))
    }

    /// Forgets all crashes, as after a new file or a person's word.
    pub(super) fn forgive(&self) {
        let mut state = self.state();
        let (calls, crashes) = (state.calls, state.crashes);
        *state = State { calls, crashes, ..State::default() };
    }

    /// What is to be shown.
    pub(super) fn show(&self) -> Shown {
        let state = self.state();
        Shown {
            calls: state.calls,
            crashes: state.crashes,
            last: state.last.clone(),
            quarantined: state.quarantine.map(|q| q.until.saturating_duration_since(Instant::now())),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The process is still good; true if this is what ends a quarantine.
    pub(super) fn good(mut self) -> bool {
        let mut state = self.health.state();
        let ends = state.quarantine.is_some();
        // Usually there is nothing to forget.
        if state.in_a_row > 0 {
            state.in_a_row = 0;
            state.not_before = None;
            state.quarantine = None;
        }
        drop(state);
        self.decides = false;
        ends
    }

    /// The process is gone; true if this is what quarantines the plugin.
    pub(super) fn bad(mut self, why: &str) -> bool {
        let now = Instant::now();
        let mut state = self.health.state();
        state.in_a_row += 1;
        state.crashes += 1;
        state.last = Some(why.into());
        let n = state.in_a_row;
        state.not_before = (n > 1).then(|| now + PAUSE * 2_u32.pow((n - 2).min(CRASHES)));
        let (lasts, new) = match state.quarantine {
            Some(quarantine) if self.decides => ((quarantine.lasts * 2).min(LONGEST), false),
            // One of those that were under way when it was quarantined.
            Some(_) => return false,
            None if n >= CRASHES => (QUARANTINE, true),
            None => return false,
        };
        state.not_before = None;
        state.quarantine = Some(Quarantine { until: now + lasts, lasts, trying: false });
        drop(state);
        self.decides = false;
        new
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.decides
            && let Some(quarantine) = &mut self.health.state().quarantine
        {
            quarantine.trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn crashes_in_a_row_quarantine_and_one_call_after_it_decides() {
        let health = Arc::new(Health::default());
        let mut waits = Vec::new();
        for n in 1..=CRASHES {
            let pass = health.admit("p").unwrap();
            waits.push(pass.at.map(|at| (at - Instant::now()).as_millis()));
            if let Some(at) = pass.at {
                tokio::time::sleep_until(at).await;
            }
            assert_eq!(pass.bad("it fell"), n == CRASHES);
        }
        assert_eq!(waits, [None, None, Some(100), Some(200), Some(400)]);
        let refused = health.admit("p").unwrap_err();
        assert!(refused.retryable && refused.message.contains("because it fell"), "{refused:?}");
        tokio::time::sleep(QUARANTINE).await;
        let pass = health.admit("p").unwrap();
        assert!(health.admit("p").is_err(), "only one call decides");
        drop(pass);
        assert!(
            !health.admit("p").unwrap().bad("it fell again"),
            "a broken-off call leaves the turn to the next"
        );
        tokio::time::sleep(QUARANTINE).await;
        assert!(health.admit("p").is_err(), "the second quarantine is longer");
        tokio::time::sleep(QUARANTINE).await;
        assert!(health.admit("p").unwrap().good(), "it is over");
        assert!(health.admit("p").unwrap().at.is_none());
        assert_eq!(health.show().crashes, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn crashes_with_good_calls_between_them_do_not_quarantine_and_a_person_may_end_one() {
        let health = Arc::new(Health::default());
        for _ in 0..20 {
            health.admit("p").unwrap().bad("it fell");
            assert!(!health.admit("p").unwrap().good());
        }
        for _ in 0..CRASHES {
            health.admit("p").unwrap().bad("it fell");
        }
        assert!(health.admit("p").is_err());
        health.forgive();
        assert!(health.admit("p").is_ok());
    }
}
