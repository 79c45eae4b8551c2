//! A rulebook of ansible-rulebook as Paramedic's rules, its events run through them.
//!
//! `set_fact`, `retract_fact` and `post_event` become events, as a playbook's `emit` would make them: a fact is an
//! event with its fields, and one that is retracted is an event without them.

use std::collections::VecDeque;
use std::sync::Arc;

use paramedic::model::{Event, Time, Topic, clock};
use paramedic::rules::{Firing, Known, Scratch, SourceFile, Windows, compile};
use serde_json::{Value, json};

use super::ansible::translate;

/// A rule as it fires: under which name, and what it does.
struct Rule {
    /// The name in the rulebook.
    name: String,
    /// Which ruleset it is in.
    set: usize,
    actions: Vec<(String, Value)>,
}

/// How long ansible-rulebook keeps an event that waits for others.
const TTL: &str = "2h";

/// Runs the events of `row` through its rules.
///
/// # Errors
/// When what fires is not what the row says, in words.
pub fn run(row: &Value) -> Result<(), String> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut yaml = String::from("rules:\n");
    let mut set = 0;
    for written in row["conditions"].as_array().ok_or("no conditions")? {
        let name = written["rule"].as_str().unwrap_or_default().to_owned();
        // The row does not say which ruleset a rule is in: a name that comes again begins the next.
        set += usize::from(rules.iter().any(|known| known.set == set && known.name == name));
        for lines in yaml_of(written)? {
            let n = rules.len();
            yaml.push_str(&format!(
                "  - name: rule-{n}\n    on: ruleset.{set}\n    stop: true\n    playbooks: repair\n{lines}"
            ));
            rules.push(Rule { name: name.clone(), set, actions: actions(&written["action"]) });
        }
    }
    let last = set;
    let playbooks = ["repair".to_owned()];
    let file = SourceFile { path: "rules/translated.yaml".into(), text: yaml.clone() };
    let compiled = compile(&[file], &Known { playbooks: &playbooks });
    let Some(set) = compiled.set else {
        return Err(format!(
            "{yaml}\n{}",
            compiled.diagnostics.iter().map(ToString::to_string).collect::<String>()
        ));
    };

    let (mut windows, mut scratch) = (Windows::default(), Scratch::default());
    let mut waiting = events(row);
    let (mut fired, mut n) = (Vec::new(), 0);
    loop {
        // What fires, for which payload, at which millisecond: first what is due, then what the next event leads to.
        let mut out: Vec<(String, Value, i64)> = Vec::new();
        let mut timed = Vec::new();
        let next = waiting.pop_front();
        let now = match &next {
            Some((.., millis)) => at(*millis),
            None => match windows.waits_until() {
                Some(due) => due,
                None => break,
            },
        };
        windows.advance(&set, now, &mut timed);
        out.extend(timed.into_iter().map(|timed| {
            let data = timed.event.data.value();
            (timed.fired.rule.name.clone(), data, now.timestamp_millis() - START)
        }));
        if let Some((source, data, millis)) = next {
            n += 1;
            let topic = format!("ruleset.{}", source.min(last));
            let topic = Topic::try_new(topic).map_err(|e| e.to_string())?;
            let event = Event::new(format!("event-{n}"), topic, "rulebook", now, data.clone());
            let hits = set.hits(&event, &mut scratch);
            let mut firings = Vec::new();
            windows.apply(&set, &Arc::new(event), &hits, &mut firings, &mut Vec::new());
            out.extend(firings.into_iter().filter_map(|firing| match firing {
                Firing::Fire(firing) => Some((firing.rule.name.clone(), data.clone(), millis)),
                Firing::Resolved { .. } => None,
            }));
        }
        for (name, data, millis) in out {
            let rule = name.strip_prefix("rule-").and_then(|n| rules.get(n.parse::<usize>().ok()?));
            let rule = rule.ok_or("a rule of another name fired")?;
            for (action, args) in &rule.actions {
                fired.push((rule.name.clone(), action.clone(), data.clone()));
                let next = match action.as_str() {
                    "set_fact" => templated(&args["fact"], &data),
                    "post_event" => templated(&args["event"], &data),
                    "retract_fact" => without(&data, &args["fact"]),
                    _ => continue,
                };
                let other = args["ruleset"]
                    .as_str()
                    .and_then(|name| row["rulesets"].as_array()?.iter().position(|known| known == name));
                waiting.push_front((other.unwrap_or(rule.set), next, millis));
            }
        }
    }
    judge(row, &fired).map_err(|why| format!("{why}\n{yaml}"))
}

/// The time of the first event, in milliseconds.
const START: i64 = 1_790_000_000_000;

fn at(millis: i64) -> Time {
    clock::micros((START + millis) * 1_000)
}

