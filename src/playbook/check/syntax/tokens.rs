//! A script as words, numbers, texts and signs, however broken it is: no part of it is ever refused.
//!
//! Start with [`Script::read`]. It is only read where the parser gave up, to find what the person meant.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// A text, or a part of one between backticks.
    Text,
    /// Anything else.
    Sign,
}

/// A part of a script.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub at: Range<usize>,
}

/// The parts of a script.
pub struct Script<'a> {
    /// All of it.
    pub text: &'a str,
    /// Its parts, but for spaces and comments.
    pub tokens: Vec<Token>,
    /// Where a comment or a text begins that does not end.
    pub open: Option<Range<usize>>,
    at: usize,
    /// How many texts with values are open.
    depth: usize,
}

/// Deepest texts in texts.
const MAX_DEPTH: usize = 16;
/// Signs of more than one character, the longest first.
const SIGNS: [&str; 33] = [
    "<!--", "===", "!==", "...", "..=", "**=", "<<=", ">>=", "#{", "#!", "#[", "${", "=>", "->", ":=", "::",
    "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "?[", "++", "--", "+=", "-=", "*=", "/=", "**", "..",
];

impl<'a> Script<'a> {
    /// The parts of `text`.
    pub fn read(text: &'a str) -> Self {
        let mut script = Self { text, tokens: Vec::new(), open: None, at: 0, depth: 0 };
        script.code(false);
        script
    }

    /// The text of token `i`; empty past the end.
    pub fn word(&self, i: usize) -> &'a str {
        self.tokens.get(i).map_or("", |token| &self.text[token.at.clone()])
    }

    /// What token `i` is.
    pub fn kind(&self, i: usize) -> Option<Kind> {
        self.tokens.get(i).map(|token| token.kind)
    }

    /// The bytes of token `i`; the end of the text past the last.
    pub fn range(&self, i: usize) -> Range<usize> {
        self.tokens.get(i).map_or(self.text.len()..self.text.len(), |token| token.at.clone())
    }

    /// Which token stands at byte `at` or next after it.
    pub fn index(&self, at: usize) -> usize {
        self.tokens.partition_point(|token| token.at.end <= at)
    }

    /// Whether token `i` is the first on its line.
    pub fn is_first(&self, i: usize) -> bool {
        let start = self.range(i).start;
        let before = i.checked_sub(1).map_or(0, |it| self.range(it).end);
        before == 0 && i == 0 || self.text[before.min(start)..start].contains('\n')
    }

    /// The first token on the line of token `i`.
    pub fn line_start(&self, i: usize) -> usize {
        let mut i = i.min(self.tokens.len().saturating_sub(1));
        while i > 0 && !self.is_first(i) {
            i -= 1;
        }
        i
    }

    /// The token after the last one on the line of token `i`.
    pub fn line_end(&self, i: usize) -> usize {
        let mut i = i + 1;
        while i < self.tokens.len() && !self.is_first(i) {
            i += 1;
        }
        i
    }

    /// The tokens from `from` to before `to`, as they are written.
    pub fn between(&self, from: usize, to: usize) -> &'a str {
        match (self.tokens.get(from), to.checked_sub(1).and_then(|last| self.tokens.get(last))) {
            (Some(first), Some(last)) if from < to => &self.text[first.at.start..last.at.end],
            _ => "",
        }
    }

    /// The brackets that are open before token `i`, the outermost first.
    pub fn enclosing(&self, i: usize) -> Vec<usize> {
        let mut open: Vec<usize> = Vec::new();
        for j in 0..i.min(self.tokens.len()) {
            if self.closer(j).is_some() {
                open.push(j);
            } else if open.last().is_some_and(|last| self.closes(*last, j)) {
                open.pop();
            }
        }
        open
    }

    /// What closes token `i`, if it opens something.
    pub fn closer(&self, i: usize) -> Option<&'static str> {
        if self.kind(i) != Some(Kind::Sign) {
            return None;
        }
        match self.word(i) {
            "(" => Some(")"),
            "[" | "?[" | "#[" => Some("]"),
            "{" | "#{" | "${" => Some("}"),
            _ => None,
        }
    }

    /// Whether token `j` closes what token `i` opens.
    pub fn closes(&self, i: usize, j: usize) -> bool {
        self.kind(j) == Some(Kind::Sign) && self.closer(i) == Some(self.word(j))
    }

    /// The token that closes what token `i` opens, if it comes in order.
    pub fn closed_by(&self, i: usize) -> Option<usize> {
        let mut open = vec![i];
        for j in i + 1..self.tokens.len() {
            if self.closer(j).is_some() {
                open.push(j);
            } else if self.kind(j) == Some(Kind::Sign) && matches!(self.word(j), ")" | "]" | "}") {
                if !self.closes(*open.last()?, j) {
                    return None;
                }
                open.pop();
                if open.is_empty() {
                    return Some(j);
                }
            }
        }
        None
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, at: self.at..self.at + length });
        self.at += length;
    }

    /// Reads on to the end, or past the `}` that ends a value `inside` of a text.
    fn code(&mut self, inside: bool) {
        let mut depth = 0_usize;
        while let Some(c) = self.rest().chars().next() {
            let rest = self.rest();
            if c.is_whitespace() {
                self.at += c.len_utf8();
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.comment();
            } else if c == '`' {
                self.ticks();
            } else if c == '"' || c == '\'' {
                self.quotes(c);
            } else if let Some(signs) = raw(rest) {
                self.raw(signs);
            } else if c.is_alphabetic() || c == '_' {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                self.push(Kind::Word, end);
            } else if c.is_ascii_digit() {
                self.push(Kind::Number, number(rest));
            } else {
                let length =
                    SIGNS.iter().find(|it| rest.starts_with(**it)).map_or(c.len_utf8(), |it| it.len());
                depth += usize::from(rest[..length].ends_with('{'));
                self.push(Kind::Sign, length);
                if c == '}' && depth == 0 && inside {
                    return;
                }
                depth = depth.saturating_sub(usize::from(c == '}'));
            }
        }
    }

    /// Comments in comments are counted, as the parser does.
    fn comment(&mut self) {
        let start = self.at;
        let mut depth = 0;
        while !self.rest().is_empty() {
            let rest = self.rest();
            let step = if rest.starts_with("/*") {
                depth += 1;
                2
            } else if rest.starts_with("*/") {
                depth -= 1;
                2
            } else {
                rest.chars().next().map_or(1, char::len_utf8)
            };
            self.at += step;
            if depth == 0 {
                return;
            }
        }
        self.open.get_or_insert(start..start + 2);
    }

    /// A text on one line; a `\` at the end of the line continues it.
    fn quotes(&mut self, quote: char) {
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => {
                    chars.next();
                }
                '\n' => {
                    self.open.get_or_insert(self.at..self.at + i);
                    return self.push(Kind::Text, i);
                }
                _ if c == quote => return self.push(Kind::Text, i + 1),
                _ => {}
            }
        }
        self.open.get_or_insert(self.at..self.text.len());
        self.push(Kind::Text, self.rest().len());
    }

    /// `#"…"#` of so many signs.
    fn raw(&mut self, signs: usize) {
        let end = format!("\"{}", "#".repeat(signs));
        match self.rest()[signs + 1..].find(&end) {
            Some(i) => self.push(Kind::Text, signs + 1 + i + end.len()),
            None => {
                self.open.get_or_insert(self.at..self.at + signs + 1);
                self.push(Kind::Text, self.rest().len());
            }
        }
    }

    /// A text between backticks, with the values in it.
    fn ticks(&mut self) {
        let (start, mut from) = (self.at, 1);
        self.depth += 1;
        loop {
            let rest = self.rest();
            let mut ends = rest.match_indices(['`', '$']).filter(|(i, _)| *i >= from);
            let end = ends.find(|(i, sign)| *sign == "`" || rest[*i..].starts_with("${"));
            match end {
                Some((i, "`")) => {
                    self.push(Kind::Text, i + 1);
                    break;
                }
                Some((i, _)) if self.depth < MAX_DEPTH => {
                    self.push(Kind::Text, i);
                    self.push(Kind::Sign, 2);
                    self.code(true);
                    from = 0;
                }
                _ => {
                    self.open.get_or_insert(start..start + 1);
                    self.push(Kind::Text, rest.len());
                    break;
                }
            }
        }
        self.depth -= 1;
    }
}

