//! Compares what was seen with what was expected, and shows where they differ.
//!
//! Lists are aligned first, so that one missing item does not make all that follow look wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::case::Expected;
use super::play::flow;
use super::seen::Seen;
use crate::model::{Pattern, Span};

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What it stands for.
    pub mark: Mark,
    /// The line.
    pub text: String,
}

/// What a line of a difference stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// Expected and seen.
    Same,
    /// Expected, and not seen.
    Missing,
    /// Seen, and not expected.
    Extra,
    /// What it is about, or why it is so.
    Note,
}

impl Line {
    /// A line that explains.
    pub fn note(text: String) -> Self {
        Self { mark: Mark::Note, text }
    }

    fn new(mark: Mark, text: String) -> Self {
        Self { mark, text }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.mark {
            Mark::Same | Mark::Note => ' ',
            Mark::Missing => '-',
            Mark::Extra => '+',
        };
        write!(f, "{mark} {}", self.text)
    }
}

/// Two times that are nearer than this are the same.
const MOMENT: Duration = Duration::from_millis(100);

/// Most items in a row that were seen and not expected, or expected and not seen, that are shown.
const MAX_SHOWN: usize = 20;

/// What names an item of a list of each kind, for people.
const INTENT: &[&str] = &["rule", "target", "class", "status", "playbook"];
const STEP: &[&str] = &["action", "params", "fails"];
const ALERT: &[&str] = &["title", "level", "target"];
const EVENT: &[&str] = &["topic", "subject", "data"];

/// How `seen` differs from `expected`.
pub(super) fn judge(expected: &Expected, seen: &Seen) -> Vec<Line> {
    let mut lines: Vec<Line> = seen.troubles.iter().cloned().map(Line::note).collect();
    let lists = [
        ("intents", &expected.intents, &seen.intents, INTENT, "rule"),
        ("steps", &expected.steps, &seen.steps, STEP, "action"),
        ("alerts", &expected.alerts, &seen.alerts, ALERT, "title"),
    ];
    for (name, wanted, found, shown, alike) in lists {
        if let Some(wanted) = wanted {
            lines.extend(list(name, wanted, found, shown, alike));
        }
    }
    if let Some(wanted) = &expected.events {
        lines.extend(in_order(wanted, &seen.events));
    }
    lines.extend(run(&expected.run, &seen.run));
    lines
}

/// How the run of a playbook that is tested alone differs.
fn run(wanted: &Map<String, Value>, found: &Value) -> Vec<Line> {
    let differing = mismatches(wanted, found);
    if differing.is_empty() {
        return vec![];
    }
    if found.is_null() {
        return vec![Line::note("the playbook was not carried out".into())];
    }
    let mut lines = vec![Line::note(format!("{} differs:", flow(&found["playbook"])))];
    for key in &differing {
        lines.push(Line::new(Mark::Missing, format!("  {key}: {}", flow(&wanted[*key]))));
        lines.push(Line::new(Mark::Extra, format!("  {key}: {}", flow(&found[key.as_str()]))));
    }
    let message = found["failure"]["message"].as_str();
    lines.extend(
        message
            .filter(|_| !differing.iter().any(|key| *key == "failure"))
            .map(|message| Line::note(format!("  it failed: {message}"))),
    );
    lines
}

/// Rules of which more intents were expected than seen.
pub(super) fn silent(expected: &Expected, seen: &Seen) -> Vec<String> {
    let rules = expected.intents.iter().flatten().filter_map(|it| it.get("rule")?.as_str());
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in rules {
        *wanted.entry(rule).or_default() += 1;
    }
    let fired = |rule: &str| seen.intents.iter().filter(|it| it["rule"] == rule).count();
    wanted.into_iter().filter(|(rule, n)| fired(rule) < *n).map(|(rule, _)| rule.to_owned()).collect()
}

/// Exactly `wanted`, in order.
fn list(
    name: &str,
    wanted: &[Map<String, Value>],
    found: &[Value],
    shown: &[&str],
    alike: &str,
) -> Vec<Line> {
    let fits = |w: usize, f: usize| mismatches(&wanted[w], &found[f]).is_empty();
    let pairs = align(wanted.len(), found.len(), fits);
    if pairs.len() == wanted.len() && pairs.len() == found.len() {
        return vec![];
    }
    let mut lines = vec![Line::note(format!("{name}: {} expected, {} seen", wanted.len(), found.len()))];
    let (mut w, mut f) = (0, 0);
    for (next_w, next_f) in pairs.into_iter().chain([(wanted.len(), found.len())]) {
        between(&wanted[w..next_w], &found[f..next_f], shown, alike, &mut lines);
        if let Some(item) = wanted.get(next_w) {
            lines.push(Line::new(Mark::Same, format!("  {}", told(item, shown))));
        }
        (w, f) = (next_w + 1, next_f + 1);
    }
    lines
}

