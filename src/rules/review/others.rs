//! Rules beside each other: one that another always comes before, one that says what another says.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Finding, code};
use crate::model::{Mode, Pattern};
use crate::rules::pattern::Correlation;
use crate::rules::rule::Rule;
use crate::rules::set::RuleSet;

/// Most comparisons of two rules; a set that would need more is not looked through to the end.
const MAX_COMPARISONS: usize = 2_000_000;

/// Adds what is suspicious about rules beside each other. A rule is named once, with the first that hides it.
pub fn compare(set: &RuleSet, findings: &mut Vec<Finding>) {
    let enabled: Vec<&Arc<Rule>> = set.rules().iter().filter(|rule| rule.enabled).collect();
    // A rule that is looked at again and again by what it asks: an earlier one hides it only with no condition or the
    // same.
    let mut earlier: HashMap<Option<&str>, Vec<&Arc<Rule>>> = HashMap::new();
    let mut same: HashMap<Says<'_>, &Arc<Rule>> = HashMap::new();
    let mut left = MAX_COMPARISONS;
    // As they fire: backstops after all others.
    let (last, first): (Vec<_>, Vec<_>) = enabled.into_iter().partition(|rule| rule.backstop);
    for rule in first.into_iter().chain(last) {
        let when = rule.when.as_ref().map(|when| when.text());
        let topics = rule.topics();
        let hiding = [None, when]
            .into_iter()
            .take(if when.is_some() { 2 } else { 1 })
            .filter_map(|when| earlier.get(&when))
            .flatten()
            .filter(|other| other.stop || rule.backstop)
            .find(|other| {
                left = left.saturating_sub(1);
                left > 0 && covers(&other.on, &topics)
            });
        if let Some(other) = hiding {
            findings.push(hidden(rule, other));
        } else if let Some(other) = same.get(&Says::of(rule)).filter(|_| repairs(rule)) {
            findings.push(repeated(rule, other));
        }
        if repairs(rule) {
            same.entry(Says::of(rule)).or_insert(rule);
        }
        if matches!(rule.pattern, Correlation::Every) {
            earlier.entry(when).or_default().push(rule);
        }
    }
}

/// Whether anything is done for it; of one in the shadow it is only recorded what would be.
fn repairs(rule: &Rule) -> bool {
    rule.mode != Mode::Shadow
}

/// What two rules that are one must have in common.
#[derive(PartialEq, Eq, Hash)]
struct Says<'a> {
    on: Vec<&'a str>,
    when: Option<&'a str>,
    group_by: Vec<&'a str>,
    target: &'a str,
    pattern: String,
    playbooks: &'a [String],
}

impl<'a> Says<'a> {
    fn of(rule: &'a Rule) -> Self {
        let mut on: Vec<&str> = rule.on.iter().map(Pattern::as_str).collect();
        on.sort_unstable();
        Self {
            on,
            when: rule.when.as_ref().map(|when| when.text()),
            group_by: rule.group_by.iter().map(|by| by.text()).collect(),
            target: rule.wish.target.text(),
            pattern: format!("{:?}", rule.pattern),
            playbooks: &rule.plan.playbooks,
        }
    }
}

/// Whether each topic of `inner` is one of `outer`.
fn covers(outer: &[Pattern], inner: &[Pattern]) -> bool {
    !inner.is_empty() && inner.iter().all(|inner| outer.iter().any(|outer| outer.contains(inner)))
}

fn place(rule: &Rule) -> String {
    format!("{}:{}", rule.file, rule.line)
}

fn hidden(rule: &Arc<Rule>, by: &Rule) -> Finding {
    let (why, help) = if by.stop {
        ("fires for each of its events and ends the row", "give it a higher `priority`")
    } else {
        ("fires for each of its events, and a backstop only if no other does", "take out `backstop`")
    };
    Finding {
        rule: rule.clone(),
        keys: Vec::new(),
        code: code::SHADOWED,
        message: format!("rule `{}` never fires: `{}` {why}", rule.name, by.name),
        help: format!("`{}` stands at {}; {help}, or take one of them out", by.name, place(by)),
    }
}

fn repeated(rule: &Arc<Rule>, first: &Rule) -> Finding {
    Finding {
        rule: rule.clone(),
        keys: Vec::new(),
        code: code::REPEATED,
        message: format!(
            "rule `{}` says what `{}` says, so both repair the same thing",
            rule.name, first.name
        ),
        help: format!("`{}` stands at {}; take one of them out", first.name, place(first)),
    }
}
