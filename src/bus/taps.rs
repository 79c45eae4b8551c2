//! Onlookers: each sees the events of its pattern as they pass, and how many it was too slow for.
//!
//! An onlooker never holds anybody up. Who must not miss an event reads the store, or is a waiter.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::mpsc;

use crate::model::{Event, Pattern};

/// Events an onlooker may be behind: a few seconds of a busy stream, and half a megabyte at most of pointers.
const BEHIND: usize = 1024;

/// All onlookers; a clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Taps(Arc<Inner>);

/// One onlooker's end. Dropping it ends it.
#[derive(Debug)]
pub struct Tap {
    events: mpsc::Receiver<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Inner {
    taps: RwLock<Vec<Entry>>,
    count: AtomicUsize,
}

#[derive(Debug)]
struct Entry {
    pattern: Pattern,
    events: mpsc::Sender<Arc<Event>>,
    missed: Arc<AtomicU64>,
}

impl Taps {
    /// A new onlooker at what matches `pattern`, from now on.
    pub fn subscribe(&self, pattern: Pattern) -> Tap {
        let (send, receive) = mpsc::channel(BEHIND);
        let missed = Arc::new(AtomicU64::new(0));
        let mut taps = self.0.taps.write().unwrap_or_else(PoisonError::into_inner);
        taps.retain(|tap| !tap.events.is_closed());
        taps.push(Entry { pattern, events: send, missed: Arc::clone(&missed) });
        self.0.count.store(taps.len(), Ordering::Release);
        Tap { events: receive, missed }
    }

    /// Shows `event` to those who want it.
    pub fn publish(&self, event: &Arc<Event>) {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut gone = false;
        for tap in self.0.taps.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if !tap.pattern.matches(event.topic.as_str()) {
                continue;
            }
            match tap.events.try_send(Arc::clone(event)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    tap.missed.fetch_add(1, Ordering::Relaxed);
                }
                Err(mpsc::error::TrySendError::Closed(_)) => gone = true,
            }
        }
        if gone {
            let mut taps = self.0.taps.write().unwrap_or_else(PoisonError::into_inner);
            taps.retain(|tap| !tap.events.is_closed());
            self.0.count.store(taps.len(), Ordering::Release);
        }
    }

    /// How many onlookers there are, those not counted that have ended and were not noticed yet.
    pub fn len(&self) -> usize {
        let taps = self.0.taps.read().unwrap_or_else(PoisonError::into_inner);
        taps.iter().filter(|tap| !tap.events.is_closed()).count()
    }

    /// Whether nobody looks on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tap {
    /// The next event; none when all [`Taps`] handles are gone.
    pub async fn recv(&mut self) -> Option<Arc<Event>> {
        self.events.recv().await
    }

    /// How many events were missed since the last call, for having been too slow.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::model::clock::micros;

    fn event(topic: &str) -> Arc<Event> {
        Arc::new(Event::new("id", Topic::try_new(topic).unwrap(), "s", micros(0), serde_json::Value::Null))
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::try_new(text).unwrap()
    }

    #[tokio::test]
    async fn an_onlooker_sees_what_it_asked_for_and_hears_how_much_it_missed() {
        let taps = Taps::default();
        taps.publish(&event("a.b"));
        let mut all = taps.subscribe(pattern(">"));
        let mut some = taps.subscribe(pattern("a.*"));
        for topic in ["a.b", "b.c", "a.c"] {
            taps.publish(&event(topic));
        }
        assert_eq!(some.recv().await.unwrap().topic.as_str(), "a.b");
        assert_eq!(some.recv().await.unwrap().topic.as_str(), "a.c");
        for _ in 0..BEHIND {
            taps.publish(&event("b.c"));
        }
        assert_eq!((all.missed(), all.missed(), some.missed()), (3, 0, 0));
        for _ in 0..BEHIND {
            all.recv().await.unwrap();
        }
        taps.publish(&event("late"));
        assert_eq!(all.recv().await.unwrap().topic.as_str(), "late", "a slow onlooker goes on");
    }

    #[tokio::test]
    async fn one_that_left_costs_nothing_any_more() {
        let taps = Taps::default();
        drop(taps.subscribe(pattern(">")));
        taps.publish(&event("a"));
        assert_eq!((taps.len(), taps.0.count.load(Ordering::Acquire)), (0, 0));
    }
}
