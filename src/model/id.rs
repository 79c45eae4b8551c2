//! Identities: ULIDs, so that they sort by time and need nobody to hand them out. They are kept as their bytes, which sort
//! the same and need no alignment: tables of them stay small.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::Time;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "Ulid", into = "Ulid")]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id made at `time` with these random bits.
            pub fn new(time: Time, random: u128) -> Self {
                Ulid::from_parts(time.timestamp_millis().max(0).unsigned_abs(), random).into()
            }

            /// When it was made, to the millisecond.
            pub fn time(&self) -> Time {
                let ms = Ulid::from(*self).timestamp_ms();
                super::clock::micros(i64::try_from(ms).unwrap_or(0).saturating_mul(1_000))
            }
        }
        impl From<Ulid> for $name {
            fn from(id: Ulid) -> Self {
                Self(id.to_bytes())
            }
        }
        impl From<$name> for Ulid {
            fn from(id: $name) -> Self {
                Self::from_bytes(id.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Ulid::from(*self).fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = ulid::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(Self::from)
            }
        }
    };
}

id!(
    /// Names an intent.
    IntentId
);
id!(
    /// Names one run of a playbook.
    RunId
);
id!(
    /// Names an alert.
    AlertId
);
