//! The one thread that writes: everything that waits goes into one transaction and one sync of the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::block::{self, Block};
use super::encode::Row;
use super::fault::{Fault, Faults};
use super::prune;
use super::queue::{Next, Queue, Unit};
use crate::model::Clock;
use crate::platform::supervisor;
use crate::store::Error;

/// The log file is cut back when it is larger than this, which happens only while long reads hold it.
const WAL_LIMIT: u64 = 64 << 20;
/// Groups between two looks at the log file's size.
const WAL_EVERY: u32 = 64;

/// The writing thread's own.
pub(super) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    faults: Faults,
    clock: Clock,
    wal: PathBuf,
    next_seq: i64,
    groups: u32,
    tidied: i64,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        queue: Arc<Queue>,
        faults: Faults,
        clock: Clock,
        wal: PathBuf,
    ) -> Result<Self, Error> {
        connection.busy_timeout(Duration::from_secs(5)).map_err(|error| faults.of(&error))?;
        let next_seq = connection
            .query_row("SELECT seq + count FROM blocks ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(1),
                error => Err(faults.of(&error)),
            })?;
        Ok(Self { connection, queue, faults, clock, wal, next_seq, groups: 0, tidied: 0 })
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // Whatever ends this thread, nobody must wait for it for ever.
        let _guard = Abandon(Arc::clone(&self.queue));
        loop {
            let next = self.queue.next();
            supervisor::is_struck("store-writer");
            match next {
                Next::Group(units) => self.group(units),
                Next::Prune(what, done) => {
                    let answer = prune::portion(&mut self.connection, &what, &mut self.tidied);
                    // Who asked may be gone.
                    drop(done.send(answer.map_err(|fault| self.faults.settle(fault))));
                }
                Next::Stop => return,
            }
        }
    }

    fn group(&mut self, units: Vec<Unit>) {
        let bytes = units.iter().map(|unit| unit.bytes).sum();
        let mut answers = Vec::with_capacity(units.len());
        let mut rows = Vec::with_capacity(units.len());
        for unit in units {
            answers.push((unit.rows.is_empty(), unit.done));
            rows.extend(unit.rows);
        }
        let answer = if rows.is_empty() {
            Ok(())
        } else {
            match catch_unwind(AssertUnwindSafe(|| self.write(rows))) {
                Ok(answer) => answer.map_err(|fault| self.faults.settle(fault)),
                Err(_) => Err(self.faults.io("the writer panicked; see the log")),
            }
        };
        if let Err(error) = &answer {
            tracing::error!(commits = answers.len(), "could not keep a group of commits: {error}");
        }
        for (is_empty, done) in answers {
            // Nothing is kept or lost of an empty one: it asks only that all before it is settled, and that it is.
            done.settle(if is_empty { Ok(()) } else { answer.clone() });
        }
        self.queue.written(bytes);
        self.bound_wal();
    }

    fn write(&mut self, rows: Vec<Row>) -> Result<(), Fault> {
        // Dropped on the way out of any failure, which rolls it back.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = self.clock.now().timestamp_micros();
        let mut next_seq = self.next_seq;
        let mut open: Option<Block> = None;
        // The number of the next event, those of the open block counted.
        let mut number = next_seq;
        for row in rows {
            let block = match row {
                Row::Events(block) => block,
                Row::Notes { about, raw_len, payload } => {
                    execute(
                        &transaction,
                        "INSERT INTO notes (first, count, raw_len, payload) VALUES (?1, ?2, ?3, ?4)",
                        params![number - about, about, raw_len, payload],
                    )?;
                    continue;
                }
                row => {
                    put(&transaction, row, now)?;
                    continue;
                }
            };
            number += block.count as i64;
            match &mut open {
                Some(open) if open.has_room_for(&block) => open.append(&block),
                open => {
                    if let Some(full) = open.replace(block) {
                        next_seq = put_block(&transaction, next_seq, now, &full)?;
                    }
                }
            }
        }
        if let Some(last) = open {
            next_seq = put_block(&transaction, next_seq, now, &last)?;
        }
        failpoint_before(&self.faults)?;
        transaction.commit()?;
        self.next_seq = next_seq;
        failpoint_after(&self.faults)
    }

    fn bound_wal(&mut self) {
        self.groups = self.groups.wrapping_add(1);
        let large = || std::fs::metadata(&self.wal).is_ok_and(|file| file.len() > WAL_LIMIT);
        if !self.groups.is_multiple_of(WAL_EVERY) || !large() {
            return;
        }
        // Waits for readers only a moment; if they hold on, the next look tries again.
        let cut = self
            .connection
            .busy_timeout(Duration::from_millis(20))
            .and_then(|()| self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = cut.and_then(|()| self.connection.busy_timeout(Duration::from_secs(5))) {
            tracing::warn!("could not cut the store's log back: {error}");
        }
    }
}

/// Closes the queue when the writer ends, however it ends.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn failpoint_before(_faults: &Faults) -> Result<(), Fault> {
    #[cfg(test)]
    _faults.strike(crate::store::conformance::Fate::Lost)?;
    fail::fail_point!("store::before_commit", |what| Err(_faults.injected(what.as_deref())));
    Ok(())
}

