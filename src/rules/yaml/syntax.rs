//! What is wrong with text that is no YAML, in words for people who do not know its grammar by heart.
//!
//! The parser says where it stopped; what a person must mend often stands just before. So the line on which it stopped
//! and the one above it are looked at for the slips that people make.

use std::ops::Range;

use super::Error;

const QUOTES: &str = "if this belongs to a text, put all of the text in quotes";

/// The parser's `message` at byte `at` of `text`, made plain.
pub fn explain(text: &str, at: Range<usize>, message: &str) -> Error {
    let here = Here::new(text, at.start);
    let error = |at: Range<usize>, message: &str, help: String| Error {
        at,
        message: message.into(),
        help: Some(help).filter(|help| !help.is_empty()),
        limit: false,
    };
    if message.contains("budget breached") || message.contains("limit") {
        if here.rest.starts_with("---") {
            let help = "take this line out and put all rules below one `rules:`, or make two files of it";
            return error(here.word(), "a second document begins here: a file holds one", help.into());
        }
        let message = "the file is too deep, too large, or too much of it is aliases".into();
        return Error { at, message, help: None, limit: true };
    }
    let message = plain(message);
    if let Some(tab) = here.tab().filter(|_| message.contains("tab")) {
        return error(tab, "a tab stands where only spaces can", "put spaces in its place".into());
    }
    if message.contains("anchor or alias") || message.contains("unknown anchor") {
        // Outside of brackets all of the value is meant, as in `*/5 * * * *`.
        let alone = here.before.trim_end().ends_with([':', '-']);
        let value = here.rest.split(" #").next().unwrap_or(here.rest).trim_end();
        let word = if alone { here.at..here.at + value.len() } else { here.word() };
        let shown = &text[word.clone()];
        let message = format!("`{shown}` is read as YAML's alias of something named before");
        return error(word.clone(), &message, format!("if it is a text, put it in quotes: \"{shown}\""));
    }
    if message.contains("unknown escape")
        && let Some(at) = unknown_escape(text, at.start)
    {
        let message = format!("`{}` means nothing between double quotes", &text[at.clone()]);
        let help =
            "put it between single quotes, and a pattern in it between backticks: there `\\` is only itself";
        return error(at, &message, help.into());
    }
    if here.rest.starts_with('`') || here.rest.starts_with('@') || here.rest.starts_with('%') {
        let message = format!("a text cannot begin with `{}`", &here.rest[..1]);
        return error(at, &message, "put all of the text in quotes".into());
    }
    if here.before.ends_with('$') && here.rest.starts_with('{') {
        let end = here.rest.find('}').map_or(here.rest.len(), |i| i + 1);
        let at = at.start - 1..at.start + end;
        let help = format!("put all of the text in quotes: \"{}\"", &text[at.clone()]);
        return error(at, "a brace within a list or map in braces", help);
    }
    if let Some((at, help)) = here.key_slip() {
        let known = ["mapping values", "simple key", "expected", "block"];
        if known.iter().any(|part| message.contains(part)) {
            return error(at, "this line is not a key and a value", help);
        }
    }
    if message.contains("illegal placement of ':'") || message.contains("unclosed bracket") {
        return match here.open_bracket() {
            Some((at, bracket)) => error(at, &format!("this `{bracket}` is not closed"), String::new()),
            None => error(at, &message, "a bracket before this is not closed".into()),
        };
    }
    if message.contains("mapping values")
        || message.contains("block mapping")
        || message.contains("block collection")
    {
        if let Some(help) = here.indentation() {
            return error(here.word(), "this line does not stand where it should", help);
        }
        if message.contains("mapping values") {
            return error(at, "a `: ` within a text", QUOTES.into());
        }
    }
    let help = match message.as_str() {
        it if it.contains("trailing content") || it.contains("unexpected character") => QUOTES,
        it if it.contains("unclosed quote") => "end the text with the same quote",
        _ => "",
    };
    error(at, &message, help.into())
}

/// The first `\` with what it cannot stand before, in the text between double quotes at `start`.
fn unknown_escape(text: &str, start: usize) -> Option<Range<usize>> {
    let mut rest = text.get(start..)?.char_indices();
    while let Some((i, c)) = rest.next() {
        if c == '\\' {
            let (_, next) = rest.next()?;
            if !next.is_whitespace() && !"0abtnvfre\"/\\N_LPxuU".contains(next) {
                return Some(start + i..start + i + 1 + next.len_utf8());
            }
        }
    }
    None
}

/// The parser's message without the place, which the diagnostic shows.
fn plain(message: &str) -> String {
    let end = message.find(" at line ").or_else(|| message.find(" (line ")).unwrap_or(message.len());
    message[..end].trim().to_owned()
}

/// Where the parser stopped.
struct Here<'a> {
    text: &'a str,
    at: usize,
    /// The start of the line.
    start: usize,
    /// What stands on the line before it.
    before: &'a str,
    /// From it to the end of the line.
    rest: &'a str,
}

