//! Where runs stand that wait: what each waits for, and nothing else of it. They hold no thread, no task and no right to
//! act; what they need to go on is in the store.
//!
//! It decides nothing: it is told who waits until when, and says whose time has come. Start with [`Lot`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    /// Those whose time is up before `horizon`, in order.
    near: BTreeSet<(i64, IntentId)>,
    /// The others, by the hour, in no order: most will have gone on before.
    far: BTreeMap<i64, Vec<IntentId>>,
    /// How many of the far ones have gone on since.
    stale: usize,
    horizon: i64,
}

/// What is near, in microseconds: an hour of it is put in order at a time.
const HOUR: i64 = 3_600_000_000;

/// So many that have gone on are not worth tidying up.
const STALE: usize = 1_024;

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
        if until < self.horizon {
            self.near.insert((until, id));
        } else {
            self.far.entry(until / HOUR).or_default().push(id);
        }
        self.parked.insert(id, Parked { until, ticket, check, step });
    }

    /// `id` goes on; what it waited for, of those in `waits`, if it did.
    pub fn take(&mut self, id: IntentId, waits: &Waits) -> Option<Awaits> {
        let it = self.parked.remove(&id)?;
        if !self.near.remove(&(it.until, id)) && it.until >= self.horizon {
            // Among the far ones it stays until its hour comes, unless these become too many.
            self.stale += 1;
            if self.stale > STALE.max(self.parked.len()) {
                self.tidy();
            }
        }
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
        self.look_ahead(now);
        let mut due = Vec::new();
        while let Some(&(_, id)) = self.near.first().filter(|(until, _)| *until <= now) {
            self.near.pop_first();
            due.push(id);
        }
        due
    }

    /// When the next one's time is up, or when to look again.
    pub fn next_due(&self) -> Option<Time> {
        let far = self.far.first_key_value().map(|(hour, _)| hour * HOUR);
        self.near.first().map(|(until, _)| *until).into_iter().chain(far).min().map(micros)
    }

    /// Forgets those among the far ones that have gone on.
    fn tidy(&mut self) {
        self.stale = 0;
        let parked = &self.parked;
        self.far.retain(|hour, ids| {
            ids.sort_unstable();
            ids.dedup();
            ids.retain(|id| parked.get(id).is_some_and(|it| it.until / HOUR == *hour));
            ids.shrink_to_fit();
            !ids.is_empty()
        });
    }

    /// Puts in order what comes until the end of the hour after `now`.
    fn look_ahead(&mut self, now: i64) {
        self.horizon = self.horizon.max((now / HOUR + 1) * HOUR);
        while let Some(hour) = self.far.first_entry().filter(|hour| hour.key() * HOUR < self.horizon) {
            for id in hour.remove() {
                // Parked anew since, it stands where it belongs now.
                if let Some(it) = self.parked.get(&id).filter(|it| it.until < self.horizon) {
                    self.near.insert((it.until, id));
                }
            }
        }
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
        assert_eq!((lot.due(micros(9)), lot.next_due()), (vec![], Some(micros(10))));
        assert_eq!(lot.due(micros(20)), [id(2), id(4)]);
        assert_eq!(lot.due(micros(20)), []);
        assert!(lot.has(id(2)), "it stays until somebody goes on with it");
        assert!(lot.take(id(1), &waits).is_some());
        lot.park(id(1), micros(50), Awaits::default());
        assert_eq!(lot.next_due(), Some(micros(50)), "parked anew, the time before is forgotten");
        assert_eq!((lot.parked.len(), lot.is_empty()), (3, false));
    }

    #[test]
    fn what_is_hours_away_is_due_in_its_time_however_often_it_was_parked() {
        let id = |n| IntentId::new(micros(0), n);
        let (waits, mut lot) = (Waits::default(), Lot::default());
        for n in 0..200 {
            lot.park(id(n), micros(n as i64 * 600_000_000), Awaits::default());
        }
        for n in (0..200).step_by(2) {
            assert!(lot.take(id(n), &waits).is_some());
            lot.park(id(n), micros(n as i64 * 600_000_000 + 7), Awaits::default());
        }
        let mut due = Vec::new();
        while let Some(next) = lot.next_due() {
            due.extend(lot.due(next));
        }
        assert_eq!(due, (0..200).map(id).collect::<Vec<_>>());
    }

    #[test]
    fn what_waits_for_long_again_and_again_leaves_nothing_behind() {
        let (waits, mut lot) = (Waits::default(), Lot::default());
        for n in 0..100_000 {
            let id = IntentId::new(micros(0), n % 10);
            drop(lot.take(id, &waits));
            lot.park(id, micros((20 + n as i64 % 5) * HOUR), Awaits::default());
        }
        assert!(lot.far.values().map(Vec::len).sum::<usize>() < 3 * STALE);
        assert_eq!((lot.due(micros(19 * HOUR)).len(), lot.due(micros(30 * HOUR)).len()), (0, 10));
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
