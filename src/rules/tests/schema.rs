//! The schema that editors use says what the reader reads: the same keys in each place, good files good, wrong ones
//! wrong. What only the reader can know (expressions, names of playbooks, days that never come) is not asked of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::rules::{SCHEMA, yaml};

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is one of the 2020-12 draft");
    jsonschema::validator_for(&schema).unwrap()
}

fn json(yaml: &str) -> Value {
    let node = yaml::read(yaml).unwrap_or_else(|e| panic!("{e:?}\n{yaml}"));
    node.to_json()
}

/// The keys that the reader knows in the place where `zzqq` stands in `text`, as it tells them itself.
fn known(text: &str) -> BTreeSet<String> {
    let compiled = built(&[("r.yaml", text)]);
    let told = compiled.diagnostics.iter().find(|d| d.message == "unknown key `zzqq`");
    let help = told.unwrap_or_else(|| panic!("{text}\n{:#?}", compiled.diagnostics)).help.clone().unwrap();
    help.split_once(" knows ").unwrap().1.split(", ").map(String::from).collect()
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys_in_each_place() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (place, text) in [
        ("/properties", "rules: []\nzzqq: 1".to_owned()),
        ("/$defs/rule/properties", one("zzqq: 1")),
        ("/$defs/pattern/properties", one("pattern: { zzqq: 1 }")),
        ("/$defs/member/anyOf/1/properties", one("pattern: { any: [{ zzqq: 1 }] }")),
        ("/$defs/schedule/anyOf/1/properties", one("schedule: { zzqq: 1 }")),
        ("/$defs/resolved/properties", one("resolved: { zzqq: 1 }")),
        ("/$defs/intent/properties", one("intent: { zzqq: 1 }")),
        ("/$defs/guard/properties", one("guard: { zzqq: 1 }")),
        ("/$defs/verify/properties", one("verify: { zzqq: 1 }")),
        ("/$defs/escalation/properties", one("escalate: [{ zzqq: 1 }]")),
    ] {
        let properties = schema.pointer(place).and_then(Value::as_object).expect(place);
        let described: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(described, known(&text), "{place}");
    }
}

#[test]
fn every_rule_file_that_is_shipped_is_good_by_the_schema() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (validator, mut seen) = (validator(), 0);
    let mut open = vec![root.join("rules"), root.join("examples")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "yaml") && !path.ends_with("paramedic.yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                if !text.contains("rules:\n") {
                    continue;
                }
                let error =
                    validator.iter_errors(&json(&text)).next().map(|e| format!("{}: {e}", e.instance_path()));
                assert_eq!(error, None, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "only {seen} rule files are shipped");
}

#[test]
fn what_the_reader_takes_the_schema_takes_too() {
    let validator = validator();
    for text in [
        one(""),
        "rules:\n".into(),
        "rules: []\n".into(),
        one("when: true\ngroup_by: [data.a, 5]\nclass: data.b\nexpire: 90\nmode: ask\npriority: -5"),
        one("pattern: { count: 3, within: 1h 30m, lateness: 0s }"),
        one("pattern: { all: [a.b, { on: [c, d.>] }, { when: data.x > 1 }], within: 5m }"),
        one("pattern: { any: [{ when: data.x > 1 }] }"),
        "rules:\n  - name: one\n    playbooks: [restart_kernel]\n    pattern: { absent: a.*, for: 30, expect: [k1, 2] }\n".into(),
        "rules:\n  - name: one\n    playbooks: [restart_kernel]\n    pattern: { not: a.b, after: { on: c }, within: 1.5s }\n".into(),
        one("pattern: { change: data.x, above: 2, below: 0.5, baseline: 500 }"),
        one("pattern: { once_within: 1h }"),
        one("pattern: { once_after: 250ms }"),
        "rules:\n  - name: one\n    playbooks: restart_kernel\n    intent: { target: k1 }\n    schedule: \" */5 * * * * \"\n".into(),
        "rules:\n  - name: one\n    playbooks: restart_kernel\n    intent: { target: k1 }\n    schedule: { cron: \"@daily\", timezone: Europe/Berlin }\n".into(),
        one("intent: { goal: 5, domain: x, priority: critical, target: \"${data.x}\", fleet: f }"),
        one("guard: { hold_down: 0s, cooldown: 2 d, rate: 10/h, max_attempts: 1, ask_below: 0.5, blast_radius: 20 % }"),
        one("verify: { expect: a.>, when: subject == target, within: 1m, hold: 0s }\nresolved: { on: [a, b], when: data.ok }"),
        one("escalate: { to: alert_operator, after: 15m, params: { x: [1] } }\nparams: { a: { b: c } }"),
        one("tests: [{ name: x, events: [{ topic: a }], expect: { intents: [] } }]"),
    ] {
        let compiled = built(&[("r.yaml", &text)]);
        assert!(compiled.set.is_some(), "{text}\n{:#?}", compiled.diagnostics);
        let error = validator.iter_errors(&json(&text)).next().map(|e| format!("{}: {e}", e.instance_path()));
        assert_eq!(error, None, "{text}");
    }
}

#[test]
fn mistakes_of_keys_kinds_and_ranges_are_seen_while_one_types() {
    let validator = validator();
    for text in [
        "rules: {}".to_owned(),
        "rule: []".into(),
        "rules: [one]".into(),
        "rules: [{ on: a, playbooks: b }]".into(),
        "rules: [{ name: one, on: a }]".into(),
        "rules: [{ name: one, playbooks: b }]".into(),
        "rules: [{ name: One, on: a, playbooks: b }]".into(),
        one("wehn: data.x > 1"),
        one("when: [a]"),
        one("when: \"\""),
        one("enabled: \"yes\""),
        one("mode: automatic"),
        one("priority: high"),
        one("description: 5"),
        "rules: [{ name: one, on: a..b, playbooks: b }]".into(),
        "rules: [{ name: one, on: \"a.>.b\", playbooks: b }]".into(),
        "rules: [{ name: one, on: [], playbooks: b }]".into(),
        "rules: [{ name: one, on: a b, playbooks: b }]".into(),
        "rules: [{ name: one, on: a, playbooks: [] }]".into(),
        "rules: [{ name: one, on: a, playbooks: b.rhai }]".into(),
        one("pattern: { count: 0, within: 5m }"),
        one("pattern: { count: 3 }"),
        one("pattern: { count: 3, within: 5 parsecs }"),
        one("pattern: { count: 3, within: -5 }"),
        one("pattern: { all: [a], within: 5m }"),
        one("pattern: { count: 3, within: 5m, once_within: 1h }"),
        one("pattern: { change: data.x }"),
        one("pattern: {}"),
        one("schedule: \"* * *\""),
        one("schedule: { timezone: UTC }"),
        one("intent: { priority: urgent }"),
        one("guard: { ask_below: 60 }"),
        one("guard: { max_attempts: 0 }"),
        one("guard: { rate: 10 }"),
        one("verify: { within: 30s }"),
        one("resolved: { when: data.ok }"),
        one("escalate: [{ after: 5m }]"),
        one("params: [a]"),
        one("tests: { name: x }"),
    ] {
        assert!(!validator.is_valid(&json(&text)), "{text}");
        assert!(built(&[("r.yaml", &text)]).set.is_none(), "the schema is stricter than the reader: {text}");
    }
}
