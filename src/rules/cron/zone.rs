//! Time zones: by name, what their clocks show, and when they are put forward or back.

use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::model::Time;
use crate::model::diagnostic::nearest;

use super::{Error, Part};

/// The zone called `name`.
pub fn named(name: &str) -> Result<Tz, Error> {
    let trimmed = name.trim();
    trimmed.parse().map_err(|_| {
        let message = match trimmed {
            "" => "the time zone is empty".to_owned(),
            _ => format!("there is no time zone `{trimmed}`"),
        };
        let help = match meant(trimmed) {
            Some(near) => format!("did you mean `{near}`?"),
            None if trimmed.starts_with(['+', '-']) || trimmed.chars().any(|c| c.is_ascii_digit()) => {
                "name a place, such as Europe/Berlin: a fixed offset knows no daylight saving".to_owned()
            }
            None => "use a name such as UTC, Europe/Berlin or America/New_York".to_owned(),
        };
        Error { of: Part::Zone, at: 0..name.len(), message, help }
    })
}

/// The zone that was most likely meant: in other letters, by the city alone, or with a slip.
fn meant(name: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace([' ', '-'], "_");
    let city = |zone: &'static str| zone.rsplit('/').next().unwrap_or(zone);
    let wanted = plain(name);
    if wanted.is_empty() {
        return None;
    }
    // Short names of summer time are no zones of their own, and mean other places elsewhere.
    let short = match wanted.as_str() {
        "cest" => Some("Europe/Berlin"),
        "bst" => Some("Europe/London"),
        "edt" | "eastern" => Some("America/New_York"),
        "cdt" | "cst" => Some("America/Chicago"),
        "mdt" => Some("America/Denver"),
        "pst" | "pdt" | "pacific" => Some("America/Los_Angeles"),
        "ist" => Some("Asia/Kolkata"),
        "jst" => Some("Asia/Tokyo"),
        "z" | "utc+0" | "gmt+00:00" | "local" | "localtime" => Some("UTC"),
        _ => None,
    };
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    short
        .or_else(|| names().find(|zone| plain(zone) == wanted))
        .or_else(|| names().find(|zone| plain(city(zone)) == wanted))
        .or_else(|| nearest(name, names()))
        .or_else(|| {
            let near = nearest(name, names().map(city).filter(|city| city.len() > 4))?;
            names().find(|zone| city(zone) == near)
        })
}

/// What the clocks of `zone` are ahead of UTC at `time`.
pub fn offset(zone: Tz, time: Time) -> TimeDelta {
    let offset = zone.offset_from_utc_datetime(&time.naive_utc()).fix();
    TimeDelta::seconds(offset.local_minus_utc().into())
}

/// What the clocks of `zone` show at `time`.
pub fn reading(zone: Tz, time: Time) -> NaiveDateTime {
    time.naive_utc() + offset(zone, time)
}

/// The first moment at which the clocks of `zone` show `wanted` or, where they are put forward past it, more.
pub fn reached(zone: Tz, wanted: NaiveDateTime) -> Time {
    match zone.from_local_datetime(&wanted) {
        MappedLocalTime::Single(time) | MappedLocalTime::Ambiguous(time, _) => time.to_utc(),
        MappedLocalTime::None => {
            // No zone is ever further from UTC than this, and only one change lies in between.
            let (before, after) = (wanted - TimeDelta::hours(16), wanted + TimeDelta::hours(16));
            first(before.and_utc(), after.and_utc(), |time| reading(zone, time) >= wanted)
        }
    }
}

/// The first moment after `from` and not after `to` at which the clocks of `zone` are put forward or back.
pub fn change(zone: Tz, from: Time, to: Time) -> Option<Time> {
    let before = offset(zone, from);
    let mut start = from;
    while start < to {
        // No zone changes twice within a day.
        let end = (start + TimeDelta::days(1)).min(to);
        if offset(zone, end) != before {
            return Some(first(start, end, |time| offset(zone, time) != before));
        }
        start = end;
    }
    None
}

/// The first full second in `(from, to]` of which `holds` is true, where it is true from some moment on.
fn first(from: Time, to: Time, holds: impl Fn(Time) -> bool) -> Time {
    let (mut no, mut yes) = (from.timestamp(), to.timestamp());
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if holds(at(middle)) { yes = middle } else { no = middle }
    }
    at(yes)
}

fn at(seconds: i64) -> Time {
    Time::from_timestamp(seconds, 0).unwrap_or(Time::MAX_UTC)
}
