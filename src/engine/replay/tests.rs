//! Replays in the small.
use crate::model::Time;
use crate::rules::Fired;

/// A firing, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) rule: String,
    pub(super) group: String,
    pub(super) at: Time,
    pub(super) count: u64,
}

impl Seen {
    pub(super) fn of(fired: &Fired, at: Time) -> Self {
        Self { rule: fired.rule.name.clone(), group: fired.group.clone(), at, count: fired.count }
    }
}
