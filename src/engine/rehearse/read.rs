//! From the YAML of tests to [`Case`]s, with every mistake reported where it stands.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::case::{Answer, Case, Does, Happening, Person, Then};
use super::{alone, wanted};
use crate::actions;
use crate::model::clock::micros;
use crate::model::diagnostic::nearest;
use crate::model::{Diagnostic, Event, Failure, Priority, Span, Time, Topic};
use crate::playbook::{Library, Params};
use crate::rules::reader::{Map, Reader, code};
use crate::rules::yaml::{self, Kind, Node};
use crate::rules::{RuleSet, SourceFile};

/// When a test begins, if it does not say: the first second of 2026.
const START: i64 = 1_767_225_600_000_000;

/// Most answers, events and people of one test; more is a slip.
const MOST: usize = 10_000;

pub(super) const TEST: &[&str] = &[
    "name", "start", "events", "actions", "people", "learned", "playbook", "target", "params", "event",
    "until", "expect",
];
pub(super) const EVENT: &[&str] =
    &["topic", "at", "data", "subject", "source", "id", "priority", "time", "correlationid", "causationid"];
pub(super) const THEN: &[&str] = &["topic", "after", "data", "subject", "source"];
pub(super) const ANSWER: &[&str] = &["result", "fails", "kind", "retryable", "takes", "then"];
pub(super) const PERSON: &[&str] = &["at", "approve", "deny", "cancel", "answer", "rule", "target"];

/// What tests may name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Rules.
    pub rules: Vec<String>,
    /// Playbooks.
    pub playbooks: Vec<String>,
    /// What each playbook takes.
    pub params: BTreeMap<String, Params>,
    /// Actions.
    pub actions: Vec<String>,
    /// Schema of each action's result.
    pub results: BTreeMap<String, Value>,
}

impl Names {
    /// All that there is.
    pub fn of(rules: &RuleSet, library: &Library, actions: &[actions::Spec]) -> Self {
        Self {
            rules: rules.rules().iter().map(|rule| rule.name.clone()).collect(),
            playbooks: library.names(),
            params: alone::declared(library),
            actions: actions.iter().map(|spec| spec.name.clone()).collect(),
            results: actions.iter().map(|spec| (spec.name.clone(), spec.result.clone())).collect(),
        }
    }
}

/// The tests of `file`: its own, or those in the `tests:` blocks of its rules. What cannot be read goes to `out`.
pub fn cases(file: &SourceFile, names: &Names, out: &mut Vec<Diagnostic>) -> Vec<Case> {
    let mut r = Reader::new(file, out);
    let mut found = Vec::new();
    match yaml::read(&file.text) {
        Err(error) => r.error(code::SYNTAX, error.at, error.message),
        Ok(tree) => {
            if let Some(tests) = entry(&tree, "tests") {
                r.block(&tree, "a file of tests", &["tests", "rules", "playbooks"]);
                of_list(&mut r, tests, file, "", names, &mut found);
            } else if let Some(Node { kind: Kind::List(rules), .. }) = entry(&tree, "rules") {
                for rule in rules {
                    let Some(tests) = entry(rule, "tests") else { continue };
                    let name = entry(rule, "name").and_then(text_of).unwrap_or_default();
                    of_list(&mut r, tests, file, name, names, &mut found);
                }
            }
        }
    }
    r.finish();
    found
}

/// The value under `key`, where `node` is a map.
pub(super) fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
}

/// The text of a node that is one.
pub(super) fn text_of(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Text(text) => Some(text),
        _ => None,
    }
}

fn of_list(
    r: &mut Reader<'_>,
    tests: &Node,
    file: &SourceFile,
    rule: &str,
    names: &Names,
    found: &mut Vec<Case>,
) {
    let Kind::List(tests) = &tests.kind else {
        return r.error(code::TYPE, tests.at.clone(), format!("`tests` is a list, this is {}", tests.what()));
    };
    for node in tests {
        let before = r.errors();
        let case = case(r, node, file, rule, names);
        found.extend(case.filter(|_| r.errors() == before));
    }
}

