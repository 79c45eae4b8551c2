//! What is wrong with the engine right now, by key: the one list behind `problems` of `/readyz`, `paramedic stats` and
//! the metric `paramedic_problems`.
//!
//! A problem is something an operator should fix while events are still served. Whoever finds it raises it and clears
//! it once it is over; raising it again only updates the text. Start with [`Problems::raise`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Problems kept; past it the newest are only counted, so that a fault that names what it hits cannot grow without end.
const MOST: usize = 1_000;

/// A handle on the list; cloning it makes another one on the same list.
#[derive(Clone, Debug, Default)]
pub struct Problems(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    by_key: BTreeMap<String, String>,
    /// Problems that found no room, until the list is empty again.
    more: u64,
}

impl Problems {
    /// Puts `text` on the list under `key`, or in the place of what it said before. A key is `area/name`, for instance
    /// `source/boots`; the text says what is wrong and what to do about it.
    ///
    /// Returns whether it is new, so that the caller can log it once.
    pub fn raise(&self, key: impl Into<String>, text: impl Into<String>) -> bool {
        let mut list = self.lock();
        let key = key.into();
        if list.by_key.len() >= MOST && !list.by_key.contains_key(&key) {
            list.more += 1;
            return false;
        }
        list.by_key.insert(key, text.into()).is_none()
    }

    /// Takes it off the list. Returns whether it was on it.
    pub fn clear(&self, key: &str) -> bool {
        let mut list = self.lock();
        let was = list.by_key.remove(key).is_some();
        if list.by_key.is_empty() {
            list.more = 0;
        }
        was
    }

    /// The texts in the order of their keys, and a last line for those that found no room.
    pub fn texts(&self) -> Vec<String> {
        let list = self.lock();
        let more =
            (list.more > 0).then(|| format!("{} more problems are not listed; see the log", list.more));
        list.by_key.values().cloned().chain(more).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let list = self.lock();
        list.by_key.len().saturating_add(usize::try_from(list.more).unwrap_or(usize::MAX))
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_listed_once_until_it_is_cleared() {
        let problems = Problems::default();
        assert!(problems.raise("source/boots", "the folder is gone"));
        assert!(!problems.raise("source/boots", "the folder cannot be read"), "it is known already");
        assert_eq!(problems.texts(), ["the folder cannot be read"]);
        assert!(problems.clear("source/boots"));
        assert!(!problems.clear("source/boots"));
        assert!(problems.is_empty());
    }

    #[test]
    fn ten_thousand_problems_are_bounded_and_counted() {
        let problems = Problems::default();
        for number in 0..10_000 {
            problems.raise(format!("source/{number}"), "it is gone");
        }
        assert_eq!(problems.texts().len(), MOST + 1);
        assert_eq!(problems.len(), 10_000);
        assert!(problems.texts().last().unwrap().starts_with("9000 more"));
    }
}
