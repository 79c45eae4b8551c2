//! What happened hour by hour, by event time: boots, how long they took, failures. Pure; bounded by retention.

use std::collections::BTreeMap;

use chrono::{DurationRound, TimeDelta};
use serde::{Deserialize, Serialize};

use super::bodies::{Regression, TrendRow};
use crate::model::{Span, Time};

/// Hours, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hours(BTreeMap<Time, Hour>);

/// One hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hour {
    boots: u64,
    timed: u64,
    total_ms: f64,
    failures: u64,
    /// Durations by size: each bucket is 2 % wide and keeps count and sum, so that few boots are exact, and many
    /// within 1 %.
    sizes: BTreeMap<u16, (u64, f64)>,
}

impl Hours {
    /// A boot that succeeded, in so many milliseconds where that was told.
    pub fn boot(&mut self, at: Time, ms: Option<f64>) {
        let hour = self.0.entry(hour_of(at)).or_default();
        hour.boots += 1;
        let Some(ms) = ms.map(|ms| ms.max(0.0)) else { return };
        hour.timed += 1;
        hour.total_ms += ms;
        let size = hour.sizes.entry(((ms + 1.0).ln() / 1.02f64.ln()) as u16).or_default();
        size.0 += 1;
        size.1 += ms;
    }

    /// A boot that failed.
    pub fn failure(&mut self, at: Time) {
        self.0.entry(hour_of(at)).or_default().failures += 1;
    }

    /// Forgets hours that are older than `retention`.
    pub fn prune(&mut self, now: Time, retention: Span) {
        let first = hour_of(now.checked_sub_signed(retention.delta()).unwrap_or(Time::MIN_UTC));
        while self.0.first_key_value().is_some_and(|(hour, _)| *hour < first) {
            self.0.pop_first();
        }
    }

    /// The rows of the latest `hours` hours, the present one included, oldest first. Hours without a boot are absent.
    pub fn rows(&self, now: Time, hours: u32) -> Vec<TrendRow> {
        self.0.range(first_of(now, hours)..).map(|(hour, it)| it.row(*hour)).collect()
    }

    /// Hours among the latest `hours` that depart from what was usual before them.
    ///
    /// An hour is compared with the median of up to a week of hours before it, at least [`BASELINE`] of them, each (as
    /// itself) with at least [`BOOTS`] boots. It stands out if it is worse by more than four robust standard
    /// deviations (1.4826 × the median absolute deviation) and by more than a fifth (of success: 10 points). Steady
    /// figures would have a deviation of nothing, and any breath of noise would stand out; hence the second part.
    pub fn regressions(&self, now: Time, hours: u32) -> Vec<Regression> {
        let rows: Vec<TrendRow> = self
            .0
            .iter()
            .map(|(hour, it)| it.row(*hour))
            .filter(|row| row.boots + row.failures >= BOOTS)
            .collect();
        let first = first_of(now, hours);
        let mut found = vec![];
        for (n, row) in rows.iter().enumerate().filter(|(_, row)| row.hour >= first) {
            let before = &rows[n.saturating_sub(WEEK)..n];
            type Metric = (&'static str, fn(&TrendRow) -> Option<f64>, bool);
            let metrics: [Metric; 3] = [
                ("avg_boot_time_ms", |row| row.avg_boot_time_ms, true),
                ("p95_boot_time_ms", |row| row.p95_boot_time_ms, true),
                ("success_rate", |row| row.success_rate, false),
            ];
            for (metric, read, is_time) in metrics {
                let Some(value) = read(row) else { continue };
                let mut usual: Vec<f64> = before.iter().filter_map(read).collect();
                if usual.len() < BASELINE {
                    continue;
                }
                let baseline = median(&mut usual);
                let mut off: Vec<f64> = usual.iter().map(|x| (x - baseline).abs()).collect();
                let deviation = 1.4826 * median(&mut off);
                let worse = if is_time { value - baseline } else { baseline - value };
                let least = if is_time { 0.2 * baseline } else { 0.1 };
                if worse > least && worse > 4.0 * deviation {
                    let change = if baseline == 0.0 { 0.0 } else { (value / baseline - 1.0) * 100.0 };
                    let message = format!("{metric} is {value:.2}, usual is {baseline:.2} ({change:+.0} %)");
                    let metric = metric.to_owned();
                    found.push(Regression {
                        metric,
                        hour: row.hour,
                        value,
                        baseline,
                        deviation,
                        change_percent: change,
                        message,
                    });
                }
            }
        }
        found
    }
}

/// Hours that a baseline needs.
const BASELINE: usize = 6;
/// Boots that an hour needs to be judged or to judge by.
const BOOTS: u64 = 5;
/// Hours that a baseline looks back.
const WEEK: usize = 168;

impl Hour {
    fn row(&self, hour: Time) -> TrendRow {
        let all = self.boots + self.failures;
        TrendRow {
            hour,
            boots: self.boots,
            avg_boot_time_ms: (self.timed > 0).then(|| self.total_ms / self.timed as f64),
            p95_boot_time_ms: self.p95(),
            failures: self.failures,
            success_rate: (all > 0).then(|| self.boots as f64 / all as f64),
        }
    }

