//! How the work on an intent is set aside while its playbook or its check waits, and taken up again.
//!
//! What stands aside is in the `lot`; what comes to it stands in line again like any other intent.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::lot::Awaits;
use super::{Service, lock};
use crate::model::{Event, Intent, IntentId, Run, RunStatus, Time};
use crate::store::Write;

impl Service {
    /// `event` is durable: whoever waited for it goes on.
    pub fn publish(&self, event: &Arc<Event>) {
        for id in self.parts.waits.publish(event) {
            self.wake(id);
        }
    }

    /// What the work on `id` waited for is there, or its time is up: it stands in line again. Does nothing if it is not
    /// waiting: then it looks by itself.
    pub(super) fn wake(&self, id: IntentId) {
        if lock(&self.shared.lot).has(id)
            && let Some(intent) = self.parts.board.get(id)
        {
            self.stand_in_line(&intent);
            self.shared.changed.notify_one();
        }
    }

    /// The same for one whose work has begun: it has its target already.
    fn stand_in_line(&self, intent: &Intent) {
        if !lock(&self.shared.working).contains(&intent.id) {
            self.put(intent);
        }
    }

    /// The work on `id` waits until `until`, a steady time, at most; it keeps its `target`, unless it was `told` to end.
    pub(super) fn park(
        &self,
        id: IntentId,
        target: &str,
        until: Time,
        awaits: Awaits,
        told: &CancellationToken,
    ) {
        self.parts.board.pack(id);
        let come = {
            // All under this lock: what comes from here on finds it in the lot, and nobody working on it.
            let mut lot = lock(&self.shared.lot);
            lot.park(id, until, awaits);
            lock(&self.shared.working).remove(&id);
            lock(&self.shared.cancelled).remove(&id);
            lot.is_done(id, &self.parts.waits)
        };
        if told.is_cancelled() && !self.shared.stop.is_cancelled() {
            // A person ended it before it stood here, where it would have been looked for.
            self.clear_away(id, target);
        } else if come {
            self.wake(id);
        }
    }

    /// Intent `id` has ended: if its work was set aside, its `target` is free and its run is closed.
    pub(super) fn clear_away(&self, id: IntentId, target: &str) {
        if lock(&self.shared.lot).take(id, &self.parts.waits).is_none() {
            return;
        }
        self.queue().release(target, id);
        self.close_left_over(id);
        self.shared.changed.notify_one();
    }

    /// Closes runs whose intent has ended: a person ended it, and its run was not closed.
    pub(super) async fn close_runs(&self, id: IntentId) -> Result<(), crate::store::Error> {
        let left_over = self.parts.store.open_runs_of(id).await?;
        // By the clock of the runs themselves, which is that of their intent.
        let era = self.parts.store.intent(id).await?.map_or(0, |intent| intent.era);
        let now = self.parts.clock.now_in(era);
        let close =
            |run| Write::Run(Box::new(Run { status: RunStatus::Cancelled, ended_at: Some(now), ..run }));
        self.parts.store.commit(left_over.into_iter().map(close).collect()).await
    }
}
