//! A schedule comes when a person who knows cron expects it, in every zone, and says where it is wrong.

use std::collections::HashSet;

use chrono::{Datelike, Offset, TimeZone, Timelike};
use proptest::prelude::*;

use super::*;

fn time(text: &str) -> Time {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The next `n` times after `from`, as the clock of the zone shows them.
fn next(text: &str, zone: &str, from: &str, n: usize) -> Vec<String> {
    let schedule = Schedule::parse(text, zone).unwrap_or_else(|e| panic!("{text}: {e}, {}", e.help));
    let times = std::iter::successors(schedule.next_after(time(from)), |at| schedule.next_after(*at));
    let zone: Tz = zone.parse().unwrap();
    times.take(n).map(|at| at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M:%S %z").to_string()).collect()
}

#[test]
fn a_schedule_comes_when_cron_has_always_come() {
    // 1 January 2026 is a Thursday.
    for (text, wanted) in [
        ("*/20 * * * *", ["Thu 2026-01-01 00:20:00", "Thu 2026-01-01 00:40:00", "Thu 2026-01-01 01:00:00"]),
        (
            "*/20 30 9 * * *",
            ["Thu 2026-01-01 09:30:00", "Thu 2026-01-01 09:30:20", "Thu 2026-01-01 09:30:40"],
        ),
        ("5/25 9 * * *", ["Thu 2026-01-01 09:05:00", "Thu 2026-01-01 09:30:00", "Thu 2026-01-01 09:55:00"]),
        ("0 9-17/4 * * *", ["Thu 2026-01-01 09:00:00", "Thu 2026-01-01 13:00:00", "Thu 2026-01-01 17:00:00"]),
        ("0 0 * * 0", ["Sun 2026-01-04 00:00:00", "Sun 2026-01-11 00:00:00", "Sun 2026-01-18 00:00:00"]),
        ("0 0 * * 7", ["Sun 2026-01-04 00:00:00", "Sun 2026-01-11 00:00:00", "Sun 2026-01-18 00:00:00"]),
        ("0 0 * * 1", ["Mon 2026-01-05 00:00:00", "Mon 2026-01-12 00:00:00", "Mon 2026-01-19 00:00:00"]),
        ("0 0 * * 5-7", ["Fri 2026-01-02 00:00:00", "Sat 2026-01-03 00:00:00", "Sun 2026-01-04 00:00:00"]),
        ("0 0 * * 6-1", ["Sat 2026-01-03 00:00:00", "Sun 2026-01-04 00:00:00", "Mon 2026-01-05 00:00:00"]),
        (
            "0 0 * * fri-Mon/2",
            ["Fri 2026-01-02 00:00:00", "Sun 2026-01-04 00:00:00", "Fri 2026-01-09 00:00:00"],
        ),
        ("0 0 * * 1-7/3", ["Sun 2026-01-04 00:00:00", "Mon 2026-01-05 00:00:00", "Thu 2026-01-08 00:00:00"]),
        ("0 0 * * */3", ["Sat 2026-01-03 00:00:00", "Sun 2026-01-04 00:00:00", "Wed 2026-01-07 00:00:00"]),
        (
            "0 0 * JAN,mar MON,2",
            ["Mon 2026-01-05 00:00:00", "Tue 2026-01-06 00:00:00", "Mon 2026-01-12 00:00:00"],
        ),
        // The day of the month or the weekday, where both are given; both, where one begins with `*`.
        ("0 0 4 * 2", ["Sun 2026-01-04 00:00:00", "Tue 2026-01-06 00:00:00", "Tue 2026-01-13 00:00:00"]),
        ("0 0 */2 * 1", ["Mon 2026-01-05 00:00:00", "Mon 2026-01-19 00:00:00", "Mon 2026-02-09 00:00:00"]),
        ("0 0 13 * ?", ["Tue 2026-01-13 00:00:00", "Fri 2026-02-13 00:00:00", "Fri 2026-03-13 00:00:00"]),
        ("0 0 29 2 *", ["Tue 2028-02-29 00:00:00", "Sun 2032-02-29 00:00:00", "Fri 2036-02-29 00:00:00"]),
        ("0 0 31 * *", ["Sat 2026-01-31 00:00:00", "Tue 2026-03-31 00:00:00", "Sun 2026-05-31 00:00:00"]),
        ("0 0 30 2 1", ["Mon 2026-02-02 00:00:00", "Mon 2026-02-09 00:00:00", "Mon 2026-02-16 00:00:00"]),
        ("@hourly", ["Thu 2026-01-01 01:00:00", "Thu 2026-01-01 02:00:00", "Thu 2026-01-01 03:00:00"]),
        ("@Daily", ["Fri 2026-01-02 00:00:00", "Sat 2026-01-03 00:00:00", "Sun 2026-01-04 00:00:00"]),
        ("@weekly", ["Sun 2026-01-04 00:00:00", "Sun 2026-01-11 00:00:00", "Sun 2026-01-18 00:00:00"]),
        ("@monthly", ["Sun 2026-02-01 00:00:00", "Sun 2026-03-01 00:00:00", "Wed 2026-04-01 00:00:00"]),
        ("@yearly", ["Fri 2027-01-01 00:00:00", "Sat 2028-01-01 00:00:00", "Mon 2029-01-01 00:00:00"]),
    ] {
        let found = next(text, "UTC", "2026-01-01T00:00:00Z", 3);
        assert_eq!(found, wanted.map(|at| format!("{at} +0000")), "{text}");
    }
}

#[test]
fn a_time_that_the_clock_skips_or_shows_twice_comes_once_and_an_interval_stays_one() {
    for (text, zone, from, wanted) in [
        // Forward from 2 to 3 o'clock: at once after the gap, then on time again.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            vec!["Sun 2026-03-29 03:00:00 +0200", "Mon 2026-03-30 02:30:00 +0200"],
        ),
        (
            "0 2,3 * * *",
            "America/New_York",
            "2026-03-08T05:00:00Z",
            vec!["Sun 2026-03-08 03:00:00 -0400", "Mon 2026-03-09 02:00:00 -0400"],
        ),
        (
            "0 */2 * * *",
            "Europe/Berlin",
            "2026-03-28T23:30:00Z",
            vec!["Sun 2026-03-29 04:00:00 +0200", "Sun 2026-03-29 06:00:00 +0200"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:10:00Z",
            vec!["Sun 2026-03-29 01:30:00 +0100", "Sun 2026-03-29 03:00:00 +0200"],
        ),
        // Back from 3 to 2 o'clock: a time of the day the first time only, an interval both times.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            vec!["Sun 2026-10-25 02:30:00 +0200", "Mon 2026-10-26 02:30:00 +0100"],
        ),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", vec!["Mon 2026-10-26 02:30:00 +0100"]),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            vec!["Sun 2026-11-01 01:30:00 -0400", "Mon 2026-11-02 01:30:00 -0500"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:10:00Z",
            vec![
                "Sun 2026-10-25 02:30:00 +0200",
                "Sun 2026-10-25 02:00:00 +0100",
                "Sun 2026-10-25 02:30:00 +0100",
                "Sun 2026-10-25 03:00:00 +0100",
            ],
        ),
        (
            "@hourly",
            "Europe/Berlin",
            "2026-10-25T00:00:00.5Z",
            vec!["Sun 2026-10-25 02:00:00 +0100", "Sun 2026-10-25 03:00:00 +0100"],
        ),
        // Half an hour only, and at an odd time.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            vec!["Sun 2026-10-04 02:30:00 +1100", "Mon 2026-10-05 02:15:00 +1100"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            vec!["Sun 2026-04-05 01:45:00 +1100", "Mon 2026-04-06 01:45:00 +1030"],
        ),
        // 5 hours and 45 minutes ahead, and never any summer time.
        (
            "0 6 * * *",
            "Asia/Kathmandu",
            "2026-03-29T00:14:59Z",
            vec!["Sun 2026-03-29 06:00:00 +0545", "Mon 2026-03-30 06:00:00 +0545"],
        ),
        // Samoa left out a whole day.
        (
            "0 12 30 * *",
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            vec!["Sat 2011-12-31 00:00:00 +1400", "Mon 2012-01-30 12:00:00 +1400"],
        ),
        // Summer time that begins at midnight, in a country with a daily job at midnight.
        (
            "@daily",
            "Africa/Cairo",
            "2026-04-23T12:00:00Z",
            vec!["Fri 2026-04-24 01:00:00 +0300", "Sat 2026-04-25 00:00:00 +0300"],
        ),
    ] {
        assert_eq!(next(text, zone, from, wanted.len()), wanted, "{text} in {zone}");
    }
}

