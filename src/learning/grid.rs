//! The grid of priors that a playbook is pooled on: 19 means × 6 strengths, and the tables over it.
//!
//! Numbers only; knows nothing of playbooks. The success rate of a playbook in a class is Beta(mean × strength,
//! (1 − mean) × strength) for one point of the grid, and which point is learned from all its classes by Bayes' rule.

use std::sync::LazyLock;

use statrs::function::beta::{beta_reg, ln_beta};

/// Points of the grid.
pub(super) const SIZE: usize = MEANS * STRENGTHS.len();
/// Means 0.05, 0.10 … 0.95: finer does not change a decision, and both ends stay open to surprise.
const MEANS: usize = 19;
/// How alike the classes of a playbook are, in pseudo-counts: from "each its own" to "all the same".
/// Point `g` of the grid has strength `g % 6`.
pub(super) const STRENGTHS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
/// Cells into which the rate is cut where an interval is read off; see [`EDGES`].
pub(super) const BINS: usize = 64;

/// What is the same for every playbook.
pub(super) struct Grid {
    /// First Beta parameter of each point.
    pub(super) a: [f64; SIZE],
    /// Second Beta parameter of each point.
    pub(super) b: [f64; SIZE],
    /// `ln B(a, b)` of each point.
    ln_beta: [f64; SIZE],
    /// Probability that each point's Beta gives to each bin.
    pub(super) mass: Vec<[f32; BINS]>,
    /// Logarithms of a bin's middle and of its complement.
    pub(super) ln_mid: [[f64; 2]; BINS],
}

/// The tables, made at first use (about 5 ms).
pub(super) static GRID: LazyLock<Grid> = LazyLock::new(Grid::new);

impl Grid {
    fn new() -> Self {
        let (mut a, mut b, mut base) = ([0.0; SIZE], [0.0; SIZE], [0.0; SIZE]);
        for point in 0..SIZE {
            let mean = 0.05 * (point / STRENGTHS.len() + 1) as f64;
            let strength = STRENGTHS[point % STRENGTHS.len()];
            (a[point], b[point]) = (mean * strength, (1.0 - mean) * strength);
            base[point] = ln_beta(a[point], b[point]);
        }
        let mass = (0..SIZE)
            .map(|point| {
                let below: Vec<f64> =
                    (0..=BINS).map(|edge| beta_reg(a[point], b[point], rate_at(edge as f64))).collect();
                std::array::from_fn(|bin| (below[bin + 1] - below[bin]) as f32)
            })
            .collect();
        let ln_mid = std::array::from_fn(|bin| {
            let mid = rate_at(bin as f64 + 0.5);
            [mid.ln(), (1.0 - mid).ln()]
        });
        Self { a, b, ln_beta: base, mass, ln_mid }
    }

    /// Log-likelihood at every point of so many successes and failures, which need not be whole.
    pub(super) fn evidence(&self, successes: f64, failures: f64) -> [f32; SIZE] {
        std::array::from_fn(|g| {
            (ln_beta(self.a[g] + successes, self.b[g] + failures) - self.ln_beta[g]) as f32
        })
    }
}

/// The rate at a bin's edge: edges are even in the arcsine of the root, so that bins are narrow near 0 and 1, where
/// good and hopeless playbooks are told apart.
pub(super) fn rate_at(edge: f64) -> f64 {
    (edge * std::f64::consts::FRAC_PI_2 / BINS as f64).sin().powi(2).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_the_one_of_the_design() {
        let grid = &*GRID;
        let close = |x: f64, y: f64| (x - y).abs() < 1e-12;
        assert_eq!(SIZE, 114);
        assert!(close(grid.a[0], 0.05) && close(grid.b[0], 0.95));
        assert!(close(grid.a[SIZE - 1], 30.4) && close(grid.b[SIZE - 1], 1.6));
        for mass in &grid.mass {
            assert!((mass.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn evidence_is_the_product_of_what_each_outcome_says() {
        let grid = &*GRID;
        let whole = grid.evidence(2.0, 1.0);
        for (g, whole) in whole.iter().enumerate() {
            let (a, b) = (grid.a[g], grid.b[g]);
            let steps = (a / (a + b)) * ((a + 1.0) / (a + b + 1.0)) * (b / (a + b + 2.0));
            assert!((f64::from(*whole) - steps.ln()).abs() < 1e-5, "point {g}");
        }
    }
}
