//! What a pattern made of an event, as a value: what `explain` turns into words, at once or much later.

use serde::{Deserialize, Serialize};

/// What a rule made of an event that matched it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Which rule: an index into [`RuleSet::rules`](crate::rules::RuleSet::rules) of the set that decided.
    pub rule: u32,
    /// What it made of it.
    pub why: Why,
}

/// What a rule made of an event that matched it. Times are microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It fired, for so many matches.
    Fired(u64),
    /// Not enough matches yet.
    Short(u64),
    /// These members of the pattern have matched, the others not.
    Partial(Vec<u16>),
    /// It fired at this time and is quiet since.
    Quiet(i64),
    /// It is one of so many that are collected until this time.
    Collecting(u64, i64),
    /// What should follow is waited for until this time.
    Armed(i64),
    /// What should follow has come already.
    Already,
    /// It is what so many waited for.
    Followed(u64),
    /// It was heard; silence is noticed at this time.
    Heard(i64),
    /// This number is what it usually is: the baseline, if one is known, and from how many values.
    Usual(f64, Option<f64>, u64),
    /// What should be a number is this.
    NoNumber(String),
    /// The rule with this number fired before it and stops the row.
    Stopped(u32),
    /// It is a backstop, and another rule fired.
    Others,
    /// The event says that it is over.
    Over,
    /// Which group it belongs to is not known, for this reason; it counts for none.
    Ungrouped(String),
    /// Too many groups of this rule wait already; this one is not followed.
    NoRoom,
}
