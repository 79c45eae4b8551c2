//! What the parser could not read, seen as the slip of a person: where it is, what it is, what to do.
//!
//! Start with [`find`]. It is asked only where there is a mistake for certain. Slips are looked for from the certain to
//! the general; where none is found, the parser's own place and [`super::advice`] stand.

use std::ops::Range;

use rhai::ParseErrorType;

use super::tokens::Script;
use super::{brackets, phrases, whole};

/// A slip that was found.
pub struct Slip {
    /// Where, if not where the parser stopped.
    pub at: Option<Range<usize>>,
    /// What is wrong, if the parser's words say it badly.
    pub text: Option<String>,
    /// What to do.
    pub help: String,
}

impl Slip {
    /// What to do about what the parser says.
    pub fn help(help: impl Into<String>) -> Self {
        Self { at: None, text: None, help: help.into() }
    }

    /// The same, in these words.
    #[must_use]
    pub fn says(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// The same, at this place.
    #[must_use]
    pub fn at(mut self, at: Range<usize>) -> Self {
        self.at = Some(at);
        self
    }
}

/// Where the parser stopped.
pub struct Seen<'a> {
    /// What it says.
    pub kind: &'a ParseErrorType,
    /// All that stands in the script.
    pub script: &'a Script<'a>,
    /// The token that it stopped at.
    pub i: usize,
    /// The byte that it stopped at.
    pub at: usize,
}

impl<'a> Seen<'a> {
    /// The token that it stopped at.
    pub fn word(&self) -> &'a str {
        self.script.word(self.i)
    }

    /// The token before that.
    pub fn before(&self) -> &'a str {
        self.i.checked_sub(1).map_or("", |i| self.script.word(i))
    }

    /// The token after it.
    pub fn after(&self) -> &'a str {
        self.script.word(self.i + 1)
    }

    /// Whether it misses `token`.
    pub fn misses(&self, token: &str) -> bool {
        matches!(self.kind, ParseErrorType::MissingToken(it, _) if it == token)
    }

    /// The innermost bracket that is open where it stopped.
    pub fn inside(&self) -> Option<usize> {
        self.script.enclosing(self.i).pop()
    }

    /// Whether tokens `i` and the next touch each other.
    pub fn touch(&self, i: usize) -> bool {
        i + 1 < self.script.tokens.len() && self.script.range(i).end == self.script.range(i + 1).start
    }
}

/// The slip behind `kind` at byte `at` of `text`, if it is one that people make.
pub fn find(kind: &ParseErrorType, text: &str, at: usize) -> Option<Slip> {
    let script = Script::read(text);
    let seen = Seen { kind, script: &script, i: script.index(at), at };
    whole::find(&seen).or_else(|| phrases::find(&seen)).or_else(|| brackets::find(&seen))
}

/// Line and column of byte `at`, as they are shown.
pub fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |i| i + 1);
    format!("{}:{}", before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}

/// How far the line of byte `at` is set in.
pub fn indent(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |i| i + 1);
    text[line..].chars().take_while(|c| matches!(c, ' ' | '\t')).map(|c| if c == '\t' { 4 } else { 1 }).sum()
}
