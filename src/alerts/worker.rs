//! What sends to one channel: takes the worst alert from its queue, tries it, and says what became of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::notifier::Notifier;
use super::queue::Job;
use super::{digest, lock};
use crate::actions::{Alerts, Notice, Trouble};
use crate::model::alert::{AlertStatus, Delivery, DeliveryStatus, Level};
use crate::model::{Alert, AlertId};
use crate::observability::alerts;
use crate::platform::sleep;

/// How often an alert may be refused by a channel that takes others.
const REFUSALS: u32 = 5;

/// How long an alert that was refused waits; each further time twice as long.
const PUT_OFF: Duration = Duration::from_secs(15);

impl Notifier {
    /// Sends to channel `at` until the engine stops. What is cut off then is sent at the next start.
    pub(super) async fn work_for(self: Arc<Self>, at: usize) {
        let line = &self.lines[at];
        loop {
            let now = Instant::now();
            let again = lock(&line.outage).again().filter(|again| *again > now);
            let job = if again.is_some() { None } else { lock(&line.queue).take(now) };
            if let Some(job) = job {
                if self.stop.run_until_cancelled(self.work(at, job)).await.is_none() {
                    return;
                }
                self.numbers.waiting(self.channels.name(at), lock(&line.queue).len());
                continue;
            }
            let due = again.or_else(|| lock(&line.queue).next_due());
            let due = async {
                match due {
                    Some(due) => sleep::pause(self.list.clock(), due.duration_since(Instant::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = line.bell.notified() => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn work(&self, at: usize, job: Job) {
        match &job {
            Job::One(id) => {
                if let Some((alert, delivery)) = self.pending(at, *id) {
                    let level = alert.level;
                    if self.one(at, alert, &delivery).await {
                        lock(&self.lines[at].queue).count(&job, level, Instant::now());
                    }
                }
            }
            Job::Digest(ids) => {
                let pending = ids.iter().filter_map(|id| self.pending(at, *id));
                let (waiting, changed): (Vec<_>, Vec<_>) = pending.partition(|(_, it)| it.is_waiting());
                let waiting: Vec<Alert> = waiting.into_iter().map(|(alert, _)| alert).collect();
                let level = waiting.iter().map(|it| it.level).max().unwrap_or(Level::Info);
                if self.many(at, waiting).await {
                    lock(&self.lines[at].queue).count(&job, level, Instant::now());
                }
                for (alert, delivery) in changed {
                    if lock(&self.lines[at].outage).again().is_some() {
                        self.enqueue(&alert);
                    } else {
                        self.one(at, alert, &delivery).await;
                    }
                }
            }
        }
    }

    /// Alert `id`, if the channel is still to be told of it.
    fn pending(&self, at: usize, id: AlertId) -> Option<(Alert, Delivery)> {
        let name = self.channels.name(at);
        let alert = self.list.read(|book| book.get(id).cloned())?;
        let delivery = alert.channels.get(name)?.clone();
        if !delivery.is_pending() {
            return None;
        }
        let waits = (self.list.now() - delivery.since).to_std().unwrap_or_default();
        if waits > self.channels.give_up_after() {
            let why = lock(&self.lines[at].outage).since().map(|(_, why)| why.to_owned());
            let why = why.or(delivery.why).unwrap_or_else(|| "its turn did not come".into());
            self.give_up(at, id, "too_old", format!("given up after {} s: {why}", waits.as_secs()));
            return None;
        }
        Some((alert, delivery))
    }

    /// Tries one; whether the channel confirmed it.
    async fn one(&self, at: usize, alert: Alert, delivery: &Delivery) -> bool {
        let tried = match delivery.change.filter(|_| !delivery.is_waiting()) {
            Some(change) => {
                let over = change == AlertStatus::Resolved;
                self.channels.changed(at, &alert.key, over).await.map(|()| Some(change))
            }
            None => {
                let step = format!("{}/{}", alert.id, alert.count);
                self.channels.send(at, &Notice::of(&alert), &step).await.map(|()| None)
            }
        };
        match tried {
            Ok(None) => self.sent(at, &[alert], false).await,
            Ok(change) => self.changed(at, &alert, change).await,
            Err(Trouble::Passing(why, asked)) => {
                self.fails(at, why, asked).await;
                self.enqueue(&alert);
            }
            Err(Trouble::Final(why)) => {
                // A channel that takes others refuses this one; otherwise the channel itself is what fails.
                let works = lock(&self.lines[at].outage).since().is_none();
                self.fails(at, why.clone(), None).await;
                self.refused(at, &alert, why, works);
            }
        }
        lock(&self.lines[at].outage).since().is_none()
    }

    /// Tries to send many as one; whether the channel confirmed it.
    async fn many(&self, at: usize, alerts: Vec<Alert>) -> bool {
        let Some(first) = alerts.first() else { return false };
        let step = format!("digest/{}/{}", first.id, alerts.len());
        let notice = digest::of(self.channels.name(at), &alerts);
        match self.channels.send(at, &notice, &step).await {
            Ok(()) => {
                self.sent(at, &alerts, true).await;
                true
            }
            Err(Trouble::Passing(why, asked)) => {
                self.fails(at, why, asked).await;
                alerts.iter().for_each(|alert| self.enqueue(alert));
                false
            }
            Err(Trouble::Final(why)) => {
                self.fails(at, why, None).await;
                alerts.iter().for_each(|alert| self.enqueue(alert));
                false
            }
        }
    }

    /// The channel confirmed `alerts`.
    async fn sent(&self, at: usize, alerts: &[Alert], digest: bool) {
        let name = self.channels.name(at);
        self.numbers.sent(name, alerts.len());
        let now = self.list.now();
        let counts: HashMap<AlertId, u64> = alerts.iter().map(|alert| (alert.id, alert.count)).collect();
        let ids: Vec<AlertId> = alerts.iter().map(|alert| alert.id).collect();
        let kept = self.list.deliver(&ids, name, |id, delivery, count, status| {
            let again = counts.get(&id) != Some(&count) && status != AlertStatus::Resolved;
            *delivery = Delivery {
                // Raised again meanwhile, it is sent again.
                status: if again { DeliveryStatus::Queued } else { DeliveryStatus::Sent },
                sent_at: Some(now),
                digest,
                // Of a digest there is no incident that could be closed.
                change: (delivery.incident && !digest && status != AlertStatus::Active).then_some(status),
                ..Delivery::queued(delivery.incident, delivery.since)
            };
        });
        self.tracker.spawn(join_all(kept));
        for id in ids {
            if let Some(alert) = self.list.read(|book| book.get(id).filter(|it| it.telling).cloned()) {
                self.enqueue(&alert);
            }
        }
        self.works(at).await;
    }

    /// The channel's incident knows of the change.
    async fn changed(&self, at: usize, alert: &Alert, told: Option<AlertStatus>) {
        let kept = self.list.deliver(&[alert.id], self.channels.name(at), |_, delivery, _, _| {
            if delivery.change == told {
                delivery.change = None;
            }
        });
        self.tracker.spawn(join_all(kept));
        if let Some(alert) = self.list.read(|book| book.get(alert.id).filter(|it| it.telling).cloned()) {
            self.enqueue(&alert);
        }
        self.works(at).await;
    }

    /// The channel refused `alert`, for a reason that trying again does not mend.
    fn refused(&self, at: usize, alert: &Alert, why: String, by_itself: bool) {
        let name = self.channels.name(at);
        let tries = alert.channels.get(name).map_or(0, |it| it.tries) + u32::from(by_itself);
        if tries >= REFUSALS {
            return self.give_up(at, alert.id, "refused", why);
        }
        let kept = self.list.deliver(&[alert.id], name, |_, delivery, _, _| {
            delivery.tries = tries;
            delivery.why = Some(why.clone());
        });
        self.tracker.spawn(join_all(kept));
        let again = Instant::now() + PUT_OFF * (1 << tries.min(REFUSALS));
        lock(&self.lines[at].queue).put_off(alert.id, alert.level, again);
    }

    fn give_up(&self, at: usize, id: AlertId, reason: &'static str, why: String) {
        let name = self.channels.name(at);
        tracing::error!(alert = %id, channel = name, "failed to send an alert: {why}; it stays on the alert list");
        self.numbers.dropped(name, reason);
        let kept = self.list.deliver(&[id], name, |_, delivery, _, _| {
            delivery.change = None;
            if delivery.is_waiting() {
                delivery.status = DeliveryStatus::Failed;
                delivery.why = Some(why.clone());
            }
        });
        self.tracker.spawn(join_all(kept));
    }

    async fn fails(&self, at: usize, why: String, asked: Option<Duration>) {
        let name = self.channels.name(at);
        self.numbers.failed(name);
        let (line, time) = (&self.lines[at], self.list.now());
        let random = self.list.chance().fraction();
        let (follows, since) = {
            let mut outage = lock(&line.outage);
            let new = outage.since().is_none();
            let follows = outage.failed(why.clone(), asked, random, Instant::now(), time);
            if new {
                tracing::warn!(channel = name, "failed to send an alert: {why}; trying again");
            }
            (follows, outage.since().map_or(time, |(since, _)| since))
        };
        if follows.problem {
            let waiting = lock(&line.queue).len() + 1;
            let text = format!(
                "Alert channel {name} has failed since {}: {why}; {waiting} alerts wait for it. Check its address and its service",
                since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            );
            self.problems.raise(key(name), text);
        }
        if follows.tell {
            let notice = alerts::Notice {
                key: key(name),
                level: Level::Warning,
                title: format!("Alert channel {name} fails"),
                message: format!(
                    "{why}. What it should have told waits until it works again; the alert list has all of it."
                ),
                ..alerts::Notice::default()
            };
            let mut others = self.channels.for_level(Level::Warning);
            others.retain(|(other, _)| other != name);
            if let Err(failure) = self.tell(notice, others).await {
                tracing::error!(channel = name, "failed to record that an alert channel fails: {failure}");
            }
        }
    }

    async fn works(&self, at: usize) {
        if !lock(&self.lines[at].outage).works() {
            return;
        }
        let name = self.channels.name(at);
        tracing::info!(channel = name, "the alert channel works again");
        self.problems.clear(&key(name));
        if let Err(failure) = self.resolve(key(name)).await {
            tracing::warn!(channel = name, "failed to record that an alert channel works again: {failure}");
        }
    }
}

/// The key of what is said of a channel that fails.
fn key(channel: &str) -> String {
    format!("alerts/channel/{channel}")
}
