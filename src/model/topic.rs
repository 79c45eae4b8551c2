//! Topics and topic patterns, with the meaning that NATS gives subjects.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What an event is about: dot-separated tokens without wildcards, such as `telemetry.kernel.exited`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(Arc<str>);

/// Which topics are meant: `*` is exactly one token, a final `>` is one or more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<str>);

/// Why a text is not a topic or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing between two dots, or nothing at all.
    #[error("`{0}` has an empty token: write one or more tokens with a single dot between them")]
    EmptyToken(String),
    /// A space, tab, line break or NUL.
    #[error("`{0}` holds white space or a control character, which a topic cannot")]
    Blank(String),
    /// A `*` or `>` in a topic.
    #[error("`{0}` is a pattern, not a topic: `*` and `>` stand for many topics, name one")]
    Wildcard(String),
    /// A `>` that something follows.
    #[error("`{0}`: `>` means \"one or more tokens\" and can only stand last")]
    TailNotLast(String),
    /// Longer than [`MAX_LEN`].
    #[error("the topic is {0} bytes long, the limit is {MAX_LEN}")]
    TooLong(usize),
}

/// Longest topic or pattern, in bytes; index keys stay small.
pub const MAX_LEN: usize = 1024;

impl Topic {
    /// Checks `text` and makes a topic of it.
    ///
    /// # Errors
    /// When a token is empty, or the text holds a wildcard token or white space.
    pub fn try_new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        check(text)?;
        if text.split('.').any(|token| token == "*" || token == ">") {
            return Err(Error::Wildcard(text.into()));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pattern {
    /// Checks `text` and makes a pattern of it.
    ///
    /// # Errors
    /// When a token is empty, the text holds white space, or a `>` is not last.
    pub fn try_new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        check(text)?;
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            if token == ">" && tokens.peek().is_some() {
                return Err(Error::TailNotLast(text.into()));
            }
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this pattern means exactly one topic.
    pub fn is_literal(&self) -> bool {
        !self.0.split('.').any(|token| token == "*" || token == ">")
    }

    /// Whether `topic` is one of the topics meant.
    pub fn matches(&self, topic: &str) -> bool {
        let mut topic = topic.split('.');
        for token in self.0.split('.') {
            match (token, topic.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (token, Some(other)) if token == other => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }

    /// Whether every topic that `other` means is meant by this pattern too.
    pub fn contains(&self, other: &Pattern) -> bool {
        let mut theirs = other.0.split('.');
        for token in self.0.split('.') {
            match (token, theirs.next()) {
                (">", Some(_)) => return true,
                (_, None | Some(">")) => return false,
                ("*", Some(_)) => {}
                (token, Some(other)) if token == other => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some topic is meant by both patterns.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        let (mut ours, mut theirs) = (self.0.split('.'), other.0.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(a), Some(b)) if a == "*" || b == "*" || a == b => {}
                _ => return false,
            }
        }
    }
}

fn check(text: &str) -> Result<(), Error> {
    if text.len() > MAX_LEN {
        return Err(Error::TooLong(text.len()));
    }
    if text.split('.').any(str::is_empty) {
        return Err(Error::EmptyToken(text.into()));
    }
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(Error::Blank(text.into()));
    }
    Ok(())
}

macro_rules! text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                Self::try_new(text)
            }
        }
        impl From<$name> for String {
            fn from(it: $name) -> String {
                it.0.as_ref().into()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(Topic);
text!(Pattern);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_topics_that_nats_says() {
        let cases = [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("*.b.>", "a.b.c", true),
            ("a*", "a*", true),
        ];
        for (pattern, topic, expected) in cases {
            assert_eq!(Pattern::try_new(pattern).unwrap().matches(topic), expected, "{pattern} on {topic}");
        }
    }

    #[test]
    fn what_is_no_topic_is_refused_with_the_reason() {
        for (text, start) in [
            ("", "`` has an empty"),
            ("a..b", "`a..b` has an empty"),
            ("a b", "`a b` holds"),
            ("a.*", "`a.*` is a pattern"),
        ] {
            assert!(Topic::try_new(text).unwrap_err().to_string().starts_with(start), "{text}");
        }
        assert!(Pattern::try_new("a.>.b").unwrap_err().to_string().contains("can only stand last"));
    }
}
