//! In which order waiting intents are served: by priority with ageing, one at a time per target.
//!
//! Pure: it is told the time and never acts. A priority is a head start, so that the order of two intents never changes
//! and none starves: what has waited longer than the head start of a higher priority goes first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{Intent, IntentId, Priority, Time};

/// Waiting intents, those that wait for a time, and the targets that are being worked on.
#[derive(Debug, Default)]
pub struct Queue {
    ready: BTreeMap<Rank, String>,
    /// Those in line that may use the reserve, critical ones first.
    urgent: BTreeSet<(bool, Rank)>,
    /// When those in line that nothing was tried for become too old.
    expiring: BTreeSet<(Time, IntentId)>,
    timed: BTreeSet<(Time, IntentId)>,
    places: HashMap<IntentId, Place>,
    /// Who works on which target, both by their hashes: as many as intents that wait in a playbook. Two targets of one
    /// hash would only wait for each other.
    busy: HashMap<u64, u64>,
    hasher: ahash::RandomState,
}

type Rank = (Time, IntentId);

#[derive(Debug)]
enum Place {
    Ready {
        rank: Rank,
        /// Whether it is not critical, where it may use the reserve.
        urgent: Option<bool>,
        expires: Option<Time>,
    },
    Timed(Time),
}

impl Queue {
    /// Puts `intent` where it belongs: in line, or aside until its `not_before`. Times are steady ones, as `steady` makes
    /// them of those of the intent.
    pub fn put(&mut self, intent: &Intent, steady: impl Fn(Time) -> Time, now: Time) {
        self.remove(intent.id);
        match intent.not_before.map(&steady).filter(|at| *at > now) {
            Some(at) => {
                self.timed.insert((at, intent.id));
                self.places.insert(intent.id, Place::Timed(at));
            }
            None => {
                let rank = (steady(intent.created_at) - head_start(intent.priority), intent.id);
                let untried = intent.attempts.is_empty() && !intent.exhausted;
                let expires_at = steady(intent.expires_at);
                let too_old = untried && expires_at <= now;
                let critical = intent.priority == Priority::Critical;
                let urgent = (critical || too_old).then_some(!critical);
                let expires = (untried && !too_old).then_some(expires_at);
                self.ready.insert(rank, intent.target.clone());
                self.urgent.extend(urgent.map(|it| (it, rank)));
                self.expiring.extend(expires.map(|at| (at, intent.id)));
                self.places.insert(intent.id, Place::Ready { rank, urgent, expires });
            }
        }
    }

    /// Takes `id` out of line.
    pub fn remove(&mut self, id: IntentId) {
        match self.places.remove(&id) {
            Some(Place::Ready { rank, urgent, expires }) => {
                self.ready.remove(&rank);
                if let Some(urgent) = urgent {
                    self.urgent.remove(&(urgent, rank));
                }
                if let Some(expires) = expires {
                    self.expiring.remove(&(expires, id));
                }
            }
            Some(Place::Timed(at)) => {
                self.timed.remove(&(at, id));
            }
            None => {}
        }
    }

    /// Takes those whose time has come or that have become too old in line; look at each and `put` it again.
    pub fn due(&mut self, now: Time) -> Vec<IntentId> {
        let mut due = Vec::new();
        while let Some(&(_, id)) = self.expiring.first().filter(|(at, _)| *at <= now) {
            self.remove(id);
            due.push(id);
        }
        while let Some(&(at, id)) = self.timed.first().filter(|(at, _)| *at <= now) {
            self.timed.remove(&(at, id));
            self.places.remove(&id);
            due.push(id);
        }
        due
    }

    /// When the next one's time comes.
    pub fn next_due(&self) -> Option<Time> {
        self.timed.first().into_iter().chain(self.expiring.first()).map(|(at, _)| *at).min()
    }

    /// Takes the next one whose target nobody else works on, and marks that target busy.
    pub fn take(&mut self) -> Option<(IntentId, String)> {
        let (&rank, target) = self.ready.iter().find(|(rank, target)| self.is_free(target, rank.1))?;
        let target = target.clone();
        self.claim(&target, rank.1);
        Some((rank.1, target))
    }

    /// The same of those that need not wait behind others: critical ones, and those that have become too old, whose end
    /// is only to be told.
    pub fn take_urgent(&mut self) -> Option<(IntentId, String)> {
        let target = |rank: &Rank| self.ready.get(rank).filter(|target| self.is_free(target, rank.1));
        let (id, target) = self.urgent.iter().find_map(|(_, rank)| Some((rank.1, target(rank)?.clone())))?;
        self.claim(&target, id);
        Some((id, target))
    }

    fn is_free(&self, target: &str, id: IntentId) -> bool {
        let busy = self.busy.get(&self.hasher.hash_one(target));
        busy.is_none_or(|it| *it == self.hasher.hash_one(id))
    }

