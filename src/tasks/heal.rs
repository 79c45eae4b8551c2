//! After a commit that failed: memory is made what the disk says, and of two intents that are open for the same thing one
//! is closed.

use std::time::Duration;

use super::Service;
use crate::intents::board::Twins;
use crate::intents::lifecycle::{self, Transition};
use crate::model::IntentId;
use crate::platform::sleep;

/// First pause after a read that failed; doubled each time.
const LEAST: Duration = Duration::from_millis(50);

/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(10);

impl Service {
    /// Settles what is in doubt as soon as the store can be read. Never ends.
    pub(super) async fn keep_healed(&self) {
        let mut pause = LEAST;
        loop {
            if let Err(error) = self.parts.board.heal().await {
                tracing::error!(
                    "failed to read back intents whose change could not be recorded: {error}; retrying"
                );
                sleep::pause(&self.parts.clock, pause).await;
                pause = (pause * 2).min(LONGEST);
                continue;
            }
            pause = LEAST;
            self.shared.changed.notify_one();
            self.parts.board.doubts_changed().await;
        }
    }

    /// Of each two intents that are open for the same rule and group, closes one before anybody works on it.
    pub(super) async fn close_twins(&self) {
        for Twins { kept, closed } in self.parts.board.take_twins() {
            let clock = &self.parts.clock;
            let why = format!(
                "closed: {kept} is open for the same rule and group, as a change could not be recorded; only that one is acted on"
            );
            let cancel = |it: &mut crate::model::Intent| {
                let now = clock.now_in(it.era);
                if let Some(attempt) = it.attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()) {
                    attempt.ended_at = Some(now);
                    attempt.message = Some(why.clone());
                }
                lifecycle::apply(it, Transition::Cancel, Some(why.clone()), now)
            };
            // It may have ended by itself meanwhile.
            let Ok((intent, commit)) = self.parts.board.change(closed, vec![], cancel) else { continue };
            self.cancel(&intent);
            if let Err(error) = commit.await {
                tracing::error!(intent = %closed, "failed to close one of two intents for the same thing: {error}; retrying");
                continue;
            }
            self.parts.report(&intent);
            self.close_left_over(closed);
            super::escalate::twin(&self.parts, &intent, &why).await;
        }
    }

    /// Closes runs of an intent that has ended, in the background, until that is recorded.
    pub(super) fn close_left_over(&self, id: IntentId) {
        let service = self.clone();
        tokio::spawn(async move {
            let mut pause = LEAST;
            while let Err(error) = service.close_runs(id).await {
                tracing::error!(intent = %id, "failed to close the run of an intent that ended: {error}; retrying");
                tokio::select! {
                    () = sleep::pause(&service.parts.clock, pause) => {}
                    // At the next start it is closed.
                    () = service.shared.stop.cancelled() => return,
                }
                pause = (pause * 2).min(LONGEST);
            }
        });
    }
}
