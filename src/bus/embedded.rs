//! The bus of one process: where events go that come up inside the engine.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, mpsc};

use super::Publisher;
use crate::model::Event;

/// Events that may wait for the engine. Its own parts make a handful a second each, so that this is minutes of them;
/// only a fault fills it, and then memory must not grow.
const WAITING: usize = 65_536;

/// Takes events from the engine's own parts and gives them to the one who makes them durable.
#[derive(Debug)]
pub struct Inbox {
    send: mpsc::Sender<Event>,
    receive: Mutex<mpsc::Receiver<Event>>,
    lost: AtomicU64,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> Self {
        Self::with_capacity(WAITING)
    }

    /// All that waits now, at most `most`; waits for the first. For one reader at a time.
    pub async fn take(&self, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        // Never closed, as we hold a sender ourselves.
        self.receive.lock().await.recv_many(&mut events, most.max(1)).await;
        events
    }

    /// How many events were lost because too many were waiting; anything but zero is a fault to be shown.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn with_capacity(waiting: usize) -> Self {
        let (send, receive) = mpsc::channel(waiting);
        Self { send, receive: Mutex::new(receive), lost: AtomicU64::new(0) }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Publisher for Inbox {
    fn publish(&self, event: Event) {
        if let Err(error) = self.send.try_send(event) {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            if lost.is_power_of_two() {
                let topic = error.into_inner().topic;
                tracing::error!(%topic, lost, "an event of the engine's own was lost: too many are waiting");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::model::clock::micros;

    #[tokio::test]
    async fn what_is_published_comes_out_in_order_and_a_loss_is_counted() {
        let inbox = Inbox::with_capacity(5);
        let event = |n: u32| {
            Event::new(n.to_string(), Topic::try_new("a").unwrap(), "s", micros(0), serde_json::Value::Null)
        };
        for n in 0..7 {
            inbox.publish(event(n));
        }
        let ids = |events: Vec<Event>| events.into_iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(ids(inbox.take(3).await), ["0", "1", "2"]);
        assert_eq!(ids(inbox.take(100).await), ["3", "4"]);
        assert_eq!(inbox.lost(), 2);
        inbox.publish(event(9));
        assert_eq!(ids(inbox.take(100).await), ["9"]);
    }
}
