//! The bodies of the endpoints as the original system named them, and what a restart keeps.

mod restart;

use serde_json::json;

use super::*;
use crate::learning::Learner;
use crate::model::clock::micros;
use crate::model::{EndedBy, Outcome, Priority, Status, Topic};

const NOW: i64 = 100 * 3_600;

fn at(seconds: i64) -> Time {
    micros((NOW + seconds) * 1_000_000)
}

fn event(id: u64, topic: &str, seconds: i64, data: Value) -> Event {
    Event::new(id.to_string(), Topic::try_new(topic).unwrap(), "test", at(seconds), data)
}

fn told(events: &[(&str, i64, Value)]) -> Aggregator {
    let mut it = Aggregator::default();
    for (n, (topic, seconds, data)) in events.iter().enumerate() {
        it.observe(n as u64 + 1, &event(n as u64, topic, *seconds, data.clone()), at(0));
    }
    it
}

fn intent(n: u128, status: Status) -> Intent {
    let event = event(1, "telemetry.stress.boot_failed", 0, json!({}));
    let (id, plan) = (IntentId::new(at(0), n), Default::default());
    let new = Intent::new(id, "kernel-boot-failed", "k1", "k1", std::sync::Arc::new(event), plan, at(0));
    Intent { status, priority: Priority::High, class: "timeout".into(), ..new }
}

fn outcome(n: u128, outcome: Outcome) -> OutcomeRecord {
    OutcomeRecord {
        intent: IntentId::new(at(0), n),
        attempt: 1,
        rule: "kernel-boot-failed".into(),
        class: "timeout".into(),
        target: "k1".into(),
        playbook: "restart_kernel".into(),
        source_hash: "abc".into(),
        outcome,
        ended_by: EndedBy::Itself,
        untimed: false,
        escalation: false,
        recovery_ms: 3_000,
        attempt_ms: 2_000,
        propensity: 1.0,
        confidence: 0.5,
        at: at(3),
        number: 0,
    }
}

fn keys(value: &Value, path: &str) -> Vec<String> {
    let object =
        value.pointer(path).and_then(Value::as_object).unwrap_or_else(|| panic!("{path} is no object"));
    object.keys().cloned().collect()
}

fn has(value: &Value, path: &str, names: &[&str]) {
    let keys = keys(value, path);
    for name in names {
        assert!(keys.iter().any(|k| k == name), "{path} lacks {name}: {keys:?}");
    }
}

fn a_stress_test() -> Aggregator {
    told(&[
        ("telemetry.stress.run_started", -60, json!({"run": "r0"})),
        (
            "telemetry.stress.boot_completed",
            -50,
            json!({"run": "r0", "kernel": "k1", "boot_duration_ms": 200, "kernels_activated": 18}),
        ),
        (
            "telemetry.stress.boot_completed",
            -40,
            json!({"run": "r0", "kernel": "k2", "boot_duration_ms": 220, "kernels_activated": 16}),
        ),
        (
            "telemetry.stress.boot_failed",
            -30,
            json!({"run": "r0", "kernel": "k3", "boot_duration_ms": 1200, "error": "timeout"}),
        ),
        (
            "telemetry.stress.slow_boot",
            -20,
            json!({"run": "r0", "kernel": "k4", "boot_duration_ms": 1200, "baseline_ms": 500}),
        ),
        ("telemetry.stress.run_completed", -10, json!({"run": "r0", "avg_kernels_activated": 16.6})),
        ("telemetry.stress.run_started", -5, json!({"run": "r1", "kernels": ["k1"]})),
        ("telemetry.kernel.healthy", -4, json!({"kernel": "k1", "layer": 1, "state": "healthy"})),
        (
            "telemetry.kernel.exited",
            -3,
            json!({"kernel": "k9", "layer": 2, "state": "exited", "reason": "signal 9"}),
        ),
        ("metric.stress.failures", -2, json!({"name": "stress.failures", "value": 1})),
        ("something.else", -1, json!({"kernel": "k7"})),
    ])
}

#[test]
fn stress_current_has_its_names_and_numbers() {
    let body = serde_json::to_value(a_stress_test().stress_current()).unwrap();
    has(&body, "/recent", &["avg_boot_time_ms", "avg_kernels_activated", "boot_time_trend", "success_rate"]);
    assert_eq!(body["recent"]["avg_boot_time_ms"], 210.0);
    assert_eq!(body["recent"]["avg_kernels_activated"], 17.0);
    assert_eq!(body["recent"]["boot_time_trend"], json!([200.0, 220.0]));
    assert_eq!(body["active_tests"][0]["id"], "r1");
    let ended = &body["recent"]["tests"][0];
    assert_eq!((&ended["id"], &ended["boots"], &ended["failures"]), (&json!("r0"), &json!(2), &json!(1)));
    assert_eq!(ended["kernels_activated"], 17, "the mean that our own stress test tells");
}

