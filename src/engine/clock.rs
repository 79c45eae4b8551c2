//! What the engine makes of a wall clock that was set: told once, kept for the next life, and nothing forgotten by age
//! while the time is in doubt.
//!
//! The step itself is made where events are taken in, as the log decides what is before and what after it.

use std::sync::OnceLock;
use std::time::Duration;

use chrono::TimeDelta;

use super::Engine;
use crate::model::alert::Level;
use crate::model::clock::{Kept, Step};
use crate::model::{Clock, Time};
use crate::store::{Error, Store, Write};

/// Name under which is kept what a later life has to know of this one's clock.
const KEY: &str = "clock";

/// The alert, and the problem, that the clock was set.
const STEPPED: &str = "clock/stepped";

/// The problem that nothing is forgotten.
const PAUSED: &str = "clock/pruning";

/// How often the clocks are compared.
const LOOK: Duration = Duration::from_millis(500);

/// So long the clock must not have been set before the problem is over.
const QUIET: TimeDelta = TimeDelta::hours(1);

/// So long it must not have been set before anything is forgotten by its age.
const STABLE: TimeDelta = TimeDelta::minutes(10);

/// The same after a start so long after the last sign of life that the clock may be wrong instead, and how long that is.
const STABLE_AFTER_A_GAP: TimeDelta = TimeDelta::days(1);
const GAP: TimeDelta = TimeDelta::days(1);

/// What is known of the time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    /// When the clock was set last, or the engine began, as a steady time.
    pub(super) since: Time,
    /// How long the engine was down, if only the wall clock knows.
    pub(super) gap: Option<TimeDelta>,
}

impl Trust {
    /// Why nothing may be forgotten by its age at `now`, a steady time; and whether that is worth telling.
    pub(super) fn pause(&self, now: Time) -> Option<(String, bool)> {
        let gap = self.gap.filter(|gap| *gap > GAP);
        let wanted = if gap.is_some() { STABLE_AFTER_A_GAP } else { STABLE };
        let left = wanted - (now - self.since);
        if left <= TimeDelta::zero() {
            return None;
        }
        let why = match gap {
            Some(gap) => format!(
                "the clock says that the engine was down for {} days; if the clock is wrong, old events would be deleted \
                 by mistake, so none is deleted for the next {} hours; set the clock if it is wrong",
                gap.num_days(),
                left.num_hours() + 1
            ),
            None => "the engine has just started, or its clock was set a moment ago".into(),
        };
        Some((why, gap.is_some()))
    }
}

/// Goes on where the last life left off. Answers how long the engine was down, if only the wall clock knows.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn go_on(store: &dyn Store, clock: &Clock) -> Result<Option<TimeDelta>, Error> {
    let kept = store.meta(KEY.into()).await?;
    let kept = kept.and_then(|text| serde_json::from_str::<Kept>(&text).ok()).filter(Kept::is_known);
    Ok(kept.and_then(|kept| clock.go_on(kept, boot())))
}

/// What the next life has to know.
pub(super) fn keep(clock: &Clock) -> Option<Write> {
    let value = serde_json::to_string(&clock.keep(boot())).ok()?;
    Some(Write::Meta { key: KEY.into(), value })
}

/// Which boot of which machine this is; empty where nobody says.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

impl Engine {
    /// Compares the clocks until the engine stops.
    pub(super) async fn watch_clock(self) {
        let clock = self.0.clock.clone();
        let mut told = clock.first_era();
        let mut since = clock.steady();
        let mut is_over = false;
        loop {
            if clock.drift().is_some() {
                self.0.clock_set.notify_one();
            }
            let steps = clock.steps_since(told);
            let now = clock.steady();
            if let Some(last) = steps.last() {
                (told, since, is_over) = (last.era, now, false);
                self.trust(|trust| trust.since = now);
                self.tell_steps(&steps).await;
            } else if !is_over && now - since > QUIET {
                is_over = true;
                self.0.problems.clear(STEPPED);
                if let Err(failure) = self.0.parts.alerts.resolve(STEPPED.into()).await {
                    tracing::warn!("failed to resolve the alert about the clock: {failure}");
                }
            }
            match self.trust(|trust| trust.pause(now)) {
                Some((why, true)) => {
                    if self.0.problems.raise(PAUSED, format!("pruning is paused: {why}")) {
                        tracing::warn!("pruning is paused: {why}");
                    }
                }
                _ => drop(self.0.problems.clear(PAUSED)),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.0.stop.cancelled() => return,
            }
        }
    }

    /// The time from which is reckoned how old something is that is to be forgotten; none while that is in doubt.
    pub(super) fn forget_at(&self) -> Option<Time> {
        let (clock, limits) = (&self.0.clock, &self.0.config.limits);
        if let Some((why, _)) = self.trust(|trust| trust.pause(clock.steady())) {
            tracing::debug!("nothing is deleted by its age now: {why}");
            return None;
        }
        let now = clock.now();
        let longest = limits.keep_events.max(limits.keep_intents).max(limits.keep_alerts).delta();
        Some(now - clock.looks_older(now.checked_sub_signed(longest).unwrap_or(Time::UNIX_EPOCH)))
    }

    async fn tell_steps(&self, steps: &[Step]) {
        let how: Vec<String> = steps.iter().map(|step| step.text()).collect();
        let how = how.join(", then ");
        let text = format!(
            "the system clock was set {how}; durations under way are not affected, schedules follow the new time; check \
             the time synchronization of this host"
        );
        tracing::warn!("{text}");
        self.0.problems.raise(STEPPED, &*text);
        let title = "The system clock was set".to_owned();
        let raised = self.0.parts.alerts.raise(STEPPED.into(), Level::Warning, title, text, None, None).await;
        if let Err(failure) = raised {
            tracing::error!("failed to record the alert about the clock: {failure}");
        }
    }

    fn trust<T>(&self, with: impl FnOnce(&mut Trust) -> T) -> T {
        with(&mut crate::tasks::lock(&self.0.trust))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    #[test]
    fn nothing_is_forgotten_while_it_is_in_doubt_what_time_it_is() {
        let at = |minutes: i64| micros(0) + TimeDelta::minutes(minutes);
        let (begun, forty_days) = (at(0), Some(TimeDelta::days(40)));
        let paused = |gap, now| Trust { since: begun, gap }.pause(now).map(|(_, told)| told);
        assert_eq!(paused(forty_days, at(23 * 60)), Some(true), "a clock that far ahead may be wrong");
        assert_eq!(paused(forty_days, at(24 * 60)), None);
        for gap in [None, Some(TimeDelta::hours(5)), Some(TimeDelta::hours(-5))] {
            assert_eq!(paused(gap, at(9)), Some(false), "{gap:?}");
            assert_eq!(paused(gap, at(10)), None, "{gap:?}");
        }
    }
}
