//! Which candidate to try next: the first of the row of attempts that is expected to end soonest. Pure numbers.
//!
//! A row of attempts, then a person: each attempt takes its minutes, and with the probability that it fails the next
//! one follows. For a given set the best order is by minutes over probability (an exchange of two neighbours shows
//! it), so it is enough to decide, along that order, which candidates are worth one of the attempts that are left.

use std::sync::LazyLock;

use statrs::distribution::{ContinuousCDF, Normal};

/// A probability below this is treated as this, so that a hopeless candidate has a finite cost.
const LEAST: f64 = 0.001;
/// Points at which the propensity is worked out: a prime, as the lattice wants. Within 0.05 of 20,000 redraws.
const POINTS: usize = 67;
/// Generator of the lattice: of all, the one with the least worst error (0.033) over 300 random choices.
const GENERATOR: usize = 21;

/// What the choice needs of a candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// Mean of the posterior, corrected for healing alone where that is known.
    pub(super) mean: f64,
    /// Spread of the index that is compared; 0 if this candidate is not explored.
    pub(super) spread: f64,
    /// Third standardised moment of that index.
    pub(super) skew: f64,
    /// Minutes that it takes.
    pub(super) minutes: f64,
}

/// Expected minutes to a repair, were it tried again and again.
pub(super) fn expected(minutes: f64, probability: f64) -> f64 {
    minutes / probability.max(LEAST)
}

/// The candidate to try first, where each works with its `probability` and takes its `minutes`, at most `left` may be
/// tried, and a person then takes `human` more minutes. Ties go to the earlier one. Never asks for none at all.
pub(super) fn first(probability: &[f64], minutes: &[f64], left: usize, human: f64) -> usize {
    Row::default().first(probability, minutes, left, human)
}

/// Room to work a row of attempts out in, so that many can be without asking for memory each time.
#[derive(Default)]
struct Row {
    order: Vec<(f64, usize)>,
    /// `tail[m]`: least expected minutes when the candidates from here on may take `m` more attempts.
    tail: Vec<f64>,
    /// `head[m]`: which candidate comes first then.
    head: Vec<Option<usize>>,
}

impl Row {
    fn first(&mut self, probability: &[f64], minutes: &[f64], left: usize, human: f64) -> usize {
        let Self { order, tail, head } = self;
        order.clear();
        order.extend((0..probability.len()).map(|k| (expected(minutes[k], probability[k]), k)));
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let left = left.clamp(1, order.len().max(1));
        tail.clear();
        tail.resize(left + 1, human);
        head.clear();
        head.resize(left + 1, None);
        let mut single = (f64::INFINITY, 0);
        for (_, candidate) in order.iter().rev() {
            let fails = 1.0 - probability[*candidate];
            let alone = minutes[*candidate] + fails * human;
            if alone <= single.0 {
                single = (alone, *candidate);
            }
            for m in (1..=left).rev() {
                let taken = minutes[*candidate] + fails * tail[m - 1];
                if taken <= tail[m] {
                    (tail[m], head[m]) = (taken, Some(*candidate));
                }
            }
        }
        head[left].unwrap_or(single.1)
    }
}

/// Probability with which each candidate comes first when the indices are drawn anew.
///
/// The indices (means of three posterior draws) are taken as normals bent by their skew (Cornish–Fisher, first term),
/// at the points of a fixed low-discrepancy sequence: the same judgement always gives the same propensity.
pub(super) fn propensities(judged: &[Judged], left: usize, human: f64) -> Vec<f64> {
    let minutes: Vec<f64> = judged.iter().map(|j| j.minutes).collect();
    let mut index: Vec<f64> = judged.iter().map(|j| j.mean).collect();
    let mut share = vec![0.0; judged.len()];
    if judged.iter().all(|j| j.spread == 0.0) {
        share[first(&index, &minutes, left, human)] = 1.0;
        return share;
    }
    let mut row = Row::default();
    for point in NORMALS.iter() {
        for (k, j) in judged.iter().enumerate() {
            let z = point[k % DIMENSIONS];
            index[k] = (j.mean + j.spread * (z + (z * z - 1.0) * j.skew / 6.0)).clamp(0.0, 1.0);
        }
        share[row.first(&index, &minutes, left, human)] += 1.0;
    }
    share.iter().map(|points| points / POINTS as f64).collect()
}

/// Candidates that get a dimension of their own; further ones share.
const DIMENSIONS: usize = 8;

