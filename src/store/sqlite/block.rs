//! Blocks of the event log: many events as one compressed row, with what a query can skip it by.
//!
//! A row an event is twenty times too slow once the store is filled; a block costs one row for thousands.

use std::sync::Arc;

use crate::model::Event;
use crate::store::EventKey;

/// Most events a block: larger compresses little better, and a query for one event must unpack all of it.
pub(super) const MAX_COUNT: usize = 4096;
/// Most bytes of JSON a block, if it holds more than one event.
pub(super) const MAX_BYTES: usize = 2 << 20;
/// Topics are listed up to so many bytes; the list must fit the row's first page.
const MAX_TOPICS: usize = 384;

/// Events on their way into a block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) count: usize,
    pub(super) min_time: i64,
    pub(super) max_time: i64,
    /// One a line, each once; none if too many.
    pub(super) topics: Option<String>,
    pub(super) keys: Vec<u8>,
    /// Hashes of the events' ids in four bytes each, little endian, by which one is found; none in a block of a
    /// version that did not keep them.
    pub(super) ids: Option<Vec<u8>>,
    /// JSON, one event a line, each line ended.
    pub(super) lines: Vec<u8>,
}

impl Block {
    fn new() -> Self {
        Self {
            count: 0,
            min_time: i64::MAX,
            max_time: i64::MIN,
            topics: Some(String::new()),
            keys: Vec::new(),
            ids: Some(Vec::new()),
            lines: Vec::new(),
        }
    }

    /// `events` as blocks, in order.
    pub(super) fn of(events: &[Arc<Event>], key: &EventKey) -> Result<Vec<Self>, serde_json::Error> {
        let mut blocks = Vec::with_capacity(events.len() / MAX_COUNT + 1);
        let mut block = Self::new();
        let mut last: Option<&Event> = None;
        for event in events {
            if block.count == MAX_COUNT || block.lines.len() >= MAX_BYTES {
                blocks.push(std::mem::replace(&mut block, Self::new()));
                last = None;
            }
            if block.count == 0 {
                let room = events.len().min(MAX_COUNT);
                block.keys.reserve(room * 8);
                block.ids.get_or_insert_default().reserve(room * 4);
                block.lines.reserve(room * 256);
            }
            block.push(event, key, last.is_some_and(|last| last.topic == event.topic))?;
            last = Some(event);
        }
        if block.count > 0 {
            blocks.push(block);
        }
        Ok(blocks)
    }

    fn push(&mut self, event: &Event, key: &EventKey, topic_known: bool) -> Result<(), serde_json::Error> {
        let start = self.lines.len();
        serde_json::to_writer(&mut self.lines, event)?;
        // A line break in JSON can only be white space between tokens; here it would end the line.
        for byte in &mut self.lines[start..] {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        self.lines.push(b'\n');
        let time = event.time.timestamp_micros();
        self.min_time = self.min_time.min(time);
        self.max_time = self.max_time.max(time);
        self.keys.extend_from_slice(&key.of(&event.source, &event.id).to_le_bytes());
        if let Some(ids) = &mut self.ids {
            ids.extend_from_slice(&key.of_id(&event.id).to_le_bytes());
        }
        if !topic_known {
            self.add_topics(Some(event.topic.as_str()));
        }
        self.count += 1;
        Ok(())
    }

    /// Whether `next` may be joined to this one.
    pub(super) fn has_room_for(&self, next: &Self) -> bool {
        self.ids.is_some() == next.ids.is_some()
            && self.count + next.count <= MAX_COUNT
            && self.lines.len() + next.lines.len() <= MAX_BYTES
    }

    /// Joins `next` to the end of this one.
    pub(super) fn append(&mut self, next: &Self) {
        self.count += next.count;
        self.min_time = self.min_time.min(next.min_time);
        self.max_time = self.max_time.max(next.max_time);
        self.keys.extend_from_slice(&next.keys);
        match (&mut self.ids, &next.ids) {
            (Some(ids), Some(more)) => ids.extend_from_slice(more),
            _ => self.ids = None,
        }
        self.lines.extend_from_slice(&next.lines);
        self.add_topics(next.topics.as_deref());
    }

    /// The column `keys`: first the hashes of ids, so that a search reads only the pages that hold them, then the
    /// idempotency keys. Its length tells whether there are hashes.
    pub(super) fn hashes(&self) -> Vec<u8> {
        [self.ids.as_deref().unwrap_or_default(), &self.keys].concat()
    }

    fn add_topics(&mut self, more: Option<&str>) {
        let (Some(list), Some(more)) = (&mut self.topics, more) else {
            self.topics = None;
            return;
        };
        for topic in more.lines() {
            if list.lines().any(|known| known == topic) {
                continue;
            }
            if list.len() + topic.len() > MAX_TOPICS {
                self.topics = None;
                return;
            }
            if !list.is_empty() {
                list.push('\n');
            }
            list.push_str(topic);
        }
    }
}

/// Hashes of ids, if the block has them, and the idempotency keys, from the column `keys`.
pub(super) fn split(count: usize, hashes: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match has_ids(count, hashes.len()) {
        true => (Some(&hashes[..count * 4]), &hashes[count * 4..]),
        false => (None, hashes),
    }
}

/// Whether a block of `count` events whose column `keys` has `len` bytes keeps hashes of ids.
pub(super) fn has_ids(count: usize, len: usize) -> bool {
    len == count * (4 + 8)
}

/// Packs the lines.
pub(super) fn pack(lines: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress(lines)
}

/// Unpacks the lines again; the text says what is wrong.
pub(super) fn unpack(payload: &[u8], raw_len: usize) -> Result<String, String> {
    // lz4 packs at most 255 to 1, so a larger claim is damage and must not cost memory.
    if raw_len > payload.len().saturating_mul(256) {
        return Err(format!("a block claims {raw_len} bytes"));
    }
    let lines = lz4_flex::block::decompress(payload, raw_len).map_err(|error| error.to_string())?;
    if lines.len() != raw_len {
        return Err(format!("a block holds {} bytes and claims {raw_len}", lines.len()));
    }
    String::from_utf8(lines).map_err(|error| error.to_string())
}