fn case(r: &mut Reader<'_>, node: &Node, file: &SourceFile, rule: &str, names: &Names) -> Option<Case> {
    let map = r.map(node, "a test", TEST)?;
    let name = r.required(&map, "the test", "name", "say in a sentence what it shows");
    let name = name.and_then(|node| r.text(node, "name")).unwrap_or_default();
    let start = map.get("start").and_then(|node| moment(r, node, "start")).unwrap_or_else(|| micros(START));
    let events =
        map.get("events").map(|node| events(r, node, map.key_at("events"), start)).unwrap_or_default();
    let actions = map.get("actions").map(|node| answers(r, node, names)).unwrap_or_default();
    let people: Vec<Person> = match map.get("people") {
        Some(node) => {
            let items = r.items(node, "people", map.key_at("people"));
            items.iter().filter_map(|node| person(r, node, names)).collect()
        }
        None => vec![],
    };
    let learned = map.get("learned").map(|node| learned(r, node, names)).unwrap_or_default();
    let playbook = map.get("playbook").and_then(|node| known(r, node, "playbook", &names.playbooks));
    let until = map.get("until").and_then(|node| r.span(node, "until"));
    let expect = r.required(&map, "the test", "expect", "say what is to come of it, such as `intents: []`");
    let one = |r: &mut Reader<'_>, node: &Node| Some(event(r, node, 0, Span::default(), start)?.event);
    let alone = alone::read(r, &map, rule, names, one);
    let expect = wanted::expected(r, expect?, names, alone.is_some())?;
    Some(Case {
        name,
        rule: rule.into(),
        file: file.path.clone(),
        line: r.line(map.at.start),
        start,
        events,
        actions,
        people,
        learned,
        alone,
        playbook,
        until,
        expect,
    })
}

fn events(r: &mut Reader<'_>, node: &Node, at: Range<usize>, start: Time) -> Vec<Happening> {
    // An empty list is a test of silence.
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        return vec![];
    }
    let items = r.items(node, "events", at);
    if items.len() > MOST {
        r.error(code::LIMIT, node.at.clone(), format!("a test has at most {MOST} events"));
        return vec![];
    }
    let mut before = Span::default();
    let mut found = Vec::new();
    for (n, node) in items.iter().enumerate() {
        let Some(it) = event(r, node, n + 1, before, start) else { continue };
        before = it.at;
        found.push(it);
    }
    // Stable: those of one moment stay in the order in which they stand.
    found.sort_by_key(|it| it.at);
    found
}

fn event(r: &mut Reader<'_>, node: &Node, number: usize, before: Span, start: Time) -> Option<Happening> {
    let map = r.block(node, "an event", EVENT)?;
    let topic = r.required(&map, "the event", "topic", "say what kind of thing happened");
    let topic = topic.and_then(|node| topic_of(r, node));
    let at = map.get("at").map_or(Some(before), |node| r.span(node, "at"))?;
    let mut text = |key| map.get(key).and_then(|node| r.text(node, key));
    let (id, source) = (text("id"), text("source"));
    let (subject, correlationid, causationid) = (text("subject"), text("correlationid"), text("causationid"));
    let time = match map.get("time") {
        // A length of time is one from the start: events that come late.
        Some(node) if text_of(node).is_some_and(|text| Span::parse(text).is_ok()) => {
            start + r.span(node, "time")?.delta()
        }
        Some(node) => moment(r, node, "time")?,
        None => start + at.delta(),
    };
    let priorities = Priority::ALL.map(|it| (it.as_str(), it));
    let priority = map.get("priority").and_then(|node| r.word(node, "priority", &priorities));
    let data = map.get("data").map(|node| r.json(node)).unwrap_or_default();
    let id = id.unwrap_or_else(|| format!("event-{number}"));
    let event = Event::new(id, topic?, source.unwrap_or_else(|| "test".into()), time, data);
    let priority = priority.unwrap_or_default();
    Some(Happening { at, event: Event { subject, priority, correlationid, causationid, ..event } })
}

