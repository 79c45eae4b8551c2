//! One test of rules or of a playbook, as a value: what happens, how the world answers, and what is to come of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::{Event, Failure, Span, Time, Topic};

/// One test of rules, or of a playbook alone.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// The rule in whose `tests:` block it stands; empty in a file of tests.
    pub rule: String,
    /// The file it stands in, as the user named it.
    pub file: String,
    /// Its line there, from 1.
    pub line: u32,
    /// When it begins.
    pub start: Time,
    /// What happens, in order.
    pub events: Vec<Happening>,
    /// How actions answer, one call after another; the last answer stays.
    pub actions: BTreeMap<String, Vec<Answer>>,
    /// What people do, in order.
    pub people: Vec<Person>,
    /// How often each of these playbooks has helped so far, from 0 to 1.
    pub learned: BTreeMap<String, f64>,
    /// The playbook that is tested alone, where no rule is.
    pub alone: Option<Alone>,
    /// The candidate that is tried first.
    pub playbook: Option<String>,
    /// How long it is watched; if not said, until nothing is under way.
    pub until: Option<Span>,
    /// What is to come of it.
    pub expect: Expected,
}

/// A playbook that is tested alone.
#[derive(Clone, Debug)]
pub struct Alone {
    /// Which.
    pub playbook: String,
    /// What it acts on.
    pub target: String,
    /// What it is given.
    pub params: Map<String, Value>,
    /// What it sees as `ctx.event`; if not said, the one of an intent made by hand.
    pub event: Option<Event>,
}

/// An event at its time.
#[derive(Clone, Debug)]
pub struct Happening {
    /// How long after the start it arrives.
    pub at: Span,
    /// The event.
    pub event: Event,
}

/// How an action answers a call.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// How long it takes.
    pub takes: Span,
    /// What comes of it; none is what the action usually gives.
    pub result: Option<Result<Value, Failure>>,
    /// What happens in the world when it has ended; none is what usually does when it has succeeded.
    pub then: Option<Vec<Then>>,
}

/// An event that follows from an action.
#[derive(Clone, Debug)]
pub struct Then {
    /// How long after the action has ended.
    pub after: Span,
    /// What kind of thing happened.
    pub topic: Topic,
    /// Who says so.
    pub source: String,
    /// What it is about; the target if not said.
    pub subject: Option<String>,
    /// The payload.
    pub data: Value,
}

/// What a person does.
#[derive(Clone, Debug)]
pub struct Person {
    /// Not before this long after the start.
    pub at: Span,
    /// What.
    pub does: Does,
    /// Only for an intent of this rule.
    pub rule: Option<String>,
    /// Only for an intent with this target.
    pub target: Option<String>,
}

/// What a person can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// Says yes to what waits for approval.
    Approve,
    /// Says no to it.
    Deny,
    /// Ends an open intent.
    Cancel,
    /// Answers what a playbook asks.
    Answer(String),
}

/// What is to come of it. What is not said is not looked at; each item names only what matters of it.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Exactly these intents, in the order in which they were opened.
    pub intents: Option<Vec<Map<String, Value>>>,
    /// Exactly these steps of all runs, in order.
    pub steps: Option<Vec<Map<String, Value>>>,
    /// Exactly these alerts, in the order in which they were raised first.
    pub alerts: Option<Vec<Map<String, Value>>>,
    /// These events, in this order among all that the test did not send itself.
    pub events: Option<Vec<Map<String, Value>>>,
    /// What is to come of the run of a playbook that is tested alone: outcome, result, failure, verify, rollback.
    pub run: Map<String, Value>,
}
