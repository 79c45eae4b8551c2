//! Where runs stand that wait: what each waits for, and nothing else of it. They hold no thread, no task and no right to
//! act; what they need to go on is in the store.
//!
//! It decides nothing: it is told who waits until when, and says whose time has come. Start with [`Lot`].

use std::collections::{BTreeSet, HashMap};

use crate::bus;
use crate::model::{IntentId, Time, clock::micros};

/// A wait for an event, in the name of an intent.
pub type Ticket = bus::Ticket<IntentId>;

/// Waits for events, in the names of intents.
pub type Waits = bus::Waits<IntentId>;

/// What the work on an intent waits for, or has begun to.
#[derive(Debug, Default)]
pub struct Awaits {
    /// The event that the step of this number waits for.
    pub step: Option<(u32, Ticket)>,
    /// The event that shows that the repair worked.
    pub check: Option<Ticket>,
}

/// Those that wait. There may be very many, so each takes little.
#[derive(Debug, Default)]
pub struct Lot {
    parked: HashMap<IntentId, Parked>,
    timers: BTreeSet<(i64, IntentId)>,
}

/// What is kept of one: until when it waits, in microseconds, and its tickets by number; 0: none.
#[derive(Debug)]
struct Parked {
    until: i64,
    ticket: u64,
    check: u64,
    step: u32,
}

impl Lot {
    /// `id` waits for `awaits`, and at most until `until`.
    pub fn park(&mut self, id: IntentId, until: Time, awaits: Awaits) {
        let until = until.timestamp_micros();
        let (step, ticket) = awaits.step.map_or((0, 0), |(seq, ticket)| (seq, ticket.put_away()));
        let check = awaits.check.map_or(0, Ticket::put_away);
        self.timers.insert((until, id));
        self.parked.insert(id, Parked { until, ticket, check, step });
    }

    /// `id` goes on; what it waited for, of those in `waits`, if it did.
    pub fn take(&mut self, id: IntentId, waits: &Waits) -> Option<Awaits> {
        let it = self.parked.remove(&id)?;
        self.timers.remove(&(it.until, id));
        let ticket = |number| (number > 0).then(|| waits.ticket(number));
        Some(Awaits { step: ticket(it.ticket).map(|ticket| (it.step, ticket)), check: ticket(it.check) })
    }

    /// Whether `id` waits here.
    pub fn has(&self, id: IntentId) -> bool {
        self.parked.contains_key(&id)
    }

    /// Whether what `id` waits for here, of those in `waits`, has come already.
    pub fn is_done(&self, id: IntentId, waits: &Waits) -> bool {
        let first = self.parked.get(&id).map(|it| if it.ticket > 0 { it.ticket } else { it.check });
        first.is_some_and(|number| waits.is_done(number))
    }

    /// Those whose time is up, each once; they stay until they are taken.
    pub fn due(&mut self, now: Time) -> Vec<IntentId> {
        let now = now.timestamp_micros();
        let mut due = Vec::new();
        while let Some(&(_, id)) = self.timers.first().filter(|(until, _)| *until <= now) {
            self.timers.pop_first();
            due.push(id);
        }
        due
    }

    /// When the next one's time is up.
    pub fn next_due(&self) -> Option<Time> {
        self.timers.first().map(|(until, _)| micros(*until))
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
    use crate::model::{Event, Pattern, Topic};

    #[test]
    fn each_is_due_once_in_order_of_time_and_none_after_it_was_taken() {
        let id = |n| IntentId::new(micros(0), n);
        let mut lot = Lot::default();
        for (n, until) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
            lot.park(id(n), micros(until), Awaits::default());
        }
        let waits = Waits::default();
        assert!(lot.take(id(3), &waits).is_some() && lot.take(id(3), &waits).is_none());
        assert_eq!((lot.next_due(), lot.due(micros(9))), (Some(micros(10)), vec![]));
        assert_eq!(lot.due(micros(20)), [id(2), id(4)]);
        assert_eq!(lot.due(micros(20)), []);
        assert!(lot.has(id(2)), "it stays until somebody goes on with it");
        assert!(lot.take(id(1), &waits).is_some());
        lot.park(id(1), micros(50), Awaits::default());
        assert_eq!(lot.next_due(), Some(micros(50)), "parked anew, the time before is forgotten");
        assert_eq!((lot.len(), lot.is_empty()), (3, false));
    }

    #[test]
    fn what_is_waited_for_may_come_while_it_stands_here_and_ends_with_the_one_that_waits() {
        let (id, waits, mut lot) = (IntentId::new(micros(0), 1), Waits::default(), Lot::default());
        let ticket = |topic| waits.wait(id, &Pattern::try_new(topic).unwrap(), None, "").unwrap();
        let event = |topic| Event::new("1", Topic::try_new(topic).unwrap(), "s", micros(0), 7.into()).into();
        lot.park(id, micros(9), Awaits { step: Some((4, ticket("a.b"))), check: Some(ticket("a.c")) });
        assert_eq!(waits.len(), 2);
        assert_eq!(waits.publish(&event("a.c")), [id]);
        assert!(!lot.is_done(id, &waits), "the step comes first");
        assert_eq!(waits.publish(&event("a.b")), [id]);
        assert!(lot.is_done(id, &waits));
        let awaits = lot.take(id, &waits).unwrap();
        let (seq, ticket) = awaits.step.unwrap();
        assert!(seq == 4 && ticket.take().is_some() && awaits.check.unwrap().take().is_some());
        lot.park(id, micros(9), Awaits { step: Some((5, ticket)), check: None });
        drop(lot.take(id, &waits));
        assert!(waits.is_empty());
    }
}
