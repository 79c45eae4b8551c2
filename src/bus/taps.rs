//! Onlookers: each sees the events of its pattern as they pass, and where and how many it was too slow for.
//!
//! An onlooker never holds anybody up, and what waits for it is bounded in number and in bytes. Who must not miss an
//! event reads the store, or is a waiter. Start with [`Taps::subscribe`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use crate::model::{Event, Pattern};
use crate::platform::metrics::Registry;

/// Events an onlooker may be behind: a few seconds of a busy stream.
const BEHIND: usize = 1024;
/// Bytes of events an onlooker may be behind; one event fits whatever its size.
const BYTES: usize = 2 << 20;

/// All onlookers; a clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct Taps(Arc<Inner>);

/// One onlooker's end. Dropping it ends it.
#[derive(Debug)]
pub struct Tap {
    lane: Arc<Lane>,
    /// While it lives there may be events.
    source: Weak<Inner>,
}

/// What an onlooker sees.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An event.
    Event(Arc<Event>),
    /// Here so many events are missing, as the onlooker was too slow for them.
    Gap(u64),
}

#[derive(Debug, Default)]
struct Inner {
    taps: RwLock<Vec<Entry>>,
    count: AtomicUsize,
    lost: Counter,
}

#[derive(Debug)]
struct Entry {
    pattern: Pattern,
    lane: Weak<Lane>,
}

/// What waits for one onlooker.
#[derive(Debug, Default)]
struct Lane {
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    seen: VecDeque<Seen>,
    events: usize,
    bytes: usize,
}

impl Taps {
    /// Handles whose losses are counted in `registry`.
    pub fn counted(registry: &Registry) -> Self {
        let lost = registry
            .counter("stream_events_lost", "Events that readers of the event stream were too slow for");
        Self(Arc::new(Inner { taps: RwLock::default(), count: AtomicUsize::new(0), lost }))
    }

    /// A new onlooker at what matches `pattern`, from now on.
    pub fn subscribe(&self, pattern: Pattern) -> Tap {
        let lane = Arc::new(Lane::default());
        let mut taps = self.0.taps.write().unwrap_or_else(PoisonError::into_inner);
        taps.retain(|tap| tap.lane.strong_count() > 0);
        taps.push(Entry { pattern, lane: Arc::downgrade(&lane) });
        self.0.count.store(taps.len(), Ordering::Release);
        Tap { lane, source: Arc::downgrade(&self.0) }
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
            match tap.lane.upgrade() {
                Some(lane) => {
                    if !lane.push(event) {
                        self.0.lost.inc();
                    }
                }
                None => gone = true,
            }
        }
        if gone {
            let mut taps = self.0.taps.write().unwrap_or_else(PoisonError::into_inner);
            taps.retain(|tap| tap.lane.strong_count() > 0);
            self.0.count.store(taps.len(), Ordering::Release);
        }
    }

    /// How many onlookers there are, those not counted that have ended and were not noticed yet.
    pub fn len(&self) -> usize {
        let taps = self.0.taps.read().unwrap_or_else(PoisonError::into_inner);
        taps.iter().filter(|tap| tap.lane.strong_count() > 0).count()
    }

    /// Whether nobody looks on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let taps = self.taps.get_mut().unwrap_or_else(PoisonError::into_inner);
        for lane in taps.iter().filter_map(|tap| tap.lane.upgrade()) {
            lane.filled.notify_one();
        }
    }
}

impl Lane {
    /// Puts `event` in line, or counts it where it finds no room; false if so.
    fn push(&self, event: &Arc<Event>) -> bool {
        let mut queue = self.lock();
        let bytes = weight(event);
        let fits = queue.events < BEHIND && (queue.events == 0 || queue.bytes + bytes <= BYTES);
        if fits {
            queue.events += 1;
            queue.bytes += bytes;
            queue.seen.push_back(Seen::Event(Arc::clone(event)));
        } else if let Some(Seen::Gap(lost)) = queue.seen.back_mut() {
            *lost += 1;
        } else {
            queue.seen.push_back(Seen::Gap(1));
        }
        drop(queue);
        self.filled.notify_one();
        fits
    }

