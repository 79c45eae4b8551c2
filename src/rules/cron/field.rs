//! The fields of a schedule: what each may say, each mistake with its place, and the same in the `cron` crate's words.
//!
//! The crate has its own numbers for weekdays (1 is Sunday there), takes no 5 fields, and says little of what is wrong.
//! So each field is read here to the set of its values, which the crate is then given as a plain list.

use std::ops::Range;

use crate::model::diagnostic::nearest;

use super::{Error, Part};

/// What one field may say.
struct Kind {
    name: &'static str,
    least: u32,
    most: u32,
    /// Names of the values, from the least on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 8] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// How many days each month has at most.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const KINDS: [Kind; 6] = [
    Kind { name: "second", least: 0, most: 59, names: &[] },
    Kind { name: "minute", least: 0, most: 59, names: &[] },
    Kind { name: "hour", least: 0, most: 23, names: &[] },
    Kind { name: "day of the month", least: 1, most: 31, names: &[] },
    Kind { name: "month", least: 1, most: 12, names: &MONTHS },
    // 7 is Sunday again.
    Kind { name: "weekday", least: 0, most: 7, names: &DAYS },
];
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Second, minute, hour, day of the month, month and weekday.
pub struct Fields([Field; 6]);

/// One field.
#[derive(Clone, Copy, Default)]
struct Field {
    /// Bit n is set if n is one of its values.
    values: u64,
    /// Whether it begins with `*`.
    star: bool,
}

/// A word of the expression and where it stands.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    start: usize,
}

/// Reads an expression.
pub fn read(text: &str) -> Result<Fields, Error> {
    let trimmed = text.trim();
    let start = text.len() - text.trim_start().len();
    if trimmed.starts_with('@') {
        return nickname(trimmed, start);
    }
    let words: Vec<Word<'_>> = words(text).collect();
    let kinds = match words.len() {
        6 => &KINDS[..],
        5 => &KINDS[1..],
        n => return Err(count(trimmed, start, n)),
    };
    let mut fields = [Field { values: 1, star: false }; 6];
    let first = KINDS.len() - kinds.len();
    for (i, (word, kind)) in words.iter().zip(kinds).enumerate() {
        fields[first + i] = field(*word, kind)?;
    }
    // Sunday is 0.
    let weekdays = &mut fields[5].values;
    *weekdays = (*weekdays | *weekdays >> 7 & 1) & 0x7f;
    let fields = Fields(fields);
    let (day, month) = (words[words.len() - 3], words[words.len() - 2]);
    match fields.impossible(day.text, month.text) {
        Some((message, help)) => Err(error(day.start..month.start + month.text.len(), message, help)),
        None => Ok(fields),
    }
}

impl Fields {
    /// Whether the clock's reading counts, not the time of the day: the minute or the hour begins with `*`.
    pub fn interval(&self) -> bool {
        self.0[1].star || self.0[2].star
    }

    /// The same in the crate's words: one calendar, or two of which either counts.
    pub fn calendars(&self) -> Vec<String> {
        let [.., day, _, weekday] = &self.0;
        if self.either() {
            let any = Field { values: u64::MAX, star: true };
            vec![self.words(day, &any), self.words(&any, weekday)]
        } else {
            vec![self.words(day, weekday)]
        }
    }

