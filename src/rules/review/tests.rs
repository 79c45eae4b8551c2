//! What is suspicious is said, and nothing that is not.

use super::*;
use crate::rules::{Known, compile};

/// The warnings about rules, each as code, line and message.
fn found(rules: &str) -> Vec<(String, u32, String)> {
    let file = SourceFile { path: "r.yaml".into(), text: format!("rules:\n{rules}") };
    let playbooks = ["fix".to_owned(), "other".to_owned()];
    let compiled = compile(std::slice::from_ref(&file), &Known { playbooks: &playbooks });
    let set = compiled.set.unwrap_or_else(|| panic!("{rules}\n{:#?}", compiled.diagnostics));
    let found = review(&set, std::slice::from_ref(&file));
    found
        .into_iter()
        .map(|d| (d.code, d.line, format!("{}: {}", d.message, d.help.unwrap_or_default())))
        .collect()
}

fn when(when: &str) -> Vec<(String, u32, String)> {
    found(&format!("  - name: one\n    on: [a.b, c.>]\n    when: {when}\n    playbooks: fix\n"))
}

#[test]
fn a_condition_that_nothing_can_fulfil_is_told_with_the_reason() {
    for (text, why) in [
        ("false", "its condition is `false`"),
        ("1 > 2", "false whatever the event says"),
        ("data.x == 1 && data.x == 2", "no value fits `data.x == 1` and `data.x == 2`"),
        ("data.y > 0 && data.x > 5 && data.x < 3", "no value fits `data.x > 5` and `data.x < 3`"),
        ("data.x >= 5 && data.x < 5.0", "no value fits"),
        ("data.x > 5 && data.x < \"a\"", "no value fits"),
        ("data.x > \"b\" && data.x < \"a\"", "no value fits"),
        ("data.x == \"a\" && data.x != \"a\"", "no value fits"),
        ("data.x in [1, 2] && data.x > 2", "no value fits `data.x in [1, 2]` and `data.x > 2`"),
        ("data.x in 1..=5 && data.x > 5", "no value fits `data.x in 1..=5` and `data.x > 5`"),
        ("data.x in []", "nothing is in an empty list"),
        ("data.x == 1 && (data.z || data.x in [])", ""),
        ("data.x == () && data.x > 1", "no value fits"),
        ("is_missing(data.x) && data.x == 1", "no value fits `is_missing(data.x)` and `data.x == 1`"),
        ("data.ok && !data.ok", "no value fits `data.ok` and `!(data.ok)`"),
        ("data.x > ()", "`data.x > ()` never holds"),
        ("(data.x == 1 && data.x == 2) || false", "no value fits"),
        ("1 < data.x < 5", "a comparison of a comparison"),
        ("topic == \"a.c\"", "its topic would have to be \"a.c\", but it is about `a.b`, `c.>`"),
        ("topic in [\"x\", \"y\"] && data.z == 1", "would have to be \"x\" or \"y\""),
        ("age(data.t) > \"5m\"", "`age` is a number of seconds: write `5m`, not \"5m\""),
        ("data.x == 1 && \"1h\" <= duration(data.d)", "`duration` is a number"),
        ("hour(time) == \"08\"", "a part of a time is a number: it is never the text \"08\""),
        ("weekday(time) == \"Monday\"", "1 on Mondays"),
        ("len(data.x) > \"3\"", "`len` is a number"),
        ("priority == \"urgent\"", "low, normal, high or critical, never \"urgent\""),
        ("event.priority in [\"urgent\", \"High\"] && data.x", "never \"urgent\" or \"High\""),
    ] {
        let found = when(text);
        if why.is_empty() {
            assert_eq!(found, [], "{text}");
            continue;
        }
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!((found[0].0.as_str(), found[0].1), (code::NEVER, 4), "{text}");
        assert!(found[0].2.contains(why), "{text}: {}", found[0].2);
    }
}