#[test]
fn after_the_last_year_of_the_calendar_there_is_no_time() {
    let schedule = Schedule::parse("0 0 1 1 *", "UTC").unwrap();
    assert_eq!(schedule.next_after(time("2100-06-01T00:00:00Z")), None);
    assert_eq!(schedule.next_after(Time::MAX_UTC), None);
    assert!(schedule.next_after(Time::MIN_UTC).is_some());
}

#[test]
fn what_is_wrong_with_a_schedule_is_shown_where_it_stands() {
    for (text, at, message, help) in [
        ("", "", "the schedule is empty", "write 5 fields"),
        ("5 * *", "5 * *", "a schedule has 5 or 6 fields, this has 3 fields", "minute, hour"),
        ("* * * * * * *", "* * * * * * *", "no field for years", "6 with the second first"),
        ("hourly", "hourly", "`hourly` is not a schedule", "did you mean `@hourly`?"),
        ("@dayly", "@dayly", "there is no schedule `@dayly`", "did you mean `@daily`?"),
        ("@every 5m", "@every 5m", "there is no schedule", "`*/5 * * * *`"),
        ("@reboot", "@reboot", "there is no schedule", "an event"),
        ("60 * * * *", "60", "60 is not a minute", "0 to 59"),
        ("0 24 * * *", "24", "24 is not an hour", "0 to 23"),
        ("0 0 0 * *", "0", "0 is not a day of the month", "1 to 31"),
        ("0 0 1 13 *", "13", "13 is not a month", "JAN to DEC"),
        ("0 0 * * 8", "8", "8 is not a weekday", "0 and 7 are Sunday"),
        ("60 0 0 * * *", "60", "60 is not a second", "0 to 59"),
        ("0 0 * JNA *", "JNA", "`JNA` is not a month", "did you mean `JAN`?"),
        ("0 0 * * MOM", "MOM", "`MOM` is not a weekday", "did you mean `MON`?"),
        ("0 0 * * Wendesday", "Wendesday", "is not a weekday", "did you mean `WED`?"),
        ("0 0 L * *", "L", "of Quartz", "1 to 31"),
        ("0 0 * * 5#2", "5#2", "of Quartz", "SUN to SAT"),
        ("0 22-2 * * *", "22-2", "the range `22-2` runs backwards", "`22-23,0-2`"),
        ("0 0 * 11-2 *", "11-2", "runs backwards", "`11-12,1-2`"),
        ("*/0 * * * *", "0", "a step of 0", "1 or more"),
        ("*/90 * * * *", "90", "a step of 90 goes past the last minute", "at most 60"),
        ("*/x * * * *", "x", "`x` is not a step", "`*/5`"),
        ("1,,2 * * * *", "1,,2", "a minute is missing here", "0 to 59"),
        ("-5 * * * *", "-5", "`-5` is not a minute", "0 to 59"),
        ("5- * * * *", "5-", "a minute is missing here", "0 to 59"),
        ("1.5 * * * *", "1.5", "is not a minute", "0 to 59"),
        ("? * * * *", "?", "`?` is not a minute", "0 to 59"),
        ("0 0 30 2 *", "30 2", "day 30 of month 2 never comes", "February has 29 days at most"),
        ("0 0 31 4,6 *", "31 4,6", "day 31 of month 4,6 never comes", "April or June has 30 days at most"),
        ("0 0 30-31 FEB ?", "30-31 FEB", "never comes", "February has 29 days"),
    ] {
        let error = Schedule::parse(text, "UTC").expect_err(text);
        assert_eq!((error.of, &text[error.at.clone()]), (Part::Expression, at), "{text}: {error}");
        assert!(error.message.contains(message), "{text}: {error}");
        assert!(error.help.contains(help), "{text}: {}", error.help);
    }
}

