//! Reads of the event log: blocks are skipped by number, time and topic before any is unpacked.

use std::borrow::Cow;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension};
use serde::Deserialize;

use super::block;
use super::fault::Fault;
use super::readers::go_on;
use crate::model::{Event, Time};
use crate::store::{EventQuery, PAGE_BYTES, Page};

/// Bytes of JSON that one query may unpack, and blocks that it may look at, before it hands out a short page: what
/// a tenth of a second allows.
const BYTES: usize = 32 << 20;
const HEADERS: usize = 100_000;

/// So many blocks in a row that were written too early show that those before them were, too. One would do if no clock ever
/// went back.
const OLDER: usize = 16;

/// What a block can be skipped by.
struct Header {
    seq: i64,
    count: i64,
    min_time: i64,
    max_time: i64,
    topics: Option<String>,
    written_at: i64,
}

/// The part of an event that most queries decide by.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    time: Time,
}

/// What remains to be looked at in each event of a block.
struct Filter<'a> {
    query: &'a EventQuery,
    text: Option<String>,
}

pub(super) fn recent_keys(from: &Connection, limit: usize) -> Result<Vec<u64>, Fault> {
    let mut statement = from.prepare_cached("SELECT count, keys FROM blocks ORDER BY seq DESC")?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while keys.len() < limit
        && let Some(row) = rows.next()?
    {
        let bytes = row.get_ref(1)?.as_blob().map_err(|error| Fault::Damaged(error.to_string()))?;
        let (eights, _) = block::split(row.get::<_, u32>(0)? as usize, bytes).1.as_chunks::<8>();
        keys.extend(eights.iter().rev().map(|eight| u64::from_le_bytes(*eight)));
    }
    keys.truncate(limit);
    keys.reverse();
    Ok(keys)
}

pub(super) fn replay(from: &Connection, since: Time, each: &mut dyn FnMut(Event)) -> Result<u64, Fault> {
    let mut given = 0;
    walk(from, i64::MIN, since.timestamp_micros(), &mut |_, event| {
        if event.time >= since {
            each(event);
            given += 1;
        }
    })?;
    Ok(given)
}

pub(super) fn replay_log(
    from: &Connection,
    after: u64,
    each: &mut dyn FnMut(u64, Event),
) -> Result<u64, Fault> {
    let next = i64::try_from(after).unwrap_or(i64::MAX).saturating_add(1);
    walk(from, next, i64::MIN, &mut |number, event| each(number.unsigned_abs(), event))?;
    let last: Option<i64> = from
        .query_row("SELECT seq + count - 1 FROM blocks ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    Ok(last.map_or(0, i64::unsigned_abs))
}

/// The clock may have been set back, so the first block that is late enough counts, whatever comes after it.
pub(super) fn last_before(from: &Connection, arrived: Time) -> Result<u64, Fault> {
    let mut statement = from.prepare_cached(
        "SELECT coalesce(
             (SELECT seq - 1 FROM blocks WHERE written_at >= ?1 ORDER BY seq LIMIT 1),
             (SELECT seq + count - 1 FROM blocks ORDER BY seq DESC LIMIT 1), 0)",
    )?;
    let last: i64 = statement.query_row([arrived.timestamp_micros()], |row| row.get(0))?;
    Ok(last.max(0).unsigned_abs())
}

