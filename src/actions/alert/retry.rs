//! Trying a channel again: pauses that grow, never all at once, and an end after a bounded time.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Chance, Span};

/// Why a try failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trouble {
    /// Trying again would not mend it.
    Final(String),
    /// It may pass; the other side may have said how long it wants to be left alone.
    Passing(String, Option<Duration>),
}

/// How long and how often is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Pause before the second try; each further one is twice as long.
    pub(super) first: Duration,
    /// All tries and pauses together.
    pub(super) total: Duration,
    /// One try.
    pub(super) each: Duration,
}

/// Longest pause that is not asked for.
const LONGEST: Duration = Duration::from_secs(8);

impl Patience {
    pub(super) fn of(total: Span) -> Self {
        Self { first: Duration::from_millis(500), total: total.0, each: Duration::from_secs(10) }
    }
}

/// Tries until it works, cannot, or the time is up; says how often it was tried.
pub(super) async fn until_done<F>(
    patience: Patience,
    chance: &Chance,
    mut once: impl FnMut() -> F,
) -> (u32, Result<(), String>)
where
    F: Future<Output = Result<(), Trouble>>,
{
    let deadline = Instant::now() + patience.total;
    let mut pause = patience.first;
    let mut tries = 0;
    loop {
        tries += 1;
        let each = patience.each.min(deadline.saturating_duration_since(Instant::now()));
        let (why, wanted) = match tokio::time::timeout(each, once()).await {
            Ok(Ok(())) => return (tries, Ok(())),
            Ok(Err(Trouble::Final(why))) => return (tries, Err(why)),
            Ok(Err(Trouble::Passing(why, wanted))) => (why, wanted),
            Err(_) => (format!("no answer within {:.1} s", each.as_secs_f64()), None),
        };
        // Half to one and a half times the pause, so that many who failed together do not come again together.
        let next = wanted.unwrap_or_else(|| pause.mul_f64(0.5 + chance.fraction()).min(LONGEST));
        if Instant::now() + next >= deadline {
            let asked = wanted.map(|it| format!(" and wants to be left alone for {} s", it.as_secs()));
            return (tries, Err(format!("{why}{}; gave up", asked.unwrap_or_default())));
        }
        tokio::time::sleep(next).await;
        pause = pause.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(after: Option<u64>) -> Result<(), Trouble> {
        Err(Trouble::Passing("busy".into(), after.map(Duration::from_secs)))
    }

    async fn play(answers: Vec<Result<(), Trouble>>) -> (u32, Result<(), String>, Duration) {
        let mut answers = answers.into_iter();
        let begun = Instant::now();
        let patience = Patience::of(Span::secs(20));
        let (tries, end) = until_done(patience, &Chance::seeded(1), || {
            let answer = answers.next().unwrap_or_else(|| passing(None));
            async move { answer }
        })
        .await;
        (tries, end, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_tried_again_and_what_does_not_is_given_up_in_time() {
        assert_eq!(play(vec![Ok(())]).await, (1, Ok(()), Duration::ZERO));
        let (tries, end, took) = play(vec![passing(None), passing(None), Ok(())]).await;
        assert!(tries == 3 && end == Ok(()) && took < Duration::from_secs(3), "{took:?}");
        let (tries, end, took) = play(vec![passing(Some(7)), Ok(())]).await;
        assert_eq!((tries, end, took), (2, Ok(()), Duration::from_secs(7)));
        let (tries, end, took) = play(vec![passing(Some(300))]).await;
        assert_eq!((tries, took), (1, Duration::ZERO), "waiting would be in vain");
        assert_eq!(end.unwrap_err(), "busy and wants to be left alone for 300 s; gave up");
        let (tries, end, took) = play(vec![Err(Trouble::Final("no such key".into()))]).await;
        assert_eq!((tries, end, took), (1, Err("no such key".into()), Duration::ZERO));
        let (tries, end, took) = play(vec![]).await;
        assert!((4..12).contains(&tries) && end == Err("busy; gave up".into()), "{tries}");
        assert!(took <= Duration::from_secs(20), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_is_left_in_time() {
        let begun = Instant::now();
        let (tries, end) =
            until_done(Patience::of(Span::secs(20)), &Chance::seeded(1), std::future::pending).await;
        assert!(tries >= 1 && end.unwrap_err().contains("no answer within"));
        assert!(begun.elapsed() <= Duration::from_secs(20));
    }
}
