//! Which alert a channel is told next, and when one by one gives way to a digest. Pure; it is told the time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::AlertId;
use crate::model::alert::Level;

/// How long a channel's budget of single alerts lasts.
const WINDOW: Duration = Duration::from_secs(60);

/// What a channel is to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// This alert.
    One(AlertId),
    /// These, in one digest.
    Digest(Vec<AlertId>),
}

/// The alerts that wait for one channel: the worst first, and of those the oldest.
#[derive(Debug)]
pub(super) struct Queue {
    ready: BTreeSet<Rank>,
    /// Those that the channel refused, until they are tried again.
    later: BTreeMap<(Instant, AlertId), Level>,
    places: HashMap<AlertId, Place>,
    next: u64,
    per_minute: u32,
    window: Option<Instant>,
    /// Alerts that were sent one by one in this window: critical ones, others, and digests.
    sent: [u32; 2],
    digests: u32,
}

type Rank = (Reverse<Level>, u64, AlertId);

#[derive(Debug, Clone, Copy)]
enum Place {
    Ready(Rank),
    Later(Instant),
}

impl Queue {
    /// An empty one that sends `per_minute` critical alerts and as many others one by one.
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            ready: BTreeSet::new(),
            later: BTreeMap::new(),
            places: HashMap::new(),
            next: 0,
            per_minute,
            window: None,
            sent: [0, 0],
            digests: 0,
        }
    }

    /// Alert `id` waits; one that waits already keeps its place, unless it has become worse.
    pub(super) fn put(&mut self, id: AlertId, level: Level) {
        match self.places.get(&id) {
            Some(Place::Ready((Reverse(before), ..))) if *before >= level => return,
            _ => self.remove(id),
        }
        let rank = (Reverse(level), self.next, id);
        self.next += 1;
        self.ready.insert(rank);
        self.places.insert(id, Place::Ready(rank));
    }

    /// Alert `id` waits until `at`.
    pub(super) fn put_off(&mut self, id: AlertId, level: Level, at: Instant) {
        self.remove(id);
        self.later.insert((at, id), level);
        self.places.insert(id, Place::Later(at));
    }

    /// Takes `id` out.
    pub(super) fn remove(&mut self, id: AlertId) {
        match self.places.remove(&id) {
            Some(Place::Ready(rank)) => drop(self.ready.remove(&rank)),
            Some(Place::Later(at)) => drop(self.later.remove(&(at, id))),
            None => {}
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Takes what is to be sent now. What could not be sent is to be [put](Queue::put) again: meanwhile the same alert may
    /// be raised again.
    pub(super) fn take(&mut self, now: Instant) -> Option<Job> {
        let job = self.next(now)?;
        match &job {
            Job::One(id) => self.remove(*id),
            Job::Digest(ids) => ids.iter().for_each(|id| self.remove(*id)),
        }
        Some(job)
    }

    fn next(&mut self, now: Instant) -> Option<Job> {
        self.tidy(now);
        let (Reverse(level), _, first) = *self.ready.first()?;
        let has_budget = |level: Level| self.sent[class(level)] < self.per_minute;
        if has_budget(level) {
            return Some(Job::One(first));
        }
        if self.digests == 0 {
            let over = self.ready.iter().filter(|(Reverse(level), ..)| !has_budget(*level));
            let ids: Vec<AlertId> = over.map(|(_, _, id)| *id).collect();
            return Some(if ids.len() == 1 { Job::One(first) } else { Job::Digest(ids) });
        }
        // Where the critical ones have had their share, the others are not kept waiting.
        let other = self.ready.iter().find(|(Reverse(level), ..)| has_budget(*level))?;
        Some(Job::One(other.2))
    }

    /// A job with alerts up to `level` was sent at `now`.
    pub(super) fn count(&mut self, job: &Job, level: Level, now: Instant) {
        self.tidy(now);
        let full = self.sent[class(level)] >= self.per_minute;
        match job {
            Job::One(_) if !full => self.sent[class(level)] += 1,
            _ => self.digests += 1,
        }
    }

    /// When there may be something to send, if nothing is put before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let window = self.window.filter(|_| !self.ready.is_empty()).map(|since| since + WINDOW);
        self.later.keys().next().map(|(at, _)| *at).into_iter().chain(window).min()
    }

    fn tidy(&mut self, now: Instant) {
        while let Some((&(at, id), &level)) = self.later.first_key_value().filter(|((at, _), _)| *at <= now) {
            self.later.remove(&(at, id));
            self.places.remove(&id);
            self.put(id, level);
        }
        if self.window.is_none_or(|since| now >= since + WINDOW) {
            self.window = Some(now);
            self.sent = [0, 0];
            self.digests = 0;
        }
    }
}

/// Critical alerts have a budget of their own, so that no storm of others uses it up.
fn class(level: Level) -> usize {
    usize::from(level != Level::Critical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    fn id(n: u128) -> AlertId {
        AlertId::new(micros(0), n)
    }

    fn send(queue: &mut Queue, now: Instant) -> Option<Job> {
        let level = queue.ready.first().map(|(Reverse(level), ..)| *level);
        let job = queue.take(now)?;
        queue.count(&job, level.unwrap_or(Level::Critical), now);
        Some(job)
    }

    #[tokio::test(start_paused = true)]
    async fn a_critical_one_overtakes_a_storm_and_the_storm_is_a_few_and_a_digest() {
        let mut queue = Queue::new(30);
        let now = Instant::now();
        for n in 0..5_000 {
            queue.put(id(n), Level::Warning);
        }
        queue.put(id(9_999), Level::Critical);
        for n in 5_000..9_999 {
            queue.put(id(n + 10_000), Level::Warning);
        }
        assert_eq!(send(&mut queue, now), Some(Job::One(id(9_999))));
        for n in 0..30 {
            assert_eq!(send(&mut queue, now), Some(Job::One(id(n))));
        }
        let Some(Job::Digest(ids)) = send(&mut queue, now) else { panic!("a digest follows") };
        assert_eq!((ids.len(), queue.len()), (9_969, 0));
        queue.put(id(50_000), Level::Info);
        assert_eq!(send(&mut queue, now), None, "one digest a minute");
        queue.put(id(50_001), Level::Critical);
        assert_eq!(send(&mut queue, now), Some(Job::One(id(50_001))), "a critical one still goes at once");
        let due = queue.next_due().unwrap();
        assert_eq!((due - now, send(&mut queue, due)), (WINDOW, Some(Job::One(id(50_000)))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_waits_and_hinders_nobody_and_nothing_is_there_twice() {
        let mut queue = Queue::new(30);
        let now = Instant::now();
        queue.put(id(1), Level::Warning);
        queue.put(id(1), Level::Warning);
        queue.put_off(id(2), Level::Critical, now + WINDOW);
        assert_eq!(
            (queue.len(), send(&mut queue, now), send(&mut queue, now)),
            (2, Some(Job::One(id(1))), None)
        );
        assert_eq!(queue.next_due(), Some(now + WINDOW));
        assert_eq!(send(&mut queue, now + WINDOW), Some(Job::One(id(2))));
        queue.put(id(3), Level::Info);
        queue.put(id(4), Level::Warning);
        queue.put(id(3), Level::Critical);
        assert_eq!(send(&mut queue, now + WINDOW), Some(Job::One(id(3))), "it became worse");
        assert_eq!((send(&mut queue, now + WINDOW), queue.len()), (Some(Job::One(id(4))), 0));
    }
}
