//! The members of a JSON object, borrowed from its text: names, and values as they stand there.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::draft::Fault;

/// Most members of an event; a real one has a dozen.
const MAX_MEMBERS: usize = 128;

/// A member: its name, and its value's text.
pub(super) type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// The members of one object at a time.
#[derive(Default)]
pub(super) struct Members<'a>(Vec<Member<'a>>);

impl<'a> Members<'a> {
    /// Reads the object that `text` is.
    pub(super) fn read(&mut self, text: &'a str) -> Result<(), Fault> {
        self.0.clear();
        if !text.trim_ascii_start().starts_with('{') {
            return Err(Fault::whole("not a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        Object(&mut self.0)
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| Fault::whole(format!("not JSON: {error}")))
    }

    /// Gives the members in their order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Member<'a>> {
        self.0.drain(..)
    }
}

struct Object<'m, 'a>(&'m mut Vec<Member<'a>>);

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Name)? {
            if self.0.len() == MAX_MEMBERS {
                return Err(serde::de::Error::custom(format_args!("more than {MAX_MEMBERS} members")));
            }
            self.0.push((name, map.next_value()?));
        }
        Ok(())
    }
}

/// A name, borrowed unless it has escapes.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Name {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.into()))
    }
}
