//! From the YAML tree of one rule to a [`Rule`], with every mistake reported.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map as Json, Value};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;

use crate::condition::Template;
use crate::model::diagnostic::nearest;
use crate::model::intent::{Escalation, Guard, Plan, Rate, Verify};
use crate::model::{Mode, Priority, Span};

use super::build::Known;
use super::reader::{Map, Reader, code};
use super::rule::{Correlation, Resolved, Rule, Wish};
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
const INTENT: &[&str] = &["goal", "domain", "priority", "target", "fleet"];
const GUARD: &[&str] = &["hold_down", "cooldown", "rate", "max_attempts", "ask_below", "blast_radius"];
const PATTERN: &[&str] = &[
    "count",
    "within",
    "all",
    "any",
    "sequence",
    "absent",
    "for",
    "expect",
    "not",
    "after",
    "change",
    "above",
    "baseline",
    "once_within",
    "once_after",
];
/// Those of them that this version carries out.
const SUPPORTED: &[&str] = &["count", "within", "once_within"];

/// How long an intent may wait, where the rule does not say.
const EXPIRE: Span = Span::secs(15 * 60);
/// How long the event that shows success may take, where the rule does not say.
const VERIFY_WITHIN: Span = Span::secs(30);
/// Most matches that a `count` may ask for: each is kept, per group, as 8 bytes.
const MAX_COUNT: i64 = 10_000;

/// Reads one rule; none if anything in it is wrong.
pub fn rule(r: &mut Reader<'_>, node: &Node, path: &str, known: &Known<'_>) -> Option<Rule> {
    let before = r.errors();
    let map = r.block(node, "a rule", RULE)?;
    let name = name(r, &map);
    let what = if name.is_empty() { "the rule".to_owned() } else { format!("rule `{name}`") };
    if map.node("schedule").is_some() {
        r.error(code::UNSUPPORTED, map.key_at("schedule"), "`schedule` is not supported by this version yet");
    }
    let on = r.required(&map, &what, "on", "name the topics that it is about");
    let on = on.map(|node| r.patterns(node, "on", map.key_at("on"))).unwrap_or_default();
    let when = map.get("when").and_then(|node| r.condition(node, "when", &[]));
    let group_by = match map.get("group_by") {
        Some(node) => {
            let items = r.items(node, "group_by", map.key_at("group_by"));
            items.iter().filter_map(|node| r.expression(node, "group_by", &[])).collect()
        }
        None => Vec::new(),
    };
    let pattern = map.get("pattern").map_or(Some(Correlation::Every), |node| pattern(r, node));
    let class = map.get("class").and_then(|node| r.expression(node, "class", &[]));
    let resolved = map.get("resolved").and_then(|node| resolved(r, node));
    let modes = [("auto", Mode::Auto), ("ask", Mode::Ask), ("shadow", Mode::Shadow)];
    let mode = map.get("mode").and_then(|node| r.word(node, "mode", &modes)).unwrap_or_default();
    let description = map.get("description").and_then(|node| r.text(node, "description")).unwrap_or_default();
    let flag =
        |r: &mut Reader<'_>, key, default| map.get(key).and_then(|node| r.flag(node, key)).unwrap_or(default);
    let (enabled, stop, backstop) =
        (flag(r, "enabled", true), flag(r, "stop", false), flag(r, "backstop", false));
    let priority =
        map.get("priority").and_then(|node| r.int(node, "priority", -1_000_000..=1_000_000)).unwrap_or(0);
    let wish = wish(r, &map, &name, &description);
    let plainly = resolved.as_ref().filter(|resolved: &&Resolved| resolved.when.is_none());
    let resolved_by = plainly.map(|resolved| resolved.on.clone()).unwrap_or_default();
    let plan = plan(r, &map, &what, mode, known).map(|plan| Plan { resolved_by, ..plan });
    let tests = match map.get("tests") {
        Some(Node { kind: Kind::List(tests), .. }) => tests.iter().map(|test| r.json(test)).collect(),
        Some(other) => {
            r.error(code::TYPE, other.at.clone(), format!("`tests` is a list, this is {}", other.what()));
            Vec::new()
        }
        None => Vec::new(),
    };
    if r.errors() > before {
        return None;
    }
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
        pattern: pattern?,
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
    for key in ["on", "when", "group_by", "pattern", "resolved"] {
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
            "use up to 64 of a-z, 0-9, - and _, starting with a letter or digit",
        );
    }
    name
}

