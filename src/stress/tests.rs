//! Stress tests of real processes.

use std::sync::Mutex;

use super::*;
use crate::kernels::Shim;

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Publisher for Heard {
    fn publish(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Is up after 200 ms, with what every Unix has: it is healthy when the process named in its file is alive.
fn kernel(dir: &std::path::Path, name: &str, layer: u8) -> Spec {
    let up = dir.join(name);
    let up = up.display();
    let script = format!("sleep 0.2; echo $$ > {up}; sleep 60");
    let look = format!("kill -0 $(cat {up})");
    let mut spec: Spec = serde_json::from_value(json!({
        "name": name, "layer": layer, "command": ["sh", "-c", script],
        "health": { "exec": ["sh", "-c", look] },
        "baseline_boot_ms": 400.0, "stop_grace": "100ms",
    }))
    .unwrap();
    spec.start_timeout = Span::secs(60);
    spec
}

fn plan(dir: &std::path::Path, breaks: &[&str]) -> Plan {
    Plan {
        kernels: vec![kernel(dir, "a", 1), kernel(dir, "b", 2)],
        runs: 2,
        breaks: breaks.iter().map(|text| text.parse().unwrap()).collect(),
        timeout: Span(std::time::Duration::from_millis(2_500)),
        dir: dir.join("stress"),
    }
}

async fn run(plan: Plan) -> (Report, Vec<Event>, Vec<Progress>) {
    let heard = Arc::new(Heard::default());
    let spawner = Spawner::new(Shim::none()).unwrap();
    let mut told = Vec::new();
    let report = boot(plan, spawner, heard.clone(), Clock::system(), |p| told.push(p.clone())).await.unwrap();
    let events = std::mem::take(&mut *heard.0.lock().unwrap());
    (report, events, told)
}

fn topics(events: &[Event], kernel: &str) -> String {
    let of = events.iter().filter(|event| event.subject.as_deref() == Some(kernel));
    of.map(|event| event.topic.as_str().rsplit('.').next().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_boot_is_measured_published_and_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let (report, events, told) = run(plan(dir.path(), &[])).await;
    assert_eq!((report.boots, report.failures, report.avg_kernels_activated), (4, 0, 2.0));
    let mean = report.avg_boot_time_ms.unwrap();
    assert!((200.0..1_500.0).contains(&mean) && report.p95_boot_time_ms.unwrap() >= mean, "{report:?}");
    assert_eq!((told.len(), told[3].round, told[3].kernel.as_str()), (4, 2, "b"));
    let lines = std::fs::read_to_string(&report.file).unwrap();
    let written: Vec<Event> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(written, events);
    let first = written[1].data.value();
    assert_eq!(
        (written[1].topic.as_str(), written[1].source.as_str()),
        ("telemetry.stress.boot_completed", "stress_test")
    );
    assert_eq!(
        (&first["kernel"], &first["layer"], &first["kernels_activated"]),
        (&"a".into(), &1.into(), &2.into())
    );
    assert_eq!(
        (&first["baseline_ms"], &first["error"], &first["run"]),
        (&400.0.into(), &Value::Null, &report.run.as_str().into())
    );
    assert!(first["boot_duration_ms"].as_f64().unwrap() >= 200.0);
    assert!(
        lines.ends_with("\n") && written.last().unwrap().topic.as_str() == "telemetry.stress.run_completed"
    );
}

#[tokio::test]
async fn kernels_broken_on_purpose_fail_in_the_way_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(dir.path(), &["a=hang", "b=crash"]);
    plan.runs = 1;
    let (report, events, _) = run(plan).await;
    assert_eq!((report.boots, report.failures, report.kernels["a"]), (2, 2, [1, 1]));
    assert_eq!((topics(&events, "a"), topics(&events, "b")), ("boot_failed".into(), "boot_failed".into()));
    assert_eq!(
        (&events[1].data.value()["error"], &events[2].data.value()["error"]),
        (&"timeout".into(), &"crash".into())
    );
}

#[tokio::test]
async fn a_boot_held_up_is_told_as_slow() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(dir.path(), &["a=slow"]);
    plan.runs = 1;
    let (report, events, _) = run(plan).await;
    assert_eq!((report.failures, report.slow), (0, 1));
    assert_eq!(
        (topics(&events, "a"), topics(&events, "b")),
        ("boot_completed slow_boot".into(), "boot_completed".into())
    );
}

#[tokio::test]
async fn what_cannot_be_broken_is_refused_before_anything_is_booted() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = plan(dir.path(), &["c=hang"]);
    let spawner = Spawner::new(Shim::none()).unwrap();
    let refused =
        |plan: Plan| boot(plan, spawner.clone(), Arc::new(Heard::default()), Clock::system(), |_| panic!());
    let error = refused(plan.clone()).await.unwrap_err().to_string();
    assert_eq!(error, "cannot break `c`: it is not among the kernels that are booted: a, b");
    plan.breaks = vec!["a=hang".parse().unwrap()];
    plan.kernels[0].health = None;
    assert!(refused(plan.clone()).await.unwrap_err().to_string().contains("no health probe"));
    plan.kernels.clear();
    assert!(matches!(refused(plan).await.unwrap_err(), Error::Empty));
    assert!("a=explode".parse::<Break>().unwrap_err().contains("NAME=crash"));
}