/// What stands between two items that fit: items of one rule or action are shown as one that differs.
fn between(
    wanted: &[Map<String, Value>],
    found: &[Value],
    shown: &[&str],
    alike: &str,
    lines: &mut Vec<Line>,
) {
    let same = |w: usize, f: usize| wanted[w].get(alike).is_none_or(|it| fits(alike, it, &found[f][alike]));
    let pairs = align(wanted.len(), found.len(), same);
    let (mut w, mut f) = (0, 0);
    for (next_w, next_f) in pairs.into_iter().chain([(wanted.len(), found.len())]) {
        row(Mark::Missing, &wanted[w..next_w], lines, |item| told(item, shown));
        row(Mark::Extra, &found[f..next_f], lines, |item| told_briefly(item, shown));
        if let (Some(wanted), Some(found)) = (wanted.get(next_w), found.get(next_f)) {
            differing(wanted, found, alike, lines);
        }
        (w, f) = (next_w + 1, next_f + 1);
    }
}

/// A row of items of one mark: the first of them, and how many more there are.
fn row<T>(mark: Mark, items: &[T], lines: &mut Vec<Line>, told: impl Fn(&T) -> String) {
    // One line is of no use where it only says that there is one more.
    let most = if items.len() == MAX_SHOWN + 1 { items.len() } else { MAX_SHOWN };
    lines.extend(items.iter().take(most).map(|item| Line::new(mark, format!("  {}", told(item)))));
    if let Some(more) = items.len().checked_sub(most).filter(|more| *more > 0) {
        lines.push(Line::new(mark, format!("  … and {more} more")));
    }
}

fn differing(wanted: &Map<String, Value>, found: &Value, alike: &str, lines: &mut Vec<Line>) {
    let which = [alike, "target"].into_iter().filter(|key| !found[*key].is_null());
    let which: Vec<String> = which.map(|key| format!("{key}: {}", flow(&found[key]))).collect();
    lines.push(Line::note(format!("  {} differs:", which.join(", "))));
    for key in mismatches(wanted, found) {
        match (&wanted[key], &found[key]) {
            (Value::Array(wanted), Value::Array(found)) if wanted.iter().all(Value::is_object) => {
                let maps: Vec<_> = wanted.iter().filter_map(Value::as_object).cloned().collect();
                let alike = if key == "steps" { "action" } else { "playbook" };
                let inner =
                    list(key, &maps, found, &["action", "params", "playbook", "outcome", "fails"], alike);
                lines.extend(inner.into_iter().map(|it| Line { text: format!("    {}", it.text), ..it }));
            }
            (wanted, found) => {
                lines.push(Line::new(Mark::Missing, format!("    {key}: {}", flow(wanted))));
                lines.push(Line::new(Mark::Extra, format!("    {key}: {}", flow(found))));
            }
        }
    }
    let reason = found["reason"].as_str().filter(|_| !wanted.contains_key("reason"));
    if let Some(reason) = reason {
        lines.push(Line::note(format!("    it is {}: {reason}", flow(&found["status"]))));
    }
    for note in found["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(Line::note(format!("    {note}")));
    }
}

/// All of `wanted` among `found`, in that order.
fn in_order(wanted: &[Map<String, Value>], found: &[Value]) -> Vec<Line> {
    let (mut missing, mut from) = (Vec::new(), 0);
    for item in wanted {
        match found[from..].iter().position(|found| mismatches(item, found).is_empty()) {
            Some(n) => from += n + 1,
            None => missing.push(item),
        }
    }
    if missing.is_empty() {
        return vec![];
    }
    let mut lines = vec![Line::note("events: not all came, or not in this order".into())];
    row(Mark::Missing, &missing, &mut lines, |item| told(item, EVENT));
    row(Mark::Extra, found, &mut lines, |item| told_briefly(item, EVENT));
    lines
}

/// The keys of `wanted` for which `found` has something else.
fn mismatches<'w>(wanted: &'w Map<String, Value>, found: &Value) -> Vec<&'w String> {
    wanted.iter().filter(|(key, value)| !fits(key, value, &found[key.as_str()])).map(|(key, _)| key).collect()
}

