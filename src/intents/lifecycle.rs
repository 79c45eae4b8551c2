//! The life of an intent: the only place that changes its status. Pure; asks no clock and stores nothing.
//!
//! An intent is born `pending`. Rows are where it stands, columns what happens, cells what follows; an empty cell is
//! [`Illegal`]. The eight statuses below the line are ends, which nothing leaves: a person's retry of an ended intent
//! is a new intent.
//!
//! ```text
//!           | hold release ask      approve start   check     retry   succeed   fail   escalate  cancel    expire  deny   refuse clear shadow
//! ----------+----------------------------------------------------------------------------------------------------------------------------------
//! held      |      pending                                                             escalated cancelled expired denied denied stale shadowed
//! pending   | held         awaiting         running                             failed escalated cancelled expired denied denied stale shadowed
//! awaiting  |                       pending                   pending                  escalated cancelled expired denied denied stale
//! running   |                                       verifying pending           failed escalated cancelled                       stale
//! verifying |                                                 pending succeeded failed escalated cancelled
//! ----------+----------------------------------------------------------------------------------------------------------------------------------
//! succeeded, failed, escalated, cancelled, expired, denied, stale, shadowed: nothing follows
//! ```
//!
//! Every end is a success, an operator's decision, or something that an operator was alerted to before:
//! [`Transition::ending`] says which, for each of them.
//!
//! What the table promises: success is only reached through a check; nothing runs without having been pending, so the
//! guards are asked before every attempt; an approval leads back to `pending`, so they are asked again after it; what
//! runs does not expire (a run has its own deadline), and is `stale` only as long as it has had no effect.

use crate::model::{Intent, Status, Time};

/// Something that happens to an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// It is to wait: hold-down, cooldown, rate.
    Hold,
    /// The wait is over.
    Release,
    /// A person is asked.
    Ask,
    /// The person said yes.
    Approve,
    /// The first or next attempt begins.
    Start,
    /// The playbook has ended; whether it helped is being looked at.
    Check,
    /// This attempt, or the question before it, is over: the next one or the escalation chain follows.
    Retry,
    /// The check passed.
    Succeed,
    /// It is given up, and the rule has no escalation chain: the alert list and the channels have it.
    Fail,
    /// It is given up, and the escalation chain was followed.
    Escalate,
    /// A person ended it.
    Cancel,
    /// It waited too long to be acted on.
    Expire,
    /// An operator said no.
    Deny,
    /// A guard said no, or nobody answered in time.
    Refuse,
    /// The condition cleared before anything was done.
    Clear,
    /// The rule only records.
    Shadow,
}

/// Why an end needs no further word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The failure is over.
    Success,
    /// An operator ended it, or the rule that an operator wrote only records.
    OperatorDecision,
    /// An operator was alerted before it ended; only `tasks::escalate` ends an intent this way.
    Alerted,
}

/// A transition that the table has no cell for; the intent stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} an intent that is {from}{}", event.as_str(), if from.is_open() { "" } else { ", which is an end" })]
pub struct Illegal {
    /// Where it stands.
    pub from: Status,
    /// What was asked.
    pub event: Transition,
}

/// The status that follows `status` when `event` happens.
///
/// # Errors
/// When the table has no cell for it.
pub fn next(status: Status, event: Transition) -> Result<Status, Illegal> {
    use Status as S;
    use Transition as T;
    Ok(match (status, event) {
        (S::Pending, T::Hold) => S::Held,
        (S::Held, T::Release) => S::Pending,
        (S::Pending, T::Ask) => S::AwaitingApproval,
        (S::AwaitingApproval, T::Approve) => S::Pending,
        (S::Pending, T::Start) => S::Running,
        (S::Running, T::Check) => S::Verifying,
        (S::AwaitingApproval | S::Running | S::Verifying, T::Retry) => S::Pending,
        (S::Verifying, T::Succeed) => S::Succeeded,
        (S::Pending | S::Running | S::Verifying, T::Fail) => S::Failed,
        (from, T::Escalate) if from.is_open() => S::Escalated,
        (from, T::Cancel) if from.is_open() => S::Cancelled,
        (S::Held | S::Pending | S::AwaitingApproval, T::Expire) => S::Expired,
        (S::Held | S::Pending | S::AwaitingApproval, T::Deny | T::Refuse) => S::Denied,
        (S::Held | S::Pending | S::AwaitingApproval | S::Running, T::Clear) => S::Stale,
        (S::Held | S::Pending, T::Shadow) => S::Shadowed,
        (from, event) => return Err(Illegal { from, event }),
    })
}

