//! What people write who think in another language, or who leave something out, and what to write instead.

use std::ops::Range;

use rhai::{LexError, ParseErrorType as Reason};

use super::super::Error;
use super::super::rewrite::chain;
use super::super::tokens::{Kind, Token, tokens};

/// What was most likely meant where the parser stopped at byte `at`, for this reason.
pub(super) fn find(text: &str, at: usize, reason: &Reason) -> Option<Error> {
    let (before, rest) = (text[..at].trim_end(), &text[at..]);
    let error =
        |at: std::ops::Range<usize>, message: &str, help: &str| Some(Error::new(at, message).help(help));
    let here = |len: usize| at..(at + len).min(text.len());
    let not_closed = matches!(reason, Reason::BadInput(LexError::UnterminatedString));
    if let Reason::BadInput(LexError::MalformedEscapeSequence(_)) = reason {
        return Some(escape(text, at));
    }
    if matches!(reason, Reason::MismatchedType(wanted, _) if wanted.contains("bool")) {
        return alternative(text, at);
    }
    if let Some(found) = list(text, at).or_else(|| unit(text, at)).or_else(|| letters(text, at)) {
        return Some(found);
    }
    if let Some(start) = before.strip_suffix("not") {
        return error(start.len()..before.len(), "`not` is written otherwise", "write `!`");
    }
    if rest.starts_with("not in") {
        return error(here(6), "`not in` is written otherwise", "write `!in`, as in `data.x !in [1, 2]`");
    }
    if rest.starts_with('\'')
        && let Some(len) = rest[1..].find('\'')
    {
        let help = format!("a text stands in double quotes: \"{}\"", &rest[1..=len]);
        return error(here(len + 2), "single quotes hold one character", &help);
    }
    if before.ends_with('<') && rest.starts_with('>') {
        return error(before.len() - 1..at + 1, "`<>` is written otherwise", "write `!=`");
    }
    if rest.starts_with("=~") || rest.starts_with("~=") || before.ends_with('~') || rest.starts_with('~') {
        return error(here(1), "a pattern is asked for otherwise", "write `data.name.matches(\"a.*\")`");
    }
    if rest.starts_with("===") || rest.starts_with("!==") {
        let [ours, theirs] = if rest.starts_with('!') { ["!=", "!=="] } else { ["==", "==="] };
        return error(here(3), &format!("`{theirs}` is written otherwise"), &format!("write `{ours}`"));
    }
    if let Some(word) =
        ["like", "matches", "contains", "startswith", "endswith"].into_iter().find(|w| rest.starts_with(w))
    {
        let ours = word.replace("swith", "s_with");
        return error(
            here(word.len()),
            &format!("`{word}` is a question to a text"),
            &format!("write `data.name.{ours}(\"…\")`"),
        );
    }
    if before.ends_with('%') && rest.is_empty() {
        return error(
            before.len() - 1..before.len(),
            "`%` is the rest of a division",
            "write the number alone, such as 90 or 0.9",
        );
    }
    if before.split_whitespace().next() == Some("if") {
        let start = before.len() - before.trim_start().len();
        return Some(branch(start..start + 2));
    }
    match rest.chars().next() {
        Some('{' | '$' | '}') => {
            error(here(1), "an expression stands alone, without braces", "write it as in `data.used > 0.9`")
        }
        Some(';') => error(here(1), "an expression has no `;`", "take it out"),
        Some(')') => error(here(1), "there is no `(` for this `)`", "take it out, or open it before"),
        Some('"') if not_closed => error(here(rest.len()), "this text is not closed", "end it with `\"`"),
        _ if rest.starts_with("let ") || rest.starts_with("const ") => {
            error(here(3), "an expression keeps nothing", "write it in one: join its parts with `&&`")
        }
        _ => beside(text, at),
    }
}

/// What to write instead of `if`.
pub(super) fn branch(at: Range<usize>) -> Error {
    Error::new(at, "an expression has no `if`").help("write what must hold, joined with `&&` and `||`")
}

/// The field as it must be written if a `-` before byte `at` belongs to its name, as in `data.a-b`.
pub(super) fn dashed(text: &str, at: usize) -> Option<String> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let start = text[..at].rfind(|c| !part(c)).map_or(0, |i| i + 1);
    let end = text[at..].find(|c| !part(c)).map_or(text.len(), |i| at + i);
    let field =
        text[..at].ends_with('-') && !text[start..at].starts_with('-') && text[..start].ends_with('.');
    field.then(|| indexed(text, start..end))?
}

/// The field whose last name stands at `name`, written with brackets.
fn indexed(text: &str, name: Range<usize>) -> Option<String> {
    let (all, dot) = (tokens(text), name.start.checked_sub(1)?);
    let dot = all.iter().position(|token| token.at == (dot..name.start) && text[token.at.clone()] == *".")?;
    let first = chain(&all, &|i| all.get(i).map_or("", |token| &text[token.at.clone()]), dot)?;
    Some(format!("{}[\"{}\"]", &text[all[first].at.start..all[dot].at.start], &text[name]))
}

/// A `\` in a text that means nothing there.
fn escape(text: &str, at: usize) -> Error {
    let whole = tokens(text).into_iter().find(|token| token.kind == Kind::Text && token.at.contains(&at));
    let quoted = |token: &Token, quote| token.at.len() > 2 && text[token.at.clone()].ends_with(quote);
    let (mut at, mut written) = (at..at + text[at..].chars().next().map_or(0, char::len_utf8), String::new());
    let mut message = "a `\\` in a text between double quotes is written twice";
    if let Some(token) = whole.filter(|token| quoted(token, '"') || quoted(token, '\'')) {
        if text[token.at.clone()].starts_with('\'') {
            message = "single quotes hold one character";
        }
        written = text[token.at.start + 1..token.at.end - 1].replace("\\\\", "\\");
        at = token.at;
    }
    let error = Error::new(at, message);
    if written.is_empty() || written.contains(['`', '$']) {
        return error.help("write it twice, or put the text between backticks, where it is written once");
    }
    error.help(format!("put the text between backticks, where it is written once: `{written}`"))
}