#[test]
fn stress_trends_has_its_names_and_numbers() {
    let body = serde_json::to_value(a_stress_test().stress_trends(24, at(0))).unwrap();
    assert_eq!(keys(&body, ""), ["hours", "regressions", "rows"]);
    assert_eq!(body["hours"], 24);
    let row = &body["rows"][0];
    has(
        &body,
        "/rows/0",
        &["hour", "boots", "avg_boot_time_ms", "p95_boot_time_ms", "failures", "success_rate"],
    );
    assert_eq!((&row["boots"], &row["failures"]), (&json!(2), &json!(1)));
    assert_eq!((&row["avg_boot_time_ms"], &row["p95_boot_time_ms"]), (&json!(210.0), &json!(220.0)));
}

#[test]
fn remediation_stats_has_its_names_and_numbers() {
    let (mut it, mut learner) = (Aggregator::default(), Learner::new());
    it.observe_intent(&intent(1, Status::Pending));
    it.observe_intent(&intent(1, Status::Running));
    for (n, status) in [
        (2, Status::Succeeded),
        (3, Status::Succeeded),
        (4, Status::Failed),
        (5, Status::Escalated),
        (6, Status::Stale),
    ] {
        it.observe_intent(&intent(n, Status::Pending));
        it.observe_intent(&intent(n, status));
        it.observe_intent(&intent(n, status));
    }
    for record in [outcome(2, Outcome::Fixed), outcome(2, Outcome::Fixed), outcome(4, Outcome::NotFixed)] {
        it.observe_outcome(&record);
        learner.observe(&record);
    }
    let body = serde_json::to_value(it.remediation_stats(vec![], learner.table())).unwrap();
    for (name, value) in [("total", 6), ("succeeded", 2), ("failed", 1), ("escalated", 1), ("other", 1)] {
        assert_eq!(body[name], value, "{name}");
    }
    assert_eq!((&body["success_rate"], &body["avg_recovery_ms"]), (&json!(0.5), &json!(3_000.0)));
    assert_eq!(body["open"], 1);
    let row = &body["playbooks"][0];
    assert_eq!((&row["playbook"], &row["class"]), (&json!("restart_kernel"), &json!("timeout")));
    assert_eq!((&row["attempts"], &row["successes"]), (&json!(2), &json!(1)));
    assert!(row["interval"][0].as_f64() < row["confidence"].as_f64());
    assert!(row["confidence"].as_f64() < row["interval"][1].as_f64());
}

#[test]
fn a_relapse_moves_an_outcome_and_does_not_add_one() {
    let mut it = Aggregator::default();
    it.observe_outcome(&outcome(1, Outcome::Fixed));
    it.observe_outcome(&outcome(1, Outcome::Relapsed));
    assert_eq!(it.remediation_stats(vec![], vec![]).outcomes, BTreeMap::from([("relapsed".to_owned(), 1)]));
}

#[test]
fn dashboard_has_its_names_and_numbers() {
    let body = serde_json::to_value(a_stress_test().dashboard(at(0))).unwrap();
    has(&body, "", &["performance", "reliability", "anomalies", "remediation", "layers", "health"]);
    has(&body, "/performance", &["avg_boot_time_ms", "avg_kernels_activated", "boot_time_trend"]);
    has(&body, "/reliability", &["total_tests", "passed", "failed", "success_rate", "failures_last_hour"]);
    has(&body, "/health", &["score", "status", "color", "components"]);
    has(&body, "/health/components", &["kernels", "stress", "performance", "remediation"]);
    assert_eq!(keys(&body, "/layers"), ["1", "2", "3"]);
    assert_eq!((&body["layers"]["1"]["healthy"], &body["layers"]["2"]["healthy"]), (&json!(1), &json!(0)));
    assert_eq!(body["layers"]["2"]["kernels"][0]["name"], "k9");
    assert_eq!((&body["reliability"]["total_tests"], &body["reliability"]["failed"]), (&json!(3), &json!(1)));
    let patterns = json!({"timeout": 1, "signal 9": 1, "slow_boot": 1});
    assert_eq!(body["anomalies"], json!({"recent_count": 3, "failure_patterns": patterns}));
    // (0.4 × 1/2 + 0.3 × 2/3 + 0.2 × 0.89) / 0.9: nothing was repaired yet.
    assert_eq!(
        (&body["health"]["score"], &body["health"]["components"]["remediation"]),
        (&json!(0.642), &Value::Null)
    );
}

#[test]
fn alerts_has_its_names_and_numbers() {
    let body = serde_json::to_value(a_stress_test().alerts(vec![], at(0))).unwrap();
    assert_eq!(keys(&body, ""), ["active", "degradations", "kernel_errors", "recent_failures"]);
    assert_eq!(body["recent_failures"][0]["error"], "timeout");
    let slow = &body["degradations"][0];
    assert_eq!(
        (&slow["kernel"], &slow["value"], &slow["baseline"]),
        (&json!("k4"), &json!(1_200.0), &json!(500.0))
    );
    assert_eq!(
        (&body["kernel_errors"][0]["kernel"], &body["kernel_errors"][0]["error"]),
        (&json!("k9"), &json!("signal 9"))
    );
}

