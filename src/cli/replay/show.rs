//! A replay as people read it: sums by rule, then the intents, or what changes.

use crate::cli::output;
use crate::engine::replay::report::{Field, RuleSum};
use crate::engine::replay::{Against, Change, Foreseen, Kind, Outcome, Report, Side};
use crate::model::{Mode, Time};

/// Intents or changes that are shown; `--json` has all.
const SHOWN: usize = 50;

/// Prints it.
pub fn print(report: &Report) {
    let events = &report.events;
    let span = match (events.first, events.last) {
        (Some(first), Some(last)) => format!(" from {} to {}", moment(first), moment(last)),
        _ => String::new(),
    };
    let mut also = String::new();
    if events.before > 0 {
        also.push_str(&format!(", {} before them", grouped(events.before)));
    }
    if events.duplicates > 0 {
        also.push_str(&format!(", {} more were there already", grouped(events.duplicates)));
    }
    output::line(format!("{} event{}{span}{}", grouped(events.count), s(events.count), output::dim(also)));
    match &report.against {
        Some(against) => changes(&report.side, against),
        None => intents(&report.side),
    }
}

fn intents(side: &Side) {
    let fired: Vec<&RuleSum> = side.rules.iter().filter(|sum| sum.fired > 0).collect();
    output::line("");
    if side.rules.is_empty() {
        output::line(output::warn("there is no rule, so nothing would be repaired"));
    } else if fired.is_empty() {
        output::line(output::warn("no rule would have fired"));
    } else {
        let mut table = output::table(&["rule", "fired", "intents", "of them", "first", "last"]);
        for sum in &fired {
            let outcomes: Vec<String> = sum
                .outcomes
                .iter()
                .map(|(outcome, n)| format!("{} {}", grouped(*n), outcome.as_str()))
                .collect();
            let times = [sum.first, sum.last].map(|time| time.map(moment).unwrap_or_default());
            let [first, last] = times;
            let row = [
                sum.rule.clone(),
                grouped(sum.fired),
                grouped(sum.intents),
                outcomes.join(", "),
                first,
                last,
            ];
            table.add_row(row);
        }
        output::line(table);
    }
    let silent = side.rules.len() - fired.len();
    if silent > 0 && !fired.is_empty() {
        output::line(output::dim(format!("{silent} other rule{} would not have fired", s(silent as u64))));
    }
    if !side.intents.is_empty() {
        output::line("");
        let mut table = output::table(&[
            "time",
            "rule",
            "group",
            "target",
            "count",
            "playbooks",
            "mode",
            "would have",
            "because",
        ]);
        for intent in side.intents.iter().take(SHOWN) {
            table.add_row([
                moment(intent.at),
                intent.rule.to_string(),
                intent.group.clone(),
                intent.target.clone(),
                intent.count.to_string(),
                intent.playbooks.join(", "),
                mode(intent.mode).into(),
                intent.outcome.as_str().into(),
                because(intent),
            ]);
        }
        output::line(table);
        more(side.intents.len(), side.omitted, "intent");
    }
    failed(side);
}

fn changes(before: &Side, against: &Against) {
    output::line("");
    if against.changed {
        let mut table = output::table(&["rule", "fired", "intents", "appear", "vanish", "change"]);
        for rule in &against.by_rule {
            let pair = |[before, after]: [u64; 2]| match before == after {
                true => grouped(before),
                false => format!("{} -> {}", grouped(before), grouped(after)),
            };
            let counts =
                [rule.appear, rule.vanish, rule.change].map(|n| if n > 0 { grouped(n) } else { "-".into() });
            let [appear, vanish, change] = counts;
            table.add_row([rule.rule.clone(), pair(rule.fired), pair(rule.intents), appear, vanish, change]);
        }
        output::line(table);
        if !against.changes.is_empty() {
            output::line("");
        }
        against.changes.iter().take(SHOWN).for_each(|it| output::line(change(it)));
        more(against.changes.len(), against.changes_omitted, "change");
    } else {
        let n = before.rules.iter().map(|sum| sum.intents).sum::<u64>();
        output::line(output::good(format!(
            "nothing changes: {} intent{}, the same with both",
            grouped(n),
            s(n)
        )));
    }
    failed(&against.side);
}

fn change(change: &Change) -> String {
    let head = format!("{} {} {}", moment(change.at), change.rule, change.group);
    match (change.change, &change.before, &change.after) {
        (Kind::Appears, _, Some(after)) => output::good(format!("+ {head}: {}", told(after))),
        (Kind::Vanishes, Some(before), _) => output::bad(format!("- {head}: {}", told(before))),
        _ => {
            let fields: Vec<String> = change.fields.iter().map(field).collect();
            output::warn(format!("~ {head}: {}", fields.join("; ")))
        }
    }
}

fn told(intent: &Foreseen) -> String {
    let class = if intent.class.is_empty() { String::new() } else { format!(", class {}", intent.class) };
    let because = because(intent);
    let because = if because.is_empty() { because } else { format!(" ({because})") };
    format!(
        "{} on {}{class}, {} match{}: {}{because}",
        intent.playbooks.join(", "),
        if intent.target.is_empty() { "nothing" } else { &intent.target },
        grouped(intent.count),
        if intent.count == 1 { "" } else { "es" },
        intent.outcome.as_str()
    )
}

fn field(field: &Field) -> String {
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), Into::into))
            .collect::<Vec<_>>()
            .join(", "),
        serde_json::Value::Null => "none".into(),
        other => other.to_string(),
    };
    format!("{} {} -> {}", field.field, value(&field.before), value(&field.after))
}

/// Why it came to that, in a few words.
fn because(intent: &Foreseen) -> String {
    match (&intent.held_back, intent.outcome) {
        (Some(held), Outcome::Acted | Outcome::Asked) => {
            let (guard, _) = held.split_once(':').unwrap_or((held, ""));
            let at = intent.acts_at.map(moment).unwrap_or_default();
            format!("not before {at}, by {guard}")
        }
        (Some(held), Outcome::Waiting) => format!("held back by {held}"),
        _ => intent.why.clone(),
    }
}

fn failed(side: &Side) {
    for sum in &side.rules {
        if let Some(failed) = &sum.failed {
            output::line(output::warn(format!(
                "the condition of {} failed for {} event{}, first for {}: {}",
                sum.rule,
                grouped(failed.count),
                s(failed.count),
                failed.event,
                failed.why
            )));
        }
    }
}

fn more(listed: usize, omitted: u64, what: &str) {
    let rest = listed.saturating_sub(SHOWN) as u64 + omitted;
    if rest > 0 {
        let all = if omitted > 0 { "more than are listed; narrow it with --rule" } else { "--json has all" };
        output::line(output::dim(format!("and {} more {what}{}: {all}", grouped(rest), s(rest))));
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto",
        Mode::Ask => "ask",
        Mode::Shadow => "shadow",
    }
}

fn moment(time: Time) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

fn s(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// `1234567` as `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
