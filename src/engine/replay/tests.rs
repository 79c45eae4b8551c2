//! Replays in the small: what becomes of firings, where time is taken from, what is told of mistakes.

mod compared;
mod live;

use super::*;
use crate::rules::{Fired, Known, RuleSet, SourceFile, compile};

/// A firing, as it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) rule: String,
    pub(super) group: String,
    pub(super) at: Time,
    pub(super) count: u64,
}

impl Seen {
    pub(super) fn of(fired: &Fired, at: Time) -> Self {
        Self { rule: fired.rule.name.clone(), group: fired.group.clone(), at, count: fired.count }
    }
}

/// Rules as YAML, each on a line of its own.
fn rules(lines: &[&str]) -> RuleSet {
    let mut text = String::from("rules:\n");
    for line in lines {
        let mut rule = line.to_string();
        for (key, usual) in
            [("group_by", "data.k"), ("playbooks", "[fix]"), ("intent", "{ target: \"${data.k}\" }")]
        {
            let means_nothing = key == "group_by" && line.contains("schedule:");
            if !line.contains(&format!("{key}:")) && !means_nothing {
                rule.push_str(&format!(", {key}: {usual}"));
            }
        }
        text.push_str(&format!("  - {{ {rule} }}\n"));
    }
    let file = SourceFile { path: "rules.yaml".into(), text };
    let compiled = compile(&[file], &Known { playbooks: &["fix".into(), "other".into()] });
    compiled.set.unwrap_or_else(|| panic!("{}", compiled.diagnostics[0]))
}

/// `SECONDS TOPIC KEY` as a line of a file; the key is the subject as well.
fn line(text: &str) -> String {
    let [second, topic, k] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let second: i64 = second.parse().unwrap();
    let time = crate::model::clock::micros((1_800_000_000 + second) * 1_000_000).to_rfc3339();
    serde_json::json!({ "topic": topic, "time": time, "subject": k, "data": { "k": k } }).to_string()
}

fn second(time: Time) -> i64 {
    time.timestamp() - 1_800_000_000
}

fn at(second: i64) -> Time {
    crate::model::clock::micros((1_800_000_000 + second) * 1_000_000)
}

fn play_with(sets: &[RuleSet], options: &Options, lines: &[&str]) -> Report {
    let text = lines.iter().map(|text| line(text)).collect::<Vec<_>>().join("\n");
    file(sets, options, "events", &mut text.as_bytes()).unwrap()
}

/// Each intent as `SECOND RULE/GROUP xCOUNT OUTCOME END@SECOND`.
fn told(side: &Side) -> Vec<String> {
    let told = side.intents.iter().map(|it| {
        let end = serde_json::to_value(it.end).unwrap();
        let ended = it.ended_at.map(|at| format!("@{}", second(at))).unwrap_or_default();
        let (at, outcome) = (second(it.at), it.outcome.as_str());
        format!("{at} {}/{} x{} {outcome} {}{ended}", it.rule, it.group, it.count, end.as_str().unwrap())
    });
    told.collect()
}

