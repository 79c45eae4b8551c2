//! How the text of a condition is put together: `||` and `&&`, negations, brackets, and questions about lists.
//!
//! Rhai's syntax tree does not say where a part ends, so explanations, which quote what was written, cut the text
//! itself.

use super::rewrite::{ASKED, chain};
use super::tokens::{Kind, Token, tokens};

/// What a condition is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape<'t> {
    /// One of these must hold.
    Or(Vec<&'t str>),
    /// All of these must hold.
    And(Vec<&'t str>),
    /// This must not hold.
    Not(&'t str),
    /// A single clause.
    Clause,
}

/// A question about a list, such as `data.disks.any(|d| d.used > 90)`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question<'t> {
    /// `any`, `all`, …
    pub name: &'t str,
    /// What the list is.
    pub list: &'t str,
    /// The name of an element.
    pub element: &'t str,
    /// What is asked of each.
    pub body: &'t str,
}

/// What `text` is made of.
pub(super) fn shape(text: &str) -> Shape<'_> {
    let all = tokens(text);
    let inner = unwrapped(text, &all);
    let word = |token: &Token| &text[token.at.clone()];
    let mut depth = 0_usize;
    let (mut ors, mut ands, mut single) = (Vec::new(), Vec::new(), true);
    for token in inner {
        match word(token) {
            "(" | "[" | "{" | "?[" | "#{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "||" if depth == 0 => ors.push(token),
            "&&" if depth == 0 => ands.push(token),
            // These bind as `||` and `&&` do.
            "|" | "^" | "&" if depth == 0 => return Shape::Clause,
            "." | "?." | "!" => {}
            "in" => single = false,
            _ if depth == 0 && token.kind == Kind::Sign => single = false,
            _ => {}
        }
    }
    if !ors.is_empty() {
        return Shape::Or(parts(text, inner, &ors));
    }
    if !ands.is_empty() {
        return Shape::And(parts(text, inner, &ands));
    }
    match inner {
        [not, rest @ ..] if word(not) == "!" && single && !rest.is_empty() => Shape::Not(span(text, rest)),
        _ if inner.len() < all.len() => Shape::And(vec![span(text, inner)]),
        _ => Shape::Clause,
    }
}

/// The first question about a list in `text`.
pub(super) fn question(text: &str) -> Option<Question<'_>> {
    let all = tokens(text);
    let word = |i: usize| all.get(i).map_or("", |token| &text[token.at.clone()]);
    let bar = (0..all.len()).find(|i| {
        word(*i) == "|" && all.get(i + 1).is_some_and(|t| t.kind == Kind::Name) && word(i + 2) == "|"
    })?;
    let end = closing(bar + 3, &word)?;
    let (element, body) = (word(bar + 1), span(text, all.get(bar + 3..end)?));
    let (name, list) = match (word(bar.checked_sub(1)?), bar.checked_sub(2).map(word)) {
        ("(", Some(name)) => (name, span(text, all.get(chain(&all, &word, bar.checked_sub(3)?)?..bar - 3)?)),
        (",", _) => {
            let open = (0..bar).rev().find(|i| closing(i + 1, &word) == Some(end) && word(*i) == "(")?;
            (word(open.checked_sub(1)?), span(text, all.get(open + 1..bar - 1)?))
        }
        _ => return None,
    };
    (ASKED.contains(&name) && !list.is_empty()).then_some(Question { name, list, element, body })
}

/// The tokens inside brackets that go round all of them.
fn unwrapped<'t>(text: &str, all: &'t [Token]) -> &'t [Token] {
    let mut inner = all;
    while let [first, between @ .., _] = inner
        && text[first.at.clone()] == *"("
        && closing(1, &|i| inner.get(i).map_or("", |token| &text[token.at.clone()])) == Some(inner.len() - 1)
    {
        inner = between;
    }
    inner
}

/// Where the bracket is closed that was opened before `from`.
fn closing<'t>(from: usize, word: &impl Fn(usize) -> &'t str) -> Option<usize> {
    let mut depth = 0_usize;
    for i in from.. {
        match word(i) {
            "" => return None,
            "(" | "[" | "{" | "?[" | "#{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return Some(i),
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
    }
    None
}

fn parts<'t>(text: &'t str, inner: &[Token], between: &[&Token]) -> Vec<&'t str> {
    let mut from = inner.first().map_or(0, |token| token.at.start);
    let mut parts = Vec::with_capacity(between.len() + 1);
    for token in between {
        parts.push(text[from..token.at.start].trim());
        from = token.at.end;
    }
    parts.push(text[from..inner.last().map_or(from, |token| token.at.end)].trim());
    parts
}

fn span<'t>(text: &'t str, tokens: &[Token]) -> &'t str {
    match tokens {
        [] => "",
        [first, ..] => &text[first.at.start..tokens[tokens.len() - 1].at.end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_cut_where_a_reader_would_cut_it() {
        for (text, expected) in [
            ("a && (b || c) && \"x && y\" == d", Shape::And(vec!["a", "(b || c)", "\"x && y\" == d"])),
            ("((a || b))", Shape::Or(vec!["a", "b"])),
            ("a || b && c", Shape::Or(vec!["a", "b && c"])),
            ("(a) || (b)", Shape::Or(vec!["(a)", "(b)"])),
            ("!(a || b)", Shape::Not("(a || b)")),
            ("!data.x[0].f(1)", Shape::Not("data.x[0].f(1)")),
            ("!a == b", Shape::Clause),
            ("!a in b", Shape::Clause),
            ("(a > 1)", Shape::And(vec!["a > 1"])),
            ("l.any(|x| x || y)", Shape::Clause),
            ("a | b || c", Shape::Clause),
            ("a // && b\n && c", Shape::And(vec!["a // && b", "c"])),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }

    #[test]
    fn a_question_about_a_list_is_found_however_it_is_written() {
        let found = |name, list, element, body| Some(Question { name, list, element, body });
        for (text, expected) in [
            ("data.d.any(|x| x.u > f(9))", found("any", "data.d", "x", "x.u > f(9)")),
            ("2 < (data.d ?? []).count(|x| x)", found("count", "(data.d ?? [])", "x", "x")),
            ("all(data.f(1, 2), |d| d[0])", found("all", "data.f(1, 2)", "d", "d[0]")),
            ("data.x > 1", None),
            ("f(|x| x)", None),
        ] {
            assert_eq!(question(text), expected, "{text}");
        }
    }
}
