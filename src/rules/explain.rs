//! Why each rule did or did not fire for an event, in words.

use super::rule::{Correlation, Rule};
use super::set::RuleSet;
use super::windows::Windows;
use crate::condition::View;
use crate::model::{Event, Pattern, Span, clock};

/// Why a rule did or did not fire.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RuleReason {
    /// Which rule.
    pub rule: String,
    /// Whether it fired.
    pub fired: bool,
    /// Why, in words.
    pub reason: String,
}

/// Why each enabled rule of `set` did or did not fire for `event`, if `windows` have `taken` it, or else would.
pub fn explain(set: &RuleSet, windows: &Windows, event: &Event, taken: bool) -> Vec<RuleReason> {
    let view = View::new(event, &[]);
    let mut ended: Option<&str> = None;
    let mut others = false;
    let enabled = || set.rules().iter().filter(|rule| rule.enabled);
    // As they fire: backstops after all others.
    let order = enabled().filter(|r| !r.backstop).chain(enabled().filter(|r| r.backstop));
    let mut reasons = Vec::new();
    for rule in order {
        let (matched, mut reason) = judge(rule, windows, event, taken, &view);
        let mut fired = matched;
        if let (true, Some(by)) = (matched, ended) {
            (fired, reason) = (false, format!("it matched, but `{by}` fired before it and has `stop: true`"));
        } else if matched && rule.backstop && others {
            (fired, reason) = (false, "it matched, but it is a backstop and another rule fired".into());
        }
        others |= fired;
        if fired && rule.stop {
            ended = Some(&rule.name);
        }
        reasons.push(RuleReason { rule: rule.name.clone(), fired, reason });
    }
    reasons
}

fn judge(rule: &Rule, windows: &Windows, event: &Event, taken: bool, view: &View<'_>) -> (bool, String) {
    let covered = |on: &[Pattern]| on.iter().any(|pattern| pattern.matches(event.topic.as_str()));
    let why = rule.when.as_ref().map(|when| when.explain(event, &[]));
    if !covered(&rule.on) || why.as_ref().is_some_and(|why| !why.holds) {
        if let Some(resolved) = &rule.resolved
            && covered(&resolved.on)
        {
            let why = resolved.when.as_ref().map(|when| when.explain(event, &[]));
            return match why {
                Some(why) if !why.holds => (false, format!("it would be `resolved`, but {why}")),
                _ => (false, format!("the event says that `{}` is `resolved`", rule.group(view))),
            };
        }
        return match why {
            Some(why) if covered(&rule.on) => (false, why.to_string()),
            _ => {
                let on = rule.on.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ");
                (false, format!("topic `{}` is not covered by {on}", event.topic))
            }
        };
    }
    let why = why
        .map_or_else(|| "the topic is covered and there is no condition".to_owned(), |why| why.to_string());
    let group = rule.group(view);
    match rule.pattern {
        Correlation::Every => (true, why),
        Correlation::Count { count, within } => {
            let seen = windows.count(rule, &group, event) + u64::from(!taken);
            let fired = seen >= u64::from(count);
            (fired, format!("{why}; {seen} of {count} within {within} for `{group}`"))
        }
        Correlation::OnceWithin(quiet) => match windows.latest(rule, &group) {
            Some(last) if !taken && quiet_at(last, quiet, event) || taken && last != micros(event) => {
                let last = clock::micros(last).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
                (false, format!("{why}; but `{group}` fired at {last} and is quiet for {quiet}"))
            }
            _ => (true, format!("{why}; it is the first of `{group}` within {quiet}")),
        },
    }
}

fn quiet_at(last: i64, quiet: Span, event: &Event) -> bool {
    u128::from(last.abs_diff(micros(event))) < quiet.0.as_micros()
}

fn micros(event: &Event) -> i64 {
    event.time.timestamp_micros()
}
