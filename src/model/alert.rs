//! Something a person is told; the list that remains when every other channel is down.

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
    /// Whether channels are still to be told of it: after a crash they are told again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub telling: bool,
    /// First raised.
    pub created_at: Time,
    /// Last raised or changed.
    pub updated_at: Time,
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
