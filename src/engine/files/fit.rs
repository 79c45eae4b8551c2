//! Whether rules and playbooks fit each other: parameters that are of the right type, known, and all there; playbooks
//! that some rule uses.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::code;
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;
use crate::playbook::{Library, Playbook};
use crate::rules::{Places, Rule, RuleSet, SourceFile};

/// What an escalation is given besides, if nobody says otherwise.
const GIVEN: &[&str] = &["message"];

/// Everything that does not fit.
pub fn check(set: &RuleSet, library: &Library, files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut fit = Fit { places: Places::new(files), found: Vec::new() };
    for rule in set.rules() {
        fit.rule(rule, library);
    }
    fit.found.extend(unused(set, library));
    fit.found
}

struct Fit<'f> {
    places: Places<'f>,
    found: Vec<Diagnostic>,
}

impl Fit<'_> {
    fn rule(&mut self, rule: &Rule, library: &Library) {
        let plan = &rule.plan;
        let playbooks: Vec<_> = plan.playbooks.iter().filter_map(|name| library.get(name)).collect();
        let steps: Vec<_> = plan.escalate.iter().map(|step| (step, library.get(&step.to))).collect();
        for (i, playbook) in playbooks.iter().enumerate() {
            self.types(rule, playbook, &plan.params, &["params"]);
            self.required(rule, playbook, &[&plan.params], &["playbooks", &i.to_string()]);
        }
        for (i, (step, playbook)) in steps.iter().enumerate() {
            let Some(playbook) = playbook else { continue };
            let place = i.to_string();
            self.types(rule, playbook, &step.params, &["escalate", &place, "params"]);
            self.required(rule, playbook, &[&plan.params, &step.params], &["escalate", &place]);
            self.known(rule, &step.params, std::slice::from_ref(playbook), &["escalate", &place, "params"]);
        }
        let all: Vec<_> = playbooks.into_iter().chain(steps.into_iter().filter_map(|(_, it)| it)).collect();
        self.known(rule, &plan.params, &all, &["params"]);
    }

    /// Each parameter that the playbook declares is of the type that it says.
    fn types(&mut self, rule: &Rule, playbook: &Playbook, given: &Map<String, Value>, at: &[&str]) {
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            let Some(Err(why)) = playbook.params.get(name).map(|param| param.kind.check(value)) else {
                continue;
            };
            let message = format!("parameter `{name}` of playbook `{}`: {why}", playbook.name);
            let error = self.at(rule, &[at, &[name]].concat(), code::PARAM, message);
            self.found.push(error);
        }
    }

    fn required(&mut self, rule: &Rule, playbook: &Playbook, given: &[&Map<String, Value>], at: &[&str]) {
        let missing = playbook.params.iter().filter(|(name, param)| {
            let there = given.iter().any(|given| given.get(*name).is_some_and(|value| !value.is_null()))
                || at[0] == "escalate" && GIVEN.contains(&name.as_str());
            param.required && param.default.is_none() && !there
        });
        for (name, _) in missing {
            let message = format!("playbook `{}` needs the parameter `{name}`", playbook.name);
            let error = self.at(rule, at, code::PARAM, message).help(format!("add params: {{ {name}: … }}"));
            self.found.push(error);
        }
    }

    /// Each parameter is one that a playbook takes.
    fn known<P>(&mut self, rule: &Rule, given: &Map<String, Value>, takers: &[P], at: &[&str])
    where
        P: std::ops::Deref<Target = Playbook>,
    {
        let takes = || takers.iter().flat_map(|playbook| playbook.params.keys()).map(String::as_str);
        for name in given.keys().filter(|name| !takes().any(|it| it == *name)) {
            let message = match takers {
                [one] => format!("playbook `{}` takes no parameter `{name}`", one.name),
                _ => format!("no playbook of this rule takes a parameter `{name}`"),
            };
            let (keys, code) = ([at, &[name]].concat(), code::PARAM_UNKNOWN);
            let warning = self.places.error_of_key(&rule.file, &rule.name, &keys, code, message).warning();
            let known: Vec<&str> = takes().collect();
            self.found.push(match nearest(name, takes()) {
                Some(near) => warning.help(format!("did you mean `{near}`?")),
                None if known.is_empty() => warning.help("take it out"),
                None => warning.help(format!("there are {}", known.join(", "))),
            });
        }
    }

    fn at(&mut self, rule: &Rule, keys: &[&str], code: &str, message: String) -> Diagnostic {
        self.places.error(&rule.file, &rule.name, keys, code, message)
    }
}

