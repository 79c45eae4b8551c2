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
use crate::model::{Alert, AlertId, Failure, IntentId};
use crate::observability::alerts::Notice;
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

impl Told {
    /// Tells the channels what a crash kept them from being told.
    pub fn go_on(&self) {
        if self.channels.is_empty() {
            return;
        }
        let untold = lock(&self.book.book).untold();
        for alert in untold {
            let (telling, turns) = (self.telling(alert), self.turns.clone());
            self.tracker.spawn(async move {
                let turn = turns.acquire_owned().await;
                telling.await;
                drop(turn);
            });
        }
    }

    /// Tells the channels of `alert`, and puts down that they were told.
    fn telling(&self, alert: Alert) -> impl Future<Output = ()> + use<> {
        let (book, channels, stop) = (self.book.clone(), self.channels.clone(), self.stop.clone());
        async move {
            let rule =
                alert.intent.and_then(|id| book.board.get(id)).map(|it| it.rule.clone()).unwrap_or_default();
            let step = format!("{}/{}", alert.id, alert.count);
            let telling = channels.pass_on(&alert, &rule, &step);
            if stop.run_until_cancelled(telling).await.is_some() {
                book.told(alert.id, alert.count).await;
            }
        }
    }
}

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
        let telling = !self.channels.is_empty();
        let (alert, kept) = self.book.put(Notice { key, level, title, message, target, intent, telling });
        let (id, count) = (alert.id, alert.count);
        let (book, tracker, turns) = (self.book.clone(), self.tracker.clone(), self.turns.clone());
        let telling = telling.then(|| self.telling(alert));
        async move {
            kept.await?;
            match telling.map(|telling| (telling, turns.try_acquire_owned())) {
                Some((telling, Ok(turn))) => drop(tracker.spawn(async move {
                    telling.await;
                    drop(turn);
                })),
                Some((_, Err(_))) => {
                    tracing::warn!(alert = %id, "too many alerts at once: this one is only on the list");
                    tracker.spawn(async move { book.told(id, count).await });
                }
                None => {}
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
