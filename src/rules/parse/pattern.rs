//! Reads a rule's `pattern:` block.

use std::sync::Arc;

use super::positive;
use crate::model::Span;
use crate::rules::pattern::{Change, Correlation, LATENESS, MAX_MEMBERS, Member};
use crate::rules::reader::{Map, Reader, code};
use crate::rules::yaml::{Kind, Node};

/// The keys that say which kind of pattern it is, each with the others that it takes; `*` marks what it needs.
const KINDS: &[(&str, &[&str])] = &[
    ("count", &["*within"]),
    ("all", &["*within"]),
    ("any", &[]),
    ("sequence", &["*within"]),
    ("absent", &["*for", "expect"]),
    ("not", &["*after", "*within"]),
    ("change", &["above", "below", "baseline"]),
    ("once_within", &[]),
    ("once_after", &[]),
];
/// All of them.
const KEYS: &[&str] = &[
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
    "below",
    "baseline",
    "once_within",
    "once_after",
    "lateness",
];

/// Most matches that a `count` may ask for: each is kept, per group, as 8 bytes.
const MAX_COUNT: i64 = 10_000;
/// Most groups that `expect` may name.
const MAX_EXPECTED: usize = 10_000;
/// Longest lateness: what is counted late is kept so long.
const MAX_LATENESS: Span = Span::secs(3_600);

/// Reads the block; `rule_has_topics` says whether the rule names topics itself.
pub fn pattern(r: &mut Reader<'_>, node: &Node, rule_has_topics: bool) -> Option<(Correlation, Span)> {
    let before = r.errors();
    let map = r.block(node, "a pattern", KEYS)?;
    let kind = kind(r, &map)?;
    let lateness = map.get("lateness").and_then(|node| lateness(r, node)).unwrap_or(LATENESS);
    let value = map.get(kind)?;
    let within = map.get("within").and_then(|node| positive(r, node, "within"));
    let correlation = match kind {
        "count" => {
            let count = r.int(value, "count", 1..=MAX_COUNT);
            Some(Correlation::Count { count: u32::try_from(count?).ok()?, within: within? })
        }
        "all" | "sequence" | "any" => {
            let members = members(r, value, kind, &map, rule_has_topics)?;
            match kind {
                "any" => Some(Correlation::Any(members)),
                "all" => Some(Correlation::All { members, within: within? }),
                _ => Some(Correlation::Sequence { members, within: within? }),
            }
        }
        "absent" => absent(r, value, &map),
        "not" => {
            let not = member(r, value, "`not`", rule_has_topics);
            let after = map.get("after").and_then(|node| member(r, node, "`after`", rule_has_topics));
            Some(Correlation::NotAfter { not: not?, after: after?, within: within? })
        }
        "change" => change(r, value, &map),
        "once_within" => positive(r, value, kind).map(Correlation::OnceWithin),
        _ => positive(r, value, kind).map(Correlation::OnceAfter),
    };
    correlation.filter(|_| r.errors() == before).map(|correlation| (correlation, lateness))
}

/// Whether a rule with this pattern must name topics itself.
pub fn takes_topics(pattern: &Correlation) -> bool {
    let lacking = |members: &[Member]| members.iter().any(|member| member.on.is_empty());
    match pattern {
        Correlation::All { members, .. }
        | Correlation::Sequence { members, .. }
        | Correlation::Any(members) => lacking(members),
        Correlation::NotAfter { not, after, .. } => not.on.is_empty() || after.on.is_empty(),
        Correlation::Absent { .. } => false,
        _ => true,
    }
}

/// Which kind it is; that it takes and needs the other keys that are there.
fn kind(r: &mut Reader<'_>, map: &Map<'_>) -> Option<&'static str> {
    let mut kinds = KINDS.iter().filter(|(kind, _)| map.node(kind).is_some());
    let Some((kind, takes)) = kinds.next() else {
        if map.meant(None) {
            return None;
        }
        let names: Vec<_> = KINDS.iter().map(|(kind, _)| format!("`{kind}`")).collect();
        let message = "this pattern does not say what kind it is";
        r.error_help(code::MISSING, map.at.clone(), message, format!("name one of {}", names.join(", ")));
        return None;
    };
    if let Some((other, _)) = kinds.next() {
        let message = format!("a pattern is of one kind, this is `{kind}` and `{other}`");
        r.error_help(code::VALUE, map.key_at(other), message, "make two rules of it");
        return None;
    }
    let allowed = |key: &str| {
        key == "lateness" || key == *kind || takes.iter().any(|t| t.trim_start_matches('*') == key)
    };
    for key in KEYS.iter().filter(|key| !allowed(key) && map.node(key).is_some()) {
        let takes: Vec<_> = takes.iter().map(|t| format!("`{}`", t.trim_start_matches('*'))).collect();
        let help = match &takes[..] {
            [] => format!("take it out: `{kind}` stands alone"),
            takes => format!("take it out: beside `{kind}` stands {}", takes.join(", ")),
        };
        r.error_help(
            code::UNKNOWN_KEY,
            map.key_at(key),
            format!("`{key}` means nothing beside `{kind}`"),
            help,
        );
    }
    let lacking = |key: &&str| map.node(key).is_none() && !map.meant(Some(key));
    for key in takes.iter().filter_map(|t| t.strip_prefix('*')).filter(lacking) {
        let help = match key {
            "after" => "name what it should follow, such as after: { on: deploy.started }",
            _ => "give a length of time such as 5m",
        };
        r.error_help(code::MISSING, map.key_at(kind), format!("a pattern of `{kind}` needs `{key}`"), help);
    }
    Some(kind)
}

