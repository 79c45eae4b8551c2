//! What a rule's `pattern:` can ask for: how matches add up to a firing. Values only; `windows` carries them out.

use std::sync::Arc;

use crate::condition::Condition;
use crate::model::{Pattern, Span};

/// How long after its time an event may come and still be in order, where the rule does not say.
pub const LATENESS: Span = Span::secs(1);
/// Most members of one pattern.
pub const MAX_MEMBERS: usize = 32;

/// How matches add up to a firing.
#[derive(Clone, Debug)]
pub enum Correlation {
    /// Each match fires.
    Every,
    /// The n-th match of a group within a time fires, and each after it while so many lie within that time.
    Count {
        /// How many.
        count: u32,
        /// In how long, in event time.
        within: Span,
    },
    /// Each member must match within a time, in any order. What made it fire is used up.
    All {
        /// What must match.
        members: Arc<[Member]>,
        /// In how long, in event time.
        within: Span,
    },
    /// A match of any member fires.
    Any(Arc<[Member]>),
    /// Each member must match within a time, in this order by the time of the events. What made it fire is used up.
    Sequence {
        /// What must match.
        members: Arc<[Member]>,
        /// In how long, in event time.
        within: Span,
    },
    /// Nothing is heard of a group for a time. It is over when it is heard again.
    Absent {
        /// What counts as hearing of it.
        on: Vec<Pattern>,
        /// For how long there is silence.
        quiet: Span,
        /// Groups that are waited for from the start, also if they were never heard.
        expect: Arc<[String]>,
    },
    /// After a match of one, none of the other follows within a time.
    NotAfter {
        /// What should follow.
        not: Member,
        /// What it should follow.
        after: Member,
        /// In how long, in event time.
        within: Span,
    },
    /// A number departs from what it usually is.
    Change(Box<Change>),
    /// The first match of a group fires, then none for a time.
    OnceWithin(Span),
    /// The first match begins a time in which all are collected; then it fires once.
    OnceAfter(Span),
}

/// A part of a pattern: which events it is about.
#[derive(Clone, Debug)]
pub struct Member {
    /// Topics; of a member that names none, the rule's.
    pub on: Vec<Pattern>,
    /// What must hold besides.
    pub when: Option<Condition>,
}

/// When a number departs from what it usually is.
#[derive(Clone, Debug)]
pub struct Change {
    /// The number.
    pub value: Condition,
    /// It departs above so many times the baseline.
    pub above: Option<f64>,
    /// It departs below so many times the baseline.
    pub below: Option<f64>,
    /// What it usually is; none: learned per group, as the median of the latest values.
    pub baseline: Option<Condition>,
}

impl Correlation {
    /// How far back the state of a window reaches.
    pub fn reach(&self) -> Span {
        match self {
            Self::Every | Self::Any(_) | Self::Change(_) => Span::default(),
            Self::Count { within, .. }
            | Self::All { within, .. }
            | Self::Sequence { within, .. }
            | Self::NotAfter { within, .. }
            | Self::OnceWithin(within) => *within,
            Self::Absent { quiet, .. } => *quiet,
            Self::OnceAfter(span) => *span,
        }
    }

    /// Whether it can fire without a further event.
    pub fn has_timer(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::NotAfter { .. } | Self::OnceAfter(_))
    }

    /// The kind, as it is written in a rule.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Every => "every",
            Self::Count { .. } => "count",
            Self::All { .. } => "all",
            Self::Any(_) => "any",
            Self::Sequence { .. } => "sequence",
            Self::Absent { .. } => "absent",
            Self::NotAfter { .. } => "not_after",
            Self::Change(_) => "change",
            Self::OnceWithin(_) => "once_within",
            Self::OnceAfter(_) => "once_after",
        }
    }
}
