//! Events from the body and headers of an HTTP request: CloudEvents 1.0 in all its forms, plain JSON, JSON lines.
//!
//! All or nothing: one event that does not read refuses the whole body, and the refusal says which and why. Where
//! the content type says CloudEvents, its rules are kept to; plain JSON is read with good will. The payload stays
//! text. Start with [`decode`].

use std::fmt;

use serde_json::value::RawValue;

use crate::model::{Event, Time};

mod base64;
mod binary;
mod depth;
mod draft;
mod members;

use draft::{Draft, Fault, Form};
use members::Members;

/// Longest event as JSON text, in bytes.
pub const MAX_EVENT: usize = 1 << 20;
/// Most events in one body; as values they take a few hundred bytes each.
pub const MAX_EVENTS: usize = 200_000;

/// Why a body was refused. Nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// What sort of refusal.
    pub kind: Kind,
    /// Which event.
    pub place: Option<Place>,
    /// Which field of it.
    pub field: Option<String>,
    /// What is wrong with it and what to do.
    pub message: String,
}

/// The sort of a refusal, as HTTP has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The content type is not one of those read here: 415.
    UnsupportedMediaType,
    /// The content is not what its type says: 400.
    BadRequest,
    /// More than is taken at once: 413.
    TooLarge,
}

/// Where in the body an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Place in a list, from 0.
    Item(usize),
    /// Line of JSON lines, from 1.
    Line(usize),
}

/// Reads all events of a body. `now` is the time of those that have none, `source` the source of those that name
/// none, and `fresh_id` makes the id of those that have none.
///
/// # Errors
/// When the content type is not one of those read here, or anything in the body is wrong.
pub fn decode<'h>(
    content_type: Option<&str>,
    headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    body: &[u8],
    now: Time,
    source: &str,
    fresh_id: &mut dyn FnMut() -> String,
) -> Result<Vec<Event>, DecodeError> {
    let media =
        content_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let mut reader = Reader { now, source, fresh_id, members: Members::default(), draft: Draft::default() };
    match media.as_deref() {
        Some("application/cloudevents+json") => Ok(vec![reader.one(text(body)?, Form::Cloud, None)?]),
        Some("application/cloudevents-batch+json") => reader.list(text(body)?, Form::Cloud),
        Some(
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines",
        ) => reader.lines(text(body)?),
        media => {
            let attributes = binary::attributes(headers)?;
            if !attributes.is_empty() {
                return reader.binary(content_type, attributes, body).map(|event| vec![event]);
            }
            match media {
                Some("application/json") => {
                    let text = text(body)?;
                    if text.trim_start().starts_with('[') {
                        reader.list(text, Form::Plain)
                    } else {
                        Ok(vec![reader.one(text, Form::Plain, None)?])
                    }
                }
                media => Err(unsupported(media)),
            }
        }
    }
}

/// Reads one line of a file of JSON lines.
///
/// # Errors
/// When it is not an object with the members of a plain event.
pub fn decode_line(
    line: &str,
    now: Time,
    source: &str,
    fresh_id: &mut dyn FnMut() -> String,
) -> Result<Event, DecodeError> {
    let mut reader = Reader { now, source, fresh_id, members: Members::default(), draft: Draft::default() };
    reader.one(line, Form::Plain, None)
}

/// What stays the same from event to event of a body; the lists in it are used again and again.
struct Reader<'a, 'c> {
    now: Time,
    source: &'c str,
    fresh_id: &'c mut dyn FnMut() -> String,
    members: Members<'a>,
    draft: Draft<'a>,
}

impl<'a> Reader<'a, '_> {
    fn one(&mut self, text: &'a str, form: Form, place: Option<Place>) -> Result<Event, DecodeError> {
        if text.len() > MAX_EVENT {
            let message = format!("an event of {} bytes: the limit is {MAX_EVENT}", text.len());
            return Err(DecodeError { kind: Kind::TooLarge, place, field: None, message });
        }
        let fault = |fault: Fault| fault.at(place);
        self.members.read(text).map_err(fault)?;
        self.draft.clear();
        for (name, value) in self.members.drain() {
            self.draft.member(form, name, value).map_err(fault)?;
        }
        self.draft.finish(form, self.now, self.source, self.fresh_id).map_err(fault)
    }

    fn list(&mut self, text: &'a str, form: Form) -> Result<Vec<Event>, DecodeError> {
        let items: Vec<&'a RawValue> =
            serde_json::from_str(text).map_err(|error| bad(format!("not a list of events: {error}")))?;
        let mut events = Vec::with_capacity(items.len().min(MAX_EVENTS));
        for (at, item) in items.into_iter().enumerate() {
            room(at)?;
            events.push(self.one(item.get(), form, Some(Place::Item(at)))?);
        }
        Ok(events)
    }

    fn lines(&mut self, text: &'a str) -> Result<Vec<Event>, DecodeError> {
        let mut events = Vec::with_capacity((text.len() / 128).min(MAX_EVENTS));
        for (at, line) in text.split('\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() {
                room(events.len())?;
                events.push(self.one(line, Form::Plain, Some(Place::Line(at + 1)))?);
            }
        }
        Ok(events)
    }

    fn binary(
        &mut self,
        content_type: Option<&str>,
        attributes: Vec<(String, String)>,
        body: &[u8],
    ) -> Result<Event, DecodeError> {
        let fault = |fault: Fault| fault.at(None);
        let mut draft = Draft::default();
        for (name, value) in attributes {
            draft.attribute(name.into(), value.into()).map_err(fault)?;
        }
        if body.len() > MAX_EVENT {
            let message = format!("a payload of {} bytes: the limit is {MAX_EVENT}", body.len());
            return Err(DecodeError { kind: Kind::TooLarge, place: None, field: None, message });
        }
        draft.payload(content_type, body).map_err(fault)?;
        draft.finish(Form::Cloud, self.now, self.source, self.fresh_id).map_err(fault)
    }
}

fn text(body: &[u8]) -> Result<&str, DecodeError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body).map_err(|error| bad(format!("not UTF-8 at byte {}", error.valid_up_to())))
}

fn room(count: usize) -> Result<(), DecodeError> {
    if count < MAX_EVENTS {
        return Ok(());
    }
    let message = format!("more than {MAX_EVENTS} events: send them in several requests");
    Err(DecodeError { kind: Kind::TooLarge, place: None, field: None, message })
}

fn bad(message: String) -> DecodeError {
    DecodeError { kind: Kind::BadRequest, place: None, field: None, message }
}

fn unsupported(media: Option<&str>) -> DecodeError {
    let what = media.map_or("there is no content type".into(), |media| format!("`{media}` is not read here"));
    let message = format!(
        "{what}: send application/json, application/x-ndjson, application/cloudevents+json or \
         application/cloudevents-batch+json, or ce-* headers"
    );
    DecodeError { kind: Kind::UnsupportedMediaType, place: None, field: None, message }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(at) => write!(f, "item {at}"),
            Self::Line(at) => write!(f, "line {at}"),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests;
