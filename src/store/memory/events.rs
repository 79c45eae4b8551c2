//! The event log in memory, in units as they were committed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::no_cursor;
use crate::model::{Event, Time};
use crate::store::{Error, EventKey, EventQuery, Page};

/// The event log.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Logged>,
    /// Events forgotten so far: the number of the first that is left.
    forgotten: u64,
    units: u64,
    /// By the number of the first event that each is about, with how many it is about.
    notes: BTreeMap<u64, (u64, String)>,
}

#[derive(Debug)]
struct Logged {
    event: Arc<Event>,
    key: u64,
    unit: u64,
    written_at: Time,
}

impl Log {
    pub(super) fn append(&mut self, events: Vec<Arc<Event>>, key: &EventKey, now: Time) {
        self.units += 1;
        let unit = self.units;
        self.entries.extend(events.into_iter().map(|event| {
            let key = key.of(&event.source, &event.id);
            Logged { event, key, unit, written_at: now }
        }));
    }

    /// Keeps a text about the last `about` events.
    pub(super) fn note(&mut self, about: usize, text: String) {
        let about = about as u64;
        self.notes.insert(self.last() + 1 - about, (about, text));
    }

    /// What was noted about event number `number`, and the number of the first that it is about.
    pub(super) fn notes(&self, number: u64) -> Option<(u64, String)> {
        let (first, (about, text)) = self.notes.range(..=number).next_back()?;
        (number < first + about).then(|| (*first, text.clone()))
    }

    /// The number of the last event; they are numbered from 1.
    pub(super) fn last(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// The events after number `after`, with their numbers.
    pub(super) fn after(&self, after: u64) -> Vec<(u64, Arc<Event>)> {
        let numbered = (self.forgotten + 1..).zip(&self.entries);
        numbered.filter(|(n, _)| *n > after).map(|(n, logged)| (n, logged.event.clone())).collect()
    }

    /// The number of the last event before the first that was written at `arrived` or later.
    pub(super) fn last_before(&self, arrived: Time) -> u64 {
        self.forgotten + self.entries.iter().take_while(|logged| logged.written_at < arrived).count() as u64
    }

    /// The latest event with this id.
    pub(super) fn find(&self, id: &str) -> Option<(u64, Event)> {
        let place = self.entries.iter().rposition(|logged| logged.event.id == id)?;
        Some((self.forgotten + 1 + place as u64, self.entries[place].event.as_ref().clone()))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn recent_keys(&self, limit: usize) -> Vec<u64> {
        let skip = self.entries.len().saturating_sub(limit);
        self.entries.iter().skip(skip).map(|logged| logged.key).collect()
    }

    pub(super) fn since(&self, since: Time) -> Vec<Arc<Event>> {
        let wanted = self.entries.iter().filter(|logged| logged.event.time >= since);
        wanted.map(|logged| logged.event.clone()).collect()
    }

    /// A cursor is the number of the last event of the page before.
    pub(super) fn query(&self, query: &EventQuery) -> Result<Page<Event>, Error> {
        let limit = if query.limit == 0 { 100 } else { query.limit.min(10_000) };
        let cursor = query.cursor.as_deref().map(|text| text.parse::<u64>().map_err(|_| no_cursor(text)));
        let cursor = cursor.transpose()?;
        let text = query.text.as_deref().map(str::to_ascii_lowercase);
        let wanted = |(number, logged): &(u64, &Logged)| {
            cursor.is_none_or(|at| if query.newest_first { *number < at } else { *number > at })
                && logged.passes(query, text.as_deref())
        };
        let numbered = (self.forgotten..).zip(&self.entries);
        let mut found: Vec<(u64, &Logged)> = if query.newest_first {
            let all: Vec<_> = numbered.collect();
            all.into_iter().rev().filter(wanted).take(limit + 1).collect()
        } else {
            numbered.filter(wanted).take(limit + 1).collect()
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = found.last().filter(|_| more).map(|(number, _)| number.to_string());
        let items = found.into_iter().map(|(_, logged)| logged.event.as_ref().clone()).collect();
        Ok(Page { items, next_cursor })
    }

    /// Forgets what was written before `before`, but for the newest unit; answers how many events that were.
    pub(super) fn forget(&mut self, before: Time) -> u64 {
        let mut gone = 0;
        while self.entries.front().is_some_and(|it| it.written_at < before && it.unit < self.units) {
            self.entries.pop_front();
            gone += 1;
        }
        self.forgotten += gone;
        self.notes = self.notes.split_off(&(self.forgotten + 1));
        gone
    }
}

impl Logged {
    fn passes(&self, query: &EventQuery, text: Option<&str>) -> bool {
        let event = self.event.as_ref();
        query.pattern.as_ref().is_none_or(|pattern| pattern.matches(event.topic.as_str()))
            && query.since.is_none_or(|since| event.time >= since)
            && query.until.is_none_or(|until| event.time < until)
            && query.arrived_since.is_none_or(|since| self.written_at >= since)
            && text.is_none_or(|text| {
                serde_json::to_string(event).is_ok_and(|json| json.to_ascii_lowercase().contains(text))
            })
    }
}
