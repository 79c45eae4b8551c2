//! Something that happened: the one type behind CloudEvents, webhooks, log lines and `emit`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Data, Time, Topic};

/// Something that happened. The fields are those of CloudEvents 1.0 under the operator's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// With `source`, the idempotency key: the same pair twice is one event.
    pub id: String,
    /// What kind of thing happened (CloudEvents `type`).
    pub topic: Topic,
    /// Who says so.
    pub source: String,
    /// What it is about, such as `kernel-17`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened; windows go by it.
    pub time: Time,
    /// When it came in, where that is another time; timers go by it. What senders say of it is not believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Time>,
    /// Which lane it takes.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlationid: Option<String>,
    /// What caused it; the chain shows loops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    /// Further CloudEvents attributes, as they came.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, Value>,
    /// The payload.
    #[serde(default)]
    pub data: Data,
}

impl Event {
    /// An event with no more than what each must have.
    pub fn new(
        id: impl Into<String>,
        topic: Topic,
        source: impl Into<String>,
        time: Time,
        data: Value,
    ) -> Self {
        Self {
            id: id.into(),
            topic,
            source: source.into(),
            subject: None,
            time,
            arrived: None,
            priority: Priority::Normal,
            traceparent: None,
            correlationid: None,
            causationid: None,
            extensions: BTreeMap::new(),
            data: data.into(),
        }
    }

    /// When it came in.
    pub fn arrival(&self) -> Time {
        self.arrived.unwrap_or(self.time)
    }

    /// The same with a subject.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

/// Which lane an event or intent takes: higher ones are served first without starving the lower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// When there is nothing better to do.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before the usual.
    High,
    /// First.
    Critical,
}

impl Priority {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a priority: use low, normal, high or critical"))
    }
}