/// Standard normals at the points of a Korobov lattice, one dimension a candidate.
static NORMALS: LazyLock<[[f64; DIMENSIONS]; POINTS]> = LazyLock::new(|| {
    std::array::from_fn(|point| {
        let mut power = 1;
        std::array::from_fn(|_| {
            let share = ((point * power) % POINTS) as f64 / POINTS as f64 + 0.5 / POINTS as f64;
            power = power * GENERATOR % POINTS;
            Normal::standard().inverse_cdf(share)
        })
    })
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(row: &[usize], p: &[f64], c: &[f64], human: f64) -> f64 {
        row.iter().rev().fold(human, |after, k| c[*k] + (1.0 - p[*k]) * after)
    }

    /// Every row of up to three different candidates.
    fn best(p: &[f64], c: &[f64], left: usize, human: f64) -> f64 {
        let all = 0..p.len();
        let mut least = f64::INFINITY;
        for a in all.clone() {
            least = least.min(cost(&[a], p, c, human));
            for b in all.clone().filter(|b| *b != a && left > 1) {
                least = least.min(cost(&[a, b], p, c, human));
                for d in all.clone().filter(|d| *d != a && *d != b && left > 2) {
                    least = least.min(cost(&[a, b, d], p, c, human));
                }
            }
        }
        least
    }

    proptest! {
        /// Following the choice to the end costs what the best of all rows costs.
        #[test]
        fn no_row_of_attempts_ends_sooner(
            cases in prop::collection::vec((0.01..0.99f64, 1.0..30.0f64), 1..6),
            left in 1..4usize,
            human in 1.0..120.0f64,
        ) {
            let (mut p, mut c): (Vec<f64>, Vec<f64>) = cases.into_iter().unzip();
            let least = best(&p, &c, left, human);
            let (mut total, mut reached, mut left) = (0.0, 1.0, left);
            while left > 0 && !p.is_empty() {
                let k = first(&p, &c, left, human);
                // After the first, an attempt that costs more than it saves is not made.
                if reached < 1.0 && best(&p, &c, left, human) >= human {
                    break;
                }
                total += reached * c[k];
                reached *= 1.0 - p[k];
                p.remove(k);
                c.remove(k);
                left -= 1;
            }
            total += reached * human;
            prop_assert!((total - least).abs() < 1e-6 * least, "{} for {}", total, least);
        }
    }

    #[test]
    fn with_one_attempt_left_the_likelier_comes_before_the_quicker() {
        let (p, c) = ([0.3, 0.95], [2.0, 20.0]);
        assert_eq!(first(&p, &c, 2, 60.0), 0);
        assert_eq!(first(&p, &c, 1, 60.0), 1);
    }

    #[test]
    fn the_propensity_is_that_of_many_redraws() {
        use rand::SeedableRng;
        use rand::rngs::Xoshiro256PlusPlus;

        use crate::learning::posterior::{Cell, Pool};
        for (told, left) in [
            (vec![(0, 0), (0, 0), (0, 0)], 3),
            (vec![(3, 1), (5, 5), (1, 0)], 3),
            (vec![(8, 2), (9, 1)], 1),
            (vec![(2, 6), (0, 1), (12, 12), (4, 1)], 2),
        ] {
            let minutes: Vec<f64> = [2.0, 5.0, 10.0, 20.0][..told.len()].to_vec();
            let known: Vec<(Pool, Cell)> = told
                .iter()
                .map(|(s, f)| {
                    let (mut pool, mut cell) = (Pool::new(None), Cell::default());
                    pool.set(&mut cell, f64::from(*s), f64::from(*f));
                    (pool, cell)
                })
                .collect();
            let judged: Vec<Judged> = known
                .iter()
                .zip(&minutes)
                .map(|((pool, cell), minutes)| {
                    let m = pool.moments(cell);
                    let third = 3.0f64.sqrt();
                    Judged {
                        mean: m.mean,
                        spread: m.variance.sqrt() / third,
                        skew: m.skew / third,
                        minutes: *minutes,
                    }
                })
                .collect();
            let mut share = vec![0.0; told.len()];
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
            for _ in 0..20_000 {
                let draws: Vec<f64> = known.iter().map(|(p, c)| p.draw(c, 3, &mut rng)).collect();
                share[first(&draws, &minutes, left, 60.0)] += 1.0 / 20_000.0;
            }
            for (quick, right) in propensities(&judged, left, 60.0).into_iter().zip(share) {
                assert!((quick - right).abs() < 0.05, "{told:?}: {quick} for {right}");
            }
        }
    }
}
