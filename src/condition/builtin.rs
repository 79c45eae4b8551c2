//! What Paramedic adds to Rhai's functions and that single values suffice for: one meaning, for Rhai and without it.
//!
//! A missing value asked for anything is missing again, or false. A value that cannot be read as what it is asked for
//! (`to_int("n/a")`, `age("soon")`) is missing too, so that `??` can put another in its place.

use std::borrow::Cow;

use chrono_tz::Tz;

use super::patterns::{self, Kind};
use super::scalar::{Op, Scalar, compare};
use super::times::{self, Part};

/// A function of single values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `iequals(a, b)`
    IEquals,
    /// `icontains(text, part)`
    IContains,
    /// `istarts_with(text, part)`
    IStartsWith,
    /// `iends_with(text, part)`
    IEndsWith,
    /// `matches`, `imatches`, `like`, `ilike`
    Matches(Kind),
    /// `trim(text)`
    Trim,
    /// `time(x)`: Unix seconds
    Time,
    /// `age(x)`: seconds from x to the event; the event's time in microseconds is the first argument
    Age,
    /// `duration(x)`: seconds
    Duration,
    /// `hour(x)`, `weekday(x, zone)`, …
    Part(Part),
    /// `to_int(x)`
    ToInt,
    /// `to_float(x)`
    ToFloat,
    /// `abs(x)`
    Abs,
    /// `floor(x)`
    Floor,
    /// `ceiling(x)`
    Ceiling,
    /// `round(x)`
    Round,
}

/// Each by its name, with the least and the greatest number of arguments.
pub(super) const ALL: &[(&str, Builtin, usize, usize)] = &[
    ("iequals", Builtin::IEquals, 2, 2),
    ("icontains", Builtin::IContains, 2, 2),
    ("istarts_with", Builtin::IStartsWith, 2, 2),
    ("iends_with", Builtin::IEndsWith, 2, 2),
    ("matches", Builtin::Matches(Kind::Regex), 2, 2),
    ("imatches", Builtin::Matches(Kind::IRegex), 2, 2),
    ("like", Builtin::Matches(Kind::Like), 2, 2),
    ("ilike", Builtin::Matches(Kind::ILike), 2, 2),
    ("trim", Builtin::Trim, 1, 1),
    ("time", Builtin::Time, 1, 1),
    ("age", Builtin::Age, 1, 1),
    ("duration", Builtin::Duration, 1, 1),
    ("year", Builtin::Part(Part::Year), 1, 2),
    ("month", Builtin::Part(Part::Month), 1, 2),
    ("day", Builtin::Part(Part::Day), 1, 2),
    ("hour", Builtin::Part(Part::Hour), 1, 2),
    ("minute", Builtin::Part(Part::Minute), 1, 2),
    ("weekday", Builtin::Part(Part::Weekday), 1, 2),
    ("to_int", Builtin::ToInt, 1, 1),
    ("parse_int", Builtin::ToInt, 1, 1),
    ("to_float", Builtin::ToFloat, 1, 1),
    ("parse_float", Builtin::ToFloat, 1, 1),
    ("abs", Builtin::Abs, 1, 1),
    ("floor", Builtin::Floor, 1, 1),
    ("ceiling", Builtin::Ceiling, 1, 1),
    ("round", Builtin::Round, 1, 1),
];

impl Builtin {
    /// The function `name`, if it takes `args` arguments.
    pub fn named(name: &str, args: usize) -> Option<Self> {
        ALL.iter()
            .find(|(known, _, least, most)| *known == name && (*least..=*most).contains(&args))
            .map(|(_, builtin, ..)| *builtin)
    }

    /// Whether it answers true or false.
    pub(super) fn is_question(self) -> bool {
        matches!(
            self,
            Self::IEquals | Self::IContains | Self::IStartsWith | Self::IEndsWith | Self::Matches(_)
        )
    }

