//! What the learner promises: each attempt counts once, choices are explained, and the world may change.

use super::*;
use crate::model::clock::micros;
use crate::model::{Decision, EndedBy, IntentId, Outcome, OutcomeRecord, Priority, Risk, Span, Time};

fn now() -> Time {
    micros(0)
}

fn record(n: u128, playbook: &str, class: &str, outcome: Outcome) -> OutcomeRecord {
    OutcomeRecord {
        intent: IntentId::new(now(), n),
        attempt: 1,
        rule: "r".into(),
        class: class.into(),
        target: "k1".into(),
        playbook: playbook.into(),
        source_hash: "h1".into(),
        outcome,
        ended_by: EndedBy::Itself,
        untimed: false,
        escalation: false,
        recovery_ms: 120_000,
        attempt_ms: 120_000,
        propensity: 1.0,
        confidence: 0.5,
        at: now(),
        number: 0,
    }
}

/// A learner told of `fixed` and `failed` outcomes for each (playbook, class), mixed evenly.
fn taught(told: &[(&str, &str, u32, u32)]) -> Learner {
    let (mut learner, mut n) = (Learner::new(), 0);
    for (playbook, class, fixed, failed) in told {
        let (mut f, mut s) = (0, 0);
        while s + f < fixed + failed {
            let good = s * failed <= f * fixed && s < *fixed || f == *failed;
            (s, f) = (s + u32::from(good), f + u32::from(!good));
            n += 1;
            let outcome = if good { Outcome::Fixed } else { Outcome::NotFixed };
            learner.observe(&record(n, playbook, class, outcome));
        }
    }
    learner
}

fn candidate(playbook: &str, risk: Risk, minutes: u64) -> Candidate {
    Candidate { playbook: playbook.into(), hash: "h1".into(), risk, cost: Span::secs(60 * minutes) }
}

fn situation(seed: u64) -> Situation<'static> {
    Situation {
        class: "timeout",
        priority: Priority::Normal,
        tried: &[],
        attempts_left: 3,
        person: Learner::PERSON,
        seed,
        now: now(),
    }
}

fn chosen(learner: &Learner, candidates: &[Candidate], situation: &Situation<'_>) -> Decision {
    learner.clone().choose(candidates, situation).unwrap()
}

#[test]
fn only_verified_outcomes_count_and_each_attempt_once() {
    let mut learner = Learner::new();
    for outcome in
        [Outcome::SelfRecovered, Outcome::Stale, Outcome::Denied, Outcome::Interrupted, Outcome::Unverified]
    {
        learner.observe(&record(1, "p", "timeout", outcome));
    }
    learner.observe(&OutcomeRecord { escalation: true, ..record(2, "p", "timeout", Outcome::Fixed) });
    learner.observe(&record(3, "", "timeout", Outcome::NotFixed));
    assert_eq!(learner.posterior("p", "h1", "timeout").attempts, 0);
    for _ in 0..10_000 {
        learner.observe(&record(4, "p", "timeout", Outcome::Fixed));
    }
    let known = learner.posterior("p", "h1", "timeout");
    assert_eq!((known.attempts, known.successes, known.n), (1, 1, 1));
    learner.observe(&OutcomeRecord { attempt: 2, ..record(4, "p", "timeout", Outcome::Fixed) });
    assert_eq!(learner.posterior("p", "h1", "timeout").attempts, 2);
}

#[test]
fn what_a_freeze_or_a_downtime_ended_is_not_learned_and_takes_no_time() {
    let mut learner = Learner::new();
    for (n, ended_by) in EndedBy::ALL.into_iter().filter(|it| !it.is_itself()).enumerate() {
        for outcome in [Outcome::Failed, Outcome::NotFixed, Outcome::Fixed] {
            let record = OutcomeRecord { ended_by, ..record(n as u128 + 10, "p", "timeout", outcome) };
            learner.observe(&record);
        }
    }
    let known = learner.posterior("p", "h1", "timeout");
    assert_eq!((known.attempts, known.n, known.mean_minutes), (0, 0, None));
    // One that was held for a while and fixed it all the same says that it works, and not how long it takes.
    learner.observe(&OutcomeRecord { untimed: true, ..record(1, "p", "timeout", Outcome::Fixed) });
    let known = learner.posterior("p", "h1", "timeout");
    assert_eq!((known.attempts, known.mean_minutes), (1, None));
    learner.observe(&record(2, "p", "timeout", Outcome::Fixed));
    assert_eq!(learner.posterior("p", "h1", "timeout").mean_minutes, Some(2.0));
}

