//! Matches within a time, whatever the order in which they arrive.

use super::state::Times;

impl Times {
    /// Adds a match at `at` and keeps no more than twice as many as `wanted`: the most that lie within `within` of
    /// each other, the new one among them.
    pub fn count(&mut self, at: i64, wanted: usize, within: u64) -> u64 {
        self.push(at, wanted * 2);
        self.most(at, within) as u64
    }

    /// Takes a match at `at`: none if it counts as the first within the time, else when that was.
    pub fn first(&mut self, at: i64, quiet: u64) -> Option<i64> {
        if let Some(last) = self.times.front()
            && last.abs_diff(at) < quiet
        {
            return Some(*last);
        }
        let latest = self.times.pop_front().map_or(at, |last| last.max(at));
        self.times.push_back(latest);
        None
    }

    /// Whether a match at `at` comes before one that has arrived.
    pub fn is_late(&self, at: i64) -> bool {
        self.times.back().is_some_and(|last| *last > at)
    }

    fn push(&mut self, at: i64, most: usize) {
        self.disorder += usize::from(self.is_late(at));
        self.times.push_back(at);
        if self.times.len() <= most {
            return;
        }
        let gone = self.times.pop_front();
        self.disorder -=
            usize::from(gone.is_some_and(|gone| self.times.front().is_some_and(|next| gone > *next)));
    }

    fn most(&self, at: i64, within: u64) -> usize {
        if self.disorder == 0 {
            return self.times.len() - self.times.partition_point(|t| t.abs_diff(at) > within);
        }
        let mut near: Vec<i64> = self.times.iter().copied().filter(|t| at.abs_diff(*t) <= within).collect();
        near.sort_unstable();
        let (mut first, mut most) = (0, 0);
        for (last, time) in near.iter().enumerate() {
            while near[first].abs_diff(*time) > within {
                first += 1;
            }
            if near[first] <= at && at <= *time {
                most = most.max(last - first + 1);
            }
        }
        most
    }
}
