//! Why each rule did or did not fire for an event, in words.
//!
//! What conditions say is found again from the event, which never changes its answer; what patterns made of it is
//! taken from the notes that were written when it was decided.

use std::sync::Arc;

use super::hits::Scratch;
use super::pattern::Correlation;
use super::rule::{Part, RESOLVED, Rule};
use super::set::RuleSet;
use super::windows::{Firing, Note, Why, Windows};
use crate::condition::View;
use crate::model::{Event, clock};

/// Why a rule did or did not fire.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuleReason {
    /// Which rule.
    pub rule: String,
    /// The group that the event belongs to, if it matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether it fired.
    pub fired: bool,
    /// Why, in words.
    pub reason: String,
}

/// Why each enabled rule of `set` would or would not fire for `event`, if it came now, and what would fire.
pub fn preview(set: &RuleSet, windows: &Windows, event: &Arc<Event>) -> (Vec<RuleReason>, Vec<Firing>) {
    let hits = set.hits(event, &mut Scratch::default());
    let (firings, notes) = windows.preview(set, event, &hits);
    (explain(set, event, &notes), firings)
}

/// Why each enabled rule of `set` did or did not fire for `event`, of which its patterns made `notes`.
pub fn explain(set: &RuleSet, event: &Event, notes: &[Note]) -> Vec<RuleReason> {
    let view = View::new(event, &[]);
    let enabled = (0..).zip(set.rules()).filter(|(_, rule)| rule.enabled);
    let reason = |(number, rule): (u32, &Arc<Rule>)| {
        let note = notes.iter().find(|note| note.rule == number).map(|note| &note.why);
        let (fired, reason) = match note {
            Some(Why::Over) => (
                false,
                format!("the event says that `{}` is `resolved`", rule.group(&view).unwrap_or_default()),
            ),
            Some(why) => {
                let holds = holds(rule, event);
                let (fired, words) = words(set, rule, &rule.group(&view).unwrap_or_default(), why);
                (fired, if words.is_empty() { holds } else { format!("{holds}; {words}") })
            }
            None => (false, unmatched(rule, event)),
        };
        let group = note.and_then(|_| rule.group(&view).ok());
        RuleReason { rule: rule.name.clone(), group, fired, reason }
    };
    enabled.map(reason).collect()
}

/// Why the event matches the rule.
fn holds(rule: &Rule, event: &Event) -> String {
    let parts = rule.parts();
    let part = parts
        .iter()
        .filter(|part| part.number != RESOLVED)
        .find(|part| covers(part, event) && passes(part, event));
    let texts: Vec<String> =
        part.iter().flat_map(|part| &part.when).map(|when| when.explain(event, &[]).to_string()).collect();
    if texts.is_empty() { "the topic is covered and there is no condition".into() } else { texts.join("; ") }
}

/// Why it does not.
fn unmatched(rule: &Rule, event: &Event) -> String {
    let parts = rule.parts();
    let several = parts.iter().filter(|part| part.number != RESOLVED).count() > 1;
    let mut said = Vec::new();
    for part in parts.iter().filter(|part| covers(part, event)) {
        let failed = part.when.iter().map(|when| when.explain(event, &[])).find(|why| !why.holds);
        let Some(failed) = failed else { continue };
        said.push(match part.number {
            RESOLVED => format!("it would be `resolved`, but {failed}"),
            number if several => format!("member {}: {failed}", number + 1),
            _ => failed.to_string(),
        });
    }
    if !said.is_empty() {
        return said.join("; ");
    }
    if let Some(schedule) = &rule.schedule {
        return format!(
            "it fires by the calendar, `{}` in {}, not for events",
            schedule.text(),
            schedule.timezone()
        );
    }
    let on: Vec<String> = rule.topics().iter().map(|p| format!("`{p}`")).collect();
    format!("topic `{}` is not covered by {}", event.topic, on.join(", "))
}

fn covers(part: &Part<'_>, event: &Event) -> bool {
    part.on.iter().any(|pattern| pattern.matches(event.topic.as_str()))
}