#[test]
fn an_intent_is_what_it_would_have_been_as_far_as_events_can_say() {
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        (
            "further matches are counted until it is over, then a new one is made",
            "name: r, on: f, resolved: { on: ok }",
            &["0 f a", "5 f a", "6 f b", "9 ok a", "10 f a"],
            &["0 r/a x2 acted resolved@9", "6 r/b x1 acted unheard@906", "10 r/a x1 acted unheard@910"],
        ),
        (
            "without a word of its end it is open until its time is up",
            "name: r, on: f, expire: 1m",
            &["0 f a", "59 f a", "60 f a"],
            &["0 r/a x2 acted unheard@60", "60 r/a x1 acted unheard@120"],
        ),
        (
            "what is over before the hold-down has passed needs no repair",
            "name: r, on: f, resolved: { on: ok }, guard: { hold_down: 10s }",
            &["0 f a", "9 ok a", "20 f a", "31 ok a"],
            &["0 r/a x1 stale resolved@9", "20 r/a x1 acted resolved@31"],
        ),
        (
            "the check ends it once it was acted on, for its own target only",
            "name: r, on: f, guard: { hold_down: 10s }, verify: { expect: ok, when: subject == target, within: 30s }",
            &["0 f a", "5 ok a", "11 ok b", "12 ok a", "13 f a"],
            &["0 r/a x1 acted verified@12", "13 r/a x1 acted unheard@923"],
        ),
        (
            "any condition of the check is asked, not only the usual one",
            "name: r, on: f, verify: { expect: ok, when: data.k == target, within: 30s }",
            &["0 f a", "1 f b", "2 ok b"],
            &["0 r/a x1 acted unheard@900", "1 r/b x1 acted verified@2"],
        ),
        (
            "an event does not check what it has made itself",
            "name: r, on: f, verify: { expect: f, within: 30s }",
            &["0 f a", "5 f a"],
            &["0 r/a x2 acted verified@5"],
        ),
        (
            "shadow mode is recorded, and counted on for as long",
            "name: r, on: f, mode: shadow, expire: 1m, resolved: { on: ok }",
            &["0 f a", "30 f a", "61 f a", "62 ok a", "63 f a"],
            &[
                "0 r/a x2 shadowed unheard@60",
                "61 r/a x1 shadowed resolved@62",
                "63 r/a x1 shadowed unheard@123",
            ],
        ),
        (
            "where a person is asked nobody answers in a replay",
            "name: r, on: f, mode: ask, resolved: { on: ok }",
            &["0 f a", "1700 f a", "1900 f a", "1950 ok a"],
            &["0 r/a x2 asked unheard@1800", "1900 r/a x1 asked resolved@1950"],
        ),
        (
            "without a target nothing is done",
            "name: r, on: f, intent: { target: \"${data.none}\" }",
            &["0 f a", "5 f a"],
            &["0 r/a x2 denied unheard@900"],
        ),
        (
            "a target that could mean everything is refused by the guard",
            "name: r, on: f, intent: { target: \"*\" }",
            &["0 f a"],
            &["0 r/a x1 denied refused@0"],
        ),
        (
            "the cooldown of a target holds the next one back until it is too old",
            "name: r, on: f, expire: 1m, resolved: { on: ok }, guard: { cooldown: 5m }",
            &["0 f a", "1 ok a", "10 f a", "100 f a", "290 f a"],
            &[
                "0 r/a x1 acted resolved@1",
                "10 r/a x1 expired refused@70",
                "100 r/a x1 expired refused@160",
                "290 r/a x1 acted unheard@350",
            ],
        ),
        (
            "the rate of a rule holds others back, and lets them go",
            "name: r, on: f, guard: { rate: 1/10s }",
            &["0 f a", "1 f b", "30 x x"],
            &["0 r/a x1 acted unheard@900", "1 r/b x1 acted unheard@901"],
        ),
        (
            "what is due by itself after the last event still happens",
            "name: r, pattern: { not: { on: ok }, after: { on: f }, within: 30s, lateness: 0s }",
            &["0 f a", "10 f b", "20 ok b"],
            &["30 r/a x1 acted unheard@930"],
        ),
        (
            "a schedule keeps its times between events, and ends with them",
            "name: r, schedule: \"* * * * *\", expire: 30s, intent: { target: it }",
            &["30 x x", "200 x x"],
            &["60 r/ x1 acted unheard@90", "120 r/ x1 acted unheard@150", "180 r/ x1 acted unheard@210"],
        ),
    ];
    for (what, rule, lines, expected) in cases {
        let report = play_with(&[rules(&[rule])], &Options::default(), lines);
        assert_eq!(told(&report.side), *expected, "{what}");
        let sum = &report.side.rules[0];
        assert_eq!(sum.intents, expected.len() as u64, "{what}");
        assert_eq!(sum.outcomes.values().sum::<u64>(), sum.intents, "{what}");
    }
}

