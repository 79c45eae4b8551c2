//! How the work on an intent is set aside while its playbook or its check waits, and taken up again.
//!
//! What stands aside is in the `lot`; what comes to it stands in line again like any other intent.

use std::sync::Arc;

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
            self.queue().put(intent, self.parts.clock.now());
        }
    }

    /// The work on `id` waits; it keeps its target.
    pub(super) fn park(&self, id: IntentId, until: Time, awaits: Awaits) {
        self.parts.board.pack(id);
        let come = {
            // All under this lock: what comes from here on finds it in the lot, and nobody working on it.
            let mut lot = lock(&self.shared.lot);
            lot.park(id, until, awaits);
            lock(&self.shared.working).remove(&id);
            lot.is_done(id, &self.parts.waits)
        };
        if come {
            self.wake(id);
        }
    }

    /// Closes runs whose intent has ended: a person ended it, and its run was not closed.
    pub(super) async fn close_runs(&self, id: IntentId) -> Result<(), crate::store::Error> {
        let now = self.parts.clock.now();
        let mut left_over = self.parts.store.runs_of(id).await?;
        left_over.retain(|run| run.status.is_open());
        let close =
            |run| Write::Run(Box::new(Run { status: RunStatus::Cancelled, ended_at: Some(now), ..run }));
        self.parts.store.commit(left_over.into_iter().map(close).collect()).await
    }
}
