//! One compiled rule.

use std::sync::Arc;

use serde_json::Value;

use super::cron::Schedule;
use super::pattern::{Correlation, Member};
use crate::condition::template::text_of;
use crate::condition::{Condition, EvalError, Template, View};
use crate::model::intent::Plan;
use crate::model::{Mode, Pattern, Priority, Span};

/// One compiled rule: which events it is about, and what it wants done.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name, unique in the set.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// The file it stands in, as the user named it.
    pub file: String,
    /// Its line there, from 1.
    pub line: u32,
    /// Whether it takes part.
    pub enabled: bool,
    /// The topics it is about.
    pub on: Vec<Pattern>,
    /// What must hold besides.
    pub when: Option<Condition>,
    /// What tells one failing thing from another; empty: the subject, or else source and topic.
    pub group_by: Vec<Condition>,
    /// How matches add up to a firing.
    pub pattern: Correlation,
    /// How long after its time an event may come and still be in order; timers wait so much longer.
    pub lateness: Span,
    /// When it fires by the calendar, instead of by events.
    pub schedule: Option<Schedule>,
    /// What learning tells apart.
    pub class: Option<Condition>,
    /// What shows that it is over.
    pub resolved: Option<Resolved>,
    /// Repair, ask, or only record.
    pub mode: Mode,
    /// Rules of higher priority come first; equal ones in the order of the files.
    pub priority: i32,
    /// Whether no later rule sees an event that fired this one.
    pub stop: bool,
    /// Whether it fires only for events that fired no other rule.
    pub backstop: bool,
    /// What is wanted.
    pub wish: Wish,
    /// How it is to be done.
    pub plan: Arc<Plan>,
    /// The `tests:` block, as written.
    pub tests: Vec<Value>,
    /// SHA-256 of what it says, in hex: the same for the same rule however it is laid out.
    pub hash: String,
    /// Hash of what its windows depend on; they survive a reload that leaves it the same.
    pub window: u64,
}

/// What shows that the failure is over.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Topics that show it.
    pub on: Vec<Pattern>,
    /// What must hold besides.
    pub when: Option<Condition>,
}

/// What a rule wants: the `intent:` block.
#[derive(Clone, Debug)]
pub struct Wish {
    /// In words.
    pub goal: Template,
    /// `infrastructure`, `performance`, or what the rule says.
    pub domain: String,
    /// Order of service.
    pub priority: Priority,
    /// The one thing to act on.
    pub target: Template,
    /// The group of targets that blast radius counts.
    pub fleet: Option<Template>,
}

/// Something that an event can be to a rule: a match of its `on` and `when`, of a member of its pattern, or of what
/// shows that it is over.
#[derive(Clone, Debug)]
pub struct Part<'r> {
    /// Which part: the member's place, 0 for a rule without members, or [`RESOLVED`].
    pub number: u16,
    /// Its topics.
    pub on: &'r [Pattern],
    /// Conditions that must all hold.
    pub when: Vec<&'r Condition>,
}

/// The number of the part that shows that it is over.
pub const RESOLVED: u16 = u16::MAX;

