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
    /// Work for one byte of text, by the size of the program: a text may have to be followed through all its states.
    weight: u64,
}

/// Largest program and cache of one pattern, in bytes: some thousand letters of pattern.
const MAX_SIZE: usize = 1 << 20;
/// Most patterns out of events that a thread keeps compiled.
const MAX_KEPT: usize = 128;
/// Longest pattern, in bytes: reading one takes some hundred times its length in memory.
const MAX_TEXT: usize = 4 << 10;
/// Sizes of a program, in bytes, with the work that one byte of text then takes at worst.
const WEIGHTS: [(usize, u64); 4] = [(16 << 10, 2), (64 << 10, 16), (256 << 10, 64), (MAX_SIZE, 256)];

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// When it is no pattern of its kind, in words.
    pub fn compile(kind: Kind, text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("it is longer than {MAX_TEXT} bytes"));
        }
        let source = match kind {
            Kind::Regex | Kind::IRegex => text.to_owned(),
            Kind::Like | Kind::ILike => wildcards(text),
        };
        let build = |size: usize| {
            RegexBuilder::new(&source)
                .case_insensitive(matches!(kind, Kind::IRegex | Kind::ILike))
                .size_limit(size)
                .dfa_size_limit(MAX_SIZE)
                .nest_limit(64)
                .build()
        };
        let mut built = Err("it is too large".to_owned());
        for (size, weight) in WEIGHTS {
            match build(size) {
                Ok(regex) => return Ok(Self { kind, text: text.into(), regex, weight }),
                Err(error @ regex::Error::CompiledTooBig(_)) => built = Err(words(&error)),
                Err(error) => return Err(words(&error)),
            }
        }
        built
    }

    /// Work to compile a pattern, before anything is known of it.
    pub const COMPILE: u64 = 100_000;

    /// Work to find that a pattern is too large to be compiled.
    pub const FAIL: u64 = 3_000_000;

    /// Work that it took to compile it, beside that.
    pub fn cost_to_compile(&self) -> u64 {
        self.weight * 20_000
    }

    /// Work to match `text`, at worst.
    pub fn cost(&self, text: &str) -> u64 {
        self.weight.saturating_mul(text.len() as u64 + 16)
    }

    /// The pattern `text`, which is known only now; it may have been compiled before.
    ///
    /// # Errors
    /// When it is no pattern of its kind, in words.
    pub fn kept(kind: Kind, text: &str) -> Result<Self, String> {
        thread_local! {
            static KEPT: RefCell<HashMap<(Kind, Box<str>), Pattern>> = RefCell::default();
        }
        KEPT.with_borrow_mut(|kept| {
            let key = (kind, Box::from(text));
            if let Some(known) = kept.get(&key) {
                return Ok(known.clone());
            }
            let shown: String = text.chars().take(80).collect();
            let pattern =
                Self::compile(kind, text).map_err(|error| format!("`{shown}` is no pattern: {error}"))?;
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(key, pattern.clone());
            Ok(pattern)
        })
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
    Pattern::kept(kind, pattern).map(|pattern| pattern.matches(text))
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
