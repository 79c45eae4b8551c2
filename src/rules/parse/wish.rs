//! What a rule wants: its `intent:` block.

use super::super::rule::Wish;
use crate::condition::Template;
use crate::model::Priority;
use crate::rules::reader::{Map, Reader, code};

const INTENT: &[&str] = &["goal", "domain", "priority", "target", "fleet"];

/// Reads the `intent:` block of a rule, or what it means that there is none.
pub fn wish(r: &mut Reader<'_>, rule: &Map<'_>, name: &str, description: &str) -> Option<Wish> {
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
