//! What a rule wants done with a failure: `playbooks`, `params`, `guard`, `verify`, `escalate`.

use serde_json::{Map as Json, Value};

use super::positive;
use crate::model::diagnostic::nearest;
use crate::model::intent::{Escalation, Guard, Plan, Rate, Verify};
use crate::model::{Mode, Span};
use crate::rules::build::Known;
use crate::rules::reader::{Map, Reader, advice, code};
use crate::rules::yaml::{Kind, Node};

const GUARD: &[&str] = &["hold_down", "cooldown", "rate", "max_attempts", "ask_below", "blast_radius"];

/// How long an intent may wait, where the rule does not say.
const EXPIRE: Span = Span::secs(15 * 60);
/// How long the event that shows success may take, where the rule does not say.
const VERIFY_WITHIN: Span = Span::secs(30);

/// Reads the plan of a rule; `what` names the rule in messages.
pub fn plan(r: &mut Reader<'_>, map: &Map<'_>, what: &str, mode: Mode, known: &Known<'_>) -> Option<Plan> {
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
    let name = r.text(node, "playbooks")?;
    if known.playbooks.contains(&name) {
        return Some(name);
    }
    let names = known.playbooks.iter().map(String::as_str);
    // As people name files: with the folder, the ending, in capitals, with dashes.
    let plain = name.rsplit('/').next().unwrap_or(&name).trim_end_matches(".rhai").to_lowercase();
    let meant = names.clone().find(|known| known.replace('-', "_") == plain.replace('-', "_"));
    let help = match meant.or_else(|| nearest(&plain, names.clone())) {
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
    Some(Guard {
        hold_down: map.get("hold_down").and_then(|node| r.span(node, "hold_down")),
        cooldown: map.get("cooldown").and_then(|node| r.span(node, "cooldown")),
        rate: map.get("rate").and_then(|node| rate(r, node)),
        max_attempts: map
            .get("max_attempts")
            .and_then(|node| r.int(node, "max_attempts", 1..=100))
            .and_then(|n| u32::try_from(n).ok()),
        ask_below: map.get("ask_below").and_then(|node| r.share(node, "ask_below")),
        blast_radius: map.get("blast_radius").and_then(|node| r.share(node, "blast_radius")),
    })
}

fn rate(r: &mut Reader<'_>, node: &Node) -> Option<Rate> {
    if let Kind::Int(n) = node.kind {
        let message = format!("`rate` is a number in a time, this is the number {n} alone");
        r.error_help(code::TYPE, node.at.clone(), message, format!("write {n}/1h for {n} an hour"));
        return None;
    }
    let text = r.text(node, "rate")?;
    let parsed = text.split_once('/').and_then(|(count, within)| {
        // `10/h` is ten an hour.
        let within = Span::parse(within).or_else(|_| Span::parse(&format!("1{}", within.trim()))).ok()?;
        Some(Rate { count: count.trim().parse().ok()?, within })
    });
    let parsed = parsed.filter(|rate| rate.count > 0 && !rate.within.is_zero());
    if parsed.is_none() {
        let message = format!("`{text}` is not a rate: write a number, a slash and a time, such as 10/1h");
        r.error_help(code::VALUE, node.at.clone(), message, advice::rate(&text).unwrap_or_default());
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
