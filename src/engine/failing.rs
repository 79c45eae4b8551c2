//! Conditions that fail: counted and kept with the last reason, so that a rule that never fires can be seen to be ill.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use crate::condition::EvalError;
use crate::model::Time;
use crate::rules::RuleSet;
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
#[derive(Debug, Default)]
pub struct Failing(Mutex<BTreeMap<String, Failed>>);

impl Failing {
    /// Takes in what failed for one event; how many that were.
    pub fn note(&self, rules: &RuleSet, errors: &[(u32, EvalError)], now: Time) -> u64 {
        if errors.is_empty() {
            return 0;
        }
        let mut all = lock(&self.0);
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
        lock(&self.0).retain(|name, _| rules.get(name).is_some());
    }

    /// How `rule`'s condition failed, if it did.
    pub fn of(&self, rule: &str) -> Option<Failed> {
        lock(&self.0).get(rule).cloned()
    }
}
