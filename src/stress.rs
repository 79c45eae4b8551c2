//! The stress test: kernels are booted again and again, each boot is measured, and some are broken on purpose.
//!
//! Start with [`boot`]. The kernels live in a registry of their own; what comes of each boot is an event
//! `telemetry.stress.*`, published and written as a JSON line that a `jsonl` source can follow.

mod fault;
pub mod patient;
mod record;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use fault::{Break, Fault};

use crate::bus::Publisher;
use crate::kernels::spec::Provider;
use crate::kernels::{self, Registry, Spawner, Spec, State, View};
use crate::model::{Clock, Event, Span};
use record::Record;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which kernels; those they depend on must be among them.
    pub kernels: Vec<Spec>,
    /// How many times each is booted.
    pub runs: u32,
    /// Which are broken, in every run.
    pub breaks: Vec<Break>,
    /// Longest boot, also where a kernel's own `start_timeout` is longer.
    pub timeout: Span,
    /// Where `boot/<run>.jsonl` is written, usually `logs/stress`.
    pub dir: PathBuf,
}

/// What has been done so far; told after each boot of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Which run, from 1.
    pub round: u32,
    /// Of how many.
    pub rounds: u32,
    /// Which kernel.
    pub kernel: String,
    /// What its boot took.
    pub boot_duration_ms: Option<f64>,
    /// `timeout` or `crash`, if it failed.
    pub error: Option<String>,
    /// Whether it took more than twice its baseline.
    pub slow: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Names this stress test.
    pub run: String,
    /// Boots of a kernel in all.
    pub boots: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that succeeded, and took more than twice their baseline.
    pub slow: u32,
    /// Mean of those that succeeded and were measured.
    pub avg_boot_time_ms: Option<f64>,
    /// The time that 95 % of them kept within.
    pub p95_boot_time_ms: Option<f64>,
    /// Mean number of kernels that came up in a run.
    pub avg_kernels_activated: f64,
    /// By kernel: boots and failures.
    pub kernels: BTreeMap<String, [u32; 2]>,
    /// The JSON lines.
    pub file: PathBuf,
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to boot.
    #[error("no kernel to boot: name some under `kernels:` in the configuration")]
    Empty,
    /// `--break` names a kernel that is not among those booted, or cannot show the fault.
    #[error("cannot break `{name}`: {problem}")]
    Break {
        /// The kernel.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The kernels make no sense together.
    #[error(transparent)]
    Kernels(#[from] kernels::Error),
    /// The record cannot be written.
    #[error("cannot write the record {path}: {error}")]
    Record {
        /// Where.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// A boot is slow when it takes this many times its baseline.
const SLOW: f64 = 2.0;

/// Boots the kernels of `plan`, tells `progress` of each boot, and publishes and writes what came of it. Dropping the
/// future ends all its processes.
///
/// # Errors
/// When the plan makes no sense, or the record cannot be written. A boot that fails is a result, not an error.
pub async fn boot(
    plan: Plan,
    spawner: Spawner,
    publisher: Arc<dyn Publisher>,
    clock: Clock,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, Error> {
    check(&plan)?;
    let logs = plan.dir.join("kernels");
    let specs = specs(&plan);
    let mut record = Record::open(&plan.dir.join("boot"), publisher, clock.clone()).await?;
    let mut tally = Tally::default();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    record.say("run_started", None, json!({ "kernels": names, "runs": plan.runs })).await?;
    for round in 1..=plan.runs {
        let registry = Registry::new(specs.clone(), Arc::new(Nobody), spawner.clone(), &logs, clock.clone())?;
        let (views, broken) =
            tokio::join!(registry.boot_anew(), join_all(plan.breaks.iter().map(|b| b.inflict(&registry))));
        drop(views);
        let crashed: HashSet<&str> = broken.into_iter().flatten().collect();
        // What was not started, because something that it needs did not come up, is no boot of its own.
        let views =
            registry.list().into_iter().filter(|view| view.generation > 0 || view.state != State::Waiting);
        let boots: Vec<Boot> = views.map(|view| Boot::of(view, &crashed)).collect();
        registry.shutdown().await;
        let activated = boots.iter().filter(|boot| boot.error.is_none()).count();
        tally.activated += activated;
        for boot in &boots {
            record.boot(boot, round, activated).await?;
            tally.count(boot);
            progress(&Progress {
                round,
                rounds: plan.runs,
                kernel: boot.view.name.clone(),
                boot_duration_ms: boot.view.boot_ms,
                error: boot.error.map(str::to_owned),
                slow: boot.slow,
            });
        }
    }
    let report = tally.report(&plan, &record);
    record.say("run_completed", None, json!(report)).await?;
    Ok(report)
}

/// One boot of one kernel.
struct Boot {
    view: View,
    error: Option<&'static str>,
    message: Option<String>,
    slow: bool,
}

impl Boot {
    fn of(view: View, crashed: &HashSet<&str>) -> Self {
        let error = match view.state {
            _ if crashed.contains(view.name.as_str()) => Some("crash"),
            State::Healthy => None,
            State::Unhealthy | State::Booting => Some("timeout"),
            State::Exited | State::Stopped | State::Stopping | State::Waiting => Some("crash"),
        };
        let slow = match (error, view.boot_ms, view.baseline_ms) {
            (None, Some(took), Some(usual)) => took > SLOW * usual,
            _ => false,
        };
        let message =
            error.map(|_| view.last_error.clone().unwrap_or_else(|| "ended after it had booted".into()));
        Self { view, error, message, slow }
    }

    fn data(&self, round: u32, activated: usize) -> Value {
        let mut data = Map::new();
        data.insert("kernel".into(), json!(self.view.name));
        data.insert("layer".into(), json!(self.view.layer));
        data.insert("boot_duration_ms".into(), json!(self.view.boot_ms));
        data.insert("baseline_ms".into(), json!(self.view.baseline_ms));
        data.insert("error".into(), json!(self.error));
        if let Some(message) = &self.message {
            data.insert("message".into(), json!(message));
        }
        data.insert("kernels_activated".into(), json!(activated));
        data.insert("round".into(), json!(round));
        Value::Object(data)
    }
}

impl Record {
    async fn boot(&mut self, boot: &Boot, round: u32, activated: usize) -> Result<(), Error> {
        let name = boot.view.name.as_str();
        let topic = if boot.error.is_some() { "boot_failed" } else { "boot_completed" };
        self.say(topic, Some(name), boot.data(round, activated)).await?;
        if boot.slow {
            self.say("slow_boot", Some(name), boot.data(round, activated)).await?;
        }
        Ok(())
    }
}

/// Counts while it goes on.
#[derive(Default)]
struct Tally {
    boots: u32,
    failures: u32,
    slow: u32,
    activated: usize,
    times: Vec<f64>,
    kernels: BTreeMap<String, [u32; 2]>,
}

impl Tally {
    fn count(&mut self, boot: &Boot) {
        let failed = u32::from(boot.error.is_some());
        self.boots += 1;
        self.failures += failed;
        self.slow += u32::from(boot.slow);
        if failed == 0 {
            self.times.extend(boot.view.boot_ms);
        }
        let row = self.kernels.entry(boot.view.name.clone()).or_default();
        row[0] += 1;
        row[1] += failed;
    }

    fn report(mut self, plan: &Plan, record: &Record) -> Report {
        self.times.sort_by(f64::total_cmp);
        let n = self.times.len();
        let round = |ms: f64| (ms * 10.0).round() / 10.0;
        let mean = (n > 0).then(|| round(self.times.iter().sum::<f64>() / n as f64));
        // Nearest rank: the smallest that at least 95 % do not exceed.
        let p95 = self.times.get((n * 95).div_ceil(100).saturating_sub(1)).copied();
        Report {
            run: record.run().to_owned(),
            boots: self.boots,
            failures: self.failures,
            slow: self.slow,
            avg_boot_time_ms: mean,
            p95_boot_time_ms: p95,
            avg_kernels_activated: self.activated as f64 / f64::from(plan.runs.max(1)),
            kernels: self.kernels,
            file: record.path().to_owned(),
        }
    }
}

fn check(plan: &Plan) -> Result<(), Error> {
    if plan.kernels.is_empty() {
        return Err(Error::Empty);
    }
    for wanted in &plan.breaks {
        let wrong = |problem: String| Error::Break { name: wanted.kernel.clone(), problem };
        let Some(spec) = plan.kernels.iter().find(|spec| spec.name == wanted.kernel) else {
            let names: Vec<&str> = plan.kernels.iter().map(|spec| spec.name.as_str()).collect();
            return Err(wrong(format!("it is not among the kernels that are booted: {}", names.join(", "))));
        };
        if spec.provider != Provider::Process {
            let provider = spec.provider.as_str();
            return Err(wrong(format!(
                "only a process of the engine's own can be broken, and {provider} runs this one"
            )));
        }
        if spec.health.is_none() && wanted.fault != Fault::Crash {
            return Err(wrong("it has no health probe, so nobody could see it: add `health:` to it".into()));
        }
    }
    Ok(())
}

fn specs(plan: &Plan) -> Vec<Spec> {
    let mut specs = plan.kernels.clone();
    for spec in &mut specs {
        spec.start_timeout = spec.start_timeout.min(plan.timeout);
    }
    specs
}

/// The kernels of a stress test are nobody else's business.
struct Nobody;

impl Publisher for Nobody {
    fn publish(&self, _event: Event) {}
}

#[cfg(test)]
mod tests;