fn topic_of(r: &mut Reader<'_>, node: &Node) -> Option<Topic> {
    let text = r.text(node, "topic")?;
    Topic::try_new(&text).map_err(|error| r.error(code::TOPIC, node.at.clone(), error.to_string())).ok()
}

fn moment(r: &mut Reader<'_>, node: &Node, what: &str) -> Option<Time> {
    let text = r.text(node, what)?;
    let time = chrono::DateTime::parse_from_rfc3339(&text);
    if time.is_err() {
        let message = format!("`{text}` is no moment: write it as 2026-03-29T02:30:00+01:00");
        r.error(code::VALUE, node.at.clone(), message);
    }
    time.ok().map(|time| time.to_utc())
}

fn answers(r: &mut Reader<'_>, node: &Node, names: &Names) -> BTreeMap<String, Vec<Answer>> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`actions` is a map of actions and their answers, this is {}", node.what());
        r.error(code::TYPE, node.at.clone(), message);
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for (key, node) in entries {
        is_known(r, &key.name, key.at.clone(), "action", &names.actions);
        let items = r.items(node, &key.name, key.at.clone());
        let answers: Vec<Answer> =
            items.iter().filter_map(|node| answer(r, node, &key.name, names)).collect();
        if found.insert(key.name.clone(), answers).is_some() {
            r.error(code::DUPLICATE_KEY, key.at.clone(), format!("`{}` stands here twice", key.name));
        }
    }
    found
}

fn answer(r: &mut Reader<'_>, node: &Node, action: &str, names: &Names) -> Option<Answer> {
    let map = r.map(node, "an answer", ANSWER)?;
    let takes = map.get("takes").and_then(|node| r.span(node, "takes")).unwrap_or_default();
    let result = map.get("result").map(|node| Ok(result(r, node, names.results.get(action))));
    let kind = map.get("kind").and_then(|node| r.text(node, "kind"));
    let retryable = map.get("retryable").and_then(|node| r.flag(node, "retryable"));
    let fails = map.get("fails").and_then(|node| r.text(node, "fails")).map(|message| {
        let kind = kind.as_deref().unwrap_or("failed");
        Err(Failure { retryable: retryable.unwrap_or_default(), ..Failure::new(kind, message) }.of(action))
    });
    for key in ["kind", "retryable"].into_iter().filter(|key| fails.is_none() && map.node(key).is_some()) {
        let message = format!("`{key}` says how it fails, and nothing says that it does");
        r.error_help(code::MISSING, map.key_at(key), message, "add `fails:` with what is to be said");
    }
    if fails.is_some() && result.is_some() {
        r.error(code::VALUE, map.key_at("fails"), "an answer has a `result` or `fails`, not both");
    }
    let then = map.node("then").map(|node| then(r, node));
    Some(Answer { takes, result: fails.or(result), then })
}

/// What an action is to give, which must be something that it can give.
fn result(r: &mut Reader<'_>, node: &Node, schema: Option<&Value>) -> Value {
    let value = r.json(node);
    let Some(schema) = schema else { return value };
    if let Err(problem) = actions::check_schema(schema, &value) {
        r.error(wanted::RESULT, node.at.clone(), format!("it never gives this: {problem}"));
    }
    let known: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| &**key).collect();
    let Kind::Map(entries) = &node.kind else { return value };
    for (key, _) in entries.iter().filter(|(key, _)| !known.is_empty() && !known.contains(&&*key.name)) {
        let help = match nearest(&key.name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it gives {}", known.join(", ")),
        };
        r.error_help(wanted::RESULT, key.at.clone(), format!("its result has no `{}`", key.name), help);
    }
    value
}

