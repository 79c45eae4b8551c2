//! Identities: ULIDs, so that they sort by time and need nobody to hand them out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::Time;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// The id made at `time` with these random bits.
            pub fn new(time: Time, random: u128) -> Self {
                Self(Ulid::from_parts(time.timestamp_millis().max(0).unsigned_abs(), random))
            }

            /// When it was made, to the millisecond.
            pub fn time(&self) -> Time {
                super::clock::micros(i64::try_from(self.0.timestamp_ms()).unwrap_or(0).saturating_mul(1_000))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = ulid::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(Self)
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
