//! A mistake in a file that a person wrote: where it is, what was expected, how to mend it.

use serde::{Deserialize, Serialize};

/// A mistake in a file that a person wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// A stable code, such as `P0107`, that `paramedic check --explain` will know.
    pub code: String,
    /// Whether it stops the set from loading.
    pub severity: Severity,
    /// Path as the user named it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// How many characters are meant; at least 1.
    pub length: u32,
    /// The line itself.
    pub source_line: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Whether a diagnostic stops the set from loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// Longest advice that stands beside the caret.
const BESIDE: usize = 60;
/// Most characters of a line that are shown, those around the caret.
const MAX_LINE: usize = 200;
/// Most characters of a message and of advice, which may quote what is in the file.
const MAX_WORDS: usize = 1_000;
/// Of the characters of a line, how many stand before the caret at most, where the line goes on behind it.
const BEFORE: usize = 100;

impl Diagnostic {
    /// An error at byte range `at` of `text`, the content of `file`.
    pub fn error(
        code: &str,
        file: &str,
        text: &str,
        at: std::ops::Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let start = floor(text, at.start);
        let end = floor(text, at.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        Self {
            code: code.into(),
            severity: Severity::Error,
            file: file.into(),
            line: count(text[..start].matches('\n').count()) + 1,
            column: count(text[line_start..start].chars().count()) + 1,
            length: count(text[start..end.min(line_end).max(start)].chars().count()).max(1),
            source_line: text[line_start..line_end].trim_end_matches('\r').into(),
            message: message.into(),
            help: None,
        }
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What is shown of the line, how far in the caret stands there, and how many there are.
    fn window(&self) -> (String, usize, usize) {
        let (caret, length) = ((self.column as usize).saturating_sub(1), self.length as usize);
        let total = self.source_line.chars().count();
        if total <= MAX_LINE {
            return (self.source_line.chars().map(plain).collect(), caret, length);
        }
        let from = caret.saturating_sub(BEFORE).min(total - MAX_LINE);
        let mut shown = String::from(if from > 0 { "…" } else { "" });
        shown.extend(self.source_line.chars().skip(from).take(MAX_LINE).map(plain));
        if from + MAX_LINE < total {
            shown.push('…');
        }
        let carets = length.min((from + MAX_LINE).saturating_sub(caret)).max(1);
        (shown, caret - from + usize::from(from > 0), carets)
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for Diagnostic {
    /// Plain text in the manner of rustc:
    ///
    /// ```text
    /// error[P0107]: unknown key `wehn`
    ///   --> rules/boot.yaml:4:5
    ///    |
    ///  4 |     wehn: data.x > 1
    ///    |     ^^^^ did you mean `when`?
    /// ```
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let line = self.line.to_string();
        let pad = " ".repeat(line.len());
        writeln!(f, "{severity}[{}]: {}", self.code, start(&self.message))?;
        writeln!(f, "{pad} --> {}:{}:{}", start(&self.file), self.line, self.column)?;
        writeln!(f, "{pad} |")?;
        let (shown, indent, carets) = self.window();
        writeln!(f, "{line} | {shown}")?;
        let (indent, carets) = (" ".repeat(indent), "^".repeat(carets));
        write!(f, "{pad} | {indent}{carets}")?;
        match self.help.as_deref().map(start) {
            // Beside the caret while that can be read at a glance, else on a line of its own.
            Some(help) if help.chars().count() <= BESIDE => write!(f, " {help}"),
            Some(help) => write!(f, "\n{pad} = {help}"),
            None => Ok(()),
        }
    }
}

/// The one of `known` that `word` was most likely meant to be, for "did you mean"; none if nothing is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|(n, name)| *n <= limit && *n < name.chars().count())
        .min_by_key(|(n, _)| *n)
        .map(|(_, name)| name)
}

/// How many letters must be put in, taken out, changed or swapped with a neighbour to come from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<_>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let change = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

/// The text, or its start if it is too long to be read; signs that a terminal would obey are written out.
fn start(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(MAX_WORDS) {
        match c {
            c if c.is_control() || turns(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    if text.chars().nth(MAX_WORDS).is_some() {
        shown.push('…');
    }
    shown
}

/// What is shown of a character of a line, as wide as one: a terminal must not obey it.
fn plain(c: char) -> char {
    match c {
        '\t' => ' ',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{200b}' | '\u{2060}' | '\u{feff}' => '\u{fffd}',
        c if c.is_control() || turns(c) => '\u{fffd}',
        c => c,
    }
}

/// Whether `c` turns the direction in which text is shown, so that it looks as it is not.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_shown_around_the_caret() {
        let long = format!("key: {}X{}", "é".repeat(3_000), "z".repeat(400_000));
        for (what, at) in [
            ("start", 0..3),
            ("middle", 6_005..6_006),
            ("end", long.len() - 2..long.len()),
            ("all", 0..long.len()),
        ] {
            let error = Diagnostic::error("P0101", "a.yaml", &long, at.clone(), "wrong").help("mend it");
            let shown = error.to_string();
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines.iter().all(|line| line.chars().count() < 230), "{what}: {shown}");
            let under = |c: char| lines[4].chars().position(|it| it == c).unwrap();
            let marked = lines[3].chars().nth(under('^'));
            assert_eq!(marked, long[at].chars().next(), "{what}: {shown}");
            assert!(shown.ends_with("mend it"), "{what}: {shown}");
        }
        let wordy = Diagnostic::error("P0101", "a.yaml", &long, 0..3, &long).help(&long).to_string();
        assert!(wordy.chars().count() < 2_500, "{}", wordy.len());
        let short = Diagnostic::error("P0101", "a.yaml", "a\tb\u{1b}[31m", 2..3, "wrong").to_string();
        assert!(short.ends_with("1 | a b␛[31m\n  |   ^"), "{short:?}");
    }

    #[test]
    fn no_sign_in_a_file_is_obeyed_by_a_terminal() {
        let bad = "a\0\u{1b}[2J\r\u{7f}\u{9b}\u{202e}\u{2066}b";
        let shown = Diagnostic::error("P0101", bad, bad, 0..1, bad).help(bad).to_string();
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control() && !turns(c)), "{shown:?}");
        assert!(shown.contains("a\\u{0}\\u{1b}[2J\\u{d}\\u{7f}\\u{9b}\\u{202e}\\u{2066}b"), "{shown}");
        assert!(shown.contains("1 | a␀␛[2J␍␡���b\n"), "{shown}");
    }
}
