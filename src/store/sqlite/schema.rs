//! The tables, and how an older file becomes a newer one.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::fault::Faults;
use crate::store::Error;

/// Marks a file as ours: `PMDC`.
const APPLICATION_ID: i64 = 0x504d_4443;

/// Statement `n` takes schema `n` to `n + 1`. Never change one that was released; append.
const MIGRATIONS: &[&str] = &[
    // The columns by which a block is skipped stand before the large ones, so that they lie on the row's first page.
    "CREATE TABLE blocks (
        seq INTEGER PRIMARY KEY,      -- of the first event
        count INTEGER NOT NULL,
        written_at INTEGER NOT NULL,  -- this and all times: microseconds since 1970
        min_time INTEGER NOT NULL,
        max_time INTEGER NOT NULL,
        topics TEXT,                  -- one a line; NULL: too many to list
        raw_len INTEGER NOT NULL,
        keys BLOB NOT NULL,           -- idempotency keys, 8 bytes each, little endian; see `Block::hashes` for what stands before them
        payload BLOB NOT NULL         -- lz4 block of JSON lines
    );
    CREATE TABLE intents (
        id TEXT PRIMARY KEY,
        open INTEGER NOT NULL,
        status TEXT NOT NULL,
        rule TEXT NOT NULL,
        target TEXT NOT NULL,
        updated_at INTEGER NOT NULL,
        json TEXT NOT NULL
    );
    CREATE INDEX intents_open ON intents (id) WHERE open = 1;
    CREATE INDEX intents_closed ON intents (updated_at) WHERE open = 0;
    CREATE INDEX intents_status ON intents (status, id);
    CREATE INDEX intents_rule ON intents (rule, id);
    CREATE INDEX intents_target ON intents (target, id);
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        intent TEXT NOT NULL,
        open INTEGER NOT NULL,
        json TEXT NOT NULL
    );
    CREATE INDEX runs_open ON runs (id) WHERE open = 1;
    CREATE INDEX runs_intent ON runs (intent, id);
    CREATE TABLE steps (
        run TEXT NOT NULL,
        seq INTEGER NOT NULL,
        json TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) WITHOUT ROWID;
    CREATE TABLE outcomes (
        intent TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        at INTEGER NOT NULL,
        json TEXT NOT NULL,
        PRIMARY KEY (intent, attempt)
    ) WITHOUT ROWID;
    CREATE INDEX outcomes_at ON outcomes (at);
    CREATE TABLE alerts (
        id TEXT PRIMARY KEY,
        active INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        json TEXT NOT NULL
    );
    CREATE INDEX alerts_at ON alerts (active, updated_at);
    CREATE TABLE sources (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE timeline (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL
    );
    CREATE INDEX timeline_at ON timeline (at);",
    "CREATE TABLE notes (
        first INTEGER PRIMARY KEY,    -- number of the first event that it is about
        count INTEGER NOT NULL,
        raw_len INTEGER NOT NULL,
        payload BLOB NOT NULL         -- lz4 block of text
    );",
    // When a source was last handed in, so that those of playbooks and rules that are gone can go too.
    "ALTER TABLE sources ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
     UPDATE sources SET used_at = unixepoch() * 1000000;",
    // The place of an outcome among those that teach: what was learned is kept with the number it goes up to.
    "ALTER TABLE outcomes ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
     UPDATE outcomes SET number = placed.number
         FROM (SELECT intent, attempt, row_number() OVER (ORDER BY at, intent, attempt) AS number FROM outcomes) AS placed
         WHERE outcomes.intent = placed.intent AND outcomes.attempt = placed.attempt;
     CREATE INDEX outcomes_number ON outcomes (number) WHERE number > 0;",
];

/// Pages of 4 KiB after which the writer moves the log into the file: 16 MiB, a few milliseconds of copying.
const CHECKPOINT_PAGES: i64 = 4096;

/// Opens the file for writing, making or upgrading it as needed. `durable` is false only for throw-away stores.
pub(super) fn open_writer(file: &Path, faults: &Faults, durable: bool) -> Result<Connection, Error> {
    let wrap = |error| faults.of(&error);
    let mut connection = Connection::open(file).map_err(wrap)?;
    connection.set_prepared_statement_cache_capacity(64);
    let application: i64 =
        connection.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(wrap)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(wrap)?;
    let known = MIGRATIONS.len() as i64;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(wrap)?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        return Err(Error::NotOurs(file.into()));
    }
    if version > known {
        return Err(Error::TooNew { file: file.into(), found: version, known });
    }
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {}; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
             PRAGMA journal_size_limit = {}; PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;",
            if durable { "FULL" } else { "OFF" },
            CHECKPOINT_PAGES * 4096,
        ))
        .map_err(wrap)?;
    for (at, migration) in MIGRATIONS.iter().enumerate().skip(usize::try_from(version).unwrap_or(0)) {
        let step = connection.transaction().map_err(wrap)?;
        step.execute_batch(migration).map_err(wrap)?;
        step.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
            at + 1
        ))
        .map_err(wrap)?;
        step.commit().map_err(wrap)?;
    }
    Ok(connection)
}

/// Opens the file for reading beside the writer.
pub(super) fn open_reader(file: &Path, faults: &Faults) -> Result<Connection, Error> {
    let wrap = |error| faults.of(&error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(wrap)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -512;").map_err(wrap)?;
    Ok(connection)
}
