//! Waits for one event each: the first that fits completes the wait, exactly once.
//!
//! A wait is an entry in an index and nothing else: no task, no thread. Those that wait for the same pattern under the
//! same condition stand together, by the value of the field that must equal their target where the condition says so;
//! so an event costs a look-up, however many wait for another target. A wait sees only events published after it was
//! registered: register first, then look at what is past. Start with [`Waits`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::condition::{Condition, Error, Scalar, View, compile};
use crate::model::{Event, Pattern};

/// The variable under which a condition sees what is waited about.
const TARGET: &str = "target";

/// All waits, each with the name of who waits; a clone is another handle on the same.
pub struct Waits<K>(Arc<Inner<K>>);

/// A wait. Dropping it ends the wait.
#[must_use = "dropping it ends the wait"]
pub struct Ticket<K> {
    number: u64,
    waits: Arc<Inner<K>>,
}

struct Inner<K> {
    state: Mutex<State<K>>,
    /// Waits that no event has completed yet.
    open: AtomicUsize,
}

struct State<K> {
    groups: HashMap<u32, Group>,
    /// By pattern and condition.
    numbers: HashMap<(Box<str>, Box<str>), u32>,
    /// By topic, for patterns that mean exactly one.
    literal: HashMap<Box<str>, Vec<u32>>,
    wild: Vec<u32>,
    waits: HashMap<u64, Wait<K>>,
    /// Events that completed a wait and were not taken yet.
    caught: HashMap<u64, Arc<Event>>,
    next: u64,
    next_group: u32,
    hasher: ahash::RandomState,
}

struct Group {
    pattern: Pattern,
    when: Option<Condition>,
    /// Members, by the hash of their target where the condition asks for one field to equal it.
    members: BTreeSet<(u64, u64)>,
    /// Targets of the members, where the condition asks more of it than that.
    targets: BTreeMap<u64, Box<str>>,
}

#[derive(Clone, Copy)]
struct Wait<K> {
    who: K,
    group: u32,
    key: u64,
}

impl<K: Copy + Send> Waits<K> {
    /// Waits in the name of `who` for the first event from now on that `pattern` means and `when` accepts, with
    /// `target` to compare with.
    ///
    /// # Errors
    /// When `when` is not a condition.
    pub fn wait(
        &self,
        who: K,
        pattern: &Pattern,
        when: Option<&str>,
        target: &str,
    ) -> Result<Ticket<K>, Error> {
        let mut state = self.0.lock();
        let group = state.group(pattern, when)?;
        state.next += 1;
        let number = state.next;
        let hash = state.hasher.hash_one(target);
        let it = state.groups.get_mut(&group).expect("groups with members are kept");
        let key = match it.must_equal_target() {
            true => hash,
            false => 0,
        };
        if it.needs_target() {
            it.targets.insert(number, target.into());
        }
        it.members.insert((key, number));
        state.waits.insert(number, Wait { who, group, key });
        drop(state);
        self.0.open.fetch_add(1, Ordering::Release);
        Ok(Ticket { number, waits: Arc::clone(&self.0) })
    }

