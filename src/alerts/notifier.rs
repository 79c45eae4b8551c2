//! Raises alerts and has the channels told of them: the handle that everybody else uses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::list::{ChangeError, List};
use super::lock;
use super::numbers::Numbers;
use super::outage::Outage;
use super::queue::Queue;
use crate::actions::{Alerts, Channels};
use crate::model::alert::{DeliveryStatus, Level};
use crate::model::{Alert, AlertId, Failure, IntentId};
use crate::observability::alerts::Notice;
use crate::platform::metrics::Registry;
use crate::platform::{Part, Problems};

/// How often what could not be kept is written again.
const HEAL: Duration = Duration::from_secs(1);

/// The list of alerts and the queues of the channels; shared by reference.
pub struct Notifier {
    pub(super) list: Arc<List>,
    pub(super) channels: Channels,
    pub(super) lines: Vec<Line>,
    pub(super) numbers: Numbers,
    pub(super) problems: Problems,
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// What waits for one channel, and whether the channel works.
pub(super) struct Line {
    pub(super) queue: Mutex<Queue>,
    pub(super) outage: Mutex<Outage>,
    pub(super) bell: Notify,
}

impl Notifier {
    /// For the alerts of `list` and these `channels`. What it does in the background ends with `stop`.
    pub fn new(
        list: Arc<List>,
        channels: Channels,
        problems: Problems,
        registry: &Registry,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let line = |_| Line {
            queue: Mutex::new(Queue::new(channels.per_minute())),
            outage: Mutex::default(),
            bell: Notify::new(),
        };
        let lines = (0..channels.len()).map(line).collect();
        Self { list, lines, numbers: Numbers::new(registry), problems, tracker, stop, channels }
    }

    /// Begins to tell the channels, also of what a crash kept them from being told.
    pub fn start(self: &Arc<Self>) {
        let untold: Vec<Alert> = self.list.untold(|level| self.channels.for_level(level));
        for alert in &untold {
            self.enqueue(alert);
        }
        for at in 0..self.lines.len() {
            let part = Part::new(format!("alert channel {}", self.channels.name(at))).until(&self.stop);
            part.spawn_on(&self.tracker, self.clone().work_for(at));
        }
        let it = self.clone();
        let part = Part::new("alert list").until(&self.stop);
        part.spawn_on(&self.tracker, async move {
            while it.stop.run_until_cancelled(tokio::time::sleep(HEAL)).await.is_some() {
                it.list.heal().await;
            }
            it.list.heal().await;
        });
    }

    /// The list.
    pub fn list(&self) -> &Arc<List> {
        &self.list
    }

    /// The channels.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// `alert` with what is known of its channels just now: what waits for one that fails says so, since when and why.
    pub fn shown(&self, mut alert: Alert) -> Alert {
        for (at, line) in self.lines.iter().enumerate() {
            let outage = lock(&line.outage);
            if let Some((since, why)) = outage.since()
                && let Some(it) = alert.channels.get_mut(self.channels.name(at)).filter(|it| it.is_waiting())
            {
                it.status = DeliveryStatus::Failing;
                it.since = since;
                it.why = Some(why.to_owned());
            }
        }
        alert
    }

    /// An operator has seen to alert `id`, or says that it is over.
    ///
    /// # Errors
    /// When there is no such alert, it is over already, or it cannot be recorded; nothing has changed then.
    pub async fn change(&self, id: AlertId, over: bool) -> Result<Alert, ChangeError> {
        let alert = self.list.change(id, over).await?;
        // The operator need not wait until a pager has heard it.
        self.enqueue(&alert);
        Ok(alert)
    }

    /// Puts `alert` in the queues of the channels that still have to be told of it.
    pub(super) fn enqueue(&self, alert: &Alert) {
        for (at, line) in self.lines.iter().enumerate() {
            if alert.channels.get(self.channels.name(at)).is_some_and(|it| it.is_pending()) {
                let waiting = {
                    let mut queue = lock(&line.queue);
                    queue.put(alert.id, alert.level);
                    queue.len()
                };
                self.numbers.waiting(self.channels.name(at), waiting);
                line.bell.notify_one();
            }
        }
    }

    /// Puts `notice` on the list and in the queues of `channels`.
    pub(super) fn tell(
        &self,
        notice: Notice,
        channels: Vec<(String, bool)>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        let (alert, kept) = self.list.put(Notice { channels, ..notice });
        // Also if it could not be written: a full disk is something to be told of.
        self.enqueue(&alert);
        async move { kept.await.map(|()| alert.id) }.boxed()
    }
}

impl Alerts for Notifier {
    fn raise(
        &self,
        key: String,
        level: Level,
        title: String,
        message: String,
        target: Option<String>,
        intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        let notice = Notice { key, level, title, message, target, intent, ..Notice::default() };
        self.tell(notice, self.channels.for_level(level))
    }

    fn resolve(&self, key: String) -> BoxFuture<'static, Result<Option<AlertId>, Failure>> {
        let over = self.list.over(&key);
        if let Some((alert, _)) = &over {
            self.enqueue(alert);
        }
        async move {
            let Some((alert, kept)) = over else { return Ok(None) };
            // It is over in any case, and is written again until it is kept.
            kept.await.map_err(|error| {
                Failure::retryable("failed", format!("failed to record that the alert is over: {error}"))
            })?;
            Ok(Some(alert.id))
        }
        .boxed()
    }
}
