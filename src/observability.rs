//! What can be seen of the whole: stress tests, trends, repairs, layers of kernels, the health score, alerts.
//!
//! A fold in memory over events, intents and outcomes, bounded in all; it asks no clock and does no I/O. Start with
//! [`Aggregator`]. After a restart: [`Aggregator::restore`] the last snapshot, then replay the events since
//! [`Aggregator::replay_from`]; those that the snapshot has counted are passed over.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use siphasher::sip::SipHasher13;

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
    seen: HashSet<u64>,
}

/// What a snapshot keeps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct State {
    stress: Stress,
    remediation: Remediation,
    /// Kernels that the registry named, not events alone.
    registered: BTreeSet<String>,
    /// Events counted lately, by hash, with the time they were counted at; the watermark of a replay.
    counted: VecDeque<(u64, Time)>,
}

/// A snapshot could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the snapshot of observability is not readable ({0}): counts start anew from the events that are kept"
)]
pub struct Unreadable(#[from] serde_json::Error);

/// Events that are remembered as counted; a replay that reaches back over no more of them changes nothing.
const COUNTED: usize = 16_384;
/// How far a replay reaches back at most, in seconds: snapshots are taken far more often.
const REPLAY: u64 = 600;
/// Entries of a list in a body.
const LISTED: usize = 50;
/// Ended test runs in a body.
const TESTS_LISTED: usize = 10;

impl Aggregator {
    /// One that has seen nothing.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes an event in: stress tests, kernels and metrics; others cost a comparison. The same event twice counts
    /// once, as long as it is among the latest 16,384 of these.
    pub fn observe(&mut self, event: &Event, now: Time) {
        if !stress::is_ours(event.topic.as_str()) || !self.seen.insert(hash_of(event)) {
            return;
        }
        self.state.counted.push_back((hash_of(event), now));
        if self.state.counted.len() > COUNTED
            && let Some((oldest, _)) = self.state.counted.pop_front()
        {
            self.seen.remove(&oldest);
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

    /// All that is worth keeping over a restart.
    pub fn snapshot(&self) -> Value {
        serde_json::to_value(&self.state)
            .expect("the state has text keys only and no numbers that JSON lacks")
    }

    /// Takes a snapshot up again.
    ///
    /// # Errors
    /// When it is not one of ours; then nothing is changed.
    pub fn restore(&mut self, snapshot: Value) -> Result<(), Unreadable> {
        self.state = serde_json::from_value(snapshot)?;
        self.seen = self.state.counted.iter().map(|(hash, _)| *hash).collect();
        Ok(())
    }

    /// The latest change of an intent that it has counted. After [`Self::restore`], [`Self::resume`] with what the store
    /// knows besides.
    pub fn intents_as_of(&self) -> Option<Time> {
        self.state.remediation.as_of
    }

    /// After [`Self::restore`]: the intents that are open, and those that ended at [`Self::intents_as_of`] or later.
    pub fn resume(&mut self, open: &[IntentId], ended: &[Intent]) {
        self.state.remediation.resume(open, ended);
    }

    /// From which time on (of arrival) events must be replayed after [`Self::restore`]; none: all that are kept.
    pub fn replay_from(&self) -> Option<Time> {
        let (_, latest) = self.state.counted.back()?;
        let (_, oldest) = self.state.counted.front()?;
        let back = latest.checked_sub_signed(Span::secs(REPLAY).delta())?;
        Some(if self.state.counted.len() < COUNTED { back } else { back.max(*oldest) })
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
            total: it.total,
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
                total: repairs.total,
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

fn hash_of(event: &Event) -> u64 {
    // Kept in snapshots: the hash must be the same in every version.
    let mut hasher = SipHasher13::new();
    hasher.write(event.source.as_bytes());
    hasher.write(&[0]);
    hasher.write(event.id.as_bytes());
    hasher.finish()
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
