//! Reads typed values out of a YAML tree and collects every mistake on the way, each where it stands.

pub mod advice;
pub mod code;
mod words;

use std::ops::Range;
use std::sync::Arc;

use crate::condition::{self, Condition, Template};
use crate::model::diagnostic::{Severity, nearest};
use crate::model::{Diagnostic, Pattern, Span};

use super::build::SourceFile;
use super::yaml::{Key, Kind, Node};

/// Most errors that are shown of one file; of a file with more, the rest is only counted.
const MAX_ERRORS: usize = 1_000;

/// One file and the mistakes found in it.
pub struct Reader<'a> {
    file: &'a SourceFile,
    out: &'a mut Vec<Diagnostic>,
    /// How many there were before it.
    before: usize,
    errors: usize,
    /// Where each line starts, so that telling a line does not cost a walk through the file.
    lines: Arc<[usize]>,
}

/// A map whose keys have been checked.
pub struct Map<'n> {
    /// Where the map stands: its first key.
    pub at: Range<usize>,
    entries: &'n [(Key, Node)],
    /// Keys that other keys were surely meant to be; they are not missed as well.
    meant: Vec<String>,
}

impl<'n> Map<'n> {
    /// The value under `key`; of a key that comes twice, the last. An empty value is none.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.node(key).filter(|node| !matches!(node.kind, Kind::Null))
    }

    /// The value under `key`, even if it is nothing.
    pub fn node(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    /// Whether another key was surely meant to be `key`; of none in particular, whether that is so of any.
    pub fn meant(&self, key: Option<&str>) -> bool {
        self.meant.iter().any(|meant| key.is_none_or(|key| meant == key))
    }

    /// Where `key` itself stands, or the map if it does not.
    pub fn key_at(&self, key: &str) -> Range<usize> {
        self.entries.iter().rev().find(|(k, _)| k.name == key).map_or(self.at.clone(), |(k, _)| k.at.clone())
    }
}

