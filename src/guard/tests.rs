//! What each guard stops, shown against the same facts without it.

mod memory;

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::model::clock::micros;
use crate::model::intent::{Attempt, Plan, Rate};
use crate::model::{Event, IntentId, RunId, Span, Topic, intent};

fn at(second: i64) -> Time {
    micros(second * 1_000_000)
}

fn intent(guard: intent::Guard) -> Intent {
    let event = Event::new("e1", Topic::try_new("a.b").unwrap(), "test", at(0), json!(null));
    let plan = Plan { guard, expire: Span::secs(900), ..Plan::default() };
    Intent::new(IntentId::new(at(0), 1), "r", "k1", "k1", Arc::new(event), Arc::new(plan), at(0))
}

fn attempt(number: u32, escalation: bool) -> Attempt {
    Attempt {
        number,
        playbook: "p".into(),
        run: RunId::new(at(0), u128::from(number)),
        escalation,
        confidence: 0.5,
        started_at: at(0),
        ended_at: None,
        outcome: None,
        ended_by: Default::default(),
        message: None,
    }
}

fn facts(intent: &Intent, now: i64) -> Facts<'_> {
    Facts {
        intent,
        now: at(now),
        last_start: None,
        rule_starts: &[],
        confidence: None,
        approved: false,
        fleet: None,
        frozen: None,
        forgotten: Forgotten::default(),
    }
}

fn ruling(facts: &Facts<'_>) -> (String, &'static str, Option<Time>) {
    let ruling = combine(facts);
    let (word, until) = match ruling.verdict {
        Verdict::Allow => ("allow", None),
        Verdict::Wait { until, .. } => ("wait", Some(until)),
        Verdict::Ask { .. } => ("ask", None),
        Verdict::Deny { expired: true, .. } => ("expire", None),
        Verdict::Deny { .. } => ("deny", None),
    };
    (ruling.guard, word, until)
}

#[test]
fn a_rule_without_limits_acts_at_once() {
    assert_eq!(ruling(&facts(&intent(intent::Guard::default()), 0)), (String::new(), "allow", None));
}

#[test]
fn nothing_that_could_mean_everything_is_acted_on() {
    for (target, word) in [
        ("k1", "allow"),
        ("db-1.eu:5432", "allow"),
        ("allocator", "allow"),
        ("", "deny"),
        ("  ", "deny"),
        ("*", "deny"),
        ("kernel-?", "deny"),
        ("kernels.>", "deny"),
        ("all", "deny"),
        ("ALL", "deny"),
        ("${data.kernel}", "deny"),
        ("()", "deny"),
        ("null", "deny"),
        ("k1\nk2", "deny"),
    ] {
        let mut it = intent(intent::Guard::default());
        it.target = target.into();
        assert_eq!(ruling(&facts(&it, 0)).1, word, "{target:?}");
    }
}

#[test]
fn an_old_wish_is_not_acted_on_but_a_ladder_goes_on() {
    let mut it = intent(intent::Guard::default());
    assert_eq!(ruling(&facts(&it, 899)).1, "allow");
    assert_eq!(ruling(&facts(&it, 900)), ("expire".into(), "expire", None));
    it.attempts.push(attempt(1, false));
    assert_eq!(ruling(&facts(&it, 900)).1, "allow");
}

#[test]
fn after_the_last_attempt_it_is_a_persons_turn() {
    for (most, made, escalations, word) in [
        (None, 2, 5, "allow"),
        (None, 3, 0, "deny"),
        (Some(1), 0, 1, "allow"),
        (Some(1), 1, 0, "deny"),
        (Some(5), 4, 0, "allow"),
    ] {
        let mut it = intent(intent::Guard { max_attempts: most, ..Default::default() });
        it.attempts = (0..made).map(|n| attempt(n + 1, false)).collect();
        it.attempts.extend((0..escalations).map(|n| attempt(made + n + 1, true)));
        assert_eq!(ruling(&facts(&it, 1)).1, word, "{most:?} {made}");
    }
}

#[test]
fn a_failure_that_must_persist_is_waited_for() {
    let it = intent(intent::Guard { hold_down: Some(Span::secs(60)), ..Default::default() });
    assert_eq!(ruling(&facts(&it, 10)), ("hold_down".into(), "wait", Some(at(60))));
    assert_eq!(ruling(&facts(&it, 60)).1, "allow");
}

#[test]
fn a_target_just_repaired_is_left_alone_for_a_while() {
    let mut it = intent(intent::Guard { cooldown: Some(Span::secs(300)), ..Default::default() });
    let last_start = Some(at(-100));
    assert_eq!(ruling(&facts(&it, 0)).1, "allow");
    let with = |it: &Intent, now| ruling(&Facts { last_start, ..facts(it, now) });
    assert_eq!(with(&it, 0), ("cooldown".into(), "wait", Some(at(200))));
    assert_eq!(with(&it, 200).1, "allow");
    it.attempts.push(attempt(1, false));
    assert_eq!(with(&it, 0).1, "allow", "the next attempt of the ladder does not wait");
}

