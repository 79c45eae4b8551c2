//! What stress tests and kernels tell: boots, failures, test runs, the state of each kernel. Pure fold over events.
//!
//! Shapes are read leniently, as other systems send them too: a number may be missing, a name may stand in `subject`.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bodies::{KernelState, TestRun, Trouble};
use super::hours::Hours;
use crate::model::{Event, Time};

/// Boots at hand, failed ones included.
const BOOTS: usize = 1_000;
/// Failures at hand; and as many kernel errors and slow boots.
const FAILURES: usize = 500;
/// Test runs at hand; and as many under way, so that runs whose end is never told do not pile up.
const TESTS: usize = 100;
/// Kernels that are tracked; more names than this are somebody's mistake.
const KERNELS: usize = 10_000;
/// Names of metrics that are tracked.
const METRICS: usize = 1_000;

/// All that was told of boots and kernels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Stress {
    pub(super) boots: VecDeque<Boot>,
    /// Boots in service, told by kernels themselves; used where no stress test has run.
    pub(super) service: VecDeque<f64>,
    pub(super) failures: VecDeque<Trouble>,
    pub(super) slow: VecDeque<Trouble>,
    pub(super) kernel_errors: VecDeque<Trouble>,
    pub(super) active: Vec<TestRun>,
    pub(super) tests: VecDeque<TestRun>,
    pub(super) hours: Hours,
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) kernels: BTreeMap<String, KernelState>,
    pub(super) metrics: BTreeMap<String, Metric>,
}

/// A boot under test: how long it took, if it succeeded, and how many kernels it brought up, if that was told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Boot {
    pub(super) ms: Option<f64>,
    pub(super) failed: bool,
    pub(super) activated: Option<f64>,
}

/// A number that events report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// How often it was told.
    pub count: u64,
    /// Sum of the values.
    pub sum: f64,
    /// The latest.
    pub last: f64,
}

/// Whether events of this topic are read at all.
pub(super) fn is_ours(topic: &str) -> bool {
    ["telemetry.stress.", "telemetry.kernel.", "metric."].iter().any(|start| topic.starts_with(start))
}

impl Stress {
    /// Takes one event in.
    pub(super) fn observe(&mut self, event: &Event, now: Time) {
        let topic = event.topic.as_str();
        let told = Told { data: event.data.value(), subject: event.subject.as_deref() };
        // A clock that is ahead must not open hours that have not begun.
        let at = event.time.min(now);
        if let Some(name) = topic.strip_prefix("metric.") {
            self.metric(told.text(&["name"]).unwrap_or(name), told.number(&["value"]));
            return;
        }
        match topic {
            "telemetry.stress.run_started" => self.run_started(&told, at),
            "telemetry.stress.run_completed" => self.run_completed(&told, at),
            "telemetry.stress.boot_completed" => self.boot_completed(&told, at),
            "telemetry.stress.boot_failed" => self.boot_failed(&told, at),
            "telemetry.stress.slow_boot" => keep(&mut self.slow, told.trouble(at, "slow_boot"), FAILURES),
            _ => {
                if let Some(change) = topic.strip_prefix("telemetry.kernel.") {
                    self.kernel(change, &told, at);
                }
            }
        }
    }

    /// The latest durations of boots that succeeded, oldest first: under test, or else in service.
    pub(super) fn durations(&self) -> Vec<f64> {
        let tested: Vec<f64> = self.boots.iter().filter(|b| !b.failed).filter_map(|b| b.ms).collect();
        if tested.is_empty() { self.service.iter().copied().collect() } else { tested }
    }

    /// Average number of kernels brought up, by test runs that told it, else by boots that did.
    pub(super) fn activated(&self) -> Option<f64> {
        let runs: Vec<f64> =
            self.tests.iter().filter_map(|t| t.kernels_activated).map(|n| n as f64).collect();
        let boots: Vec<f64> = self.boots.iter().filter_map(|b| b.activated).collect();
        super::mean(if boots.is_empty() { &runs } else { &boots })
    }

    fn run_started(&mut self, told: &Told<'_>, at: Time) {
        let id = told.run().unwrap_or_default();
        self.active.retain(|t| t.id != id);
        if self.active.len() == TESTS {
            self.active.remove(0);
        }
        self.active.push(TestRun {
            id,
            started_at: Some(at),
            ended_at: None,
            boots: 0,
            failures: 0,
            kernels_activated: None,
        });
    }

    fn run_completed(&mut self, told: &Told<'_>, at: Time) {
        let id = told.run().unwrap_or_default();
        let begun = self.active.iter().position(|t| t.id == id).map(|n| self.active.remove(n));
        let mut run = begun.unwrap_or(TestRun {
            id,
            started_at: None,
            ended_at: None,
            boots: 0,
            failures: 0,
            kernels_activated: None,
        });
        run.ended_at = Some(at);
        let whole = |names: &[&str]| told.number(names).filter(|n| *n >= 0.0).map(|n| n.round() as u64);
        run.boots = whole(&["passed", "succeeded", "boots"]).unwrap_or(run.boots);
        run.failures = whole(&["failed", "failures"]).unwrap_or(run.failures);
        run.kernels_activated =
            whole(&["kernels_activated", "activated", "avg_kernels_activated"]).or(run.kernels_activated);
        keep(&mut self.tests, run, TESTS);
    }