fn pattern(r: &mut Reader<'_>, node: &Node) -> Option<Correlation> {
    let map = r.block(node, "a pattern", PATTERN)?;
    if let Some(kind) = PATTERN.iter().find(|key| !SUPPORTED.contains(key) && map.node(key).is_some()) {
        let message = format!("patterns with `{kind}` are not supported by this version yet");
        r.error_help(
            code::UNSUPPORTED,
            map.key_at(kind),
            message,
            "use { count, within } or { once_within }",
        );
        return None;
    }
    match (map.node("count"), map.node("within"), map.node("once_within")) {
        (Some(count), Some(within), None) => {
            let count = r.int(count, "count", 1..=MAX_COUNT);
            let within = positive(r, within, "within");
            Some(Correlation::Count { count: u32::try_from(count?).ok()?, within: within? })
        }
        (None, None, Some(quiet)) => positive(r, quiet, "once_within").map(Correlation::OnceWithin),
        _ => {
            let message = "a pattern is { count, within } or { once_within }";
            r.error(code::MISSING, map.at.clone(), message);
            None
        }
    }
}

fn positive(r: &mut Reader<'_>, node: &Node, what: &str) -> Option<Span> {
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

fn wish(r: &mut Reader<'_>, rule: &Map<'_>, name: &str, description: &str) -> Option<Wish> {
    let map = match rule.get("intent") {
        Some(node) => Some(r.block(node, "`intent`", INTENT)?),
        None => None,
    };
    let get = |key| map.as_ref().and_then(|map| map.get(key));
    let plain = |text: &str| Template::compile(&text.replace('$', "$$"), &[]).ok();
    let goal = match get("goal") {
        Some(node) => r.template(node, "goal"),
        None => plain(if description.is_empty() { name } else { description }),
    };
    let target = match get("target") {
        Some(node) => r.template(node, "target"),
        None => Template::compile("${subject}", &[]).ok(),
    };
    if let (Some(node), Some(target)) = (get("target"), &target)
        && target.text().trim().is_empty()
    {
        r.error(code::VALUE, node.at.clone(), "`target` is empty: an intent acts on one named thing");
    }
    let fleet = match get("fleet") {
        Some(node) => Some(r.template(node, "fleet")?),
        None => None,
    };
    let priorities = Priority::ALL.map(|p| (p.as_str(), p));
    Some(Wish {
        domain: get("domain")
            .and_then(|node| r.text(node, "domain"))
            .unwrap_or_else(|| "infrastructure".into()),
        priority: get("priority").and_then(|node| r.word(node, "priority", &priorities)).unwrap_or_default(),
        goal: goal?,
        target: target?,
        fleet,
    })
}

fn plan(r: &mut Reader<'_>, map: &Map<'_>, what: &str, mode: Mode, known: &Known<'_>) -> Option<Plan> {
    let mut playbooks = Vec::new();
    if let Some(node) = r.required(map, what, "playbooks", "name the playbooks that may repair it") {
        for item in r.items(node, "playbooks", map.key_at("playbooks")) {
            let Some(name) = playbook(r, item, known) else { continue };
            if playbooks.contains(&name) {
                r.error(code::VALUE, item.at.clone(), format!("`{name}` stands here twice"));
            }
            playbooks.push(name);
        }
    }
    let escalate = match map.get("escalate") {
        Some(node) => {
            let items = r.items(node, "escalate", map.key_at("escalate"));
            items.iter().filter_map(|node| escalation(r, node, known)).collect()
        }
        None => Vec::new(),
    };
    Some(Plan {
        playbooks,
        params: params(r, map),
        mode,
        guard: map.get("guard").and_then(|node| guard(r, node)).unwrap_or_default(),
        resolved_by: Vec::new(),
        verify: map.get("verify").and_then(|node| verify(r, node)),
        escalate,
        expire: map.get("expire").and_then(|node| positive(r, node, "expire")).unwrap_or(EXPIRE),
    })
}

fn playbook(r: &mut Reader<'_>, node: &Node, known: &Known<'_>) -> Option<String> {
    let name = r.text(node, "playbook")?;
    if known.playbooks.contains(&name) {
        return Some(name);
    }
    let names = known.playbooks.iter().map(String::as_str);
    let help = match nearest(&name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.playbooks.is_empty() => "there are no playbooks".to_owned(),
        None if known.playbooks.len() <= 12 => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
        None => format!("`paramedic playbooks` lists all {}", known.playbooks.len()),
    };
    r.error_help(code::PLAYBOOK, node.at.clone(), format!("unknown playbook `{name}`"), help);
    None
}

fn params(r: &mut Reader<'_>, map: &Map<'_>) -> Json<String, Value> {
    let Some(node) = map.get("params") else { return Json::new() };
    match r.json(node) {
        Value::Object(params) => params,
        _ => {
            r.error(code::TYPE, node.at.clone(), format!("`params` is a map, this is {}", node.what()));
            Json::new()
        }
    }
}

fn escalation(r: &mut Reader<'_>, node: &Node, known: &Known<'_>) -> Option<Escalation> {
    let map = r.block(node, "a step of `escalate`", &["to", "after", "params"])?;
    let after = map.get("after").and_then(|node| r.span(node, "after")).unwrap_or_default();
    let params = params(r, &map);
    let to = r.required(&map, "this step of `escalate`", "to", "name the playbook that tells somebody")?;
    Some(Escalation { to: playbook(r, to, known)?, after, params })
}

fn guard(r: &mut Reader<'_>, node: &Node) -> Option<Guard> {
    let map = r.block(node, "`guard`", GUARD)?;
    let blast_radius = map.get("blast_radius").and_then(|node| r.share(node, "blast_radius"));
    if blast_radius.is_some() {
        r.warn(
            code::UNENFORCED,
            map.key_at("blast_radius"),
            "`blast_radius` is not enforced by this version yet",
        );
    }
    Some(Guard {
        hold_down: map.get("hold_down").and_then(|node| r.span(node, "hold_down")),
        cooldown: map.get("cooldown").and_then(|node| r.span(node, "cooldown")),
        rate: map.get("rate").and_then(|node| rate(r, node)),
        max_attempts: map
            .get("max_attempts")
            .and_then(|node| r.int(node, "max_attempts", 1..=100))
            .and_then(|n| u32::try_from(n).ok()),
        ask_below: map.get("ask_below").and_then(|node| r.share(node, "ask_below")),
        blast_radius,
    })
}

fn rate(r: &mut Reader<'_>, node: &Node) -> Option<Rate> {
    let text = r.text(node, "rate")?;
    let parsed = text.split_once('/').and_then(|(count, within)| {
        // `10/h` is ten an hour.
        let within = Span::parse(within).or_else(|_| Span::parse(&format!("1{}", within.trim()))).ok()?;
        Some(Rate { count: count.trim().parse().ok()?, within })
    });
    let parsed = parsed.filter(|rate| rate.count > 0 && !rate.within.is_zero());
    if parsed.is_none() {
        let message = format!("`{text}` is not a rate: write a number, a slash and a time, such as 10/1h");
        r.error(code::VALUE, node.at.clone(), message);
    }
    if let Some(rate) = parsed.filter(|rate| rate.count > Rate::MAX) {
        let message =
            format!("a rate of {} is more than is kept count of: at most {}", rate.count, Rate::MAX);
        r.error(code::VALUE, node.at.clone(), message);
    }
    parsed
}

fn verify(r: &mut Reader<'_>, node: &Node) -> Option<Verify> {
    let map = r.block(node, "`verify`", &["expect", "when", "within", "hold"])?;
    let when = map.get("when").and_then(|node| r.condition(node, "when", &["target"]));
    let within = map.get("within").and_then(|node| positive(r, node, "within")).unwrap_or(VERIFY_WITHIN);
    let hold = map.get("hold").and_then(|node| r.span(node, "hold")).unwrap_or_default();
    let expect = r.required(&map, "`verify`", "expect", "name the topic that shows that it worked")?;
    if let Kind::List(_) = expect.kind {
        r.error(code::TYPE, expect.at.clone(), "`expect` is one topic pattern, this is a list");
        return None;
    }
    let expect = r.patterns(expect, "expect", map.key_at("expect")).pop()?;
    Some(Verify { expect, when: when.map(|when| when.text().to_owned()), within, hold })
}
