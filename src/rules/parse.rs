//! From the YAML tree of one rule to a [`Rule`], with every mistake reported.

mod pattern;
mod plan;
mod schedule;
mod wish;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;

use crate::model::intent::Plan;
use crate::model::{Mode, Span};

use super::build::Known;
use super::pattern::{Correlation, LATENESS};
use super::reader::{Map, Reader, advice, code};
use super::rule::{Resolved, Rule};
use super::yaml::{Kind, Node};

const RULE: &[&str] = &[
    "name",
    "description",
    "enabled",
    "on",
    "when",
    "group_by",
    "pattern",
    "class",
    "resolved",
    "mode",
    "priority",
    "stop",
    "backstop",
    "intent",
    "playbooks",
    "params",
    "guard",
    "verify",
    "escalate",
    "expire",
    "schedule",
    "tests",
];
/// Reads one rule; none if anything in it is wrong.
pub fn rule(r: &mut Reader<'_>, node: &Node, path: &str, known: &Known<'_>) -> Option<Rule> {
    let before = r.errors();
    let map = r.block(node, "a rule", RULE)?;
    let name = name(r, &map);
    let what = if name.is_empty() { "the rule".to_owned() } else { format!("rule `{name}`") };
    let schedule = map.get("schedule").and_then(|node| schedule::schedule(r, node, &map));
    let by_calendar = map.node("schedule").is_some();
    let on = match map.get("on") {
        Some(node) => r.patterns(node, "on", map.key_at("on")),
        None => Vec::new(),
    };
    let when = map.get("when").and_then(|node| r.condition(node, "when", &[]));
    let group_by = match map.get("group_by") {
        Some(node) => {
            let items = r.items(node, "group_by", map.key_at("group_by"));
            items.iter().filter_map(|node| r.expression(node, "group_by", &[])).collect()
        }
        None => Vec::new(),
    };
    let on_its_own = map.get("on").is_some();
    let has_pattern = map.node("pattern").is_some();
    let pattern = match map.get("pattern") {
        Some(node) => pattern::pattern(r, node, on_its_own),
        None => Some((Correlation::Every, LATENESS)),
    };
    let class = map.get("class").and_then(|node| r.expression(node, "class", &[]));
    let resolved = map.get("resolved").and_then(|node| resolved(r, node));
    let modes = [("auto", Mode::Auto), ("ask", Mode::Ask), ("shadow", Mode::Shadow)];
    let mode = map.get("mode").and_then(|node| r.word(node, "mode", &modes)).unwrap_or_default();
    let description = map.get("description").and_then(|node| r.text(node, "description")).unwrap_or_default();
    let flag =
        |r: &mut Reader<'_>, key, default| map.get(key).and_then(|node| r.flag(node, key)).unwrap_or(default);
    let (enabled, stop, backstop) =
        (flag(r, "enabled", true), flag(r, "stop", false), flag(r, "backstop", false));
    let priority = map.get("priority").and_then(|node| priority(r, node)).unwrap_or(0);
    let wish = wish::wish(r, &map, &name, &description);
    let plainly = resolved.as_ref().filter(|resolved: &&Resolved| resolved.when.is_none());
    let resolved_by = plainly.map(|resolved| resolved.on.clone()).unwrap_or_default();
    let plan = plan::plan(r, &map, &what, mode, known).map(|plan| Plan { resolved_by, ..plan });
    let tests = match map.get("tests") {
        Some(Node { kind: Kind::List(tests), .. }) => tests.iter().map(|test| r.json(test)).collect(),
        Some(other) => {
            let message = format!("`tests` is a list, this is {}", other.what());
            r.error_help(code::TYPE, other.at.clone(), message, "begin each test below it with `- `");
            Vec::new()
        }
        None => Vec::new(),
    };
    let takes_topics = pattern.as_ref().is_none_or(|(pattern, _)| pattern::takes_topics(pattern));
    match pattern.as_ref().filter(|_| !takes_topics) {
        // Of a pattern with a mistake it is not known whether it names topics itself.
        None if map.node("on").is_none() && !by_calendar && (pattern.is_some() || !has_pattern) => {
            r.missing(&map, &what, "on", "name the topics that it is about");
        }
        Some((pattern, _)) if map.node("on").is_some() => {
            let message = match pattern {
                Correlation::Absent { .. } => {
                    "the topics of `absent` stand in the pattern, so `on` means nothing"
                }
                _ => "each member of the pattern names its own topics, so `on` means nothing",
            };
            r.error_help(code::VALUE, map.key_at("on"), message, "take it out");
        }
        _ => {}
    }
    if r.errors() > before {
        return None;
    }
    let (pattern, lateness) = pattern?;
    let says = node.to_json();
    Some(Rule {
        name,
        description,
        file: path.into(),
        line: r.line(map.at.start),
        enabled,
        on,
        when,
        group_by,
        pattern,
        lateness,
        schedule,
        class,
        resolved,
        mode,
        priority: i32::try_from(priority).ok()?,
        stop,
        backstop,
        wish: wish?,
        plan: Arc::new(plan?),
        tests,
        window: window(&says),
        hash: hex(&Sha256::digest(says.to_string())),
    })
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// Hash of what windows depend on. Keys are fixed, as the hash lives as long as the process.
fn window(says: &Value) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7061_7261, 0x6d65_6469);
    for key in ["on", "when", "group_by", "pattern", "resolved", "schedule"] {
        says.get(key).map(Value::to_string).hash(&mut hasher);
    }
    hasher.finish()
}

fn name(r: &mut Reader<'_>, map: &Map<'_>) -> String {
    let help = "give it a name such as kernel-boot-failed";
    let Some(node) = r.required(map, "the rule", "name", help) else { return String::new() };
    let Some(name) = r.text(node, "name") else { return String::new() };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let first = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !first || name.len() > 64 || !name.chars().all(fits) {
        r.error_help(
            code::NAME,
            node.at.clone(),
            format!("`{name}` cannot be the name of a rule"),
            advice::name(&name).unwrap_or_else(|| {
                "use up to 64 of a-z, 0-9, - and _, starting with a letter or digit".into()
            }),
        );
    }
    name
}

fn priority(r: &mut Reader<'_>, node: &Node) -> Option<i64> {
    if let Kind::Text(_) = node.kind {
        let message = "the `priority` of a rule is a whole number: those of higher priority come first";
        let help = "how urgent a repair is stands under `intent`: intent: { priority: high }";
        r.error_help(code::TYPE, node.at.clone(), message, help);
        return None;
    }
    r.int(node, "priority", -1_000_000..=1_000_000)
}

pub(super) fn positive(r: &mut Reader<'_>, node: &Node, what: &str) -> Option<Span> {
    let span = r.span(node, what)?;
    if span.is_zero() {
        r.error(code::VALUE, node.at.clone(), format!("`{what}` must be longer than nothing"));
        return None;
    }
    Some(span)
}

fn resolved(r: &mut Reader<'_>, node: &Node) -> Option<Resolved> {
    let map = r.block(node, "`resolved`", &["on", "when"])?;
    let on = r.required(&map, "`resolved`", "on", "name the topics that show that it is over")?;
    let on = r.patterns(on, "on", map.key_at("on"));
    let when = map.get("when").and_then(|node| r.condition(node, "when", &[]));
    Some(Resolved { on, when })
}
