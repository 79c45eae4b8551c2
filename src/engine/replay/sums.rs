//! How often each rule fired and what that came to, counted as it happens.

use super::report::{FailedCondition, Outcome, RuleSum};
use crate::condition::EvalError;
use crate::model::Time;
use crate::rules::RuleSet;

/// A sum for each rule of a set, by its place there.
pub(super) struct Sums(Vec<RuleSum>);

impl Sums {
    pub(super) fn new(set: &RuleSet) -> Self {
        let sum = |rule: &std::sync::Arc<crate::rules::Rule>| RuleSum {
            rule: rule.name.clone(),
            ..RuleSum::default()
        };
        Self(set.rules().iter().map(sum).collect())
    }

    pub(super) fn fired(&mut self, rule: u32, now: Time) {
        let sum = &mut self.0[rule as usize];
        sum.fired += 1;
        sum.first = sum.first.or(Some(now));
        sum.last = Some(now);
    }

    pub(super) fn made(&mut self, rule: u32) {
        self.0[rule as usize].intents += 1;
    }

    pub(super) fn ended(&mut self, rule: u32, outcome: Outcome) {
        *self.0[rule as usize].outcomes.entry(outcome).or_default() += 1;
    }

    /// The condition of `rule` failed for the event with this id.
    pub(super) fn failed(&mut self, rule: u32, error: &EvalError, event: &str) {
        let failed = self.0[rule as usize].failed.get_or_insert_with(|| FailedCondition {
            count: 0,
            why: error.to_string(),
            event: event.into(),
        });
        failed.count += 1;
    }

    /// The sums of the rules whose name holds `only`.
    pub(super) fn finish(self, only: Option<&str>) -> Vec<RuleSum> {
        self.0.into_iter().filter(|sum| only.is_none_or(|only| sum.rule.contains(only))).collect()
    }
}