/// Whether `found` is what `wanted` says: of a map only the keys that it names, of words that people read a part.
fn fits(key: &str, wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::String(part), Value::String(text)) if ["reason", "title", "message"].contains(&key) => {
            text.contains(part.as_str())
        }
        (Value::String(pattern), Value::String(topic)) if key == "topic" => {
            Pattern::try_new(pattern).is_ok_and(|pattern| pattern.matches(topic))
        }
        (Value::String(wanted), Value::String(found)) if key == "at" => {
            let [wanted, found] = [wanted, found].map(|text| Span::parse(text).unwrap_or_default());
            wanted.0.abs_diff(found.0) < MOMENT
        }
        (Value::Bool(any), found) if key == "fails" => *any != found.is_null(),
        (Value::Object(wanted), Value::Object(_)) => mismatches(wanted, found).is_empty(),
        (Value::Array(wanted), Value::Array(found)) => {
            wanted.len() == found.len()
                && wanted.iter().zip(found).all(|(wanted, found)| fits("", wanted, found))
        }
        (Value::Number(wanted), Value::Number(found)) => wanted.as_f64() == found.as_f64(),
        _ => wanted == found,
    }
}

/// What was expected of an item: all of it, what names it first.
fn told(item: &Map<String, Value>, shown: &[&str]) -> String {
    let first = shown.iter().filter_map(|key| Some((*key, item.get(*key)?)));
    let others =
        item.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| !shown.contains(key));
    fields(first.chain(others))
}

/// What was seen of an item: what names it.
fn told_briefly(item: &Value, shown: &[&str]) -> String {
    fields(shown.iter().map(|key| (*key, &item[*key])).filter(|(_, value)| !is_nothing(value)))
}

fn fields<'a>(all: impl Iterator<Item = (&'a str, &'a Value)>) -> String {
    let field = |(key, value): (&str, &Value)| match value {
        Value::Array(items) if ["attempts", "steps"].contains(&key) => {
            format!("{key}: [{}]", items.iter().map(name_of).collect::<Vec<_>>().join(", "))
        }
        value => format!("{key}: {}", flow(value)),
    };
    all.map(field).collect::<Vec<_>>().join(", ")
}

fn name_of(item: &Value) -> String {
    let name = item.get("action").or_else(|| item.get("playbook"));
    name.map_or_else(|| flow(item), flow)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == "" || value.as_object().is_some_and(Map::is_empty)
}

/// The longest row of pairs, rising in both, that `fits`.
fn align(wanted: usize, found: usize, fits: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let mut longest = vec![vec![0_usize; found + 1]; wanted + 1];
    let fit: Vec<Vec<bool>> = (0..wanted).map(|w| (0..found).map(|f| fits(w, f)).collect()).collect();
    for w in (0..wanted).rev() {
        for f in (0..found).rev() {
            longest[w][f] = match fit[w][f] {
                true => longest[w + 1][f + 1] + 1,
                false => longest[w + 1][f].max(longest[w][f + 1]),
            };
        }
    }
    let (mut w, mut f, mut pairs) = (0, 0, Vec::new());
    while w < wanted && f < found {
        if fit[w][f] {
            pairs.push((w, f));
            (w, f) = (w + 1, f + 1);
        } else if longest[w + 1][f] >= longest[w][f + 1] {
            w += 1;
        } else {
            f += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_fires_far_too_often_does_not_bury_what_else_differs() {
        let items = |n: usize| -> Vec<Value> {
            (0..n).map(|n| serde_json::json!({"rule": format!("r{n}")})).collect()
        };
        let maps = |n: usize| -> Vec<Map<String, Value>> {
            items(n).iter().filter_map(Value::as_object).cloned().collect()
        };
        for (wanted, found, lines, last) in [
            (0, 20, 21, "+   rule: r19"),
            (0, 21, 22, "+   rule: r20"),
            (0, 360, 22, "+   … and 340 more"),
            (1, 361, 23, "+   … and 340 more"),
            (40, 0, 22, "-   … and 20 more"),
        ] {
            let told = list("intents", &maps(wanted), &items(found), INTENT, "rule");
            assert_eq!(told.len(), lines, "{wanted} {found}: {told:#?}");
            assert_eq!(told.last().unwrap().to_string(), last, "{wanted} {found}");
        }
        let told = in_order(&[Map::from_iter([("topic".into(), "x".into())])], &items(500));
        assert_eq!(told.len(), 1 + 1 + MAX_SHOWN + 1, "{told:#?}");
    }
}
