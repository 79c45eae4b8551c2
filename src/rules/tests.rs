//! What a person who writes rules relies on.

mod index;
mod mistakes;
mod patterns;
mod schema;
mod shown;

use serde_json::{Value, json};

use std::sync::Arc;

use super::{Compiled, Fired, Firing, Hit, Known, RuleSet, Scratch, SourceFile, Windows, compile, preview};
use crate::model::{Event, Span, Topic, clock};

/// The example of the contract, word for word.
const CONTRACT: &str = r#"
rules:
  - name: kernel-boot-failed                # unique, [a-z0-9_-]
    description: A kernel did not come up.
    on: [telemetry.stress.boot_failed, telemetry.kernel.>]
    when: data.boot_duration_ms > 1000 && data.error in ["timeout", "panic"]   # a Rhai expression
    group_by: data.kernel                   # one failing thing = one group: key of windows, cooldown and dedup; a list joins
    pattern: { count: 3, within: 5m }       # one of those below; none: every event that passes
    class: data.error                       # what learning tells apart within this rule (optional)
    resolved: { on: telemetry.kernel.healthy }   # it is over: an open intent is closed, nothing is repaired
    mode: auto                              # auto | ask | shadow
    intent:
      goal: "Restart ${data.kernel} after ${data.error}"
      domain: infrastructure
      priority: high
      target: "${data.kernel}"
      fleet: kernels                        # the group that blast radius counts (optional)
    playbooks: [restart_kernel, scale_resources]    # candidates; learning orders them
    params: { grace: 5s }                   # reaches the playbook as ctx.params
    guard: { hold_down: 0s, cooldown: 5m, rate: 10/1h, max_attempts: 3, ask_below: 0.6, blast_radius: 20% }
    verify: { expect: telemetry.kernel.healthy, when: subject == target, within: 30s, hold: 60s }
    escalate: [{ to: alert_operator }, { to: alert_operator, after: 15m, params: { urgency: high } }]
    tests:                                  # run by `paramedic test`
      - name: a timeout restarts it
        events: [{ topic: telemetry.stress.boot_failed, at: 0s, data: { kernel: k1, boot_duration_ms: 1200, error: timeout } }]
        expect: { intents: [] }             # count: 3 is not reached
"#;

fn built(files: &[(&str, &str)]) -> Compiled {
    let files: Vec<SourceFile> =
        files.iter().map(|(path, text)| SourceFile { path: (*path).into(), text: (*text).into() }).collect();
    let playbooks = ["restart_kernel", "scale_resources", "alert_operator"].map(String::from);
    compile(&files, &Known { playbooks: &playbooks })
}

fn set(text: &str) -> RuleSet {
    let compiled = built(&[("rules/test.yaml", text)]);
    let all: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    compiled.set.unwrap_or_else(|| panic!("{}", all.join("\n")))
}

/// One rule on `a.b` with more lines of YAML.
fn one(more: &str) -> String {
    let more = more.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!("rules:\n  - name: one\n    on: a.b\n    playbooks: restart_kernel\n{more}")
}

fn event(topic: &str, at: i64, data: Value) -> Event {
    Event::new("e", Topic::try_new(topic).unwrap(), "test", clock::micros(at * 1_000_000), data)
}

/// What fires for one event.
fn applied(set: &RuleSet, windows: &mut Windows, event: &Event) -> Vec<Firing> {
    let (event, mut out) = (Arc::new(event.clone()), Vec::new());
    windows.apply(set, &event, &set.hits(&event, &mut Scratch::default()), &mut out, &mut Vec::new());
    out
}

/// What fires for each event in turn, as `rule:group:count` or `-rule:group` when it is over.
fn play(set: &RuleSet, windows: &mut Windows, events: &[Event]) -> Vec<String> {
    let mut scratch = Scratch::default();
    let mut all = Vec::new();
    for event in events {
        let mut out = Vec::new();
        let event = Arc::new(event.clone());
        let mut timed = Vec::new();
        windows.advance(set, event.arrival(), &mut timed);
        let timed = timed.into_iter().map(|timed| Firing::Fire(timed.fired));
        windows.apply(set, &event, &set.hits(&event, &mut scratch), &mut out, &mut Vec::new());
        out = timed.chain(out).collect();
        let names = out.iter().map(|firing| match firing {
            Firing::Fire(Fired { rule, group, count, .. }) => format!("{}:{group}:{count}", rule.name),
            Firing::Resolved { rule, group } => format!("-{}:{group}", rule.name),
        });
        all.push(names.collect::<Vec<_>>().join(" "));
    }
    all
}

