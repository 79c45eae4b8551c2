//! The health score: one number from 0 to 1 for how well the whole is. Pure.
//!
//! 0.40 × kernels healthy + 0.30 × stress success + 0.20 × performance + 0.10 × remediation. A part without data is
//! left out and the weights of the others are stretched to 1: what nobody measured is never taken for perfect.

use serde::{Deserialize, Serialize};

/// The parts, each from 0 to 1; none where there is no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// Share of the kernels that are healthy.
    pub kernels: Option<f64>,
    /// Share of the latest boots that succeeded.
    pub stress: Option<f64>,
    /// See [`performance`].
    pub performance: Option<f64>,
    /// Share of the latest repairs that succeeded.
    pub remediation: Option<f64>,
}

/// How much each part counts, and from which score on a status is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scale {
    /// Weight of [`Components::kernels`].
    pub kernels: f64,
    /// Weight of [`Components::stress`].
    pub stress: f64,
    /// Weight of [`Components::performance`].
    pub performance: f64,
    /// Weight of [`Components::remediation`].
    pub remediation: f64,
    /// From here on `excellent`.
    pub excellent: f64,
    /// From here on `good`.
    pub good: f64,
    /// From here on `degraded`; below it `critical`.
    pub degraded: f64,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            kernels: 0.40,
            stress: 0.30,
            performance: 0.20,
            remediation: 0.10,
            excellent: 0.9,
            good: 0.7,
            degraded: 0.5,
        }
    }
}

/// The score with its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// From 0 to 1, to the thousandth; none without any data.
    pub score: Option<f64>,
    /// `excellent`, `good`, `degraded`, `critical`; `unknown` without any data.
    pub status: String,
    /// `green`, `yellow`, `orange`, `red`; `grey` without any data.
    pub color: String,
    /// What it is made of.
    pub components: Components,
}

/// 1 at an average boot of 100 ms or less, 0 at 1,100 ms or more, and even between.
pub fn performance(avg_boot_ms: f64) -> f64 {
    (1.0 - (avg_boot_ms - 100.0) / 1_000.0).clamp(0.0, 1.0)
}

/// The score of these parts.
pub fn health(components: Components, scale: &Scale) -> Health {
    let parts = [
        (components.kernels, scale.kernels),
        (components.stress, scale.stress),
        (components.performance, scale.performance),
        (components.remediation, scale.remediation),
    ];
    let (mut sum, mut weights) = (0.0, 0.0);
    for (part, weight) in parts {
        if let Some(part) = part {
            sum += weight * part.clamp(0.0, 1.0);
            weights += weight;
        }
    }
    let score = (weights > 0.0).then(|| (sum / weights * 1_000.0).round() / 1_000.0);
    let (status, color) = match score {
        None => ("unknown", "grey"),
        Some(score) if score >= scale.excellent => ("excellent", "green"),
        Some(score) if score >= scale.good => ("good", "yellow"),
        Some(score) if score >= scale.degraded => ("degraded", "orange"),
        Some(_) => ("critical", "red"),
    };
    Health { score, status: status.into(), color: color.into(), components }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(all: [Option<f64>; 4]) -> Components {
        let [kernels, stress, performance, remediation] = all;
        Components { kernels, stress, performance, remediation }
    }

    #[test]
    fn the_original_systems_example_gives_what_it_gave() {
        let it = parts([Some(18.0 / 18.0), Some(0.95), Some(performance(210.0)), Some(0.80)]);
        let health = health(it, &Scale::default());
        assert!((performance(210.0) - 0.89).abs() < 1e-12);
        assert_eq!(
            (health.score, health.status.as_str(), health.color.as_str()),
            (Some(0.943), "excellent", "green")
        );
    }

    #[test]
    fn what_nobody_measured_is_left_out_and_never_perfect() {
        let scale = Scale::default();
        assert_eq!(health(parts([Some(0.5), None, None, None]), &scale).score, Some(0.5));
        assert_eq!(health(parts([Some(1.0), Some(0.0), None, None]), &scale).score, Some(0.571));
        let none = health(Components::default(), &scale);
        assert_eq!((none.score, none.status.as_str(), none.color.as_str()), (None, "unknown", "grey"));
    }

    #[test]
    fn the_status_changes_at_the_thresholds() {
        for (score, status, color) in [
            (0.9, "excellent", "green"),
            (0.899, "good", "yellow"),
            (0.7, "good", "yellow"),
            (0.699, "degraded", "orange"),
            (0.5, "degraded", "orange"),
            (0.499, "critical", "red"),
            (0.0, "critical", "red"),
        ] {
            let health = health(parts([Some(score), None, None, None]), &Scale::default());
            assert_eq!((health.status.as_str(), health.color.as_str()), (status, color), "{score}");
        }
    }

    #[test]
    fn a_slow_boot_costs_and_a_fast_one_gains_no_more_than_all() {
        for (ms, value) in [(0.0, 1.0), (100.0, 1.0), (600.0, 0.5), (1_100.0, 0.0), (9_000.0, 0.0)] {
            assert!((performance(ms) - value).abs() < 1e-12, "{ms}");
        }
    }
}
