//! Points in time as events carry them: RFC 3339, without a zone, or Unix seconds, milliseconds and finer.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};
use chrono_tz::Tz;

use super::scalar::Scalar;
use crate::model::Span;

/// A part of a date or a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Such as 2026.
    Year,
    /// 1 to 12.
    Month,
    /// 1 to 31.
    Day,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 1 is Monday, 7 is Sunday.
    Weekday,
}

/// The microseconds since 1970 that `value` means; none if it is no time. Without a zone it is UTC.
pub(super) fn micros(value: &Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Str(text) => of_text(text.trim()),
        Scalar::Int(n) => of_number(*n as f64, Some(*n)),
        Scalar::Float(n) => of_number(*n, None),
        _ => None,
    }
}

/// The part of a time in a zone.
pub(super) fn part(part: Part, micros: i64, zone: Tz) -> Option<i64> {
    let at = DateTime::<Utc>::from_timestamp_micros(micros)?.with_timezone(&zone);
    Some(match part {
        Part::Year => at.year().into(),
        Part::Month => at.month().into(),
        Part::Day => at.day().into(),
        Part::Hour => at.hour().into(),
        Part::Minute => at.minute().into(),
        Part::Weekday => at.weekday().number_from_monday().into(),
    })
}

/// The zone called `name`, such as `Europe/Berlin`.
pub(super) fn zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| {
        let near = crate::model::diagnostic::nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name()));
        let near = near.unwrap_or("Europe/Berlin");
        format!("there is no time zone `{name}`: write one as `{near}`")
    })
}

/// The seconds that a length of time in an event means: `"5m"`, `"90"` or a number.
pub(super) fn duration(value: &Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Str(text) => {
            Span::parse(text).ok().map(Span::as_secs_f64).or_else(|| text.trim().parse().ok())
        }
        Scalar::Int(n) => Some(*n as f64),
        Scalar::Float(n) => Some(*n),
        _ => None,
    }
}

fn of_text(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    if let Ok(n) = text.parse::<f64>() {
        return of_number(n, text.parse().ok());
    }
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let utc = text.trim_end_matches(" UTC").trim_end_matches('Z');
    if let Some(time) = naive.iter().find_map(|form| NaiveDateTime::parse_from_str(utc, form).ok()) {
        return Some(time.and_utc().timestamp_micros());
    }
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
    }
    let zoned = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
    let zoned = zoned.iter().find_map(|form| DateTime::parse_from_str(text, form).ok());
    zoned.or_else(|| DateTime::parse_from_rfc2822(text).ok()).map(|time| time.timestamp_micros())
}

/// Seconds up to the year 5138, above that milliseconds, microseconds, nanoseconds.
fn of_number(n: f64, whole: Option<i64>) -> Option<i64> {
    let scale = match n.abs() {
        a if a < 1e11 => 1_000_000.0,
        a if a < 1e14 => 1_000.0,
        a if a < 1e17 => 1.0,
        a if a < 1e19 => 0.001,
        _ => return None,
    };
    if let Some(n) = whole.filter(|_| scale >= 1.0) {
        #[expect(clippy::cast_possible_truncation, reason = "a power of ten below 10^7")]
        return n.checked_mul(scale as i64);
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 10^17")]
    Some((n * scale).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_however_it_is_written() {
        let expected = Some(1_404_172_861_500_000);
        for text in [
            "2014-07-01T00:01:01.5Z",
            "2014-07-01T02:01:01.500+02:00",
            "2014-07-01 00:01:01.500000",
            "2014-07-01T00:01:01.500000",
            "2014-07-01T02:01:01.5+0200",
            "2014-07-01 00:01:01.5 UTC",
            "1404172861.5",
            "1404172861500",
        ] {
            assert_eq!(micros(&Scalar::Str(text.into())), expected, "{text}");
        }
        assert_eq!(micros(&Scalar::Int(1_404_172_861_500)), expected);
        assert_eq!(micros(&Scalar::Float(1_404_172_861.5)), expected);
        assert_eq!(micros(&Scalar::Int(1_404_172_861_500_000_000)), expected);
        assert_eq!(micros(&Scalar::Str("2014-07-01".into())), Some(1_404_172_800_000_000));
        assert_eq!(
            micros(&Scalar::Str("Tue, 1 Jul 2014 00:01:01 +0000".into())),
            Some(1_404_172_861_000_000)
        );
        for none in ["", "soon", "2014-13-01", "1e300"] {
            assert_eq!(micros(&Scalar::Str(none.into())), None, "{none}");
        }
    }

    #[test]
    fn an_hour_is_that_of_the_zone_in_summer_and_in_winter() {
        let berlin = zone("Europe/Berlin").unwrap();
        for (text, hour, weekday) in
            [("2026-07-05T22:30:00Z", 0, 1), ("2026-01-04T22:30:00Z", 23, 7), ("2026-03-29T01:00:00Z", 3, 7)]
        {
            let at = micros(&Scalar::Str(text.into())).unwrap();
            assert_eq!(part(Part::Hour, at, berlin), Some(hour), "{text}");
            assert_eq!(part(Part::Weekday, at, berlin), Some(weekday), "{text}");
        }
        assert!(zone("Europe/Berln").unwrap_err().contains("Europe/Berlin"));
    }
}
