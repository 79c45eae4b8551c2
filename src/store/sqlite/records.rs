//! Reads of everything but events.

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row, params, params_from_iter};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::block;
use super::fault::Fault;
use super::readers::go_on;
use crate::model::clock::micros;
use crate::model::{Alert, Intent, IntentId, OutcomeRecord, Run, RunId, RunStatus, Step, Time};
use crate::store::{Counts, Entry, IntentQuery, OpenRun, PAGE_BYTES, Page};

pub(super) fn open_intents(from: &Connection, each: &mut dyn FnMut(Intent)) -> Result<u64, Fault> {
    let mut statement = from.prepare_cached("SELECT json FROM intents WHERE open = 1 ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut given = 0;
    while let Some(row) = rows.next()? {
        each(parse(json(row, 0)?)?);
        given += 1;
    }
    Ok(given)
}

/// In pages, each with a snapshot of its own, so that a long read does not hold the log file.
pub(super) fn ended_since(
    from: &Connection,
    since: Time,
    wanted: &mut dyn FnMut(&str, Time) -> bool,
    each: &mut dyn FnMut(Intent),
) -> Result<u64, Fault> {
    const PAGE: i64 = 1_000;
    let mut statement = from.prepare_cached(
        "SELECT updated_at, id, rule, json FROM intents
         WHERE open = 0 AND updated_at >= ?1 AND (updated_at, id) > (?1, ?2) ORDER BY updated_at, id LIMIT ?3",
    )?;
    let (mut at, mut id, mut given) = (since.timestamp_micros(), String::new(), 0);
    loop {
        let mut rows = statement.query(params![at, id, PAGE])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            read += 1;
            (at, id) = (row.get(0)?, row.get(1)?);
            let rule = row.get_ref(2)?.as_str().map_err(|error| Fault::Damaged(error.to_string()))?;
            if wanted(rule, micros(at)) {
                each(parse(json(row, 3)?)?);
                given += 1;
            }
        }
        if read < PAGE {
            return Ok(given);
        }
    }
}

pub(super) fn oldest_ended(from: &Connection) -> Result<Option<Time>, Fault> {
    let mut first =
        from.prepare_cached("SELECT updated_at FROM intents WHERE open = 0 ORDER BY updated_at LIMIT 1")?;
    Ok(first.query_row([], |row| row.get(0)).optional()?.map(micros))
}

pub(super) fn intent(from: &Connection, id: IntentId) -> Result<Option<Intent>, Fault> {
    one(from, "SELECT json FROM intents WHERE id = ?1", [id.to_string()])
}

pub(super) fn intents(from: &Connection, query: IntentQuery) -> Result<Page<Intent>, Fault> {
    let limit = if query.limit == 0 { 100 } else { query.limit.min(10_000) };
    let mut sql = String::from("SELECT json FROM intents WHERE 1");
    let mut values: Vec<Sql> = Vec::new();
    if let Some(cursor) = query.cursor {
        let id: IntentId = cursor.parse().map_err(|_| no_cursor(&cursor))?;
        sql.push_str(" AND id < ?");
        values.push(id.to_string().into());
    }
    // Written out and not bound, so that the partial indexes apply.
    match query.open {
        Some(true) => sql.push_str(" AND open = 1"),
        Some(false) => sql.push_str(" AND open = 0"),
        None => {}
    }
    let status = query.status.map(|status| status.as_str().to_owned());
    for (column, value) in [("status", status), ("rule", query.rule), ("target", query.target)] {
        if let Some(value) = value {
            sql.push_str(&format!(" AND {column} = ?"));
            values.push(value.into());
        }
    }
    // With a bound, the planner goes by an index in this order and sorts nothing.
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push((limit as i64 + 1).into());
    page(from, &sql, params_from_iter(values), limit, |last: &Intent| last.id.to_string())
}

pub(super) fn open_runs_of(from: &Connection, intent: IntentId) -> Result<Vec<Run>, Fault> {
    all(from, "SELECT json FROM runs WHERE intent = ?1 AND open = 1 ORDER BY id", [intent.to_string()])
}

pub(super) fn runs_page(
    from: &Connection,
    intent: IntentId,
    limit: usize,
    cursor: Option<String>,
) -> Result<Page<Run>, Fault> {
    // Greater than any id where there is no cursor.
    let before = match cursor {
        Some(text) => text.parse::<RunId>().map_err(|_| no_cursor(&text))?.to_string(),
        None => "~".into(),
    };
    let sql = "SELECT json FROM runs WHERE intent = ?1 AND id < ?2 ORDER BY id DESC";
    page(from, sql, [intent.to_string(), before], limit, |last: &Run| last.id.to_string())
}

