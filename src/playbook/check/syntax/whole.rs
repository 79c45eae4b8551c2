//! Slips that lie in the file as a whole: what it begins with, what is in it that is no text, what is left open.

use rhai::{LexError, ParseErrorType};

use crate::playbook::header::KEYS;

use super::slip::{Seen, Slip};

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    beginning(seen)
        .or_else(|| header(seen))
        .or_else(|| merge(seen))
        .or_else(|| unseen(seen))
        .or_else(|| open(seen))
}

fn beginning(seen: &Seen) -> Option<Slip> {
    let text = seen.script.text;
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    let start = text.find(first)?;
    let at = start..start + first.trim_end().len();
    if !at.contains(&seen.at) && seen.at != at.start {
        return None;
    }
    let slip = |what: &str, help: &str| Some(Slip::help(help).says(what).at(at.clone()));
    if first.starts_with("#!") {
        return slip(
            "a playbook has no `#!` line, as nothing runs it by itself",
            "take it out; the first line is `//! What it does.`",
        );
    }
    if first.starts_with("```") {
        return slip("this belongs to a page that shows a script", "take out the lines of ```");
    }
    if first.trim_end() == "---" || first.starts_with("%YAML") {
        return slip("the header stands in comments", "begin each line of it with `//! `, as in `//! ---`");
    }
    if first.starts_with("<?xml") || first.starts_with("<!DOCTYPE") || first.starts_with("<html") {
        return slip("this is a page, not a playbook", "save the file itself, not the page that shows it");
    }
    None
}

/// A line of the header that has lost its `//!`.
fn header(seen: &Seen) -> Option<Slip> {
    if !matches!(seen.kind, ParseErrorType::VariableUndefined(_) | ParseErrorType::Reserved(_)) {
        return None;
    }
    let text = seen.script.text;
    let line = text.get(seen.at..)?.lines().next()?;
    let key = line.trim_end() == "---" || line.split_once(':').is_some_and(|(key, _)| KEYS.contains(&key));
    if seen.at == 0 && key {
        let help = "begin each of its lines with `//! `, and put `//! ---` above them";
        return Some(Slip::help(help).says("the header stands in comments").at(0..line.trim_end().len()));
    }
    let first = seen.i == 0 && text[..seen.at].ends_with('\n') && text.starts_with("//");
    (first && key).then(|| {
        let at = seen.at..seen.at + line.trim_end().len();
        Slip::help("begin it with `//! `").says("this line of the header has lost its `//!`").at(at)
    })
}

fn merge(seen: &Seen) -> Option<Slip> {
    let text = seen.script.text;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let mark = ["<<<<<<< ", ">>>>>>> "].iter().any(|it| line.starts_with(it));
        if mark {
            let help =
                "keep one of the two versions, and take out the lines of `<<<<<<<`, `=======`, `>>>>>>>`";
            let slip =
                Slip::help(help).says("two versions of the file were merged, and it was not settled how");
            return (at <= seen.at).then(|| slip.at(at..at + 7));
        }
        at += line.len();
    }
    None
}

/// Signs that cannot be seen or look like others, and bytes that are no text.
fn unseen(seen: &Seen) -> Option<Slip> {
    let text = seen.script.text;
    let at = match seen.kind {
        ParseErrorType::BadInput(LexError::UnexpectedInput(_)) => seen.at,
        ParseErrorType::VariableUndefined(name) => seen.at + name.len(),
        _ => return None,
    };
    let sign = text
        .get(at..)?
        .chars()
        .next()
        .filter(|it| *it > '~' || it.is_control() && *it != '\n' && *it != '\r' && *it != '\t')?;
    let place = at..at + sign.len_utf8();
    if sign == '\0' {
        let help =
            "write the playbook anew, or take it from a copy: this may be a program, or have been cut off";
        return Some(Slip::help(help).says("the file holds bytes that are no text").at(place));
    }
    if let Some(meant) = looks_like(sign) {
        let text = format!("`{sign}` (U+{:04X}) only looks like `{meant}`", u32::from(sign));
        return Some(Slip::help(format!("type `{meant}`")).says(text).at(place));
    }
    let hidden = matches!(sign, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let code = u32::from(sign);
    if sign.is_whitespace() && !sign.is_control() {
        let text = format!("the sign U+{code:04X} stands here, which is no plain space");
        return Some(Slip::help("put a plain space in its place").says(text).at(place));
    }
    if sign.is_alphabetic() {
        let help = "a name is of the letters a-z and A-Z, digits and `_`; other text stands in quotes";
        return Some(Slip::help(help).says(format!("`{sign}` cannot stand in a name")).at(place));
    }
    (sign.is_control() || hidden).then(|| {
        let text = format!("the sign U+{code:04X} stands here, which cannot be seen");
        Slip::help("delete it").says(text).at(place)
    })
}

/// The plain sign for which `sign` is taken.
fn looks_like(sign: char) -> Option<char> {
    Some(match sign {
        '\u{37e}' => ';',
        '×' => '*',
        '÷' | '⁄' | '∕' => '/',
        // Wide forms, as keyboards of East Asia give them.
        '！'..='～' => char::from_u32(u32::from(sign) - 0xfee0)?,
        _ => return None,
    })
}

/// Comments and texts without an end swallow all that follows.
fn open(seen: &Seen) -> Option<Slip> {
    let at = seen.script.open.clone()?;
    let begun = &seen.script.text[at.clone()];
    let same_line = !seen.script.text.get(seen.at..at.start).is_some_and(|it| it.contains('\n'));
    if seen.at < at.start && !(same_line && begun.starts_with('"')) {
        return None;
    }
    if begun.starts_with("/*") {
        return Some(Slip::help("end it with `*/`").says("this comment does not end").at(at));
    }
    if seen.at < at.start {
        let help = "give each text a `\"` before and one after it; one that is part of the text is `\\\"`";
        let before = (seen.script.text[..seen.at].rfind('"'))
            .filter(|it| !seen.script.text[*it..seen.at].contains('\n'));
        return before.map(|_| Slip::help(help).says("a `\"` is missing on this line"));
    }
    let help = match begun.chars().next() {
        Some('`') => "end it with a backtick; each `${` in it needs its `}`",
        Some('#') => "end it with `\"` and as many `#` as it begins with",
        Some('\'') => "text stands between double quotes: `\"…\"`",
        _ => "close it with `\"`; a text of several lines stands between backticks",
    };
    Some(Slip::help(help).says("this text does not end").at(at))
}
