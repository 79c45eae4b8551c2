//! An event in the making: attributes as they come, then checked as a whole.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use super::depth::{MAX_DEPTH, is_too_deep};
use super::{DecodeError, Kind, Place, base64};
use crate::model::{Data, Event, Priority, Time, Topic};

/// Longest id, source or subject, in bytes.
const MAX_TEXT: usize = 4096;

/// Digits that a number must have, or an exponent, to be out of range.
const LONG: usize = 300;

/// Whether there may be a number in `raw` that is out of the range of JSON readers: one with an exponent, or very long.
fn may_be_out_of_range(raw: &str) -> bool {
    let exponent = |pair: &[u8]| pair[0].is_ascii_digit() && pair[1] | 0x20 == b'e';
    raw.as_bytes().windows(2).any(exponent)
        || raw.len() > LONG
            && raw
                .as_bytes()
                .chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit())
                .any(|run| run.len() > LONG)
}

/// Which rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Those of CloudEvents.
    Cloud,
    /// Those of plain JSON: `topic`, `data` and what people add.
    Plain,
}

/// What is wrong, in one event.
#[derive(Debug)]
pub(super) struct Fault {
    field: Option<String>,
    message: String,
}

/// An event in the making.
#[derive(Default)]
pub(super) struct Draft<'a> {
    version: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    topic: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    time: Option<Cow<'a, str>>,
    priority: Option<Cow<'a, str>>,
    traceparent: Option<Cow<'a, str>>,
    correlationid: Option<Cow<'a, str>>,
    causationid: Option<Cow<'a, str>>,
    extensions: BTreeMap<String, Value>,
    data: Option<Data>,
    /// The payload as base64, where it came as that.
    packed: Option<Cow<'a, str>>,
    /// The latest topic: in most bodies the next is the same, and need not be checked and copied again.
    latest: Option<Topic>,
}

impl Fault {
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into() }
    }

    fn of(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.into()), message: message.into() }
    }

    pub(super) fn at(self, place: Option<Place>) -> DecodeError {
        DecodeError { kind: Kind::BadRequest, place, field: self.field, message: self.message }
    }
}

impl<'a> Draft<'a> {
    pub(super) fn clear(&mut self) {
        *self = Self { latest: self.latest.take(), ..Self::default() };
    }

    /// Takes a member of a JSON object.
    pub(super) fn member(
        &mut self,
        form: Form,
        name: Cow<'a, str>,
        value: &'a RawValue,
    ) -> Result<(), Fault> {
        let plain = form == Form::Plain;
        match name.as_ref() {
            // Not set, as the JSON format has it.
            _ if value.get() == "null" => return Ok(()),
            "data" => return self.data(&name, value.into(), value.get()),
            "payload" if plain => return self.data(&name, value.into(), value.get()),
            "data_base64" => {
                // Decoded at the end, and only where the content type says that it is JSON: the specification's own
                // example is not base64.
                let text = text(&name, value)?;
                self.packed = Some(text.clone());
                self.extensions.insert("datacontentencoding".into(), "base64".into());
                return self.data(&name, Value::from(text.as_ref()).into(), "");
            }
            _ => {}
        }
        if self.slot(form, &name).is_some() {
            // People number their events; as a key the digits are as good as a text.
            let text = match value.get().as_bytes() {
                [b'0'..=b'9', ..] if plain && name == "id" => Cow::Borrowed(value.get()),
                _ => text(&name, value)?,
            };
            return self.put(form, &name, text);
        }
        let scalar = !value.get().starts_with(['{', '[']);
        let value: Value =
            serde_json::from_str(value.get()).map_err(|error| Fault::of(&name, error.to_string()))?;
        if !scalar {
            return Err(Fault::of(
                &name,
                "only a text, a number or a boolean can stand here: put the rest under `data`",
            ));
        }
        if form == Form::Cloud {
            check_name(&name)?;
            if value.is_f64() {
                return Err(Fault::of(&name, "CloudEvents attributes have no fractions: send a text"));
            }
        }
        self.extend(name, value)
    }