/// With how many signs a raw text begins here, if one does.
fn raw(text: &str) -> Option<usize> {
    let signs = text.bytes().take(16).take_while(|it| *it == b'#').count();
    (signs > 0 && text[signs..].starts_with('"')).then_some(signs)
}

/// How long the number is that `text` begins with: `0..3` are two.
fn number(text: &str) -> usize {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let whole = digits(text);
    match text[whole..].strip_prefix('.').filter(|it| it.starts_with(|c: char| c.is_ascii_digit())) {
        Some(rest) => whole + 1 + digits(rest),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_cut_into_parts_that_stand_in_order() {
        let whole = "fn run(ctx) { let a = #{ b: `x ${c + `y ${d}`} z` }; // e\n /* f /* g */ */ 0..3.5 #\"h\"# 'i' }";
        for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let script = Script::read(&whole[..end]);
            assert!(script.tokens.windows(2).all(|it| it[0].at.end <= it[1].at.start), "{end}");
            assert!(script.tokens.iter().all(|it| it.at.start <= it.at.end && it.at.end <= end), "{end}");
        }
        let script = Script::read(whole);
        let words: Vec<&str> = (0..script.tokens.len()).map(|i| script.word(i)).collect();
        let value = ["#{", "b", ":", "`x ", "${", "c", "+", "`y ", "${", "d", "}", "`", "}", " z`", "}", ";"];
        assert_eq!(words[9..25], value);
        assert!(script.enclosing(script.tokens.len()).is_empty() && script.open.is_none());
        for (text, at) in [("1 /* a", 2..4), ("\"a\nb", 0..2), ("a `b\nc", 2..3), ("x #\"a", 2..4)] {
            assert_eq!(Script::read(text).open, Some(at), "{text}");
        }
    }
}
