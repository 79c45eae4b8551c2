//! What no test has reached: rules that never fired and playbooks that never ran.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Report, Suite};

/// What no test has reached, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unreached {
    /// Rules that never fired.
    pub rules: Vec<String>,
    /// Playbooks that never ran.
    pub playbooks: Vec<String>,
}

/// What the tests of `suite` have not reached.
pub fn unreached(suite: &Suite, reports: &[Report]) -> Unreached {
    let (mut fired, mut ran) = (BTreeSet::new(), BTreeSet::new());
    for intent in reports.iter().flat_map(|report| &report.seen.intents) {
        fired.extend(intent["rule"].as_str());
        let attempts = intent["attempts"].as_array().into_iter().flatten();
        ran.extend(attempts.filter_map(|attempt| attempt["playbook"].as_str()));
        ran.extend(intent["escalation"].as_array().into_iter().flatten().filter_map(|it| it.as_str()));
    }
    let (mut rules, mut playbooks) = (BTreeSet::new(), BTreeSet::new());
    for (stage, _) in &suite.groups {
        let enabled = stage.rules.rules().iter().filter(|rule| rule.enabled);
        rules.extend(enabled.map(|rule| rule.name.as_str()).filter(|name| !fired.contains(name)));
        playbooks.extend(stage.library.list().map(|it| it.name.as_str()).filter(|name| !ran.contains(name)));
    }
    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    Unreached { rules: owned(rules), playbooks: owned(playbooks) }
}