#[test]
fn the_example_of_the_contract_works_as_it_stands() {
    let compiled = built(&[("rules/boot.yaml", CONTRACT)]);
    assert!(compiled.diagnostics.is_empty(), "{:?}", compiled.diagnostics);
    let set = compiled.set.unwrap();
    let rule = &set.rules()[0];
    assert_eq!((rule.line, rule.tests.len(), rule.pattern.reach()), (3, 1, Span::secs(300)));
    let plan = serde_json::to_value(&*rule.plan).unwrap();
    assert_eq!(plan["guard"]["rate"], json!({"count": 10, "within": "1h"}));
    assert_eq!(plan["guard"]["blast_radius"], json!(0.2));
    assert_eq!(plan["verify"]["when"], json!("subject == target"));
    assert_eq!(plan["escalate"][1]["after"], json!("15m"));
    assert_eq!(plan["expire"], json!("15m"));

    let fail = |at| {
        event(
            "telemetry.stress.boot_failed",
            at,
            json!({"kernel": "k1", "boot_duration_ms": 1200, "error": "timeout"}),
        )
    };
    let mut windows = Windows::default();
    let events = [fail(0), fail(10), fail(20), fail(30)];
    assert_eq!(
        play(&set, &mut windows, &events),
        ["", "", "kernel-boot-failed:k1:3", "kernel-boot-failed:k1:4"]
    );
    let out = applied(&set, &mut windows, &fail(40));
    let Firing::Fire(fired) = &out[0] else { panic!() };
    assert_eq!(
        (fired.goal.as_str(), fired.target.as_deref(), fired.class.as_str(), fired.fleet.as_deref()),
        ("Restart k1 after timeout", Ok("k1"), "timeout", Some("kernels"))
    );
}

#[test]
fn rules_fire_in_order_and_stop_and_backstop_are_kept() {
    let rule = |name: &str, more: &str| {
        format!("  - {{ name: {name}, on: [a.b, a.*], playbooks: restart_kernel, {more} }}\n")
    };
    for (rules, expected) in [
        (vec![("x", "priority: 1"), ("y", "priority: 5"), ("z", "")], "y x z"),
        (vec![("x", "stop: true"), ("y", "")], "x"),
        (vec![("x", "stop: true, when: data.no == 1"), ("y", "")], "y"),
        (vec![("x", "backstop: true, priority: 9"), ("y", "")], "y"),
        (vec![("x", "backstop: true"), ("y", "when: data.no == 1")], "x"),
        (vec![("x", "stop: true, pattern: { count: 2, within: 1m }"), ("y", "")], "y"),
        (vec![("x", "enabled: false"), ("y", "")], "y"),
    ] {
        let text = format!("rules:\n{}", rules.iter().map(|(n, more)| rule(n, more)).collect::<String>());
        let set = set(&text);
        let fired = play(&set, &mut Windows::default(), &[event("a.b", 0, json!({})).about("s")]).remove(0);
        let names: Vec<&str> = fired.split(' ').map(|f| f.split(':').next().unwrap()).collect();
        assert_eq!(names.join(" "), expected, "{text}");
    }
}

#[test]
fn windows_count_by_the_time_of_events_and_by_group() {
    let count = set(&one("group_by: data.k\npattern: { count: 3, within: 60s }\nresolved: { on: a.ok }"));
    let once = set(&one("group_by: data.k\npattern: { once_within: 60s }"));
    let at = |k: &str, t| event("a.b", t, json!({"k": k}));
    let ok = |k: &str, t| event("a.ok", t, json!({"k": k}));
    for (set, events, expected) in [
        (&count, vec![at("x", 0), at("x", 30), at("x", 60)], vec!["", "", "one:x:3"]),
        (&count, vec![at("x", 0), at("x", 30), at("x", 61)], vec!["", "", ""]),
        (&count, vec![at("x", 0), at("y", 1), at("x", 2), at("x", 3)], vec!["", "", "", "one:x:3"]),
        // Late, but within the time of the others.
        (&count, vec![at("x", 100), at("x", 120), at("x", 70)], vec!["", "", "one:x:3"]),
        // One wrong clock does not blind the rule.
        (&count, vec![at("x", 9_000_000), at("x", 0), at("x", 1), at("x", 2)], vec!["", "", "", "one:x:3"]),
        // What was over starts anew.
        (
            &count,
            vec![at("x", 0), at("x", 1), ok("x", 2), at("x", 3), at("x", 4)],
            vec!["", "", "-one:x", "", ""],
        ),
        (&count, vec![at("x", 0), at("x", 1), ok("y", 2), at("x", 3)], vec!["", "", "-one:y", "one:x:3"]),
        (
            &once,
            vec![at("x", 0), at("x", 30), at("y", 31), at("x", 60), at("x", 61)],
            vec!["one:x:1", "", "one:y:1", "one:x:1", ""],
        ),
    ] {
        assert_eq!(play(set, &mut Windows::default(), &events), expected);
    }
}