#[test]
fn a_fix_that_comes_undone_counts_as_a_failure_from_then_on() {
    let told = [("p", "timeout", 5, 2), ("p", "panic", 3, 1)];
    let (mut relapsed, mut plain) = (taught(&told), taught(&told));
    relapsed.observe(&record(1_000, "p", "timeout", Outcome::Fixed));
    relapsed.observe(&record(1_000, "p", "timeout", Outcome::Relapsed));
    plain.observe(&record(1_000, "p", "timeout", Outcome::NotFixed));
    let close = |a: Posterior, b: Posterior| {
        assert_eq!((a.attempts, a.successes, a.n), (b.attempts, b.successes, b.n));
        assert!((a.mean - b.mean).abs() < 1e-6, "{a:?} {b:?}");
    };
    for class in ["timeout", "panic", "never"] {
        close(relapsed.posterior("p", "h1", class), plain.posterior("p", "h1", class));
    }
    // And taken back altogether.
    relapsed.observe(&record(1_000, "p", "timeout", Outcome::Unverified));
    close(relapsed.posterior("p", "h1", "timeout"), taught(&told).posterior("p", "h1", "timeout"));
}

#[test]
fn a_class_never_seen_is_judged_by_its_siblings() {
    let learner =
        taught(&[("p", "a", 9, 1), ("p", "b", 8, 1), ("p", "c", 10, 0), ("q", "a", 1, 9), ("q", "b", 0, 9)]);
    let (good, bad) = (learner.posterior("p", "h1", "never"), learner.posterior("q", "h1", "never"));
    assert!(good.mean > 0.75 && bad.mean < 0.25, "{good:?} {bad:?}");
    assert_eq!((good.n, good.attempts), (0, 0));
    let unheard = learner.posterior("z", "h1", "never");
    assert!((unheard.mean - 0.5).abs() < 1e-9 && unheard.interval[1] - unheard.interval[0] > 0.8);
}

#[test]
fn confidence_is_a_probability_and_no_score_that_drifts_to_one() {
    let learner = taught(&[("p", "timeout", 750, 250)]);
    let known = learner.posterior("p", "h1", "timeout");
    assert!((known.mean - 0.75).abs() < 0.01, "{known:?}");
    assert!(known.interval[0] > 0.72 && known.interval[1] < 0.78, "{known:?}");
}

#[test]
fn the_choice_goes_by_expected_minutes_and_says_so() {
    let learner = taught(&[("restart_kernel", "timeout", 24, 3), ("investigate_failure", "timeout", 12, 12)]);
    let candidates =
        [candidate("investigate_failure", Risk::Low, 2), candidate("restart_kernel", Risk::Low, 2)];
    let decision = chosen(&learner, &candidates, &situation(1));
    assert_eq!(decision.playbook, "restart_kernel");
    let known = learner.posterior("restart_kernel", "h1", "timeout");
    let minutes = 2.0 / known.mean;
    assert_eq!(
        decision.why,
        [format!(
            "restart_kernel: {:.2} ({:.2}–{:.2}, n=27), 2m → {minutes:.1} expected minutes; best of 2",
            known.mean, known.interval[0], known.interval[1]
        )]
    );
    assert_eq!(decision.candidates[0].playbook, "restart_kernel");
    assert_eq!(decision.candidates[1].playbook, "investigate_failure");
    assert!((decision.candidates[0].expected_minutes - minutes).abs() < 1e-9);
    assert!(decision.propensity > 0.95 && decision.propensity <= 1.0);
    assert_eq!(decision.confidence, known.mean);
}

#[test]
fn the_same_seed_chooses_the_same_and_others_explore() {
    let learner = taught(&[("p", "timeout", 2, 2), ("q", "timeout", 1, 1)]);
    let candidates = [candidate("p", Risk::Low, 2), candidate("q", Risk::Low, 2)];
    for seed in 0..50 {
        let one = chosen(&learner, &candidates, &situation(seed));
        assert_eq!(one, chosen(&learner, &candidates, &situation(seed)));
    }
    let share = (0..2_000)
        .map(|seed| chosen(&learner, &candidates, &situation(seed)))
        .filter(|decision| decision.playbook == "p")
        .count() as f64
        / 2_000.0;
    let said: f64 = (0..50)
        .map(|seed| chosen(&learner, &candidates, &situation(seed)))
        .find(|decision| decision.playbook == "p")
        .unwrap()
        .propensity;
    assert!((0.2..0.8).contains(&share) && (share - said).abs() < 0.06, "{share} {said}");
}

