//! The stateless half of matching: which rules an event is for, by topic and condition.

use std::collections::HashMap;

use serde_json::Value;

use super::index::{Entry, Test};
#[cfg(doc)]
use super::rule::Part;
use super::rule::RESOLVED;
use super::set::RuleSet;
use crate::condition::{EvalError, Scalar, View};
use crate::model::{Event, clock};

/// A rule that an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Which: an index into [`RuleSet::rules`].
    pub rule: u32,
    /// What the event is to it: see [`Part::number`].
    pub part: u16,
}

impl Hit {
    /// Whether it shows that the failure is over, rather than that it is there.
    pub fn resolved(self) -> bool {
        self.part == RESOLVED
    }
}

/// What a thread keeps between events, so that matching need not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    set: u64,
    slots: Vec<Scalar<'static>>,
    topics: HashMap<Box<str>, Box<[u32]>, ahash::RandomState>,
    errors: Vec<(u32, EvalError)>,
}

/// Most topics whose groups are remembered; more than that is a flood of made-up topics.
const MAX_TOPICS: usize = 8_192;

impl Scratch {
    /// The conditions that failed on the last event, by rule; they count as false. Rules that the index passes over
    /// are not among them.
    pub fn errors(&self) -> &[(u32, EvalError)] {
        &self.errors
    }
}

impl RuleSet {
    /// The rules that `event` is for, in the order in which they fire.
    pub fn hits(&self, event: &Event, scratch: &mut Scratch) -> Vec<Hit> {
        let mut slots = emptied(std::mem::take(&mut scratch.slots));
        self.index().fields.read_event(event, &mut slots);
        let mut view = None;
        let hits = self.find(event.topic.as_str(), &slots, scratch, &mut |hit| {
            let view = view.get_or_insert_with(|| View::new(event, &[]));
            self.script(hit, view)
        });
        scratch.slots = emptied(slots);
        hits
    }

    /// The same for the JSON text of an event, without making an [`Event`] of it. `type` is `topic` and `payload` is
    /// `data`.
    ///
    /// # Errors
    /// When it is not UTF-8, not one JSON object, or has no topic.
    pub fn hits_json(&self, line: &[u8], scratch: &mut Scratch) -> Result<Vec<Hit>, serde_json::Error> {
        let line = std::str::from_utf8(line).map_err(serde::de::Error::custom)?;
        let mut slots = emptied(std::mem::take(&mut scratch.slots));
        let read = self.index().fields.read_json(line, &mut slots);
        let hits =
            read.and_then(|()| {
                let Scalar::Str(topic) = &slots[self.index().topic as usize] else {
                    return Err(serde::de::Error::custom("an event has a topic"));
                };
                let mut event = None;
                Ok(self.find(topic, &slots, scratch, &mut |hit| match event
                    .get_or_insert_with(|| event_of(line))
                {
                    Ok(event) => self.script(hit, &View::new(event, &[])),
                    Err(message) => Err(EvalError { message: message.clone(), column: 0 }),
                }))
            });
        scratch.slots = emptied(slots);
        hits
    }

    fn find(
        &self,
        topic: &str,
        slots: &[Scalar<'_>],
        scratch: &mut Scratch,
        script: &mut dyn FnMut(Hit) -> Result<bool, EvalError>,
    ) -> Vec<Hit> {
        let index = self.index();
        let Scratch { set, topics, errors, .. } = scratch;
        errors.clear();
        if *set != index.id || topics.len() > MAX_TOPICS {
            *set = index.id;
            topics.clear();
        }
        let mut hits = Vec::new();
        let mut test = |entry: &Entry| {
            let hit = Hit { rule: entry.rule, part: entry.part };
            let answer = match &entry.test {
                Test::Pass => Some(true),
                Test::Term(term) => term.test(slots),
                Test::Script => None,
            };
            match answer.map_or_else(|| script(hit), Ok) {
                Ok(true) => hits.push(hit),
                Ok(false) => {}
                Err(error) => errors.push((entry.rule, error)),
            }
        };
        let known = topics.get(topic);
        let fresh = if known.is_none() { Some(index.groups_of(topic)) } else { None };
        for group in known.or(fresh.as_ref()).into_iter().flatten() {
            let group = index.group_at(*group);
            group.always.iter().for_each(&mut test);
            for keyed in &group.keyed {
                keyed.find(slots, |entries| entries.iter().for_each(&mut test));
            }
        }
        if let Some(groups) = fresh {
            topics.insert(topic.into(), groups);
        }
        // Two patterns of one rule may mean the same topic.
        if hits.len() > 1 {
            hits.sort_unstable();
            hits.dedup();
        }
        errors.dedup();
        hits
    }

    fn script(&self, hit: Hit, view: &View<'_>) -> Result<bool, EvalError> {
        let parts = self.rules()[hit.rule as usize].parts();
        let part =
            parts.iter().find(|part| part.number == hit.part).expect("the index holds parts of its rules");
        for when in &part.when {
            if !when.test_in(view)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The same room for slots, ready for another event: the empty vector is reused in place.
fn emptied<'b>(mut slots: Vec<Scalar<'_>>) -> Vec<Scalar<'b>> {
    slots.clear();
    slots.into_iter().map(|_| Scalar::Missing).collect()
}

/// The event that a line says, for the conditions that only Rhai can answer.
fn event_of(line: &str) -> Result<Event, String> {
    let mut value: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let map = value.as_object_mut().ok_or("an event is a JSON object")?;
    for (name, alias) in [("topic", "type"), ("data", "payload")] {
        if let Some(value) = map.remove(alias) {
            map.entry(name).or_insert(value);
        }
    }
    let start = clock::micros(0).to_rfc3339();
    for (name, default) in [("id", ""), ("source", ""), ("time", start.as_str())] {
        map.entry(name).or_insert_with(|| default.into());
    }
    serde_json::from_value(value).map_err(|e| e.to_string())
}