#[test]
fn an_expected_stop_is_no_error() {
    let it = told(&[("telemetry.kernel.exited", 0, json!({"kernel": "k1", "expected": true}))]);
    assert!(it.alerts(vec![], at(0)).kernel_errors.is_empty());
}

#[test]
fn a_restart_with_a_replay_shows_the_same_as_if_there_had_been_none() {
    let whole = a_stress_test();
    let events = [
        event(
            100,
            "telemetry.stress.boot_completed",
            -7_300,
            json!({"kernel": "k1", "boot_duration_ms": 90}),
        ),
        event(101, "telemetry.stress.boot_failed", 0, json!({"kernel": "k2", "error": "panic"})),
    ];
    let mut through = whole.clone();
    (100..).zip(&events).for_each(|(n, e)| through.observe(n, e, at(0)));

    let mut again = Aggregator::default();
    again.restore(whole.snapshot().unwrap()).unwrap();
    // The replay brings what the snapshot has counted, too.
    let counted = event(1, "telemetry.stress.boot_completed", -50, json!({"boot_duration_ms": 200}));
    again.observe(whole.position().unwrap(), &counted, at(5));
    (100..).zip(&events).for_each(|(n, e)| again.observe(n, e, at(0)));
    assert_eq!(again.snapshot(), through.snapshot());
    assert_eq!(again.stress_trends(24, at(0)), through.stress_trends(24, at(0)));
    assert_eq!(again.stress_trends(24, at(0)).rows.len(), 3);
}

#[test]
fn repairs_are_counted_once_over_a_restart_whatever_happened_after_the_snapshot() {
    let mut through = Aggregator::default();
    through.observe_intent(&intent(1, Status::Succeeded));
    through.observe_intent(&intent(2, Status::Running));
    through.observe_intent(&intent(3, Status::Running));
    let saved = through.snapshot().unwrap();
    let later = |n: u128, status| {
        let it = intent(n, status);
        let at = at(100 + n as i64);
        Intent { id: IntentId::new(at, n), created_at: at, updated_at: at, ..it }
    };
    let ended = [
        intent(1, Status::Succeeded),
        Intent { updated_at: at(90), ..intent(2, Status::Failed) },
        later(4, Status::Succeeded),
    ];
    let open = [intent(3, Status::Running), later(5, Status::Pending)];
    ended.iter().chain(&open).for_each(|it| through.observe_intent(it));

    let mut again = Aggregator::default();
    again.restore(saved).unwrap();
    let complete = intent(3, Status::Running).updated_at - chrono::TimeDelta::seconds(10);
    assert_eq!(again.intents_as_of(), Some(complete), "one may be counted late");
    again.resume(&open.each_ref().map(|it| it.id));
    ended.iter().for_each(|it| again.resume_ended(it));
    let counts = |it: &Aggregator| {
        let it = it.dashboard(at(0)).remediation;
        (it.total, it.active, it.succeeded, it.failed)
    };
    assert_eq!(counts(&again), (5, 2, 2, 1));
    assert_eq!(counts(&again), counts(&through));
}

#[test]
fn a_snapshot_that_is_not_ours_changes_nothing() {
    let mut it = a_stress_test();
    let before = it.snapshot();
    let error = it.restore(json!({"stress": 7})).unwrap_err();
    assert!(error.to_string().contains("not readable"), "{error}");
    assert_eq!(it.snapshot(), before);
}

#[test]
fn a_flood_keeps_a_thousand_boots_and_five_hundred_failures_and_counts_all() {
    let mut it = Aggregator::default();
    for n in 0..3_000 {
        let boot = event(n, "telemetry.stress.boot_completed", 0, json!({"boot_duration_ms": n}));
        it.observe(2 * n + 1, &boot, at(0));
        let failure = event(10_000 + n, "telemetry.stress.boot_failed", 0, json!({"error": "timeout"}));
        it.observe(2 * n + 2, &failure, at(0));
    }
    assert_eq!((it.state.stress.boots.len(), it.state.stress.failures.len()), (1_000, 500));
    let body = it.dashboard(at(0));
    assert_eq!((body.reliability.total_tests, body.reliability.success_rate), (6_000, Some(0.5)));
    assert_eq!(body.performance.boot_time_trend.len(), 50);
}

#[test]
fn kernels_that_the_registry_no_longer_names_are_gone_and_others_stay() {
    let mut it = told(&[("telemetry.kernel.healthy", 0, json!({"kernel": "elsewhere", "layer": 3}))]);
    let kernel =
        |name: &str| KernelState { name: name.into(), layer: 1, state: "healthy".into(), since: None };
    it.set_kernels(vec![kernel("a"), kernel("b")]);
    it.set_kernels(vec![kernel("b")]);
    let layers = it.dashboard(at(0)).layers;
    assert_eq!((layers["1"].total, layers["3"].total), (1, 1));
}

#[test]
fn without_any_data_nothing_is_perfect() {
    let body = serde_json::to_value(Aggregator::default().dashboard(at(0))).unwrap();
    assert_eq!((&body["health"]["score"], &body["health"]["status"]), (&Value::Null, &json!("unknown")));
    assert_eq!(body["reliability"]["success_rate"], Value::Null);
}