/// Gives `each` the events from number `next` on of the blocks that reach to `since`. One block at a time and no
/// transaction around them, so that a long replay does not hold the log file. Blocks may be joined meanwhile, so it
/// goes by the numbers of events.
fn walk(from: &Connection, mut next: i64, since: i64, each: &mut dyn FnMut(i64, Event)) -> Result<(), Fault> {
    let mut statement = from.prepare_cached(
        "SELECT seq, count, raw_len, payload FROM blocks
         WHERE seq >= coalesce((SELECT max(seq) FROM blocks WHERE seq <= ?1), ?1)
             AND seq + count > ?1 AND max_time >= ?2
         ORDER BY seq LIMIT 1",
    )?;
    loop {
        let found: Option<(i64, i64, i64, Vec<u8>)> = statement
            .query_row([next, since], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((seq, count, raw_len, payload)) = found else {
            return Ok(());
        };
        for (number, line) in (seq..).zip(unpack(seq, raw_len, &payload)?.lines()) {
            if number >= next {
                each(number, event(seq, line)?);
            }
        }
        next = seq + count;
    }
}

pub(super) fn notes(from: &Connection, number: u64) -> Result<Option<(u64, String)>, Fault> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let found: Option<(i64, i64, i64, Vec<u8>)> = from
        .query_row(
            "SELECT first, count, raw_len, payload FROM notes WHERE first <= ?1 ORDER BY first DESC LIMIT 1",
            [number],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()?;
    let Some((first, count, raw_len, payload)) = found else { return Ok(None) };
    if first + count <= number {
        return Ok(None);
    }
    Ok(Some((first.unsigned_abs(), unpack(first, raw_len, &payload)?)))
}

pub(super) fn query(from: &Connection, query: EventQuery) -> Result<Page<Event>, Fault> {
    let limit = if query.limit == 0 { 100 } else { query.limit.min(10_000) };
    let cursor = match &query.cursor {
        None if query.newest_first => i64::MAX,
        None => i64::MIN,
        Some(text) => text.parse::<i64>().map_err(|_| {
            Fault::Invalid(format!("`{text}` is not a cursor: take `next_cursor` of the page before"))
        })?,
    };
    let snapshot = from.unchecked_transaction()?;
    let cursor = match query.arrived_since {
        Some(since) if !query.newest_first => {
            cursor.max(before_arrival(&snapshot, since.timestamp_micros())?)
        }
        _ => cursor,
    };
    let mut statement = snapshot.prepare_cached(if query.newest_first {
        "SELECT seq, count, min_time, max_time, topics, written_at FROM blocks WHERE seq < ?1 ORDER BY seq DESC"
    } else {
        "SELECT seq, count, min_time, max_time, topics, written_at FROM blocks
         WHERE seq >= coalesce((SELECT max(seq) FROM blocks WHERE seq <= ?1), ?1) ORDER BY seq"
    })?;
    let filter = Filter { query: &query, text: query.text.as_deref().map(str::to_ascii_lowercase) };
    let mut found: Vec<(i64, Event)> = Vec::new();
    let (mut bytes, mut headers, mut size) = (0, 0, 0);
    let mut stopped_at = None;
    let mut rows = statement.query([cursor])?;
    while found.len() <= limit
        && size <= PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let header = Header {
            seq: row.get(0)?,
            count: row.get(1)?,
            min_time: row.get(2)?,
            max_time: row.get(3)?,
            topics: row.get(4)?,
            written_at: row.get(5)?,
        };
        if bytes >= BYTES || headers >= HEADERS {
            // A cursor is the number of the last event that was looked at.
            stopped_at = Some(if query.newest_first { header.seq + header.count } else { header.seq - 1 });
            break;
        }
        headers += 1;
        if header.can_hold(&query) {
            bytes += filter.read(&snapshot, &header, cursor, limit + 1, &mut found, &mut size)?;
        }
    }
    let next = if found.len() > limit {
        found.truncate(limit);
        found.last().map(|(seq, _)| *seq)
    } else if size > PAGE_BYTES {
        found.last().map(|(seq, _)| *seq)
    } else {
        stopped_at
    };
    let items = found.into_iter().map(|(_, event)| event).collect();
    Ok(Page { items, next_cursor: next.map(|seq| seq.to_string()) })
}

/// The number of the last event before the first block that was written at `since` or later. It is looked for from the end
/// of the log, as what is asked for is mostly young, and a log may be very long.
fn before_arrival(from: &Connection, since: i64) -> Result<i64, Fault> {
    let mut statement = from.prepare_cached("SELECT seq, written_at FROM blocks ORDER BY seq DESC")?;
    let mut rows = statement.query([])?;
    let (mut before, mut older) = (i64::MAX, 0);
    while older < OLDER
        && let Some(row) = rows.next()?
    {
        let (seq, written_at): (i64, i64) = (row.get(0)?, row.get(1)?);
        if written_at >= since {
            (before, older) = (seq - 1, 0);
        } else {
            older += 1;
        }
    }
    Ok(before)
}

