//! `plugins:` in the configuration: which libraries are loaded, and what they may use.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::model::Span;

/// One plugin, as an operator names it. A library that is not named here is never loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What it is called here: `[a-z0-9][a-z0-9_-]*`.
    pub name: String,
    /// The library; relative to the configuration's own folder.
    pub path: PathBuf,
    /// If given, a library with any other content is refused. `paramedic plugin pin` writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where it runs.
    #[serde(default)]
    pub isolation: Isolation,
    /// How much memory each of its processes may use besides what the host needs itself.
    #[serde(default = "default_memory")]
    pub memory: Bytes,
    /// The most that any call may take; without it, what each action says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How long it may take to load and start.
    #[serde(default = "default_start_timeout")]
    pub start_timeout: Span,
    /// The longest answer that is taken.
    #[serde(default = "default_output")]
    pub output: Bytes,
    /// Calls at once; each has a process of its own, started when needed.
    #[serde(default = "default_processes")]
    pub processes: usize,
    /// The plugin's own part, given to it as it is.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
}

/// Where a plugin runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In a process of its own, which cannot hurt the engine.
    #[default]
    Process,
    /// In the engine: a call costs some microseconds less, and a crash is the engine's.
    InProcess,
}

/// A number of bytes: `256MiB`, `64KiB`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// What is wrong with a plugin's specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}`: {message}")]
pub struct Error {
    /// Its name.
    pub plugin: String,
    /// The key.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Least memory with which a library can be loaded at all.
const LEAST_MEMORY: Bytes = Bytes(4 << 20);

/// More processes than this are more than a machine serves well.
const MOST_PROCESSES: usize = 64;

fn default_memory() -> Bytes {
    Bytes(256 << 20)
}

fn default_start_timeout() -> Span {
    Span::secs(10)
}

fn default_output() -> Bytes {
    Bytes(1 << 20)
}

fn default_processes() -> usize {
    4
}

impl Spec {
    /// One with nothing said but where it is.
    pub fn of(name: &str, path: &Path) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            sha256: None,
            isolation: Isolation::default(),
            memory: default_memory(),
            timeout: None,
            start_timeout: default_start_timeout(),
            output: default_output(),
            processes: default_processes(),
            config: Value::Null,
        }
    }

    fn check(&self) -> Vec<Error> {
        let mut found = Vec::new();
        let mut wrong = |field, message| found.push(Error { plugin: self.name.clone(), field, message });
        if !is_name(&self.name) {
            let message =
                "`name` is made of a-z, 0-9, `_` and `-`, begins with a letter or digit, and has at most 64";
            wrong("name", message.into());
        }
        if self.path.as_os_str().is_empty() {
            wrong("path", "`path` is empty: name the library, such as plugins/libhello.so".into());
        }
        if let Some(pin) = &self.sha256
            && !(pin.len() == 64 && pin.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            let message = "`sha256` is 64 hexadecimal digits; `paramedic plugin pin` writes them";
            wrong("sha256", message.into());
        }
        if self.memory < LEAST_MEMORY {
            let message = format!("`memory` is {}: at least {LEAST_MEMORY} are needed", self.memory);
            wrong("memory", message);
        }
        if self.output.0 == 0 || self.output > Bytes(256 << 20) {
            let message = format!("`output` is {}: from 1 byte to 256MiB are possible", self.output);
            wrong("output", message);
        }
        if self.processes == 0 || self.processes > MOST_PROCESSES {
            let message = format!("`processes` is {}: 1 to {MOST_PROCESSES} are possible", self.processes);
            wrong("processes", message);
        }
        for (field, span) in [("timeout", self.timeout), ("start_timeout", Some(self.start_timeout))] {
            if span.is_some_and(Span::is_zero) {
                wrong(field, format!("`{field}` is 0: nothing could be done in that time"));
            }
        }
        found
    }
}

/// Everything that is wrong with these plugins.
pub fn check_all(specs: &[Spec]) -> Vec<Error> {
    let mut errors: Vec<Error> = specs.iter().flat_map(Spec::check).collect();
    for (i, spec) in specs.iter().enumerate() {
        if specs[..i].iter().any(|other| other.name == spec.name) {
            let message = "there are two of this name: rename one".into();
            errors.push(Error { plugin: spec.name.clone(), field: "name", message });
        }
    }
    errors
}

/// Whether `text` can be the name of a plugin.
pub fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with(['_', '-'])
}

impl Bytes {
    /// Reads `256MiB`, `64 KiB`, `1GB`, `1024`.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let factor: u64 = match text[split..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            _ => return Err(format!("`{text}` is no number of bytes: write one such as 256MiB")),
        };
        let number: f64 = text[..split]
            .parse()
            .map_err(|_| format!("`{text}` is no number of bytes: write one such as 256MiB"))?;
        let bytes = number * factor as f64;
        if bytes > (1_u64 << 50) as f64 {
            return Err(format!("`{text}` is more bytes than any machine has"));
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes such as 256MiB")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                Bytes::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, n: u64) -> Result<Bytes, E> {
                Ok(Bytes(n))
            }
            fn visit_i64<E: serde::de::Error>(self, n: i64) -> Result<Bytes, E> {
                u64::try_from(n).map(Bytes).map_err(|_| E::custom("a number of bytes is not negative"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_could_not_work_is_told_with_its_key() {
        let good = Spec::of("disk", Path::new("a.so"));
        assert_eq!(check_all(std::slice::from_ref(&good)), []);
        for (field, bad) in [
            ("name", Spec { name: "Disk".into(), ..good.clone() }),
            ("name", Spec { name: "../x".into(), ..good.clone() }),
            ("path", Spec { path: PathBuf::new(), ..good.clone() }),
            ("sha256", Spec { sha256: Some("abc".into()), ..good.clone() }),
            ("memory", Spec { memory: Bytes(1), ..good.clone() }),
            ("output", Spec { output: Bytes(0), ..good.clone() }),
            ("processes", Spec { processes: 0, ..good.clone() }),
            ("timeout", Spec { timeout: Some(Span::default()), ..good.clone() }),
        ] {
            let errors = check_all(&[bad]);
            assert_eq!(errors.iter().map(|e| e.field).collect::<Vec<_>>(), [field]);
        }
        let both = Spec { memory: Bytes(1), processes: 0, ..good.clone() };
        assert_eq!(check_all(&[both]).len(), 2, "all that is wrong with one is told");
        assert_eq!(check_all(&[good.clone(), good]).len(), 1);
    }

    #[test]
    fn numbers_of_bytes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("1024", 1024), ("64KiB", 65_536), ("1.5 MiB", 1_572_864), ("2gb", 2_000_000_000)]
        {
            assert_eq!(Bytes::parse(text), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "MiB", "1 apple", "-5", "99999999TB", "9999999999GiB"] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
        assert_eq!(Bytes(256 << 20).to_string(), "256MiB");
    }
}
