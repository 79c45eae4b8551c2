//! When each of many things last happened, for guards: kept for as long as somebody may ask, in bounded room.
//!
//! It never forgets silently. When there is no room, the oldest goes, and [`Latest::forgotten`] says from when on
//! everything is still known, so that whoever asks about an earlier time can wait instead of acting on a gap.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::Time;

/// A member of a group, both as hashes.
type Key = (u64, u64);

/// The latest time of each member of each group.
#[derive(Clone, Debug)]
pub(super) struct Latest {
    at: BTreeMap<Key, Time>,
    order: BTreeSet<(Time, Key)>,
    sizes: HashMap<u64, usize>,
    most: usize,
    dropped: u64,
    forgotten: Option<Time>,
}

impl Latest {
    /// Room for `most` members over all groups.
    pub(super) fn new(most: usize) -> Self {
        Self {
            at: BTreeMap::new(),
            order: BTreeSet::new(),
            sizes: HashMap::new(),
            most,
            dropped: 0,
            forgotten: None,
        }
    }

    /// It happened to `member` of `group` at `at`. In any order: only the latest counts.
    pub(super) fn put(&mut self, group: u64, member: u64, at: Time) {
        let key = (group, member);
        match self.at.get(&key).copied() {
            Some(before) if before >= at => return,
            Some(before) => {
                self.order.remove(&(before, key));
            }
            None => *self.sizes.entry(group).or_default() += 1,
        }
        self.at.insert(key, at);
        self.order.insert((at, key));
        while self.order.len() > self.most {
            let Some((oldest, key)) = self.order.pop_first() else { return };
            self.lose(key);
            self.dropped += 1;
            self.forgotten = self.forgotten.max(Some(oldest));
        }
    }

    /// Nobody asks about what happened before `time` any more.
    pub(super) fn expire(&mut self, time: Time) {
        while let Some((at, key)) = self.order.first().copied()
            && at < time
        {
            self.order.pop_first();
            self.lose(key);
        }
        if self.forgotten.is_some_and(|at| at < time) {
            self.forgotten = None;
        }
    }

    /// When it last happened to `member` of `group`.
    pub(super) fn get(&self, group: u64, member: u64) -> Option<Time> {
        self.at.get(&(group, member)).copied()
    }

    /// When it last happened to each of the other members of `group` than `member`.
    pub(super) fn others(&self, group: u64, member: u64) -> impl Iterator<Item = Time> {
        let all = self.at.range((group, 0)..=(group, u64::MAX));
        all.filter(move |((_, it), _)| *it != member).map(|(_, at)| *at)
    }

    /// How many members of `group` are known.
    pub(super) fn size(&self, group: u64) -> usize {
        self.sizes.get(&group).copied().unwrap_or(0)
    }

    /// Up to when something may have been dropped for want of room; what happened after that is all known.
    pub(super) fn forgotten(&self) -> Option<Time> {
        self.forgotten
    }

    /// How many were dropped for want of room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    fn lose(&mut self, key: Key) {
        self.at.remove(&key);
        if let Some(size) = self.sizes.get_mut(&key.0) {
            *size -= 1;
            if *size == 0 {
                self.sizes.remove(&key.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    fn at(second: i64) -> Time {
        micros(second * 1_000_000)
    }

    #[test]
    fn what_finds_no_room_is_known_to_be_forgotten_until_nobody_asks_about_that_time() {
        let mut latest = Latest::new(3);
        for (member, second) in [(1, 1), (2, 2), (3, 3), (1, 4)] {
            latest.put(0, member, at(second));
        }
        assert_eq!((latest.len(), latest.forgotten()), (3, None), "the same member takes room once");
        latest.put(7, 1, at(5));
        assert_eq!((latest.get(0, 2), latest.forgotten(), latest.dropped()), (None, Some(at(2)), 1));
        assert_eq!((latest.size(0), latest.size(7)), (2, 1));
        assert_eq!(latest.others(0, 1).collect::<Vec<_>>(), [at(3)]);
        latest.expire(at(3));
        assert_eq!((latest.forgotten(), latest.len()), (None, 3));
        latest.expire(at(9));
        assert_eq!((latest.len(), latest.size(0), latest.size(7)), (0, 0, 0));
    }
}
