//! A wish to have something repaired, from the moment a rule fires until it is known what came of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Decision, EndedBy, Event, IntentId, Mode, Outcome, Pattern, Priority, RunId, Span, Time};

/// A wish to have something repaired. One is open per rule and group; further matches are counted on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Its name.
    pub id: IntentId,
    /// What is wanted, in words.
    pub goal: String,
    /// Order of service.
    pub priority: Priority,
    /// `infrastructure`, `performance`, or what the rule says.
    pub domain: String,
    /// The one thing to act on; never empty once an intent exists.
    pub target: String,
    /// The group of targets that blast radius counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<String>,
    /// The rule that fired; `manual` for a person's wish.
    pub rule: String,
    /// The failing thing that the rule grouped by.
    pub group: String,
    /// What learning tells apart.
    pub class: String,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there, where that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Matches so far, the first included.
    pub count: u64,
    /// The event that completed the first match.
    pub event: Arc<Event>,
    /// All events that made the rule's pattern complete, in order of time, where it keeps them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Arc<Event>>,
    /// What the rule asked for when it fired; a reload does not change it.
    pub plan: Arc<Plan>,
    /// Playbook runs so far, in order.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// The latest choice, with its reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Who approved it, once somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Content hash of the playbook that a person was asked about: an approval is for that one, with the target and the
    /// parameters that the plan fixes. Another content is another question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_for: Option<String>,
    /// The intent that a person has tried again by this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<IntentId>,
    /// When an event said that it is over, if no match came after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Time>,
    /// Whether it was held by a freeze for a while, so that how long it took says nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disturbed: bool,
    /// Nothing more is tried; from here on the escalation chain is followed.
    #[serde(default)]
    pub exhausted: bool,
    /// How far the escalation chain was followed.
    #[serde(default)]
    pub escalations: usize,
    /// The era of the clock by which its times are: all of them, and those of its runs. See [`super::Clock::now_in`].
    #[serde(default, skip_serializing_if = "is_first")]
    pub era: u32,
    /// When the first match came.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When the latest match came.
    pub last_event_at: Time,
    /// When, untouched until then, it expires.
    pub expires_at: Time,
    /// Not before this time (hold-down, cooldown, waiting between steps of an escalation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
}

/// What a rule asks for, pinned into each intent it makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Candidates; learning orders them.
    pub playbooks: Vec<String>,
    /// Reach the playbook as `ctx.params`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// Repair, ask, or only record.
    #[serde(default)]
    pub mode: Mode,
    /// Limits.
    #[serde(default)]
    pub guard: Guard,
    /// How to see that it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// Events that say it is over; before acting, a kernel that these speak of is asked how it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved_by: Vec<Pattern>,
    /// Whom to tell when it did not.
    #[serde(default)]
    pub escalate: Vec<Escalation>,
    /// How long the intent may wait before it is too old to act on.
    pub expire: Span,
}

/// A rule's `guard:` block. What is not set is the engine's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// The failure must persist this long before anything is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_down: Option<Span>,
    /// Quiet time for the same target and rule after a repair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Span>,
    /// Most intents of this rule that start in a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Most playbook runs an intent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Ask a person when confidence is below this, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_below: Option<f64>,
    /// Share of the fleet under repair at once, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blast_radius: Option<f64>,
}

/// `10/1h`: so many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub within: Span,
}

impl Rate {
    /// Largest count: so many starts of a rule are remembered.
    pub const MAX: u32 = 1_000;
}

/// A rule's `verify:` block: the event that shows that it worked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// Which topics show it.
    pub expect: Pattern,
    /// A condition over that event and `target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// It must come within this time after the playbook ended.
    pub within: Span,
    /// A match of the same rule and group within this time re-labels the outcome as a relapse.
    #[serde(default)]
    pub hold: Span,
}

/// One step of a rule's `escalate:` chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Escalation {
    /// The playbook to run.
    pub to: String,
    /// How long after the step before.
    #[serde(default)]
    pub after: Span,
    /// Added to the rule's own.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

/// One playbook run for an intent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Which playbook.
    pub playbook: String,
    /// Its run, whose journal `/api/runs/{id}` shows.
    pub run: RunId,
    /// Whether it belongs to the escalation and not to the repair.
    #[serde(default)]
    pub escalation: bool,
    /// Confidence in it when it was chosen, from 0 to 1.
    pub confidence: f64,
    /// When it began.
    pub started_at: Time,
    /// When its outcome was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What ended it, if not itself.
    #[serde(default, skip_serializing_if = "EndedBy::is_itself")]
    pub ended_by: EndedBy,
    /// The reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where an intent stands. Only `intents::lifecycle` changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The failure must persist for a while first.
    Held,
    /// Waits for its turn.
    Pending,
    /// Waits for a person.
    AwaitingApproval,
    /// A playbook runs.
    Running,
    /// The playbook is done; whether it helped is being checked.
    Verifying,
    /// Repaired, and seen to be.
    Succeeded,
    /// Not repaired; the rule has no escalation chain, and the alert list and the channels have it.
    Failed,
    /// Not repaired; its escalation chain was followed.
    Escalated,
    /// A person ended it.
    Cancelled,
    /// Too old to act on; an operator was alerted.
    Expired,
    /// A person or a guard said no.
    Denied,
    /// It was over before anything was done.
    Stale,
    /// Only recorded, as the rule is in shadow mode.
    Shadowed,
}

impl Status {
    /// All of them, in the order in which an intent may come to them.
    pub const ALL: [Self; 13] = [
        Self::Held,
        Self::Pending,
        Self::AwaitingApproval,
        Self::Running,
        Self::Verifying,
        Self::Succeeded,
        Self::Failed,
        Self::Escalated,
        Self::Cancelled,
        Self::Expired,
        Self::Denied,
        Self::Stale,
        Self::Shadowed,
    ];

    /// Whether something may still happen to it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Pending | Self::AwaitingApproval | Self::Running | Self::Verifying)
    }

    /// The name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pending => "pending",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Escalated => "escalated",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Denied => "denied",
            Self::Stale => "stale",
            Self::Shadowed => "shadowed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Intent {
    /// A pending intent of `rule` for `group`, with `target` to act on, that came of `event` at `now`. What else it
    /// says is set by whoever makes it.
    pub fn new(
        id: IntentId,
        rule: &str,
        group: &str,
        target: &str,
        event: Arc<Event>,
        plan: Arc<Plan>,
        now: Time,
    ) -> Self {
        Self {
            id,
            goal: format!("Repair {target}"),
            priority: Priority::Normal,
            domain: "infrastructure".into(),
            target: target.into(),
            fleet: None,
            rule: rule.into(),
            group: group.into(),
            class: String::new(),
            status: Status::Pending,
            reason: None,
            count: 1,
            event,
            events: Vec::new(),
            expires_at: now + plan.expire.delta(),
            plan,
            attempts: Vec::new(),
            decision: None,
            approved_by: None,
            asked_for: None,
            retry_of: None,
            cleared_at: None,
            disturbed: false,
            exhausted: false,
            escalations: 0,
            era: 0,
            created_at: now,
            updated_at: now,
            last_event_at: now,
            not_before: None,
        }
    }

    /// What learning tells apart: the rule, and within it the class that the rule names.
    pub fn learning_class(&self) -> String {
        if self.class.is_empty() { self.rule.clone() } else { format!("{}/{}", self.rule, self.class) }
    }

    /// Attempts that were meant to repair, in order.
    pub fn repairs(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| !attempt.escalation)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_first(era: &u32) -> bool {
    *era == 0
}