#[test]
fn a_rule_starts_no_more_than_its_rate() {
    let rate = Some(Rate { count: 2, within: Span::secs(60) });
    let it = intent(intent::Guard { rate, ..Default::default() });
    for (starts, word, until) in [
        (vec![0], "allow", None),
        (vec![0, 30], "wait", Some(at(60))),
        (vec![30, 0, 40], "wait", Some(at(90))),
        (vec![-20, -15], "allow", None),
    ] {
        let starts: Vec<Time> = starts.into_iter().map(at).collect();
        let (_, got, when) = ruling(&Facts { rule_starts: &starts, ..facts(&it, 45) });
        assert_eq!((got, when), (word, until), "{starts:?}");
    }
}

#[test]
fn a_person_is_asked_where_nobody_can_be_sure_and_only_once() {
    let it = intent(intent::Guard { ask_below: Some(0.6), ..Default::default() });
    for (confidence, approved, word) in [
        (None, false, "allow"),
        (Some(0.59), false, "ask"),
        (Some(0.6), false, "allow"),
        (Some(0.1), true, "allow"),
    ] {
        let (guard, got, _) = ruling(&Facts { confidence, approved, ..facts(&it, 0) });
        assert_eq!(got, word, "{confidence:?}");
        assert_eq!(guard == "ask_below", word == "ask");
    }
}

#[test]
fn the_strictest_guard_wins_and_is_named() {
    let guard = intent::Guard {
        hold_down: Some(Span::secs(60)),
        cooldown: Some(Span::secs(300)),
        ask_below: Some(0.9),
        ..Default::default()
    };
    let mut it = intent(guard);
    let with = |it: &Intent, now| {
        ruling(&Facts { last_start: Some(at(-100)), confidence: Some(0.5), ..facts(it, now) })
    };
    assert_eq!(with(&it, 0), ("cooldown".into(), "wait", Some(at(200))));
    assert_eq!(with(&it, 250).0, "ask_below");
    it.target = "*".into();
    assert_eq!(with(&it, 0), ("target".into(), "deny", None));
}

#[test]
fn no_more_than_a_share_of_a_group_is_touched_and_always_one() {
    let it = |share| intent(intent::Guard { blast_radius: Some(share), ..Default::default() });
    for (share, size, touched, word, until) in [
        (0.1, 1, vec![], "allow", None),
        (0.1, 5, vec![], "allow", None),
        (0.1, 5, vec![0], "wait", Some(at(1_800))),
        (0.1, 5, vec![-1_800], "allow", None),
        (0.1, 20, vec![0], "allow", None),
        (0.1, 29, vec![10, 0], "wait", Some(at(1_800))),
        (0.29, 100, (0..28).collect(), "allow", None),
        (0.29, 100, (0..29).collect(), "wait", Some(at(1_800))),
        (0.1, 20, vec![0, 5, 10], "wait", Some(at(1_805))),
        (1.0, 3, vec![0, 0], "allow", None),
    ] {
        let it = it(share);
        let fleet = Some(Fleet { name: "web", size, touched: touched.iter().map(|s| at(*s)).collect() });
        let (_, got, when) = ruling(&Facts { fleet, ..facts(&it, 20) });
        assert_eq!((got, when), (word, until), "{share} of {size}, {touched:?}");
    }
    let fleet = Some(Fleet { name: "web", size: 5, touched: vec![at(0)] });
    let free = intent(intent::Guard::default());
    assert_eq!(
        ruling(&Facts { fleet, ..facts(&free, 20) }).1,
        "allow",
        "a rule without the guard is not held"
    );
}

#[test]
fn what_is_frozen_waits_and_is_looked_at_again_in_bounded_time() {
    let freeze = |until: Option<i64>| Freeze {
        scope: crate::freeze::Scope::All,
        reason: String::new(),
        by: String::new(),
        since: at(0),
        until: until.map(at),
    };
    let mut it = intent(intent::Guard::default());
    for (until, tried, wait) in
        [(None, false, 900), (Some(60), false, 60), (None, true, 10 + 86_400), (Some(5_000), true, 5_000)]
    {
        it.attempts = if tried { vec![attempt(1, false)] } else { vec![] };
        let frozen = freeze(until);
        let got = ruling(&Facts { frozen: Some(&frozen), ..facts(&it, 10) });
        assert_eq!(got, ("freeze".into(), "wait", Some(at(wait))), "{until:?} {tried}");
    }
}
