//! What is suspicious about a set of good rules: some that can never fire, that another hides, or that are slow.
//!
//! Everything found is a warning, and everything that is said holds for certain: what cannot be decided is not
//! suspected. Start with [`review`].

mod never;
mod others;
mod place;

use std::sync::Arc;

pub use self::place::Places;

use super::build::SourceFile;
use super::pattern::Correlation;
use super::rule::{Part, RESOLVED, Rule};
use super::set::RuleSet;
use crate::model::{Diagnostic, Pattern};

/// Codes of warnings about rules. They are stable, as those of mistakes are.
pub mod code {
    /// A rule that can never fire.
    pub const NEVER: &str = "P0131";
    /// A rule that another always comes before.
    pub const SHADOWED: &str = "P0132";
    /// A rule that says what another says.
    pub const REPEATED: &str = "P0133";
    /// A condition that only Rhai itself can answer.
    pub const SLOW: &str = "P0134";
    /// A topic that looks like a pattern of another system.
    pub const TOPIC: &str = "P0135";
}

/// Something suspicious about a rule.
struct Finding {
    rule: Arc<Rule>,
    /// Under which keys of the rule it stands, one in the other; a number is a place in a list; none: its name.
    keys: Vec<String>,
    code: &'static str,
    message: String,
    help: String,
}

/// Everything suspicious about the rules of `set`, which were compiled from `files`.
pub fn review(set: &RuleSet, files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for rule in set.rules().iter().filter(|rule| rule.enabled) {
        alone(rule, &mut findings);
    }
    others::compare(set, &mut findings);
    place::place(findings, files)
}

/// What can be seen of a rule by itself.
fn alone(rule: &Arc<Rule>, findings: &mut Vec<Finding>) {
    let mut add = |keys: &[&str], code, message: String, help: &str| {
        let keys = keys.iter().map(ToString::to_string).collect();
        findings.push(Finding { rule: rule.clone(), keys, code, message, help: help.into() });
    };
    let parts = rule.parts();
    let (over, parts): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.number == RESOLVED);
    let dead: Vec<Option<Dead>> = parts.iter().map(|part| dead(rule, part)).collect();
    let never = match &rule.pattern {
        Correlation::Any(_) => {
            dead.iter().cloned().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next())
        }
        Correlation::NotAfter { .. } => dead.into_iter().next().flatten(),
        // Those it expects are missed although nobody is ever heard.
        Correlation::Absent { expect, .. } if !expect.is_empty() => None,
        _ => dead.into_iter().flatten().next(),
    };
    if let Some(Dead { why, keys, help }) = never {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        add(&keys, code::NEVER, format!("rule `{}` can never fire: {why}", rule.name), help);
    }
    if let Some(Dead { why, keys, .. }) = over.iter().find_map(|part| self::dead(rule, part)) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let message = format!("`resolved` of rule `{}` can never hold: {why}", rule.name);
        add(&keys, code::NEVER, message, "mend it, or no intent is ever closed by it");
    }
    if let Some((topic, meant)) = foreign(&rule.topics()) {
        let key = if rule.on.is_empty() { "pattern" } else { "on" };
        let message =
            format!("`{topic}` is one topic of just this name: only whole words `*` and `>` are more");
        add(&[key], code::TOPIC, message, &format!("did you mean `{meant}`?"));
    }
    if parts.iter().flat_map(|part| &part.when).any(|when| !when.is_lowered()) {
        let message = format!("a condition of rule `{}` is answered by Rhai itself", rule.name);
        let help =
            "that takes some 20 times as long an event; comparisons and texts alone are answered at once";
        let key = if rule.when.is_some() { "when" } else { "pattern" };
        add(&[key], code::SLOW, message, help);
    }
}

/// A topic that was most likely meant as another system would read it, and what to write; `**`, `#` and `+` are
/// ordinary words here, and so are `*` and `>` within a word.
fn foreign(topics: &[Pattern]) -> Option<(&str, String)> {
    topics.iter().find_map(|topic| {
        let text = topic.as_str();
        let mut tokens: Vec<String> = text.split('.').map(String::from).collect();
        let last = tokens.len() - 1;
        for (i, token) in tokens.iter_mut().enumerate() {
            let part = token.len() > 1 && token.contains(['*', '>']) || token.contains(['#', '/']);
            if !part && token != "+" {
                continue;
            }
            let many = i == last && (token.contains('#') || token.contains("**"));
            *token = if many { ">" } else { "*" }.into();
        }
        let meant = tokens.join(".");
        (meant != text).then_some((text, meant))
    })
}

/// Why no event is ever a part of a rule.
#[derive(Clone)]
struct Dead {
    why: String,
    /// Where that stands in the rule.
    keys: Vec<String>,
    help: &'static str,
}

fn dead(rule: &Rule, part: &Part<'_>) -> Option<Dead> {
    let timers = |on: &Pattern| on.as_str().starts_with("paramedic.timer.");
    if !part.on.is_empty() && part.on.iter().all(timers) {
        let why = format!("rules do not match timers' own events, such as `{}`", part.on[0]);
        let keys =
            if std::ptr::eq(part.on, &*rule.on) { vec!["on".into()] } else { part_keys(rule, part, "on") };
        return Some(Dead { why, keys, help: "name the topic that the timer is about" });
    }
    part.when.iter().find_map(|when| {
        let why = never::why(when, Some(part.on).filter(|on| !on.is_empty()))?;
        let of_rule = rule.when.as_ref().is_some_and(|of_rule| std::ptr::eq(of_rule, *when));
        let keys = if of_rule { vec!["when".into()] } else { part_keys(rule, part, "when") };
        Some(Dead { why, keys, help: "mend the condition" })
    })
}

/// Where `key` of a part of a rule's pattern stands.
fn part_keys(rule: &Rule, part: &Part<'_>, key: &str) -> Vec<String> {
    let number = part.number.to_string();
    let keys: &[&str] = match (&rule.pattern, part.number) {
        (_, RESOLVED) => &["resolved", key],
        (Correlation::NotAfter { .. }, 0) => &["pattern", "after", key],
        (Correlation::NotAfter { .. }, _) => &["pattern", "not", key],
        (Correlation::Absent { .. }, _) => &["pattern", "absent"],
        (pattern, _) => &["pattern", pattern.kind(), &number, key],
    };
    keys.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
