//! Writes as rows: all JSON is made on the thread that hands it in, so that the one writer only writes.

use crate::model::alert::AlertStatus;
use crate::model::{Alert, Intent, OutcomeRecord, Run, Step};
use crate::store::{EventKey, Write};

use super::block::{self, Block};

/// A row, ready to be stored.
#[derive(Debug)]
pub(super) enum Row {
    Events(Block),
    Notes {
        about: i64,
        raw_len: i64,
        payload: Vec<u8>,
    },
    Intent {
        id: String,
        open: bool,
        status: &'static str,
        rule: String,
        target: String,
        at: i64,
        json: String,
    },
    Run {
        id: String,
        intent: String,
        open: bool,
        json: String,
    },
    Step {
        run: String,
        seq: u32,
        json: String,
    },
    Outcome {
        intent: String,
        attempt: u32,
        at: i64,
        number: i64,
        json: String,
    },
    Alert {
        id: String,
        active: bool,
        at: i64,
        json: String,
    },
    Source {
        hash: String,
        text: Source,
    },
    Meta {
        key: String,
        value: String,
    },
    RemoveMeta {
        key: String,
    },
    Timeline {
        at: i64,
        kind: String,
        data: String,
    },
}

/// A source as it is kept.
#[derive(Debug)]
pub(super) enum Source {
    /// As it is.
    Plain(String),
    /// Its length in four bytes, little endian, and an lz4 block.
    Packed(Vec<u8>),
}

/// Sources from this size on are packed: all rules of a large set are one.
const PACKED: usize = 16 << 10;

impl Source {
    fn of(text: String) -> Self {
        match u32::try_from(text.len()) {
            Ok(len) if text.len() >= PACKED => {
                Self::Packed([&len.to_le_bytes()[..], &block::pack(text.as_bytes())].concat())
            }
            _ => Self::Plain(text),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Packed(bytes) => bytes.len(),
        }
    }
}

impl rusqlite::ToSql for Source {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Plain(text) => text.to_sql(),
            Self::Packed(bytes) => bytes.to_sql(),
        }
    }
}

/// `writes` as rows, and how many bytes they hold about.
pub(super) fn encode(writes: Vec<Write>, key: &EventKey) -> Result<(Vec<Row>, usize), serde_json::Error> {
    let mut rows = Vec::with_capacity(writes.len());
    for write in writes {
        match write {
            Write::Events(events) => rows.extend(Block::of(&events, key)?.into_iter().map(Row::Events)),
            Write::Notes { about, text } => rows.push(Row::Notes {
                about: about as i64,
                raw_len: text.len() as i64,
                payload: block::pack(text.as_bytes()),
            }),
            Write::Intent(intent) => rows.push(of_intent(&intent)?),
            Write::Run(run) => rows.push(of_run(&run)?),
            Write::Steps(steps) => {
                for step in &steps {
                    rows.push(of_step(step)?);
                }
            }
            Write::Outcome(outcome) => rows.push(of_outcome(&outcome)?),
            Write::Alert(alert) => rows.push(of_alert(&alert)?),
            Write::Source { hash, text } => rows.push(Row::Source { hash, text: Source::of(text) }),
            Write::Meta { key, value } => rows.push(Row::Meta { key, value }),
            Write::RemoveMeta { key } => rows.push(Row::RemoveMeta { key }),
            Write::Timeline { at, kind, data } => {
                rows.push(Row::Timeline { at: at.timestamp_micros(), kind, data: data.to_string() });
            }
        }
    }
    let bytes = rows.iter().map(Row::bytes).sum();
    Ok((rows, bytes))
}

impl Row {
    fn bytes(&self) -> usize {
        // What a row costs beside its text.
        const ROW: usize = 128;
        ROW + match self {
            Self::Events(block) => block.lines.len() + block.keys.len() + block.count * 4,
            Self::Notes { payload, .. } => payload.len(),
            Self::Intent { json, .. }
            | Self::Run { json, .. }
            | Self::Step { json, .. }
            | Self::Outcome { json, .. }
            | Self::Alert { json, .. } => json.len(),
            Self::Source { text, .. } => text.bytes(),
            Self::Meta { value, .. } => value.len(),
            Self::RemoveMeta { key } => key.len(),
            Self::Timeline { data, .. } => data.len(),
        }
    }
}

fn of_intent(intent: &Intent) -> Result<Row, serde_json::Error> {
    Ok(Row::Intent {
        id: intent.id.to_string(),
        open: intent.status.is_open(),
        status: intent.status.as_str(),
        rule: intent.rule.clone(),
        target: intent.target.clone(),
        at: intent.updated_at.timestamp_micros(),
        json: serde_json::to_string(intent)?,
    })
}

fn of_run(run: &Run) -> Result<Row, serde_json::Error> {
    Ok(Row::Run {
        id: run.id.to_string(),
        intent: run.intent.to_string(),
        open: run.status.is_open(),
        json: serde_json::to_string(run)?,
    })
}

fn of_step(step: &Step) -> Result<Row, serde_json::Error> {
    Ok(Row::Step { run: step.run.to_string(), seq: step.seq, json: serde_json::to_string(step)? })
}

fn of_outcome(outcome: &OutcomeRecord) -> Result<Row, serde_json::Error> {
    Ok(Row::Outcome {
        intent: outcome.intent.to_string(),
        attempt: outcome.attempt,
        at: outcome.at.timestamp_micros(),
        number: i64::try_from(outcome.number).unwrap_or(i64::MAX),
        json: serde_json::to_string(outcome)?,
    })
}

fn of_alert(alert: &Alert) -> Result<Row, serde_json::Error> {
    Ok(Row::Alert {
        id: alert.id.to_string(),
        active: alert.status != AlertStatus::Resolved,
        at: alert.updated_at.timestamp_micros(),
        json: serde_json::to_string(alert)?,
    })
}