#[test]
fn nothing_is_tried_for_learning_when_it_is_critical_or_dangerous() {
    let learner = taught(&[("safe", "timeout", 6, 4), ("other", "timeout", 5, 5)]);
    let low = [candidate("other", Risk::Low, 2), candidate("safe", Risk::Low, 2)];
    let high = [candidate("other", Risk::High, 2), candidate("safe", Risk::High, 2)];
    for seed in 0..200 {
        let critical = Situation { priority: Priority::Critical, ..situation(seed) };
        for decision in [chosen(&learner, &low, &critical), chosen(&learner, &high, &situation(seed))] {
            assert_eq!((decision.playbook.as_str(), decision.propensity), ("safe", 1.0));
            assert!(decision.why.iter().any(|line| line.contains("for the sake of learning")));
        }
    }
    assert!((0..200).any(|seed| chosen(&learner, &low, &situation(seed)).playbook == "other"));
}

#[test]
fn what_was_tried_is_not_tried_again_and_nothing_is_left_at_the_end() {
    let learner = taught(&[("p", "timeout", 9, 1)]);
    let candidates = [candidate("p", Risk::Low, 2), candidate("q", Risk::Low, 2)];
    let tried = ["p".to_owned()];
    let decision = chosen(&learner, &candidates, &Situation { tried: &tried, ..situation(1) });
    assert_eq!(decision.playbook, "q");
    assert!(decision.why[0].ends_with("the only one left"), "{:?}", decision.why);
    assert_eq!(decision.why.last().unwrap(), "already tried for this intent: p");
    let both = ["p".to_owned(), "q".to_owned()];
    assert_eq!(learner.clone().choose(&candidates, &Situation { tried: &both, ..situation(1) }), None);
}

#[test]
fn measured_minutes_replace_the_declared_ones() {
    // Declared 20 minutes, each took 2: after 30 of them, (3 × 20 + 30 × 2) / 33.
    let learner = taught(&[("p", "timeout", 30, 0)]);
    let decision = chosen(&learner, &[candidate("p", Risk::Low, 20)], &situation(1));
    let known = learner.posterior("p", "h1", "timeout");
    assert_eq!(known.mean_minutes, Some(2.0));
    let minutes = decision.candidates[0].expected_minutes * known.mean;
    assert!((minutes - 120.0 / 33.0).abs() < 1e-9, "{minutes}");
}

#[test]
fn another_content_is_another_playbook() {
    let mut learner = taught(&[("p", "timeout", 30, 1)]);
    let fresh = learner.posterior("p", "h2", "timeout");
    assert_eq!((fresh.n, fresh.attempts), (0, 0));
    assert!(fresh.interval[0] < 0.3, "an edit may have broken it: {fresh:?}");
    learner
        .observe(&OutcomeRecord { source_hash: "h2".into(), ..record(999, "p", "timeout", Outcome::Fixed) });
    assert_eq!(learner.posterior("p", "h2", "timeout").n, 1);
    assert_eq!(learner.posterior("p", "h1", "timeout").n, 31, "going back finds what was known");
}

#[test]
fn a_playbook_that_stops_working_is_noticed_and_known_less_of() {
    let mut learner = taught(&[("p", "timeout", 38, 2), ("p", "panic", 10, 0)]);
    let before = learner.posterior("p", "h1", "timeout");
    let mut found = None;
    for n in 0..10 {
        let changes = learner.observe(&record(5_000 + n, "p", "timeout", Outcome::NotFixed));
        if let Some(change) = changes.into_iter().find(|c| c.kind == Kind::DriftSuspected) {
            found = Some((n, change));
            break;
        }
    }
    let (n, change) = found.unwrap();
    assert!(n <= 4, "after {n} failures");
    assert_eq!(change.class, "timeout");
    assert!(change.evidence.contains("p are not what was foreseen"), "{}", change.evidence);
    let after = learner.posterior("p", "h1", "timeout");
    assert!(after.n < before.n / 2 && after.attempts > before.attempts, "{before:?} {after:?}");
    assert!(learner.posterior("p", "h1", "panic").n <= 3, "the other classes are in doubt, too");
}

#[test]
fn a_relapse_of_before_the_drift_is_put_right_at_the_weight_it_has_now() {
    let mut learner = taught(&[("p", "timeout", 40, 0)]);
    for n in 0..4 {
        learner.observe(&record(5_000 + n, "p", "timeout", Outcome::NotFixed));
    }
    let before = learner.posterior("p", "h1", "timeout");
    for n in 1..=40 {
        learner.observe(&record(n, "p", "timeout", Outcome::Relapsed));
    }
    let after = learner.posterior("p", "h1", "timeout");
    assert_eq!((after.attempts, after.successes), (44, 0));
    assert!(after.mean < 0.25 && before.mean > 0.5, "{before:?} {after:?}");
}