pub(super) fn steps_page(
    from: &Connection,
    run: RunId,
    limit: usize,
    cursor: Option<String>,
) -> Result<Page<Step>, Fault> {
    let after = match cursor {
        Some(text) => i64::from(text.parse::<u32>().map_err(|_| no_cursor(&text))?),
        None => -1,
    };
    let sql = "SELECT json FROM steps WHERE run = ?1 AND seq > ?2 ORDER BY seq";
    page(from, sql, rusqlite::params![run.to_string(), after], limit, |last: &Step| last.seq.to_string())
}

/// The first rows of an answer, as many as fit a page.
fn page<T: DeserializeOwned>(
    from: &Connection,
    sql: &str,
    params: impl Params,
    limit: usize,
    cursor: impl Fn(&T) -> String,
) -> Result<Page<T>, Fault> {
    let mut statement = from.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        go_on()?;
        let json = json(row, 0)?;
        if items.len() >= limit || (bytes > 0 && bytes + json.len() > PAGE_BYTES) {
            let next_cursor = items.last().map(cursor);
            return Ok(Page { items, next_cursor });
        }
        bytes += json.len();
        items.push(parse(json)?);
    }
    Ok(Page { items, next_cursor: None })
}

fn no_cursor(text: &str) -> Fault {
    Fault::Invalid(format!("`{text}` is not a cursor: take `next_cursor` of the page before"))
}