    /// Takes a CloudEvents attribute that is text.
    pub(super) fn attribute(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Fault> {
        if name == "data" || name == "datacontenttype" {
            return Err(Fault::of(
                &name,
                "not an attribute: in binary mode the body and `Content-Type` say it",
            ));
        }
        if self.slot(Form::Cloud, &name).is_some() {
            return self.put(Form::Cloud, &name, value);
        }
        check_name(&name)?;
        let value = Value::from(value.as_ref());
        self.extend(name, value)
    }

    /// Takes the body of a request in binary mode.
    pub(super) fn payload(&mut self, content_type: Option<&str>, body: &[u8]) -> Result<(), Fault> {
        if let Some(content_type) = content_type {
            self.extensions.insert("datacontenttype".into(), content_type.into());
        }
        if body.is_empty() {
            return Ok(());
        }
        let media = media(content_type.unwrap_or("application/json"));
        let json = is_json(&media);
        let text = std::str::from_utf8(body);
        match text {
            Ok(text) if json => {
                let raw: &RawValue = serde_json::from_str(text)
                    .map_err(|error| Fault::of("data", format!("the body is not JSON: {error}")))?;
                self.data("data", raw.into(), raw.get())
            }
            Err(_) if json => Err(Fault::of("data", "the body is not UTF-8")),
            Ok(text) if media.starts_with("text/") || media.ends_with("/xml") || media.ends_with("+xml") => {
                self.data("data", Value::from(text).into(), "")
            }
            _ => {
                self.extensions.insert("datacontentencoding".into(), "base64".into());
                self.data("data", Value::from(base64::encode(body)).into(), "")
            }
        }
    }

    /// The event, if it has what it must have.
    pub(super) fn finish(
        &mut self,
        form: Form,
        now: Time,
        source: &str,
        fresh_id: &mut dyn FnMut() -> String,
    ) -> Result<Event, Fault> {
        let cloud = form == Form::Cloud;
        match self.version.take().as_deref() {
            Some("1.0" | "0.3") => {}
            None if !cloud => {}
            None => return Err(Fault::of("specversion", "missing: send \"1.0\"")),
            Some(other) => {
                return Err(Fault::of("specversion", format!("`{other}` is not read here: send \"1.0\"")));
            }
        }
        self.unpack()?;
        let name = if cloud { "type" } else { "topic" };
        let topic =
            self.topic.take().ok_or_else(|| Fault::of(name, "missing: say what kind of thing happened"))?;
        let topic = self.checked_topic(name, &topic)?;
        let id = match self.id.take() {
            Some(id) => required("id", &id)?,
            None if cloud => {
                return Err(Fault::of("id", "missing: with `source` it tells a repeat from a new event"));
            }
            None => fresh_id(),
        };
        let source = match self.source.take() {
            Some(source) => required("source", &source)?,
            None if cloud => return Err(Fault::of("source", "missing: say who says so")),
            None => source.to_owned(),
        };
        let subject = match self.subject.take() {
            Some(subject) if subject.is_empty() && !cloud => None,
            Some(subject) => Some(required("subject", &subject)?),
            None => None,
        };
        let time = match self.time.take() {
            Some(text) => DateTime::parse_from_rfc3339(&text)
                .map_err(|_| {
                    Fault::of(
                        "time",
                        format!("`{text}` is not an RFC 3339 time such as 2026-01-31T12:00:00Z"),
                    )
                })?
                .with_timezone(&Utc),
            None => now,
        };
        let priority = match self.priority.take() {
            Some(text) => text.parse().map_err(|message: String| Fault::of("priority", message))?,
            None => Priority::Normal,
        };
        Ok(Event {
            id,
            topic,
            source,
            subject,
            time,
            arrived: None,
            priority,
            traceparent: self.traceparent.take().map(Cow::into_owned),
            correlationid: self.correlationid.take().map(Cow::into_owned),
            causationid: self.causationid.take().map(Cow::into_owned),
            extensions: std::mem::take(&mut self.extensions),
            data: self.data.take().unwrap_or_default(),
        })
    }

    /// Makes JSON of a payload in base64 that says it is JSON, so that conditions see its fields.
    fn unpack(&mut self) -> Result<(), Fault> {
        let Some(packed) = self.packed.take() else { return Ok(()) };
        if !self.extensions.get("datacontenttype").and_then(Value::as_str).is_some_and(is_json) {
            return Ok(());
        }
        let name = "data_base64";
        let bytes = base64::decode(&packed).ok_or_else(|| Fault::of(name, "not base64"))?;
        let text = String::from_utf8(bytes).map_err(|_| Fault::of(name, "JSON that is not UTF-8"))?;
        let raw = RawValue::from_string(text)
            .map_err(|error| Fault::of(name, format!("`datacontenttype` says JSON: {error}")))?;
        self.data = None;
        self.extensions.remove("datacontentencoding");
        let text = raw.get().to_owned();
        self.data(name, raw.into(), &text)
    }

    fn slot(&mut self, form: Form, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        Some(match name {
            "specversion" => &mut self.version,
            "id" => &mut self.id,
            "type" => &mut self.topic,
            "topic" if form == Form::Plain => &mut self.topic,
            "source" => &mut self.source,
            "subject" => &mut self.subject,
            "time" => &mut self.time,
            "priority" => &mut self.priority,
            "traceparent" => &mut self.traceparent,
            "correlationid" => &mut self.correlationid,
            "causationid" => &mut self.causationid,
            _ => return None,
        })
    }

    fn put(&mut self, form: Form, name: &str, text: Cow<'a, str>) -> Result<(), Fault> {
        match self.slot(form, name) {
            Some(slot) if slot.is_none() => {
                *slot = Some(text);
                Ok(())
            }
            _ => Err(Fault::of(name, "given twice")),
        }
    }

    fn extend(&mut self, name: Cow<'a, str>, value: Value) -> Result<(), Fault> {
        match self.extensions.insert(name.as_ref().into(), value) {
            None => Ok(()),
            Some(_) => Err(Fault::of(&name, "given twice")),
        }
    }

    fn data(&mut self, name: &str, data: Data, raw: &str) -> Result<(), Fault> {
        if self.data.is_some() {
            return Err(Fault::of(name, "the payload is given twice"));
        }
        if is_too_deep(raw) {
            return Err(Fault::of(name, format!("nested deeper than {MAX_DEPTH}")));
        }
        // Half a surrogate pair, or a number out of range, passes for JSON until somebody reads it.
        if (raw.contains('\\') && raw.contains("\\u") || may_be_out_of_range(raw))
            && let Err(error) = serde_json::from_str::<Value>(raw)
        {
            return Err(Fault::of(name, error.to_string()));
        }
        self.data = Some(data);
        Ok(())
    }

    fn checked_topic(&mut self, name: &str, text: &str) -> Result<Topic, Fault> {
        if let Some(latest) = &self.latest
            && latest.as_str() == text
        {
            return Ok(latest.clone());
        }
        let topic = Topic::try_new(text).map_err(|error| Fault::of(name, error.to_string()))?;
        self.latest = Some(topic.clone());
        Ok(topic)
    }
}

/// The media type of a content type, without its parameters.
fn media(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(content_type: &str) -> bool {
    let media = media(content_type);
    media.ends_with("/json") || media.ends_with("+json")
}

fn required(name: &str, text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::of(name, "empty"));
    }
    if text.len() > MAX_TEXT {
        return Err(Fault::of(name, format!("{} bytes long: the limit is {MAX_TEXT}", text.len())));
    }
    if text.contains('\0') {
        return Err(Fault::of(name, "holds a NUL character"));
    }
    Ok(text.to_owned())
}

fn check_name(name: &str) -> Result<(), Fault> {
    let good =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if good { Ok(()) } else { Err(Fault::of(name, "names of CloudEvents attributes are a-z and 0-9 only")) }
}

/// The text that `value` is; borrowed unless it has escapes.
fn text<'a>(name: &str, value: &'a RawValue) -> Result<Cow<'a, str>, Fault> {
    let raw = value.get();
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => {
            serde_json::from_str(raw).map(Cow::Owned).map_err(|error| Fault::of(name, error.to_string()))
        }
        None => Err(Fault::of(name, format!("must be a text, not {raw:.40}"))),
    }
}