fn failpoint_after(_faults: &Faults) -> Result<(), Fault> {
    #[cfg(test)]
    _faults.strike(crate::store::conformance::Fate::KeptUnseen)?;
    fail::fail_point!("store::after_commit", |what| Err(_faults.injected(what.as_deref())));
    Ok(())
}

pub(super) fn put_block(to: &Transaction<'_>, seq: i64, now: i64, block: &Block) -> rusqlite::Result<i64> {
    to.prepare_cached(
        "INSERT INTO blocks (seq, count, written_at, min_time, max_time, topics, raw_len, keys, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        seq,
        block.count as i64,
        now,
        block.min_time,
        block.max_time,
        block.topics,
        block.lines.len() as i64,
        block.hashes(),
        block::pack(&block.lines),
    ])?;
    Ok(seq + block.count as i64)
}

fn put(to: &Transaction<'_>, row: Row, now: i64) -> rusqlite::Result<()> {
    match row {
        Row::Events(_) | Row::Notes { .. } => Ok(()),
        Row::Intent { id, open, status, rule, target, at, json } => {
            // Mostly only the status changes: then the indexes by rule and target need not be touched.
            let changed = to
                .prepare_cached(
                    "UPDATE intents SET open = ?2, status = ?3, updated_at = ?6, json = ?7
                     WHERE id = ?1 AND rule = ?4 AND target = ?5",
                )?
                .execute(params![id, open, status, rule, target, at, json])?;
            if changed > 0 {
                return Ok(());
            }
            execute(
                to,
                "INSERT INTO intents (id, open, status, rule, target, updated_at, json)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO UPDATE SET open = excluded.open, status = excluded.status, rule = excluded.rule,
                     target = excluded.target, updated_at = excluded.updated_at, json = excluded.json",
                params![id, open, status, rule, target, at, json],
            )
        }
        Row::Run { id, intent, open, json } => execute(
            to,
            "INSERT INTO runs (id, intent, open, json) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET open = excluded.open, json = excluded.json",
            params![id, intent, open, json],
        ),
        Row::Step { run, seq, json } => execute(
            to,
            "INSERT INTO steps (run, seq, json) VALUES (?1, ?2, ?3)
             ON CONFLICT (run, seq) DO UPDATE SET json = excluded.json",
            params![run, seq, json],
        ),
        Row::Outcome { intent, attempt, at, number, json } => execute(
            to,
            "INSERT INTO outcomes (intent, attempt, at, number, json) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (intent, attempt) DO UPDATE
                 SET at = excluded.at, number = excluded.number, json = excluded.json",
            params![intent, attempt, at, number, json],
        ),
        Row::Alert { id, active, at, json } => execute(
            to,
            "INSERT INTO alerts (id, active, updated_at, json) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE
                 SET active = excluded.active, updated_at = excluded.updated_at, json = excluded.json",
            params![id, active, at, json],
        ),
        Row::Source { hash, text } => execute(
            to,
            "INSERT INTO sources (hash, text, used_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (hash) DO UPDATE SET used_at = excluded.used_at",
            params![hash, text, now],
        ),
        Row::Meta { key, value } => execute(
            to,
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            params![key, value],
        ),
        Row::RemoveMeta { key } => execute(to, "DELETE FROM meta WHERE key = ?1", [key]),
        Row::Timeline { at, kind, data } => {
            execute(to, "INSERT INTO timeline (at, kind, data) VALUES (?1, ?2, ?3)", params![at, kind, data])
        }
    }
}

fn execute(to: &Transaction<'_>, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
    to.prepare_cached(sql)?.execute(params).map(|_| ())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::schema;
    use super::*;
    use crate::store::Commit;

    fn unit(size: usize) -> (Unit, Commit) {
        let (done, commit) = Commit::pair();
        let rows = vec![Row::Meta { key: format!("k{size}"), value: "x".repeat(size) }];
        (Unit { rows, bytes: size, done }, commit)
    }

    #[test]
    fn a_full_disk_is_told_to_the_whole_group_and_the_writer_goes_on_when_there_is_space() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("paramedic.db");
        let faults = Faults::new(home.path(), &file);
        let connection = schema::open_writer(&file, &faults, true).unwrap();
        // SQLite's own limit fails just as a full disk does.
        connection.execute_batch("PRAGMA max_page_count = 100").unwrap();
        let mut writer = Writer::new(connection, Arc::default(), faults, Clock::system(), file).unwrap();
        let ((small, first), (large, second)) = (unit(10), unit(1 << 20));
        writer.group(vec![small, large]);
        let full = Some(Err(Error::Full(home.path().into())));
        assert_eq!((first.now_or_never(), second.now_or_never()), (full.clone(), full));
        let kept: i64 =
            writer.connection.query_row("SELECT count(*) FROM meta", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 0, "what was told to have failed is not kept");
        let (small, third) = unit(10);
        writer.group(vec![small]);
        assert_eq!(third.now_or_never(), Some(Ok(())));
    }
}