#[test]
fn a_condition_that_something_can_fulfil_is_not_suspected() {
    for text in [
        "true",
        "data.x == 1 && data.y == 2",
        "data.x > 5 && data.x < 6",
        "data.x > 0.1 && data.x < 0.2",
        "data.x >= 5 && data.x <= 5",
        "data.x != 1 && data.x != 2 && data.x != 3",
        "data.x != 1 && data.x > 0",
        "data.x > \"a\" && data.x < \"b\"",
        "data.x in [1, 2] && data.x != 1",
        "data.x in 1..=5 && data.x > 4",
        "data.ok && !data.broken",
        "data.x == 1 || data.x == 2",
        "data.x == 1 && (data.y == 2 || data.y == 3)",
        "'!(data.x > 5) && !(data.x < 3)'",
        "data.x > 5 && !is_missing(data.x)",
        "data.x != () && data.x != \"\"",
        "data.x == ()",
        "data.n > -10 && data.n < 0",
        "topic == \"a.b\"",
        "topic in [\"x\", \"c.d.e\"]",
        "topic != \"x\" && data.x == 1",
        "age(data.t) != \"5m\" && age(data.t) > 5m",
        "age(data.t) > data.limit && data.limit == \"5m\"",
        "hour(time) == 8 && to_int(data.x) > 3",
        "priority in [\"urgent\", \"high\"]",
        "priority != \"urgent\" && data.priority == \"urgent\"",
        "data.x.starts_with(\"a\") && data.x.ends_with(\"b\")",
    ] {
        assert_eq!(when(text), [], "{text}");
    }
}

#[test]
fn what_a_pattern_waits_for_in_vain_is_told() {
    for (pattern, never) in [
        ("{ all: [{ on: a, when: false }, { on: b }], within: 5m }", true),
        ("{ any: [{ on: a, when: false }, { on: b }] }", false),
        ("{ any: [{ on: a, when: false }, { on: b, when: \"1 > 2\" }] }", true),
        ("{ not: { on: a }, after: { on: b, when: \"topic == \\\"a\\\"\" }, within: 5m }", true),
        ("{ not: { on: a, when: false }, after: { on: b }, within: 5m }", false),
    ] {
        let found = found(&format!("  - name: one\n    pattern: {pattern}\n    playbooks: fix\n"));
        let told = found.iter().any(|(code, line, _)| code == code::NEVER && *line == 3);
        assert_eq!((told, found.len()), (never, usize::from(never)), "{pattern}: {found:?}");
    }
    let found = found(
        "  - name: one\n    on: a\n    resolved: { on: b, when: data.x == 1 && data.x == 2 }\n    playbooks: fix\n",
    );
    assert_eq!((found[0].0.as_str(), found[0].1), (code::NEVER, 4), "{found:?}");
    assert!(found[0].2.contains("`resolved` of rule `one` can never hold"), "{found:?}");
}

#[test]
fn what_never_fires_is_told_where_it_stands() {
    for (rule, at) in [
        ("on: paramedic.timer.absent", "paramedic.timer.absent"),
        ("on: [paramedic.timer.>, a]", ""),
        ("on: paramedic.>", ""),
        ("pattern: { all: [{ on: a }, { on: paramedic.timer.x }], within: 5m }", "paramedic.timer.x"),
        ("pattern: { all: [a, paramedic.timer.x], within: 5m }", "paramedic.timer.x"),
        ("pattern: { any: [a, paramedic.timer.x] }", ""),
        ("pattern: { absent: a, for: 30s, expect: [x] }, when: data.x == 1 && false", ""),
        ("pattern: { absent: a, for: 30s }, when: false", "false"),
        ("pattern: { sequence: [{ on: a }, { on: b, when: 1 > 2 }], within: 5m }", "1 > 2"),
        ("pattern: { sequence: [{ on: a }, { on: b }], within: 5m }, when: 1 > 2", "1 > 2"),
        ("when: data.x == 1, pattern: { all: [{ on: a, when: 1 > 3 }, b], within: 5m }", "1 > 3"),
        ("pattern: { not: { on: a }, after: { on: b, when: 1 > 2 }, within: 5m }", "1 > 2"),
        ("on: a, resolved: { on: b, when: 1 > 2 }", "1 > 2"),
        ("on: a, resolved: { on: paramedic.timer.absent }", "paramedic.timer.absent"),
    ] {
        let text = format!("rules:\n  - {{ name: one, playbooks: fix, {rule} }}\n");
        let file = SourceFile { path: "r.yaml".into(), text };
        let compiled = compile(std::slice::from_ref(&file), &Known { playbooks: &["fix".to_owned()] });
        let set = compiled.set.unwrap_or_else(|| panic!("{rule}\n{:#?}", compiled.diagnostics));
        let found = review(&set, std::slice::from_ref(&file));
        let found: Vec<String> = found
            .iter()
            .filter(|d| d.code == code::NEVER)
            .map(|d| d.source_line.chars().skip(d.column as usize - 1).take(d.length as usize).collect())
            .collect();
        assert_eq!(found, if at.is_empty() { vec![] } else { vec![at.to_owned()] }, "{rule}");
    }
}

