//! Sleeps that are as long as they are meant to be, however the machine's clocks are set and while it is suspended.
//!
//! A timer of the runtime stands still while the machine sleeps, so one of two hours may ring at night instead of in two
//! hours. Here it is looked at again every few seconds. `tests/tidy.rs` refuses other sleeps of a length that is not
//! written beside them. Start with [`pause`].

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Clock, Time};

/// Longest time without a look at the clock.
pub const LONGEST: Duration = Duration::from_secs(10);

/// Sleeps for `time`, in which a suspended machine counts.
pub async fn pause(clock: &Clock, time: Duration) {
    let longest = if clock.can_jump() { LONGEST } else { Duration::MAX };
    let (begun, begun_at) = (Instant::now(), clock.steady());
    loop {
        // The one counts suspension; the other goes on where a test holds the clock.
        let passed = (clock.steady() - begun_at).to_std().unwrap_or_default().max(begun.elapsed());
        match time.saturating_sub(passed).min(longest) {
            Duration::ZERO => return,
            left => tokio::time::sleep(left).await,
        }
    }
}

/// Sleeps until `at` on the scale of [`Clock::steady`].
pub async fn until_steady(clock: &Clock, at: Time) {
    pause(clock, (at - clock.steady()).to_std().unwrap_or_default()).await;
}

/// What `work` comes to, unless it takes longer than `limit`, in which a suspended machine counts.
pub async fn within<T>(clock: &Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = pause(clock, limit) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virtual_machine() -> (Clock, std::sync::Arc<crate::model::clock::Shim>) {
        let begun = Instant::now();
        Clock::shimmed(Time::UNIX_EPOCH, move || begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_of_an_hour_ends_ten_seconds_after_a_suspended_machine_wakes_up_too_late() {
        let (clock, shim) = virtual_machine();
        let begun = Instant::now();
        let sleeper = clock.clone();
        let sleep = tokio::spawn(async move { pause(&sleeper, Duration::from_secs(3_600)).await });
        tokio::time::sleep(Duration::from_secs(60)).await;
        shim.suspend(Duration::from_secs(2 * 3_600));
        sleep.await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(70), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_is_as_long_as_it_was_going_to_be_when_the_clock_is_set() {
        for hours in [2, -2] {
            let (clock, shim) = virtual_machine();
            let begun = Instant::now();
            let sleeper = clock.clone();
            let sleep = tokio::spawn(async move { pause(&sleeper, Duration::from_secs(3_600)).await });
            tokio::time::sleep(Duration::from_secs(60)).await;
            shim.step(chrono::TimeDelta::hours(hours));
            clock.step(clock.drift().unwrap());
            sleep.await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), 3_600);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stands_still_keeps_nobody_asleep() {
        let begun = Instant::now();
        pause(&Clock::fixed(Time::UNIX_EPOCH), Duration::from_secs(30)).await;
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
