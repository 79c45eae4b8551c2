//! Alerts that the engine itself raises (a question, a repair that was given up, an action that was cut off): on the
//! list first, then to the channels, as those of `alert.operator`. Nothing waits for the channels.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ports::AlertBook;
use crate::actions::{Alerts, Channels};
use crate::model::alert::Level;
use crate::model::{AlertId, Failure, IntentId};
use crate::tasks::lock;

/// The list, and whoever is told besides.
pub struct Told {
    /// The list.
    pub book: Arc<AlertBook>,
    /// The channels.
    pub channels: Channels,
    /// Waited for when the engine stops.
    pub tracker: TaskTracker,
    /// Rung when it stops.
    pub stop: CancellationToken,
    /// How many may be under way.
    pub turns: Arc<Semaphore>,
}

/// In a storm of failures more than this would bury people; the list has all of them.
pub const AT_ONCE: usize = 64;

impl Alerts for Told {
    fn raise(
        &self,
        key: String,
        level: Level,
        title: String,
        message: String,
        target: Option<String>,
        intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        let raised = self.book.raise(key, level, title, message, target, intent);
        if self.channels.is_empty() {
            return raised;
        }
        let (book, channels, tracker) = (self.book.clone(), self.channels.clone(), self.tracker.clone());
        let (stop, turns) = (self.stop.clone(), self.turns.clone());
        async move {
            let id = raised.await?;
            let alert = lock(&book.book).get(id).cloned();
            match (alert, turns.try_acquire_owned()) {
                (Some(alert), Ok(turn)) => drop(tracker.spawn(async move {
                    let rule = alert.intent.and_then(|id| book.board.get(id)).map(|it| it.rule.clone()).unwrap_or_default();
                    let step = format!("{}/{}", alert.id, alert.count);
                    let telling = channels.pass_on(&alert, &rule, &step);
                    stop.run_until_cancelled(telling).await;
                    drop(turn);
                })),
                (Some(alert), Err(_)) => {
                    tracing::warn!(alert = %alert.id, "too many alerts at once: this one is only on the list");
                }
                (None, _) => {}
            }
            Ok(id)
        }
        .boxed()
    }

    fn resolve(&self, key: String) -> BoxFuture<'static, Result<Option<AlertId>, Failure>> {
        let resolved = self.book.resolve(key);
        if self.channels.is_empty() {
            return resolved;
        }
        let (book, channels, tracker) = (self.book.clone(), self.channels.clone(), self.tracker.clone());
        let stop = self.stop.clone();
        async move {
            let id = resolved.await?;
            let alert = id.and_then(|id| lock(&book.book).get(id).cloned());
            if let Some(alert) = alert {
                tracker.spawn(async move { stop.run_until_cancelled(channels.changed(&alert)).await });
            }
            Ok(id)
        }
        .boxed()
    }
}