#[test]
fn a_rule_that_another_always_comes_before_is_told() {
    // The first rule, the second, and whether the second is hidden.
    for (first, second, hidden) in [
        ("on: a.>, stop: true", "on: a.b", true),
        ("on: [a.b, c], stop: true", "on: [c, a.b]", true),
        ("on: a.>, stop: true", "on: [a.b, c]", false),
        ("on: a.b, stop: true", "on: a.>", false),
        ("on: a.>", "on: a.b", false),
        ("on: a.>, stop: true, when: data.x == 1", "on: a.b, when: data.x == 1", true),
        ("on: a.>, stop: true, when: data.x == 1", "on: a.b, when: data.x == 2", false),
        ("on: a.>, stop: true, when: data.x == 1", "on: a.b", false),
        ("on: a.>, stop: true", "on: a.b, when: data.x == 1", true),
        ("on: a.>, stop: true, pattern: { count: 2, within: 5m }", "on: a.b", false),
        ("on: a.>, stop: true", "on: a.b, pattern: { count: 2, within: 5m }", true),
        ("on: a.>, stop: true, enabled: false", "on: a.b", false),
        ("on: a.>, stop: true", "on: a.b, priority: 5", false),
        ("on: a.>", "on: a.b, backstop: true", true),
        ("on: a.>, when: data.x == 1", "on: a.b, backstop: true", false),
    ] {
        let rules = [("one", first, "fix"), ("two", second, "other")]
            .map(|(name, says, fix)| format!("  - {{ name: {name}, playbooks: {fix}, {says} }}\n"))
            .concat();
        let found = found(&rules);
        let told = found.iter().any(|(code, line, _)| code == code::SHADOWED && *line == 3);
        assert_eq!((told, found.len()), (hidden, usize::from(hidden)), "{first}; {second}: {found:?}");
    }
}

#[test]
fn a_rule_that_stands_there_twice_is_told() {
    let rule = |name: &str, says: &str| format!("  - {{ name: {name}, on: [a, b], playbooks: fix{says} }}\n");
    for (second, repeated) in [
        ("", true),
        (", description: Another", true),
        (", when: data.x == 1", false),
        (", group_by: data.x", false),
        (", pattern: { count: 2, within: 5m }", false),
        (", intent: { target: x }", false),
        (", mode: ask", true),
        (", mode: shadow", false),
    ] {
        let found = found(&[rule("one", ""), rule("two", second)].concat());
        let told = found.iter().any(|(code, line, _)| code == code::REPEATED && *line == 3);
        assert_eq!((told, found.len()), (repeated, usize::from(repeated)), "{second}: {found:?}");
    }
}

#[test]
fn a_condition_that_only_rhai_can_answer_is_told_and_a_simple_one_is_not() {
    let found = when("data.x.split(\",\").len() > 3");
    assert_eq!((found[0].0.as_str(), found[0].1, found.len()), (code::SLOW, 4, 1), "{found:?}");
    assert_eq!(when("data.x > 3 && data.y == \"a\""), []);
}

#[test]
fn a_topic_as_another_system_writes_it_is_told_with_what_to_write() {
    for (topic, meant) in [
        ("a.**", Some("a.>")),
        ("a.#", Some("a.>")),
        ("a.+.b", Some("a.*.b")),
        ("a.kernel*", Some("a.*")),
        ("a/b", Some("*")),
        ("a.*.b", None),
        ("a.>", None),
        ("a-b.c_d", None),
    ] {
        let found = found(&format!("  - name: one\n    on: \"{topic}\"\n    playbooks: fix\n"));
        let told = found.iter().find(|(code, line, _)| code == code::TOPIC && *line == 3);
        assert_eq!(
            told.map(|(.., text)| text.contains(&format!("`{}`?", meant.unwrap_or("-")))),
            meant.map(|_| true),
            "{topic}: {found:?}"
        );
    }
}
