//! The lowered form of a condition and Rhai's own answer are the same, on random conditions and events.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::event;
use crate::condition::{Condition, Fields, View, compile};

/// Lowered answers seen, of how many: the property below must not hold for want of cases.
static ANSWERED: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn agree(text: &str, data: Value) -> Result<(), TestCaseError> {
    let mut event = event(data);
    if text.len().is_multiple_of(3) {
        event.subject = None;
    }
    let condition: Condition = compile(text, &[]).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
    let view = View::new(&event, &[]);
    let by_script = condition.test_by_script(&view);
    ASKED.fetch_add(usize::from(by_script.is_ok()), Ordering::Relaxed);
    if let Some(term) = condition.term() {
        let fields = Fields::new(condition.paths().iter().cloned());
        let mut slots = Vec::new();
        fields.read_event(&event, &mut slots);
        let order: Vec<u32> = condition.paths().iter().map(|p| fields.slot(p).unwrap()).collect();
        let from_text = term.renumbered(&order).test(&slots);
        let from_value = term.test(&view.slots(condition.paths(), &[]));
        prop_assert_eq!(from_text, from_value, "{} over {}", text, event.data.text());
        let line = format!(
            r#"{{"topic":{:?},"source":{:?},"subject":{},"id":{:?},"time":"2023-11-15T00:13:20.000+02:00","data":{}}}"#,
            event.topic.as_str(),
            event.source,
            Value::from(event.subject.clone()),
            event.id,
            event.data.text(),
        );
        let mut slots = Vec::new();
        fields.read_json(&line, &mut slots).unwrap();
        prop_assert_eq!(term.renumbered(&order).test(&slots), from_value, "{} in {}", text, line);
        if let Some(answer) = from_value {
            ANSWERED.fetch_add(1, Ordering::Relaxed);
            prop_assert_eq!(Ok(answer), by_script.clone(), "{} over {}", text, event.data.text());
        }
    }
    let explained = condition.explain(&event, &[]);
    prop_assert_eq!(
        explained.holds,
        by_script.clone().unwrap_or(false),
        "{} over {}",
        text,
        event.data.text()
    );
    prop_assert!(explained.to_string().len() < 20_000);
    prop_assert_eq!(condition.test(&event, &[]).ok(), by_script.ok(), "{} over {}", text, event.data.text());
    Ok(())
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["data.a", "data.b", "data.c", "data.a.b", "data.a.b.c", "data[\"x y\"]", "data.zz", "data.zz.y", "data.len", "data.list"]),
        1 => prop::sample::select(vec!["subject", "source", "event.data.a", "event.subject", "data.a[\"b\"]", "data.a?.b", "priority"]),
        2 => prop::sample::select(vec!["data.t", "data.list[0]", "data.list[1]", "data.list[3].b", "data.list[4][1]", "data.list[9]", "data.a[0]", "data.b[1].c", "data.list[-1]"]),
        1 => prop::sample::select(vec!["time", "event.time", "data.a?.b?.c", "data.zz?[0]?.x", "data.list?[0]", "data?.b", "data.t[0]", "data[0]"]),
    ]
    .prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "0",
            "1",
            "-1",
            "2",
            "3",
            "9223372036854775807",
            "0.5",
            "1.0",
            "0.3",
            "1e-17",
            "-0.5",
            "5m",
            "500ms",
            "1h30m"
        ]),
        prop::sample::select(vec![
            "\"\"",
            "\"a\"",
            "\"b\"",
            "\"abc\"",
            "\"kernel-17\"",
            "true",
            "false",
            "()",
            "\"a\"",
            "\"b\"",
            "'a'"
        ]),
    ]
    .prop_map(str::to_owned)
}

/// Functions of one value.
const CALLED: &[&str] = &[
    "trim",
    "time",
    "age",
    "duration",
    "hour",
    "weekday",
    "to_int",
    "to_float",
    "parse_int",
    "parse_float",
    "abs",
    "floor",
    "ceiling",
    "round",
    "to_lower",
    "minute",
    "day",
];

/// Questions about two texts.
const QUESTIONS: &[&str] =
    &["matches", "imatches", "like", "ilike", "iequals", "icontains", "istarts_with", "iends_with"];

/// What they are asked, all of it a pattern of each kind.
const PATTERNS: &[&str] =
    &["\"a\"", "\"^A.*\"", "\"(?i)B$\"", "`[a-z]+`", "\".*b.*\"", "\"a?\"", "\"\"", "\"ä\"", "\"^äBç\""];

