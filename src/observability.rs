//! What can be seen of the whole: stress tests, trends, repairs, layers of kernels, the health score, alerts.
//!
//! A fold in memory over events, intents and outcomes, bounded in all; it asks no clock and does no I/O. Start with
//! [`Aggregator`]. After a restart: [`Aggregator::restore`] the last snapshot, then [`Aggregator::observe`] the events of
//! the log after [`Aggregator::position`]; each is counted once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub mod alerts;
pub mod bodies;
pub mod health;
mod hours;
mod remediation;
mod stress;

pub use bodies::{
    ActiveIntent, Alerts, Dashboard, KernelState, PlaybookStats, RemediationStats, StressCurrent,
    StressTrends,
};
pub use health::{Components, Health, Scale};
pub use stress::Metric;

use crate::learning::Row;
use crate::model::{Alert, Event, Intent, IntentId, OutcomeRecord, Span, Time};
use bodies::{Anomalies, Layer, Performance, Recent, Reliability, RemediationSummary, TestRun, Trouble};
use remediation::Remediation;
use stress::Stress;

/// How much is kept and how the score is made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long hourly rows are kept.
    pub retention: Span,
    /// Weights and thresholds of the health score.
    pub health: Scale,
}

impl Default for Config {
    fn default() -> Self {
        Self { retention: Span::secs(30 * 86_400), health: Scale::default() }
    }
}

/// All that is seen.
#[derive(Clone, Debug, Default)]
pub struct Aggregator {
    config: Config,
    state: State,
    /// Whether events were taken in whose number is not known.
    adrift: bool,
}

/// What a snapshot keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    stress: Stress,
    remediation: Remediation,
    /// Kernels that the registry named, not events alone.
    registered: BTreeSet<String>,
    /// The number of the last event that was taken in; none in a snapshot of a version that went by times.
    position: Option<u64>,
    /// The number of the last outcome of those that were all taken in.
    outcomes: u64,
    /// Of such a snapshot: events counted lately, with the time.
    #[serde(skip_serializing)]
    counted: VecDeque<(u64, Time)>,
}