#[test]
fn a_time_zone_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    for (zone, help) in [
        ("Europe/Berlln", "`Europe/Berlin`"),
        ("europe/berlin", "`Europe/Berlin`"),
        ("Berlin", "`Europe/Berlin`"),
        ("new york", "`America/New_York`"),
        ("Kathmndu", "`Asia/Kathmandu`"),
        ("PST", "`America/Los_Angeles`"),
        ("CEST", "`Europe/Berlin`"),
        ("+02:00", "a fixed offset knows no daylight saving"),
        ("Mars/Olympus_Mons", "such as UTC"),
        ("", "such as UTC"),
    ] {
        let error = Schedule::parse("* * * * *", zone).expect_err(zone);
        assert_eq!((error.of, error.at.clone()), (Part::Zone, 0..zone.len()));
        assert!(error.help.contains(help), "{zone}: {}", error.help);
    }
    assert_eq!(Schedule::parse("* * * * *", " Europe/Berlin ").unwrap().timezone(), "Europe/Berlin");
}

/// A field as plain values, for an evaluation that shares nothing with the one that is tested.
#[derive(Clone, Debug)]
struct Plain {
    text: String,
    values: HashSet<u32>,
}

fn some(least: u32, most: u32) -> impl Strategy<Value = Plain> {
    proptest::collection::vec(least..=most, 1..4).prop_map(|list| Plain {
        text: list.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        values: list.into_iter().collect(),
    })
}

