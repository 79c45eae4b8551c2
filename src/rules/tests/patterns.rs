//! What each pattern fires on, and that it does so through restarts, reloads and disorder.

use proptest::prelude::*;

use super::*;
use crate::model::Time;
use crate::rules::{Stepped, Timed, Why};

/// One step of a story: at which second which topic with which `k`; `!` before the topic: it came that much later than
/// it happened.
type Step = (i64, &'static str);

fn story(steps: &[Step]) -> Vec<Event> {
    let number = |(n, (at, what)): (usize, &Step)| {
        let (topic, k) = what.split_once(' ').unwrap_or((what, "x"));
        let (happened, topic) = match topic.split_once('@') {
            Some((topic, second)) => (second.parse().unwrap(), topic),
            None => (*at, topic),
        };
        let mut event = event(topic, happened, json!({"k": k, "n": k.parse::<f64>().ok()}));
        event.id = n.to_string();
        event.arrived = Some(clock::micros(at * 1_000_000));
        event
    };
    steps.iter().enumerate().map(number).collect()
}

fn second(at: i64) -> Time {
    clock::micros(at * 1_000_000)
}

/// What fires, as `second rule:group:count`, or `second -rule:group` when it is over. `until` is when the story ends.
fn tell(set: &RuleSet, windows: &mut Windows, events: &[Event], until: i64) -> Vec<String> {
    let mut all = Vec::new();
    let mut scratch = Scratch::default();
    let timed = |windows: &mut Windows, now, all: &mut Vec<String>| {
        let mut due: Vec<Timed> = Vec::new();
        windows.advance(set, now, &mut due);
        all.extend(due.iter().map(|Timed { event, fired }| {
            format!("{} {}:{}:{}", event.time.timestamp(), fired.rule.name, fired.group, fired.count)
        }));
    };
    for event in events {
        let event = Arc::new(event.clone());
        timed(windows, event.arrival(), &mut all);
        let (mut out, hits) = (Vec::new(), set.hits(&event, &mut scratch));
        windows.apply(set, &event, &hits, &mut out, &mut Vec::new());
        let at = event.arrival().timestamp();
        all.extend(out.iter().map(|firing| match firing {
            Firing::Fire(Fired { rule, group, count, .. }) => format!("{at} {}:{group}:{count}", rule.name),
            Firing::Resolved { rule, group } => format!("{at} -{}:{group}", rule.name),
        }));
    }
    timed(windows, second(until), &mut all);
    all
}

/// The clock was set at second `at` by `by` seconds: moves the patterns, and answers what fires until second `until` of
/// the new time.
fn stepped(set: &RuleSet, windows: &mut Windows, at: i64, by: i64, until: i64) -> Vec<String> {
    let mut all = tell(set, windows, &[], at);
    windows.step(set, Stepped { era: windows.era() + 1, by: by * 1_000_000, to: second(at + by) });
    all.extend(tell(set, windows, &[], until));
    all
}

#[test]
fn what_waits_for_a_time_waits_as_long_as_it_was_going_to_however_the_clock_is_set() {
    let set = bare("{ absent: a.b, for: 60s, lateness: 0s }");
    for by in [7_200, -7_200] {
        let mut windows = Windows::default();
        let events = story(&[(100_000, "a.b x")]);
        assert!(tell(&set, &mut windows, &events, 100_010).is_empty());
        assert!(stepped(&set, &mut windows, 100_010, by, 100_059 + by).is_empty(), "{by}");
        assert_eq!(
            tell(&set, &mut windows, &[], 100_060 + by),
            [format!("{} one:x:1", 100_060 + by)],
            "{by}"
        );
    }
}

#[test]
fn what_counts_goes_on_counting_after_a_clock_that_was_ahead_is_set_right() {
    for (pattern, fires) in [("count: 3, within: 60s", true), ("once_within: 60s", false)] {
        let set = set(&one(&format!("pattern: {{ {pattern} }}")));
        let mut windows = Windows::default();
        let events = story(&[(107_200, "a.b x"), (107_201, "a.b x")]);
        tell(&set, &mut windows, &events, 107_202);
        stepped(&set, &mut windows, 107_202, -7_200, 100_002);
        let said = tell(&set, &mut windows, &story(&[(100_003, "a.b x")]), 100_003);
        assert_eq!(!said.is_empty(), fires, "{pattern}");
        let said = tell(&set, &mut windows, &story(&[(100_070, "a.b x")]), 100_070);
        assert_eq!(said.is_empty(), fires, "{pattern}: a minute later, and not two hours");
    }
}

#[test]
fn a_schedule_follows_the_clock_when_it_is_set() {
    let set = set(
        "rules:\n  - name: one\n    schedule: \"*/10 * * * *\"\n    playbooks: restart_kernel\n    intent: { target: it }\n",
    );
    let mut windows = Windows::default();
    // Two hours ahead for two seconds.
    windows.adopt(&set, second(7_200));
    assert!(stepped(&set, &mut windows, 7_202, -7_200, 599).is_empty());
    assert_eq!(tell(&set, &mut windows, &[], 600), ["600 one::1"]);
    // Set back after it has fired: the same time comes again, and is told apart from the first.
    let mut due = Vec::new();
    windows.step(&set, Stepped { era: 2, by: -300_000_000, to: second(301) });
    windows.advance(&set, second(600), &mut due);
    assert_eq!(due.iter().map(|it| it.event.id.as_str()).collect::<Vec<_>>(), ["schedule/one//600000000/2"]);
    // Set forward over many: made up for once.
    assert_eq!(stepped(&set, &mut windows, 700, 7_200, 7_900), ["7800 one::1"]);
}

/// A rule without topics of its own.
fn bare(pattern: &str) -> RuleSet {
    set(&format!(
        "rules:\n  - name: one\n    group_by: data.k\n    playbooks: restart_kernel\n    pattern: {pattern}\n"
    ))
}

#[test]
fn each_pattern_fires_when_it_says_and_not_otherwise() {
    let all = "{ all: [{ on: a }, { on: b, when: data.k != \"z\" }], within: 10s }";
    let sequence = "{ sequence: [{ on: a }, { on: b }, { on: c }], within: 10s }";
    let absent = "{ absent: [beat, tick.>], for: 30s, lateness: 0s }";
    let expected = "{ absent: beat, for: 30s, expect: [x, y], lateness: 0s }";
    let follow = "{ not: { on: done }, after: { on: start }, within: 10s, lateness: 0s }";
    for (pattern, steps, until, expected) in [
        // In any order, once for each pair, each group for itself.
        (all, &[(0, "a"), (5, "b"), (6, "a"), (8, "b")][..], 99, &["5 one:x:2", "8 one:x:2"][..]),
        (all, &[(0, "b"), (10, "a")], 99, &["10 one:x:2"]),
        (all, &[(0, "b"), (11, "a")], 99, &[]),
        (all, &[(0, "a x"), (1, "b y"), (2, "b x")], 99, &["2 one:x:2"]),
        (all, &[(0, "a z"), (1, "b z")], 99, &[]),
        // Late, but within the time.
        (all, &[(50, "a@50"), (51, "b@45")], 99, &["51 one:x:2"]),
        (sequence, &[(0, "a"), (1, "b"), (2, "c")], 99, &["2 one:x:3"]),
        (sequence, &[(0, "a"), (1, "c"), (2, "b")], 99, &[]),
        (sequence, &[(0, "a"), (1, "b"), (11, "c")], 99, &[]),
        // The latest start counts.
        (sequence, &[(0, "a"), (5, "a"), (6, "b"), (14, "c")], 99, &["14 one:x:3"]),
        // What came out of order is put where it belongs.
        (sequence, &[(3, "c@3"), (4, "a@1"), (5, "b@2")], 99, &["5 one:x:3"]),
        (sequence, &[(0, "a"), (1, "b"), (2, "c"), (3, "c")], 99, &["2 one:x:3"]),
        (
            "{ any: [{ on: a, when: data.k == \"x\" }, { on: b }] }",
            &[(0, "a x"), (1, "a y"), (2, "b y")],
            9,
            &["0 one:x:1", "2 one:y:1"],
        ),
        // Silence is noticed once, and is over when it is heard again.
        (absent, &[(0, "beat"), (20, "tick.a"), (49, "beat")], 78, &[]),
        (absent, &[(0, "beat")], 30, &["30 one:x:1"]),
        (absent, &[(0, "beat"), (99, "beat"), (100, "beat")], 129, &["30 one:x:1", "99 -one:x"]),
        (absent, &[(0, "beat x"), (20, "beat y"), (40, "beat y")], 99, &["30 one:x:1", "70 one:y:1"]),
        // Also of one that was never heard.
        (expected, &[(20, "beat x")], 60, &["30 one:y:1", "50 one:x:1"]),
        (expected, &[], 29, &[]),
        (follow, &[(0, "start"), (9, "done")], 99, &[]),
        (follow, &[(0, "start"), (11, "done")], 99, &["10 one:x:1"]),
        (follow, &[(0, "start x"), (1, "start y"), (5, "done x")], 99, &["11 one:y:1"]),
        (follow, &[(0, "start"), (5, "start"), (12, "done")], 99, &["10 one:x:1"]),
        // What follows may come in before what it follows.
        (follow, &[(3, "done@3"), (4, "start@1")], 99, &[]),
        (follow, &[(0, "done"), (4, "start")], 99, &["14 one:x:1"]),
    ] {
        let set = bare(pattern);
        let mut windows = Windows::default();
        windows.adopt(&set, second(0));
        assert_eq!(tell(&set, &mut windows, &story(steps), until), expected, "{pattern}: {steps:?}");
    }
}

#[test]
fn what_is_over_is_waited_for_anew_where_it_is_expected() {
    let set = set(
        "rules:\n  - name: one\n    group_by: data.k\n    playbooks: restart_kernel\n    resolved: { on: planned }\n    pattern: { absent: beat, for: 30s, expect: [x], lateness: 0s }\n",
    );
    let mut windows = Windows::default();
    windows.adopt(&set, second(0));
    let steps = [(0, "beat y"), (20, "planned x"), (21, "planned y")];
    let told = tell(&set, &mut windows, &story(&steps), 99);
    assert_eq!(told, ["20 -one:x", "21 -one:y", "50 one:x:1"]);
}

#[test]
fn what_is_collected_fires_once_with_the_number() {
    let set = set(&one("group_by: data.k\npattern: { once_after: 30s, lateness: 0s }"));
    let steps = [(0, "a.b"), (10, "a.b"), (29, "a.b"), (30, "a.b"), (31, "a.b y")];
    assert_eq!(
        tell(&set, &mut Windows::default(), &story(&steps), 99),
        ["30 one:x:3", "60 one:x:1", "61 one:y:1"]
    );
}

#[test]
fn a_number_that_departs_from_its_baseline_fires() {
    let given =
        set(&one("group_by: topic\npattern: { change: data.n, above: 2.0, below: 0.5, baseline: 500 }"));
    let steps = [(0, "a.b 1000"), (1, "a.b 1001"), (2, "a.b 250"), (3, "a.b 249"), (4, "a.b none")];
    let fired = tell(&given, &mut Windows::default(), &story(&steps), 9);
    assert_eq!(fired, ["1 one:a.b:1", "3 one:a.b:1"]);

    let learned = set(&one("group_by: topic\npattern: { change: data.n, above: 2.0 }"));
    let steps: Vec<Step> =
        ["a.b 900", "a.b 100", "a.b 101", "a.b 99", "a.b 102", "a.b 205", "a.b 190", "a.b 98", "a.b 300"]
            .into_iter()
            .zip(0..)
            .map(|(what, at)| (at, what))
            .collect();
    // The first is odd too, but nothing is known yet.
    let fired = tell(&learned, &mut Windows::default(), &story(&steps), 9);
    assert_eq!(fired, ["5 one:a.b:1", "8 one:a.b:1"]);
}

#[test]
fn the_events_that_complete_a_pattern_come_with_the_firing() {
    let set = bare("{ sequence: [{ on: a }, { on: b }], within: 10s }");
    let mut windows = Windows::default();
    let events = story(&[(0, "a"), (1, "b")]);
    assert!(applied(&set, &mut windows, &events[0]).is_empty());
    let Firing::Fire(fired) = &applied(&set, &mut windows, &events[1])[0] else { panic!() };
    assert_eq!(fired.events.iter().map(|e| e.topic.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_timer_is_an_event_that_says_what_it_is_about() {
    let set = set(&one("group_by: data.k\npattern: { absent: beat, for: 30s, expect: [y] }\nintent: { target: \"${data.k}\" }").replace("    on: a.b\n", ""));
    let mut windows = Windows::default();
    windows.adopt(&set, second(0));
    let mut heard = story(&[(0, "beat x")])[0].clone().about("subject of x");
    heard.correlationid = Some("c".into());
    applied(&set, &mut windows, &heard);
    let mut due = Vec::new();
    windows.advance(&set, second(40), &mut due);
    let told: Vec<_> = due
        .iter()
        .map(|Timed { event, fired }| {
            let (topic, subject) = (event.topic.as_str(), event.subject.as_deref().unwrap());
            (
                event.id.as_str(),
                topic,
                subject,
                event.causationid.as_deref(),
                fired.target.as_deref().unwrap(),
            )
        })
        .collect();
    // One second of lateness is waited for.
    let topic = "paramedic.timer.absent";
    assert_eq!(
        told,
        [
            ("absent/one/x/31000000", topic, "subject of x", Some("0"), "x"),
            ("absent/one/y/31000000", topic, "y", None, "y"),
        ]
    );
    assert_eq!(due[0].event.arrival(), second(40));
    assert!(crate::rules::is_timer(&due[0].event));
}

#[test]
fn each_of_several_that_nothing_followed_is_a_timer_of_its_own() {
    let set = bare("{ not: { on: done }, after: { on: start }, within: 10s }");
    let mut windows = Windows::default();
    for event in story(&[(0, "start"), (0, "start"), (0, "start y")]) {
        applied(&set, &mut windows, &event);
    }
    let mut due = Vec::new();
    windows.advance(&set, second(60), &mut due);
    let ids: std::collections::BTreeSet<_> = due.iter().map(|timed| timed.event.id.clone()).collect();
    assert_eq!((due.len(), ids.len()), (3, 3), "{ids:?}");
}

#[test]
fn a_clock_that_is_years_ahead_silences_nothing() {
    let set = bare("{ absent: beat, for: 10s, lateness: 0s }");
    let steps = [(0, "beat@90000000"), (5, "beat"), (6, "beat@90000000")];
    assert_eq!(tell(&set, &mut Windows::default(), &story(&steps), 99), ["16 one:x:1"]);
    let set = self::set(&one("group_by: data.k\npattern: { once_within: 60s }"));
    let steps = [(0, "a.b@90000000"), (1, "a.b"), (2, "a.b@90000000"), (61, "a.b")];
    assert_eq!(tell(&set, &mut Windows::default(), &story(&steps), 99), ["0 one:x:1", "61 one:x:1"]);
}

#[test]
fn an_event_that_comes_late_still_gets_the_whole_time() {
    // A backlog of an hour ago: what should follow stands right behind it.
    let set = bare("{ not: { on: done }, after: { on: start }, within: 10s }");
    let mut windows = Windows::default();
    let backlog = [(3_600, "start@0"), (3_600, "done@5"), (3_601, "start@100"), (3_605, "done@200")];
    assert_eq!(tell(&set, &mut windows, &story(&backlog), 3_610), [""; 0]);
    let late = tell(&set, &mut windows, &[], 3_611);
    assert_eq!(late, ["3611 one:x:1"], "nothing followed the second in time");
    assert_eq!(windows.tally().late, 4);
}

#[test]
fn a_schedule_fires_by_the_calendar_and_makes_up_for_what_was_missed_once() {
    let set = set(
        "rules:\n  - name: one\n    schedule: { cron: \"*/5 * * * *\" }\n    playbooks: restart_kernel\n    intent: { target: all }\n",
    );
    let mut windows = Windows::default();
    windows.adopt(&set, second(10));
    let advance = |windows: &mut Windows, now: i64| -> Vec<(i64, u64)> {
        let mut due = Vec::new();
        windows.advance(&set, second(now), &mut due);
        let missed = |timed: &Timed| timed.event.data.value()["missed"].as_u64().unwrap();
        due.iter().map(|timed| (timed.event.time.timestamp(), missed(timed))).collect()
    };
    assert_eq!(advance(&mut windows, 299), []);
    assert_eq!(windows.due(), Some(second(300)));
    assert_eq!(advance(&mut windows, 300), [(300, 0)]);
    // A restart: what is due is known from before, and what was missed comes once, if it is not too long ago.
    let mut windows = Windows::restore(&windows.save()).unwrap();
    windows.adopt(&set, second(1_500));
    assert_eq!(advance(&mut windows, 1_501), [(1_500, 3)]);
    assert_eq!(advance(&mut windows, 1_799), []);
    assert_eq!(advance(&mut windows, 1_800), [(1_800, 0)]);
    let nightly = self::set(
        "rules:\n  - name: one\n    schedule: \"0 2 * * *\"\n    playbooks: restart_kernel\n    intent: { target: all }\n",
    );
    let mut windows = Windows::default();
    windows.adopt(&nightly, second(0));
    let mut due = Vec::new();
    windows.advance(&nightly, second(9 * 3_600), &mut due);
    assert!(due.is_empty(), "nobody wants at nine what was due at two");
    assert_eq!(windows.due(), Some(second(26 * 3_600)));
}

#[test]
fn a_group_that_waits_is_not_forgotten_for_another() {
    let set = bare("{ absent: beat, for: 30s }");
    let mut windows = Windows::default();
    let beat = |n: i64| event("beat", 0, json!({"k": n}));
    for n in 0..10_050 {
        applied(&set, &mut windows, &beat(n));
    }
    assert_eq!((windows.len(), windows.tally().refused, windows.tally().evicted), (10_000, 50, 0));
    let (_, notes) = windows.preview(&set, &Arc::new(beat(10_049)), &[Hit { rule: 0, part: 0 }]);
    assert_eq!(notes.len(), 1);
    let mut due = Vec::new();
    windows.advance(&set, second(60), &mut due);
    assert_eq!(due.len(), 10_000, "each of them is told");
    assert!(applied(&set, &mut windows, &beat(10_049)).is_empty());
    assert!(windows.len() <= 10_000, "those that were told make room");
    let (_, heard) = windows.preview(&set, &Arc::new(beat(10_049)), &[Hit { rule: 0, part: 0 }]);
    assert!(matches!(heard[0].why, Why::Heard(_)), "{heard:?}");
}

/// A rule of each kind on the topics of [`steps`].
const EACH: &str = "
rules:
  - { name: count, on: a, group_by: data.k, playbooks: restart_kernel, pattern: { count: 3, within: 10s }, resolved: { on: d } }
  - { name: once, on: [a, b], group_by: data.k, playbooks: restart_kernel, pattern: { once_within: 10s } }
  - { name: after, on: a, group_by: data.k, playbooks: restart_kernel, pattern: { once_after: 7s } }
  - { name: all, playbooks: restart_kernel, group_by: data.k, pattern: { all: [{ on: a }, { on: b }, { on: c }], within: 12s } }
  - { name: seq, playbooks: restart_kernel, group_by: data.k, pattern: { sequence: [{ on: a }, { on: b }, { on: a }], within: 12s } }
  - { name: not, playbooks: restart_kernel, group_by: data.k, pattern: { not: { on: c }, after: { on: b }, within: 6s } }
  - { name: absent, playbooks: restart_kernel, group_by: data.k, pattern: { absent: a, for: 9s, expect: [x, q] } }
  - { name: change, on: a, playbooks: restart_kernel, group_by: data.k, pattern: { change: data.n, above: 1.5 } }
  - { name: any, playbooks: restart_kernel, group_by: data.k, pattern: { any: [{ on: c, when: data.n > 50 }, { on: d }] } }
";

prop_compose! {
    fn steps()(
        gaps in prop::collection::vec((0_i64..6, 0_i64..4, 0_usize..4, 0_usize..2, 0_i64..100), 1..60),
    ) -> Vec<Event> {
        let mut now = 0;
        gaps.into_iter().zip(0..).map(|((gap, late, topic, group, n), number)| {
            now += gap;
            let happened = if late == 3 { now - 8 } else { now };
            let k = if group == 0 { "x" } else { "y" };
            let data = json!({"k": k, "n": n});
            let mut event = event(["a", "b", "c", "d"][topic], happened, data);
            event.id = format!("{number}");
            event.arrived = Some(second(now));
            event
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_at_any_point_changes_nothing(events in steps(), cut in 0_usize..60, ticks in prop::collection::vec(0_i64..200, 0..5)) {
        let set = set(EACH);
        let mut through = Windows::default();
        through.adopt(&set, second(0));
        let expected = tell(&set, &mut through, &events, 1_000);
        prop_assert!(!expected.is_empty());
        // Killed after `cut` events: what was saved, and the events since, are all that is left.
        let cut = cut.min(events.len());
        let saved_at = cut / 2;
        let mut first = Windows::default();
        first.adopt(&set, second(0));
        let start = events[..saved_at].last().map_or(0, |e| e.arrival().timestamp());
        let mut told = tell(&set, &mut first, &events[..saved_at], start);
        let saved = first.save();
        let killed = events[..cut].last().map_or(0, |e| e.arrival().timestamp());
        let mut again = Windows::restore(&saved).unwrap();
        told.extend(tell(&set, &mut again, &events[saved_at..cut], killed));
        // A reload that leaves the patterns alone, and a clock that ticks now and then.
        again.adopt(&set, second(killed));
        let mut ticks: Vec<i64> = ticks.iter().map(|tick| killed + tick).collect();
        ticks.sort_unstable();
        let mut ticks = ticks.into_iter().peekable();
        for event in &events[cut..] {
            let at = event.arrival().timestamp();
            while let Some(tick) = ticks.next_if(|tick| *tick <= at) {
                told.extend(tell(&set, &mut again, &[], tick));
            }
            told.extend(tell(&set, &mut again, std::slice::from_ref(event), at));
        }
        told.extend(tell(&set, &mut again, &[], 1_000));
        prop_assert_eq!(told, expected);
    }
}
