//! Retention: what is older than asked is deleted in portions of a few milliseconds, between which commits go on.
//!
//! The same round joins small blocks of events, as a quiet engine makes, to large ones: a block of one event takes
//! five times the space, and a query looks at every block.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::block::{self, Block};
use super::fault::Fault;
use super::writer::put_block;
use crate::store::{Prune, Pruned};

/// Blocks deleted between two looks at the time: each may free two hundred pages.
const BLOCKS: i64 = 4;
/// Rows of other kinds deleted between two looks at the time.
const ROWS: i64 = 64;
/// Blocks joined in one portion.
const JOINED: i64 = 1024;
/// A portion ends after so long, as commits wait for it.
const SLICE: Duration = Duration::from_millis(10);

/// Deletes one portion; answers whether more is left. `tidied` is where joining blocks goes on.
pub(super) fn portion(
    connection: &mut Connection,
    what: &Prune,
    tidied: &mut i64,
) -> Result<(Pruned, bool), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut slice = Slice { from: &transaction, done: Pruned::default(), end: Instant::now() + SLICE };
    let more = slice.delete(what)?;
    let done = slice.done;
    let next = if more { None } else { join(&transaction, *tidied)? };
    transaction.commit()?;
    if let Some(next) = next {
        *tidied = next;
    }
    Ok((done, more || next.is_some()))
}

/// One portion of deleting.
struct Slice<'a> {
    from: &'a Transaction<'a>,
    done: Pruned,
    end: Instant,
}