/// Moves `intent` along, with the reason that people will read (`None` clears the one before) and the time of it.
///
/// # Errors
/// When the table has no cell for it; then the intent is untouched.
pub fn apply(
    intent: &mut Intent,
    event: Transition,
    reason: Option<String>,
    now: Time,
) -> Result<(), Illegal> {
    intent.status = next(intent.status, event)?;
    intent.reason = reason;
    intent.updated_at = now;
    Ok(())
}

impl Transition {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 16] = [
        Self::Hold,
        Self::Release,
        Self::Ask,
        Self::Approve,
        Self::Start,
        Self::Check,
        Self::Retry,
        Self::Succeed,
        Self::Fail,
        Self::Escalate,
        Self::Cancel,
        Self::Expire,
        Self::Deny,
        Self::Refuse,
        Self::Clear,
        Self::Shadow,
    ];

    /// Why nobody is left in the dark by the end that this leads to; `None` if it is not an end. A new transition does
    /// not compile until this is decided for it.
    pub fn ending(self) -> Option<Ending> {
        match self {
            Self::Hold
            | Self::Release
            | Self::Ask
            | Self::Approve
            | Self::Start
            | Self::Check
            | Self::Retry => None,
            Self::Succeed | Self::Clear => Some(Ending::Success),
            Self::Cancel | Self::Deny | Self::Shadow => Some(Ending::OperatorDecision),
            Self::Fail | Self::Escalate | Self::Expire | Self::Refuse => Some(Ending::Alerted),
        }
    }

    /// The word for it, as in "failed to approve an intent that is denied".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Ask => "ask about",
            Self::Approve => "approve",
            Self::Start => "start",
            Self::Check => "check",
            Self::Retry => "retry",
            Self::Succeed => "succeed with",
            Self::Fail => "fail",
            Self::Escalate => "escalate",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
            Self::Deny => "deny",
            Self::Refuse => "refuse",
            Self::Clear => "clear",
            Self::Shadow => "shadow",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::clock::micros;
    use crate::model::{Event, IntentId, Topic};

    fn intent(status: Status) -> Intent {
        let now = micros(0);
        let event = Event::new("e1", Topic::try_new("a.b").unwrap(), "test", now, json!(null));
        let new = Intent::new(IntentId::new(now, 1), "r", "k1", "k1", event.into(), Arc::default(), now);
        Intent { status, reason: Some("before".into()), ..new }
    }

    /// The table of the header, read as text, so that the drawing cannot drift from the code.
    fn drawn() -> Vec<(Status, Vec<(Transition, Status)>)> {
        let table: Vec<&str> = include_str!("lifecycle.rs")
            .lines()
            .skip_while(|l| !l.contains("```text"))
            .skip(1)
            .take_while(|l| !l.contains("```"))
            .collect();
        let at: Vec<(Transition, usize)> = Transition::ALL
            .into_iter()
            .map(|t| {
                let word = t.as_str().split(' ').next().unwrap();
                (t, table[0].find(&format!(" {word}")).unwrap_or_else(|| panic!("{word} has no column")) + 1)
            })
            .collect();
        let mut rows = vec![];
        for (name, status) in [
            ("held", Status::Held),
            ("pending", Status::Pending),
            ("awaiting", Status::AwaitingApproval),
            ("running", Status::Running),
            ("verifying", Status::Verifying),
        ] {
            let line = table.iter().find(|l| l.starts_with(&format!("//! {name} "))).unwrap();
            let mut cells = vec![];
            for (t, column) in &at {
                let cell: String =
                    line.chars().skip(*column).take_while(|c| !c.is_whitespace() && *c != '|').collect();
                if !cell.is_empty() {
                    let to = Status::ALL.iter().find(|s| s.as_str().starts_with(cell.trim_end_matches('.')));
                    cells.push((*t, *to.unwrap_or_else(|| panic!("{cell} is no status"))));
                }
            }
            rows.push((status, cells));
        }
        rows
    }

    #[test]
    fn the_table_that_people_read_is_the_one_that_is_obeyed() {
        for (status, cells) in drawn() {
            let obeyed: Vec<_> =
                Transition::ALL.into_iter().filter_map(|t| Some((t, next(status, t).ok()?))).collect();
            assert_eq!(cells, obeyed, "{status}");
        }
    }

    #[test]
    fn every_end_is_a_success_an_operators_decision_or_known_to_one() {
        for status in Status::ALL {
            for event in Transition::ALL {
                let Ok(to) = next(status, event) else { continue };
                let ending = event.ending();
                assert_eq!(ending.is_some(), !to.is_open(), "{status} {event:?}");
                match to {
                    Status::Succeeded | Status::Stale => assert_eq!(ending, Some(Ending::Success)),
                    Status::Cancelled | Status::Shadowed => {
                        assert_eq!(ending, Some(Ending::OperatorDecision));
                    }
                    Status::Failed | Status::Escalated | Status::Expired => {
                        assert_eq!(ending, Some(Ending::Alerted));
                    }
                    Status::Denied => assert_ne!(ending, Some(Ending::Success)),
                    Status::Held
                    | Status::Pending
                    | Status::AwaitingApproval
                    | Status::Running
                    | Status::Verifying => {}
                }
            }
        }
    }

    #[test]
    fn an_ended_intent_never_comes_back() {
        for status in Status::ALL.into_iter().filter(|s| !s.is_open()) {
            for event in Transition::ALL {
                assert_eq!(next(status, event), Err(Illegal { from: status, event }));
            }
        }
    }

    #[test]
    fn every_open_intent_can_be_ended_by_a_person_and_handed_to_one() {
        for status in Status::ALL.into_iter().filter(|s| s.is_open()) {
            assert_eq!(next(status, Transition::Cancel), Ok(Status::Cancelled), "{status}");
            assert_eq!(next(status, Transition::Escalate), Ok(Status::Escalated), "{status}");
        }
    }

    #[test]
    fn every_status_of_the_contract_is_reached_from_pending() {
        let mut seen = BTreeSet::from(["pending"]);
        let mut edge = vec![Status::Pending];
        while let Some(status) = edge.pop() {
            for to in Transition::ALL.into_iter().filter_map(|t| next(status, t).ok()) {
                if seen.insert(to.as_str()) {
                    edge.push(to);
                }
            }
        }
        assert_eq!(seen, Status::ALL.iter().map(|s| s.as_str()).collect());
    }

    #[test]
    fn a_refused_transition_leaves_the_intent_as_it_was_and_says_why() {
        let mut it = intent(Status::Denied);
        let before = it.clone();
        let error = apply(&mut it, Transition::Approve, None, micros(5)).unwrap_err();
        assert_eq!(error.to_string(), "approve an intent that is denied, which is an end");
        assert_eq!(it, before);
        let mut it = intent(Status::Running);
        let error = apply(&mut it, Transition::Succeed, None, micros(5)).unwrap_err();
        assert_eq!(error.to_string(), "succeed with an intent that is running");
    }

    #[test]
    fn a_transition_takes_its_reason_and_time_with_it() {
        let mut it = intent(Status::Pending);
        apply(&mut it, Transition::Hold, Some("hold-down until 10:00".into()), micros(5)).unwrap();
        assert_eq!(
            (it.status, it.reason.as_deref(), it.updated_at),
            (Status::Held, Some("hold-down until 10:00"), micros(5))
        );
        apply(&mut it, Transition::Release, None, micros(6)).unwrap();
        assert_eq!((it.status, it.reason), (Status::Pending, None));
    }

    proptest! {
        /// Whatever happens in whatever order, nothing runs unguarded, nothing succeeds unchecked, nothing leaves an end.
        #[test]
        fn no_history_skips_a_guard_or_a_check(events in prop::collection::vec(0..Transition::ALL.len(), 0..60)) {
            let mut it = intent(Status::Pending);
            for (n, event) in events.into_iter().enumerate() {
                let (event, from) = (Transition::ALL[event], it.status);
                let moved = apply(&mut it, event, Some(n.to_string()), micros(n as i64 + 1)).is_ok();
                prop_assert_eq!(moved, it.updated_at == micros(n as i64 + 1));
                if !moved {
                    prop_assert_eq!(it.status, from);
                    continue;
                }
                prop_assert!(from.is_open());
                match it.status {
                    Status::Running => prop_assert_eq!(from, Status::Pending),
                    Status::Verifying => prop_assert_eq!(from, Status::Running),
                    Status::Succeeded => prop_assert_eq!(from, Status::Verifying),
                    Status::Expired | Status::Denied => {
                        prop_assert!(!matches!(from, Status::Running | Status::Verifying));
                    }
                    _ => {}
                }
            }
        }
    }
}
