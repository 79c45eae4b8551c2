//! Which events are known already.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;

/// The events that are known already, by the keys that the store gives them; the oldest are forgotten first.
pub(in crate::engine) struct Seen {
    keys: HashSet<u64, BuildHasherDefault<Identity>>,
    order: VecDeque<u64>,
    capacity: usize,
}

/// The keys are hashes already.
#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

impl Seen {
    /// Remembers the latest `capacity` events.
    pub(in crate::engine) fn new(capacity: usize) -> Self {
        Self { keys: HashSet::default(), order: VecDeque::new(), capacity: capacity.max(1) }
    }

    /// Whether `key` is new.
    pub(in crate::engine) fn insert(&mut self, key: u64) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn the_same_event_again_is_known_until_the_window_has_moved_on() {
        let mut seen = Seen::new(2);
        assert!(seen.insert(1));
        assert!(!seen.insert(1));
        assert!(seen.insert(2));
        assert!(seen.insert(3));
        assert!(!seen.insert(3));
        assert!(seen.insert(1), "the window of two has forgotten it");
    }
}
