//! Finds a change of the world that nobody announced: a two-sided CUSUM over prediction errors. Pure.
//!
//! Each outcome (1 or 0) less the probability foreseen for it is summed in both directions, less a slack; a sum over
//! the threshold says that the rate is no longer what it was (Page, "Continuous inspection schemes", 1954).

/// What a step must exceed to count: half the smallest lasting change worth finding.
const SLACK: f64 = 0.15;
/// Where drift is suspected; in the benchmark the best between false alarms and late ones.
const THRESHOLD: f64 = 2.5;

/// The sums for one (playbook, class).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Cusum {
    better: f64,
    worse: f64,
}

impl Cusum {
    /// Takes one outcome in; true when drift is suspected, and then the sums start again.
    pub(super) fn step(&mut self, foreseen: f64, fixed: bool) -> bool {
        let error = f64::from(u8::from(fixed)) - foreseen;
        self.add(error - SLACK, -error - SLACK)
    }

    /// Puts right an outcome that was taken in as its opposite: what it added is taken back, and `fixed` is a step as
    /// any other.
    pub(super) fn correct(&mut self, foreseen: f64, fixed: bool) -> bool {
        let error = f64::from(u8::from(fixed)) - foreseen;
        if fixed { self.add(error - SLACK, -1.0) } else { self.add(-1.0, -error - SLACK) }
    }

    fn add(&mut self, better: f64, worse: f64) -> bool {
        self.better = (self.better + better).max(0.0);
        self.worse = (self.worse + worse).max(0.0);
        let suspected = self.better > THRESHOLD || self.worse > THRESHOLD;
        if suspected {
            *self = Self::default();
        }
        suspected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_playbook_that_stops_working_is_found_within_four_failures() {
        let mut sums = Cusum::default();
        let steps = (1..).find(|_| sums.step(0.9, false)).unwrap();
        assert_eq!(steps, 4);
        let mut sums = Cusum::default();
        assert_eq!((1..).find(|_| sums.step(0.2, true)).unwrap(), 4);
    }

    #[test]
    fn a_playbook_that_does_what_was_foreseen_raises_nothing() {
        let mut sums = Cusum::default();
        assert!((0..10_000).all(|n| !sums.step(0.8, n % 5 != 0)));
    }

    #[test]
    fn fixes_that_come_undone_add_up_to_drift_until_they_are_foreseen() {
        let relapses = |foreseen: f64| {
            let mut sums = Cusum::default();
            (1..1_000).find(|_| sums.step(foreseen, true) || sums.correct(foreseen, false))
        };
        assert_eq!(relapses(0.85), Some(6));
        assert_eq!(relapses(0.15), None);
    }
}
