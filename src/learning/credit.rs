//! How much of a playbook's success is its own: failures that heal by themselves must not make it look good. Pure.
//!
//! The time between a failure and the first action is a free control group. Recoveries seen in it over the time
//! watched give the rate of healing alone; each watch is censored when the action starts. If a share `s` heals
//! without help and `q` of the checks pass, the playbook itself fixes `(q − s) / (1 − s)`.

/// What was seen before actions: of one class, or of all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Exposure {
    /// Failures that healed while only watched.
    pub recoveries: u64,
    /// Time watched, in minutes, whether it healed or the action ended the watch.
    pub minutes: f64,
}

/// How many recoveries' worth of weight the rate over all classes has in a class's own.
const SHRINK: f64 = 2.0;

impl Exposure {
    /// Adds one watch of so many minutes, which ended with recovery or (censored) with an action.
    pub fn add(&mut self, minutes: f64, recovered: bool) {
        if minutes.is_finite() && minutes >= 0.0 {
            self.minutes += minutes;
            self.recoveries += u64::from(recovered);
        }
    }

    /// Recoveries a minute of this class, drawn towards the rate over `all` classes where it has little data.
    pub fn hazard(&self, all: &Exposure) -> f64 {
        if all.minutes <= 0.0 || all.recoveries == 0 {
            return 0.0;
        }
        let overall = all.recoveries as f64 / all.minutes;
        (self.recoveries as f64 + SHRINK) / (self.minutes + SHRINK / overall)
    }
}

/// The probability of healing alone within so many minutes, at a constant hazard.
pub fn heals_within(hazard: f64, minutes: f64) -> f64 {
    1.0 - (-hazard.max(0.0) * minutes.max(0.0)).exp()
}

/// What the playbook itself fixes, where `passed` of the checks pass and `alone` would have healed without it.
pub fn own_share(passed: f64, alone: f64) -> f64 {
    if alone >= 1.0 {
        return 0.0;
    }
    ((passed - alone) / (1.0 - alone)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Beta, Distribution, Exp};

    use super::*;

    #[test]
    fn a_playbook_that_does_nothing_gets_no_credit() {
        assert_eq!(own_share(0.2, 0.2), 0.0);
        assert_eq!(own_share(0.1, 0.2), 0.0);
        assert!((own_share(0.92, 0.2) - 0.9).abs() < 1e-12);
        assert_eq!(own_share(1.0, 1.0), 0.0);
    }

    #[test]
    fn nothing_watched_takes_nothing_away() {
        assert_eq!(Exposure::default().hazard(&Exposure::default()), 0.0);
        assert_eq!(heals_within(0.0, 10.0), 0.0);
    }

    /// 20 classes, a fifth heals within 10 minutes, each failure is watched for 1 minute before a playbook acts.
    #[test]
    fn the_bias_from_self_healing_is_gone() {
        let (mut bias, mut naive, mut cells) = (0.0, 0.0, 0.0);
        for seed in 0..20 {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let healing = Beta::new(2.0, 8.0).unwrap();
            let mut all = Exposure::default();
            let mut classes = vec![];
            for _ in 0..20 {
                let hazard = -(1.0f64 - healing.sample(&mut rng)).ln() / 10.0;
                let (fixes, mut seen, mut passed, mut acted) =
                    (rng.random::<f64>(), Exposure::default(), 0.0, 0.0);
                for _ in 0..100 {
                    let heals_at: f64 = Exp::new(hazard).unwrap().sample(&mut rng);
                    seen.add(heals_at.min(1.0), heals_at < 1.0);
                    if heals_at >= 1.0 {
                        acted += 1.0;
                        passed += f64::from(u8::from(rng.random::<f64>() < fixes || heals_at < 11.0));
                    }
                }
                all.recoveries += seen.recoveries;
                all.minutes += seen.minutes;
                classes.push((fixes, seen, (passed + 1.0) / (acted + 2.0)));
            }
            for (fixes, seen, passed) in classes {
                bias += own_share(passed, heals_within(seen.hazard(&all), 10.0)) - fixes;
                naive += passed - fixes;
                cells += 1.0;
            }
        }
        assert!(naive / cells > 0.06, "without the correction the bias is {}", naive / cells);
        assert!((bias / cells).abs() < 0.01, "bias {}", bias / cells);
    }
}