    /// What it is for these arguments.
    ///
    /// # Errors
    /// When they are of a kind that it does not know, or a pattern or time zone is none, in words.
    pub fn call(self, args: &[Scalar<'_>]) -> Result<Scalar<'static>, String> {
        use Scalar as S;
        Ok(match (self, args) {
            (Self::IEquals, [S::Str(a), S::Str(b)]) => S::Bool(folded(a) == folded(b)),
            (Self::IEquals, [a, b]) => S::Bool(compare(Op::Eq, a, b).ok_or("compare single values")?),
            (
                Self::IContains | Self::IStartsWith | Self::IEndsWith | Self::Matches(_),
                [S::Missing, _] | [_, S::Missing],
            ) => S::Bool(false),
            (Self::IContains, [S::Str(a), S::Str(b)]) => S::Bool(folded(a).contains(&*folded(b))),
            (Self::IStartsWith, [S::Str(a), S::Str(b)]) => S::Bool(folded(a).starts_with(&*folded(b))),
            (Self::IEndsWith, [S::Str(a), S::Str(b)]) => S::Bool(folded(a).ends_with(&*folded(b))),
            (Self::Matches(kind), [S::Str(text), S::Str(pattern)]) => {
                S::Bool(patterns::matches(kind, text, pattern)?)
            }
            (_, [.., S::Missing]) if !matches!(self, Self::Part(_)) => S::Missing,
            (Self::Trim, [S::Str(text)]) => S::Str(Cow::Owned(text.trim().to_owned())),
            (Self::Time, [x]) => seconds(times::micros(x)),
            (Self::Age, [S::Int(now), x]) => seconds(times::micros(x).and_then(|t| now.checked_sub(t))),
            (Self::Duration, [x]) => times::duration(x).map_or(S::Missing, S::Float),
            (Self::Part(part), [x]) => part_of(part, x, Tz::UTC),
            (Self::Part(part), [x, S::Str(zone)]) => part_of(part, x, times::zone(zone)?),
            (Self::ToInt, [x]) => to_int(x),
            (Self::ToFloat, [x]) => match x {
                S::Int(n) => S::Float(*n as f64),
                S::Float(n) => S::Float(*n),
                S::Str(text) => text.trim().parse().map_or(S::Missing, S::Float),
                _ => S::Missing,
            },
            (Self::Abs, [S::Int(n)]) => S::Int(n.checked_abs().ok_or("the number is too large")?),
            (Self::Abs, [S::Float(n)]) => S::Float(n.abs()),
            (Self::Floor | Self::Ceiling | Self::Round, [S::Int(n)]) => S::Int(*n),
            (Self::Floor, [S::Float(n)]) => S::Float(n.floor()),
            (Self::Ceiling, [S::Float(n)]) => S::Float(n.ceil()),
            (Self::Round, [S::Float(n)]) => S::Float(n.round()),
            (_, args) => return Err(self.wants(args)),
        })
    }

    fn wants(self, args: &[Scalar<'_>]) -> String {
        let name = ALL.iter().find(|(_, builtin, ..)| *builtin == self).map_or("this", |(name, ..)| name);
        let wanted = match self {
            Self::Abs | Self::Floor | Self::Ceiling | Self::Round => "a number",
            Self::Part(_) => "a time, and the name of a time zone",
            Self::IContains | Self::IStartsWith | Self::IEndsWith | Self::Matches(_) => "two texts",
            _ => "a text",
        };
        let given = args.iter().map(kind).collect::<Vec<_>>().join(" and ");
        format!("`{name}` wants {wanted}, this is {given}")
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Scalar<'_>) -> &'static str {
    match value {
        Scalar::Missing => "() (a missing field)",
        Scalar::Bool(_) => "true or false",
        Scalar::Int(_) | Scalar::Float(_) => "a number",
        Scalar::Str(_) => "a text",
        Scalar::Array(_) => "a list",
        Scalar::Map => "a map",
        Scalar::Unknown => "something else",
    }
}

/// A text in which large and small letters are alike.
fn folded(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if plain { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

fn seconds(micros: Option<i64>) -> Scalar<'static> {
    micros.map_or(Scalar::Missing, |n| Scalar::Float(n as f64 / 1e6))
}

fn part_of(part: Part, time: &Scalar<'_>, zone: Tz) -> Scalar<'static> {
    let found = times::micros(time).and_then(|micros| times::part(part, micros, zone));
    found.map_or(Scalar::Missing, Scalar::Int)
}

fn to_int(value: &Scalar<'_>) -> Scalar<'static> {
    let of_float = |n: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "it is known to fit")]
        if n.abs() < 9.2e18 { Scalar::Int(n as i64) } else { Scalar::Missing }
    };
    match value {
        Scalar::Int(n) => Scalar::Int(*n),
        Scalar::Float(n) => of_float(*n),
        Scalar::Str(text) => match text.trim().parse::<i64>() {
            Ok(n) => Scalar::Int(n),
            Err(_) => text.trim().parse::<f64>().map_or(Scalar::Missing, of_float),
        },
        _ => Scalar::Missing,
    }
}