/// A snapshot could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the snapshot of observability is not readable ({0}): counts start anew from the events that are kept"
)]
pub struct Unreadable(#[from] serde_json::Error);

/// Entries of a list in a body.
const LISTED: usize = 50;
/// Ended test runs in a body.
const TESTS_LISTED: usize = 10;

impl Aggregator {
    /// One that has seen nothing.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes event `number` of the log in: stress tests, kernels and metrics; others cost a comparison. Numbers rise: one
    /// that was taken in already changes nothing.
    pub fn observe(&mut self, number: u64, event: &Event, now: Time) {
        if self.state.position.is_some_and(|last| number <= last) {
            return;
        }
        self.state.position = Some(number);
        self.adrift = false;
        self.count(event, now);
    }

    /// Takes in an event of the log whose number is in doubt. Until one comes with a number there is no snapshot, as it
    /// could not say up to which event it goes.
    pub fn observe_adrift(&mut self, event: &Event, now: Time) {
        self.adrift = true;
        self.count(event, now);
    }

    fn count(&mut self, event: &Event, now: Time) {
        if !stress::is_ours(event.topic.as_str()) {
            return;
        }
        self.state.stress.observe(event, now);
        self.state.stress.hours.prune(now, self.config.retention);
    }

    /// Takes the present state of an intent in.
    pub fn observe_intent(&mut self, intent: &Intent) {
        self.state.remediation.intent(intent);
    }

    /// Takes an outcome in.
    pub fn observe_outcome(&mut self, record: &OutcomeRecord) {
        self.state.remediation.outcome(record);
    }

    /// The kernels that the registry watches: they replace those it named before.
    pub fn set_kernels(&mut self, kernels: Vec<KernelState>) {
        let known = &mut self.state.stress.kernels;
        let before = std::mem::take(&mut self.state.registered);
        known.retain(|name, _| !before.contains(name));
        for kernel in kernels {
            self.state.registered.insert(kernel.name.clone());
            known.insert(kernel.name.clone(), kernel);
        }
    }

    /// All that is worth keeping over a restart; none while it is in doubt up to which event it goes.
    pub fn snapshot(&self) -> Option<Value> {
        let state = (!self.adrift).then_some(&self.state)?;
        Some(
            serde_json::to_value(state).expect("the state has text keys only and no numbers that JSON lacks"),
        )
    }

    /// No intent is on its way any more: a snapshot from here on has all that ended.
    pub fn settle_intents(&mut self) {
        self.state.remediation.settled = true;
    }

    /// Takes a snapshot up again.
    ///
    /// # Errors
    /// When it is not one of ours; then nothing is changed.
    pub fn restore(&mut self, snapshot: Value) -> Result<(), Unreadable> {
        self.state = serde_json::from_value(snapshot)?;
        if self.state.position.is_none() {
            // Such a version kept all outcomes that it had heard of.
            self.state.outcomes = u64::MAX;
        }
        Ok(())
    }

    /// Every intent that ended before this time is counted; of those that ended later some may be, and are recognized.
    /// After [`Self::restore`], [`Self::resume`] with what the store knows besides.
    pub fn intents_as_of(&self) -> Option<Time> {
        self.state.remediation.complete()
    }

    /// After [`Self::restore`]: the intents that are open.
    pub fn resume(&mut self, open: &[IntentId]) {
        self.state.remediation.open = open.iter().copied().collect();
    }

    /// Then: each of those that ended at [`Self::intents_as_of`] or later.
    pub fn resume_ended(&mut self, intent: &Intent) {
        self.state.remediation.resume_ended(intent);
    }

    /// Every outcome up to this number was taken in; of later ones some may be, and are recognized.
    pub fn outcomes(&self) -> u64 {
        self.state.outcomes
    }

    /// Every outcome up to `number` was taken in.
    pub fn outcomes_up_to(&mut self, number: u64) {
        self.state.outcomes = number;
    }

    /// All events of the log up to number `last` have been taken in.
    pub fn caught_up(&mut self, last: u64) {
        self.state.position = self.state.position.max(Some(last));
        self.state.counted.clear();
    }

    /// When the latest event was counted, in a snapshot of a version that went by times.
    pub fn legacy_as_of(&self) -> Option<Time> {
        self.state.counted.back().map(|(_, at)| *at)
    }

    /// The number of the last event that it has taken in; none: which that was is not known.
    pub fn position(&self) -> Option<u64> {
        self.state.position
    }

    /// `stress/current`
    pub fn stress_current(&self) -> StressCurrent {
        let stress = &self.state.stress;
        let failures = stress.boots.iter().filter(|b| b.failed).count();
        let boots = stress.boots.len() - failures;
        let (durations, trend) = self.trend();
        StressCurrent {
            active_tests: stress.active.clone(),
            recent: Recent {
                avg_boot_time_ms: mean(&stress.durations()),
                avg_kernels_activated: stress.activated(),
                boot_time_trend: durations,
                trend,
                boots,
                failures,
                success_rate: share(boots as u64, failures as u64),
                tests: stress.tests.iter().rev().take(TESTS_LISTED).cloned().collect::<Vec<TestRun>>(),
            },
        }
    }

    /// `stress/trends`
    pub fn stress_trends(&self, hours: u32, now: Time) -> StressTrends {
        let hours = hours.max(1);
        let all = &self.state.stress.hours;
        StressTrends { hours, rows: all.rows(now, hours), regressions: all.regressions(now, hours) }
    }

    /// `remediation/stats`, with some of the open intents and what learning knows.
    pub fn remediation_stats(&self, active: Vec<ActiveIntent>, playbooks: Vec<Row>) -> RemediationStats {
        let it = &self.state.remediation;
        RemediationStats {
            total: it.total(),
            open: it.open.len(),
            active,
            succeeded: it.succeeded,
            failed: it.failed,
            escalated: it.escalated,
            other: it.other,
            success_rate: it.success_rate(),
            avg_recovery_ms: it.avg_recovery_ms(),
            outcomes: it.outcomes(),
            playbooks: playbooks.into_iter().map(PlaybookStats::from).collect(),
        }
    }

    /// `dashboard`
    pub fn dashboard(&self, now: Time) -> Dashboard {
        let (stress, repairs) = (&self.state.stress, &self.state.remediation);
        let (boot_time_trend, trend) = self.trend();
        let mut patterns: BTreeMap<String, u64> = BTreeMap::new();
        let troubles = || stress.failures.iter().chain(&stress.kernel_errors).chain(&stress.slow);
        for trouble in troubles() {
            *patterns.entry(trouble.error.clone()).or_default() += 1;
        }
        let lately = |t: &&Trouble| now.signed_duration_since(t.time) <= Span::secs(3_600).delta();
        Dashboard {
            performance: Performance {
                avg_boot_time_ms: mean(&stress.durations()),
                avg_kernels_activated: stress.activated(),
                boot_time_trend,
                trend,
            },
            reliability: Reliability {
                total_tests: stress.passed + stress.failed,
                passed: stress.passed,
                failed: stress.failed,
                success_rate: share(stress.passed, stress.failed),
                failures_last_hour: stress.failures.iter().filter(lately).count(),
            },
            anomalies: Anomalies {
                recent_count: troubles().filter(lately).count(),
                failure_patterns: patterns,
            },
            remediation: RemediationSummary {
                total: repairs.total(),
                active: repairs.open.len(),
                succeeded: repairs.succeeded,
                failed: repairs.failed,
                escalated: repairs.escalated,
                success_rate: repairs.success_rate(),
                avg_recovery_ms: repairs.avg_recovery_ms(),
            },
            layers: self.layers(),
            health: self.health(),
        }
    }

    /// `alerts`, with those of the book that are not over.
    pub fn alerts(&self, active: Vec<Alert>, now: Time) -> Alerts {
        let stress = &self.state.stress;
        let regressions = stress.hours.regressions(now, 24).into_iter().map(|r| Trouble {
            time: r.hour,
            kind: "regression".into(),
            kernel: r.metric,
            error: r.message,
            value: Some(r.value),
            baseline: Some(r.baseline),
        });
        let mut degradations: Vec<Trouble> = stress.slow.iter().cloned().chain(regressions).collect();
        degradations.sort_by_key(|t| std::cmp::Reverse(t.time));
        degradations.truncate(LISTED);
        Alerts {
            active,
            recent_failures: latest(&stress.failures),
            degradations,
            kernel_errors: latest(&stress.kernel_errors),
        }
    }

    /// The health score now.
    pub fn health(&self) -> Health {
        let stress = &self.state.stress;
        let healthy = stress.kernels.values().filter(|k| k.is_healthy()).count();
        let failed = stress.boots.iter().filter(|b| b.failed).count() as u64;
        let components = Components {
            kernels: share(healthy as u64, (stress.kernels.len() - healthy) as u64),
            stress: share(stress.boots.len() as u64 - failed, failed),
            performance: mean(&stress.durations()).map(health::performance),
            remediation: self.state.remediation.effectiveness(),
        };
        health::health(components, &self.config.health)
    }

    /// Numbers that events reported, by name.
    pub fn metrics(&self) -> &BTreeMap<String, Metric> {
        &self.state.stress.metrics
    }

    fn layers(&self) -> BTreeMap<String, Layer> {
        let mut layers: BTreeMap<String, Layer> =
            (1..=3).map(|n| (n.to_string(), Layer::default())).collect();
        for kernel in self.state.stress.kernels.values() {
            let layer = layers.entry(kernel.layer.to_string()).or_default();
            layer.total += 1;
            layer.healthy += usize::from(kernel.is_healthy());
            layer.kernels.push(kernel.clone());
        }
        layers
    }

    /// The latest durations, and where they are going: the mean of the later half against that of the earlier, with a
    /// tenth of leeway.
    fn trend(&self) -> (Vec<f64>, String) {
        let all = self.state.stress.durations();
        let lately = all[all.len().saturating_sub(LISTED)..].to_vec();
        let (early, late) = lately.split_at(lately.len() / 2);
        let word = match (mean(early), mean(late)) {
            (Some(early), Some(late)) if lately.len() >= 6 => match late / early.max(1e-9) {
                change if change > 1.1 => "degrading",
                change if change < 0.9 => "improving",
                _ => "stable",
            },
            _ => "unknown",
        };
        (lately, word.into())
    }
}

fn latest(list: &VecDeque<Trouble>) -> Vec<Trouble> {
    list.iter().rev().take(LISTED).cloned().collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn share(good: u64, bad: u64) -> Option<f64> {
    (good + bad > 0).then(|| good as f64 / (good + bad) as f64)
}

#[cfg(test)]
mod tests;
