//! What changes from one set of rules to another, and that the answer is the same on any number of threads.

use super::*;

fn compared(before: &str, after: &str, lines: &[&str]) -> Against {
    play_with(&[rules(&[before]), rules(&[after])], &Options::default(), lines).against.unwrap()
}

/// Each change as `KIND SECOND RULE/GROUP FIELDS`.
fn changes(against: &Against) -> Vec<String> {
    let told = against.changes.iter().map(|it| {
        let mark = match it.change {
            Kind::Appears => "+",
            Kind::Vanishes => "-",
            Kind::Changes => "~",
        };
        let fields: Vec<String> = it
            .fields
            .iter()
            .filter(|it| it.field != "at")
            .map(|it| format!(" {}: {} -> {}", it.field, it.before, it.after))
            .collect();
        format!("{mark} {} {}/{}{}", second(it.at), it.rule, it.group, fields.concat())
    });
    told.collect()
}

#[test]
fn what_appears_vanishes_or_is_otherwise_is_told_and_nothing_else() {
    let lines = ["0 f a", "10 f b", "11 f b", "2000 f a", "2001 f a", "2002 f a"];
    let two = "name: r, on: f, pattern: { count: 2, within: 1m }";
    let three = "name: r, on: f, pattern: { count: 3, within: 1m }";
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("the same rules", two, two, &[]),
        ("in other words", two, "name: r, enabled: true, on: [f], pattern: { within: 60s, count: 2 }", &[]),
        ("a higher threshold", two, three, &["- 11 r/b", "~ 2001 r/a"]),
        ("a lower one", three, two, &["+ 11 r/b", "~ 2001 r/a"]),
        (
            "another name",
            "name: r, on: f, mode: shadow",
            "name: s, on: f, mode: shadow",
            &["- 0 r/a", "+ 0 s/a", "- 10 r/b", "+ 10 s/b", "- 2000 r/a", "+ 2000 s/a"],
        ),
        (
            "another plan",
            two,
            "name: r, on: f, pattern: { count: 2, within: 1m }, class: data.k, playbooks: [other, fix], mode: shadow, params: { n: 1 }",
            &[
                "~ 11 r/b class: \"\" -> \"b\" playbooks: [\"fix\"] -> [\"other\",\"fix\"] mode: \"auto\" -> \"shadow\" outcome: \"acted\" -> \"shadowed\" acts_at: \"2027-01-15T08:00:11Z\" -> null params: {} -> {\"n\":1}",
                "~ 2001 r/a class: \"\" -> \"a\" playbooks: [\"fix\"] -> [\"other\",\"fix\"] mode: \"auto\" -> \"shadow\" outcome: \"acted\" -> \"shadowed\" acts_at: \"2027-01-15T08:33:21Z\" -> null params: {} -> {\"n\":1}",
            ],
        ),
    ];
    for (what, before, after, expected) in cases {
        let against = compared(before, after, &lines);
        assert_eq!(changes(&against), *expected, "{what}");
        assert_eq!(against.changed, !expected.is_empty(), "{what}");
        let counted: u64 = against.by_rule.iter().map(|it| it.appear + it.vanish + it.change).sum();
        assert_eq!(counted, expected.len() as u64, "{what}");
    }
}

#[test]
fn a_list_that_was_cut_short_makes_nothing_vanish() {
    let lines = ["0 f a", "10 f b", "20 f c"];
    let set = rules(&["name: r, on: f"]);
    let report = play_with(std::slice::from_ref(&set), &Options::default(), &lines);
    let mut cut = report.side.clone();
    cut.intents.truncate(2);
    cut.omitted = 1;
    let against = crate::engine::replay::compare::compare(&report.side, cut);
    assert_eq!((against.changed, changes(&against)), (false, vec![]));
}

#[test]
fn the_answer_is_the_same_byte_for_byte_on_any_number_of_threads() {
    let mut dice = 7_u64;
    let mut roll = |n: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % n
    };
    let mut text = String::new();
    for n in 0..6_000_u64 {
        let topic = ["f", "g", "ok", "noise"][roll(4) as usize];
        let late = if roll(10) == 0 { roll(20) } else { 0 };
        let mut one = line(&format!("{} {topic} k{}", (n * 3).saturating_sub(late), roll(40)));
        if roll(20) == 0 {
            one = format!("{{\"topic\":\"{topic}\",\"id\":\"i{}\",\"data\":{{\"k\":\"k1\"}}}}", roll(50));
        }
        text.push_str(if n == 0 { "" } else { "\n" });
        text.push_str(if n == 0 { "{\"topic\":\"noise\",\"time\":\"2027-01-15T08:00:00Z\"}" } else { &one });
    }
    let set = |count: u32| {
        rules(&[
            &format!("name: c, on: f, pattern: {{ count: {count}, within: 1m }}, resolved: {{ on: ok }}"),
            "name: a, pattern: { absent: g, for: 10m, expect: [k7, nobody] }",
            "name: s, pattern: { sequence: [{ on: f }, { on: g }], within: 2m }, mode: shadow",
            "name: o, on: [f, g], pattern: { once_after: 30s }, guard: { cooldown: 1h, hold_down: 5s }",
            "name: v, on: g, verify: { expect: ok, when: data.k == target, within: 30s }, when: data.k.contains(\"3\")",
            "name: b, on: \">\", backstop: true, when: data.k / 0 > 1",
        ])
    };
    let sets = [set(2), set(3)];
    let answer = |threads| {
        let options = Options { threads, ..Options::default() };
        let report = file(&sets, &options, "x", &mut text.as_bytes()).unwrap();
        serde_json::to_string_pretty(&report).unwrap()
    };
    let one = answer(1);
    for threads in [1, 2, 7] {
        assert!(answer(threads) == one, "{threads} threads give another answer");
    }
    let report: Report = serde_json::from_str(&one).unwrap();
    assert!(
        report.side.rules.iter().filter(|sum| sum.fired > 0).count() >= 5,
        "each rule has its part in it"
    );
    assert!(report.against.unwrap().changed);
}
