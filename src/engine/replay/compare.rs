//! What changes from one set of rules to another: intents that appear, vanish or are otherwise.
//!
//! Two intents are the same one if rule and group are and there is a moment at which both are open. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::report::{Against, Change, Field, Foreseen, Kind, RuleChange, RuleSum, Side};
use crate::model::Time;

/// What `after` does otherwise than `before`.
pub(super) fn compare(before: &Side, after: Side) -> Against {
    let mut changes = Vec::new();
    // Where a list was cut short, what came later is missing from it and has not vanished.
    let cut = [before, &after].into_iter().filter(|side| side.omitted > 0).map(last).min();
    let (old, new) = (by_key(before, cut), by_key(&after, cut));
    let none = Vec::new();
    let mut keys: Vec<_> = old.keys().chain(new.keys()).copied().collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        pair(old.get(&key).unwrap_or(&none), new.get(&key).unwrap_or(&none), &mut changes);
    }
    changes.sort_by(|a, b| (a.at, &a.rule, &a.group, a.change).cmp(&(b.at, &b.rule, &b.group, b.change)));
    let by_rule = by_rule(before, &after, &changes);
    Against { changed: !by_rule.is_empty(), by_rule, changes, changes_omitted: 0, side: after }
}

type Key<'a> = (&'a str, &'a str);

/// When the last intent that is listed was made.
fn last(side: &Side) -> Time {
    side.intents.last().map_or(Time::MIN_UTC, |intent| intent.at)
}

/// The intents of each rule and group that were made before `cut`, in the order of their making.
fn by_key(side: &Side, cut: Option<Time>) -> BTreeMap<Key<'_>, Vec<&Foreseen>> {
    let mut all: BTreeMap<Key<'_>, Vec<&Foreseen>> = BTreeMap::new();
    for intent in side.intents.iter().filter(|intent| cut.is_none_or(|cut| intent.at < cut)) {
        all.entry((&intent.rule, &intent.group)).or_default().push(intent);
    }
    all
}

/// Goes through both in the order of time.
fn pair(old: &[&Foreseen], new: &[&Foreseen], changes: &mut Vec<Change>) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (Some(a), Some(b)) if a.at <= until(b) && b.at <= until(a) => {
                let fields = differences(a, b);
                if !fields.is_empty() {
                    changes.push(change(Kind::Changes, Some(a), Some(b), fields));
                }
                old.next();
                new.next();
            }
            (Some(a), Some(b)) if b.at < a.at => {
                changes.push(change(Kind::Appears, None, Some(b), vec![]));
                new.next();
            }
            (Some(a), _) => {
                changes.push(change(Kind::Vanishes, Some(a), None, vec![]));
                old.next();
            }
            (None, Some(b)) => {
                changes.push(change(Kind::Appears, None, Some(b), vec![]));
                new.next();
            }
            (None, None) => return,
        }
    }
}

/// Until when it was open.
fn until(intent: &Foreseen) -> Time {
    intent.ended_at.unwrap_or(Time::MAX_UTC)
}

fn change(kind: Kind, before: Option<&&Foreseen>, after: Option<&&Foreseen>, fields: Vec<Field>) -> Change {
    let (before, after) = (before.map(|it| (**it).clone()), after.map(|it| (**it).clone()));
    let both = [&before, &after];
    let first = both.into_iter().flatten().min_by_key(|it| it.at).expect("a change has a side");
    let (rule, group, at) = (first.rule.clone(), first.group.clone(), first.at);
    Change { change: kind, rule, group, at, fields, before, after }
}

/// The fields in which two intents differ that people care for. What follows from another field is not among them.
fn differences(a: &Foreseen, b: &Foreseen) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut compare = |field: &str, before: Value, after: Value| {
        if before != after {
            fields.push(Field { field: field.into(), before, after });
        }
    };
    compare("at", json!(a.at), json!(b.at));
    compare("target", json!(a.target), json!(b.target));
    compare("class", json!(a.class), json!(b.class));
    compare("goal", json!(a.goal), json!(b.goal));
    compare("priority", json!(a.priority), json!(b.priority));
    compare("count", json!(a.count), json!(b.count));
    compare("playbooks", json!(a.playbooks), json!(b.playbooks));
    compare("mode", json!(a.mode), json!(b.mode));
    compare("outcome", json!(a.outcome), json!(b.outcome));
    if a.at == b.at {
        compare("acts_at", json!(a.acts_at), json!(b.acts_at));
    }
    compare("end", json!(a.end), json!(b.end));
    if a.plan != b.plan {
        compare("params", json!(a.plan.params), json!(b.plan.params));
        compare("guard", json!(a.plan.guard), json!(b.plan.guard));
        compare("verify", json!(a.plan.verify), json!(b.plan.verify));
        compare("escalate", json!(a.plan.escalate), json!(b.plan.escalate));
    }
    fields
}

/// Sums of the rules that do otherwise, in the order of the new ones, then those that are gone.
fn by_rule(before: &Side, after: &Side, changes: &[Change]) -> Vec<RuleChange> {
    let mut counted: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for change in changes {
        counted.entry(&change.rule).or_default()[change.change as usize] += 1;
    }
    let old: BTreeMap<&str, &RuleSum> = before.rules.iter().map(|sum| (sum.rule.as_str(), sum)).collect();
    let new: BTreeMap<&str, &RuleSum> = after.rules.iter().map(|sum| (sum.rule.as_str(), sum)).collect();
    let gone = before.rules.iter().filter(|sum| !new.contains_key(sum.rule.as_str()));
    let all = after.rules.iter().chain(gone).map(|sum| {
        let name = sum.rule.as_str();
        let sums = [old.get(name), new.get(name)];
        let [appear, vanish, change] = counted.get(name).copied().unwrap_or_default();
        RuleChange {
            rule: name.into(),
            fired: sums.map(|sum| sum.map_or(0, |sum| sum.fired)),
            intents: sums.map(|sum| sum.map_or(0, |sum| sum.intents)),
            appear,
            vanish,
            change,
        }
    });
    let differs = |it: &RuleChange| {
        it.fired[0] != it.fired[1] || it.intents[0] != it.intents[1] || it.appear + it.vanish + it.change > 0
    };
    all.filter(differs).collect()
}