#[test]
fn a_flood_of_the_same_failure_is_counted_quickly() {
    let set = set(&one("group_by: data.k\npattern: { count: 10000, within: 1h }"));
    let mut windows = Windows::default();
    let fires = (0..40_000).filter(|n| {
        let event = event("a.b", n / 100, json!({"k": 1}));
        !applied(&set, &mut windows, &event).is_empty()
    });
    assert_eq!(fires.count(), 40_000 - 9_999);
}

#[test]
fn windows_survive_a_reload_that_leaves_the_pattern_alone() {
    let before = set(&one("group_by: data.k\npattern: { count: 2, within: 60s }"));
    let same =
        set(&one("description: now with words\ngroup_by: data.k\npattern: { count: 2, within: 1m0s }")
            .replace("1m0s", "60s"));
    let other = set(&one("group_by: data.k\npattern: { count: 2, within: 50s }"));
    let at = |t| event("a.b", t, json!({"k": "x"}));
    for (after, expected) in [(&same, "one:x:2"), (&other, "")] {
        let mut windows = Windows::default();
        play(&before, &mut windows, &[at(0)]);
        windows.adopt(after, clock::micros(0));
        assert_eq!(play(after, &mut windows, &[at(1)]), [expected]);
    }
    assert_eq!(before.diff(&same).changed, ["one"]);
    assert_eq!(before.diff(&before.clone()), super::Changes::default());
    assert_eq!(before.diff(&RuleSet::empty()).removed, ["one"]);
}

#[test]
fn a_flood_of_groups_cannot_fill_the_memory() {
    let set = set(&one("group_by: data.k\npattern: { count: 3, within: 60s }"));
    let mut windows = Windows::default();
    let events: Vec<Event> = (0..25_000).map(|n| event("a.b", n, json!({"k": n}))).collect();
    play(&set, &mut windows, &events);
    assert!(windows.len() <= 10_000, "{}", windows.len());
    assert_eq!(windows.len() as u64 + windows.tally().evicted, 25_000, "each that was forgotten is counted");
    // The groups seen last are still counted.
    let again = |t| event("a.b", t, json!({"k": 24_999}));
    assert_eq!(play(&set, &mut windows, &[again(25_000), again(25_001)]), ["", "one:24999:3"]);
}

#[test]
fn a_target_that_is_not_there_is_never_read_as_anything() {
    for (intent, data, expected) in [
        ("intent: { target: \"${data.k}\" }", json!({"k": "k1"}), Ok("k1")),
        ("intent: { target: \"${data.k}\" }", json!({}), Err("the event has no `data.k`")),
        ("intent: { target: \"unit-${data.k}\" }", json!({"k": null}), Err("the event has no `data.k`")),
        ("intent: { target: \"${data.k}\" }", json!({"k": " "}), Err("is empty")),
        ("intent: { target: \"${data.k.len() / 0}\" }", json!({"k": "x"}), Err("failed")),
        ("", json!({}), Err("the event has no `subject`")),
    ] {
        let set = set(&one(intent));
        let event = event("a.b", 0, data);
        let out = applied(&set, &mut Windows::default(), &event);
        let Firing::Fire(fired) = &out[0] else { panic!() };
        match (&fired.target, expected) {
            (Ok(target), Ok(expected)) => assert_eq!(target, expected),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (target, _) => panic!("{intent}: {target:?}"),
        }
    }
}

