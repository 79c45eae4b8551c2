//! What is known of a playbook's success rate, by class: counts, the pooled prior over them, mean and interval.
//!
//! Hierarchical Beta-Binomial: each class has its own counts; the prior they start from is pooled over all classes of
//! the playbook on the grid of [`super::grid`], by exact Bayes. Pure numbers; knows nothing of intents or choices.

use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};
use statrs::function::beta::{beta_reg, ln_beta};

use super::grid::{BINS, GRID, SIZE, STRENGTHS, rate_at};

/// From this many outcomes on, the mixture over the grid is a single Beta to within a hundredth.
const ONE_BETA: f64 = 40.0;
/// From this many on, a normal is close enough, and the incomplete Beta function converges slowly.
const ONE_NORMAL: f64 = 5_000.0;
/// Logarithm of a weight, against the heaviest, that does not show in the second decimal: one in ten thousand.
const NEGLIGIBLE: f64 = -9.2;
/// After so many outcomes of a class its evidence is computed afresh, so that single precision does not wander.
const REFRESH: u32 = 256;

/// What one class has told of one playbook.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Effective successes; less than those seen once drift was suspected.
    pub(super) successes: f64,
    /// Effective failures.
    pub(super) failures: f64,
    /// Log-likelihood of these counts at each point of the grid.
    evidence: [f32; SIZE],
    /// Verified outcomes ever seen.
    pub(super) attempts: u32,
    /// Those that were fixed.
    pub(super) fixed: u32,
}

impl Default for Cell {
    fn default() -> Self {
        Self { successes: 0.0, failures: 0.0, evidence: [0.0; SIZE], attempts: 0, fixed: 0 }
    }
}

/// The pooled prior of a playbook: which point of the grid its classes are drawn from.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    log: [f64; SIZE],
    weight: [f64; SIZE],
    below: [f64; SIZE],
}

/// Moments of a posterior.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// Third standardised moment.
    pub(super) skew: f64,
}

impl Pool {
    /// A prior that starts from part of what another has learned; `None`: every point is as likely.
    pub(super) fn new(from: Option<(&Pool, f64)>) -> Self {
        let mut log = [0.0; SIZE];
        if let Some((pool, share)) = from {
            log = pool.log.map(|x| x * share);
        }
        let mut it = Self { log, weight: [0.0; SIZE], below: [0.0; SIZE] };
        it.normalise();
        it
    }

    fn normalise(&mut self) {
        let top = self.log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut total = 0.0;
        for g in 0..SIZE {
            self.log[g] -= top;
            self.weight[g] = self.log[g].exp();
            total += self.weight[g];
        }
        let mut sum = 0.0;
        for g in 0..SIZE {
            self.weight[g] /= total;
            sum += self.weight[g];
            self.below[g] = sum;
        }
    }

    /// Adds one outcome to `cell` and to the pool over all cells.
    pub(super) fn observe(&mut self, cell: &mut Cell, fixed: bool) {
        let grid = &*GRID;
        let (s, n) = (cell.successes, cell.successes + cell.failures);
        for g in 0..SIZE {
            let hit = if fixed { grid.a[g] + s } else { grid.b[g] + (n - s) };
            let more = (hit / (STRENGTHS[g % STRENGTHS.len()] + n)).ln() as f32;
            cell.evidence[g] += more;
            self.log[g] += f64::from(more);
        }
        cell.successes += f64::from(u8::from(fixed));
        cell.failures += f64::from(u8::from(!fixed));
        cell.attempts += 1;
        cell.fixed += u32::from(fixed);
        if cell.attempts.is_multiple_of(REFRESH) {
            self.set(cell, cell.successes, cell.failures);
        } else {
            self.normalise();
        }
    }

    /// Sets a cell's effective counts, and the pool to match.
    pub(super) fn set(&mut self, cell: &mut Cell, successes: f64, failures: f64) {
        (cell.successes, cell.failures) = (successes.max(0.0), failures.max(0.0));
        let fresh = GRID.evidence(cell.successes, cell.failures);
        for ((log, fresh), old) in self.log.iter_mut().zip(&fresh).zip(&cell.evidence) {
            *log += f64::from(*fresh) - f64::from(*old);
        }
        cell.evidence = fresh;
        self.normalise();
    }