#[test]
fn who_was_held_back_is_told_with_the_guard_and_the_time() {
    let set = rules(&["name: r, on: f, guard: { rate: 1/10s }"]);
    let report = play_with(&[set], &Options::default(), &["0 f a", "1 f b"]);
    let late = &report.side.intents[1];
    assert_eq!(late.acts_at.map(second), Some(10));
    assert_eq!(late.held_back.as_deref(), Some("rate: 1 of this rule started within 10s"));
}

#[test]
fn what_was_before_fills_the_patterns_and_is_not_told() {
    let set = rules(&["name: three, on: f, pattern: { count: 3, within: 1m }", "name: other, on: f"]);
    let options = Options { since: Some(at(10)), until: Some(at(40)), ..Options::default() };
    let lines = ["0 f a", "5 f a", "10 f a", "30 f a", "40 f b"];
    let report = play_with(std::slice::from_ref(&set), &options, &lines);
    assert_eq!(told(&report.side), ["10 three/a x4 acted open"], "`other` opened before, so it only counts");
    assert_eq!((report.events.before, report.events.count), (2, 2));
    assert_eq!(report.side.rules[1].fired, 2);
    let only = Options { only: Some("oth".into()), ..Options::default() };
    let report = play_with(&[set], &only, &lines);
    assert_eq!(report.side.rules.len(), 1);
    assert_eq!(told(&report.side), ["0 other/a x4 acted unheard@900", "40 other/b x1 acted unheard@940"]);
}

#[test]
fn a_line_that_is_no_event_is_told_with_its_place_and_nothing_is_half_done() {
    let set = rules(&["name: r, on: f"]);
    let good = line("0 f a");
    let cases = [
        (format!("{good}\n\n{{\"topic\":"), 3, "EOF while parsing"),
        (format!("{good}\r\n{{\"topic\":\"f\",\"time\":\"soon\"}}"), 2, "`soon` is not an RFC 3339 time"),
        (format!("{good}\n{{\"topic\":\"a..b\"}}\n{{"), 2, "topic"),
        ("{\"topic\":\"f\"}".into(), 1, "no line before it has one"),
        (format!("{good}\n{{\"topic\":\"f\",\"data\":\"{}\"}}", "x".repeat(3 << 20)), 2, "the limit is"),
    ];
    for (text, expected, why) in cases {
        for threads in [1, 3] {
            let options = Options { threads, ..Options::default() };
            let error =
                file(std::slice::from_ref(&set), &options, "night.jsonl", &mut text.as_bytes()).unwrap_err();
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("night.jsonl:{expected}: ")), "{shown}");
            assert!(shown.contains(why), "{shown}");
        }
    }
    let report = file(&[set], &Options::default(), "x", &mut &b"\xef\xbb\xbf\n \r\n"[..]).unwrap();
    assert_eq!(report.events.count, 0);
}

#[test]
fn a_line_without_a_time_comes_with_the_one_before_and_the_same_event_twice_is_one() {
    let set = rules(&["name: r, on: f"]);
    let late = "{\"topic\":\"f\",\"data\":{\"k\":\"b\"}}";
    let named = "{\"topic\":\"f\",\"id\":\"1\",\"source\":\"s\",\"data\":{\"k\":\"c\"}}";
    let text = [line("7 f a").as_str(), late, late, &line("3 f a"), named, named].join("\n");
    let report = file(&[set], &Options::default(), "x", &mut text.as_bytes()).unwrap();
    let expected = ["7 r/a x2 acted unheard@907", "7 r/b x2 acted unheard@907", "7 r/c x1 acted unheard@907"];
    assert_eq!(told(&report.side), expected, "time does not go back");
    assert_eq!((report.events.count, report.events.duplicates), (5, 1));
}

#[test]
fn a_condition_that_fails_is_counted_and_shown() {
    let set = rules(&["name: r, on: f, when: data.k.len / 0 > 1 || data.k / 0 > 1", "name: s, on: f"]);
    let report = play_with(&[set], &Options::default(), &["0 f a", "1 f b"]);
    let failed = report.side.rules[0].failed.as_ref().unwrap();
    assert_eq!((failed.count, failed.event.as_str()), (2, "line-1"));
    assert!(!failed.why.is_empty());
    assert_eq!(report.side.rules[1].failed, None);
}
