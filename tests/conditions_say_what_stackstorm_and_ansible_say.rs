//! What people ask in StackStorm's criteria and ansible-rulebook's conditions, Paramedic's language answers the same.
//!
//! Rows of their own tests are translated by a translator that knows nothing of the rows, and run. Each must agree, or
//! be listed below with the reason why the language differs on purpose. The rows lie beside the checkout, or where
//! `PARAMEDIC_CASES` says; without them the tests say so and pass.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

#[path = "translation/ansible.rs"]
mod ansible;
#[path = "translation/rulebook.rs"]
mod rulebook;
#[path = "translation/stackstorm.rs"]
mod stackstorm;

use std::path::PathBuf;

use paramedic::condition;
use paramedic::model::{Event, Topic, clock};
use serde_json::{Value, json};

/// Rows that differ, each with the reason.
const DIFFERS: &[(&str, &str)] = &[
    (
        "test_28_right_side_condition_template",
        "the row leaves out the variables that its condition reads; ansible-rulebook does not reproduce it either",
    ),
    (
        "test_67_shutdown_now",
        "a shutdown cuts off a playbook that is under way, so its rule is not reported; in Paramedic a rule that fired has fired",
    ),
    (
        "test_72_set_fact_with_type",
        "the row leaves out the variables that make up the fact; ansible-rulebook does not reproduce it either",
    ),
    (
        "test_76_all_conditions",
        "a condition of one event reads another event of the same match; Paramedic joins events by group_by",
    ),
    (
        "test_93_event_splitter",
        "the row leaves out the filter that splits the event, and what it adds; ansible-rulebook does not reproduce it either",
    ),
];

#[test]
fn each_operator_of_stackstorm_has_its_counterpart() {
    let (mut agreed, mut differ, mut all) = (0, Vec::new(), 0);
    for row in rows("st2_operators.json").iter().chain(&rows("st2_search_operator.json")) {
        let (operator, value, pattern) = (row["operator"].as_str().unwrap(), &row["value"], &row["pattern"]);
        let event = event(json!({ "value": value, "pattern": pattern }));
        let expressions = match row["condition"].as_str() {
            Some(kind) => vec![stackstorm::search("data.value", value, pattern, kind)],
            // The pattern is once written out, and once comes with the event.
            None => [stackstorm::literal(pattern), "data.pattern".into()]
                .map(|pattern| stackstorm::criterion(operator, "data.value", &pattern))
                .to_vec(),
        };
        let expected = row["expected"].as_bool().unwrap();
        all += 1;
        let wrong = expressions.into_iter().find_map(|expression| {
            let Some(text) = expression else { return Some("no counterpart".to_owned()) };
            match condition::compile(&text, &[]).map(|condition| condition.test(&event, &[])) {
                Ok(Ok(answer)) if answer == expected => None,
                answer => Some(format!("{text}: {answer:?}")),
            }
        });
        match wrong {
            None => agreed += 1,
            Some(why) => differ.push(format!("{operator} of {value} and {pattern} is {expected}, but {why}")),
        }
    }
    println!("StackStorm: {agreed} of {all} agree");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn each_rulebook_of_ansible_fires_what_it_fired_there() {
    let (mut agreed, mut judged, mut unlisted) = (0, 0, Vec::new());
    for row in rows("ansible_rulebook.json") {
        let case = row["case"].as_str().unwrap();
        if row["usable"] != true {
            println!("  {case}: no usable row");
            continue;
        }
        judged += 1;
        let why = match rulebook::run(&row) {
            Ok(()) => {
                agreed += 1;
                assert!(
                    DIFFERS.iter().all(|(known, _)| *known != case),
                    "{case} agrees: take it off the list"
                );
                continue;
            }
            Err(why) => why,
        };
        match DIFFERS.iter().find(|(known, _)| *known == case) {
            Some((_, reason)) => println!("  {case}: {why}\n    on purpose: {reason}"),
            None => unlisted.push(format!("{case}: {why}")),
        }
    }
    println!("ansible-rulebook: {agreed} of {judged} agree");
    assert!(unlisted.is_empty(), "{}", unlisted.join("\n"));
    let others = rows("st2_operators.json").len() + rows("st2_search_operator.json").len();
    let share = f64::from(agreed + u32::try_from(others).unwrap())
        / f64::from(judged + u32::try_from(others).unwrap()).max(1.0);
    assert!(judged == 0 || share >= 0.95, "only {share:.3} of all rows agree");
}

fn event(data: Value) -> Event {
    Event::new("1", Topic::try_new("case.row").unwrap(), "cases", clock::micros(1_790_000_000_000_000), data)
}

/// The rows of a file; none if it is not there.
fn rows(file: &str) -> Vec<Value> {
    let cases = std::env::var_os("PARAMEDIC_CASES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/cases"), PathBuf::from);
    let path = cases.join("rules").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", path.display());
        eprintln!("skipped: {} is not there", path.display());
        return Vec::new();
    };
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(!rows.is_empty(), "{} has no rows", path.display());
    rows
}
