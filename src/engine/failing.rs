//! Conditions that fail, and events that match a rule and belong to no group: counted and kept with the last reason, so that a rule that never fires can be seen to be ill.

use std::collections::BTreeMap;
use std::sync::Mutex;

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use crate::condition::EvalError;
use crate::model::Time;
use crate::platform::Problems;
use crate::platform::metrics::Registry;
use crate::rules::{Note, RuleSet, Why};
use crate::tasks::lock;

/// How a rule's condition failed so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failed {
    /// Events for which it failed, which counts as "does not hold".
    pub count: u64,
    /// Why, the last time.
    pub last: String,
    /// When that was.
    pub at: Time,
}

/// By rule. No longer than the rules that were ever loaded; a reload forgets those that are gone.
#[derive(Debug)]
pub struct Failing {
    rules: Mutex<BTreeMap<String, Failed>>,
    problems: Problems,
    ungrouped: Counter,
}

impl Failing {
    /// Nothing has failed yet.
    pub fn new(problems: Problems, registry: &Registry) -> Self {
        let ungrouped = registry.counter(
            "events_without_group",
            "Times an event matched a rule but lacked what the rule groups by, so that nothing was done",
        );
        Self { rules: Mutex::default(), problems, ungrouped }
    }

    /// Takes in what the rules made of one event: those that could not tell its group are counted, and shown to an
    /// operator until the rules change.
    pub fn note_ungrouped(&self, rules: &RuleSet, notes: &[Note]) {
        for Note { rule, why } in notes {
            let (Why::Ungrouped(why), Some(named)) = (why, rules.rules().get(*rule as usize)) else {
                continue;
            };
            self.ungrouped.inc();
            let name = &named.name;
            let text = format!(
                "Rule {name} matches events that it can't group, so nothing is done about them: {why}. \
                 Mend `group_by` or what sends them; `paramedic rules --json` counts them."
            );
            if self.problems.raise(format!("rule/{name}/group"), text) {
                tracing::warn!(rule = %name, "an event matches but belongs to no group, so nothing is done: {why}");
            }
        }
    }

    /// Takes in what failed for one event; how many that were.
    pub fn note(&self, rules: &RuleSet, errors: &[(u32, EvalError)], now: Time) -> u64 {
        if errors.is_empty() {
            return 0;
        }
        let mut all = lock(&self.rules);
        for (rule, error) in errors {
            let Some(rule) = rules.rules().get(*rule as usize) else { continue };
            let last = error.to_string();
            match all.get_mut(&rule.name) {
                Some(failed) => *failed = Failed { count: failed.count + 1, last, at: now },
                None => {
                    all.insert(rule.name.clone(), Failed { count: 1, last, at: now });
                }
            }
        }
        errors.len() as u64
    }

    /// Forgets rules that are not in `rules`.
    pub fn retain(&self, rules: &RuleSet) {
        lock(&self.rules).retain(|name, _| {
            self.problems.clear(&format!("rule/{name}/group"));
            rules.get(name).is_some()
        });
    }

    /// How `rule`'s condition failed, if it did.
    pub fn of(&self, rule: &str) -> Option<Failed> {
        lock(&self.rules).get(rule).cloned()
    }
}
