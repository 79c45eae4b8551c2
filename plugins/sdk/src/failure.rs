//! Why an action failed, as the playbook will see it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an action failed. A playbook that catches it sees `kind`, `message` and `retryable`.
///
/// `?` makes one of the usual errors, of kind `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A short stable word, such as `failed`, `invalid`, `refused`, `unavailable`.
    pub kind: String,
    /// What happened and what to do, for people.
    pub message: String,
    /// Whether the same again may work.
    #[serde(default)]
    pub retryable: bool,
}

impl Failure {
    /// A failure that trying again will not mend.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), retryable: false }
    }

    /// Of kind `failed`: the thing asked for did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new("failed", message)
    }

    /// Of kind `invalid`: a parameter is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// Of kind `refused`: not allowed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new("refused", message)
    }

    /// The same, where trying again may help.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::failed(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::failed(message)
    }
}