fn then(r: &mut Reader<'_>, node: &Node) -> Vec<Then> {
    let items = match &node.kind {
        Kind::List(items) => items.as_slice(),
        Kind::Null => &[],
        _ => std::slice::from_ref(node),
    };
    let mut found = Vec::new();
    for node in items {
        let Some(map) = r.block(node, "an event that follows", THEN) else { continue };
        let topic = r.required(&map, "the event", "topic", "say what kind of thing happened");
        let topic = topic.and_then(|node| topic_of(r, node));
        let after = map.get("after").and_then(|node| r.span(node, "after")).unwrap_or_default();
        let mut text = |key| map.get(key).and_then(|node| r.text(node, key));
        let (subject, source) = (text("subject"), text("source"));
        let data = map.get("data").map(|node| r.json(node)).unwrap_or_default();
        let source = source.unwrap_or_else(|| "test".into());
        found.extend(topic.map(|topic| Then { after, topic, source, subject, data }));
    }
    found
}

fn person(r: &mut Reader<'_>, node: &Node, names: &Names) -> Option<Person> {
    let map = r.block(node, "a person", PERSON)?;
    let at = map.get("at").and_then(|node| r.span(node, "at")).unwrap_or_default();
    let rule = map.get("rule").and_then(|node| known(r, node, "rule", &names.rules));
    let target = map.get("target").and_then(|node| r.text(node, "target"));
    let does = does(r, &map)?;
    Some(Person { at, does, rule, target })
}

fn does(r: &mut Reader<'_>, map: &Map<'_>) -> Option<Does> {
    let mut all = Vec::new();
    for (key, does) in [("approve", Does::Approve), ("deny", Does::Deny), ("cancel", Does::Cancel)] {
        let said = map.get(key).and_then(|node| r.flag(node, key));
        all.extend(said.filter(|said| *said).map(|_| does));
    }
    // `answer: yes` is a text to a person, whatever YAML makes of it.
    let answer = map.get("answer").map(|node| match node.to_json() {
        Value::String(text) => text,
        other => other.to_string(),
    });
    all.extend(answer.map(Does::Answer));
    if all.len() != 1 {
        let message = "a person does one of `approve: true`, `deny: true`, `cancel: true`, `answer: TEXT`";
        r.error(code::VALUE, map.at.clone(), message);
    }
    all.pop()
}

fn learned(r: &mut Reader<'_>, node: &Node, names: &Names) -> BTreeMap<String, f64> {
    let Kind::Map(entries) = &node.kind else {
        let message = format!("`learned` is a map of playbooks and shares, this is {}", node.what());
        r.error(code::TYPE, node.at.clone(), message);
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for (key, node) in entries {
        is_known(r, &key.name, key.at.clone(), "playbook", &names.playbooks);
        found.extend(r.share(node, &key.name).map(|share| (key.name.clone(), share)));
    }
    found
}

/// A text that names something that there is.
pub(super) fn known(r: &mut Reader<'_>, node: &Node, what: &str, names: &[String]) -> Option<String> {
    let name = r.text(node, what)?;
    is_known(r, &name, node.at.clone(), what, names);
    Some(name)
}

pub(super) fn is_known(r: &mut Reader<'_>, name: &str, at: Range<usize>, what: &str, names: &[String]) {
    if names.iter().any(|known| known == name) {
        return;
    }
    let help = match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!("there are no {what}s"),
        None if names.len() <= 12 => format!("there are {}", names.join(", ")),
        None => format!("`paramedic {what}s` lists all {}", names.len()),
    };
    let code = match what {
        "playbook" => code::PLAYBOOK,
        "rule" => wanted::RULE,
        _ => wanted::ACTION,
    };
    r.error_help(code, at, format!("unknown {what} `{name}`"), help);
}
