//! The end in good order, and the small chores until then.

use std::time::Duration;

use super::Engine;
use super::build::{LEARNED, OBSERVED};
use crate::store::{Prune, Write};
use crate::tasks::lock;

/// How long an action under way may take to end before it is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the chores are done.
const CHORES: Duration = Duration::from_secs(10);

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
        }
        self.save().await;
    }

    /// Keeps the aggregates, and once an hour forgets what is too old, until the engine stops.
    pub(super) async fn housekeep(self) {
        let mut round = 0_u32;
        loop {
            tokio::select! {
                () = tokio::time::sleep(CHORES) => {}
                () = self.0.stop.cancelled() => return,
            }
            self.save().await;
            round = round.wrapping_add(1);
            if round % 360 == 1 {
                self.forget().await;
            }
        }
    }

    /// Keeps what would take long to read back at the next start.
    pub(super) async fn save(&self) {
        let observed = lock(&self.0.observed).snapshot().to_string();
        let learned = lock(&self.0.parts.learner).keep();
        let mut writes = vec![Write::Meta { key: OBSERVED.into(), value: observed }];
        if let Some(value) = learned.and_then(|kept| serde_json::to_string(&kept).ok()) {
            writes.push(Write::Meta { key: LEARNED.into(), value });
        }
        if let Err(error) = self.0.store.commit(writes).await {
            self.0.disk.failed(&error);
            tracing::warn!("failed to keep what was counted and learned: {error}");
        }
    }

    async fn forget(&self) {
        let before = self.0.clock.now() - self.0.config.limits.keep_events.delta();
        let prune = Prune { events: Some(before), timeline: Some(before), ..Prune::default() };
        if let Err(error) = self.0.store.prune(prune).await {
            tracing::warn!("failed to forget events older than {before}: {error}");
        }
    }
}
