//! Finds one event by its id: through the hashes of ids beside each block, so that the log is not unpacked for it.

use std::borrow::Cow;
use std::io::Read;

use rusqlite::Connection;
use rusqlite::blob::Blob;
use serde::Deserialize;

use super::block;
use super::events::{event, unpack};
use super::fault::Fault;
use super::readers::go_on;
use crate::model::Event;

/// The latest event with this id, and its number; `hash` is that of the id. Blocks of a version that kept no hashes are
/// unpacked one at a time, and only lines that hold the id are read.
pub(super) fn find(from: &Connection, id: &str, hash: u32) -> Result<Option<(u64, Event)>, Fault> {
    // A transaction, so that blocks are not joined between the two looks at one.
    let moment = from.unchecked_transaction()?;
    // The length is told by the row's head: nothing else of the column is read for it.
    let mut statement =
        moment.prepare_cached("SELECT seq, count, length(keys), raw_len FROM blocks ORDER BY seq DESC")?;
    let mut rows = statement.query([])?;
    let (mut blob, mut ids): (Option<Blob<'_>>, Vec<u8>) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        go_on()?;
        let (seq, count, len, raw_len): (i64, u32, u32, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let count = count as usize;
        if block::has_ids(count, len as usize) {
            match &mut blob {
                Some(blob) => blob.reopen(seq)?,
                none => *none = Some(moment.blob_open("main", "blocks", "keys", seq, true)?),
            }
            ids.resize(count * 4, 0);
            if let Some(blob) = &mut blob {
                blob.read_exact(&mut ids).map_err(|error| Fault::Damaged(format!("block {seq}: {error}")))?;
            }
            let (fours, _) = ids.as_chunks::<4>();
            if !fours.contains(&hash.to_le_bytes()) {
                continue;
            }
        }
        if let Some(found) = within(&moment, seq, raw_len, id)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The last event with this id in one block.
fn within(from: &Connection, seq: i64, raw_len: i64, id: &str) -> Result<Option<(u64, Event)>, Fault> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let quoted = serde_json::to_string(id).map_err(|error| Fault::Invalid(error.to_string()))?;
    let payload: Vec<u8> = from
        .prepare_cached("SELECT payload FROM blocks WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let lines = unpack(seq, raw_len, &payload)?;
    if !lines.contains(&quoted) {
        return Ok(None);
    }
    for (number, line) in (seq..).zip(lines.lines()).collect::<Vec<_>>().into_iter().rev() {
        if line.contains(&quoted) && serde_json::from_str::<Id<'_>>(line).is_ok_and(|known| known.id == id) {
            return Ok(Some((number.unsigned_abs(), event(seq, line)?)));
        }
    }
    Ok(None)
}