impl<'a> Here<'a> {
    fn new(text: &'a str, at: usize) -> Self {
        let at = at.min(text.len());
        let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
        let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
        Self { text, at, start, before: &text[start..at], rest: text[at..end].trim_end_matches('\r') }
    }

    fn line(&self) -> &'a str {
        let end = self.at + self.rest.len();
        &self.text[self.start..end]
    }

    /// The line above that holds something, and where it starts.
    fn above(&self) -> Option<(usize, &'a str)> {
        let mut end = self.start.checked_sub(1)?;
        loop {
            let start = self.text[..end].rfind('\n').map_or(0, |i| i + 1);
            let line = self.text[start..end].trim_end();
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                return Some((start, line));
            }
            end = start.checked_sub(1)?;
        }
    }

    /// The word at which it stopped.
    fn word(&self) -> Range<usize> {
        let ends = |c: char| c.is_whitespace() || ",]}#:".contains(c);
        let len = self.rest.find(ends).unwrap_or(self.rest.len());
        self.at..self.at + len.max(usize::from(!self.rest.is_empty()))
    }

    /// The first tab at the beginning of this line or the next.
    fn tab(&self) -> Option<Range<usize>> {
        let mut start = self.start;
        for line in self.text[self.start..].split_inclusive('\n').take(2) {
            let indent = line.len() - line.trim_start().len();
            if let Some(i) = line[..indent].find('\t') {
                return Some(start + i..start + i + 1);
            }
            start += line.len();
        }
        let tab = self.text[self.start..].lines().next()?.find('\t')?;
        Some(self.start + tab..self.start + tab + 1)
    }

    /// A key without its `: `, or a `-` without its space, on this line or the one above.
    fn key_slip(&self) -> Option<(Range<usize>, String)> {
        let above = self.above();
        [Some((self.start, self.line())), above].into_iter().flatten().find_map(|(start, line)| {
            let indent = line.len() - line.trim_start().len();
            let mut at = start + indent;
            let mut content = line[indent..].split(" #").next().unwrap_or("").trim_end();
            if let Some(rest) = content.strip_prefix('-')
                && rest.starts_with(|c: char| c.is_ascii_alphabetic())
            {
                return Some((at..at + content.len(), "write a space after the `-`".into()));
            }
            if let Some(rest) = content.strip_prefix("- ") {
                at += content.len() - rest.trim_start().len();
                content = rest.trim_start();
            }
            let key = content.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(content.len());
            let (key, rest) = content.split_at(key);
            let at = at..at + content.len();
            if key.is_empty() {
                return None;
            }
            if let Some(value) =
                rest.strip_prefix(':').filter(|value| !value.is_empty() && !value.starts_with(' '))
            {
                return Some((at, format!("write a space after the colon: `{key}: {value}`")));
            }
            let value = rest
                .strip_prefix(' ')
                .or_else(|| rest.strip_prefix(" = "))
                .or_else(|| rest.strip_prefix('='));
            let value = value.filter(|_| !rest.contains(": ") && !rest.ends_with(':'))?;
            let value = value.trim_start_matches(['=', ' ']);
            Some((at, format!("write a colon after the key: `{key}: {value}`")))
        })
    }

    /// The bracket before it that is not closed, if quotes leave no doubt.
    fn open_bracket(&self) -> Option<(Range<usize>, char)> {
        let mut open = Vec::new();
        let mut quote = None;
        // It was opened at most some lines above.
        let from = self.text[..self.at]
            .char_indices()
            .rev()
            .filter(|(_, c)| *c == '\n')
            .nth(20)
            .map_or(0, |(i, _)| i);
        for (i, c) in self.text[from..(self.at + 1).min(self.text.len())].char_indices() {
            match (quote, c) {
                (Some(q), c) if q == c => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '[' | '{') => open.push((from + i, c)),
                (None, ']' | '}') => drop(open.pop()),
                _ => {}
            }
        }
        open.first().map(|(at, c)| (*at..*at + 1, *c))
    }

    /// That this line is further in, or less far, than the one above allows.
    fn indentation(&self) -> Option<String> {
        let (_, above) = self.above()?;
        let column = |line: &str| {
            let trimmed = line.trim_start();
            let dash = trimmed.strip_prefix("- ").map_or(0, |rest| 2 + rest.len() - rest.trim_start().len());
            line.len() - trimmed.len() + dash
        };
        let (here, above_at) = (self.line().len() - self.line().trim_start().len(), column(above));
        if here > above_at && above.contains(": ") {
            return Some(format!("begin it in column {}, as the line above does", above_at + 1));
        }
        (here < above_at && !self.line().trim_start().starts_with('-'))
            .then(|| format!("begin it in column {}, as the other keys of the rule do", above_at + 1))
    }
}