pub(super) fn open_runs(from: &Connection, each: &mut dyn FnMut(OpenRun)) -> Result<u64, Fault> {
    /// As much of a run as is wanted; what its playbook was given may be large.
    #[derive(Deserialize)]
    struct Head {
        id: RunId,
        intent: IntentId,
        status: RunStatus,
        deadline: Time,
    }
    let mut statement = from.prepare_cached(
        "SELECT json, (SELECT json FROM steps WHERE run = runs.id ORDER BY seq DESC LIMIT 1)
         FROM runs WHERE open = 1 ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut given = 0;
    while let Some(row) = rows.next()? {
        let Head { id, intent, status, deadline } = parse(json(row, 0)?)?;
        let last = match row.get_ref(1)? {
            ValueRef::Null => None,
            _ => Some(parse(json(row, 1)?)?),
        };
        each(OpenRun { id, intent, status, deadline, last });
        given += 1;
    }
    Ok(given)
}

pub(super) fn run_and_steps(from: &Connection, id: RunId) -> Result<Option<(Run, Vec<Step>)>, Fault> {
    // A transaction, so that nothing is written between the two.
    let moment = from.unchecked_transaction()?;
    let found = match run(&moment, id)? {
        Some(run) => Some((run, steps(&moment, id)?)),
        None => None,
    };
    moment.finish()?;
    Ok(found)
}

pub(super) fn run(from: &Connection, id: RunId) -> Result<Option<Run>, Fault> {
    one(from, "SELECT json FROM runs WHERE id = ?1", [id.to_string()])
}

pub(super) fn runs_of(from: &Connection, intent: IntentId) -> Result<Vec<Run>, Fault> {
    all(from, "SELECT json FROM runs WHERE intent = ?1 ORDER BY id", [intent.to_string()])
}

pub(super) fn steps(from: &Connection, run: RunId) -> Result<Vec<Step>, Fault> {
    all(from, "SELECT json FROM steps WHERE run = ?1 ORDER BY seq", [run.to_string()])
}

pub(super) fn outcomes_since(from: &Connection, since: Time) -> Result<Vec<OutcomeRecord>, Fault> {
    all(
        from,
        "SELECT json FROM outcomes WHERE at >= ?1 ORDER BY at, intent, attempt",
        [since.timestamp_micros()],
    )
}

pub(super) fn outcomes_after(
    from: &Connection,
    after: u64,
    each: &mut dyn FnMut(OutcomeRecord),
) -> Result<u64, Fault> {
    let mut statement =
        from.prepare_cached("SELECT number, json FROM outcomes WHERE number > ?1 ORDER BY number")?;
    let mut rows = statement.query([i64::try_from(after).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let number = row.get::<_, i64>(0)?.max(0).unsigned_abs();
        each(OutcomeRecord { number, ..parse(json(row, 1)?)? });
    }
    let mut last = from.prepare_cached("SELECT coalesce(max(number), 0) FROM outcomes WHERE number > 0")?;
    Ok(last.query_row([], |row| row.get::<_, i64>(0))?.max(0).unsigned_abs())
}

pub(super) fn outcomes_of(from: &Connection, intent: IntentId) -> Result<Vec<OutcomeRecord>, Fault> {
    all(from, "SELECT json FROM outcomes WHERE intent = ?1 ORDER BY attempt", [intent.to_string()])
}

pub(super) fn alerts(from: &Connection, active_only: bool, limit: usize) -> Result<Vec<Alert>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = if active_only {
        "SELECT json FROM alerts WHERE active = 1 ORDER BY updated_at DESC, id DESC LIMIT ?1"
    } else {
        "SELECT json FROM alerts ORDER BY updated_at DESC, id DESC LIMIT ?1"
    };
    all(from, sql, [limit])
}

pub(super) fn source(from: &Connection, hash: &str) -> Result<Option<String>, Fault> {
    let mut statement = from.prepare_cached("SELECT text FROM sources WHERE hash = ?1")?;
    let mut rows = statement.query([hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let damaged = |why: String| Fault::Damaged(format!("source {hash}: {why}"));
    match row.get_ref(0)? {
        ValueRef::Blob(bytes) => {
            let (len, packed) = bytes.split_first_chunk().ok_or_else(|| damaged("it is cut short".into()))?;
            block::unpack(packed, u32::from_le_bytes(*len) as usize).map(Some).map_err(damaged)
        }
        plain => Ok(Some(plain.as_str().map_err(|error| damaged(error.to_string()))?.to_owned())),
    }
}

pub(super) fn meta(from: &Connection, key: &str) -> Result<Option<String>, Fault> {
    text(from, "SELECT value FROM meta WHERE key = ?1", [key])
}

pub(super) fn metas(from: &Connection, prefix: &str) -> Result<Vec<(String, String)>, Fault> {
    // The key is the table's order, so the scan begins at the prefix and ends behind it.
    let mut statement = from.prepare_cached("SELECT key, value FROM meta WHERE key >= ?1 ORDER BY key")?;
    let mut rows = statement.query([prefix])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key: String = row.get(0)?;
        if !key.starts_with(prefix) {
            break;
        }
        found.push((key, row.get(1)?));
    }
    Ok(found)
}

pub(super) fn timeline(from: &Connection, limit: usize) -> Result<Vec<Entry>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement =
        from.prepare_cached("SELECT at, kind, data FROM timeline ORDER BY at DESC, id DESC LIMIT ?1")?;
    let mut rows = statement.query([limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let data: String = row.get(2)?;
        entries.push(Entry { at: micros(row.get(0)?), kind: row.get(1)?, data: parse(&data)? });
    }
    Ok(entries)
}

pub(super) fn counts(from: &Connection) -> Result<Counts, Fault> {
    let number = |sql: &str| -> Result<u64, Fault> {
        let n: Option<i64> = from.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(n.unwrap_or(0).max(0).unsigned_abs())
    };
    Ok(Counts {
        // Numbers have no gaps: blocks are only ever taken from the front.
        events: number(
            "SELECT (SELECT seq + count FROM blocks ORDER BY seq DESC LIMIT 1) - (SELECT min(seq) FROM blocks)",
        )?,
        open_intents: number("SELECT count(*) FROM intents WHERE open = 1")?,
        intents: number("SELECT count(*) FROM intents")?,
        runs: number("SELECT count(*) FROM runs")?,
        outcomes: number("SELECT count(*) FROM outcomes")?,
        active_alerts: number("SELECT count(*) FROM alerts WHERE active = 1")?,
        bytes: 0,
        used: 0,
    })
}

fn all<T: DeserializeOwned>(from: &Connection, sql: &str, params: impl Params) -> Result<Vec<T>, Fault> {
    let mut statement = from.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        go_on()?;
        found.push(parse(json(row, 0)?)?);
    }
    Ok(found)
}

fn json<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r str, Fault> {
    row.get_ref(column)?.as_str().map_err(|error| Fault::Damaged(error.to_string()))
}

fn one<T: DeserializeOwned>(from: &Connection, sql: &str, params: impl Params) -> Result<Option<T>, Fault> {
    text(from, sql, params)?.map(|json| parse(&json)).transpose()
}

fn text(from: &Connection, sql: &str, params: impl Params) -> Result<Option<String>, Fault> {
    Ok(from.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()?)
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|error| Fault::Damaged(format!("a record does not read: {error}")))
}