    /// Completes every wait that `event` fits; answers who waited, the first first.
    pub fn publish(&self, event: &Arc<Event>) -> Vec<K> {
        if self.0.open.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut state = self.0.lock();
        let mut done = state.fitting(event);
        done.sort_unstable();
        let mut told = Vec::with_capacity(done.len());
        for number in done {
            if let Some(wait) = state.leave(number) {
                state.caught.insert(number, Arc::clone(event));
                told.push(wait.who);
            }
        }
        drop(state);
        self.0.open.fetch_sub(told.len(), Ordering::Release);
        told
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K> Waits<K> {
    /// The ticket that was put away as `number`.
    pub fn ticket(&self, number: u64) -> Ticket<K> {
        Ticket { number, waits: Arc::clone(&self.0) }
    }

    /// Whether an event has completed the wait that was put away as `number`, and was not taken yet.
    pub fn is_done(&self, number: u64) -> bool {
        self.0.lock().caught.contains_key(&number)
    }
}

impl<K> Ticket<K> {
    /// Puts the ticket away as a number above 0: the wait goes on until [`Waits::ticket`] gives it back.
    pub fn put_away(self) -> u64 {
        let mut it = std::mem::ManuallyDrop::new(self);
        // The wait stays; only this handle on all waits goes.
        let number = it.number;
        it.number = 0;
        drop(std::mem::ManuallyDrop::into_inner(it));
        number
    }

    /// The event that completed the wait, if one has; it is given once.
    pub fn take(&self) -> Option<Arc<Event>> {
        self.waits.lock().caught.remove(&self.number)
    }

    /// Whether an event has completed the wait and was not taken yet.
    pub fn is_done(&self) -> bool {
        self.waits.lock().caught.contains_key(&self.number)
    }
}

impl<K> Inner<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> State<K> {
    fn group(&mut self, pattern: &Pattern, when: Option<&str>) -> Result<u32, Error> {
        let name = (Box::from(pattern.as_str()), Box::from(when.unwrap_or_default()));
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        let when = when.map(|text| compile(text, &[TARGET])).transpose()?;
        self.next_group += 1;
        let number = self.next_group;
        let pattern = pattern.clone();
        match pattern.is_literal() {
            true => self.literal.entry(pattern.as_str().into()).or_default().push(number),
            false => self.wild.push(number),
        }
        self.numbers.insert(name, number);
        let group = Group { pattern, when, members: BTreeSet::new(), targets: BTreeMap::new() };
        self.groups.insert(number, group);
        Ok(number)
    }

    /// The waits that `event` completes.
    fn fitting(&self, event: &Event) -> Vec<u64> {
        let topic = event.topic.as_str();
        let literal = self.literal.get(topic).into_iter().flatten();
        let wild = self.wild.iter().filter(|number| self.groups[*number].pattern.matches(topic));
        literal.chain(wild).flat_map(|number| self.groups[number].fitting(event, &self.hasher)).collect()
    }

    fn leave(&mut self, number: u64) -> Option<Wait<K>> {
        let wait = self.waits.remove(&number)?;
        let group = self.groups.get_mut(&wait.group)?;
        group.members.remove(&(wait.key, number));
        group.targets.remove(&number);
        if group.members.is_empty() {
            let topic = group.pattern.as_str();
            let when = group.when.as_ref().map_or("", Condition::text);
            self.numbers.remove(&(topic.into(), when.into()));
            self.wild.retain(|it| *it != wait.group);
            if let Some(groups) = self.literal.get_mut(topic) {
                groups.retain(|it| *it != wait.group);
                if groups.is_empty() {
                    self.literal.remove(topic);
                }
            }
            self.groups.remove(&wait.group);
        }
        Some(wait)
    }
}

impl Group {
    fn must_equal_target(&self) -> bool {
        self.when.as_ref().is_some_and(|when| when.equal_to(TARGET).is_some())
    }

    fn needs_target(&self) -> bool {
        self.when.as_ref().is_some_and(|when| when.reads(TARGET)) && !self.must_equal_target()
    }

    fn fitting(&self, event: &Event, hasher: &ahash::RandomState) -> Vec<u64> {
        let Some(when) = &self.when else { return self.members.iter().map(|(_, number)| *number).collect() };
        let holds = |target: &str| {
            let target = Value::from(target);
            // A condition that fails is false, here as in rules.
            when.test(event, &[(TARGET, &target)]).unwrap_or(false)
        };
        if let Some(field) = when.equal_to(TARGET) {
            let view = View::new(event, &[]);
            let Scalar::Str(text) = view.scalar(field, &[]) else { return Vec::new() };
            let key = hasher.hash_one(&*text);
            let mut found =
                self.members.range((key, 0)..=(key, u64::MAX)).map(|(_, number)| *number).peekable();
            return if found.peek().is_some() && holds(&text) { found.collect() } else { Vec::new() };
        }
        if !when.reads(TARGET) {
            return if holds("") {
                self.members.iter().map(|(_, number)| *number).collect()
            } else {
                Vec::new()
            };
        }
        self.targets.iter().filter(|(_, target)| holds(target)).map(|(number, _)| *number).collect()
    }
}

impl<K> Default for Waits<K> {
    fn default() -> Self {
        let state = State {
            groups: HashMap::new(),
            numbers: HashMap::new(),
            literal: HashMap::new(),
            wild: Vec::new(),
            waits: HashMap::new(),
            caught: HashMap::new(),
            next: 0,
            next_group: 0,
            hasher: ahash::RandomState::new(),
        };
        Self(Arc::new(Inner { state: Mutex::new(state), open: AtomicUsize::new(0) }))
    }
}

impl<K> Clone for Waits<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Drop for Ticket<K> {
    fn drop(&mut self) {
        let mut state = self.waits.lock();
        state.caught.remove(&self.number);
        if state.leave(self.number).is_some() {
            self.waits.open.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<K: Copy + Send> fmt::Debug for Waits<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waits({})", self.len())
    }
}

impl<K> fmt::Debug for Ticket<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({})", self.number)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Topic;
    use crate::model::clock::micros;

    fn event(topic: &str, subject: &str) -> Arc<Event> {
        let topic = Topic::try_new(topic).unwrap();
        let data = json!({"name": subject, "n": 7});
        Arc::new(Event::new("id", topic, "s", micros(0), data).about(subject))
    }

    fn wait(waits: &Waits<u32>, who: u32, pattern: &str, when: &str, target: &str) -> Ticket<u32> {
        waits.wait(who, &Pattern::try_new(pattern).unwrap(), Some(when), target).unwrap()
    }

    #[test]
    fn a_wait_is_completed_once_by_the_first_event_that_fits() {
        let waits = Waits::default();
        assert!(waits.publish(&event("a.b", "k1")).is_empty());
        let one = wait(&waits, 1, "a.b", "subject == target", "k1");
        let other = wait(&waits, 2, "a.b", "subject == target", "k2");
        let wild = wait(&waits, 3, "a.>", "subject == target", "k1");
        let any = waits.wait(4, &Pattern::try_new("a.b").unwrap(), None, "k1").unwrap();
        assert!(waits.publish(&event("a.c", "k9")).is_empty());
        assert_eq!(waits.publish(&event("a.b", "k1")), [1, 3, 4]);
        assert!(waits.publish(&event("a.b", "k1")).is_empty(), "all three are done");
        assert_eq!(one.take().unwrap().subject.as_deref(), Some("k1"));
        assert!(one.take().is_none(), "it is given once");
        assert!(wild.is_done() && any.is_done() && !other.is_done());
        assert_eq!(waits.len(), 1);
    }

    #[test]
    fn each_way_of_asking_for_the_target_finds_the_same_waits() {
        for when in [
            "subject == target",
            "target == data.name",
            "data.n > 3 && subject == target",
            "subject.starts_with(target)",
            "[subject].any(|it| it == target)",
            "subject == target || data.n == 8",
        ] {
            let waits = Waits::default();
            let tickets: Vec<_> =
                (0..20).map(|n| wait(&waits, n, "a.b", when, &format!("kernel-{n}-"))).collect();
            assert_eq!(waits.publish(&event("a.b", "kernel-7-")), [7], "{when}");
            assert!(tickets[7].is_done());
            assert_eq!(waits.len(), 19);
        }
    }

    #[test]
    fn a_condition_without_the_target_wakes_all_or_none() {
        let waits = Waits::default();
        let tickets: Vec<_> = (0..3).map(|n| wait(&waits, n, "a.b", "data.n == 7", "x")).collect();
        let never = wait(&waits, 9, "a.b", "data.n.y.z > 7", "x");
        assert_eq!(waits.publish(&event("a.b", "k")), [0, 1, 2]);
        assert!(tickets.iter().all(Ticket::is_done) && !never.is_done());
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let waits = Waits::default();
        for pattern in ["a.b", "a.*"] {
            for when in ["subject == target", "subject.starts_with(target)"] {
                let done = wait(&waits, 1, pattern, when, "k1");
                drop(wait(&waits, 2, pattern, when, "k1"));
                assert_eq!(waits.publish(&event("a.b", "k1")), [1]);
                drop(done);
            }
        }
        assert!(waits.is_empty());
        let state = waits.0.lock();
        assert!(state.literal.is_empty() && state.wild.is_empty() && state.groups.is_empty());
        assert!(state.numbers.is_empty() && state.caught.is_empty() && state.waits.is_empty());
    }

    #[test]
    fn many_publishers_at_once_complete_each_wait_exactly_once() {
        let waits = Waits::default();
        let tickets: Vec<_> = (0..1_000).map(|n| wait(&waits, n, "a.b", "subject == target", "k1")).collect();
        let done: usize = std::thread::scope(|scope| {
            let publish = || (0..50).map(|_| waits.publish(&event("a.b", "k1")).len()).sum::<usize>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(publish)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(done, 1_000);
        assert!(tickets.iter().all(Ticket::is_done));
        assert!(waits.is_empty());
    }
}
