//! Amounts of data as people write them: `10GiB`, `500 MB`, or a number of bytes.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// An amount of data, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Units, the larger of the same letter first where one ends like another.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Why a text is not an amount of data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of data: write a number with MiB, GiB or TiB, such as 10GiB or 500MiB")]
pub struct Error(String);

impl Size {
    /// Reads `text`.
    ///
    /// # Errors
    /// When it is not a number with or without a unit.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fail = || Error(text.into());
        let trimmed = text.trim();
        let ends_with = |unit: &&(&str, u64)| {
            let start = trimmed.len().checked_sub(unit.0.len());
            start.and_then(|at| trimmed.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(unit.0))
        };
        let (name, factor) = UNITS.iter().find(ends_with).copied().unwrap_or(("", 1));
        let number: f64 = trimmed[..trimmed.len() - name.len()].trim().parse().map_err(|_| fail())?;
        let bytes = number * factor as f64;
        // Up to here a number of bytes is exact.
        if !(0.0..=9.0e15).contains(&bytes) {
            return Err(fail());
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..4].iter().find(|(_, factor)| self.0 >= *factor);
        match binary {
            Some((name, factor)) => {
                write!(f, "{} {name}", (self.0 as f64 / *factor as f64 * 10.0).round() / 10.0)
            }
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of data such as 10GiB")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes))
            }
            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                u64::try_from(bytes).map(Size).map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        for (text, bytes) in [
            ("10GiB", 10 << 30),
            ("1.5 gib", 3 << 29),
            ("500MB", 500_000_000),
            ("7 kB", 7_000),
            ("12 B", 12),
            ("1048576", 1 << 20),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "ten", "1 GiB more", "1e30 TiB", "€"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        assert_eq!(Size(3 << 29).to_string(), "1.5 GiB");
        assert_eq!(Size(10).to_string(), "10 bytes");
    }
}