impl<'a> Reader<'a> {
    /// A reader of `file` that puts what it finds into `out`.
    pub fn new(file: &'a SourceFile, out: &'a mut Vec<Diagnostic>) -> Self {
        let lines = std::iter::once(0).chain(file.text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        Self::with_lines(file, lines, out)
    }

    /// The same with the [`lines`](Self::lines) of another reader of the file.
    pub fn with_lines(file: &'a SourceFile, lines: Arc<[usize]>, out: &'a mut Vec<Diagnostic>) -> Self {
        let before = out.len();
        Self { file, out, before, errors: 0, lines }
    }

    /// Where each line of the file starts.
    pub fn lines(&self) -> Arc<[usize]> {
        self.lines.clone()
    }

    /// Takes over what another reader of the file has found.
    pub fn take(&mut self, found: Vec<Diagnostic>) {
        for it in found {
            self.errors += usize::from(it.severity == Severity::Error);
            if it.severity == Severity::Warning || self.errors <= MAX_ERRORS {
                self.out.push(it);
            }
        }
    }

    /// How many errors it has reported.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Puts what was found in the order of the file, and says how many errors there are beyond those that are shown.
    pub fn finish(mut self) {
        self.out[self.before..].sort_by_key(|it| (it.line, it.column));
        if let Some(more @ 1..) = self.errors.checked_sub(MAX_ERRORS) {
            self.errors = 0;
            self.error(code::LIMIT, 0..0, format!("the file has {more} more errors"));
        }
    }

    /// The line on which byte `at` stands, from 1.
    pub fn line(&self, at: usize) -> u32 {
        u32::try_from(self.lines.partition_point(|start| *start <= at)).unwrap_or(u32::MAX)
    }

    /// Reports an error.
    pub fn error(&mut self, code: &str, at: Range<usize>, message: impl Into<String>) {
        self.report(code, at, message.into(), None);
    }

    /// Reports an error with advice.
    pub fn error_help(
        &mut self,
        code: &str,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(code, at, message.into(), Some(help.into()).filter(|help: &String| !help.is_empty()));
    }

    /// Reports something that is not an error.
    pub fn warn(&mut self, code: &str, at: Range<usize>, message: impl Into<String>) {
        let warning = self.diagnostic(code, at, message.into()).warning();
        self.out.push(warning);
    }

    fn report(&mut self, code: &str, at: Range<usize>, message: String, help: Option<String>) {
        self.errors += 1;
        if self.errors > MAX_ERRORS {
            return;
        }
        let error = self.diagnostic(code, at, message);
        self.out.push(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }

    fn diagnostic(&self, code: &str, at: Range<usize>, message: String) -> Diagnostic {
        let line = self.line(at.start);
        let start = self.lines[line as usize - 1];
        let here = at.start - start..at.end.max(at.start) - start;
        let mut diagnostic =
            Diagnostic::error(code, &self.file.path, &self.file.text[start..], here, message);
        diagnostic.line = line;
        diagnostic
    }

    /// Checks that `node` is a map with no other keys than `known`, each once.
    pub fn map<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Map<'n>> {
        let Kind::Map(entries) = &node.kind else {
            let message = format!("{what} is a map, this is {}", advice::what(node));
            let keys: Vec<String> = known.iter().take(2).map(|key| format!("{key}: …")).collect();
            let help = match what.strip_prefix('`').and_then(|what| what.strip_suffix('`')) {
                Some(key) => format!("write {key}: {{ {} }}", keys.join(", ")),
                None => format!("write {{ {} }}", keys.join(", ")),
            };
            self.error_help(code::TYPE, node.at.clone(), message, help);
            return None;
        };
        let (mut seen, mut meant) = (Vec::new(), Vec::new());
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                let advice = words::advice(what, &key.name, known);
                meant.extend(advice.meant);
                let message = format!("unknown key `{}`", key.name);
                self.error_help(code::UNKNOWN_KEY, key.at.clone(), message, advice.help);
            } else if !seen.contains(&key.name.as_str()) {
                seen.push(&key.name);
            } else {
                let message = format!("`{}` stands here twice", key.name);
                self.error_help(code::DUPLICATE_KEY, key.at.clone(), message, "keep one of them");
            }
        }
        let at = entries.first().map_or(node.at.clone(), |(key, _)| key.at.clone());
        Some(Map { at, entries, meant })
    }

    /// Reports that `key` must be there.
    pub fn missing(&mut self, map: &Map<'_>, what: &str, key: &str, help: &str) {
        if map.meant(Some(key)) {
            return;
        }
        self.error_help(code::MISSING, map.key_at(key), format!("{what} has no `{key}`"), help);
    }

    /// The same, and that each of the known keys has a value: an empty `when:` must not make a rule for everything.
    pub fn block<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Map<'n>> {
        let map = self.map(node, what, known)?;
        for (key, value) in map.entries {
            if matches!(value.kind, Kind::Null) && known.contains(&key.name.as_str()) {
                let message = format!("`{}` is empty", key.name);
                let help = self.why_empty(&key.at);
                self.error_help(code::EMPTY, key.at.clone(), message, help);
            }
        }
        Some(map)
    }

    /// What to do about a key without a value: what looks like one may be something else to YAML.
    fn why_empty(&self, key: &Range<usize>) -> String {
        let after = self.file.text[key.end.min(self.file.text.len())..].lines().next().unwrap_or("");
        let after = after.trim_start_matches(['"', '\'', ':', ' ']);
        let value = after.trim_end().trim_end_matches(['}', ']', ' ']);
        match after.chars().next() {
            Some('!') => format!("`!` begins a tag in YAML: put it in quotes: \"{value}\""),
            Some('#') => {
                format!("`#` begins a comment in YAML: if it is meant, put it in quotes: \"{value}\"")
            }
            Some('&') => format!("`&` begins an anchor in YAML: put it in quotes: \"{value}\""),
            _ => "give it a value or take the line out".into(),
        }
    }

    /// The value under `key`, which must be there. That it is empty was said when the map was read.
    pub fn required<'n>(&mut self, map: &Map<'n>, what: &str, key: &str, help: &str) -> Option<&'n Node> {
        if map.node(key).is_none() {
            self.missing(map, what, key, help);
        }
        map.get(key)
    }

    /// A value of any kind, in which no map has a key twice.
    pub fn json(&mut self, node: &Node) -> serde_json::Value {
        match &node.kind {
            Kind::List(items) => items.iter().map(|item| self.json(item)).collect(),
            Kind::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries {
                    if map.contains_key(&key.name) {
                        let message = format!("`{}` stands here twice", key.name);
                        self.error_help(code::DUPLICATE_KEY, key.at.clone(), message, "keep one of them");
                    }
                    map.insert(key.name.clone(), self.json(value));
                }
                map.into()
            }
            _ => node.to_json(),
        }
    }

    /// A text.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => {
                let message = format!("`{what}` is a text, this is {}", advice::what(node));
                self.error_help(code::TYPE, node.at.clone(), message, "put it in quotes");
                None
            }
            _ => self.wrong(node, what, "a text", None),
        }
    }

    /// True or false.
    pub fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.kind {
            Kind::Bool(b) => Some(b),
            _ => self.wrong(node, what, "true or false", advice::flag(node)),
        }
    }

    /// A whole number within `range`.
    pub fn int(&mut self, node: &Node, what: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        match node.kind {
            Kind::Int(n) if range.contains(&n) => Some(n),
            Kind::Int(n) => {
                let (least, most) = range.into_inner();
                self.error(
                    code::VALUE,
                    node.at.clone(),
                    format!("`{what}` is a number from {least} to {most}, this is {n}"),
                );
                None
            }
            _ => self.wrong(node, what, "a whole number", advice::int(node)),
        }
    }

    /// A share: a number from 0 to 1, or a percentage as text.
    pub fn share(&mut self, node: &Node, what: &str) -> Option<f64> {
        let share = match &node.kind {
            Kind::Int(n) => Some(*n as f64),
            Kind::Float(n) => Some(*n),
            Kind::Text(text) => {
                text.strip_suffix('%').and_then(|t| t.trim().parse::<f64>().ok()).map(|n| n / 100.0)
            }
            _ => None,
        };
        let share = share.filter(|n| (0.0..=1.0).contains(n));
        if share.is_none() {
            let message = format!("`{what}` is a share: a number from 0 to 1, or a percentage such as 20%");
            self.report(code::VALUE, node.at.clone(), message, advice::share(node));
        }
        share
    }

    /// A length of time.
    pub fn span(&mut self, node: &Node, what: &str) -> Option<Span> {
        let span = match &node.kind {
            Kind::Text(text) => Span::parse(text).map_err(|e| e.to_string()),
            Kind::Int(n) => {
                Span::from_secs_f64(*n as f64).ok_or_else(|| format!("`{n}` is not a length of time"))
            }
            Kind::Float(n) => Span::from_secs_f64(*n).ok_or_else(|| format!("`{n}` is not a length of time")),
            _ => Err(format!("`{what}` is a length of time such as 30s, this is {}", node.what())),
        };
        let help = match &node.kind {
            Kind::Text(text) => advice::span(text),
            Kind::Int(..0) | Kind::Float(..0.0) => Some("a length of time is never negative".into()),
            _ => None,
        };
        span.map_err(|message| self.report(code::SPAN, node.at.clone(), message, help)).ok()
    }

    /// One of a few words.
    pub fn word<T>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T>
    where
        T: Copy,
    {
        let Kind::Text(text) = &node.kind else {
            let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            return self.wrong(node, what, &format!("one of {known}"), None);
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word);
            let near = words::value(what, text).or_else(|| nearest(text, known.clone()));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use {}", known.collect::<Vec<_>>().join(", ")),
            };
            self.error_help(code::VALUE, node.at.clone(), format!("`{text}` is not a {what}"), help);
        }
        found
    }

    /// The items of a list, or the one thing that stands in its place. An empty list is an error.
    pub fn items<'n>(&mut self, node: &'n Node, what: &str, at: Range<usize>) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) if items.is_empty() => {
                self.error_help(code::EMPTY, at, format!("`{what}` is empty"), "name at least one");
                &[]
            }
            Kind::List(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    /// One or more topic patterns.
    pub fn patterns(&mut self, node: &Node, what: &str, at: Range<usize>) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for item in self.items(node, what, at.clone()) {
            if let Kind::Map(_) = item.kind {
                let help = format!("write the topic itself, such as {what}: telemetry.kernel.exited");
                self.wrong::<()>(item, what, "a text", Some(help));
                continue;
            }
            let Some(text) = self.text(item, what) else { continue };
            match Pattern::try_new(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(_) if text.trim().is_empty() => {
                    let help =
                        "a `>` at the end of a line begins a text of several lines: put it in quotes: \">\"";
                    let message = format!("`{what}` is empty");
                    self.error_help(code::EMPTY, at.clone(), message, help);
                }
                Err(error) => {
                    self.report(code::TOPIC, item.at.clone(), error.to_string(), advice::topic(&text));
                }
            }
        }
        patterns
    }

    /// An expression.
    pub fn expression(&mut self, node: &Node, what: &str, vars: &[&str]) -> Option<Condition> {
        // `when: true` and `group_by: 5` are expressions too.
        let text = match &node.kind {
            Kind::Bool(b) => b.to_string(),
            Kind::Int(n) => n.to_string(),
            Kind::List(_) => {
                let help = "write one text, and join its parts with `&&` or `||`";
                return self.wrong(node, what, "a text", Some(help.into()));
            }
            Kind::Map(_) => {
                let help = "write an expression, such as data.used > 0.9";
                return self.wrong(node, what, "a text", Some(help.into()));
            }
            _ => self.text(node, what)?,
        };
        let compiled = condition::compile(&text, vars);
        compiled
            .map_err(|error| self.within(code::EXPRESSION, node, &text, error.at, error.message, error.help))
            .ok()
    }

    /// An expression that is true or false.
    pub fn condition(&mut self, node: &Node, what: &str, vars: &[&str]) -> Option<Condition> {
        let condition = self.expression(node, what, vars)?;
        if condition.is_no_condition() {
            let message = format!("`{what}` is never true or false");
            self.error_help(code::EXPRESSION, node.at.clone(), message, "compare it with something");
            return None;
        }
        Some(condition)
    }

    /// A text with expressions in it.
    pub fn template(&mut self, node: &Node, what: &str) -> Option<Template> {
        let text = match &node.kind {
            Kind::Int(n) => n.to_string(),
            _ => self.text(node, what)?,
        };
        if let Some(start) = text.find("{{")
            && let Some(len) = text[start..].find("}}")
        {
            let inner = text[start + 2..start + len].trim();
            let message = "`{{` and `}}` stand for themselves here".to_owned();
            let help = Some(format!("write `${{{inner}}}`"));
            self.within(code::TEMPLATE, node, &text, start..start + len + 2, message, help);
            return None;
        }
        Template::compile(&text, &[])
            .map_err(|error| self.within(code::TEMPLATE, node, &text, error.at, error.message, error.help))
            .ok()
    }

    /// Reports an error at `at` within `text`, which is what `node` says.
    pub fn within(
        &mut self,
        code: &str,
        node: &Node,
        text: &str,
        at: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        let at = node.inside(&self.file.text, text, at);
        self.report(code, at, message, help);
    }

    fn wrong<T>(&mut self, node: &Node, what: &str, wanted: &str, help: Option<String>) -> Option<T> {
        let message = format!("`{what}` is {wanted}, this is {}", advice::what(node));
        self.report(code::TYPE, node.at.clone(), message, help);
        None
    }
}