/// `stars`: how often it is every value, against 6 times that it is not.
fn plain(least: u32, most: u32, stars: u32) -> impl Strategy<Value = Plain> {
    let all = move |step: u32| (least..=most).step_by(step as usize).collect();
    prop_oneof![
        stars => Just(()).prop_map(move |()| Plain { text: "*".into(), values: all(1) }),
        1 => (2..20_u32.min(most)).prop_map(move |n| Plain { text: format!("*/{n}"), values: all(n) }),
        3 => some(least, most),
        2 => (least..=most, least..=most, 1..4_u32).prop_map(|(a, b, step)| {
            let (a, b) = (a.min(b), a.max(b));
            Plain { text: format!("{a}-{b}/{step}"), values: (a..=b).step_by(step as usize).collect() }
        }),
    ]
}

/// The times in the `minutes` after `from`, found by looking at the clock every minute.
fn by_hand(fields: &[Plain], zone: Tz, from: Time, minutes: i64) -> Vec<Time> {
    let [minute, hour, day, month, weekday] = fields else { panic!("five fields") };
    let means = |shown: NaiveDateTime| {
        let by_day = day.values.contains(&shown.day());
        let number = shown.weekday().num_days_from_sunday();
        let by_weekday = weekday.values.contains(&number) || (number == 0 && weekday.values.contains(&7));
        let star = day.text.starts_with('*') || weekday.text.starts_with('*');
        minute.values.contains(&shown.minute())
            && hour.values.contains(&shown.hour())
            && month.values.contains(&shown.month())
            && if star { by_day && by_weekday } else { by_day || by_weekday }
    };
    let shown = |time: Time| time.naive_utc() + zone.offset_from_utc_datetime(&time.naive_utc()).fix();
    let interval = minute.text.starts_with('*') || hour.text.starts_with('*');
    // The latest that the clock has shown: a time of the day comes when the clock first gets to it or past it.
    let mut latest = (0..48 * 60).map(|n| shown(from - TimeDelta::minutes(n))).max().unwrap();
    let mut times = Vec::new();
    for n in 1..=minutes {
        let time = from + TimeDelta::minutes(n);
        let now = shown(time);
        let comes = if interval {
            means(now)
        } else {
            let mut passed = latest;
            std::iter::from_fn(|| {
                passed += TimeDelta::minutes(1);
                (passed <= now).then_some(passed)
            })
            .any(means)
        };
        latest = latest.max(now);
        if comes {
            times.push(time);
        }
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the fields, around whatever change of the clocks: the same times as by looking at the clock every
    /// minute, each once and in order.
    #[test]
    fn the_same_times_as_by_looking_at_the_clock_every_minute(
        fields in (
            plain(0, 59, 1),
            // The clocks are changed in the small hours.
            prop_oneof![plain(0, 23, 2), some(0, 4)],
            plain(1, 31, 12),
            plain(1, 12, 24),
            plain(0, 7, 12),
        ),
        zone in prop_oneof![
            Just("UTC"), Just("Europe/Berlin"), Just("America/New_York"), Just("Asia/Kathmandu"),
            Just("Australia/Lord_Howe"), Just("Pacific/Apia"), Just("America/Sao_Paulo"), Just("Africa/Casablanca"),
        ],
        start in prop_oneof![
            // Just before changes somewhere: Berlin, New York, Lord Howe, Apia, São Paulo, Casablanca.
            Just("2026-03-28T12:00:00Z"), Just("2026-10-24T12:00:00Z"), Just("2026-03-07T12:00:00Z"),
            Just("2026-10-31T12:00:00Z"), Just("2026-04-04T03:00:00Z"), Just("2026-10-03T03:00:00Z"),
            Just("2011-12-29T09:00:00Z"), Just("2018-11-03T12:00:00Z"), Just("2018-02-17T12:00:00Z"),
            Just("2026-02-14T12:00:00Z"), Just("2026-03-21T12:00:00Z"),
        ],
        ahead in 0..1_440_i64,
    ) {
        let fields = [fields.0, fields.1, fields.2, fields.3, fields.4];
        let text = fields.iter().map(|field| field.text.as_str()).collect::<Vec<_>>().join(" ");
        // A day that never comes is refused; that has a test of its own.
        let Ok(schedule) = Schedule::parse(&text, zone) else { return Ok(()) };
        let (from, minutes) = (time(start) + TimeDelta::minutes(ahead), 3 * 1_440);
        let end = from + TimeDelta::minutes(minutes);
        let times = std::iter::successors(schedule.next_after(from), |at| schedule.next_after(*at));
        let found: Vec<Time> = times.take_while(|at| *at <= end).collect();
        let wanted = by_hand(&fields, zone.parse().unwrap(), from, minutes);
        let differs = found.iter().zip(&wanted).find(|(a, b)| a != b);
        prop_assert!(differs.is_none(), "`{text}` in {zone}: {differs:?}");
        prop_assert_eq!(found.len(), wanted.len(), "`{}` in {}", text, zone);
    }
}