/// A value where a question should stand, as in `data.a == "x" || "y"`.
fn alternative(text: &str, at: usize) -> Option<Error> {
    let all = tokens(text);
    let word = |i: usize| all.get(i).map_or("", |token: &Token| &text[token.at.clone()]);
    let value = all.iter().position(|token| token.at.start >= at)?;
    let joins = |word: &str| matches!(word, "||" | "&&");
    let (join, is_left) = match value.checked_sub(1).map(word) {
        Some(before) if joins(before) => (before, false),
        _ => (word(value + 1), true),
    };
    if !joins(join) || all[value].kind == Kind::Sign {
        return None;
    }
    let error = Error::new(all[value].at.clone(), format!("each side of `{join}` is a question of its own"));
    let compared = (!is_left).then(|| before(&all, &word, value - 1)).flatten();
    let Some((left, op, right)) = compared else {
        return Some(error.help("compare this value too, as in `data.a == \"x\" || data.a == \"y\"`"));
    };
    let (left, known, other) = (text[left].trim(), word(right), word(value));
    let join = if op == "!=" { "&&" } else { join };
    let all_of = format!("write `{left} {op} {known} {join} {left} {op} {other}`");
    Some(error.help(match (op, join) {
        ("==", "||") => format!("{all_of}, or `{left} in [{known}, {other}]`"),
        ("!=", _) => format!("{all_of}, or `{left} !in [{known}, {other}]`"),
        _ => all_of,
    }))
}

/// The comparison with a single value that ends before the token `end`: where its left side stands, its sign, and the
/// token of the value.
fn before<'t>(
    all: &[Token],
    word: &impl Fn(usize) -> &'t str,
    end: usize,
) -> Option<(Range<usize>, &'t str, usize)> {
    let value = end.checked_sub(1)?;
    let op = value.checked_sub(1)?;
    let last = op.checked_sub(1)?;
    if all[value].kind == Kind::Sign || !matches!(word(op), "==" | "!=" | "<" | "<=" | ">" | ">=") {
        return None;
    }
    let first = chain(all, word, op)?;
    Some((all[first].at.start..all[last].at.end, word(op), value))
}

/// A list in round brackets.
fn list(text: &str, at: usize) -> Option<Error> {
    if !text[at..].starts_with(',') {
        return None;
    }
    let open = text[..at].rfind('(')?;
    let start = text[..open].trim_end();
    let word = start.len() - start.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').count();
    if start[word..] != *"in" {
        return None;
    }
    let end = text[at..].find(')').map_or(text.len(), |i| at + i);
    let help = format!("write `in [{}]`", text[open + 1..end].trim());
    Some(Error::new(open..(end + 1).min(text.len()), "a list stands in square brackets").help(help))
}

/// A length of time with a space, or with a long name of its unit.
fn unit(text: &str, at: usize) -> Option<Error> {
    const UNITS: [(&str, &[&str]); 6] = [
        ("ms", &["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"]),
        ("s", &["s", "sec", "secs", "second", "seconds"]),
        ("m", &["m", "min", "mins", "minute", "minutes"]),
        ("h", &["h", "hr", "hrs", "hour", "hours"]),
        ("d", &["d", "day", "days"]),
        ("w", &["w", "wk", "week", "weeks"]),
    ];
    let before = text[..at].trim_end();
    let start = before.len() - before.bytes().rev().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let end = text[at..].find(|c: char| !c.is_alphanumeric()).map_or(text.len(), |i| at + i);
    let name = text[at..end].to_lowercase();
    let (unit, _) = UNITS.iter().find(|(_, names)| names.contains(&name.as_str()))?;
    let number = !before[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    (number && start < before.len()).then(|| {
        let number = &text[start..before.len()];
        Error::new(start..end, "a length of time is one word").help(format!("write `{number}{unit}`"))
    })
}

/// A letter in a name that no name can have.
fn letters(text: &str, at: usize) -> Option<Error> {
    let name = tokens(text).into_iter().find(|token| token.kind == Kind::Name && token.at.contains(&at))?.at;
    if text[name.clone()].is_ascii() {
        return None;
    }
    let error = Error::new(name.clone(), "a name after a dot has only the letters a to z, digits and `_`");
    let written = indexed(text, name.clone());
    Some(error.help(match written {
        Some(written) => format!("write `{written}`"),
        None => format!("write `data[\"{0}\"]` for a field, or \"{0}\" for a text", &text[name]),
    }))
}

/// Two values beside each other, with nothing between.
fn beside(text: &str, at: usize) -> Option<Error> {
    let all = tokens(text);
    let this = all.iter().position(|token| token.at.start == at)?;
    let word = |i: usize| &text[all[i].at.clone()];
    let last = this.checked_sub(1)?;
    let ends = all[last].kind != Kind::Sign || matches!(word(last), ")" | "]");
    let known = ["and", "or", "not", "in", "null", "nil", "void"];
    let begins = all[this].kind != Kind::Sign && !known.contains(&word(this)) && !known.contains(&word(last));
    let is = matches!(word(this), "is" | "eq" | "equals").then_some("write `==` to compare");
    (ends && begins).then(|| {
        let message = format!("nothing joins `{}` and `{}`", word(last), word(this));
        Error::new(all[this].at.clone(), message)
            .help(is.unwrap_or("write `&&` or `||` between two questions, `==` between two values"))
    })
}
