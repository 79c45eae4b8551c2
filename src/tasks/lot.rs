//! Where runs stand that wait: what each waits for, and nothing else of it. They hold no thread, no task and no right to
//! act; what they need to go on is in the store.
//!
//! It decides nothing: it is told who waits until when, and says whose time has come. Start with [`Lot`].

use std::collections::{BTreeSet, HashMap};

use crate::bus;
use crate::model::{IntentId, Time};

/// A wait for an event, in the name of an intent.
pub type Ticket = bus::Ticket<IntentId>;

/// What the work on an intent waits for, or has begun to.
#[derive(Debug, Default)]
pub struct Awaits {
    /// The event that the step of this number waits for.
    pub step: Option<(u32, Ticket)>,
    /// The event that shows that the repair worked.
    pub check: Option<Ticket>,
}

impl Awaits {
    /// Whether something of it has come.
    pub fn is_done(&self) -> bool {
        let step = self.step.as_ref().map(|(_, ticket)| ticket);
        step.or(self.check.as_ref()).is_some_and(Ticket::is_done)
    }
}

/// Those that wait.
#[derive(Debug, Default)]
pub struct Lot {
    parked: HashMap<IntentId, (Time, Awaits)>,
    timers: BTreeSet<(Time, IntentId)>,
}

impl Lot {
    /// `id` waits for `awaits`, and at most until `until`.
    pub fn park(&mut self, id: IntentId, until: Time, awaits: Awaits) {
        self.take(id);
        self.parked.insert(id, (until, awaits));
        self.timers.insert((until, id));
    }

    /// `id` goes on; what it waited for, if it did.
    pub fn take(&mut self, id: IntentId) -> Option<Awaits> {
        let (until, awaits) = self.parked.remove(&id)?;
        self.timers.remove(&(until, id));
        Some(awaits)
    }

    /// Whether `id` waits here.
    pub fn has(&self, id: IntentId) -> bool {
        self.parked.contains_key(&id)
    }

    /// Whether what `id` waits for here has come already.
    pub fn is_done(&self, id: IntentId) -> bool {
        self.parked.get(&id).is_some_and(|(_, awaits)| awaits.is_done())
    }

    /// Those whose time is up, each once; they stay until they are taken.
    pub fn due(&mut self, now: Time) -> Vec<IntentId> {
        let mut due = Vec::new();
        while let Some(&(_, id)) = self.timers.first().filter(|(until, _)| *until <= now) {
            self.timers.pop_first();
            due.push(id);
        }
        due
    }

    /// When the next one's time is up.
    pub fn next_due(&self) -> Option<Time> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    #[test]
    fn each_is_due_once_in_order_of_time_and_none_after_it_was_taken() {
        let id = |n| IntentId::new(micros(0), n);
        let mut lot = Lot::default();
        for (n, until) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
            lot.park(id(n), micros(until), Awaits::default());
        }
        assert!(lot.take(id(3)).is_some() && lot.take(id(3)).is_none());
        assert_eq!((lot.next_due(), lot.due(micros(9))), (Some(micros(10)), vec![]));
        assert_eq!(lot.due(micros(20)), [id(2), id(4)]);
        assert_eq!(lot.due(micros(20)), []);
        assert!(lot.has(id(2)), "it stays until somebody goes on with it");
        lot.park(id(1), micros(50), Awaits::default());
        assert_eq!(lot.next_due(), Some(micros(50)), "parked anew, the time before is forgotten");
        assert_eq!((lot.len(), lot.is_empty()), (3, false));
    }
}
