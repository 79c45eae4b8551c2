//! Whether a channel works: a breaker with pauses that grow, and how long it has been failing. Pure; it is told the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Time;

/// Pause after the first failure; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause: so long after a channel is back it is used again at the latest.
const LONGEST: Duration = Duration::from_secs(30);

/// The longest pause that a channel may ask for.
const ASKED: Duration = Duration::from_secs(600);

/// A channel that has failed so often, and so long, is a problem.
const TIMES: u32 = 3;
const LONG: Duration = Duration::from_secs(10);

/// When the other channels are told of it.
const TOLD: Duration = Duration::from_secs(60);

/// The outage of a channel, if it has one. While it lasts one alert at a time is tried, after growing pauses.
#[derive(Debug, Default)]
pub(super) struct Outage(Option<Failing>);

#[derive(Debug)]
struct Failing {
    times: u32,
    began: Instant,
    since: Time,
    why: String,
    again: Instant,
    told: bool,
}

/// What follows from a failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Follows {
    /// It is a problem that an operator should see.
    pub(super) problem: bool,
    /// The other channels are to be told, for the first time.
    pub(super) tell: bool,
}

impl Outage {
    /// When it may be tried again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.0.as_ref().map(|it| it.again)
    }

    /// Since when it fails, and why.
    pub(super) fn since(&self) -> Option<(Time, &str)> {
        self.0.as_ref().map(|it| (it.since, it.why.as_str()))
    }

    /// It failed, and may have `asked` to be left alone. `random` is from 0 to 1, so that channels that failed together do
    /// not come again together.
    pub(super) fn failed(
        &mut self,
        why: String,
        asked: Option<Duration>,
        random: f64,
        now: Instant,
        time: Time,
    ) -> Follows {
        let new =
            || Failing { times: 0, began: now, since: time, why: String::new(), again: now, told: false };
        let it = self.0.get_or_insert_with(new);
        let pause = FIRST.saturating_mul(1 << it.times.min(10)).min(LONGEST).mul_f64(0.75 + random / 4.0);
        it.times = it.times.saturating_add(1);
        it.why = why;
        it.again = now + asked.map_or(pause, |asked| asked.min(ASKED));
        let lasts = now - it.began;
        let often = it.times >= TIMES;
        let tell = often && lasts >= TOLD && !it.told;
        it.told |= tell;
        Follows { problem: often && lasts >= LONG, tell }
    }

    /// It works; whether it had not.
    pub(super) fn works(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_bound_and_an_outage_that_lasts_is_told_once() {
        let mut outage = Outage::default();
        let (began, mut told, mut problem) = (Instant::now(), Vec::new(), None);
        for n in 0..20 {
            let now = Instant::now();
            let follows = outage.failed("busy".into(), None, 1.0, now, micros(n));
            problem = problem.or(follows.problem.then(|| now - began));
            told.extend(follows.tell.then(|| now - began));
            let pause = outage.again().unwrap() - now;
            assert!(pause <= LONGEST && pause >= FIRST.mul_f64(0.75), "{pause:?}");
            tokio::time::advance(pause).await;
        }
        assert!(problem.is_some_and(|it| (LONG..LONG * 2).contains(&it)), "{problem:?}");
        assert!(told.len() == 1 && (TOLD..TOLD + LONGEST).contains(&told[0]), "{told:?}");
        assert_eq!(outage.since(), Some((micros(0), "busy")));
        assert!(outage.works() && !outage.works() && outage.again().is_none());
        outage.failed("slow".into(), Some(Duration::from_secs(7)), 0.0, Instant::now(), micros(0));
        assert_eq!(outage.again(), Some(Instant::now() + Duration::from_secs(7)), "as long as it asked for");
    }
}
