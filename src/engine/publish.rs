//! After a batch is durable: tell the senders, then everybody who waits for, watches or counts events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::disk::Disk;
use super::ingest::{Committed, Delivery};
use super::metrics::Metrics;
use crate::bus::{Lanes, Taps};
use crate::model::{Clock, Event};
use crate::observability::Aggregator;
use crate::{kernels, tasks};

/// How soon events that could not be kept are tried again, where nobody else would.
const AGAIN: Duration = Duration::from_secs(1);

const DOUBTFUL: &str = "an event that was sent before could not be kept just now; send it again";

/// Who hears of durable events.
pub struct Publish {
    /// Batches in the order in which they were handed to the store.
    pub batches: mpsc::Receiver<Committed>,
    /// Batches that failed.
    pub failed: Arc<AtomicUsize>,
    /// Told of a commit that failed.
    pub(super) disk: Arc<Disk>,
    /// Live subscribers.
    pub taps: Arc<Taps>,
    /// What the dashboard shows.
    pub observed: Arc<std::sync::Mutex<Aggregator>>,
    /// Kernels whose health is a heartbeat event.
    pub kernels: kernels::Registry,
    /// The task manager.
    pub tasks: tasks::Service,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
    /// Where events come from, for those that have to come again.
    pub lanes: Arc<Lanes<Delivery>>,
    /// Told when the engine stops.
    pub stop: CancellationToken,
}

impl Publish {
    /// Serves until the ingest thread has ended and its last batch is told.
    pub async fn run(mut self) {
        let mut failed_in = None;
        while let Some(batch) = self.batches.recv().await {
            match batch.commit.await {
                Ok(()) => {
                    self.tasks.confirm(batch.changes);
                    self.metrics.fired.inc_by(batch.fired as u64);
                    for (reply, receipt) in batch.replies {
                        self.metrics.accepted.inc_by(receipt.accepted as u64);
                        self.metrics.duplicates.inc_by(receipt.duplicates as u64);
                        // What is taken for known may have been in a batch that failed just before this one.
                        let doubtful = receipt.duplicates > 0 && self.failed.load(Ordering::SeqCst) > 0;
                        let answer = if doubtful { Err(DOUBTFUL.to_string()) } else { Ok(receipt) };
                        // Whoever waited may have gone away meanwhile.
                        drop(reply.send(answer));
                    }
                    // Those behind one that failed lie further to the front in the log than their numbers say.
                    let first = (failed_in != Some(batch.epoch)).then_some(batch.first);
                    self.tell(&batch.events, first);
                }
                Err(error) => {
                    failed_in = Some(batch.epoch);
                    self.failed.fetch_add(1, Ordering::SeqCst);
                    self.disk.failed(&error);
                    tracing::error!("{} events could not be made durable: {error}", batch.events.len());
                    for (reply, _) in batch.replies {
                        drop(reply.send(Err(error.to_string())));
                    }
                    self.tasks.take_back(batch.changes).await;
                    self.send_again(batch.unattended);
                }
            }
            drop(batch.under_way);
        }
    }

    /// Brings events back whose senders, the kernels and the engine itself, would not send them again.
    fn send_again(&self, events: Vec<Arc<Event>>) {
        let (lanes, stop) = (self.lanes.clone(), self.stop.clone());
        if events.is_empty() {
            return;
        }
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = stop.cancelled() => return,
            }
            let events: Vec<Event> = events.iter().map(|event| event.as_ref().clone()).collect();
            let priority = events.iter().map(|event| event.priority).max().unwrap_or_default();
            if lanes.push(priority, Delivery { events, reply: None }).await.is_err() {
                tracing::warn!("events made inside the engine are lost, as it stops");
            }
        });
    }

    /// `first` is the number of the first of them, if it is known.
    fn tell(&self, events: &[Arc<Event>], first: Option<u64>) {
        let now = self.clock.now();
        let mut observed = tasks::lock(&self.observed);
        for (n, event) in (0..).zip(events) {
            self.tasks.publish(event);
            self.taps.publish(event);
            match first {
                Some(first) => observed.observe(first + n, event, now),
                None => observed.observe_adrift(event, now),
            }
            if event.topic.as_str() == "telemetry.kernel.heartbeat"
                && let Some(kernel) = &event.subject
            {
                self.kernels.heartbeat(kernel, event.data.value()["instance"].as_str());
            }
        }
    }
}