    fn pop(&self) -> Option<Seen> {
        let mut queue = self.lock();
        let seen = queue.seen.pop_front()?;
        if let Seen::Event(event) = &seen {
            queue.events -= 1;
            queue.bytes -= weight(event);
        }
        Some(seen)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap {
    /// What comes next; none when all [`Taps`] handles are gone.
    pub async fn recv(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = self.lane.pop() {
                return Some(seen);
            }
            if self.source.strong_count() == 0 {
                return self.lane.pop();
            }
            self.lane.filled.notified().await;
        }
    }
}

/// Bytes that an event holds, about.
fn weight(event: &Event) -> usize {
    /// The value itself, its time and the short texts.
    const REST: usize = 512;
    let text =
        |(name, value): (&String, &serde_json::Value)| name.len() + value.as_str().map_or(16, str::len);
    let extensions: usize = event.extensions.iter().map(text).sum();
    REST + event.id.len() + event.source.len() + event.data.text().len() + extensions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::model::clock::micros;

    fn event(topic: &str) -> Arc<Event> {
        large(topic, 0)
    }

    fn large(topic: &str, bytes: usize) -> Arc<Event> {
        let data = serde_json::Value::from("x".repeat(bytes));
        Arc::new(Event::new("id", Topic::try_new(topic).unwrap(), "s", micros(0), data))
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::try_new(text).unwrap()
    }

    async fn next(tap: &mut Tap) -> String {
        match tap.recv().await.unwrap() {
            Seen::Event(event) => event.topic.to_string(),
            Seen::Gap(lost) => format!("gap of {lost}"),
        }
    }

    #[tokio::test]
    async fn an_onlooker_sees_what_it_asked_for_and_where_how_much_is_missing() {
        let registry = Registry::default();
        let taps = Taps::counted(&registry);
        taps.publish(&event("a.b"));
        let mut all = taps.subscribe(pattern(">"));
        let mut some = taps.subscribe(pattern("a.*"));
        for topic in ["a.b", "b.c", "a.c"] {
            taps.publish(&event(topic));
        }
        assert_eq!((next(&mut some).await.as_str(), next(&mut some).await.as_str()), ("a.b", "a.c"));
        for _ in 0..BEHIND {
            taps.publish(&event("b.c"));
        }
        assert_eq!(next(&mut all).await, "a.b");
        taps.publish(&event("late"));
        for _ in 1..BEHIND {
            next(&mut all).await;
        }
        assert_eq!(next(&mut all).await, "gap of 3", "the gap is where the events are missing");
        assert_eq!(next(&mut all).await, "late", "a slow onlooker goes on");
        assert!(registry.text().unwrap().contains("paramedic_stream_events_lost_total 3"));
    }

    #[tokio::test]
    async fn what_waits_for_an_onlooker_is_bounded_in_bytes_and_one_event_always_fits() {
        let taps = Taps::default();
        let mut tap = taps.subscribe(pattern(">"));
        for _ in 0..100 {
            taps.publish(&large("large", BYTES / 4));
        }
        assert!(tap.lane.lock().bytes <= BYTES);
        for _ in 0..3 {
            assert_eq!(next(&mut tap).await, "large");
        }
        assert_eq!(next(&mut tap).await, "gap of 97");
        taps.publish(&large("huge", BYTES * 2));
        assert_eq!(next(&mut tap).await, "huge");
        assert_eq!(tap.lane.lock().bytes, 0);
    }

    #[tokio::test]
    async fn one_that_left_costs_nothing_any_more_and_the_end_is_seen() {
        let taps = Taps::default();
        drop(taps.subscribe(pattern(">")));
        taps.publish(&event("a"));
        assert_eq!((taps.len(), taps.0.count.load(Ordering::Acquire)), (0, 0));
        let mut tap = taps.subscribe(pattern(">"));
        let waits = tokio::spawn(async move { tap.recv().await.is_none() });
        tokio::task::yield_now().await;
        drop(taps);
        assert!(waits.await.unwrap());
    }
}