    /// Marks `target` busy with `id`, as after a restart in the middle of its run; false if another has it.
    pub fn claim(&mut self, target: &str, id: IntentId) -> bool {
        self.remove(id);
        let who = self.hasher.hash_one(id);
        *self.busy.entry(self.hasher.hash_one(target)).or_insert(who) == who
    }

    /// `id` is done with `target`.
    pub fn release(&mut self, target: &str, id: IntentId) {
        let target = self.hasher.hash_one(target);
        if self.busy.get(&target) == Some(&self.hasher.hash_one(id)) {
            self.busy.remove(&target);
        }
    }

    /// How many wait, in line or for a time.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

fn head_start(priority: Priority) -> chrono::TimeDelta {
    match priority {
        Priority::Low => chrono::TimeDelta::seconds(-120),
        Priority::Normal => chrono::TimeDelta::zero(),
        Priority::High => chrono::TimeDelta::seconds(120),
        Priority::Critical => chrono::TimeDelta::seconds(600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::intent::Plan;
    use crate::model::{Event, Topic, clock};

    fn at(seconds: i64) -> Time {
        clock::micros(seconds * 1_000_000)
    }

    fn intent(n: u128, target: &str, priority: Priority, created: i64) -> Intent {
        let event = Event::new("1", Topic::try_new("t").unwrap(), "s", at(0), serde_json::Value::Null).into();
        let id = IntentId::new(at(0), n);
        Intent {
            priority,
            ..Intent::new(id, "r", target, target, event, Plan::default().into(), at(created))
        }
    }

    #[test]
    fn higher_priority_goes_first_until_a_lower_one_has_waited_its_head_start() {
        let mut queue = Queue::default();
        let old_low = intent(1, "a", Priority::Low, 0);
        let normal = intent(2, "b", Priority::Normal, 1_000);
        let critical = intent(3, "c", Priority::Critical, 1_200);
        for it in [&normal, &critical, &old_low] {
            queue.put(it, |time| time, at(1_200));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).map(|(id, _)| id).collect();
        assert_eq!(order, [old_low.id, critical.id, normal.id]);
    }

    #[test]
    fn one_target_is_never_worked_on_twice_at_once() {
        let mut queue = Queue::default();
        let (first, second) =
            (intent(1, "a", Priority::Normal, 0), intent(2, "a", Priority::Critical, 5_000));
        queue.put(&first, |time| time, at(0));
        assert_eq!(queue.take(), Some((first.id, "a".into())));
        queue.put(&second, |time| time, at(0));
        assert_eq!(queue.take(), None);
        queue.release("a", second.id);
        assert_eq!(queue.take(), None, "only who holds a target can give it back");
        queue.release("a", first.id);
        assert_eq!(queue.take(), Some((second.id, "a".into())));
    }

    #[test]
    fn a_run_that_waited_goes_on_in_its_turn_though_its_target_is_taken_by_itself() {
        let mut queue = Queue::default();
        let (waited, other) = (intent(1, "a", Priority::Normal, 0), intent(2, "a", Priority::Critical, 0));
        assert!(queue.claim("a", waited.id));
        queue.put(&other, |time| time, at(0));
        queue.put(&waited, |time| time, at(0));
        assert_eq!(queue.take(), Some((waited.id, "a".into())));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn critical_ones_and_those_that_are_too_old_need_not_wait_behind_others() {
        let mut queue = Queue::default();
        let lives = |n, target: &str, priority, expires| Intent {
            expires_at: at(expires),
            ..intent(n, target, priority, 0)
        };
        let low = lives(1, "a", Priority::Low, 900);
        let critical = lives(2, "b", Priority::Critical, 5_000);
        queue.put(&low, |time| time, at(0));
        assert_eq!((queue.take_urgent(), queue.next_due()), (None, Some(at(900))));
        assert_eq!(queue.due(at(900)), [low.id], "it is looked at when it is too old, though nobody took it");
        queue.put(&low, |time| time, at(900));
        queue.put(&critical, |time| time, at(900));
        assert!(queue.due(at(901)).is_empty());
        let order: Vec<_> = std::iter::from_fn(|| queue.take_urgent()).map(|(id, _)| id).collect();
        assert_eq!(order, [critical.id, low.id]);
        assert!(queue.is_empty() && queue.urgent.is_empty());
    }

    #[test]
    fn what_waits_for_a_time_is_out_of_line_until_then() {
        let mut queue = Queue::default();
        let waits = Intent { not_before: Some(at(10)), ..intent(1, "a", Priority::Critical, 0) };
        queue.put(&waits, |time| time, at(0));
        assert_eq!((queue.take(), queue.next_due(), queue.len()), (None, Some(at(10)), 1));
        assert!(queue.due(at(9)).is_empty());
        assert_eq!(queue.due(at(10)), [waits.id]);
        assert!(queue.is_empty());
        queue.put(&waits, |time| time, at(10));
        assert_eq!(queue.take(), Some((waits.id, "a".into())));
    }
}
