//! Lengths of time as people write them: `30s`, `1h30m`, `250ms`, `2d`, or a number of seconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time. Written as text (`1m30s`), read from text or from a number of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time: write a number with ms, s, m, h, d or w, such as 30s, 5m or 1h30m")]
pub struct Error(String);

/// Longest span: 10 years. Longer is a slip of the keyboard, and could not be added to a time.
const MAX_SECS: f64 = 10.0 * 366.0 * 86_400.0;

impl Span {
    /// Reads `text`.
    ///
    /// # Errors
    /// When it is not one or more `<number><unit>`, is negative, or is longer than 10 years.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fail = || Error(text.into());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(fail());
        }
        let mut secs = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(fail)?;
            let number: f64 = rest[..digits].parse().map_err(|_| fail())?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            secs += number * unit(&rest[..letters]).ok_or_else(fail)?;
            rest = rest[letters..].trim_start();
        }
        Self::from_secs_f64(secs).ok_or_else(fail)
    }

    /// A span of `secs` seconds; none if negative, not a number, or over 10 years.
    pub fn from_secs_f64(secs: f64) -> Option<Self> {
        (0.0..=MAX_SECS).contains(&secs).then(|| Self(Duration::from_secs_f64(secs)))
    }

    /// A span of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The same as chrono's signed duration.
    pub fn delta(self) -> chrono::TimeDelta {
        chrono::TimeDelta::from_std(self.0).unwrap_or(chrono::TimeDelta::MAX)
    }

    /// Seconds, with their fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Whether this is no time at all.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "ms" => 0.001,
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = self.0.as_millis();
        if ms == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if ms >= size {
                write!(f, "{}{unit}", ms / size)?;
                ms %= size;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 30s, 5m or 1h30m, or a number of seconds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).map_err(E::custom)
            }
            fn visit_f64<E: de::Error>(self, secs: f64) -> Result<Span, E> {
                Span::from_secs_f64(secs).ok_or_else(|| E::custom(Error(secs.to_string())))
            }
            fn visit_u64<E: de::Error>(self, secs: u64) -> Result<Span, E> {
                self.visit_f64(secs as f64)
            }
            fn visit_i64<E: de::Error>(self, secs: i64) -> Result<Span, E> {
                self.visit_f64(secs as f64)
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read_and_written_back() {
        for (text, ms, back) in [
            ("30s", 30_000, "30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("1.5s", 1_500, "1s500ms"),
            ("2 d", 172_800_000, "2d"),
            ("0s", 0, "0s"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (ms, back), "{text}");
        }
        for text in ["", "5", "m", "-5s", "5 parsecs", "1.2.3s", "99999999999d", "5s!"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }
}
