//! An expression's text cut into words, texts and signs, each with its place; for what looks at the text before or
//! after Rhai does.

use std::ops::Range;

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword.
    Name,
    /// A number, with what stands directly after it.
    Number,
    /// A text in quotes.
    Text,
    /// A sign, one or more characters.
    Sign,
}

/// A piece of an expression's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub at: Range<usize>,
}

/// Signs of several characters that mean something of their own here.
const SIGNS: [&str; 14] =
    ["..=", "..", "&&", "||", "??", "?.", "?[", "==", "!=", "<=", ">=", "::", "#{", "**"];

/// Cuts `text` up; space and comments are left out.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let (bytes, mut at, mut found) = (text.as_bytes(), 0, Vec::new());
    while at < bytes.len() {
        let b = bytes[at];
        let rest = &text[at..];
        let (kind, end) = if let Some(end) = skip(text, at) {
            (if rest.starts_with('/') { None } else { Some(Kind::Text) }, end)
        } else if b.is_ascii_digit() {
            (Some(Kind::Number), word_end(text, at))
        } else if let Some(n) = rest.find(|c: char| !c.is_alphanumeric() && c != '_').or(Some(rest.len()))
            && n > 0
        {
            (Some(Kind::Name), at + n)
        } else {
            let sign = SIGNS
                .iter()
                .find(|sign| rest.starts_with(**sign))
                .map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), |sign| sign.len());
            ((!b.is_ascii_whitespace()).then_some(Kind::Sign), at + sign)
        };
        found.extend(kind.map(|kind| Token { kind, at: at..end }));
        at = end;
    }
    found
}

/// The end of the text or comment that begins at `at`, if one does.
pub(super) fn skip(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let first = rest.as_bytes().first()?;
    if rest.starts_with("//") {
        return Some(at + rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        let (mut depth, mut i) = (0_usize, 0);
        while let Some(two) = rest.as_bytes().get(i..i + 2) {
            match two {
                b"/*" => depth += 1,
                b"*/" => depth -= 1,
                _ => {
                    i += 1;
                    continue;
                }
            }
            i += 2;
            if depth == 0 {
                return Some(at + i);
            }
        }
        return Some(text.len());
    }
    if *first == b'#' {
        // `#"…"#`, with as many `#` as one likes.
        let marks = rest.bytes().take_while(|b| *b == b'#').count();
        let body = rest[marks..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(marks));
        return Some(body.find(&close).map_or(text.len(), |i| at + marks + 1 + i + close.len()));
    }
    if !matches!(first, b'"' | b'\'' | b'`') {
        return None;
    }
    let mut escaped = false;
    for (i, b) in rest.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' if *first != b'`' => escaped = true,
            b if b == *first => return Some(at + i + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The end of the number, with its unit if it has one, that begins at `at`.
fn word_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut i = at;
    while let Some(b) = bytes.get(i) {
        let point = *b == b'.' && bytes.get(i + 1).is_some_and(u8::is_ascii_digit);
        if !(b.is_ascii_alphanumeric() || *b == b'_' || point) {
            break;
        }
        i += 1;
    }
    i
}
