//! What people write that Rhai does not know, put into what it knows before it reads an expression.
//!
//! Lengths of time are numbers of seconds: `age(data.started) > 5m` becomes `age(data.started) > 300`. Questions about
//! a list are called as functions: `data.disks.any(|d| …)` becomes `any(data.disks, |d| …)`, since Rhai would hold
//! `data` locked while it asks, and the closure could not read it. A field under `!`, `&&` and `||` that is missing is
//! false: `!data.off` becomes `!truth(data.off)`. What stands in texts and comments is left alone, and
//! every place in the new text leads back to its place in the text that the person wrote.

use std::ops::Range;

use super::tokens::{Kind, Token, tokens};

/// An expression as Rhai reads it.
pub(super) struct Rewritten {
    /// What Rhai reads.
    pub text: String,
    moved: Vec<Moved>,
}

/// A part of the new text that was not in the old one.
struct Moved {
    new: Range<usize>,
    /// What to show for it.
    shown: Range<usize>,
    /// Where the old text goes on behind it.
    next: usize,
}

/// A change to the text.
struct Edit {
    old: Range<usize>,
    text: String,
    shown: Range<usize>,
}

/// Questions about lists that take a closure.
pub(super) const ASKED: [&str; 6] = ["any", "all", "none", "count", "filter", "map"];

/// Units of time, longest name first where one begins another, in seconds.
const UNITS: [(&str, f64); 6] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0), ("w", 604_800.0)];

/// Rewrites `text`.
pub(super) fn rewrite(text: &str) -> Rewritten {
    let mut out = Rewritten { text: String::with_capacity(text.len()), moved: Vec::new() };
    let mut copied = 0;
    for edit in edits(text) {
        out.text.push_str(&text[copied..edit.old.start]);
        let start = out.text.len();
        out.text.push_str(&edit.text);
        copied = edit.old.end;
        out.moved.push(Moved { new: start..out.text.len(), shown: edit.shown, next: copied });
    }
    out.text.push_str(&text[copied..]);
    out
}

impl Rewritten {
    /// Where a place in the new text was in the old one.
    pub(super) fn back(&self, at: Range<usize>) -> Range<usize> {
        let last = at.end.max(at.start + 1) - 1;
        let (start, end) = (self.place(at.start), self.place(last));
        if at.is_empty() { start.start..start.start } else { start.start..end.end.max(start.start) }
    }

    /// The old place of the character at `offset`.
    fn place(&self, offset: usize) -> Range<usize> {
        let moved = self.moved.iter().rev().find(|moved| moved.new.start <= offset && !moved.new.is_empty());
        match moved {
            Some(moved) if offset < moved.new.end => moved.shown.clone(),
            Some(moved) => {
                let old = moved.next + (offset - moved.new.end);
                old..old + 1
            }
            None => offset..offset + 1,
        }
    }
}

fn edits(text: &str) -> Vec<Edit> {
    let tokens = tokens(text);
    let word = |i: usize| tokens.get(i).map_or("", |token: &Token| &text[token.at.clone()]);
    let mut edits: Vec<Edit> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        if token.kind == Kind::Number {
            if let Some(secs) = seconds(word(i)) {
                edits.push(Edit { old: token.at.clone(), text: written(secs), shown: token.at.clone() });
            }
            continue;
        }
        let asked = matches!(word(i), "." | "?.") && ASKED.contains(&word(i + 1)) && word(i + 2) == "(";
        if asked
            && matches!(word(i + 3), "|" | "||")
            && let Some(start) = chain(&tokens, &word, i)
        {
            let shown = tokens[i + 1].at.clone();
            let at = tokens[start].at.start;
            // The one found later is the outer one.
            let place = edits.iter().position(|edit| edit.old.start >= at).unwrap_or(edits.len());
            edits
                .insert(place, Edit { old: at..at, text: format!("{}(", word(i + 1)), shown: shown.clone() });
            edits.push(Edit { old: token.at.start..tokens[i + 2].at.end, text: ", ".into(), shown });
        }
    }
    for (i, token) in tokens.iter().enumerate() {
        let Some(end) = asked_alone(&tokens, &word, i) else { continue };
        for (at, text) in [(token.at.start, "truth("), (tokens[end].at.end, ")")] {
            let place = edits.iter().position(|edit| edit.old.start >= at).unwrap_or(edits.len());
            edits.insert(place, Edit { old: at..at, text: text.into(), shown: token.at.clone() });
        }
    }
    edits
}

