//! What is kept for how long: events, ended intents with their runs and journals, alerts, and sources that nothing goes by
//! any more, each by its age, and all of it within a disk budget.
//!
//! Nothing goes that guards, learning or open intents need: outcomes and what is open stay, and ended intents as long
//! as a guard may ask for them. Start with [`Retention::round`].

use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::config::Limits;
use super::config::size::Size;
use super::decisions;
use crate::intents::{Board, board};
use crate::model::{Span, Time};
use crate::platform::{Problems, sleep};
use crate::store::{Budget, Error, Prune, Pruned, Store, Write};
use crate::tasks::lock;

/// The latest events that the disk budget leaves alone: patterns are brought up to date from them after a crash.
const SPARED: usize = 500_000;

/// How long a source stays after the intents that went by it. It is dated once a day where it is in use.
const SOURCES: chrono::TimeDelta = chrono::TimeDelta::days(2);

/// The budget is taken for kept again once the records take so much less than it, as a share.
const SLACK: f64 = 0.95;

/// Where a problem with the budget is listed.
const PROBLEM: &str = "disk/budget";

/// When the first round begins after the start, and how long after each the next.
const FIRST: Duration = Duration::from_secs(10);

/// The pause while the time is in doubt, so that nothing is deleted by its age.
const IN_DOUBT: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(3_600);

/// What one round works with.
struct Retention<'a> {
    store: &'a Arc<dyn Store>,
    board: &'a Board,
    limits: &'a Limits,
    problems: &'a Problems,
    /// The latest events that the disk budget leaves alone, as [`SPARED`].
    spared: usize,
}

impl Engine {
    /// Deletes what is too old soon after the start and once an hour, in portions between which commits go on, until the
    /// engine stops.
    pub(super) async fn retain(self) {
        let inner = &self.0;
        let mut pause = FIRST;
        loop {
            tokio::select! {
                () = sleep::pause(&inner.clock, pause) => {}
                () = inner.stop.cancelled() => return,
            }
            pause = EVERY;
            // Dated again by the next run, so that a source in use is never taken for one that is not.
            lock(&inner.parts.sources).clear();
            let retention = Retention {
                store: &inner.store,
                board: &inner.board,
                limits: &inner.config.limits,
                problems: &inner.problems,
                spared: SPARED,
            };
            let forget_at = self.forget_at();
            if forget_at.is_none() {
                pause = IN_DOUBT;
            }
            let round = tokio::select! {
                round = retention.in_doubt_or(forget_at, inner.clock.now()) => round,
                () = inner.stop.cancelled() => return,
            };
            if let Err(error) = round {
                tracing::warn!(
                    "failed to delete what is older than it is kept: {error}; trying again in an hour"
                );
            }
        }
    }
}

impl Retention<'_> {
    /// Forgets what is too old by the time `sure`, if that is known, and what finds no room in any case.
    async fn in_doubt_or(&self, sure: Option<Time>, now: Time) -> Result<Pruned, Error> {
        match sure {
            Some(sure) => self.round(sure).await,
            None => {
                let mut done = Pruned::default();
                self.within_budget(now, &mut done).await?;
                Ok(done)
            }
        }
    }

    /// Forgets what is too old at `now`, and then what finds no room.
    ///
    /// # Errors
    /// When the store cannot be read or written; the next round goes on.
    async fn round(&self, now: Time) -> Result<Pruned, Error> {
        let ago = |span: Span| now.checked_sub_signed(span.delta()).unwrap_or(Time::MIN_UTC);
        let events = ago(self.limits.keep_events);
        let intents = ago(self.limits.keep_intents).min(self.board.oldest_wanted(now));
        let sources = intents.checked_sub_signed(SOURCES).unwrap_or(Time::MIN_UTC);
        self.told_before(intents).await?;
        let prune = Prune {
            events: Some(events),
            intents: Some(intents),
            alerts: Some(ago(self.limits.keep_alerts)),
            timeline: Some(events),
            sources: Some((sources, self.rules_since(events).await?)),
            budget: None,
        };
        let mut done = self.store.prune(prune).await?;
        self.within_budget(now, &mut done).await?;
        Ok(done)
    }

    /// Says that ended intents will be missing before `time`, before they are: guards that ask for more wait.
    async fn told_before(&self, time: Time) -> Result<(), Error> {
        let known = self.store.meta(board::SINCE.into()).await?.and_then(|text| text.parse::<Time>().ok());
        if known.is_some_and(|known| known >= time) {
            return Ok(());
        }
        // Without an intent that old there is nothing to miss.
        let any = self.store.oldest_ended().await?.is_some_and(|at| at < time);
        if !any {
            return Ok(());
        }
        let said = Write::Meta { key: board::SINCE.into(), value: time.to_rfc3339() };
        self.store.commit(vec![said]).await?;
        self.board.pruned(time);
        Ok(())
    }

    /// The rules that decided about events since `time`.
    async fn rules_since(&self, time: Time) -> Result<Vec<String>, Error> {
        let eras = decisions::eras(&**self.store).await?;
        let ends = eras.iter().skip(1).map(|next| Some(next.since)).chain([None]);
        let live = eras.iter().zip(ends).filter(|(_, end)| end.is_none_or(|end| end >= time));
        Ok(live.map(|(era, _)| era.rules.clone()).collect())
    }

    /// Forgets the oldest events, and where that is not enough the oldest ended intents that no guard asks for, until
    /// the records fit.
    async fn within_budget(&self, now: Time, done: &mut Pruned) -> Result<(), Error> {
        let disk = self.limits.disk.0;
        let used = self.store.counts().await?.used;
        if used <= disk {
            if (used as f64) < disk as f64 * SLACK {
                self.problems.clear(PROBLEM);
            }
            return Ok(());
        }
        let bytes = (disk as f64 * SLACK) as u64;
        // Those that are remembered as known are read back from the log as well.
        let events = self.limits.idempotency_window.max(self.spared) as u64;
        let spare = self.board.oldest_wanted(now);
        let mut budget = Budget { bytes, events, intents: None };
        for intents in [None, Some(spare)] {
            if let Some(spare) = intents {
                if self.store.counts().await?.used <= bytes {
                    break;
                }
                self.told_before(spare).await?;
            }
            budget.intents = intents;
            let gone = self.store.prune(Prune { budget: Some(budget), ..Prune::default() }).await?;
            done.events += gone.events;
            done.intents += gone.intents;
        }
        let used = Size(self.store.counts().await?.used);
        let limit = self.limits.disk;
        let what = if used.0 > disk {
            format!(
                "the store takes {used}, more than `limits.disk` ({limit}), and the rest of it is needed; raise \
                 `limits.disk` on a larger disk"
            )
        } else {
            format!(
                "the store reached `limits.disk` ({limit}): events that are younger than `keep_events` ({}) were \
                 deleted; raise `limits.disk`, or lower `keep_events`",
                self.limits.keep_events
            )
        };
        if self.problems.raise(PROBLEM, what.clone()) {
            tracing::warn!("{what}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