fn passes(part: &Part<'_>, event: &Event) -> bool {
    part.when.iter().all(|when| when.test(event, &[]).unwrap_or(false))
}

/// Whether it fired, and what the pattern made of it.
fn words(set: &RuleSet, rule: &Rule, group: &str, why: &Why) -> (bool, String) {
    let members = |all: usize, have: &[u16]| {
        let missing: Vec<String> = (1..=all)
            .filter(|n| !have.iter().any(|h| usize::from(*h) + 1 == *n))
            .map(|n| n.to_string())
            .collect();
        let missing = if missing.is_empty() { "none in the right order".into() } else { missing.join(", ") };
        format!("{} of {all} members for `{group}` so far, missing: {missing}", have.len())
    };
    match (why, &rule.pattern) {
        (Why::Fired(seen), Correlation::Count { count, within }) => {
            (true, format!("{seen} of {count} within {within} for `{group}`"))
        }
        (Why::Fired(_), Correlation::OnceWithin(quiet)) => {
            (true, format!("it is the first of `{group}` within {quiet}"))
        }
        (Why::Fired(n), Correlation::All { within, .. } | Correlation::Sequence { within, .. }) => {
            (true, format!("with {n} events within {within} the pattern of `{group}` is complete"))
        }
        (Why::Fired(_), Correlation::Change(change)) => {
            (true, format!("`{}` departs from its baseline for `{group}`", change.value.text()))
        }
        (Why::Fired(_), _) => (true, String::new()),
        (Why::Short(seen), Correlation::Count { count, within }) => {
            (false, format!("{seen} of {count} within {within} for `{group}`"))
        }
        (Why::Short(seen), _) => (false, format!("only {seen} for `{group}`")),
        (Why::Partial(have), Correlation::All { members: all, within }) => {
            (false, format!("{} within {within}", members(all.len(), have)))
        }
        (Why::Partial(have), Correlation::Sequence { members: all, within }) => {
            (false, format!("{} within {within}, in order", members(all.len(), have)))
        }
        (Why::Partial(have), _) => (false, members(have.len(), have)),
        (Why::Quiet(since), Correlation::OnceWithin(quiet)) => {
            (false, format!("but `{group}` fired at {} and is quiet for {quiet}", moment(*since)))
        }
        (Why::Quiet(since), _) => (false, format!("but `{group}` fired at {}", moment(*since))),
        (Why::Collecting(n, due), _) => (
            false,
            format!("it is number {n} that is collected for `{group}`; fires once at {}", moment(*due)),
        ),
        (Why::Armed(due), _) => {
            (false, format!("fires for `{group}` at {} if nothing follows", moment(*due)))
        }
        (Why::Already, _) => (false, format!("what should follow has come for `{group}` already")),
        (Why::Followed(n), _) => (false, format!("it is what should follow: {n} of `{group}` waited for it")),
        (Why::Heard(due), _) => {
            (false, format!("`{group}` is heard; fires at {} if it is not again", moment(*due)))
        }
        (Why::Usual(value, Some(baseline), _), _) => {
            (false, format!("{value} is usual for `{group}`: the baseline is {baseline}"))
        }
        (Why::Usual(value, None, n), _) => {
            (false, format!("{value} is kept to learn the baseline of `{group}`, from {n} values so far"))
        }
        (Why::NoNumber(why), _) => (false, format!("but {why}")),
        (Why::Stopped(by), _) => {
            let by = set.rules().get(*by as usize).map_or("another", |rule| &rule.name);
            (false, format!("it matched, but `{by}` fired before it and has `stop: true`"))
        }
        (Why::Others, _) => (false, "it matched, but it is a backstop and another rule fired".into()),
        (Why::Ungrouped(why), _) => {
            (false, format!("but {why}: it counts for no group, and nothing is done"))
        }
        (Why::Over, _) => (false, "it is over".into()),
        (Why::NoRoom, _) => (false, format!("but there is no room to follow `{group}` as well")),
    }
}

fn moment(micros: i64) -> String {
    clock::micros(micros).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