/// The last token of the field or call that begins at token `i`, if nothing but `!`, `&&` or `||` is done with it.
fn asked_alone<'t>(tokens: &[Token], word: &impl Fn(usize) -> &'t str, i: usize) -> Option<usize> {
    let before = i.checked_sub(1).map_or("", word);
    if tokens[i].kind != Kind::Name || matches!(word(i), "true" | "false" | "in") {
        return None;
    }
    if !matches!(before, "" | "!" | "(" | "&&" | "||" | "," | "|" | "[") {
        return None;
    }
    let mut end = i;
    loop {
        match word(end + 1) {
            "." | "?." => end += 2,
            "(" | "[" | "?[" => {
                let mut depth = 0_usize;
                loop {
                    end += 1;
                    match word(end) {
                        "" => return None,
                        "(" | "[" | "{" | "?[" | "#{" => depth += 1,
                        ")" | "]" | "}" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => break,
        }
    }
    let after = word(end + 1);
    let logic = matches!(before, "&&" | "||") || matches!(after, "&&" | "||");
    let alone = logic && matches!(after, "" | ")" | "&&" | "||" | "," | "|" | "]");
    (end < tokens.len() && (before == "!" || alone)).then_some(end)
}

/// The token at which the chain begins that stands before the dot, which is token `dot`.
pub(super) fn chain<'t>(tokens: &[Token], word: &impl Fn(usize) -> &'t str, dot: usize) -> Option<usize> {
    let mut at = dot.checked_sub(1)?;
    loop {
        let mut depth = 0_usize;
        loop {
            match word(at) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" | "?[" | "#{" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            at = at.checked_sub(1)?;
        }
        let opened = matches!(word(at), "(" | "[" | "?[");
        let Some(before) = at.checked_sub(1) else { return Some(at) };
        at = match word(before) {
            // The name of a function, or what an index is taken of.
            _ if opened
                && (tokens[before].kind != Kind::Sign || matches!(word(before), ")" | "]"))
                && !matches!(word(before), "in") =>
            {
                before
            }
            "." | "?." => before.checked_sub(1)?,
            _ => return Some(at),
        };
    }
}

/// The seconds that `word` means: one or more numbers, each with a unit.
fn seconds(word: &str) -> Option<f64> {
    let (mut rest, mut secs) = (word, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
        let number: f64 = rest[..digits].replace('_', "").parse().ok()?;
        let (name, unit) = UNITS.iter().find(|(name, _)| rest[digits..].starts_with(name))?;
        secs += number * unit;
        rest = &rest[digits + name.len()..];
        if rest.starts_with(|c: char| !c.is_ascii_digit()) {
            return None;
        }
    }
    (secs.is_finite() && secs < 1e15).then_some(secs)
}

/// Whole seconds as a whole number, so that they read well wherever they are shown.
fn written(secs: f64) -> String {
    if secs.fract() == 0.0 { format!("{secs:.0}") } else { format!("{secs:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_seconds_and_nothing_else_is_touched() {
        for (text, expected) in [
            ("age(data.t) > 5m", "age(data.t) > 300"),
            ("500ms + 1h30m + 1.5h + 7d + 2w", "0.5 + 5400 + 5400 + 604800 + 1209600"),
            ("1_000s..2m", "1000..120"),
            ("data.x5m + x.y_5s == a5s", "data.x5m + x.y_5s == a5s"),
            ("\"5m\" + '5' + `5m ${5m}` // 5m\n+ 5m", "\"5m\" + '5' + `5m ${5m}` // 5m\n+ 300"),
            ("/* 5m /* 5m */ 5m */ 5m", "/* 5m /* 5m */ 5m */ 300"),
            ("#\"5m \"5m\"# + ##\"5m\"# 5m\"## + 5m", "#\"5m \"5m\"# + ##\"5m\"# 5m\"## + 300"),
            ("\"a\\\"5m\" == 5s", "\"a\\\"5m\" == 5"),
            ("0x5d + 1e5 + 5 + 1.5 + 5mm + 5sm", "0x5d + 1e5 + 5 + 1.5 + 5mm + 5sm"),
            ("data[\"größe\"] > 5m && größe5m > 1", "data[\"größe\"] > 300 && größe5m > 1"),
            ("\"open 5m", "\"open 5m"),
            ("data.d.any(|x| x > 5m)", "any(data.d, |x| x > 300)"),
            ("!data[\"a b\"].f(1)[0] ?.all ( |x| x)", "!truth(all(data[\"a b\"].f(1)[0] ,  |x| x))"),
            (
                "1 in (data.a ?? []).filter(|x| x).map(|x| x)",
                "1 in map(filter((data.a ?? []), |x| x), |x| x)",
            ),
            ("data.a && !data.b || data.c > 1", "truth(data.a) && !truth(data.b) || data.c > 1"),
            ("!a.any(|x| x.u || x.d)", "!truth(any(a, |x| truth(x.u) || truth(x.d)))"),
            ("(a[b && c] ?? d) && e", "(a[truth(b) && truth(c)] ?? d) && truth(e)"),
            ("a.b + c && d == e || f !in g", "a.b + c && d == e || f !in g"),
            ("a.any(|g| g.m.all(|m| m > g.x))", "any(a, |g| all(g.m, |m| m > g.x))"),
            ("x.count() + x.any(f) + data.any", "x.count() + x.any(f) + data.any"),
            ("x in [1].map(|x| x)", "x in map([1], |x| x)"),
        ] {
            assert_eq!(rewrite(text).text, expected);
        }
    }

    #[test]
    fn every_place_leads_back_to_what_was_written() {
        let text = "5m + 500ms < dta.x && 1h > yy";
        let out = rewrite(text);
        for word in ["dta", "yy", "&&", "<"] {
            let new = out.text.find(word).unwrap();
            assert_eq!(&text[out.back(new..new + word.len())], word);
        }
        let new = out.text.find("0.5").unwrap();
        assert_eq!(&text[out.back(new..new + 3)], "500ms");
        assert_eq!(&text[out.back(new..new + 1)], "500ms");
        assert_eq!(out.back(out.text.len()..out.text.len()), text.len()..text.len());
    }
}