impl Slice<'_> {
    /// Answers whether there is more to delete.
    fn delete(&mut self, what: &Prune) -> Result<bool, Fault> {
        if let Some(before) = what.events {
            while self.blocks(before.timestamp_micros(), 0)? {
                if self.is_over() {
                    return Ok(true);
                }
            }
        }
        if let Some(before) = what.intents {
            while self.intents(before.timestamp_micros())? {
                if self.is_over() {
                    return Ok(true);
                }
            }
        }
        if let Some(before) = what.alerts {
            let sql = "DELETE FROM alerts WHERE id IN
                 (SELECT id FROM alerts WHERE active = 0 AND updated_at < ?1 ORDER BY updated_at LIMIT ?2)";
            loop {
                let rows = self.rows(sql, before.timestamp_micros())?;
                self.done.alerts += rows;
                if rows < ROWS as u64 {
                    break;
                }
                if self.is_over() {
                    return Ok(true);
                }
            }
        }
        if let Some(before) = what.timeline {
            let sql = "DELETE FROM timeline WHERE id IN (SELECT id FROM timeline WHERE at < ?1 ORDER BY at LIMIT ?2)";
            loop {
                let rows = self.rows(sql, before.timestamp_micros())?;
                self.done.timeline += rows;
                if rows < ROWS as u64 {
                    break;
                }
                if self.is_over() {
                    return Ok(true);
                }
            }
        }
        if let Some((before, keep)) = &what.sources
            && self.sources(before.timestamp_micros(), keep)?
        {
            return Ok(true);
        }
        if let Some(budget) = &what.budget {
            while self.used()? > budget.bytes {
                let more = self.blocks(i64::MAX, budget.events)?
                    || match budget.intents {
                        Some(before) => self.intents(before.timestamp_micros())?,
                        None => false,
                    };
                if !more {
                    break;
                }
                if self.is_over() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Deletes some of the oldest blocks, whose events all arrived before `before` and are not among the latest `keep`.
    /// Answers whether there may be more.
    fn blocks(&mut self, before: i64, keep: u64) -> Result<bool, Fault> {
        // The newest block always stays: the numbers of events go on from it.
        let mut oldest = self.from.prepare_cached(
            "SELECT seq, count, written_at, (SELECT seq + count FROM blocks ORDER BY seq DESC LIMIT 1) FROM blocks
             WHERE seq < (SELECT max(seq) FROM blocks) ORDER BY seq LIMIT ?1",
        )?;
        let rows: Vec<(i64, i64, i64, i64)> = oldest
            .query_map([BLOCKS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let mut blocks = 0;
        for (seq, count, written_at, end) in rows {
            if written_at >= before || seq + count > end.saturating_sub(keep) {
                return Ok(false);
            }
            self.from.prepare_cached("DELETE FROM blocks WHERE seq = ?1")?.execute([seq])?;
            self.from.prepare_cached("DELETE FROM notes WHERE first < ?1")?.execute([seq + count])?;
            self.done.events += count.unsigned_abs();
            blocks += 1;
        }
        Ok(blocks == BLOCKS)
    }

    /// Deletes the oldest closed intent that last changed before `before`, or a part of its journals. Answers whether
    /// there may be more.
    fn intents(&mut self, before: i64) -> Result<bool, Fault> {
        let mut oldest = self.from.prepare_cached(
            "SELECT id FROM intents WHERE open = 0 AND updated_at < ?1 ORDER BY updated_at LIMIT 1",
        )?;
        let Some(id) = oldest.query_row([before], |row| row.get::<_, String>(0)).optional()? else {
            return Ok(false);
        };
        // A journal may have thousands of steps.
        let steps = self
            .from
            .prepare_cached(
                "DELETE FROM steps WHERE (run, seq) IN (SELECT run, seq FROM steps
                     WHERE run IN (SELECT id FROM runs WHERE intent = ?1) LIMIT ?2)",
            )?
            .execute(params![id, ROWS])?;
        if steps < ROWS as usize {
            self.from.prepare_cached("DELETE FROM runs WHERE intent = ?1")?.execute([&id])?;
            self.from.prepare_cached("DELETE FROM intents WHERE id = ?1")?.execute([&id])?;
            self.done.intents += 1;
        }
        Ok(true)
    }

    fn rows(&self, sql: &str, before: i64) -> Result<u64, Fault> {
        Ok(self.from.prepare_cached(sql)?.execute(params![before, ROWS])? as u64)
    }

    /// Deletes some sources that nothing goes by; answers whether there may be more.
    fn sources(&mut self, before: i64, keep: &[String]) -> Result<bool, Fault> {
        let mut old = self.from.prepare_cached("SELECT hash FROM sources WHERE used_at < ?1")?;
        let mut old: HashSet<String> =
            old.query_map([before], |row| row.get(0))?.collect::<Result<_, _>>()?;
        for hash in keep {
            old.remove(hash);
        }
        if old.is_empty() {
            return Ok(false);
        }
        let mut open = self
            .from
            .prepare_cached("SELECT json_extract(json, '$.source_hash') FROM runs WHERE open = 1")?;
        let mut rows = open.query([])?;
        while let Some(row) = rows.next()? {
            old.remove(&row.get::<_, Option<String>>(0)?.unwrap_or_default());
        }
        for hash in old.iter().take(ROWS as usize) {
            self.done.sources +=
                self.from.prepare_cached("DELETE FROM sources WHERE hash = ?1")?.execute([hash])? as u64;
        }
        Ok(old.len() > ROWS as usize)
    }

    fn used(&self) -> Result<u64, Fault> {
        Ok(used(self.from)?)
    }
}

/// Bytes that records take; what else the file holds is room for those to come.
pub(super) fn used(from: &Connection) -> rusqlite::Result<u64> {
    let number = |name: &str| from.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let used = number("page_count")?.saturating_sub(number("freelist_count")?) * number("page_size")?;
    Ok(used.max(0).unsigned_abs())
}

/// Joins the first blocks from number `from` on that fit into one; answers where to go on. None at the end, where
/// what is there waits for more to join.
fn join(blocks: &Transaction<'_>, from: i64) -> Result<Option<i64>, Fault> {
    let mut statement = blocks.prepare_cached(
        "SELECT seq, count, written_at, min_time, max_time, topics, raw_len, keys, payload
         FROM blocks WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![from, JOINED])?;
    let (mut joined, mut seqs, mut written_at): (Option<Block>, Vec<i64>, i64) = (None, Vec::new(), 0);
    let mut next = None;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let count: i64 = row.get(1)?;
        let raw_len: i64 = row.get(6)?;
        let hashes: Vec<u8> = row.get(7)?;
        let (ids, keys) = block::split(usize::try_from(count).unwrap_or(0), &hashes);
        let fits = joined.as_ref().is_none_or(|joined| {
            joined.ids.is_some() == ids.is_some()
                && joined.count as i64 + count <= block::MAX_COUNT as i64
                && joined.lines.len() as i64 + raw_len <= block::MAX_BYTES as i64
        });
        if !fits || seqs.len() as i64 == JOINED - 1 {
            next = Some(seq);
            break;
        }
        let payload = row.get_ref(8)?.as_blob().map_err(|error| Fault::Damaged(error.to_string()))?;
        let lines = match block::unpack(payload, usize::try_from(raw_len).unwrap_or(0)) {
            Ok(lines) if !lines.is_empty() => lines,
            // Left as it is, for `verify` to find; or its content was set aside, and only its numbers are left.
            _ => {
                next = Some(seq + count);
                break;
            }
        };
        let read = Block {
            count: usize::try_from(count).unwrap_or(0),
            min_time: row.get(3)?,
            max_time: row.get(4)?,
            topics: row.get(5)?,
            keys: keys.to_vec(),
            ids: ids.map(<[u8]>::to_vec),
            lines: lines.into_bytes(),
        };
        match &mut joined {
            Some(joined) => joined.append(&read),
            None => joined = Some(read),
        }
        seqs.push(seq);
        written_at = written_at.max(row.get(2)?);
    }
    if let (Some(joined), Some(_), [first, _, ..]) = (&joined, next, seqs.as_slice()) {
        for seq in &seqs {
            blocks.prepare_cached("DELETE FROM blocks WHERE seq = ?1")?.execute([seq])?;
        }
        put_block(blocks, *first, written_at, joined)?;
    }
    Ok(next)
}
