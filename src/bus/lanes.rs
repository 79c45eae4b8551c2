//! Four bounded lanes, one a priority. Higher ones are served more often, none is starved.
//!
//! Of four full lanes, 15 units of work are served as 8 critical, 4 high, 2 normal and 1 low. Work is counted by
//! weight (events in a batch), both for that share and for how much a lane may hold. Bounded by lane, so that a
//! flood of one priority leaves the others their room.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::model::Priority;

/// What a lane gets of 15, lowest priority first.
const SHARES: [i64; 4] = [1, 2, 4, 8];

/// Four bounded lanes; a clone is another handle on the same lanes.
pub struct Lanes<T>(Arc<Inner<T>>);

/// The lane has no room (or the lanes are closed); here is the item back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

struct Inner<T> {
    state: Mutex<State<T>>,
    room: [Semaphore; 4],
    capacity: u32,
    weigh: fn(&T) -> usize,
    filled: Notify,
}

struct State<T> {
    lanes: [VecDeque<(u32, T)>; 4],
    /// Units in each lane.
    depths: [usize; 4],
    /// What each lane may still take in this round; below zero it has had more than its share.
    credits: [i64; 4],
    closed: bool,
}

impl<T> Lanes<T> {
    /// Lanes of which each holds `capacity` units. `weigh` says how many units an item is; one is counted for less,
    /// and the whole capacity for more, so that every item fits an empty lane.
    pub fn new(capacity: usize, weigh: fn(&T) -> usize) -> Self {
        let capacity = u32::try_from(capacity.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                lanes: std::array::from_fn(|_| VecDeque::new()),
                depths: [0; 4],
                credits: [0; 4],
                closed: false,
            }),
            room: std::array::from_fn(|_| Semaphore::new(capacity as usize)),
            capacity,
            weigh,
            filled: Notify::new(),
        }))
    }

    /// Appends an item, waiting for room.
    ///
    /// # Errors
    /// When the lanes are closed.
    pub async fn push(&self, priority: Priority, item: T) -> Result<(), Full<T>> {
        let weight = self.weight(&item);
        match self.0.room[priority as usize].acquire_many(weight).await {
            Ok(room) => {
                room.forget();
                self.put(priority, weight, item)
            }
            Err(_) => Err(Full(item)),
        }
    }

    /// Appends an item if there is room now.
    ///
    /// # Errors
    /// When there is none, or the lanes are closed.
    pub fn try_push(&self, priority: Priority, item: T) -> Result<(), Full<T>> {
        let weight = self.weight(&item);
        match self.0.room[priority as usize].try_acquire_many(weight) {
            Ok(room) => {
                room.forget();
                self.put(priority, weight, item)
            }
            Err(_) => Err(Full(item)),
        }
    }

    /// The next item in turn; waits for one. None when the lanes are closed and empty.
    pub async fn pop(&self) -> Option<T> {
        loop {
            // Asked before looking, so that what comes in between wakes us.
            let filled = self.0.filled.notified();
            {
                let mut state = self.lock();
                if let Some((lane, weight, item)) = state.take() {
                    let more = state.lanes.iter().any(|lane| !lane.is_empty());
                    drop(state);
                    self.0.room[lane].add_permits(weight as usize);
                    if more {
                        // One notice may stand for several items; pass it on to the next who waits.
                        self.0.filled.notify_one();
                    }
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// The next item in turn, if there is one now.
    pub fn try_pop(&self) -> Option<T> {
        let (lane, weight, item) = self.lock().take()?;
        self.0.room[lane].add_permits(weight as usize);
        Some(item)
    }

    /// Takes nothing more; what is in the lanes can still be taken out.
    pub fn close(&self) {
        self.lock().closed = true;
        for room in &self.0.room {
            room.close();
        }
        self.0.filled.notify_waiters();
        self.0.filled.notify_one();
    }

    /// Units in each lane, lowest priority first.
    pub fn depths(&self) -> [usize; 4] {
        self.lock().depths
    }

    fn put(&self, priority: Priority, weight: u32, item: T) -> Result<(), Full<T>> {
        let mut state = self.lock();
        if state.closed {
            return Err(Full(item));
        }
        state.lanes[priority as usize].push_back((weight, item));
        state.depths[priority as usize] += weight as usize;
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }

    fn weight(&self, item: &T) -> u32 {
        u32::try_from((self.0.weigh)(item)).unwrap_or(u32::MAX).clamp(1, self.0.capacity)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Lanes<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> State<T> {
    /// Takes from the highest lane that has credit left; when none has, all get their share anew.
    fn take(&mut self) -> Option<(usize, u32, T)> {
        let waiting = |lanes: &[VecDeque<(u32, T)>; 4], lane: &usize| !lanes[*lane].is_empty();
        let lane = match (0..4).rev().find(|lane| waiting(&self.lanes, lane) && self.credits[*lane] > 0) {
            Some(lane) => lane,
            None => {
                // As many rounds as it takes until one that waits has credit: one step, however deep in debt.
                let rounds = (0..4)
                    .filter(|lane| waiting(&self.lanes, lane))
                    .map(|lane| (SHARES[lane] - self.credits[lane]) / SHARES[lane])
                    .min()?
                    .max(1);
                for ((credit, share), lane) in self.credits.iter_mut().zip(SHARES).zip(&self.lanes) {
                    // A lane without work saves nothing up.
                    let most = if lane.is_empty() { share } else { i64::MAX };
                    *credit = (*credit + rounds * share).min(most);
                }
                (0..4).rev().find(|lane| waiting(&self.lanes, lane) && self.credits[*lane] > 0)?
            }
        };
        let (weight, item) = self.lanes[lane].pop_front()?;
        self.depths[lane] -= weight as usize;
        self.credits[lane] -= i64::from(weight);
        Some((lane, weight, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Critical, High, Low, Normal};

    type Item = (Priority, usize);

    fn lanes(capacity: usize) -> Lanes<Item> {
        Lanes::new(capacity, |(_, weight)| *weight)
    }

    /// Units served of each priority among the first `units`, lowest first, with all lanes filled by items of `weight`.
    fn served(weights: [usize; 4], units: usize) -> [usize; 4] {
        let lanes = lanes(1_000_000);
        for (priority, weight) in Priority::ALL.into_iter().zip(weights) {
            while lanes.depths()[priority as usize] < units {
                lanes.try_push(priority, (priority, weight)).unwrap();
            }
        }
        let mut served = [0; 4];
        while served.iter().sum::<usize>() < units {
            let (priority, weight) = lanes.try_pop().unwrap();
            served[priority as usize] += weight;
        }
        served
    }

    #[test]
    fn every_lane_gets_its_share_of_events_whatever_the_size_of_batches() {
        assert_eq!(served([1; 4], 1_500), [100, 200, 400, 800]);
        for weights in [[1_000, 1, 1, 1], [1, 1, 1, 1_000], [7, 100, 13, 1]] {
            let served = served(weights, 150_000);
            for (lane, share) in [10_000, 20_000, 40_000, 80_000].into_iter().enumerate() {
                assert!(served[lane].abs_diff(share) <= 1_500, "{weights:?}: {served:?}");
            }
        }
    }

    #[test]
    fn a_low_event_is_served_within_one_round_of_a_flood_of_critical_ones() {
        let lanes = lanes(1_000);
        lanes.try_push(Low, (Low, 1)).unwrap();
        for _ in 0..1_000 {
            lanes.try_push(Critical, (Critical, 1)).unwrap();
        }
        let place = (0..).find(|_| lanes.try_pop() == Some((Low, 1))).unwrap();
        assert!(place <= 8, "came {place}th");
    }

    #[test]
    fn order_within_a_lane_is_kept_and_a_critical_event_overtakes() {
        let lanes: Lanes<u32> = Lanes::new(10, |_| 1);
        for n in 1..=3 {
            lanes.try_push(Normal, n).unwrap();
        }
        lanes.try_push(Critical, 9).unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| lanes.try_pop()).collect();
        assert_eq!(order, [9, 1, 2, 3]);
    }

    #[test]
    fn a_full_lane_gives_the_item_back_and_leaves_the_others_their_room() {
        let lanes = lanes(10);
        lanes.try_push(Low, (Low, 6)).unwrap();
        assert_eq!(lanes.try_push(Low, (Low, 5)), Err(Full((Low, 5))));
        lanes.try_push(Low, (Low, 4)).unwrap();
        lanes.try_push(High, (High, 1_000)).unwrap();
        assert_eq!(lanes.depths(), [10, 0, 10, 0]);
        while lanes.try_pop().is_some() {}
        lanes.try_push(Low, (Low, 10)).unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_in_order_and_who_waits_for_work_gets_all_of_it() {
        let lanes: Lanes<usize> = Lanes::new(2, |_| 1);
        let pushing = tokio::spawn({
            let lanes = lanes.clone();
            async move {
                for n in 0..1_000 {
                    lanes.push(Normal, n).await.unwrap();
                }
                lanes.close();
            }
        });
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let lanes = lanes.clone();
                tokio::spawn(async move {
                    let mut got = Vec::new();
                    while let Some(n) = lanes.pop().await {
                        got.push(n);
                    }
                    got
                })
            })
            .collect();
        pushing.await.unwrap();
        let mut all = Vec::new();
        for taker in takers {
            let got = taker.await.unwrap();
            assert!(got.is_sorted());
            all.extend(got);
        }
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
        assert_eq!(lanes.push(Normal, 7).await, Err(Full(7)));
    }
}