#[test]
fn a_change_of_order_is_told_with_what_it_was_and_why() {
    let mut learner = taught(&[("p", "timeout", 6, 1), ("q", "timeout", 5, 2)]);
    let candidates = [candidate("p", Risk::Low, 2), candidate("q", Risk::Low, 2)];
    learner.choose(&candidates, &situation(1)).unwrap();
    let mut changes = vec![];
    for n in 0..3 {
        changes.extend(learner.observe(&record(7_000 + n, "p", "timeout", Outcome::NotFixed)));
    }
    let orders: Vec<_> = changes.iter().filter(|c| c.kind == Kind::Order).collect();
    assert_eq!(orders.len(), 1, "{changes:?}");
    assert_eq!(
        (&orders[0].before[..], &orders[0].after[..]),
        (&["p", "q"].map(String::from)[..], &["q", "p"].map(String::from)[..])
    );
    assert!(orders[0].evidence.starts_with("p was not_fixed and is now 0."), "{}", orders[0].evidence);
    assert!(learner.observe(&record(8_000, "p", "another class", Outcome::NotFixed)).is_empty());
}

#[test]
fn what_heals_by_itself_is_taken_off_where_it_was_watched() {
    let mut learner = taught(&[("p", "timeout", 20, 20)]);
    assert_eq!(learner.posterior("p", "h1", "timeout").own, None);
    // A third of a recovery a minute: in the two minutes that it takes, half heals alone.
    for n in 0..300 {
        learner.watched("timeout", 1.0, n % 3 == 0);
    }
    let decision = chosen(&learner, &[candidate("p", Risk::Low, 2)], &situation(1));
    assert!(decision.why.iter().any(|line| line.contains("heal by themselves")), "{:?}", decision.why);
    let known = learner.posterior("p", "h1", "timeout");
    assert!(known.own.unwrap() < 0.1 && known.mean > 0.45, "{known:?}");
}

#[test]
fn the_table_lists_what_is_known_in_a_fixed_order() {
    let learner = taught(&[("q", "b", 1, 0), ("q", "a", 0, 2), ("p", "z", 1, 1)]);
    let rows: Vec<_> =
        learner.table().into_iter().map(|r| (r.playbook, r.class, r.posterior.attempts)).collect();
    let expected = [("p", "z", 2), ("q", "a", 2), ("q", "b", 1)];
    assert_eq!(rows, expected.map(|(p, c, n)| (p.to_owned(), c.to_owned(), n)));
}

#[test]
fn what_was_learned_is_the_same_when_kept_over_a_restart_and_outcomes_told_again_count_once() {
    let outcomes: Vec<OutcomeRecord> = (0..400)
        .map(|n| {
            let (playbook, class) =
                (["a", "b", "c"][n as usize % 3], ["timeout", "panic"][n as usize / 3 % 2]);
            let outcome = if n * 7919 % 10 < 6 { Outcome::Fixed } else { Outcome::NotFixed };
            let hash = if n > 200 { "h2" } else { "h1" };
            OutcomeRecord {
                at: micros(n as i64 * 1_000_000),
                source_hash: hash.into(),
                ..record(n, playbook, class, outcome)
            }
        })
        .collect();
    let relapse = |n: usize, at: i64| OutcomeRecord {
        outcome: Outcome::Relapsed,
        at: micros(at),
        ..outcomes[n].clone()
    };
    let relapsed = outcomes.iter().position(|it| it.outcome == Outcome::Fixed).unwrap();
    let mut through = Learner::new();
    outcomes.iter().for_each(|it| drop(through.observe(it)));
    drop(through.observe(&relapse(relapsed, 500_000_000)));
    for stopped in [1, 3, 150, 201, 399] {
        let mut before = Learner::new();
        outcomes[..=stopped].iter().for_each(|it| drop(before.observe(it)));
        let kept = serde_json::to_string(&before.keep().unwrap()).unwrap();
        let mut after = Learner::from_kept(serde_json::from_str(&kept).unwrap()).unwrap();
        assert_eq!(after.as_of(), Some(outcomes[stopped].at));
        // Some of what is in it already is told again.
        outcomes[stopped.saturating_sub(10)..].iter().for_each(|it| drop(after.observe(it)));
        drop(after.observe(&relapse(relapsed, 500_000_000)));
        for (a, b) in after.table().iter().zip(through.table()) {
            let near = |x: f64, y: f64| (x - y).abs() < 0.02;
            assert_eq!((&a.playbook, &a.hash, &a.class), (&b.playbook, &b.hash, &b.class));
            assert_eq!(
                (a.posterior.attempts, a.posterior.successes),
                (b.posterior.attempts, b.posterior.successes)
            );
            assert!(near(a.posterior.mean, b.posterior.mean), "stopped at {stopped}: {a:?} {b:?}");
        }
        assert_eq!(after.table().len(), through.table().len());
    }
    assert!(Learner::new().keep().is_none());
}
