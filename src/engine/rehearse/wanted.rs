//! The `expect:` of a test: read, checked for names and words that cannot be, and brought into the form of what is seen.

use serde_json::{Map as Json, Value, json};

use super::alone;
use super::case::Expected;
use super::read::{Names, known};
use crate::model::{Outcome, Priority, Status};
use crate::rules::reader::{Map, Reader, code};
use crate::rules::yaml::{Kind, Node};

/// A rule that is not there.
pub(super) const RULE: &str = "P0401";
/// An action that is not there.
pub(super) const ACTION: &str = "P0402";
/// A test that expects nothing, so that it cannot fail.
pub(super) const NOTHING: &str = "P0403";

/// An action's result that it cannot have.
pub(super) const RESULT: &str = "P0404";

pub(super) const EXPECT: &[&str] =
    &["intents", "steps", "alerts", "events", "outcome", "result", "failure", "verify", "rollback"];
pub(super) const INTENT: &[&str] = &[
    "rule",
    "target",
    "group",
    "class",
    "status",
    "reason",
    "count",
    "goal",
    "domain",
    "priority",
    "fleet",
    "playbook",
    "outcome",
    "attempts",
    "escalation",
    "steps",
    "at",
];
pub(super) const ATTEMPT: &[&str] = &["playbook", "outcome", "message", "steps"];
pub(super) const STEP: &[&str] = &["action", "params", "fails", "message", "phase", "at"];
pub(super) const ALERT: &[&str] = &["title", "message", "level", "target", "status", "count", "key", "at"];
pub(super) const EVENT: &[&str] = &["topic", "subject", "source", "id", "priority", "data", "at"];

/// Reads the `expect:` of a test.
pub(super) fn expected(r: &mut Reader<'_>, node: &Node, names: &Names, alone: bool) -> Option<Expected> {
    let map = r.map(node, "`expect`", EXPECT)?;
    // `failure: null` is an expectation too.
    if EXPECT.iter().all(|key| map.node(key).is_none()) {
        let help = if alone { "add `outcome:` and `steps:`" } else { "add `intents:`" };
        r.error_help(NOTHING, node.at.clone(), "the test expects nothing, so it cannot fail", help);
        return None;
    }
    let run = alone::expected(r, &map, names, alone);
    let mut list =
        |key: &'static str, read: fn(&mut Reader<'_>, &Node, &Names) -> Option<Json<String, Value>>| {
            map.node(key).map(|node| items(r, node, key, names, read))
        };
    Some(Expected {
        intents: list("intents", intent),
        steps: list("steps", step),
        alerts: list("alerts", alert),
        events: list("events", event),
        run,
    })
}

