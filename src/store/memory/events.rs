//! The event log in memory, in units as they were committed.

use std::collections::VecDeque;
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