fn lateness(r: &mut Reader<'_>, node: &Node) -> Option<Span> {
    let span = r.span(node, "lateness")?;
    if span > MAX_LATENESS {
        let message = format!("`lateness` is at most {MAX_LATENESS}, this is {span}");
        r.error(code::VALUE, node.at.clone(), message);
        return None;
    }
    Some(span)
}

fn members(
    r: &mut Reader<'_>,
    node: &Node,
    kind: &str,
    map: &Map<'_>,
    rule_has_topics: bool,
) -> Option<Arc<[Member]>> {
    let Kind::List(items) = &node.kind else {
        let message = format!("`{kind}` is a list of {{ on, when }}, this is {}", node.what());
        r.error(code::TYPE, node.at.clone(), message);
        return None;
    };
    let least = if kind == "any" { 1 } else { 2 };
    if items.len() < least || items.len() > MAX_MEMBERS {
        let message = format!("`{kind}` takes {least} to {MAX_MEMBERS} members, this has {}", items.len());
        let code = if items.is_empty() { code::EMPTY } else { code::VALUE };
        r.error_help(
            code,
            map.key_at(kind),
            message,
            "each is { on, when }; for one alone leave the pattern out",
        );
        return None;
    }
    let what = format!("a member of `{kind}`");
    let members: Vec<Option<Member>> =
        items.iter().map(|item| member(r, item, &what, rule_has_topics)).collect();
    members.into_iter().collect::<Option<Vec<Member>>>().map(Into::into)
}

/// A member: `{ on, when }`, or the topics alone.
fn member(r: &mut Reader<'_>, node: &Node, what: &str, rule_has_topics: bool) -> Option<Member> {
    if matches!(node.kind, Kind::Text(_)) {
        let on = r.patterns(node, "on", node.at.clone());
        return (!on.is_empty()).then_some(Member { on, when: None });
    }
    let map = r.block(node, what, &["on", "when"])?;
    let when = map.get("when").and_then(|node| r.condition(node, "when", &[]));
    let on = match map.get("on") {
        Some(node) => r.patterns(node, "on", map.key_at("on")),
        None => {
            if !rule_has_topics && map.node("on").is_none() {
                r.missing(
                    &map,
                    what,
                    "on",
                    "name its topics here, or for all of them in the rule's own `on`",
                );
            }
            Vec::new()
        }
    };
    Some(Member { on, when })
}

fn absent(r: &mut Reader<'_>, value: &Node, map: &Map<'_>) -> Option<Correlation> {
    let on = r.patterns(value, "absent", map.key_at("absent"));
    let quiet = map.get("for").and_then(|node| positive(r, node, "for"));
    let mut expect: Vec<String> = Vec::new();
    if let Some(node) = map.get("expect") {
        let items = r.items(node, "expect", map.key_at("expect"));
        if items.len() > MAX_EXPECTED {
            let message = format!("`expect` names at most {MAX_EXPECTED}, this names {}", items.len());
            r.error(code::LIMIT, map.key_at("expect"), message);
        }
        for item in items {
            let name = match &item.kind {
                Kind::Int(n) => n.to_string(),
                _ => match r.text(item, "expect") {
                    Some(name) => name,
                    None => continue,
                },
            };
            if name.trim().is_empty() || expect.contains(&name) {
                let why = if expect.contains(&name) { "stands here twice" } else { "names nothing" };
                r.error(code::VALUE, item.at.clone(), format!("`{name}` {why}"));
            }
            expect.push(name);
        }
    }
    Some(Correlation::Absent { on, quiet: quiet?, expect: expect.into() })
}

fn change(r: &mut Reader<'_>, value: &Node, map: &Map<'_>) -> Option<Correlation> {
    let number = r.expression(value, "change", &[]);
    let mut factor = |key: &str| {
        let node = map.get(key)?;
        let factor = match node.kind {
            Kind::Int(n) => Some(n as f64),
            Kind::Float(n) => Some(n),
            _ => None,
        };
        let factor = factor.filter(|n| *n > 0.0 && n.is_finite());
        if factor.is_none() {
            let message = format!("`{key}` is a factor above 0, such as 2.0 for twice the baseline");
            r.error(code::VALUE, node.at.clone(), message);
        }
        factor
    };
    let (above, below) = (factor("above"), factor("below"));
    if map.node("above").is_none() && map.node("below").is_none() {
        let help = "say from which factor on it counts, such as above: 2.0";
        r.error_help(
            code::MISSING,
            map.key_at("change"),
            "a pattern of `change` needs `above` or `below`",
            help,
        );
    }
    if let (Some(above), Some(below)) = (above, below)
        && below >= above
    {
        let message =
            format!("`below` ({below}) must be less than `above` ({above}), or every number departs");
        r.error(code::VALUE, map.key_at("below"), message);
    }
    let baseline = match map.get("baseline") {
        Some(Node { kind: Kind::Float(n), .. }) => crate::condition::compile(&format!("{n:?}"), &[]).ok(),
        Some(node) => r.expression(node, "baseline", &[]),
        None => None,
    };
    Some(Correlation::Change(Box::new(Change { value: number?, above, below, baseline })))
}
