//! The engine's own numbers, in the form that Prometheus reads.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Unit;

use crate::model::{Outcome, Status};
use crate::platform::log;
use crate::platform::metrics::Registry;
use crate::rules;

/// The engine's own numbers; one registry an engine, so that two in one process do not mix.
pub struct Metrics {
    registry: Registry,
    /// Events from outside that are in the log.
    pub accepted: Counter,
    /// Events that were there already.
    pub duplicates: Counter,
    /// Events refused because too many waited.
    pub refused: Counter,
    /// Times a rule fired.
    pub fired: Counter,
    /// Conditions that failed, which counts as "does not hold".
    pub conditions_failed: Counter,
    /// Events that are kept and not matched.
    pub quarantined: Counter,
    /// Reloads, by result.
    pub reloads: Family<ResultLabel, Counter>,
    /// From an intent's creation to its first action.
    pub first_action: Histogram,
    /// Open intents.
    pub open_intents: Gauge,
    /// Events waiting to be taken in.
    pub inbox: Gauge,
    /// What is frozen.
    pub frozen: Gauge,
    /// Rules loaded.
    pub rules: Gauge,
    /// Kernels, by state.
    pub kernels: Family<StateLabel, Gauge>,
    /// The last value of each number that events and playbooks reported.
    pub reported: Family<NameLabel, Gauge<f64, AtomicU64>>,
    /// Entries of `problems` at `/readyz`.
    pub problems: Gauge,
    /// Repairs that guards forgot for want of room.
    pub guard_forgotten: Counter,
    /// What patterns have met: late and disordered matches, groups forgotten and refused for want of room.
    patterns: Family<MetLabel, Counter>,
    ended: Family<StatusLabel, Counter>,
    outcomes: Family<OutcomeLabel, Counter>,
}

/// `result="ok"` or `"failed"`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ResultLabel {
    /// How it went.
    pub result: &'static str,
}

/// `met="late"`, `"out_of_order"`, `"evicted"` or `"refused"`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct MetLabel {
    /// What was met.
    pub met: &'static str,
}

/// A kernel's state.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StateLabel {
    /// The state.
    pub state: &'static str,
}

/// The name of a reported number.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct NameLabel {
    /// Such as `stress.boot.duration_ms`.
    pub name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    playbook: String,
    outcome: &'static str,
}

impl Metrics {
    /// Registers all of them.
    pub fn new(registry: Registry) -> Self {
        let metrics = Self {
            registry: registry.clone(),
            accepted: Counter::default(),
            duplicates: Counter::default(),
            refused: Counter::default(),
            fired: Counter::default(),
            conditions_failed: Counter::default(),
            quarantined: registry.counter(
                "events_quarantined",
                "Events that are kept and not matched, as matching them ended the engine twice",
            ),
            reloads: Family::default(),
            // 50 µs to about 13 s.
            first_action: Histogram::new(exponential_buckets(50e-6, 2.0, 18)),
            open_intents: Gauge::default(),
            inbox: Gauge::default(),
            frozen: Gauge::default(),
            rules: Gauge::default(),
            kernels: Family::default(),
            reported: Family::default(),
            problems: Gauge::default(),
            guard_forgotten: registry.counter(
                "guard_forgotten",
                "Repairs that guards forgot for want of room; they wait where one may be missing",
            ),
            patterns: Family::default(),
            ended: Family::default(),
            outcomes: Family::default(),
        };
        registry.register(
            "events_accepted",
            "Events from outside that are in the log",
            metrics.accepted.clone(),
        );
        registry.register(
            "events_duplicate",
            "Events that were in the log already",
            metrics.duplicates.clone(),
        );
        registry.register(
            "events_refused",
            "Events refused because too many waited",
            metrics.refused.clone(),
        );
        registry.register("log_lines_dropped", "Log lines that standard error did not take", log::dropped());
        registry.register("rules_fired", "Times a rule fired", metrics.fired.clone());
        registry.register(
            "conditions_failed",
            "Conditions of rules that failed, which counts as not holding",
            metrics.conditions_failed.clone(),
        );
        registry.register(
            "pattern_matches",
            "Matches of patterns that came late or out of order, and groups forgotten or refused for want of room",
            metrics.patterns.clone(),
        );
        registry.register("reloads", "Reloads of rules and playbooks by result", metrics.reloads.clone());
        registry.register_with_unit(
            "first_action_delay",
            "From the creation of an intent to its first action",
            Unit::Seconds,
            metrics.first_action.clone(),
        );
        registry.register("open_intents", "Intents that are open", metrics.open_intents.clone());
        registry.register("inbox_events", "Events waiting to be taken in", metrics.inbox.clone());
        registry.register(
            "frozen",
            "Scopes that are frozen: 0 if everything may act",
            metrics.frozen.clone(),
        );
        registry.register("rules_loaded", "Rules that are loaded", metrics.rules.clone());
        registry.register(
            "problems",
            "Problems that an operator should fix, as `/readyz` lists them",
            metrics.problems.clone(),
        );
        registry.register("kernels", "Kernels by state", metrics.kernels.clone());
        registry.register(
            "reported",
            "The last value of each number that `metric.` events report",
            metrics.reported.clone(),
        );
        registry.register("intents_ended", "Intents that ended by status", metrics.ended.clone());
        registry.register(
            "outcomes",
            "Attempts that ended by playbook and outcome",
            metrics.outcomes.clone(),
        );
        metrics
    }

    /// What the patterns have met so far; what is counted never goes back.
    pub fn patterns(&self, tally: rules::Tally) {
        let rules::Tally { late, disordered, evicted, refused } = tally;
        for (met, n) in
            [("late", late), ("out_of_order", disordered), ("evicted", evicted), ("refused", refused)]
        {
            self.patterns
                .get_or_create(&MetLabel { met })
                .inner()
                .fetch_max(n, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Where rooms that are made later register their own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts an intent that ended.
    pub fn ended(&self, status: Status) {
        self.ended.get_or_create(&StatusLabel { status: status.as_str() }).inc();
    }

    /// Counts an attempt that ended.
    pub fn outcome(&self, playbook: &str, outcome: Outcome) {
        let label = OutcomeLabel { playbook: playbook.into(), outcome: outcome.as_str() };
        self.outcomes.get_or_create(&label).inc();
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    pub fn text(&self) -> String {
        self.registry.text().unwrap_or_else(|error| {
            tracing::error!("failed to write the metrics: {error}");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sample_is_described_under_its_own_name() {
        let metrics = Metrics::new(Registry::default());
        metrics.reloads.get_or_create(&ResultLabel { result: "ok" }).inc();
        metrics.ended(Status::Succeeded);
        metrics.outcome("restart", Outcome::Fixed);
        metrics.first_action.observe(0.001);
        let text = metrics.text();
        let described = |what: &str| -> BTreeSet<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(what));
            lines.filter_map(|line| Some(line.split_once(' ')?.0.to_string())).collect()
        };
        let (helped, typed) = (described("# HELP "), described("# TYPE "));
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(samples.len() > 10, "{text}");
        for sample in samples {
            let name = sample.split(['{', ' ']).next().unwrap();
            let parts = ["_bucket", "_sum", "_count"];
            let family = parts.into_iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            assert!(helped.contains(family) && typed.contains(family), "{name} is not described in\n{text}");
        }
        assert!(text.contains("# TYPE paramedic_rules_fired_total counter\nparamedic_rules_fired_total 0\n"));
        assert!(!text.contains("# EOF") && text.ends_with('\n'));
    }
}
