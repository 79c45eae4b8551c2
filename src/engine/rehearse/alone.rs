//! Tests of a playbook alone: no rule fires, the playbook is carried out for a target by the same task manager as live.

use serde_json::{Map as Json, Value, json};

use super::case::{Alone, Case};
use super::read::{Names, is_known, known};
use crate::actions::NewIntent;
use crate::engine::Engine;
use crate::model::diagnostic::nearest;
use crate::model::{Event, Outcome, Priority, Run};
use crate::playbook::{Library, Params};
use crate::rules::reader::{Map, Reader, code};
use crate::rules::yaml::{Kind, Node};

/// A parameter that the playbook does not take as it is, or lacks.
pub(super) const PARAM: &str = "P0406";
/// A key that only tests of the other kind have.
pub(super) const KIND: &str = "P0407";

/// Keys of a test that only a test of a playbook alone has.
const ONLY_ALONE: [&str; 3] = ["target", "params", "event"];
/// Keys of what it expects that only such a test has.
pub(super) const RUN: [&str; 5] = ["outcome", "result", "failure", "verify", "rollback"];
const FAILURE: &[&str] = &["kind", "action", "message", "retryable"];

/// Reads what makes a test one of a playbook alone: `playbook` and `target`; none if it is one of rules.
pub(super) fn read(
    r: &mut Reader<'_>,
    map: &Map<'_>,
    rule: &str,
    names: &Names,
    event: impl FnOnce(&mut Reader<'_>, &Node) -> Option<Event>,
) -> Option<Alone> {
    let first = ONLY_ALONE.into_iter().find(|key| map.node(key).is_some())?;
    if !rule.is_empty() {
        let message = format!("`{first}` belongs to a test of a playbook alone, and this is one of a rule");
        r.error_help(KIND, map.key_at(first), message, "move the test to a file below `tests/`");
        return None;
    }
    let help = "name the playbook that is tested";
    let playbook = r.required(map, "the test", "playbook", help);
    let target = r.required(map, "the test", "target", "name the one thing that it acts on");
    let playbook = playbook.and_then(|node| known(r, node, "playbook", &names.playbooks));
    let target = target.and_then(|node| r.text(node, "target"));
    let params = match map.get("params") {
        Some(node) => params(r, node, names.params.get(playbook.as_deref().unwrap_or_default())),
        None => Json::new(),
    };
    if let Some(declared) = playbook.as_ref().and_then(|name| names.params.get(name)) {
        for (name, _) in declared.iter().filter(|(name, it)| {
            it.required && it.default.is_none() && params.get(*name).is_none_or(Value::is_null)
        }) {
            let help = format!("add `params: {{ {name}: … }}`");
            r.error_help(PARAM, map.at.clone(), format!("the playbook needs the parameter `{name}`"), help);
        }
    }
    let event = map.get("event").and_then(|node| event(r, node));
    Some(Alone { playbook: playbook?, target: target?, params, event })
}

fn params(r: &mut Reader<'_>, node: &Node, declared: Option<&Params>) -> Json<String, Value> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`params` is a map of parameters, this is {}", node.what());
        r.error(code::TYPE, node.at.clone(), message);
        return Json::new();
    };
    let mut found = Json::new();
    for (key, node) in entries {
        let value = r.json(node);
        match declared.map(|declared| declared.get(&key.name)) {
            Some(Some(param)) if !value.is_null() => {
                if let Err(why) = param.kind.check(&value) {
                    r.error(PARAM, node.at.clone(), format!("parameter `{}`: {why}", key.name));
                }
            }
            Some(None) => {
                let all: Vec<&str> = declared.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                let help = match nearest(&key.name, all.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if all.is_empty() => "its header declares none".into(),
                    None => format!("it takes {}", all.join(", ")),
                };
                let message = format!("the playbook takes no parameter `{}`", key.name);
                r.error_help(PARAM, key.at.clone(), message, help);
            }
            _ => {}
        }
        found.insert(key.name.clone(), value);
    }
    found
}

/// Reads what is to come of the run: none of it belongs to a test of rules.
pub(super) fn expected(r: &mut Reader<'_>, map: &Map<'_>, names: &Names, alone: bool) -> Json<String, Value> {
    let mut found = Json::new();
    for key in RUN {
        let Some(node) = map.node(key) else { continue };
        if !alone {
            let message = format!("`{key}` is what comes of a playbook alone, and this is a test of rules");
            let help = "name `playbook:` and `target:` in the test, or look at `attempts` of an intent";
            r.error_help(KIND, map.key_at(key), message, help);
            continue;
        }
        let value = match (key, &node.kind) {
            ("outcome", _) => {
                json!(r.word(node, "outcome", &Outcome::ALL.map(|it| (it.as_str(), it.as_str()))))
            }
            ("verify" | "failure", Kind::Null) => Value::Null,
            ("verify" | "rollback", _) => json!(r.flag(node, key)),
            ("failure", Kind::Map(_)) => failure(r, node, names),
            ("failure", _) => json!({ "kind": r.text(node, "failure") }),
            _ => r.json(node),
        };
        found.insert(key.into(), value);
    }
    found
}

fn failure(r: &mut Reader<'_>, node: &Node, names: &Names) -> Value {
    if let Some(map) = r.map(node, "a failure", FAILURE)
        && let Some(action) = map.node("action")
        && let Some(name) = r.text(action, "action")
    {
        is_known(r, &name, action.at.clone(), "action", &names.actions);
    }
    r.json(node)
}

/// Opens the intent that the playbook is carried out for.
pub(super) async fn begin(engine: &Engine, case: &Case, alone: &Alone) -> Result<(), String> {
    let wish = NewIntent {
        goal: format!("{} on {}", alone.playbook, alone.target),
        target: alone.target.clone(),
        playbooks: vec![alone.playbook.clone()],
        priority: Priority::default(),
        domain: None,
        class: String::new(),
        params: alone.params.clone(),
        key: case.name.clone(),
        cause: None,
    };
    let made = engine.0.intents.create_for(wish, alone.event.clone()).await;
    made.map(|_| ()).map_err(|failure| format!("the playbook was not begun: {failure}"))
}

/// What came of the run, with the names that a test expects it by.
pub(super) fn seen(run: &Run, outcome: Option<Outcome>, has_rollback: bool) -> Value {
    let undone = has_rollback
        && run.error.is_some()
        && matches!(outcome, Some(Outcome::Failed | Outcome::NotFixed | Outcome::Interrupted));
    json!({
        "playbook": run.playbook, "outcome": outcome, "result": run.result, "failure": run.error,
        "verify": run.verified, "rollback": undone,
    })
}

/// The parameters of each playbook.
pub(super) fn declared(library: &Library) -> std::collections::BTreeMap<String, Params> {
    library.list().map(|it| (it.name.clone(), it.params.clone())).collect()
}