    /// The months, for people.
    pub fn months_in_words(&self) -> String {
        let months: Vec<&str> = values(&self.0[4], &KINDS[4]).map(|n| MONTHS[n as usize - 1]).collect();
        match months.as_slice() {
            [] => String::new(),
            [one] => (*one).into(),
            [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
        }
    }

    /// Whether a day counts by the day of the month or by the weekday, as both are given.
    fn either(&self) -> bool {
        !self.0[3].star && !self.0[5].star
    }

    fn words(&self, day: &Field, weekday: &Field) -> String {
        let [second, minute, hour, _, month, _] = &self.0;
        let list = |field: &Field, kind: &Kind| {
            values(field, kind).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
        };
        let fields: Vec<String> = [second, minute, hour, day, month]
            .iter()
            .zip(&KINDS)
            .map(|(field, kind)| list(field, kind))
            .collect();
        let all = weekday.values & 0x7f == 0x7f;
        let names: Vec<&str> =
            (0..7).filter(|n| weekday.values >> n & 1 == 1).map(|n| &DAYS[n][..3]).collect();
        format!("{} {}", fields.join(" "), if all { "*".to_owned() } else { names.join(",") })
    }

    /// Why no year has such a day; none if some has.
    fn impossible(&self, day: &str, month: &str) -> Option<(String, String)> {
        if self.either() {
            return None;
        }
        let longest = values(&self.0[4], &KINDS[4]).map(|n| LENGTHS[n as usize - 1]).max()?;
        let least = values(&self.0[3], &KINDS[3]).next()?;
        (least > longest).then(|| {
            let months = self.months_in_words();
            (
                format!("day {day} of month {month} never comes"),
                format!("{months} has {longest} days at most"),
            )
        })
    }
}

fn values(field: &Field, kind: &Kind) -> impl Iterator<Item = u32> {
    let values = field.values;
    (kind.least..=kind.most).filter(move |n| values >> n & 1 == 1)
}

/// A list of parts.
fn field(word: Word<'_>, kind: &Kind) -> Result<Field, Error> {
    let mut field = Field { values: 0, star: word.text.starts_with(['*', '?']) };
    let mut start = word.start;
    for text in word.text.split(',') {
        field.values |= part(Word { text, start }, word, kind)?;
        start += text.len() + 1;
    }
    Ok(field)
}

/// `*`, a value or a range, each with or without a step.
fn part(it: Word<'_>, whole: Word<'_>, kind: &Kind) -> Result<u64, Error> {
    let (range, step) = match it.text.split_once('/') {
        Some((range, step)) => {
            let start = it.start + range.len() + 1;
            (Word { text: range, start: it.start }, Some(Word { text: step, start }))
        }
        None => (it, None),
    };
    // A weekday goes round: the 7 of `*` would be a second Sunday.
    let last = if kind.most == 7 { 6 } else { kind.most };
    let (from, to) = match (range.text, split(range)) {
        ("*", _) => (kind.least, last),
        ("?", _) if kind.name.contains("day") => (kind.least, last),
        (_, Some((from, to))) => (value(from, whole, kind)?, value(to, whole, kind)?),
        (_, None) => {
            let from = value(range, whole, kind)?;
            (from, if step.is_some() { last.max(from) } else { from })
        }
    };
    let step = step.map_or(Ok(1), |step| step_of(step, kind))?;
    if from <= to {
        return Ok((from..=to).step_by(step).fold(0, |bits, n| bits | 1 << n));
    }
    if kind.most == 7 {
        // `FRI-MON`, `6-1`: the week goes on after Saturday.
        return Ok((from..=to + 7).step_by(step).fold(0, |bits, n| bits | 1 << (n % 7)));
    }
    let message = format!("the range `{}` runs backwards", range.text);
    let help = format!("write `{from}-{},{}-{to}`", kind.most, kind.least);
    Err(error(range.start..range.start + range.text.len(), message, help))
}

/// The two ends of a range. A minus sign is none: `-5` is a wrong value.
fn split(it: Word<'_>) -> Option<(Word<'_>, Word<'_>)> {
    let (from, to) = it.text.split_once('-')?;
    let to = Word { text: to, start: it.start + from.len() + 1 };
    (!from.is_empty()).then_some((Word { text: from, ..it }, to))
}

fn value(it: Word<'_>, whole: Word<'_>, kind: &Kind) -> Result<u32, Error> {
    if let Ok(n) = it.text.parse::<u32>()
        && !it.text.starts_with('+')
    {
        return if (kind.least..=kind.most).contains(&n) {
            Ok(n)
        } else {
            Err(error(it.range(), format!("{n} is not {}", kind.one()), kind.allowed()))
        };
    }
    let lower = it.text.to_lowercase();
    let named = |name: &&str| {
        let name = name.to_lowercase();
        name == lower || name[..3] == *lower
    };
    if let Some(i) = kind.names.iter().position(named) {
        return Ok(kind.least + u32::try_from(i).unwrap_or(0));
    }
    Err(no_value(it, &lower, whole, kind))
}

fn no_value(it: Word<'_>, lower: &str, whole: Word<'_>, kind: &Kind) -> Error {
    if it.text.is_empty() {
        let message = format!("{} is missing here", kind.one());
        return error(whole.range(), message, kind.allowed());
    }
    let shown = it.text;
    if lower.ends_with('l') || lower.ends_with('w') || lower.contains('#') {
        let digits = lower.trim_end_matches(['l', 'w']).split('#').next().unwrap_or("");
        if digits.is_empty()
            || digits.parse::<u32>().is_ok()
            || kind.names.iter().any(|n| n.to_lowercase().starts_with(digits))
        {
            let message = format!("`{shown}` is not known here: it is of Quartz, not of cron");
            return error(it.range(), message, kind.allowed());
        }
    }
    let names = kind.names.iter().map(|name| name[..3].to_uppercase()).collect::<Vec<_>>();
    let long = kind.names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
    let near = nearest(&it.text.to_uppercase(), names.iter().map(String::as_str))
        .map(str::to_owned)
        .or_else(|| nearest(lower, long.iter().map(String::as_str)).map(|name| name[..3].to_uppercase()));
    let help = near.map_or_else(|| kind.allowed(), |name| format!("did you mean `{name}`?"));
    error(it.range(), format!("`{shown}` is not {}", kind.one()), help)
}

fn step_of(it: Word<'_>, kind: &Kind) -> Result<usize, Error> {
    let size = kind.most.min(if kind.most == 7 { 6 } else { u32::MAX }) - kind.least + 1;
    match it.text.parse::<u32>() {
        Ok(n) if (1..=size).contains(&n) => Ok(n as usize),
        Ok(0) => Err(error(it.range(), "a step of 0 never gets on", "write 1 or more after the `/`")),
        Ok(n) => Err(error(
            it.range(),
            format!("a step of {n} goes past the last {}", kind.name),
            format!("at most {size}; a longer interval needs the field before or after it"),
        )),
        Err(_) => {
            let message = format!("`{}` is not a step", it.text);
            Err(error(it.range(), message, "write a number after the `/`, such as `*/5`"))
        }
    }
}

fn nickname(text: &str, start: usize) -> Result<Fields, Error> {
    let lower = text.to_lowercase();
    if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| *name == lower) {
        return read(fields);
    }
    let at = start..start + text.len();
    let help = match lower.split_whitespace().next().unwrap_or("") {
        "@every" => "write the interval as fields, such as `*/5 * * * *` for every five minutes".into(),
        "@reboot" => "a schedule goes by the clock; what happens at a start is an event".into(),
        word => match nearest(word, NICKNAMES.iter().map(|(name, _)| *name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually".into(),
        },
    };
    Err(error(at, format!("there is no schedule `{text}`"), help))
}

fn count(text: &str, start: usize, n: usize) -> Error {
    let at = start..start + text.len();
    let near = nearest(&format!("@{}", text.to_lowercase()), NICKNAMES.iter().map(|(name, _)| *name));
    if let Some(near) = near {
        return error(at, format!("`{text}` is not a schedule"), format!("did you mean `{near}`?"));
    }
    let fields = "minute, hour, day of the month, month, weekday";
    match n {
        0 => error(at, "the schedule is empty", format!("write 5 fields: {fields}")),
        7 => error(
            at,
            "a schedule has no field for years, this has 7 fields",
            format!("write 5 fields ({fields}), or 6 with the second first"),
        ),
        _ => {
            let fields_here = if n == 1 { "1 field".to_owned() } else { format!("{n} fields") };
            let message = format!("a schedule has 5 or 6 fields, this has {fields_here}");
            error(at, message, format!("write {fields}; with 6, the second comes first"))
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let offset = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(move |word| Word { text: word, start: offset(word) })
}

impl Word<'_> {
    fn range(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

impl Kind {
    fn one(&self) -> String {
        format!("{} {}", if self.name == "hour" { "an" } else { "a" }, self.name)
    }

    /// What the field may say, for people.
    fn allowed(&self) -> String {
        let names = match self.names {
            [] => String::new(),
            [first, ..] if self.most == 7 => format!(" (0 and 7 are {first}) or SUN to SAT"),
            _ => " or JAN to DEC".into(),
        };
        format!("{} is {} to {}{names}; also `*`, `a-b`, `a,b` and `*/n`", self.one(), self.least, self.most)
    }
}

fn error(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Error {
    Error { of: Part::Expression, at, message: message.into(), help: help.into() }
}
