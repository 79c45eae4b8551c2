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
    /// Under which key of the rule it stands; empty: its name.
    key: &'static str,
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
    let mut add = |key, code, message: String, help: &str| {
        findings.push(Finding { rule: rule.clone(), key, code, message, help: help.into() });
    };
    let parts = rule.parts();
    let (over, parts): (Vec<_>, Vec<_>) = parts.iter().partition(|part| part.number == RESOLVED);
    let dead: Vec<Option<String>> = parts.iter().map(|part| dead(part)).collect();
    let never = match &rule.pattern {
        Correlation::Any(_) => {
            dead.iter().cloned().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next())
        }
        Correlation::NotAfter { .. } => dead.into_iter().next().flatten(),
        _ => dead.into_iter().flatten().next(),
    };
    if let Some(why) = never {
        let key = if rule.when.is_some() { "when" } else { "pattern" };
        add(key, code::NEVER, format!("rule `{}` can never fire: {why}", rule.name), "mend the condition");
    }
    if let Some(why) = over.iter().find_map(|part| self::dead(part)) {
        let message = format!("`resolved` of rule `{}` can never hold: {why}", rule.name);
        add("resolved", code::NEVER, message, "mend the condition, or no intent is ever closed by it");
    }
    if let Some((topic, meant)) = foreign(&rule.topics()) {
        let key = if rule.on.is_empty() { "pattern" } else { "on" };
        let message =
            format!("`{topic}` is one topic of just this name: only whole words `*` and `>` are more");
        add(key, code::TOPIC, message, &format!("did you mean `{meant}`?"));
    }
    if parts.iter().flat_map(|part| &part.when).any(|when| !when.is_lowered()) {
        let message = format!("a condition of rule `{}` is answered by Rhai itself", rule.name);
        let help =
            "that takes some 20 times as long an event; comparisons and texts alone are answered at once";
        let key = if rule.when.is_some() { "when" } else { "pattern" };
        add(key, code::SLOW, message, help);
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

/// Why no event is ever this part of a rule.
fn dead(part: &Part<'_>) -> Option<String> {
    part.when.iter().find_map(|when| never::why(when, Some(part.on).filter(|on| !on.is_empty())))
}

#[cfg(test)]
mod tests;
