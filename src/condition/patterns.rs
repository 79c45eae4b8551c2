//! Regular expressions and wildcards, matched in linear time whatever the pattern and the text.
//!
//! A pattern that is written in a condition is compiled when the rule is read; one that comes out of an event is
//! compiled when it is met, and kept for the next time.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

/// How a pattern is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular expression, found anywhere in the text.
    Regex,
    /// The same, large and small letters alike.
    IRegex,
    /// Wildcards `*` and `?` for the whole text.
    Like,
    /// The same, large and small letters alike.
    ILike,
}

/// A compiled pattern; cloning it copies a pointer.
#[derive(Clone, Debug)]
pub struct Pattern {
    kind: Kind,
    text: Box<str>,
    regex: Regex,
}

/// Largest program and cache of one pattern, in bytes: some thousand letters of pattern.
const MAX_SIZE: usize = 1 << 20;
/// Most patterns out of events that a thread keeps compiled.
const MAX_KEPT: usize = 128;

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// When it is no pattern of its kind, in words.
    pub fn compile(kind: Kind, text: &str) -> Result<Self, String> {
        let source = match kind {
            Kind::Regex | Kind::IRegex => text.to_owned(),
            Kind::Like | Kind::ILike => wildcards(text),
        };
        let regex = RegexBuilder::new(&source)
            .case_insensitive(matches!(kind, Kind::IRegex | Kind::ILike))
            .size_limit(MAX_SIZE)
            .dfa_size_limit(MAX_SIZE)
            .nest_limit(64)
            .build()
            .map_err(|error| words(&error))?;
        Ok(Self { kind, text: text.into(), regex })
    }

    /// Whether `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.text == other.text
    }
}

/// Whether `text` matches `pattern`, which is known only now.
pub(super) fn matches(kind: Kind, text: &str, pattern: &str) -> Result<bool, String> {
    thread_local! {
        static KEPT: RefCell<HashMap<(Kind, Box<str>), Pattern>> = RefCell::default();
    }
    KEPT.with_borrow_mut(|kept| {
        let key = (kind, Box::from(pattern));
        if let Some(known) = kept.get(&key) {
            return Ok(known.matches(text));
        }
        let pattern =
            Pattern::compile(kind, pattern).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        let answer = pattern.matches(text);
        kept.insert(key, pattern);
        Ok(answer)
    })
}

/// Wildcards as a regular expression; `\` takes the meaning from the letter after it.
fn wildcards(text: &str) -> String {
    let mut out = String::from("(?s)\\A");
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => out.push_str(&regex::escape(letters.next().unwrap_or('\\').encode_utf8(&mut [0; 4]))),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str("\\z");
    out
}

/// What is wrong with a pattern, in one line.
fn words(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large; repeat less, or use a smaller class".into(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_the_whole_text_and_mean_nothing_else() {
        for (pattern, text, expected) in [
            ("b?r*", "bar none", true),
            ("b?r*", "abar", false),
            ("*foo*", "a\nfoo\nb", true),
            ("a.c", "abc", false),
            ("[a]", "[a]", true),
            ("50\\*", "50*", true),
            ("50\\*", "500", false),
            ("", "", true),
            ("ö?", "öä", true),
        ] {
            assert_eq!(matches(Kind::Like, text, pattern), Ok(expected), "{pattern} on {text}");
        }
        assert_eq!(matches(Kind::ILike, "ÄB", "ä*"), Ok(true));
    }

    #[test]
    fn a_pattern_made_to_hang_others_does_not_hang() {
        let text = format!("{}!", "a".repeat(1 << 20));
        let from = std::time::Instant::now();
        for pattern in ["(a+)+$", "(a|a)*b", "(.*)*x", "^(([a-z])+.)+[A-Z]([a-z])+$"] {
            assert_eq!(matches(Kind::Regex, &text, pattern), Ok(false), "{pattern}");
        }
        assert!(from.elapsed().as_secs() < 5, "it took {:?}", from.elapsed());
        assert!(Pattern::compile(Kind::Regex, "(((a{100}){100}){100})").unwrap_err().contains("too large"));
    }

    #[test]
    fn what_is_no_pattern_is_said_in_one_line() {
        for (pattern, part) in [("(a", "unclosed group"), ("(?=a)", "look-around"), ("a{9", "repetition")] {
            let error = matches(Kind::Regex, "a", pattern).unwrap_err();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }
}
