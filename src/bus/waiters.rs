//! Waits for one event each: the first that matches completes the wait, exactly once.
//!
//! Registered by topic, so that an event costs nothing but a look-up for the waits it cannot complete. A wait sees
//! only events published after it was registered: register first, then look at what is past.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::model::{Event, Pattern};

/// Whether an event of the right topic is the one waited for. Runs while the event is published, so it must be quick.
pub type Test = Box<dyn Fn(&Event) -> bool + Send + Sync>;

/// All waits; a clone is another handle on the same.
#[derive(Clone, Default)]
pub struct Waiters(Arc<Inner>);

/// Resolves to the first event that matches. Dropping it ends the wait.
#[must_use = "dropping it ends the wait"]
pub struct Waiter {
    event: oneshot::Receiver<Arc<Event>>,
    key: Key,
    waits: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    count: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// By topic, for patterns that mean exactly one.
    literal: HashMap<Arc<str>, HashMap<u64, Wait>>,
    wild: HashMap<u64, Wait>,
    next: u64,
}

#[derive(Clone)]
enum Key {
    Literal(Arc<str>, u64),
    Wild(u64),
}

struct Wait {
    pattern: Pattern,
    test: Arc<Test>,
    done: oneshot::Sender<Arc<Event>>,
}

impl Waiters {
    /// Waits for the first event from now on that `pattern` means and `test` accepts.
    pub fn wait(&self, pattern: Pattern, test: Test) -> Waiter {
        let (done, event) = oneshot::channel();
        let topic: Option<Arc<str>> = pattern.is_literal().then(|| pattern.as_str().into());
        let wait = Wait { pattern, test: Arc::new(test), done };
        let mut state = self.0.lock();
        state.next += 1;
        let number = state.next;
        let key = match topic {
            Some(topic) => {
                state.literal.entry(Arc::clone(&topic)).or_default().insert(number, wait);
                Key::Literal(topic, number)
            }
            None => {
                state.wild.insert(number, wait);
                Key::Wild(number)
            }
        };
        drop(state);
        self.0.count.fetch_add(1, Ordering::Release);
        Waiter { event, key, waits: Arc::clone(&self.0) }
    }

    /// Completes every wait that `event` matches; answers how many.
    pub fn publish(&self, event: &Arc<Event>) -> usize {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return 0;
        }
        // Tests run without the lock: they are other people's code and may take a while.
        let candidates = self.0.lock().candidates(event);
        let mut done = 0;
        for (key, test) in candidates {
            if test(event)
                && let Some(wait) = self.0.remove(&key)
            {
                // It may have been dropped just now, which is fine.
                done += usize::from(wait.done.send(Arc::clone(event)).is_ok());
            }
        }
        done
    }

    /// How many waits there are.
    pub fn len(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn remove(&self, key: &Key) -> Option<Wait> {
        let mut state = self.lock();
        let wait = match key {
            Key::Wild(number) => state.wild.remove(number),
            Key::Literal(topic, number) => {
                let waits = state.literal.get_mut(topic)?;
                let wait = waits.remove(number);
                if waits.is_empty() {
                    state.literal.remove(topic);
                }
                wait
            }
        };
        drop(state);
        if wait.is_some() {
            self.count.fetch_sub(1, Ordering::Release);
        }
        wait
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn candidates(&self, event: &Event) -> Vec<(Key, Arc<Test>)> {
        let topic = event.topic.as_str();
        let mut found = Vec::new();
        if let Some((topic, waits)) = self.literal.get_key_value(topic) {
            let literal = |(number, wait): (&u64, &Wait)| {
                (Key::Literal(Arc::clone(topic), *number), Arc::clone(&wait.test))
            };
            found.extend(waits.iter().map(literal));
        }
        for (number, wait) in self.wild.iter().filter(|(_, wait)| wait.pattern.matches(topic)) {
            found.push((Key::Wild(*number), Arc::clone(&wait.test)));
        }
        // Who waited first is told first, each time the same events come.
        found.sort_by_key(|(key, _)| match key {
            Key::Literal(_, number) | Key::Wild(number) => *number,
        });
        found
    }
}

impl Future for Waiter {
    type Output = Arc<Event>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Arc<Event>> {
        match Pin::new(&mut self.event).poll(context) {
            Poll::Ready(Ok(event)) => Poll::Ready(event),
            // The sender lives in the list, which this future holds, until an event comes.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        drop(self.waits.remove(&self.key));
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiters({})", self.len())
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::model::Topic;
    use crate::model::clock::micros;

    fn event(topic: &str, subject: &str) -> Arc<Event> {
        let topic = Topic::try_new(topic).unwrap();
        Arc::new(Event::new("id", topic, "s", micros(0), serde_json::Value::Null).about(subject))
    }

    fn wait(waiters: &Waiters, pattern: &str, subject: &'static str) -> Waiter {
        let test = move |event: &Event| event.subject.as_deref() == Some(subject);
        waiters.wait(Pattern::try_new(pattern).unwrap(), Box::new(test))
    }

    #[test]
    fn a_wait_is_completed_once_by_the_first_event_that_matches() {
        let waiters = Waiters::default();
        assert_eq!(waiters.publish(&event("a.b", "k1")), 0);
        let mut one = wait(&waiters, "a.b", "k1");
        let mut other = wait(&waiters, "a.b", "k2");
        let mut wild = wait(&waiters, "a.>", "k1");
        assert_eq!(waiters.publish(&event("a.c", "k9")), 0);
        assert_eq!(waiters.publish(&event("a.b", "k1")), 2);
        assert_eq!(waiters.publish(&event("a.b", "k1")), 0, "both are done");
        assert_eq!((&mut one).now_or_never().unwrap().subject.as_deref(), Some("k1"));
        assert!((&mut wild).now_or_never().is_some());
        assert!((&mut other).now_or_never().is_none());
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn an_event_of_another_topic_asks_no_wait() {
        let waiters = Waiters::default();
        let panics = |_: &Event| panic!("asked about an event of another topic");
        let _waits: Vec<_> =
            (0..100).map(|_| waiters.wait(Pattern::try_new("a.b").unwrap(), Box::new(panics))).collect();
        assert_eq!(waiters.publish(&event("a.c", "k1")), 0);
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let waiters = Waiters::default();
        for pattern in ["a.b", "a.*"] {
            let done = wait(&waiters, pattern, "k1");
            let dropped = wait(&waiters, pattern, "k1");
            drop(dropped);
            assert_eq!(waiters.publish(&event("a.b", "k1")), 1);
            drop(done);
        }
        assert!(waiters.is_empty());
        let state = waiters.0.lock();
        assert!(state.literal.is_empty() && state.wild.is_empty());
    }

    #[test]
    fn many_publishers_at_once_complete_each_wait_exactly_once() {
        let waiters = Waiters::default();
        let waits: Vec<_> = (0..1_000).map(|_| wait(&waiters, "a.b", "k1")).collect();
        let done: usize = std::thread::scope(|scope| {
            let publish = || (0..50).map(|_| waiters.publish(&event("a.b", "k1"))).sum::<usize>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(publish)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(done, 1_000);
        assert!(waits.into_iter().all(|wait| wait.now_or_never().is_some()));
        assert!(waiters.is_empty());
    }
}
