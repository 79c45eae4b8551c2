//! Something a person is told; the list that remains when every other channel is down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AlertId, IntentId, Priority, Time};

/// Something a person is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its name.
    pub id: AlertId,
    /// Same key, same alert: a repeat is counted, not listed again.
    pub key: String,
    /// How bad.
    pub level: Level,
    /// One line.
    pub title: String,
    /// What happened and what to do.
    pub message: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The first targets that it was raised for, where they are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// The intent behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<IntentId>,
    /// Where it stands.
    pub status: AlertStatus,
    /// How often it was raised.
    pub count: u64,
    /// Whether a channel still has to be told of it: after a crash it is told again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub telling: bool,
    /// The rule behind it; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// What became of it at each channel, by the channel's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<String, Delivery>,
    /// First raised.
    pub created_at: Time,
    /// Last raised or changed.
    pub updated_at: Time,
}

/// What became of an alert at one channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Since when it waits, or since when the channel fails.
    pub since: Time,
    /// When the channel last confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// Why it was not sent, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How often the channel refused it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Whether it was one of many in a digest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digest: bool,
    /// Whether the channel keeps an incident for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incident: bool,
    /// What the incident still has to be told: that somebody is on it, or that it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<AlertStatus>,
}

/// Where an alert stands at a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// It waits for its turn.
    Queued,
    /// It waits because the channel fails.
    Failing,
    /// The channel confirmed it.
    Sent,
    /// It was given up.
    Failed,
}

impl Delivery {
    /// One that waits since `now`.
    pub fn queued(incident: bool, now: Time) -> Self {
        Self {
            status: DeliveryStatus::Queued,
            since: now,
            sent_at: None,
            why: None,
            tries: 0,
            digest: false,
            incident,
            change: None,
        }
    }

    /// Whether the alert itself is still to be sent.
    pub fn is_waiting(&self) -> bool {
        matches!(self.status, DeliveryStatus::Queued | DeliveryStatus::Failing)
    }

    /// Whether the channel still has to be told of anything.
    pub fn is_pending(&self) -> bool {
        self.is_waiting() || self.change.is_some()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// At most `most` characters of `text`; what is cut off is marked.
pub fn cut(text: &str, most: usize) -> String {
    const MARK: &str = "… [cut]";
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let kept = most.saturating_sub(MARK.chars().count());
    text.chars().take(kept).chain(MARK.chars()).take(most).collect()
}

/// How bad an alert is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// Look at it today.
    #[default]
    Warning,
    /// Look at it now.
    Critical,
}

impl Alert {
    /// Targets that an alert names.
    pub const TARGETS: usize = 10;

    /// It is raised for `target` too: the first few are named.
    pub fn add_target(&mut self, target: Option<String>) {
        let Some(target) = target else { return };
        let first = self.target.as_ref().filter(|it| self.targets.is_empty() && **it != target);
        self.targets.extend(first.cloned());
        let several = !self.targets.is_empty();
        if several && self.targets.len() < Self::TARGETS && !self.targets.contains(&target) {
            self.targets.push(target.clone());
        }
        self.target = Some(target);
    }
}

impl From<Priority> for Level {
    /// How bad it is if an intent of that priority needs a person.
    fn from(priority: Priority) -> Self {
        if priority >= Priority::High { Self::Critical } else { Self::Warning }
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// Nobody has seen to it.
    Active,
    /// Somebody is on it.
    Acked,
    /// Over.
    Resolved,
}
