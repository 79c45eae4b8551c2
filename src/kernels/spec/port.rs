//! `port:` of a kernel: `auto` or a number.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The port a kernel is told to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// A free one of the loopback interface, one for each replica.
    Auto,
    /// This one for replica 0, the next for replica 1, and so on.
    Fixed(u16),
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Fixed(port) => to.serialize_u16(*port),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Port;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`auto` or a port number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Port, E> {
                match text {
                    "auto" => Ok(Port::Auto),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, port: u64) -> Result<Port, E> {
                let bad = || E::invalid_value(de::Unexpected::Unsigned(port), &self);
                u16::try_from(port).map(Port::Fixed).map_err(|_| bad())
            }
        }
        from.deserialize_any(Visitor)
    }
}