/// Playbooks that no rule names. Without any rule nothing is said, as then nothing would be used.
fn unused(set: &RuleSet, library: &Library) -> Vec<Diagnostic> {
    let plans = || set.rules().iter().map(|rule| &rule.plan);
    let named: HashSet<&str> = plans()
        .flat_map(|plan| plan.playbooks.iter().chain(plan.escalate.iter().map(|step| &step.to)))
        .map(String::as_str)
        .collect();
    let idle = library.list().filter(|it| !set.rules().is_empty() && !named.contains(it.name.as_str()));
    idle.map(|it| {
        let message = format!("no rule uses the playbook `{}`", it.name);
        let help = "name it in a rule, or write `// allow P0216` into it if people ask for it by hand";
        Diagnostic::error(code::UNUSED, &it.file, &it.text, 0..0, message).warning().help(help)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook;
    use crate::rules::{Known, compile};

    const RESTART: &str = "//! Restart.\n//! ---\n//! actions: []\n//! params:\n//!   grace: { type: duration, default: 5s }\n//!   by: { type: int, required: true }\nfn run(ctx) { }\n";
    const TELL: &str = "//! Tell.\n//! ---\n//! actions: []\n//! params:\n//!   urgency: string\n//!   message: { type: string, required: true }\nfn run(ctx) { }\n";

    #[test]
    fn what_a_rule_gives_its_playbooks_is_checked_before_anything_fails_for_it() {
        let file = |name: &str, text: &str| playbook::SourceFile {
            path: format!("p/{name}.rhai"),
            text: text.into(),
        };
        let library = Library::load("p", &[file("restart", RESTART), file("tell", TELL)], &[]).unwrap();
        for (params, step, code, place, text) in [
            ("{ by: 1 }", "{ urgency: high }", "", "", ""),
            ("{ by: 1, grace: 5s }", "{}", "", "", ""),
            ("{ by: 1, grace: 5 }", "{}", "", "", ""),
            ("{ by: 1, grace: soon }", "{}", "P0118", "soon", "parameter `grace` of playbook `restart`"),
            ("{ by: one }", "{}", "P0118", "one", "\"one\" is not a whole number"),
            ("{ grace: 5s }", "{}", "P0118", "restart", "playbook `restart` needs the parameter `by`"),
            ("{ by: 1, grce: 5s }", "{}", "P0136", "grce", "did you mean `grace`?"),
            ("{ by: 1, urgency: low }", "{}", "", "", ""),
            ("{ by: 1 }", "{ urgency: 5 }", "P0118", "5", "parameter `urgency` of playbook `tell`"),
            (
                "{ by: 1 }",
                "{ urgncy: low }",
                "P0136",
                "urgncy",
                "playbook `tell` takes no parameter `urgncy`",
            ),
        ] {
            let text_of = format!(
                "rules:\n  - name: one\n    on: a\n    playbooks: [restart]\n    params: {params}\n    escalate: [{{ to: tell, params: {step} }}]\n"
            );
            let files = [SourceFile { path: "r.yaml".into(), text: text_of }];
            let names = library.names();
            let set = compile(&files, &Known { playbooks: &names }).set.unwrap();
            let found = check(&set, &library, &files);
            assert_eq!(found.len(), usize::from(!code.is_empty()), "{params} {step}: {found:#?}");
            let Some(found) = found.first() else { continue };
            let line = &found.source_line[found.column as usize - 1..];
            assert!(found.code == code && line.starts_with(place), "{found}");
            assert!(found.to_string().contains(text), "{found}");
        }
    }
}
