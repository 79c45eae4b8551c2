//! A restart counts everything once, wherever the engine was killed.

use proptest::prelude::*;

use super::*;

/// What an aggregator is told.
#[derive(Clone, Debug)]
enum Told {
    Event {
        failed: bool,
        in_doubt: bool,
    },
    /// An intent ends, and is heard of so many steps later: commits are answered in any order.
    Intent {
        succeeded: bool,
        late: usize,
    },
    Outcome {
        fixed: bool,
        late: usize,
    },
    Save,
}

fn said() -> impl Strategy<Value = Told> {
    prop_oneof![
        6 => (any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(failed, in_doubt)| Told::Event { failed, in_doubt }),
        3 => (any::<bool>(), 0..4_usize).prop_map(|(succeeded, late)| Told::Intent { succeeded, late }),
        3 => (any::<bool>(), 0..4_usize).prop_map(|(fixed, late)| Told::Outcome { fixed, late }),
        2 => Just(Told::Save),
    ]
}

/// What is shown of all that was counted.
fn shown(it: &Aggregator) -> Value {
    let board = it.dashboard(at(0));
    let repairs = it.remediation_stats(vec![], vec![]);
    json!([board, repairs, it.stress_current(), it.stress_trends(24, at(0))])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Killed after any step, an engine that reads its last snapshot and what the store has after it shows what one
    /// that was never killed shows: nothing is counted twice, and nothing is missing.
    #[test]
    fn everything_is_counted_once_wherever_the_engine_was_killed(steps in prop::collection::vec(said(), 1..80)) {
        // What the store holds at the end.
        let (mut log, mut ended, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut live, mut learner) = (Aggregator::default(), Learner::default());
        let mut waiting: Vec<(usize, Told, usize)> = Vec::new();
        let mut saved: (Option<Value>, u64) = (None, 0);
        for (step, told) in steps.iter().enumerate() {
            match told {
                Told::Event { failed, in_doubt } => {
                    let topic = if *failed { "telemetry.stress.boot_failed" } else { "telemetry.stress.boot_completed" };
                    let event = event(step as u64, topic, 0, json!({"boot_duration_ms": step, "error": "x"}));
                    log.push(event.clone());
                    match in_doubt {
                        true => live.observe_adrift(&event, at(0)),
                        false => live.observe(log.len() as u64, &event, at(0)),
                    }
                }
                Told::Intent { succeeded, late } => {
                    let status = if *succeeded { Status::Succeeded } else { Status::Stale };
                    let it = Intent { updated_at: at(step as i64), ..intent(step as u128, status) };
                    waiting.push((step + late, told.clone(), ended.len()));
                    ended.push(it);
                }
                Told::Outcome { fixed, late } => {
                    let came = if *fixed { Outcome::Fixed } else { Outcome::NotFixed };
                    let number = learner.number();
                    let record = OutcomeRecord { number, ..outcome(step as u128, came) };
                    waiting.push((step + late, told.clone(), outcomes.len()));
                    outcomes.push(record);
                }
                Told::Save => {
                    // In this order, as in the engine.
                    let position = learner.keep().and_then(|kept| kept.position).unwrap_or(0);
                    if let Some(snapshot) = live.snapshot() {
                        saved = (Some(snapshot), position);
                    }
                }
            }
            for (_, told, n) in waiting.extract_if(.., |(due, ..)| *due <= step) {
                match told {
                    Told::Intent { .. } => {
                        live.observe_intent(&ended[n]);
                        if let Some(untried) = OutcomeRecord::untried(&ended[n]) {
                            live.observe_outcome(&untried);
                        }
                    }
                    _ => {
                        drop(learner.observe(&outcomes[n]));
                        live.observe_outcome(&outcomes[n]);
                        learner.settle(outcomes[n].number);
                    }
                }
            }
        }
        let mut exact = Aggregator::default();
        (1..).zip(&log).for_each(|(n, event)| exact.observe(n, event, at(0)));
        ended.iter().for_each(|it| exact.resume_ended(it));
        outcomes.iter().for_each(|it| exact.observe_outcome(it));

        let mut again = Aggregator::default();
        if let Some(snapshot) = saved.0 {
            again.restore(snapshot).unwrap();
        }
        let after = again.position().unwrap_or(0) as usize;
        (after as u64 + 1..).zip(&log[after..]).for_each(|(n, event)| again.observe(n, event, at(0)));
        let since = again.intents_as_of();
        let found: Vec<Intent> = ended.into_iter().filter(|it| since.is_none_or(|at| it.updated_at >= at)).collect();
        found.iter().for_each(|it| again.resume_ended(it));
        outcomes.iter().filter(|it| it.number > saved.1).for_each(|it| again.observe_outcome(it));
        prop_assert_eq!(shown(&again), shown(&exact));
    }
}