/// The lines of YAML that say when a rule fires; more than one rule where Paramedic says it in more than one.
fn yaml_of(written: &Value) -> Result<Vec<String>, String> {
    let text = |condition: &Value| match condition {
        Value::Bool(b) => Ok(b.to_string()),
        Value::String(condition) => translate(condition),
        other => Err(format!("{other} is no condition")),
    };
    let list = |list: &Value| -> Result<Vec<String>, String> {
        list.as_array().into_iter().flatten().map(text).collect()
    };
    let condition = &written["condition"];
    let within = condition["timeout"].as_str().map_or_else(|| TTL.to_owned(), str::to_owned);
    let when = |text: &str| format!("    when: {}\n", Value::from(text));
    let member = |text: &String| format!("{{ when: {} }}", Value::from(text.as_str()));
    let mut rules = if let Some(any) = condition.get("any") {
        vec![when(&list(any)?.iter().map(|c| format!("({c})")).collect::<Vec<_>>().join(" || "))]
    } else if let Some(all) = condition.get("all") {
        match &list(all)?[..] {
            [one] => vec![when(one)],
            all => {
                let members = all.iter().map(member).collect::<Vec<_>>().join(", ");
                vec![format!("    group_by: source\n    pattern: {{ all: [{members}], within: {within} }}\n")]
            }
        }
    } else if let Some(all) = condition.get("not_all") {
        // One came and another did not: for each pair a rule of its own.
        let all = list(all)?;
        let pairs = all
            .iter()
            .flat_map(|after| all.iter().filter(move |not| *not != after).map(move |not| (after, not)));
        pairs
            .map(|(after, not)| {
                let (after, not) = (member(after), member(not));
                format!(
                    "    group_by: source\n    pattern: {{ not: {not}, after: {after}, within: {within} }}\n"
                )
            })
            .collect()
    } else {
        vec![when(&text(condition)?)]
    };
    let throttle = &written["throttle"];
    for (key, pattern) in [("once_within", "once_within"), ("once_after", "once_after")] {
        let Some(span) = throttle[key].as_str() else { continue };
        let by: Vec<String> = throttle["group_by_attributes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|attribute| translate(attribute.as_str()?).ok())
            .map(|attribute| Value::from(attribute).to_string())
            .collect();
        for rule in &mut rules {
            rule.push_str(&format!(
                "    group_by: [{}]\n    pattern: {{ {pattern}: {span} }}\n",
                by.join(", ")
            ));
        }
    }
    Ok(rules)
}

/// The events in order: for which ruleset, with what, at which millisecond.
fn events(row: &Value) -> VecDeque<(usize, Value, i64)> {
    let timing: Value =
        row["timing"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let delay = timing["event_delay"].as_i64().map_or(10, |secs| secs * 1_000);
    let mut out: VecDeque<(usize, Value, i64)> = VecDeque::new();
    let mut at = 0;
    for event in row["events"].as_array().into_iter().flatten() {
        match event {
            // A list is what the n-th source gives to the n-th ruleset.
            Value::Array(list) => {
                let source = out.iter().map(|(source, ..)| source + 1).max().unwrap_or(0);
                out.extend(
                    list.iter()
                        .enumerate()
                        .map(|(i, event)| (source, event.clone(), i64::try_from(i).unwrap_or(0) * delay)),
                );
            }
            event => {
                out.push_back((0, event.clone(), at));
                at += delay;
            }
        }
    }
    out.make_contiguous().sort_by_key(|(.., at)| *at);
    out
}

fn actions(written: &Value) -> Vec<(String, Value)> {
    let one = |action: &Value| {
        action.as_object().and_then(|map| map.iter().next()).map(|(name, args)| (name.clone(), args.clone()))
    };
    match written {
        Value::Array(list) => list.iter().filter_map(one).collect(),
        action => one(action).into_iter().collect(),
    }
}

fn without(data: &Value, fact: &Value) -> Value {
    let fields = data.as_object().into_iter().flatten().filter(|(key, _)| fact.get(key.as_str()).is_none());
    fields.map(|(key, value)| (key.clone(), value.clone())).collect::<serde_json::Map<_, _>>().into()
}

/// `{{ event.name|regex_replace('a', 'b', count=1) }}` and plain values.
fn templated(value: &Value, data: &Value) -> Value {
    let Some(map) = value.as_object() else { return json!({}) };
    let fill = |text: &str| -> Option<String> {
        let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
        let (path, filter) = inner.split_once('|').unwrap_or((inner, ""));
        let pointer = path.trim().strip_prefix("event.")?.replace('.', "/");
        let found = data.pointer(&format!("/{pointer}"))?.as_str()?;
        let Some(args) = filter.trim().strip_prefix("regex_replace(") else { return Some(found.into()) };
        let quoted: Vec<&str> = args.split('\'').collect();
        let limit = args
            .split_once("count=")
            .and_then(|(_, n)| n.trim_end_matches(')').trim().parse().ok())
            .unwrap_or(0);
        Some(regex::Regex::new(quoted.get(1)?).ok()?.replacen(found, limit, *quoted.get(3)?).into_owned())
    };
    map.iter()
        .map(|(key, value)| {
            (key.clone(), value.as_str().and_then(fill).map_or_else(|| value.clone(), Value::from))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn judge(row: &Value, fired: &[(String, String, Value)]) -> Result<(), String> {
    let named = row["expected_fired"].as_array().or_else(|| row["engine_1.3.2_fired"].as_array());
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        let mut expected: Vec<String> = named
            .iter()
            .filter_map(|entry| entry.as_str()?.split_once("::").map(|(_, rest)| rest.to_owned()))
            .collect();
        let mut seen: Vec<String> =
            fired.iter().map(|(rule, action, _)| format!("{rule}::{action}")).collect();
        expected.sort();
        seen.sort();
        return if expected == seen { Ok(()) } else { Err(format!("it fired {seen:?}, there {expected:?}")) };
    }
    let sequence = row["expected_sequence"].as_array().ok_or("the row says nothing of what fired")?;
    let expected: Vec<&str> = sequence.iter().filter_map(|step| step["action"].as_str()).collect();
    let seen: Vec<&str> = fired.iter().map(|(_, action, _)| action.as_str()).collect();
    if expected != seen {
        return Err(format!("it did {seen:?}, there {expected:?}"));
    }
    for (step, (_, _, data)) in sequence.iter().zip(fired) {
        let events = step["matching_events"].as_object();
        if events.is_some_and(|events| !events.values().any(|event| event == data)) {
            return Err(format!("it fired for {data}, there for {}", step["matching_events"]));
        }
    }
    Ok(())
}
