//! What waits for the writer: first in, first out, bounded by bytes.
//!
//! Handing in never blocks, since it happens on threads that carry other people's I/O: what does not fit is refused.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::encode::Row;
use crate::store::{Committer, Error, Prune, Pruned};

/// Events are refused beyond so many waiting bytes: half a second of writing, and a bounded share of memory.
const EVENTS_LIMIT: usize = 32 << 20;
/// Everything is refused beyond this. Intents and journals get room that a flood of events cannot take from them.
const LIMIT: usize = 64 << 20;
/// Most bytes in one transaction, so that the first in a long queue is not acknowledged with the last.
const GROUP_BYTES: usize = 8 << 20;

/// What a portion of pruning did, and whether there is more to do.
pub(super) type Portion = Result<(Pruned, bool), Error>;

/// Work for the writer.
#[derive(Debug)]
pub(super) enum Job {
    Commit(Unit),
    Prune(Prune, oneshot::Sender<Portion>),
}

/// One commit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) rows: Vec<Row>,
    pub(super) bytes: usize,
    pub(super) done: Committer,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Next {
    Group(Vec<Unit>),
    Prune(Prune, oneshot::Sender<Portion>),
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// A test gathers what comes into one group.
    #[cfg(test)]
    held: bool,
}

impl Queue {
    /// Appends a commit, or answers it with the reason why not.
    pub(super) fn push(&self, unit: Unit) {
        let mut state = self.lock();
        let only_events = unit.rows.iter().all(|row| matches!(row, Row::Events(_) | Row::Notes { .. }));
        let limit = if only_events { EVENTS_LIMIT } else { LIMIT };
        // Whatever its size, one fits into an empty queue.
        let refusal = if state.closed {
            Some(Error::Stopped)
        } else if state.bytes > 0 && unit.bytes > 0 && state.bytes + unit.bytes > limit {
            Some(Error::Busy(state.bytes >> 20))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            drop(state);
            return unit.done.settle(Err(refusal));
        }
        state.bytes += unit.bytes;
        state.jobs.push_back(Job::Commit(unit));
        drop(state);
        self.filled.notify_one();
    }

    /// Appends a portion of pruning. If closed, the answer's sender is dropped.
    pub(super) fn prune(&self, prune: Prune, done: oneshot::Sender<Portion>) {
        let mut state = self.lock();
        if !state.closed {
            state.jobs.push_back(Job::Prune(prune, done));
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Waits for work. After [`Queue::close`] it gives what is left, then `Stop`.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        while state.waits() && !state.closed {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        loop {
            match state.jobs.pop_front() {
                Some(Job::Commit(unit)) => {
                    bytes += unit.bytes;
                    group.push(unit);
                    if bytes >= GROUP_BYTES {
                        break;
                    }
                }
                Some(Job::Prune(prune, done)) if group.is_empty() => return Next::Prune(prune, done),
                Some(job) => {
                    state.jobs.push_front(job);
                    break;
                }
                None => break,
            }
        }
        if group.is_empty() { Next::Stop } else { Next::Group(group) }
    }

    /// Holds the writer back, or lets it go on.
    #[cfg(test)]
    pub(super) fn hold(&self, held: bool) {
        self.lock().held = held;
        self.filled.notify_all();
    }

    /// Says that so many bytes no longer wait: their commit is settled.
    pub(super) fn written(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Whether it takes nothing more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Takes nothing more and answers what waits with [`Error::Stopped`].
    pub(super) fn abandon(&self) {
        let left = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.jobs)
        };
        // Answered without the lock, as whoever hears of it may hand something in.
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waits(&self) -> bool {
        #[cfg(test)]
        if self.held {
            return true;
        }
        self.jobs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::store::{Commit, EventKey, Write};

    fn push(queue: &Queue, writes: Vec<Write>, bytes: usize) -> Commit {
        let (rows, _) = super::super::encode::encode(writes, &EventKey::new(&[0; 16])).unwrap();
        let (done, commit) = Commit::pair();
        queue.push(Unit { rows, bytes, done });
        commit
    }

    fn meta() -> Vec<Write> {
        vec![Write::Meta { key: "k".into(), value: "v".into() }]
    }

    #[test]
    fn a_flood_of_events_is_refused_while_journals_still_have_room() {
        let queue = Queue::default();
        // An empty list stands for events only; what counts is the stated size.
        let half = || push(&queue, Vec::new(), EVENTS_LIMIT / 2);
        assert!(!queue.is_closed());
        let mut taken = [half(), half()];
        assert_eq!(half().now_or_never(), Some(Err(Error::Busy(32))));
        let mut journal = push(&queue, meta(), 1 << 20);
        assert_eq!((&mut journal).now_or_never(), None, "taken, not refused");
        assert_eq!(push(&queue, meta(), LIMIT).now_or_never(), Some(Err(Error::Busy(33))));

        let Next::Group(first) = queue.next() else { panic!("nothing to do") };
        assert_eq!(first.len(), 1, "a group is bounded");
        queue.written(first[0].bytes);
        assert_eq!(half().now_or_never(), Some(Err(Error::Busy(17))), "17 + 16 is over the limit still");
        queue.abandon();
        assert!(queue.is_closed());
        assert_eq!((&mut taken[1]).now_or_never(), Some(Err(Error::Stopped)));
        assert_eq!(journal.now_or_never(), Some(Err(Error::Stopped)));
        assert_eq!(half().now_or_never(), Some(Err(Error::Stopped)));
        assert!(matches!(queue.next(), Next::Stop));
    }

    #[test]
    fn one_commit_larger_than_the_limit_is_taken_when_nothing_waits() {
        let queue = Queue::default();
        assert_eq!(push(&queue, Vec::new(), LIMIT * 2).now_or_never(), None);
        assert_eq!(push(&queue, meta(), 1).now_or_never(), Some(Err(Error::Busy(128))));
    }
}
