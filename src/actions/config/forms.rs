//! How some values may be written in more than one form. Done by hand: serde's untagged enums say of a mistake only
//! that nothing matched.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Program, WebhookConfig};
use crate::actions::secret::SecretRef;

/// One, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Many<T>(pub Vec<T>);

/// An address: written here, or where a secret is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// Here.
    Plain(String),
    /// There.
    Secret(SecretRef),
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Place {
    pub(super) fn rebase(&mut self, base: &Path) {
        if let Self::Secret(secret) = self {
            secret.rebase(base);
        }
    }
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one channel or a list of them")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Many<T>, E> {
        Ok(Many::default())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Many<T>, E> {
        Ok(Many(vec![T::deserialize(StrDeserializer::new(text))?]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        Ok(Many(vec![T::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Many<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(Many(all))
    }
}

/// Reads a text by `text`, and a map as `M`.
struct TextOrMap<M, T> {
    what: &'static str,
    text: fn(&str) -> T,
    map: fn(M) -> T,
}

impl<'de, M: Deserialize<'de>, T> Visitor<'de> for TextOrMap<M, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok((self.text)(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        M::deserialize(MapAccessDeserializer::new(map)).map(self.map)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "an address, `{ env: NAME }` or `{ file: PATH }`";
        let text = |text: &str| Self::Plain(text.to_owned());
        deserializer.deserialize_any(TextOrMap::<SecretRef, Self> { what, text, map: Self::Secret })
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            program: String,
            #[serde(default)]
            options: Option<Vec<String>>,
        }
        let what = "a program, or `{ program: NAME, options: [-x] }`";
        let text = |text: &str| Self { program: text.to_owned(), options: None };
        let map = |Fields { program, options }| Self { program, options };
        deserializer.deserialize_any(TextOrMap::<Fields, Self> { what, text, map })
    }
}

impl<'de> Deserialize<'de> for WebhookConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "an address, or `{ url: ADDRESS, levels: [critical] }`";
        let text = |text: &str| Self::at(Place::Plain(text.to_owned()));
        deserializer.deserialize_any(TextOrMap::<super::channels::WebhookFields, Self> {
            what,
            text,
            map: Self::of,
        })
    }
}
