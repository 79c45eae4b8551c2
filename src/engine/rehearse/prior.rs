//! What is known of playbooks when a test begins: as many helped and failed as the test says.

use super::Stage;
use super::case::Case;
use crate::learning::Learner;
use crate::model::{EndedBy, IntentId, Outcome, OutcomeRecord};

/// Outcomes of a class that stand behind what a test says is learned: enough to be sure of it.
const KNOWN: u32 = 20;

/// Classes made up within a rule: what is known of all of them is what is assumed of one never seen.
const CLASSES: [&str; 4] = ["", "/a", "/b", "/c"];

/// A learner that knows what the test says.
pub(super) fn learner(stage: &Stage, case: &Case) -> Learner {
    let mut learner = Learner::default();
    let mut number = 0;
    for (name, rate) in &case.learned {
        let Some(playbook) = stage.library.get(name) else { continue };
        let rules = stage.rules.rules().iter().filter(|rule| rule.plan.playbooks.contains(name));
        for class in rules.flat_map(|rule| CLASSES.map(|class| format!("{}{class}", rule.name))) {
            for n in 0..KNOWN {
                // Evenly mixed, so that it does not look as if the playbook had changed.
                let before = (f64::from(n) * rate).round();
                let fixed = (f64::from(n + 1) * rate).round() > before;
                number += 1;
                let record = OutcomeRecord {
                    intent: IntentId::new(case.start, number),
                    attempt: 1,
                    rule: class.clone(),
                    class: class.clone(),
                    target: String::new(),
                    playbook: name.clone(),
                    source_hash: playbook.hash.clone(),
                    outcome: if fixed { Outcome::Fixed } else { Outcome::NotFixed },
                    ended_by: EndedBy::Itself,
                    untimed: false,
                    escalation: false,
                    recovery_ms: 0,
                    attempt_ms: u64::try_from(playbook.cost.0.as_millis()).unwrap_or(u64::MAX),
                    propensity: 1.0,
                    confidence: 0.5,
                    at: case.start,
                    number: 0,
                };
                drop(learner.observe(&record));
            }
        }
    }
    learner
}
