//! The index finds what a look at every rule would find, whatever the rules and events.

use proptest::prelude::*;

use super::*;

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4).prop_map(|tokens| tokens.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    let tokens = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*"]), 0..3);
    (tokens, prop::sample::select(vec!["a", "b", "*", ">"])).prop_map(|(mut tokens, last)| {
        tokens.push(last);
        tokens.join(".")
    })
}

fn clause() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "data.k == 'x'",
        "data.k == 'y'",
        "'y' == data.k",
        "data.k in ['x', 'z', 1]",
        "data.n == 1",
        "data.n == 2",
        "data.n in [1, 3]",
        "data.n > 1",
        "data.n != 2",
        "data.ok == true",
        "data.ok",
        "data.k.len == 1",
        "data.d.e == 'x'",
        "data.n / data.m == 1",
        "data.k != ()",
        "subject == 's'",
        "data.n in 1..3",
        "data.k.starts_with('x') || data.n == 3",
        "data.len == 1",
    ])
    .prop_map(|text| text.replace('\'', "\""))
}

fn payload() -> impl Strategy<Value = Value> {
    let value = || {
        prop::sample::select(vec![
            json!("x"),
            json!("y"),
            json!("z"),
            json!(1),
            json!(2),
            json!(3),
            json!(1.0),
            json!(2.0000000000000004),
            json!(1e300),
            json!(true),
            json!(false),
            json!(null),
            json!([1]),
            json!({"e": "x"}),
        ])
    };
    let map = prop::collection::hash_map(
        prop::sample::select(vec!["k", "n", "m", "ok", "d", "len"]),
        value(),
        0..6,
    );
    prop_oneof![9 => map.prop_map(|map| json!(map)), 1 => value()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_count_is_reached_exactly_when_so_many_lie_within_the_time(
        times in prop::collection::vec(0_i64..40, 1..30), wanted in 1_usize..5, within in 1_i64..10,
    ) {
        let set = set(&one(&format!("pattern: {{ count: {wanted}, within: {within}s }}")));
        let events: Vec<Event> = times.iter().map(|t| event("a.b", *t, json!({})).about("x")).collect();
        let fired = play(&set, &mut Windows::default(), &events);
        for (n, at) in times.iter().enumerate() {
            // What is kept: the latest to arrive, twice as many as are wanted.
            let kept = &times[(n + 1).saturating_sub(wanted * 2)..=n];
            let most = kept.iter().filter(|start| (at - within..=*at).contains(start));
            let most = most.map(|start| kept.iter().filter(|t| (*start..=start + within).contains(t)).count()).max();
            let expected = most.filter(|most| *most >= wanted).map_or(String::new(), |most| format!("one:x:{most}"));
            prop_assert_eq!(&fired[n], &expected, "{:?} at {}", times, n);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_exactly_what_trying_every_rule_finds(
        rules in prop::collection::vec(
            (
                prop::collection::vec(pattern(), 1..3),
                prop::collection::vec(clause(), 0..4),
                prop::option::of(pattern()),
                prop::option::of(prop::collection::vec((pattern(), clause()), 2..4)),
            ), 1..12),
        events in prop::collection::vec((topic(), payload(), any::<bool>()), 1..8),
    ) {
        let mut text = String::from("rules:\n");
        for (n, (on, when, resolved, members)) in rules.iter().enumerate() {
            text += &format!("  - name: r{n}\n    playbooks: restart_kernel\n");
            match members {
                None => text += &format!("    on: {}\n", json!(on)),
                Some(members) => {
                    let members: Vec<Value> =
                        members.iter().map(|(on, when)| json!({"on": on, "when": when})).collect();
                    let kind = if n % 2 == 0 { "all" } else { "sequence" };
                    text += &format!("    pattern: {}\n", json!({kind: members, "within": "5m"}));
                }
            }
            if !when.is_empty() {
                text += &format!("    when: {}\n", json!(when.join(" && ")));
            }
            if let Some(resolved) = resolved {
                text += &format!("    resolved: {{ on: {} }}\n", json!(resolved));
            }
        }
        let set = set(&text);
        let mut scratch = Scratch::default();
        for (topic, data, about) in events {
            let mut event = event(&topic, 0, data.clone());
            if about {
                event = event.about("s");
            }
            let mut linear = Vec::new();
            for (n, rule) in (0..).zip(set.rules()) {
                for part in rule.parts() {
                    let covered = part.on.iter().any(|p| p.matches(&topic));
                    if covered && part.when.iter().all(|when| when.test(&event, &[]).unwrap_or(false)) {
                        linear.push(Hit { rule: n, part: part.number });
                    }
                }
            }
            prop_assert_eq!(&set.hits(&event, &mut scratch), &linear, "{} over {}", text, event.data.text());
            let mut line = json!({"id": "1", "source": "test", "time": "1970-01-01T00:00:00Z", "type": topic, "payload": data});
            if about {
                line["subject"] = "s".into();
            }
            let from_json = set.hits_json(line.to_string().as_bytes(), &mut scratch).unwrap();
            prop_assert_eq!(&from_json, &linear, "{} over {}", text, line);
        }
    }
}