fn operand() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![3 => path(), 2 => literal()];
    let sums = leaf.clone().prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            4 => (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("(- {a})")),
            1 => path().prop_map(|a| format!("{a}.len()")),
            1 => inner.clone().prop_map(|a| format!("len({a})")),
            1 => path().prop_map(|a| format!("{a}.to_upper()")),
            2 => (prop::sample::select(CALLED.to_vec()), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (path(), prop::sample::select(CALLED.to_vec())).prop_map(|(a, f)| format!("{a}.{f}()")),
            1 => (prop::sample::select(vec!["hour", "weekday", "year"]), inner.clone(), prop::sample::select(vec!["\"Europe/Berlin\"", "\"America/New_York\"", "data.a"]))
                .prop_map(|(f, a, zone)| format!("{f}({a}, {zone})")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a} ?? {b})")),
        ]
    });
    prop_oneof![4 => leaf, 1 => sums]
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => (operand(), prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]), operand())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        2 => (operand(), prop::collection::vec(literal(), 0..4)).prop_map(|(a, l)| format!("{a} in [{}]", l.join(", "))),
        1 => (operand(), prop::collection::vec(literal(), 0..4)).prop_map(|(a, l)| format!("{a} !in [{}]", l.join(", "))),
        1 => (path(), prop::sample::select(vec!["contains", "starts_with", "ends_with"]), operand())
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        1 => (literal(), path()).prop_map(|(a, b)| format!("{a} in {b}")),
        2 => (path(), prop::sample::select(QUESTIONS.to_vec()), prop::sample::select(PATTERNS.to_vec()))
            .prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        1 => (prop::sample::select(QUESTIONS.to_vec()), operand(), path()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
        1 => (path(), prop::sample::select(vec![">", "<", "=="]), prop::sample::select(vec!["5m", "1h", "90s", "0"]))
            .prop_map(|(a, op, b)| format!("age({a}) {op} {b}")),
        1 => (path(), prop::sample::select(vec!["any", "all", "none"]), literal())
            .prop_map(|(a, f, b)| format!("{a}.{f}(|x| x == {b} || x.len() == data.b)")),
        1 => operand().prop_map(|a| format!("is_empty({a})")),
        1 => (operand(), prop::sample::select(vec!["0..3", "-1..=1", "1..1"])).prop_map(|(a, b)| format!("{a} in {b}")),
        1 => path(),
        1 => operand().prop_map(|a| format!("is_missing({a})")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) || ({b}) || ({c})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (path(), path(), inner.clone()).prop_map(|(a, b, c)| format!("{a} && !{b} || {c}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) == ({b})")),
        ]
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            json!(0),
            json!(1),
            json!(-1),
            json!(3),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(u64::MAX)
        ]),
        prop::sample::select(vec![
            json!(0.5),
            json!(1.0),
            json!(0.1 + 0.2),
            json!(1e-17),
            json!(-0.0),
            json!(1e300)
        ]),
        prop::sample::select(vec![
            json!(""),
            json!("a"),
            json!("b"),
            json!("abc"),
            json!("ÄbÇ"),
            json!("q\"\n"),
            json!(" 12 "),
            json!("1.5")
        ]),
        prop::sample::select(vec![
            json!("2023-11-14T22:10:00Z"),
            json!("2023-11-14 22:13:20.5"),
            json!(1_700_000_000),
            json!(1_699_999_000_000_i64),
            json!("5m")
        ]),
        prop::sample::select(vec![
            json!(true),
            json!(false),
            json!(null),
            json!([]),
            json!([1, "a"]),
            json!({}),
            json!({"len": 2})
        ]),
    ]
}

fn payload() -> impl Strategy<Value = Value> {
    let b = prop_oneof![scalar(), scalar().prop_map(|c| json!({"c": c}))];
    let a = prop_oneof![scalar(), b.prop_map(|b| json!({"b": b}))];
    let map =
        (a, scalar(), prop::option::of(scalar()), prop::option::of(scalar()), prop::option::of(scalar()))
            .prop_map(|(a, b, c, x, len)| {
                let mut map = json!({"a": a, "b": b, "list": [1, "a", null, {"b": 2}, [1, "x"]], "t": "2023-11-14T22:00:00.25+01:00"});
                for (key, value) in [("c", c), ("x y", x), ("len", len)] {
                    if let Some(value) = value {
                        map[key] = value;
                    }
                }
                map
            });
    prop_oneof![12 => map, 1 => scalar()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_quick_form_answers_exactly_as_rhai_does(text in expression(), data in payload()) {
        agree(&text, data)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_quick_form_has_exactly_the_value_that_rhai_has(text in operand(), data in payload()) {
        let event = event(data);
        let condition = compile(&text, &[]).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        let view = View::new(&event, &[]);
        if let Some(term) = condition.term() {
            let slots = view.slots(condition.paths(), &[]);
            if let Some(value) = term.value(&slots).and_then(|value| value.to_value()) {
                prop_assert_eq!(Ok(value), condition.value_by_script(&view), "{} over {}", text, event.data.text());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_an_expression_or_a_mistake_with_a_place(
        text in r#"([a-z(){}\[\]|&!?.,;:'"`#/*$\\= \n05Äm-]|data\.|any\(|\|x\||5m|&& |matches\(){0,24}"#,
    ) {
        match compile(&text, &[]) {
            Ok(condition) => {
                let explained = condition.explain(&event(json!({"a": 1})), &[]);
                prop_assert!(explained.to_string().len() < 20_000);
            }
            Err(error) => prop_assert!(text.get(error.at.clone()).is_some(), "{:?} in {:?}", error, text),
        }
    }
}

#[test]
fn the_quick_form_answers_most_conditions() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner.run(&(expression(), payload()), |(text, data)| agree(&text, data)).unwrap();
    let (answered, asked) = (ANSWERED.load(Ordering::Relaxed), ASKED.load(Ordering::Relaxed));
    assert!(answered * 2 > asked, "only {answered} of {asked} were answered without Rhai");
}

#[test]
fn what_once_was_answered_otherwise_is_answered_alike() {
    for (text, data) in [
        ("matches(data.a, data.a.b)", json!({"a": 0})),
        ("matches(data.a.b, data.a)", json!({"a": 0})),
        ("imatches(data.zz, data.a.b)", json!({"a": "x"})),
        ("like(data.a, data.a[0])", json!({"a": [1]})),
        ("icontains(data.zz.y, data.a.b)", json!({"a": true})),
    ] {
        agree(text, data).unwrap();
    }
}