#[test]
fn groups_of_several_parts_do_not_run_together() {
    let set = set(&one("group_by: [data.a, data.b]"));
    let events = [json!({"a": "x/y", "b": "z"}), json!({"a": "x", "b": "y/z"}), json!({"a": 1, "b": true})];
    let events = events.map(|data| event("a.b", 0, data));
    assert_eq!(
        play(&set, &mut Windows::default(), &events),
        ["one:x\\/y/z:1", "one:x/y\\/z:1", "one:1/true:1"]
    );
}

#[test]
fn an_explanation_says_what_kept_a_rule_from_firing() {
    let text = format!(
        "{}\n  - {{ name: two, on: c.>, playbooks: restart_kernel }}",
        one(
            "when: data.n > 5 && data.e == \"x\"\ngroup_by: data.k\npattern: { count: 3, within: 5m }\nresolved: { on: a.ok }"
        )
    );
    let set = set(&text);
    let mut windows = Windows::default();
    let ask = |windows: &Windows, event: &Event| preview(&set, windows, &Arc::new(event.clone())).0;
    let hit = event("a.b", 0, json!({"n": 6, "e": "x", "k": "k1"}));
    play(&set, &mut windows, std::slice::from_ref(&hit));
    for (event, expected) in [
        (&hit, "2 of 3 within 5m for `k1`"),
        (&event("a.b", 0, json!({"n": 3})), "`data.n > 5` is false, as data.n = 3"),
        (&event("x.y", 0, json!({})), "topic `x.y` is not covered by `a.b`"),
        (&event("a.ok", 0, json!({"k": "k1"})), "`k1` is `resolved`"),
    ] {
        let reasons = ask(&windows, event);
        assert!(reasons[0].reason.contains(expected) && !reasons[0].fired, "{reasons:?}");
        assert_eq!(windows.len(), 1, "asking changes nothing");
    }
    assert!(ask(&windows, &event("c.d", 0, json!({})))[1].fired);
    play(&set, &mut windows, std::slice::from_ref(&hit));
    let third = &ask(&windows, &hit)[0];
    assert!(third.fired && third.reason.contains("3 of 3"), "{third:?}");

    let set = self::set(&one("group_by: data.k\npattern: { once_within: 60s }"));
    let ask =
        |windows: &Windows, event: &Event| preview(&set, windows, &Arc::new(event.clone())).0[0].clone();
    let mut windows = Windows::default();
    let first = event("a.b", 0, json!({"k": "x"}));
    assert!(ask(&windows, &first).fired);
    play(&set, &mut windows, &[first]);
    for (seconds, fires) in [(59, false), (60, true)] {
        let why = ask(&windows, &event("a.b", seconds, json!({"k": "x"})));
        assert_eq!(why.fired, fires, "{seconds} s later");
        let quiet = "`x` fired at 1970-01-01T00:00:00Z and is quiet for 1m";
        assert_eq!(why.reason.contains(quiet), !fires, "{why:?}");
    }
}

#[test]
fn a_failing_condition_is_false_and_is_counted() {
    let set = set(&one("when: data.n / data.m > 1"));
    let mut scratch = Scratch::default();
    assert!(set.hits(&event("a.b", 0, json!({"n": 1, "m": 0})), &mut scratch).is_empty());
    assert!(scratch.errors()[0].1.to_string().contains("zero"), "{:?}", scratch.errors());
    assert_eq!(set.hits(&event("a.b", 0, json!({"n": 4, "m": 2})), &mut scratch).len(), 1);
    assert!(scratch.errors().is_empty());
}

#[test]
fn ten_thousand_rules_are_checked_in_a_moment() {
    let mut text = String::from("rules:\n");
    for n in 0..10_000 {
        text += &format!(
            "  - name: rule-{n}\n    on: [telemetry.a{}.b]\n    when: data.kernel == \"kernel-{n}\" && data.ms > {n}\n    group_by: data.kernel\n    intent: {{ target: \"${{data.kernel}}\" }}\n    playbooks: [restart_kernel]\n",
            n % 50
        );
    }
    let started = std::time::Instant::now();
    let set = set(&text);
    let took = started.elapsed();
    let hits = set
        .hits(&event("telemetry.a7.b", 0, json!({"kernel": "kernel-57", "ms": 58})), &mut Scratch::default());
    assert_eq!(set.rules()[hits[0].rule as usize].name, "rule-57");
    // Without optimization; a release takes less than a second.
    assert!(took.as_secs() < 10, "{took:?}");
}
