//! Rows that do not read are set aside: moved as they are into the table `quarantine`, in one transaction, never deleted.
//!
//! Only looked for once a read has failed, so that it costs nothing otherwise. A run goes with any step of it that does
//! not read, as without that step its playbook would do again what it has done; a block of events gives up its content
//! and keeps its numbers and its keys.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::block;
use super::fault::{Fault, Faults};
use crate::model::{Alert, Event, Intent, OutcomeRecord, Run, Step};
use crate::store::{Error, SetAside};

/// Made when it is needed first.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS quarantine (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,       -- the table that it comes from
    key TEXT NOT NULL,          -- its key there
    why TEXT NOT NULL,
    at INTEGER NOT NULL,        -- microseconds since 1970
    content BLOB NOT NULL       -- what could not be read, as it was
)";

/// A row that does not read, by its table, key and reason; `key` is written as SQL wants it.
struct Bad {
    origin: &'static str,
    key: Vec<Value>,
    why: String,
}

/// How each table is looked through: its name, its key columns, and what its JSON has to be.
type Look = (&'static str, &'static [&'static str], fn(&str) -> Result<(), serde_json::Error>);

const LOOKS: &[Look] = &[
    ("intents", &["id"], reads::<Intent>),
    ("runs", &["id"], reads::<Run>),
    ("steps", &["run", "seq"], reads::<Step>),
    ("outcomes", &["intent", "attempt"], reads::<OutcomeRecord>),
    ("alerts", &["id"], reads::<Alert>),
];

/// Looks through the database at `file` and sets aside what does not read.
pub(super) fn set_aside(file: &Path, faults: &Faults, at: i64) -> Result<Vec<SetAside>, Error> {
    let settle = |fault| faults.settle(fault);
    let mut connection = open(file).map_err(settle)?;
    let bad = look(&connection).map_err(settle)?;
    if bad.is_empty() {
        return Ok(Vec::new());
    }
    move_all(&mut connection, &bad, at).map_err(settle)?;
    let told = |it: Bad| SetAside {
        origin: it.origin,
        key: it.key.iter().map(plain).collect::<Vec<_>>().join("/"),
        why: it.why,
    };
    Ok(bad.into_iter().map(told).collect())
}

/// Sets aside what is kept under the name `key`.
pub(super) fn set_meta_aside(
    file: &Path,
    faults: &Faults,
    at: i64,
    key: &str,
    why: &str,
) -> Result<Vec<SetAside>, Error> {
    let bad = Bad { origin: "meta", key: vec![key.into()], why: why.into() };
    open(file)
        .and_then(|mut connection| move_all(&mut connection, &[bad], at))
        .map_err(|fault| faults.settle(fault))?;
    Ok(vec![SetAside { origin: "meta", key: key.into(), why: why.into() }])
}

fn open(file: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch("PRAGMA synchronous = FULL;")?;
    Ok(connection)
}

fn reads<T: DeserializeOwned>(json: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<T>(json).map(drop)
}

fn look(from: &Connection) -> Result<Vec<Bad>, Fault> {
    let mut bad = Vec::new();
    for (origin, key, reads) in LOOKS {
        let mut statement = from.prepare(&format!("SELECT json, {} FROM {origin}", key.join(", ")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let why = match row.get_ref(0)?.as_str() {
                Ok(json) => reads(json).err().map(|error| error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                bad.push(of(origin, row, key.len(), why)?);
            }
        }
    }
    // The run instead of its step; one that is set aside already leaves its steps where they are.
    let mut seen = std::collections::HashSet::new();
    for it in bad.iter_mut().filter(|it| it.origin == "steps") {
        it.origin = "runs";
        it.why = format!("its step {}: {}", plain(&it.key[1]), it.why);
        it.key.truncate(1);
    }
    let mut there = from.prepare("SELECT 1 FROM runs WHERE id = ?1")?;
    let mut kept = Vec::new();
    for it in bad {
        let is_run = it.origin == "runs";
        if !is_run || seen.insert(plain(&it.key[0])) && there.exists([plain(&it.key[0])])? {
            kept.push(it);
        }
    }
    kept.extend(look_at_events(from)?);
    Ok(kept)
}

fn look_at_events(from: &Connection) -> Result<Vec<Bad>, Fault> {
    let mut bad = Vec::new();
    let mut statement = from.prepare("SELECT payload, seq, raw_len FROM blocks")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let packed = row.get_ref(0)?.as_blob().map_err(|error| Fault::Damaged(error.to_string()))?;
        let raw_len = usize::try_from(row.get::<_, i64>(2)?).unwrap_or_default();
        let why = match block::unpack(packed, raw_len) {
            Ok(lines) => lines.lines().find_map(|line| reads::<Event>(line).err()).map(|it| it.to_string()),
            Err(why) => Some(why),
        };
        if let Some(why) = why {
            bad.push(of("blocks", row, 1, why)?);
        }
    }
    Ok(bad)
}

fn of(origin: &'static str, row: &Row<'_>, keys: usize, why: String) -> Result<Bad, Fault> {
    let key = |at: usize| -> rusqlite::Result<Value> {
        Ok(match row.get_ref(at)? {
            rusqlite::types::ValueRef::Integer(n) => n.into(),
            other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into(),
        })
    };
    let key = (1..=keys).map(key).collect::<rusqlite::Result<_>>()?;
    Ok(Bad { origin, key, why })
}

fn move_all(connection: &mut Connection, bad: &[Bad], at: i64) -> Result<(), Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLE)?;
    for it in bad {
        move_one(&transaction, it, at)?;
    }
    transaction.commit()?;
    Ok(())
}

fn move_one(to: &Transaction<'_>, bad: &Bad, at: i64) -> rusqlite::Result<()> {
    let Bad { origin, key, why } = bad;
    let name = key.iter().map(plain).collect::<Vec<_>>().join("/");
    let (content, columns): (&str, &[&str]) = match *origin {
        "blocks" => ("payload", &["seq"]),
        "meta" => ("value", &["key"]),
        "outcomes" => ("json", &["intent", "attempt"]),
        _ => ("json", &["id"]),
    };
    let place = columns.iter().enumerate().map(|(n, column)| format!("{column} = ?{}", n + 1));
    let place = place.collect::<Vec<_>>().join(" AND ");
    let keys = || {
        key.iter().map(|it| match it.as_i64() {
            Some(n) => rusqlite::types::Value::from(n),
            None => rusqlite::types::Value::from(plain(it)),
        })
    };
    let n = columns.len();
    let copy = format!(
        "INSERT INTO quarantine (origin, key, why, at, content)
         SELECT ?{}, ?{}, ?{}, ?{}, {content} FROM {origin} WHERE {place}",
        n + 1,
        n + 2,
        n + 3,
        n + 4
    );
    let also = [(*origin).to_owned().into(), name.into(), why.clone().into(), at.into()];
    to.execute(&copy, rusqlite::params_from_iter(keys().chain(also)))?;
    if *origin == "blocks" {
        // Its numbers and keys stay, so that what is known stays known.
        let seq = key.first().and_then(Value::as_i64);
        to.execute(
            "UPDATE blocks SET raw_len = 0, payload = ?2 WHERE seq = ?1",
            params![seq, block::pack(b"")],
        )?;
    } else {
        to.execute(&format!("DELETE FROM {origin} WHERE {place}"), rusqlite::params_from_iter(keys()))?;
    }
    Ok(())
}

fn plain(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}
