//! Times that come again and again, as cron has written them since Unix: `*/5 9-17 * * MON-FRI` in a time zone.
//!
//! A pure value: [`Schedule::next_after`] is told the time and never reads a clock. What a field may say is checked
//! here, each mistake with its place; the `cron` crate then walks the calendar. It walks it in wall-clock time without
//! a zone, and what daylight saving makes of that is decided here, as Vixie's cron does:
//!
//! - **Weekdays**: 0 and 7 are Sunday, 1 is Monday; names are safer.
//! - **Days**: where neither the day of the month nor the weekday begins with `*`, a day that is one *or* the other counts.
//! - **A time of the day** (neither the minute nor the hour begins with `*`) comes once a day: where the clock is put
//!   forward past it, at the first moment after the gap; where it is put back over it, only the first time.
//! - **An interval** (the minute or the hour begins with `*`) goes by what the clock shows: nothing in a gap, and an
//!   hour that comes twice is served twice, so that `*/5 * * * *` is always five minutes apart.

mod field;
mod zone;

use std::fmt;
use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use crate::model::Time;

use self::field::Fields;

/// When something is to happen again and again.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    zone: Tz,
    /// Two where a day counts by the day of the month or by the weekday, else one.
    calendars: Vec<cron::Schedule>,
    /// Whether it goes by what the clock shows, so that an hour that comes twice is served twice.
    interval: bool,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Which of the two texts it is about.
    pub of: Part,
    /// Where in that text, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
}

/// The two texts that a schedule is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The fields.
    Expression,
    /// The name of the time zone.
    Zone,
}

impl Schedule {
    /// Reads 5 fields (minute, hour, day of the month, month, weekday), 6 with seconds first, or a name such as
    /// `@hourly`. `timezone` is a name of the IANA database, such as `Europe/Berlin` or `UTC`.
    ///
    /// # Errors
    /// When it is none, names a time zone that does not exist, or a day that never comes.
    pub fn parse(text: &str, timezone: &str) -> Result<Self, Error> {
        let fields = field::read(text)?;
        let zone = zone::named(timezone)?;
        let calendars = fields.calendars().iter().filter_map(|text| text.parse().ok()).collect();
        let schedule = Self { text: text.trim().into(), zone, calendars, interval: fields.interval() };
        // The fields were checked, so that this is a combination that neither they nor we foresaw.
        if schedule.reading(DateTime::UNIX_EPOCH.naive_utc()).is_none() {
            return Err(never(text, &fields));
        }
        Ok(schedule)
    }

    /// The first time after `time`, always later than it; none after the year 2100.
    pub fn next_after(&self, time: Time) -> Option<Time> {
        // The calendar that is walked begins in 1970 and ends with 2100; far beyond it, times cannot even be added to.
        if time.year() > 2100 {
            return None;
        }
        let time = time.max(DateTime::UNIX_EPOCH);
        if self.interval { self.next_shown(time) } else { self.next_reached(time) }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of its time zone.
    pub fn timezone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first reading of the clock after `reading` that the fields mean, as if no clock were ever put forward or back.
    fn reading(&self, reading: NaiveDateTime) -> Option<NaiveDateTime> {
        let after = reading.and_utc();
        self.calendars.iter().filter_map(|it| it.after(&after).next()).min().map(|time| time.naive_utc())
    }

    /// For times of the day: the next moment at which the clock first shows, or has passed, a reading that is meant.
    fn next_reached(&self, time: Time) -> Option<Time> {
        let mut reading = zone::reading(self.zone, time);
        loop {
            reading = self.reading(reading)?;
            let at = zone::reached(self.zone, reading);
            if at > time {
                return Some(at);
            }
        }
    }

    /// For intervals: the next moment at which the clock shows a reading that is meant, be it for the second time.
    fn next_shown(&self, time: Time) -> Option<Time> {
        let mut time = time;
        loop {
            let offset = zone::offset(self.zone, time);
            let reading = self.reading(zone::reading(self.zone, time))?;
            let at = (reading - offset).and_utc();
            match zone::change(self.zone, time, at) {
                None => return Some(at),
                // The clock is put forward or back before that: go on from the reading it is put to, which counts too.
                Some(change) => {
                    let shown = zone::reading(self.zone, change);
                    if self.reading(shown - TimeDelta::seconds(1)) == Some(shown) {
                        return Some(change);
                    }
                    time = change;
                }
            }
        }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone.name())
    }
}

fn never(text: &str, fields: &Fields) -> Error {
    Error {
        of: Part::Expression,
        at: 0..text.len(),
        message: format!("`{}` never comes", text.trim()),
        help: format!("none of the days is in {}", fields.months_in_words()),
    }
}

#[cfg(test)]
mod tests;