    fn boot_completed(&mut self, told: &Told<'_>, at: Time) {
        let ms = told.duration();
        self.passed += 1;
        keep(
            &mut self.boots,
            Boot { ms, failed: false, activated: told.number(&["kernels_activated", "activated"]) },
            BOOTS,
        );
        self.hours.boot(at, ms);
        if let Some(run) = self.running(told) {
            run.boots += 1;
        }
    }

    fn boot_failed(&mut self, told: &Told<'_>, at: Time) {
        self.failed += 1;
        keep(&mut self.boots, Boot { ms: told.duration(), failed: true, activated: None }, BOOTS);
        keep(&mut self.failures, told.trouble(at, "boot_failed"), FAILURES);
        self.hours.failure(at);
        if let Some(run) = self.running(told) {
            run.failures += 1;
        }
    }

    /// The run under way that the event belongs to; the only one, if it does not say.
    fn running(&mut self, told: &Told<'_>) -> Option<&mut TestRun> {
        match told.run() {
            Some(id) => self.active.iter_mut().find(|t| t.id == id),
            None if self.active.len() == 1 => self.active.first_mut(),
            None => None,
        }
    }

    fn kernel(&mut self, change: &str, told: &Told<'_>, at: Time) {
        let name = told.kernel();
        if name.is_empty() {
            return;
        }
        let expected = told.data.get("expected").and_then(Value::as_bool).unwrap_or(false);
        match change {
            "healthy" => {
                if let Some(ms) = told.duration() {
                    keep(&mut self.service, ms, BOOTS);
                }
            }
            // What falls with something that it needs is not counted as a failure of its own.
            "unhealthy" | "exited" if !expected && told.data.get("waits_for").is_none() => {
                keep(&mut self.kernel_errors, told.trouble(at, change), FAILURES);
            }
            _ => {}
        }
        let state = match (change, told.text(&["state"])) {
            (_, Some(state)) => state,
            // It says how many there are, not how they are.
            ("scaled", None) => return,
            (change, None) => change,
        };
        let full = self.kernels.len() >= KERNELS;
        let layer = told.number(&["layer"]).map(|n| n.clamp(0.0, 255.0) as u8);
        match self.kernels.get_mut(&name) {
            Some(kernel) => {
                if kernel.since.is_some_and(|since| since > at) {
                    return;
                }
                kernel.layer = layer.unwrap_or(kernel.layer);
                if kernel.state != state {
                    kernel.state = state.into();
                    kernel.since = Some(at);
                }
            }
            None if !full => {
                let kernel = KernelState {
                    name: name.clone(),
                    layer: layer.unwrap_or(1),
                    state: state.into(),
                    since: Some(at),
                };
                self.kernels.insert(name, kernel);
            }
            None => {}
        }
    }

    fn metric(&mut self, name: &str, value: Option<f64>) {
        let Some(value) = value else { return };
        if self.metrics.len() >= METRICS && !self.metrics.contains_key(name) {
            return;
        }
        let metric = self.metrics.entry(name.into()).or_default();
        metric.count += 1;
        metric.sum += value;
        metric.last = value;
    }
}

/// What an event says, under the names that senders use for it.
struct Told<'a> {
    data: Value,
    subject: Option<&'a str>,
}

impl Told<'_> {
    fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| self.data.get(name)?.as_f64()).filter(|n| n.is_finite())
    }

    fn text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.data.get(name)?.as_str()).filter(|text| !text.is_empty())
    }

    fn duration(&self) -> Option<f64> {
        self.number(&["boot_duration_ms", "boot_time_ms", "duration_ms", "boot_ms"])
    }

    fn run(&self) -> Option<String> {
        let name = ["run", "run_id", "test", "test_id"].iter().find_map(|name| self.data.get(name))?;
        match name {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn kernel(&self) -> String {
        self.text(&["kernel", "name"]).or(self.subject).unwrap_or_default().to_owned()
    }

    fn trouble(&self, time: Time, kind: &str) -> Trouble {
        Trouble {
            time,
            kind: kind.into(),
            kernel: self.kernel(),
            error: self.text(&["error", "reason"]).unwrap_or(kind).to_owned(),
            value: self.duration(),
            baseline: self.number(&["baseline_ms", "baseline_boot_ms", "baseline"]),
        }
    }
}

fn keep<T>(list: &mut VecDeque<T>, item: T, most: usize) {
    list.push_back(item);
    while list.len() > most {
        list.pop_front();
    }
}
