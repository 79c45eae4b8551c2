//! A YAML file as a tree in which every key and value knows where it stands.
//!
//! The tree is read without a schema, so that whoever reads it can report every mistake and not only the first. Size,
//! depth, nodes and aliases are bounded before and while parsing, so that a hostile file costs milliseconds.

mod syntax;

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

/// Longest file, in bytes: 10,000 rules take about 4 MiB.
pub const MAX_FILE: usize = 8 * 1024 * 1024;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its bytes in the file.
    pub at: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map; a key may come twice, which the reader refuses.
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its bytes in the file.
    pub at: Range<usize>,
    /// The key.
    pub name: String,
}

/// Why a file could not be read at all.
#[derive(Clone, Debug)]
pub struct Error {
    /// Where, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether a limit was reached, as opposed to text that is not YAML.
    pub limit: bool,
}

/// Reads `text`. A file without content is `null`.
///
/// # Errors
/// When it is not YAML, or too large, too deep or too much of it is aliases.
pub fn read(text: &str) -> Result<Node, Error> {
    if text.len() > MAX_FILE {
        let message =
            format!("the file is {} MiB long, the limit is {} MiB", text.len() >> 20, MAX_FILE >> 20);
        let help = Some("split it: all files of a folder are one set".into());
        return Err(Error { at: 0..0, message, help, limit: true });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2_000_000,
            max_nodes: 1_500_000,
            max_depth: 32,
            flow_nesting_limit: 32,
            max_aliases: 5_000,
            max_anchors: 1_000,
            max_documents: 1,
            max_total_scalar_bytes: MAX_FILE,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: 20_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Option<Spanned<Kind>>>(text, options) {
        Ok(Some(node)) => Ok(node.into()),
        Ok(None) => Ok(Node { at: 0..0, kind: Kind::Null }),
        Err(error) => {
            let at = error.location().map_or(0..0, |at| place(text, &at));
            Err(syntax::explain(text, at, &error.without_snippet().to_string()))
        }
    }
}

impl Node {
    /// What it is, in words.
    pub fn what(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The value without its place. Of a key that comes twice, the last counts.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => (*b).into(),
            Kind::Int(n) => (*n).into(),
            Kind::Float(n) => (*n).into(),
            Kind::Text(text) => text.as_str().into(),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect())
            }
        }
    }

    /// Where bytes `inner` of this text value stand in the `file`, past quotes, escapes and indentation.
    pub fn inside(&self, file: &str, value: &str, inner: Range<usize>) -> Range<usize> {
        let raw = &file[self.at.start.min(file.len())..];
        let (mut places, mut at) = (Vec::with_capacity(value.len() + 1), 0);
        // Each character of the value is the next like it in the file; white space may be written as other white space.
        for (_, c) in value.char_indices() {
            let found =
                raw[at..].char_indices().find(|(_, r)| *r == c || (c.is_whitespace() && r.is_whitespace()));
            let Some((skip, r)) = found else { return self.at.clone() };
            places.extend(std::iter::repeat_n(at + skip, c.len_utf8()));
            at += skip + r.len_utf8();
        }
        places.push(at);
        let place = |i: usize| self.at.start + places.get(i).copied().unwrap_or(at);
        place(inner.start)..place(inner.end).max(place(inner.start))
    }
}

impl From<Spanned<Kind>> for Node {
    fn from(it: Spanned<Kind>) -> Self {
        Self { at: range(&it.referenced), kind: it.value }
    }
}

/// Where an error stands; the parser's own know line and column only.
fn place(text: &str, at: &Location) -> Range<usize> {
    if at.span().byte_offset().is_some() {
        return range(at);
    }
    let (Ok(line), Ok(column)) = (usize::try_from(at.line()), usize::try_from(at.column())) else {
        return 0..0;
    };
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text[start..].lines().next().unwrap_or("");
    let start = start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(i, _)| i);
    start..start
}

fn range(at: &Location) -> Range<usize> {
    let span = at.span();
    let start = usize::try_from(span.byte_offset().unwrap_or(0)).unwrap_or(0);
    start..start + usize::try_from(span.byte_len().unwrap_or(0)).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Kind, E> {
        Ok(Kind::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Kind, E> {
        Ok(i64::try_from(n).map_or(Kind::Float(n as f64), Kind::Int))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Kind, E> {
        Ok(Kind::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Kind, E> {
        Ok(Kind::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element::<Spanned<Kind>>()? {
            items.push(item.into());
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = from.next_entry::<Spanned<String>, Spanned<Kind>>()? {
            entries.push((Key { at: range(&key.referenced), name: key.value }, value.into()));
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_where_it_stands() {
        let text = "a: one\nb: [2, \"thr\\\"ee\"]\nc:\n  d: >\n    folded\n    text\n  é: {x: y}\n";
        let Kind::Map(top) = read(text).unwrap().kind else { panic!() };
        assert_eq!(&text[top[0].1.at.clone()], "one");
        let Kind::List(list) = &top[1].1.kind else { panic!() };
        assert_eq!(&text[list[1].at.clone()], "\"thr\\\"ee\"");
        assert_eq!(&text[list[1].inside(text, "thr\"ee", 4..6)], "ee");
        let Kind::Map(c) = &top[2].1.kind else { panic!() };
        assert_eq!(&text[c[0].1.inside(text, "folded text\n", 7..11)], "text");
        assert_eq!(&text[c[1].0.at.clone()], "é");
    }

    #[test]
    fn a_hostile_file_is_refused_within_milliseconds() {
        let bomb = (0..30).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let next = n + 1;
            let aliases = vec![format!("*a{n}"); 9].join(", ");
            format!("{text}a{next}: &a{next} [{aliases}]\n")
        });
        let block = (0..10_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>();
        for (name, text, limit) in [
            ("bomb", bomb, true),
            ("nested flow", "[".repeat(10_000), false),
            ("nested maps", "{a: ".repeat(10_000), false),
            ("nested blocks", "- ".repeat(10_000), false),
            ("indented", block, true),
            ("large", "a: b\n".repeat(10 * 1024 * 1024), true),
        ] {
            let started = std::time::Instant::now();
            let error = read(&text).expect_err(name);
            assert!(error.limit || !limit, "{name}: {error:?}");
            // In a debug build; the limit that users see is 100 ms.
            assert!(started.elapsed().as_millis() < 500, "{name} took {:?}", started.elapsed());
        }
    }
}
