//! The stateless half of a replay: lines become events, and events meet the rules that they are for. It may run on any
//! number of threads.

use std::collections::HashMap;

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use crate::condition::EvalError;
use crate::model::{Event, Pattern, Time};
use crate::rules::{Hit, RuleSet, Scratch, Stepped, is_timer};
use crate::sources::cloudevents;

/// The source of events that name none.
const SOURCE: &str = "replay";

/// Topics whose checks are remembered; more than that is a flood of made-up topics.
const MAX_TOPICS: usize = 8_192;

/// Events on their way, in order.
pub(super) enum Chunk {
    /// Whole lines of a file, and the number of the first of them.
    Lines(u64, Vec<u8>),
    /// Events from the log.
    Events(Vec<Event>),
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: u64,
    pub(super) message: String,
}

/// What is known of an event without what came before it.
pub(super) struct Item {
    /// When it came in, where that is known; of a line of a file, when it happened.
    pub(super) time: Time,
    /// By which the same event is known, if it has an id of its own.
    pub(super) key: Option<u64>,
    /// Whether the clock was set here.
    pub(super) stepped: Option<Stepped>,
    pub(super) what: What,
}

/// What an event is to the rules.
pub(super) enum What {
    /// Nothing; it moves time.
    Nothing,
    /// Something.
    Matters(Box<Matters>),
    /// A line without a time: what it is depends on when it came.
    Untimed(u64, String),
}

/// An event that matters, and what it is to the rules of each set.
pub(super) struct Matters {
    pub(super) event: Event,
    pub(super) hits: Vec<Vec<Hit>>,
    pub(super) errors: Vec<Vec<(u32, EvalError)>>,
    /// Whether a check of a repair may expect it.
    pub(super) heard: bool,
}

/// The rules of all sets; each thread has its own.
pub(super) struct Matcher {
    sets: Vec<RuleSet>,
    scratch: Vec<Scratch>,
    expected: Vec<Pattern>,
    topics: HashMap<String, bool, ahash::RandomState>,
}

impl Matcher {
    pub(super) fn new(sets: &[RuleSet]) -> Self {
        let mut expected: Vec<Pattern> = Vec::new();
        for rule in sets.iter().flat_map(RuleSet::rules).filter(|rule| rule.enabled) {
            if let Some(verify) = &rule.plan.verify
                && !expected.contains(&verify.expect)
            {
                expected.push(verify.expect.clone());
            }
        }
        Self {
            sets: sets.to_vec(),
            scratch: sets.iter().map(|_| Scratch::default()).collect(),
            expected,
            topics: HashMap::default(),
        }
    }

    /// What each event of `chunk` is.
    ///
    /// # Errors
    /// With the first line that is no event.
    pub(super) fn chunk(&mut self, chunk: Chunk) -> Result<Vec<Item>, (Vec<Item>, BadLine)> {
        match chunk {
            Chunk::Events(events) => Ok(events.into_iter().map(|event| self.logged(event)).collect()),
            Chunk::Lines(first, bytes) => {
                let mut items = Vec::with_capacity(bytes.len() / 128);
                for (number, line) in (first..).zip(bytes.split(|byte| *byte == b'\n')) {
                    let line = line.trim_ascii();
                    if line.is_empty() {
                        continue;
                    }
                    match self.line(number, line) {
                        Ok(item) => items.push(item),
                        Err(message) => return Err((items, BadLine { line: number, message })),
                    }
                }
                Ok(items)
            }
        }
    }

    /// What the line is as an event that came at `now`.
    pub(super) fn untimed(&mut self, number: u64, line: &str, now: Time) -> Result<Item, String> {
        let (event, key) = decode(number, line, now)?;
        Ok(self.item(event.time, key, event))
    }

    fn line(&mut self, number: u64, line: &[u8]) -> Result<Item, String> {
        let text = std::str::from_utf8(line)
            .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to() + 1))?;
        // No text is read as this time.
        let missing = Time::MIN_UTC;
        let (event, key) = decode(number, text, missing)?;
        if event.time == missing {
            let what = What::Untimed(number, text.into());
            return Ok(Item { time: missing, key, stepped: None, what });
        }
        Ok(self.item(event.time, key, event))
    }

    fn logged(&mut self, event: Event) -> Item {
        self.item(event.arrival(), None, event)
    }

    fn item(&mut self, time: Time, key: Option<u64>, event: Event) -> Item {
        let stepped = Stepped::of(&event);
        let what = if stepped.is_some() { What::Nothing } else { self.matters(event) };
        Item { time, key, stepped, what }
    }

    fn matters(&mut self, event: Event) -> What {
        // Timers are made anew.
        if is_timer(&event) {
            return What::Nothing;
        }
        let heard = self.is_expected(event.topic.as_str());
        let mut hits = Vec::with_capacity(self.sets.len());
        let mut errors = Vec::new();
        let mut failed = false;
        for (set, scratch) in self.sets.iter().zip(&mut self.scratch) {
            hits.push(set.hits(&event, scratch));
            failed |= !scratch.errors().is_empty();
        }
        if failed {
            errors = self.scratch.iter().map(|scratch| scratch.errors().to_vec()).collect();
        }
        if !heard && !failed && hits.iter().all(Vec::is_empty) {
            return What::Nothing;
        }
        What::Matters(Box::new(Matters { event, hits, errors, heard }))
    }

    fn is_expected(&mut self, topic: &str) -> bool {
        if self.expected.is_empty() {
            return false;
        }
        if let Some(known) = self.topics.get(topic) {
            return *known;
        }
        if self.topics.len() >= MAX_TOPICS {
            self.topics.clear();
        }
        let expected = self.expected.iter().any(|pattern| pattern.matches(topic));
        self.topics.insert(topic.into(), expected);
        expected
    }
}

/// The event that a line says, and by which it is known if it says an id.
fn decode(number: u64, line: &str, now: Time) -> Result<(Event, Option<u64>), String> {
    let mut named = true;
    let mut id = || {
        named = false;
        format!("line-{number}")
    };
    let event = cloudevents::decode_line(line, now, SOURCE, &mut id).map_err(|error| error.to_string())?;
    let key = named.then(|| key(&event));
    Ok((event, key))
}

fn key(event: &Event) -> u64 {
    // Without a secret: the same file gives the same answer everywhere.
    let mut hasher = SipHasher13::new();
    for text in [&event.source, &event.id] {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    }
    hasher.finish()
}