    /// Mean, variance and skew of the success rate of a class with these counts.
    pub(super) fn moments(&self, cell: &Cell) -> Moments {
        let grid = &*GRID;
        let (s, n) = (cell.successes, cell.successes + cell.failures);
        // Points of equal strength share their divisors.
        let over = STRENGTHS.map(|strength| {
            let total = strength + n;
            [1.0 / total, 1.0 / (total + 1.0), 1.0 / (total + 2.0)]
        });
        let (mut m1, mut m2, mut m3) = (0.0, 0.0, 0.0);
        for g in 0..SIZE {
            let (a, over) = (grid.a[g] + s, &over[g % STRENGTHS.len()]);
            let first = self.weight[g] * a * over[0];
            let second = first * (a + 1.0) * over[1];
            m1 += first;
            m2 += second;
            m3 += second * (a + 2.0) * over[2];
        }
        let variance = (m2 - m1 * m1).max(1e-12);
        let skew = (m3 - 3.0 * m1 * m2 + 2.0 * m1.powi(3)) / variance.powf(1.5);
        Moments { mean: m1, variance, skew }
    }

    /// Mean of `count` draws from the posterior of a class.
    pub(super) fn draw(&self, cell: &Cell, count: u32, rng: &mut impl Rng) -> f64 {
        let grid = &*GRID;
        let mut sum = 0.0;
        for _ in 0..count {
            let at: f64 = rng.random();
            let g = self.below.partition_point(|below| *below < at).min(SIZE - 1);
            let beta = Beta::new(grid.a[g] + cell.successes, grid.b[g] + cell.failures);
            sum += beta.expect("both parameters are above zero").sample(rng);
        }
        sum / f64::from(count)
    }

    /// The 90 % interval of the success rate of a class: what lies between the 5 % and the 95 % quantile.
    pub(super) fn interval(&self, cell: &Cell, moments: Moments) -> [f64; 2] {
        let n = cell.successes + cell.failures;
        if n >= ONE_NORMAL {
            let reach = 1.644_853_627 * moments.variance.sqrt();
            [(moments.mean - reach).max(0.0), (moments.mean + reach).min(1.0)]
        } else if n >= ONE_BETA {
            let strength = moments.mean * (1.0 - moments.mean) / moments.variance - 1.0;
            let (a, b) = (moments.mean * strength, (1.0 - moments.mean) * strength);
            [quantile(a, b, 0.05), quantile(a, b, 0.95)]
        } else {
            self.mixture_interval(cell)
        }
    }

    /// The same from the mixture itself: the prior of the *other* classes in bins, times the likelihood of this one.
    fn mixture_interval(&self, cell: &Cell) -> [f64; 2] {
        let grid = &*GRID;
        let others: [f64; SIZE] = std::array::from_fn(|g| self.log[g] - f64::from(cell.evidence[g]));
        let top = others.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut mass = [0.0f32; BINS];
        for (others, parts) in others.iter().zip(&grid.mass) {
            if others - top > NEGLIGIBLE {
                let weight = (others - top).exp() as f32;
                for (mass, part) in mass.iter_mut().zip(parts) {
                    *mass += weight * part;
                }
            }
        }
        let (s, f) = (cell.successes, cell.failures);
        let likelihood: [f64; BINS] = std::array::from_fn(|i| s * grid.ln_mid[i][0] + f * grid.ln_mid[i][1]);
        let peak = likelihood.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mass: [f64; BINS] = std::array::from_fn(|i| match likelihood[i] - peak {
            less if less > NEGLIGIBLE => f64::from(mass[i]) * less.exp(),
            _ => 0.0,
        });
        let total: f64 = mass.iter().sum();
        [0.05, 0.95].map(|share| {
            let mut left = share * total;
            for (bin, mass) in mass.iter().enumerate() {
                if *mass >= left && *mass > 0.0 {
                    return rate_at(bin as f64 + left / mass);
                }
                left -= mass;
            }
            1.0
        })
    }
}

