//! How chances and lengths of time are said in a decision's reasons and in changes of strategy. Text only.

use super::view::Posterior;

/// `0.86 (0.71–0.95, n=12)`
pub(super) fn chance(known: &Posterior) -> String {
    format!("{:.2} ({:.2}–{:.2}, n={})", known.mean, known.interval[0], known.interval[1], known.n)
}

/// `45s`, `2m`, `7.5m`, `3h`
pub(super) fn minutes(minutes: f64) -> String {
    let short = |x: f64| {
        let text = format!("{x:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    if minutes < 1.0 {
        format!("{}s", short(minutes * 60.0))
    } else if minutes < 120.0 {
        format!("{}m", short(minutes))
    } else {
        format!("{}h", short(minutes / 60.0))
    }
}