fn items(
    r: &mut Reader<'_>,
    node: &Node,
    what: &str,
    names: &Names,
    read: fn(&mut Reader<'_>, &Node, &Names) -> Option<Json<String, Value>>,
) -> Vec<Json<String, Value>> {
    match &node.kind {
        Kind::List(items) => items.iter().filter_map(|node| read(r, node, names)).collect(),
        _ => {
            r.error(code::TYPE, node.at.clone(), format!("`{what}` is a list, this is {}", node.what()));
            vec![]
        }
    }
}

fn intent(r: &mut Reader<'_>, node: &Node, names: &Names) -> Option<Json<String, Value>> {
    let map = r.map(node, "an intent", INTENT)?;
    let mut found = Json::new();
    let statuses = Status::ALL.map(|it| (it.as_str(), it.as_str()));
    let priorities = Priority::ALL.map(|it| (it.as_str(), it.as_str()));
    for key in INTENT {
        let Some(node) = map.node(key) else { continue };
        let value = match (*key, &node.kind) {
            ("playbook" | "outcome" | "reason" | "fleet" | "class", Kind::Null) => Value::Null,
            ("rule", _) => json!(known(r, node, "rule", &names.rules)),
            ("playbook", _) => json!(known(r, node, "playbook", &names.playbooks)),
            ("status", _) => json!(r.word(node, "status", &statuses)),
            ("priority", _) => json!(r.word(node, "priority", &priorities)),
            ("outcome", _) => json!(outcome(r, node)),
            ("count", _) => json!(r.int(node, "count", 0..=i64::MAX)),
            ("attempts", _) => json!(items(r, node, "attempts", names, attempt)),
            ("steps", _) => json!(items(r, node, "steps", names, step)),
            ("at", _) => json!(r.span(node, "at")),
            ("escalation", _) => {
                let nodes = if let Kind::List(nodes) = &node.kind { nodes.as_slice() } else { &[] };
                nodes.iter().map(|node| json!(known(r, node, "playbook", &names.playbooks))).collect()
            }
            _ => json!(plain(r, node, key)),
        };
        found.insert((*key).into(), value);
    }
    Some(found)
}

fn attempt(r: &mut Reader<'_>, node: &Node, names: &Names) -> Option<Json<String, Value>> {
    if let Kind::Text(_) = node.kind {
        let playbook = known(r, node, "playbook", &names.playbooks)?;
        return Some(Json::from_iter([("playbook".into(), playbook.into())]));
    }
    let map = r.map(node, "an attempt", ATTEMPT)?;
    let mut found = Json::new();
    for key in ATTEMPT {
        let Some(node) = map.node(key) else { continue };
        let value = match *key {
            "playbook" => json!(known(r, node, "playbook", &names.playbooks)),
            "outcome" => json!(outcome(r, node)),
            "steps" => json!(items(r, node, "steps", names, step)),
            _ => json!(r.text(node, key)),
        };
        found.insert((*key).into(), value);
    }
    Some(found)
}

fn step(r: &mut Reader<'_>, node: &Node, names: &Names) -> Option<Json<String, Value>> {
    if let Kind::Text(_) = node.kind {
        let action = known(r, node, "action", &names.actions)?;
        return Some(Json::from_iter([("action".into(), action.into())]));
    }
    let map = r.map(node, "a step", STEP)?;
    let mut found = Json::new();
    if let Some(node) = r.required(&map, "the step", "action", "name the action that is called") {
        found.insert("action".into(), json!(known(r, node, "action", &names.actions)));
    }
    for key in ["params", "fails", "message"] {
        if let Some(node) = map.node(key) {
            found.insert(key.into(), r.json(node));
        }
    }
    if let Some(node) = map.node("phase") {
        let phases = ["run", "verify", "rollback"].map(|it| (it, it));
        found.insert("phase".into(), json!(r.word(node, "phase", &phases)));
    }
    time(r, &map, &mut found);
    Some(found)
}

/// How long after the start it is to be.
fn time(r: &mut Reader<'_>, map: &Map<'_>, found: &mut Json<String, Value>) {
    if let Some(node) = map.node("at") {
        found.insert("at".into(), json!(r.span(node, "at")));
    }
}

fn alert(r: &mut Reader<'_>, node: &Node, _names: &Names) -> Option<Json<String, Value>> {
    if let Kind::Text(title) = &node.kind {
        return Some(Json::from_iter([("title".into(), title.as_str().into())]));
    }
    let map = r.map(node, "an alert", ALERT)?;
    let levels = ["info", "warning", "critical"].map(|it| (it, it));
    if let Some(node) = map.node("level") {
        r.word(node, "level", &levels);
    }
    let Value::Object(mut found) = r.json(node) else { return None };
    time(r, &map, &mut found);
    Some(found)
}

fn event(r: &mut Reader<'_>, node: &Node, _names: &Names) -> Option<Json<String, Value>> {
    if let Kind::Text(topic) = &node.kind {
        return Some(Json::from_iter([("topic".into(), topic.as_str().into())]));
    }
    let map = r.map(node, "an event", EVENT)?;
    if let Some(node) = map.node("topic") {
        r.patterns(node, "topic", map.key_at("topic"));
    }
    let Value::Object(mut found) = r.json(node) else { return None };
    time(r, &map, &mut found);
    Some(found)
}

fn outcome(r: &mut Reader<'_>, node: &Node) -> Option<&'static str> {
    r.word(node, "outcome", &Outcome::ALL.map(|it| (it.as_str(), it.as_str())))
}

/// A text; a number stands for its text, as it does in a rule's templates.
fn plain(r: &mut Reader<'_>, node: &Node, key: &str) -> Option<String> {
    match node.kind {
        Kind::Int(n) => Some(n.to_string()),
        _ => r.text(node, key),
    }
}