    /// The duration that 95 % of the boots do not exceed, by nearest rank.
    fn p95(&self) -> Option<f64> {
        let rank = (self.timed * 95).div_ceil(100);
        let mut seen = 0;
        self.sizes.values().find_map(|(count, sum)| {
            seen += count;
            (seen >= rank && *count > 0).then(|| sum / *count as f64)
        })
    }
}

fn hour_of(at: Time) -> Time {
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

fn first_of(now: Time, hours: u32) -> Time {
    let back = TimeDelta::hours(i64::from(hours.saturating_sub(1)));
    hour_of(now).checked_sub_signed(back).unwrap_or(Time::MIN_UTC)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { 0.0 } else { 0.5 * (values[(n - 1) / 2] + values[n / 2]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;

    fn at(hour: i64, minute: i64) -> Time {
        micros((hour * 60 + minute) * 60_000_000)
    }

    #[test]
    fn an_hour_holds_what_happened_in_it_by_event_time() {
        let mut hours = Hours::default();
        for (n, ms) in [100.0, 200.0, 300.0].into_iter().enumerate() {
            hours.boot(at(10, n as i64), Some(ms));
        }
        hours.failure(at(10, 59));
        hours.boot(at(11, 0), Some(50.0));
        let rows = hours.rows(at(11, 30), 2);
        let first = (rows[0].hour, rows[0].boots, rows[0].failures, rows[0].success_rate);
        assert_eq!(first, (at(10, 0), 3, 1, Some(0.75)));
        assert_eq!((rows[0].avg_boot_time_ms, rows[0].p95_boot_time_ms), (Some(200.0), Some(300.0)));
        assert_eq!(rows.len(), 2);
        assert_eq!(hours.rows(at(11, 30), 1).len(), 1);
    }

    #[test]
    fn the_slowest_twentieth_shows_to_within_a_hundredth() {
        let mut hours = Hours::default();
        for n in 1..=10_000 {
            hours.boot(at(1, 0), Some(f64::from(n) / 10.0));
        }
        let p95 = hours.rows(at(1, 0), 1)[0].p95_boot_time_ms.unwrap();
        assert!((p95 / 950.0 - 1.0).abs() < 0.011, "{p95}");
    }

    #[test]
    fn hours_go_when_retention_says() {
        let mut hours = Hours::default();
        for hour in 0..48 {
            hours.boot(at(hour, 5), Some(100.0));
        }
        hours.prune(at(47, 30), Span::secs(24 * 3_600));
        assert_eq!(hours.rows(at(47, 30), 1_000).len(), 25);
    }

    #[test]
    fn a_boot_that_has_become_slow_is_shown_and_noise_is_not() {
        let mut hours = Hours::default();
        let usual = [100.0, 104.0, 98.0, 102.0, 96.0, 101.0, 99.0, 103.0];
        for (hour, ms) in usual.into_iter().enumerate() {
            for _ in 0..5 {
                hours.boot(at(hour as i64, 1), Some(ms));
            }
        }
        assert_eq!(hours.regressions(at(8, 0), 24), vec![]);
        for _ in 0..5 {
            hours.boot(at(8, 1), Some(210.0));
        }
        let found = hours.regressions(at(8, 30), 24);
        assert_eq!(
            found.iter().map(|r| r.metric.as_str()).collect::<Vec<_>>(),
            ["avg_boot_time_ms", "p95_boot_time_ms"]
        );
        assert!((found[0].baseline - 100.5).abs() < 1e-9 && (found[0].change_percent - 108.96).abs() < 0.1);
        assert_eq!(hours.regressions(at(40, 0), 24), vec![], "an old regression is not news");
    }

    #[test]
    fn failures_that_become_many_are_a_regression_once_there_is_something_to_compare_with() {
        let mut hours = Hours::default();
        for hour in 0..4 {
            (0..10).for_each(|_| hours.boot(at(hour, 1), Some(100.0)));
        }
        (0..10).for_each(|_| hours.failure(at(4, 1)));
        assert_eq!(hours.regressions(at(4, 30), 24), vec![], "four hours are too few to say what is usual");
        let mut hours = Hours::default();
        for hour in 0..7 {
            (0..10).for_each(|_| hours.boot(at(hour, 1), Some(100.0)));
        }
        (0..10).for_each(|_| hours.failure(at(7, 1)));
        let found = hours.regressions(at(7, 30), 24);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].metric.as_str(), found[0].value), ("success_rate", 0.0));
    }
}
