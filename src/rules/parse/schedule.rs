//! Reads a rule's `schedule:`: the fields as cron writes them, with a time zone if one is named.

use crate::rules::cron::{Part, Schedule};
use crate::rules::reader::{Map, Reader, code};
use crate::rules::yaml::{Kind, Node};

/// Keys that speak of events, of which a rule with a schedule has none.
const OF_EVENTS: &[&str] = &["on", "when", "pattern", "group_by", "resolved", "stop", "backstop"];

/// Reads the schedule of the rule `map`; the time zone is UTC where none is named.
pub fn schedule(r: &mut Reader<'_>, node: &Node, rule: &Map<'_>) -> Option<Schedule> {
    let schedule = match &node.kind {
        Kind::Text(text) => read(r, (text, node), None),
        Kind::Map(_) => {
            let map = r.block(node, "`schedule`", &["cron", "timezone"])?;
            let help = "write the five fields of cron, such as cron: \"30 2 * * *\"";
            let cron = r.required(&map, "`schedule`", "cron", help)?;
            let text = r.text(cron, "cron")?;
            let zone = match map.get("timezone") {
                Some(zone) => Some((r.text(zone, "timezone")?, zone)),
                None => None,
            };
            read(r, (&text, cron), zone.as_ref().map(|(text, node)| (text.as_str(), *node)))
        }
        _ => {
            let message = format!(
                "`schedule` is a text of five fields, or {{ cron, timezone }}; this is {}",
                node.what()
            );
            r.error_help(code::TYPE, node.at.clone(), message, "put it in quotes, such as \"*/5 * * * *\"");
            None
        }
    };
    for key in OF_EVENTS.iter().filter(|key| rule.node(key).is_some()) {
        let message = format!("`{key}` is about events, and a rule with a `schedule` fires by the calendar");
        r.error_help(code::VALUE, rule.key_at(key), message, "take it out, or make two rules of it");
    }
    let target = rule.get("intent").and_then(|intent| match &intent.kind {
        Kind::Map(entries) => entries.iter().find(|(key, _)| key.name == "target"),
        _ => None,
    });
    if target.is_none() {
        let message = "a rule with a `schedule` names its target itself, as there is no event that could";
        r.error_help(code::MISSING, rule.key_at("schedule"), message, "add intent: { target: … }");
    }
    schedule
}

fn read(r: &mut Reader<'_>, (text, node): (&str, &Node), zone: Option<(&str, &Node)>) -> Option<Schedule> {
    let read = Schedule::parse(text, zone.map_or("UTC", |(zone, _)| zone));
    read.map_err(|error| {
        let (said, node) = match (error.of, zone) {
            (Part::Zone, Some((zone, node))) => (zone, node),
            _ => (text, node),
        };
        r.within(code::SCHEDULE, node, said, error.at, error.message, Some(error.help));
    })
    .ok()
}
