//! When which group is due, in order. Entries may be out of date: the group itself knows when it is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// A group that is due at some time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// When, in microseconds.
    pub due: i64,
    /// Which rule.
    pub rule: Arc<str>,
    /// Which group of it.
    pub group: Arc<str>,
}

/// Entries in order of time, then of names, so that what is due at once fires in the same order everywhere.
#[derive(Clone, Debug, Default)]
pub struct Timers(BinaryHeap<Reverse<Entry>>);

impl Timers {
    /// Adds an entry.
    pub fn add(&mut self, due: i64, rule: &str, group: &str) {
        self.0.push(Reverse(Entry { due, rule: rule.into(), group: group.into() }));
    }

    /// Takes the next entry that is due at `now` or before.
    pub fn take(&mut self, now: i64) -> Option<Entry> {
        self.next().filter(|due| *due <= now)?;
        self.0.pop().map(|Reverse(entry)| entry)
    }

    /// When the next one is due, or earlier.
    pub fn next(&self) -> Option<i64> {
        self.0.peek().map(|Reverse(entry)| entry.due)
    }
}