/// Where the distribution function of Beta(a, b) reaches `share` (5 or 95 %), by Newton's method kept inside a bracket.
pub(super) fn quantile(a: f64, b: f64, share: f64) -> f64 {
    let (mean, total) = (a / (a + b), a + b);
    let reach = (mean * (1.0 - mean) / (total + 1.0)).sqrt() * 1.645;
    let guess = if share < 0.5 { mean - reach } else { mean + reach };
    let (mut low, mut high, mut x) = (0.0, 1.0, guess.clamp(0.5 * mean, 0.5 + 0.5 * mean));
    let scale = ln_beta(a, b);
    for _ in 0..60 {
        let over = beta_reg(a, b, x) - share;
        if over > 0.0 {
            high = x
        } else {
            low = x
        }
        let density = ((a - 1.0) * x.ln() + (b - 1.0) * (1.0 - x).ln() - scale).exp();
        let step = x - over / density;
        let to = if step > low && step < high { step } else { 0.5 * (low + high) };
        // Newton's error is of the order of the square of the last step.
        if (to - x).abs() < 1e-4 && to == step {
            return to;
        }
        x = to;
    }
    x
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    fn told(pool: &mut Pool, fixed: u32, failed: u32) -> Cell {
        let mut cell = Cell::default();
        for n in 0..fixed.max(failed) {
            if n < fixed {
                pool.observe(&mut cell, true);
            }
            if n < failed {
                pool.observe(&mut cell, false);
            }
        }
        cell
    }

    /// The quantile of the mixture by bisection over statrs' incomplete Beta: slow and beyond doubt.
    fn exact(pool: &Pool, cell: &Cell, share: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            let mid = 0.5 * (low + high);
            let below: f64 = (0..SIZE)
                .map(|g| {
                    let (a, b) = (GRID.a[g] + cell.successes, GRID.b[g] + cell.failures);
                    pool.weight[g] * beta_reg(a, b, mid)
                })
                .sum();
            if below < share { low = mid } else { high = mid }
        }
        low
    }

    #[test]
    fn quantiles_are_the_published_ones() {
        // Beta(1, b): 1 − (1 − p)^(1/b); Beta(a, 1): p^(1/a); Beta(2, 2) at 5 %: 0.135350; Beta(5, 5): R's qbeta.
        for (a, b, p, x) in [
            (1.0, 1.0, 0.05, 0.05),
            (1.0, 10.0, 0.95, 0.258_866),
            (11.0, 1.0, 0.05, 0.761_596),
            (2.0, 2.0, 0.05, 0.135_350),
            (2.0, 2.0, 0.95, 0.864_650),
            (5.0, 5.0, 0.05, 0.251_367),
        ] {
            assert!((quantile(a, b, p) - x).abs() < 2e-5, "{a} {b} {p}: {}", quantile(a, b, p));
        }
    }

    #[test]
    fn the_interval_shown_is_that_of_the_mixture() {
        for (others, fixed, failed) in [
            (vec![], 0, 0),
            (vec![], 1, 0),
            (vec![(9, 1)], 0, 0),
            (vec![(9, 1), (2, 8)], 1, 2),
            (vec![(30, 3), (20, 1), (8, 0)], 0, 0),
            (vec![(5, 5), (4, 6)], 15, 20),
            (vec![(5, 5)], 60, 4),
            (vec![], 300, 0),
            (vec![(1, 9)], 4_000, 2_000),
        ] {
            let mut pool = Pool::new(None);
            for (s, f) in &others {
                told(&mut pool, *s, *f);
            }
            let cell = told(&mut pool, fixed, failed);
            let interval = pool.interval(&cell, pool.moments(&cell));
            for (at, share) in interval.into_iter().zip([0.05, 0.95]) {
                let right = exact(&pool, &cell, share);
                assert!((at - right).abs() < 0.01, "{others:?} {fixed}/{failed} {share}: {at} for {right}");
            }
        }
    }

    #[test]
    fn a_class_never_seen_starts_from_what_its_siblings_showed() {
        let mut pool = Pool::new(None);
        for _ in 0..5 {
            told(&mut pool, 9, 1);
        }
        let unseen = pool.moments(&Cell::default());
        assert!((0.8..0.95).contains(&unseen.mean), "{unseen:?}");
        let blank = Pool::new(None).moments(&Cell::default());
        assert!((blank.mean - 0.5).abs() < 1e-9 && blank.variance > unseen.variance);
    }

    #[test]
    fn counting_one_by_one_and_all_at_once_agree() {
        let mut pool = Pool::new(None);
        let one = told(&mut pool, 700, 300);
        let mut other = Pool::new(None);
        let mut cell = Cell::default();
        other.set(&mut cell, 700.0, 300.0);
        let (x, y) = (pool.moments(&one), other.moments(&cell));
        assert!((x.mean - y.mean).abs() < 1e-6 && (x.variance - y.variance).abs() < 1e-8);
    }

    #[test]
    fn draws_have_the_moments_that_are_shown() {
        let mut pool = Pool::new(None);
        told(&mut pool, 6, 3);
        let cell = told(&mut pool, 3, 1);
        let (moments, mut rng) = (pool.moments(&cell), Xoshiro256PlusPlus::seed_from_u64(1));
        let draws: Vec<f64> = (0..20_000).map(|_| pool.draw(&cell, 1, &mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!((mean - moments.mean).abs() < 0.006, "{mean} {moments:?}");
        assert!((variance / moments.variance - 1.0).abs() < 0.05, "{variance} {moments:?}");
    }

    #[test]
    fn a_class_costs_less_than_a_kibibyte() {
        assert!(size_of::<Cell>() < 600, "{}", size_of::<Cell>());
    }
}