impl Rule {
    /// All that an event can be to this rule; of one that is not enabled, nothing.
    pub fn parts(&self) -> Vec<Part<'_>> {
        if !self.enabled {
            return Vec::new();
        }
        let mut parts = match &self.pattern {
            _ if self.schedule.is_some() => Vec::new(),
            Correlation::All { members, .. }
            | Correlation::Sequence { members, .. }
            | Correlation::Any(members) => self.members(members),
            Correlation::NotAfter { not, after, .. } => {
                vec![self.part(0, &after.on, after.when.as_ref()), self.part(1, &not.on, not.when.as_ref())]
            }
            Correlation::Absent { on, .. } => vec![self.part(0, on, None)],
            _ => vec![self.part(0, &[], None)],
        };
        parts.extend(self.resolved.as_ref().map(|resolved| Part {
            number: RESOLVED,
            on: &resolved.on,
            when: resolved.when.iter().collect(),
        }));
        parts
    }

    /// The kind of its pattern, as it is written in a rule.
    pub fn kind(&self) -> &'static str {
        if self.schedule.is_some() { "schedule" } else { self.pattern.kind() }
    }

    fn part<'r>(&'r self, number: usize, on: &'r [Pattern], when: Option<&'r Condition>) -> Part<'r> {
        Part {
            number: u16::try_from(number).expect("a pattern has few members"),
            on: if on.is_empty() { &self.on } else { on },
            when: self.when.iter().chain(when).collect(),
        }
    }

    fn members<'r>(&'r self, members: &'r [Member]) -> Vec<Part<'r>> {
        members.iter().enumerate().map(|(n, m)| self.part(n, &m.on, m.when.as_ref())).collect()
    }

    /// The topics that it is about, its pattern's included.
    pub fn topics(&self) -> Vec<Pattern> {
        let mut all: Vec<Pattern> = Vec::new();
        for part in self.parts().iter().filter(|part| part.number != RESOLVED) {
            let new: Vec<&Pattern> = part.on.iter().filter(|on| !all.contains(on)).collect();
            all.extend(new.into_iter().cloned());
        }
        if all.is_empty() { self.on.clone() } else { all }
    }

    /// Which failing thing the event is about, or why that is not known.
    ///
    /// # Errors
    /// When a part of `group_by` fails, is missing or empty, or is a list or a map: such events are about different
    /// things, or about none, and must never be taken for one.
    pub fn group(&self, view: &View<'_>) -> Result<String, String> {
        match &self.group_by[..] {
            [] => Ok(match &view.event().subject {
                Some(subject) => subject.clone(),
                None => format!("{}/{}", view.event().source, view.event().topic),
            }),
            [one] => key(one, view),
            // A slash within a part is marked, so that `a/b` + `c` and `a` + `b/c` stay two groups.
            many => {
                let parts = many.iter().map(|by| key(by, view).map(|part| part.replace('/', "\\/")));
                Ok(parts.collect::<Result<Vec<_>, _>>()?.join("/"))
            }
        }
    }

    /// What learning tells apart; empty where the rule does not say.
    pub fn class(&self, view: &View<'_>) -> String {
        self.class.as_ref().map(|class| part(class, view)).unwrap_or_default()
    }

    /// What is wanted, in words. A value that is missing is left out.
    pub fn goal(&self, view: &View<'_>) -> String {
        match self.wish.goal.render_in(view) {
            Ok(goal) => goal.text,
            Err(error) => {
                view.fail(error);
                self.wish.goal.text().to_owned()
            }
        }
    }

    /// The one thing to act on, or why there is none.
    ///
    /// # Errors
    /// When an expression in it fails or has no value, or the text is empty: that must never be read as "all".
    pub fn target(&self, view: &View<'_>) -> Result<String, String> {
        let template = self.wish.target.text();
        let rendered =
            self.wish.target.render_in(view).map_err(|e| format!("target `{template}` failed: {e}"))?;
        match (rendered.missing, rendered.several) {
            (Some(missing), _) => {
                Err(format!("target `{template}` is unknown: the event has no `{missing}`"))
            }
            (None, Some(several)) => Err(format!(
                "target `{template}` is not one thing: `{several}` is a list or a map; name one value in it"
            )),
            (None, None) if rendered.text.trim().is_empty() => Err(format!("target `{template}` is empty")),
            (None, None) => Ok(rendered.text),
        }
    }

    /// The group of targets that blast radius counts, where the rule says one and the event has it.
    pub fn fleet(&self, view: &View<'_>) -> Option<String> {
        let fleet = self.wish.fleet.as_ref()?.render_in(view);
        let fleet = fleet.map_err(|error| view.fail(error)).ok()?;
        (fleet.missing.is_none() && fleet.several.is_none() && !fleet.text.is_empty()).then_some(fleet.text)
    }
}

/// One part of a group's name.
fn key(expression: &Condition, view: &View<'_>) -> Result<String, String> {
    let name = expression.text().trim();
    let why = match expression.value_in(view) {
        Err(error) => format!("`group_by: {name}` failed: {error}"),
        Ok(Value::Null) => format!("the event has no `{name}`, by which the rule groups"),
        Ok(Value::Array(_)) => format!("`{name}`, by which the rule groups, is a list"),
        Ok(Value::Object(_)) => format!("`{name}`, by which the rule groups, is a map"),
        Ok(value) => match text_of(&value) {
            text if text.trim().is_empty() => format!("`{name}`, by which the rule groups, is empty"),
            text => return Ok(text),
        },
    };
    // Counted with what else fails of the rule.
    view.fail(EvalError { message: why.clone(), column: 0 });
    Err(why)
}

fn part(expression: &Condition, view: &View<'_>) -> String {
    let value: Result<Value, EvalError> = expression.value_in(view);
    value.map_err(|error| view.fail(error)).map(|value| text_of(&value)).unwrap_or_default()
}
