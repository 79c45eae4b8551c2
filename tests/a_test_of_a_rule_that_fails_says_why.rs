//! `paramedic test` shows what differs and why, finds tests wherever a path leads, says what is wrong with a test file,
//! and writes a report that CI systems read.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const RULES: &str = "
rules:
  - name: door-open
    on: door.opened
    when: data.angle > 10
    group_by: data.door
    intent: { target: '${data.door}' }
    playbooks: [close]
    tests:
      - name: a door that stands open is closed
        events: [{ topic: door.opened, data: { door: d1, angle: 90 } }]
        expect: { intents: [{ rule: door-open, target: d1 }], steps: [exec.run] }
";
const CLOSE: &str = "//! Close it.
//! ---
//! actions: [exec.run]
fn run(ctx) { act(\"exec.run\", #{ argv: [\"close\", ctx.target] }) }
";
const FAILING: &str = "
tests:
  - name: 'ajar is <open> & \"wide\"'
    events: [{ topic: door.opened, data: { door: d1, angle: 5 } }]
    expect: { intents: [{ rule: door-open }] }
  - name: open
    events: [{ topic: door.opened, data: { door: d1, angle: 50 } }]
    expect: { intents: [{ rule: door-open }] }
";

fn set_up() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("paramedic.yaml", ""),
        ("rules/doors.yaml", RULES),
        ("playbooks/close.rhai", CLOSE),
        ("more/failing.yaml", FAILING),
        ("tests/fixture.yaml", "something: else"),
        ("tests/doors/good.yaml", "tests: [{ name: quiet, expect: { intents: [] } }]"),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn test(dir: &Path, args: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .arg("test")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    (output, said)
}

fn names(said: &str) -> Vec<String> {
    let said: Value = serde_json::from_str(said).unwrap();
    said["tests"].as_array().unwrap().iter().map(|test| test["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_failing_test_shows_the_difference_and_why_the_rule_was_silent() {
    let dir = set_up();
    let (output, said) = test(dir.path(), &["more/failing.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "FAILED ajar is <open> & \"wide\"",
        "more/failing.yaml:3",
        "-   rule: door-open",
        "why `door-open` did not fire:",
        "data.angle",
        "1 passed, 1 failed",
    ] {
        assert!(said.contains(part), "{part} is missing");
    }
    assert!(!said.contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn tests_are_found_in_rules_in_folders_and_in_set_ups() {
    let dir = set_up();
    let at = |args: &[&str]| {
        let (output, said) = test(dir.path(), &[args, &["--json"]].concat());
        (output.status.code(), names(&said))
    };
    let closed = "a door that stands open is closed".to_owned();
    assert_eq!(at(&[]), (Some(0), vec![closed.clone(), "quiet".into()]));
    assert_eq!(at(&["tests"]), (Some(0), vec!["quiet".into()]));
    assert_eq!(at(&["rules/doors.yaml"]), (Some(0), vec![closed.clone()]));
    assert_eq!(at(&[".", "rules"]), (Some(0), vec![closed.clone(), "quiet".into()]), "each once");
    assert_eq!(at(&[".", "more", "--filter", "doors/good"]), (Some(0), vec!["quiet".into()]));
    // From elsewhere, a path is played with the rules of its own set-up.
    let elsewhere = tempfile::tempdir().unwrap();
    let path = dir.path().to_string_lossy().into_owned();
    let (output, said) = test(elsewhere.path(), &[&path, "--json"]);
    assert_eq!((output.status.code(), names(&said)), (Some(0), vec![closed, "quiet".into()]));
    let above = dir.path().parent().unwrap();
    let name = dir.path().file_name().unwrap().to_string_lossy().into_owned();
    let rules = format!("{name}/rules");
    let (output, said) = test(above, &[&rules, "--json"]);
    assert_eq!((output.status.code(), names(&said).len()), (Some(0), 1), "a folder within a set-up");
    for (args, words) in [
        (["nowhere.yaml", "--json"], "nowhere.yaml is not there"),
        (["--filter", "nothing"], "there is no test whose name, rule or file holds `nothing`"),
    ] {
        let (output, _) = test(dir.path(), &args);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(words));
    }
}

#[test]
fn the_report_for_ci_systems_is_well_formed_and_tells_the_same() {
    let dir = set_up();
    let (output, _) = test(dir.path(), &[".", "more", "--junit", "reports/paramedic.xml"]);
    assert_eq!(output.status.code(), Some(1));
    let xml = std::fs::read_to_string(dir.path().join("reports/paramedic.xml")).unwrap();
    let tags = well_formed(&xml);
    let count = |tag: &str| tags.iter().filter(|it| *it == tag).count();
    assert_eq!(
        (count("testsuites"), count("testsuite"), count("testcase"), count("failure")),
        (1, 3, 4, 1),
        "{xml}"
    );
    assert!(xml.contains("tests=\"4\" failures=\"1\""), "{xml}");
    assert!(xml.contains("name=\"ajar is &lt;open&gt; &amp; &quot;wide&quot;\""), "{xml}");
    assert!(xml.contains("-   rule: door-open"), "{xml}");
}

#[test]
fn the_same_tests_say_the_same_each_time() {
    let dir = set_up();
    let said = || {
        let (_, said) = test(dir.path(), &[".", "more", "--json"]);
        let mut said: Value = serde_json::from_str(&said).unwrap();
        // How long it took is all that may differ.
        said.as_object_mut().unwrap().remove("ms");
        for test in said["tests"].as_array_mut().unwrap() {
            test.as_object_mut().unwrap().remove("ms");
        }
        said.to_string()
    };
    let first = said();
    assert!(first.contains("\"seen\""), "what was seen is told where a test fails");
    for _ in 0..5 {
        assert_eq!(said(), first);
    }
}

#[test]
fn what_no_test_has_reached_is_named() {
    let dir = set_up();
    std::fs::write(dir.path().join("playbooks/lock.rhai"), CLOSE).unwrap();
    let (_, said) = test(dir.path(), &[]);
    assert!(said.contains("playbooks that never ran: lock\n"), "{said}");
    assert!(!said.contains("rules that never fired"), "{said}");
    let (_, said) = test(dir.path(), &["tests"]);
    assert!(!said.contains("never"), "of a part of the tests it would say nothing: {said}");
}

#[test]
fn rules_and_playbooks_of_a_file_of_tests_may_lie_elsewhere() {
    let dir = set_up();
    let test_file = "rules: ../rules\nplaybooks: ../playbooks\n".to_owned() + FAILING;
    let elsewhere = dir.path().join("other");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("paramedic.yaml"), "rules: none\nplaybooks: none\n").unwrap();
    std::fs::write(elsewhere.join("failing.yaml"), test_file).unwrap();
    let (_, said) = test(&elsewhere, &["failing.yaml"]);
    assert!(said.contains("1 passed, 1 failed"), "{said}");
}

#[test]
fn every_mistake_in_a_file_of_tests_is_shown_where_it_stands() {
    let dir = set_up();
    let cases = [
        ("tests: [{ nmae: a, expect: { intents: [] } }]", "1:11", "did you mean `name`?"),
        (
            "tests: [{ name: a, expect: { intents: [{ rule: door-opne }] } }]",
            "1:48",
            "did you mean `door-open`?",
        ),
        ("tests: [{ name: a, expect: { steps: [exec.rnu] } }]", "1:38", "did you mean `exec.run`?"),
        ("tests: [{ name: a, playbook: cloes, expect: { steps: [] } }]", "1:30", "did you mean `close`?"),
        ("tests: [{ name: a, expect: {} }]", "1:28", "so it cannot fail"),
        ("tests: [{ name: a }]", "1:11", ""),
        ("tests: [{ name: a, events: [{ topic: a..b }], expect: { steps: [] } }]", "1:38", ""),
        ("tests: [{ name: a, events: [{ topic: a, at: soon }], expect: { steps: [] } }]", "1:45", ""),
        (
            "tests: [{ name: a, events: [{ topic: a, time: noon }], expect: { steps: [] } }]",
            "1:47",
            "is no moment",
        ),
        (
            "tests: [{ name: a, actions: { exec.run: { result: { cod: 1 } } }, expect: { steps: [] } }]",
            "1:53",
            "did you mean `code`?",
        ),
        (
            "tests: [{ name: a, actions: { exec.run: { result: { code: x } } }, expect: { steps: [] } }]",
            "1:51",
            "expected integer",
        ),
        (
            "tests: [{ name: a, actions: { exec.run: { result: {}, fails: no } }, expect: { steps: [] } }]",
            "1:55",
            "not both",
        ),
        (
            "tests: [{ name: a, actions: { exec.run: { kind: x } }, expect: { steps: [] } }]",
            "1:43",
            "add `fails:`",
        ),
        ("tests: [{ name: a, people: [{ at: 1s }], expect: { steps: [] } }]", "1:31", "a person does one of"),
        ("tests: [{ name: a, learned: { close: 3 }, expect: { steps: [] } }]", "1:38", ""),
        ("tests: [{ name: a, expect: { intents: [{ status: done }] } }]", "1:50", ""),
        ("tests: [{ name: a, expect: { intents: { rule: a } } }]", "1:39", ""),
        ("rules: [nope.yaml]\ntests: [{ name: a, expect: { steps: [] } }]", "1:9", "this is none"),
        ("test: []", "1:1", "did you mean `tests`?"),
        ("tests: [{", "1:", ""),
    ];
    for (text, place, words) in cases {
        std::fs::write(dir.path().join("bad.yaml"), format!("{text}\n")).unwrap();
        let (output, said) = test(dir.path(), &["bad.yaml"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            said.contains(&format!("bad.yaml:{place}")) && said.contains(words),
            "{text}: {place} {words}\n{said}"
        );
        assert!(said.contains("no test was played"), "{text}");
    }
}

/// The names of all elements, in order; panics where a tag is not closed, or not by its own.
fn well_formed(xml: &str) -> Vec<String> {
    let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
    let (mut open, mut all): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        assert!(!text.contains('>') && tag.matches('"').count().is_multiple_of(2), "{piece}");
        for entity in text.split('&').skip(1).chain(tag.split('&').skip(1)) {
            let name = entity.split_once(';').unwrap().0;
            assert!(["lt", "gt", "amp", "quot", "apos"].contains(&name) || name.starts_with('#'), "&{name};");
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        all.push(name.clone());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    all
}
