//! The end in good order, and the small chores until then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Engine;
use super::build::{LEARNED, OBSERVED};
use crate::store::Write;
use crate::tasks::lock;

/// How long an action under way may take to end before it is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the chores are done.
const CHORES: Duration = Duration::from_secs(10);

/// What was counted is kept sooner after so many events: a restart reads no more than these again.
const EVENTS: u64 = 200_000;

impl Engine {
    /// Takes nothing more in, lets actions under way end (runs that wait need no time), stops the kernels, and makes everything durable.
    pub async fn shutdown(&self) {
        let inner = &self.0;
        inner.stop.cancel();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while inner.tasks.is_acting() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        inner.kernels.shutdown().await;
        inner.plugins.shutdown().await;
        inner.lanes.close();
        inner.tracker.close();
        if tokio::time::timeout(PATIENCE, inner.tracker.wait()).await.is_err() {
            tracing::warn!("some work did not end in time; it is taken up again at the next start");
        } else {
            lock(&inner.observed).settle_intents();
        }
        self.save().await;
    }

    /// Keeps what was counted and learned, until the engine stops.
    pub(super) async fn housekeep(self) {
        let mut chores = tokio::time::interval_at(tokio::time::Instant::now() + CHORES, CHORES);
        loop {
            tokio::select! {
                _ = chores.tick() => {}
                () = self.counted_much() => {
                    self.save().await;
                    continue;
                }
                () = self.0.stop.cancelled() => return,
            }
            self.save().await;
            self.guards_remember();
        }
    }

    /// Returns once very many events were counted since they were kept.
    async fn counted_much(&self) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let position = lock(&self.0.observed).position().unwrap_or(0);
            if position.saturating_sub(self.0.saved.load(Ordering::Relaxed)) > EVENTS {
                return;
            }
        }
    }

    /// Keeps what would take long to read back at the next start.
    pub(super) async fn save(&self) {
        // In this order: what was learned says up to which outcome both go.
        let (learned, outcomes) = {
            let learner = lock(&self.0.parts.learner);
            (learner.keep(), learner.position())
        };
        let (observed, position) = {
            let mut observed = lock(&self.0.observed);
            observed.outcomes_up_to(outcomes);
            (observed.snapshot(), observed.position())
        };
        let mut writes: Vec<Write> = super::clock::keep(&self.0.clock).into_iter().collect();
        if let Some(observed) = observed {
            writes.push(Write::Meta { key: OBSERVED.into(), value: observed.to_string() });
            if let Some(value) = learned.and_then(|kept| serde_json::to_string(&kept).ok()) {
                writes.push(Write::Meta { key: LEARNED.into(), value });
            }
            self.0.saved.store(position.unwrap_or(0), Ordering::Relaxed);
        }
        if let Err(error) = self.0.store.commit(writes).await {
            self.0.disk.failed(&error);
            tracing::warn!("failed to keep what was counted and learned: {error}");
        }
    }

    /// Whether guards remember all that they may ask for; where they do not, they wait.
    fn guards_remember(&self) {
        const PROBLEM: &str = "guard/memory";
        let (is_short, dropped) = self.0.board.forgotten(self.0.clock.now());
        let counter = &self.0.metrics.guard_forgotten;
        counter.inc_by(dropped.saturating_sub(counter.get()));
        if !is_short {
            self.0.problems.clear(PROBLEM);
            return;
        }
        let what = "more repairs were made than guards can remember, so cooldowns and blast radii wait where one may \
                    be missing; shorten the longest `cooldown`, or repair fewer targets";
        if self.0.problems.raise(PROBLEM, what) {
            tracing::warn!("{what}");
        }
    }
}
