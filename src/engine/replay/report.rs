//! What a replay came to, as values: the same whether they are shown to people, written as JSON or sent over HTTP.
//!
//! Nothing in here depends on the machine, its clock or its number of processors.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::intent::Plan;
use crate::model::{Mode, Priority, Time};

/// What a replay came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What was played.
    pub events: Played,
    /// What the rules would have done.
    #[serde(flatten)]
    pub side: Side,
    /// What other rules would have done instead, where they were asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// Whether intents or changes are not listed, as they are too many; sums are of all.
    pub truncated: bool,
}

/// What was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// Events, those that only warmed the patterns up not included.
    pub count: u64,
    /// Events before the time that was asked about, with which patterns were filled.
    pub before: u64,
    /// Events that were there already; they count as one.
    pub duplicates: u64,
    /// When the first of them came.
    pub first: Option<Time>,
    /// When the last of them came.
    pub last: Option<Time>,
}

/// What one set of rules would have done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Side {
    /// By rule, in the order in which they fire.
    pub rules: Vec<RuleSum>,
    /// The intents, in the order of their making.
    pub intents: Vec<Foreseen>,
    /// How many intents are not listed, as they are too many; sums are of all.
    pub omitted: u64,
}

/// What one rule would have done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleSum {
    /// Which.
    pub rule: String,
    /// How often it fired.
    pub fired: u64,
    /// How many intents that made.
    pub intents: u64,
    /// What would have become of them.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// When it fired first.
    pub first: Option<Time>,
    /// When it fired last.
    pub last: Option<Time>,
    /// Events for which its condition failed, which counts as "does not hold".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedCondition>,
}

/// A condition that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCondition {
    /// For how many events.
    pub count: u64,
    /// Why, the first time.
    pub why: String,
    /// The id of that event.
    pub event: String,
}

/// An intent as it would have been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    /// When it would have been made.
    pub at: Time,
    /// By which rule.
    pub rule: Arc<str>,
    /// Which failing thing.
    pub group: String,
    /// The one thing to act on; empty if there is none.
    pub target: String,
    /// What learning tells apart.
    pub class: String,
    /// What is wanted, in words.
    pub goal: String,
    /// Its place in the queue.
    pub priority: Priority,
    /// Matches that it stands for.
    pub count: u64,
    /// When the last of them came.
    pub last: Time,
    /// Candidates in the order of the rule.
    pub playbooks: Arc<[String]>,
    /// Repair, ask, or only record.
    pub mode: Mode,
    /// What the engine would have done.
    pub outcome: Outcome,
    /// When, if it would have acted or asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_at: Option<Time>,
    /// The guard that made it wait, with its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_back: Option<String>,
    /// How it ended, by what the events say.
    pub end: End,
    /// When, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Why it ended, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The id of the event that made it.
    pub event: String,
    /// All that the rule asked for, to compare by.
    #[serde(skip)]
    pub(super) plan: Arc<Plan>,
}

/// What the engine would have done about an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It would have run a playbook.
    Acted,
    /// It would have asked a person.
    Asked,
    /// Only recorded: the rule is in shadow mode.
    Shadowed,
    /// Nothing: it was over before anything was done.
    Stale,
    /// Nothing: there is no single target, or a guard says no.
    Denied,
    /// Nothing: guards held it back until it was too old.
    Expired,
    /// Nothing yet: it still waited when the events ended.
    Waiting,
}

/// How an intent ended, by what the events say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was open when the events ended.
    Open,
    /// The rule's `resolved` said that it is over.
    Resolved,
    /// The event came that the rule's `verify` expects.
    Verified,
    /// No event said that it is over before its time was up.
    Unheard,
    /// A guard said no.
    Refused,
}

/// What other rules would have done instead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Against {
    /// What they would have done.
    #[serde(flatten)]
    pub side: Side,
    /// Whether anything is different.
    pub changed: bool,
    /// What is different, by rule; rules that do the same are left out.
    pub by_rule: Vec<RuleChange>,
    /// What is different, in the order of time.
    pub changes: Vec<Change>,
    /// How many changes are not listed, as they are too many.
    pub changes_omitted: u64,
}

/// How a rule does otherwise than before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    /// Which.
    pub rule: String,
    /// How often it fired, before and after.
    pub fired: [u64; 2],
    /// How many intents that made, before and after.
    pub intents: [u64; 2],
    /// Intents that appear.
    pub appear: u64,
    /// Intents that vanish.
    pub vanish: u64,
    /// Intents that are otherwise.
    pub change: u64,
}

/// An intent that is not as before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What sort of change.
    pub change: Kind,
    /// By which rule.
    pub rule: Arc<str>,
    /// Which failing thing.
    pub group: String,
    /// When it is made; of one that changes, the earlier time.
    pub at: Time,
    /// What is different in one that changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// As it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Foreseen>,
    /// As it is with the other rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Foreseen>,
}

/// A sort of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is new.
    Appears,
    /// It is gone.
    Vanishes,
    /// It is otherwise.
    Changes,
}

/// A field that is otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Which.
    pub field: String,
    /// As it was.
    pub before: Value,
    /// As it is.
    pub after: Value,
}

impl Report {
    /// Keeps at most `limit` intents and changes of each list; what goes is counted as omitted.
    pub fn shorten(&mut self, limit: usize) {
        self.side.shorten(limit);
        if let Some(against) = &mut self.against {
            against.side.shorten(limit);
            against.changes_omitted += against.changes.len().saturating_sub(limit) as u64;
            against.changes.truncate(limit);
        }
        let against = self.against.as_ref();
        self.truncated =
            self.side.omitted > 0 || against.is_some_and(|it| it.side.omitted > 0 || it.changes_omitted > 0);
    }
}

impl Side {
    fn shorten(&mut self, limit: usize) {
        self.omitted += self.intents.len().saturating_sub(limit) as u64;
        self.intents.truncate(limit);
    }
}

impl Outcome {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acted => "acted",
            Self::Asked => "asked",
            Self::Shadowed => "shadowed",
            Self::Stale => "stale",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Waiting => "waiting",
        }
    }
}
