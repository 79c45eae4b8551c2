//! Which part of an event an expression reads: a starting point and the keys below it.

use std::fmt;

use serde_json::Value;

use super::scalar::Scalar;

/// A part of an event, such as `data.disk.used` or `subject`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Where it starts.
    pub root: Root,
    /// The keys from there on.
    pub keys: Box<[Key]>,
}

/// One step down from a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// To the field of a map.
    Name(Box<str>),
    /// To the element of a list, from 0.
    Index(usize),
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The topic.
    Topic,
    /// Who says so.
    Source,
    /// What it is about.
    Subject,
    /// The lane.
    Priority,
    /// The event's id.
    Id,
    /// W3C trace context.
    Traceparent,
    /// What it belongs to.
    Correlationid,
    /// What caused it.
    Causationid,
    /// Its time as text.
    Time,
    /// Its time in microseconds; nobody can write it, but `age(x)` reads it.
    Clock,
    /// The payload.
    Data,
    /// The n-th of the further variables that the expression was compiled with.
    Var(u8),
}

impl Root {
    /// The roots that lie in the event itself, with the keys that lead to them in its JSON.
    pub const ENVELOPE: [(Self, &'static [&'static str]); 10] = [
        (Self::Topic, &["topic", "type"]),
        (Self::Source, &["source"]),
        (Self::Subject, &["subject"]),
        (Self::Priority, &["priority"]),
        (Self::Id, &["id"]),
        (Self::Traceparent, &["traceparent"]),
        (Self::Correlationid, &["correlationid"]),
        (Self::Causationid, &["causationid"]),
        (Self::Time, &["time"]),
        (Self::Data, &["data", "payload"]),
    ];

    /// The root that `event.NAME` means, where it is one.
    pub fn of_event(name: &str) -> Option<Self> {
        Self::ENVELOPE.iter().find(|(_, keys)| keys[0] == name).map(|(root, _)| *root)
    }

    /// The root that the plain variable `name` means, where it is one.
    pub fn of_variable(name: &str) -> Option<Self> {
        Self::of_event(name).filter(|root| {
            matches!(
                root,
                Self::Topic | Self::Source | Self::Subject | Self::Time | Self::Priority | Self::Data
            )
        })
    }
}

impl Path {
    /// The root itself.
    pub fn root(root: Root) -> Self {
        Self { root, keys: Box::default() }
    }

    /// What stands at these keys below `value`: nothing if a key is missing, [`Scalar::Unknown`] if something on the
    /// way is of a kind that has no such keys.
    pub fn read<'v>(&self, value: &'v Value) -> Scalar<'v> {
        let mut value = value;
        for key in &self.keys {
            let next = match (value, key) {
                (Value::Object(map), Key::Name(name)) => map.get(&**name),
                (Value::Array(list), Key::Index(n)) => list.get(*n),
                (Value::Null, _) => None,
                _ => return Scalar::Unknown,
            };
            match next {
                Some(next) => value = next,
                None => return Scalar::Missing,
            }
        }
        Scalar::of(value)
    }

    /// The path as a person would write it; `vars` are the names of the further variables.
    pub fn display<'a>(&'a self, vars: &'a [Box<str>]) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            match self.root {
                Root::Var(n) => f.write_str(vars.get(usize::from(n)).map_or("?", |name| name))?,
                Root::Clock => f.write_str("time")?,
                root => {
                    let name =
                        Root::ENVELOPE.iter().find(|(r, _)| *r == root).map_or("?", |(_, keys)| keys[0]);
                    if Root::of_variable(name).is_none() {
                        f.write_str("event.")?;
                    }
                    f.write_str(name)?;
                }
            }
            for key in &self.keys {
                match key {
                    Key::Name(name) if rhai::is_valid_identifier(name) => write!(f, ".{name}")?,
                    Key::Name(name) => write!(f, "[{name:?}]")?,
                    Key::Index(n) => write!(f, "[{n}]")?,
                }
            }
            Ok(())
        })
    }
}