/// Unpacks every block; answers what is wrong with those that do not read.
pub(super) fn check(from: &Connection) -> Result<Vec<String>, Fault> {
    let mut findings = Vec::new();
    let mut statement = from.prepare("SELECT seq, count, raw_len, payload, keys FROM blocks ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut expected = None;
    while let Some(row) = rows.next()? {
        let (seq, count): (i64, i64) = (row.get(0)?, row.get(1)?);
        if expected.is_some_and(|expected| expected != seq) {
            findings.push(format!("events are missing before number {seq}"));
        }
        expected = Some(seq + count);
        let keys: Vec<u8> = row.get(4)?;
        let payload: Vec<u8> = row.get(3)?;
        match unpack(seq, row.get(2)?, &payload) {
            Err(Fault::Damaged(detail)) => findings.push(detail),
            Err(fault) => return Err(fault),
            Ok(lines) => {
                let read = lines.lines().filter(|line| event(seq, line).is_ok()).count() as i64;
                let keys = block::split(usize::try_from(count).unwrap_or(0), &keys).1;
                if read != count || keys.len() as i64 != count * 8 {
                    findings.push(format!("block {seq}: {read} of {count} events read"));
                }
            }
        }
    }
    Ok(findings)
}

impl Header {
    fn can_hold(&self, query: &EventQuery) -> bool {
        query.arrived_since.is_none_or(|since| self.written_at >= since.timestamp_micros())
            && query.since.is_none_or(|since| self.max_time >= since.timestamp_micros())
            && query.until.is_none_or(|until| self.min_time <= until.timestamp_micros())
            && match (&query.pattern, &self.topics) {
                (Some(pattern), Some(topics)) => topics.lines().any(|topic| pattern.matches(topic)),
                _ => true,
            }
    }
}

impl Filter<'_> {
    /// Appends the block's events that pass, until `found` holds `most` or a page's bytes; answers how many bytes were unpacked.
    fn read(
        &self,
        from: &Connection,
        header: &Header,
        cursor: i64,
        most: usize,
        found: &mut Vec<(i64, Event)>,
        size: &mut usize,
    ) -> Result<usize, Fault> {
        let (raw_len, payload): (i64, Vec<u8>) = from
            .prepare_cached("SELECT raw_len, payload FROM blocks WHERE seq = ?1")?
            .query_row([header.seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let lines = unpack(header.seq, raw_len, &payload)?;
        let lower = self.text.is_some().then(|| lines.to_ascii_lowercase());
        let mut spans: Vec<(i64, Range<usize>)> = Vec::with_capacity(header.count.unsigned_abs() as usize);
        let mut start = 0;
        for (seq, line) in (header.seq..).zip(lines.split_inclusive('\n')) {
            let span = start..start + line.len();
            start = span.end;
            if if self.query.newest_first { seq < cursor } else { seq > cursor } {
                spans.push((seq, span));
            }
        }
        if self.query.newest_first {
            spans.reverse();
        }
        for (seq, span) in spans {
            let text = lower.as_deref().map(|lower| &lower[span.clone()]);
            let line = &lines[span];
            if self.passes(header, line, text)? {
                found.push((seq, event(header.seq, line)?));
                *size += line.len();
                if found.len() >= most || *size > PAGE_BYTES {
                    break;
                }
            }
        }
        Ok(lines.len())
    }

    fn passes(&self, header: &Header, line: &str, lower: Option<&str>) -> Result<bool, Fault> {
        if let (Some(text), Some(lower)) = (&self.text, lower)
            && !lower.contains(text.as_str())
        {
            return Ok(false);
        }
        let EventQuery { pattern, since, until, .. } = self.query;
        if pattern.is_none() && since.is_none() && until.is_none() {
            return Ok(true);
        }
        let peek: Peek<'_> = serde_json::from_str(line).map_err(|error| damaged(header.seq, error))?;
        Ok(pattern.as_ref().is_none_or(|pattern| pattern.matches(&peek.topic))
            && since.is_none_or(|since| peek.time >= since)
            && until.is_none_or(|until| peek.time < until))
    }
}

pub(super) fn unpack(seq: i64, raw_len: i64, payload: &[u8]) -> Result<String, Fault> {
    go_on()?;
    let raw_len = usize::try_from(raw_len).map_err(|_| damaged(seq, "negative length"))?;
    block::unpack(payload, raw_len).map_err(|detail| damaged(seq, detail))
}

pub(super) fn event(seq: i64, line: &str) -> Result<Event, Fault> {
    serde_json::from_str(line).map_err(|error| damaged(seq, error))
}

fn damaged(seq: i64, detail: impl std::fmt::Display) -> Fault {
    Fault::Damaged(format!("block {seq}: {detail}"))
}
