//! Retention: what is older than asked is deleted in portions of a few milliseconds, between which commits go on.
//!
//! The same round joins small blocks of events, as a quiet engine makes, to large ones: a block of one event takes
//! five times the space, and a query looks at every block.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::block::{self, Block};
use super::fault::Fault;
use super::writer::put_block;
use crate::store::{Prune, Pruned};

/// Blocks a portion: each may free two hundred pages.
const BLOCKS: i64 = 8;
/// Rows of other kinds a portion.
const ROWS: i64 = 64;
/// Blocks joined in one portion.
const JOINED: i64 = 1024;

/// Deletes one portion; answers whether more is left. `tidied` is where joining blocks goes on.
pub(super) fn portion(
    connection: &mut Connection,
    what: Prune,
    tidied: &mut i64,
) -> Result<(Pruned, bool), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut done = Pruned::default();
    let mut more = false;
    if let Some(before) = what.events {
        let (events, blocks) = blocks(&transaction, before.timestamp_micros())?;
        done.events = events;
        more |= blocks == BLOCKS;
    }
    if let Some(before) = what.intents {
        done.intents = intents(&transaction, before.timestamp_micros())?;
        more |= done.intents == ROWS as u64;
    }
    if let Some(before) = what.alerts {
        done.alerts = transaction
            .prepare_cached(
                "DELETE FROM alerts WHERE id IN
                 (SELECT id FROM alerts WHERE active = 0 AND updated_at < ?1 ORDER BY updated_at LIMIT ?2)",
            )?
            .execute(params![before.timestamp_micros(), ROWS])? as u64;
        more |= done.alerts == ROWS as u64;
    }
    if let Some(before) = what.timeline {
        done.timeline = transaction
            .prepare_cached(
                "DELETE FROM timeline WHERE id IN
                 (SELECT id FROM timeline WHERE at < ?1 ORDER BY at LIMIT ?2)",
            )?
            .execute(params![before.timestamp_micros(), ROWS])? as u64;
        more |= done.timeline == ROWS as u64;
    }
    let next = if more { None } else { join(&transaction, *tidied)? };
    transaction.commit()?;
    if let Some(next) = next {
        *tidied = next;
    }
    Ok((done, more || next.is_some()))
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
        let fits = joined.as_ref().is_none_or(|joined| {
            joined.count as i64 + count <= block::MAX_COUNT as i64
                && joined.lines.len() as i64 + raw_len <= block::MAX_BYTES as i64
        });
        if !fits || seqs.len() as i64 == JOINED - 1 {
            next = Some(seq);
            break;
        }
        let payload = row.get_ref(8)?.as_blob().map_err(|error| Fault::Damaged(error.to_string()))?;
        let Ok(lines) = block::unpack(payload, usize::try_from(raw_len).unwrap_or(0)) else {
            // Left as it is, for `verify` to find.
            next = Some(seq + count);
            break;
        };
        let read = Block {
            count: usize::try_from(count).unwrap_or(0),
            min_time: row.get(3)?,
            max_time: row.get(4)?,
            topics: row.get(5)?,
            keys: row.get(7)?,
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

fn blocks(from: &Transaction<'_>, before: i64) -> rusqlite::Result<(u64, i64)> {
    // The newest block always stays: the numbers of events go on from it.
    let mut oldest = from.prepare_cached(
        "SELECT seq, count, written_at FROM blocks
         WHERE seq < (SELECT max(seq) FROM blocks) ORDER BY seq LIMIT ?1",
    )?;
    let rows: Vec<(i64, i64, i64)> = oldest
        .query_map([BLOCKS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let (mut events, mut blocks) = (0, 0);
    for (seq, count, written_at) in rows {
        if written_at >= before {
            break;
        }
        from.prepare_cached("DELETE FROM blocks WHERE seq = ?1")?.execute([seq])?;
        from.prepare_cached("DELETE FROM notes WHERE first < ?1")?.execute([seq + count])?;
        events += count.unsigned_abs();
        blocks += 1;
    }
    Ok((events, blocks))
}

fn intents(from: &Transaction<'_>, before: i64) -> rusqlite::Result<u64> {
    let mut oldest = from.prepare_cached(
        "SELECT id FROM intents WHERE open = 0 AND updated_at < ?1 ORDER BY updated_at LIMIT ?2",
    )?;
    let ids: Vec<String> =
        oldest.query_map(params![before, ROWS], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in &ids {
        from.prepare_cached("DELETE FROM steps WHERE run IN (SELECT id FROM runs WHERE intent = ?1)")?
            .execute([id])?;
        from.prepare_cached("DELETE FROM runs WHERE intent = ?1")?.execute([id])?;
        from.prepare_cached("DELETE FROM intents WHERE id = ?1")?.execute([id])?;
    }
    Ok(ids.len() as u64)
}
