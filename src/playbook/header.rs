//! The block of comments at the top of a playbook: what it is for, and what it may do.
//!
//! ```text
//! //! Restart a kernel.          (free text, until the first `//! ---`)
//! //! ---
//! //! risk: low                  (YAML, until the next `//! ---` or the end of the comments)
//! ```

use std::ops::Range;

use serde_json::{Map, Value};

use super::params::{Kind, Param, Params};
use super::program::File;
use crate::model::diagnostic::nearest;
use crate::model::{Diagnostic, Risk, Span};

const KEYS: [&str; 5] = ["risk", "cost", "timeout", "actions", "params"];
const PARAM_KEYS: [&str; 4] = ["type", "default", "required", "doc"];
const RISKS: [&str; 3] = ["low", "medium", "high"];

/// What a header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The free text.
    pub doc: String,
    /// How much harm it can do.
    pub risk: Risk,
    /// What it usually takes.
    pub cost: Span,
    /// When a run's time is up.
    pub timeout: Span,
    /// The only actions it may call.
    pub actions: Vec<String>,
    /// What it can be given.
    pub params: Params,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            doc: String::new(),
            risk: Risk::Medium,
            cost: Span::secs(60),
            timeout: Span::secs(300),
            actions: Vec::new(),
            params: Params::new(),
        }
    }
}

/// Whether `text` begins with a header.
pub fn is_there(text: &str) -> bool {
    block(text).is_some()
}

/// Reads the header of `file`, as far as it can be read, and says all that is wrong with it.
pub fn read(file: &File) -> (Header, Vec<Diagnostic>) {
    let mut reader = Reader { file, block: block(&file.text).unwrap_or_default(), problems: Vec::new() };
    let header = reader.header();
    (header, reader.problems)
}

/// Where `word` of the header stands in the text of `file`; at its beginning if it is not found.
pub fn find(file: &File, word: &str) -> Range<usize> {
    block(&file.text).unwrap_or_default().find(&file.text, word)
}

/// The YAML of a header with the place of each of its lines in the file.
#[derive(Default)]
struct Block {
    doc: String,
    yaml: String,
    /// For each line of the YAML: where it begins in the file, past the comment's sign.
    lines: Vec<usize>,
    /// Past the last line of the header.
    end: usize,
}

fn block(text: &str) -> Option<Block> {
    let mut block = Block::default();
    let (mut at, mut fences) = (0, 0);
    for line in text.split_inclusive('\n') {
        let Some(rest) = line.strip_prefix("//!") else { break };
        let inner = rest.strip_prefix(' ').unwrap_or(rest);
        if inner.trim_end() == "---" {
            fences += 1;
        } else if fences == 1 {
            block.lines.push(at + line.len() - inner.len());
            block.yaml.push_str(inner.trim_end());
            block.yaml.push('\n');
        } else {
            block.doc.push_str(inner.trim_end());
            block.doc.push('\n');
        }
        at += line.len();
    }
    block.doc = block.doc.trim().into();
    block.end = at;
    (fences > 0).then_some(block)
}

impl Block {
    fn find(&self, text: &str, word: &str) -> Range<usize> {
        let is_word = |c: char| c.is_alphanumeric() || "_.-".contains(c);
        let start = self.lines.first().copied().unwrap_or(0);
        let found = text[start..self.end.max(start)].match_indices(word).map(|(i, _)| start + i).find(|at| {
            let before = text[..*at].chars().next_back();
            let after = text[at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        });
        found.map_or(start..start, |at| at..at + word.len())
    }
}

struct Reader<'a> {
    file: &'a File,
    block: Block,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn header(&mut self) -> Header {
        let mut header = Header { doc: self.block.doc.clone(), ..Header::default() };
        let Some(map) = self.yaml() else { return header };
        self.repeated();
        for (key, value) in &map {
            match key.as_str() {
                "risk" => header.risk = self.risk(value).unwrap_or_default(),
                "cost" => header.cost = self.span(key, value).unwrap_or(header.cost),
                "timeout" => header.timeout = self.span(key, value).unwrap_or(header.timeout),
                "actions" => header.actions = self.actions(value),
                "params" => header.params = self.params(value),
                _ => self.unknown(key, &KEYS, "a header"),
            }
        }
        if !map.contains_key("timeout") && header.timeout < header.cost {
            header.timeout = header.cost;
        }
        if header.timeout.is_zero() {
            self.wrong("timeout", "a run needs some time: give at least 1s");
        }
        header
    }

    fn yaml(&mut self) -> Option<Map<String, Value>> {
        if self.block.yaml.trim().is_empty() {
            return Some(Map::new());
        }
        match serde_yaml::from_str::<Value>(&self.block.yaml) {
            Ok(Value::Object(map)) => Some(map),
            Ok(_) => {
                let at = self.block.lines.first().copied().unwrap_or(0);
                self.problem(
                    "P0202",
                    at..at + 1,
                    "the header is not a list of `key: value` lines".into(),
                    None,
                );
                None
            }
            Err(error) => {
                let place = error.location().map_or((1, 1), |it| (it.line(), it.column()));
                let start = self.block.lines.get(place.0.saturating_sub(1)).or(self.block.lines.last());
                let at = start.copied().unwrap_or(0) + place.1.saturating_sub(1);
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or(&text).to_string();
                self.problem("P0202", at..at + 1, format!("the header is not YAML: {text}"), None);
                None
            }
        }
    }

    /// A key written twice at the top; YAML would silently take the last.
    fn repeated(&mut self) {
        let mut seen: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for (line, start) in self.block.yaml.lines().zip(&self.block.lines) {
            let Some((key, _)) = line.split_once(':') else { continue };
            if !KEYS.contains(&key) {
                continue;
            }
            if seen.contains(&key) {
                found.push((*start..start + key.len(), format!("`{key}` stands here a second time")));
            }
            seen.push(key);
        }
        for (at, text) in found {
            self.problem("P0204", at, text, None);
        }
    }

    fn risk(&mut self, value: &Value) -> Option<Risk> {
        let risk = serde_json::from_value(value.clone()).ok();
        if risk.is_none() {
            let given = value.as_str().unwrap_or_default();
            let help = nearest(given, RISKS).map(|it| format!("did you mean `{it}`?"));
            let at = self.block.find(&self.file.text, "risk");
            self.problem("P0204", at, format!("risk: {value} is none of low, medium, high"), help);
        }
        risk
    }

    fn span(&mut self, key: &str, value: &Value) -> Option<Span> {
        let span = serde_json::from_value(value.clone()).ok();
        if span.is_none() {
            self.wrong(key, &format!("{value} is not a length of time: write 30s, 5m or 1h30m"));
        }
        span
    }

    fn actions(&mut self, value: &Value) -> Vec<String> {
        let names = value.as_array().map(|list| list.iter().map(|it| it.as_str().map(String::from)));
        let names: Option<Vec<String>> = names.and_then(Iterator::collect);
        if names.is_none() {
            self.wrong("actions", "write a list of action names, such as [kernel.restart, kernel.health]");
        }
        names.unwrap_or_default()
    }

    fn params(&mut self, value: &Value) -> Params {
        let Some(map) = value.as_object() else {
            self.wrong("params", "write a map, such as { grace: { type: duration, default: 5s } }");
            return Params::new();
        };
        map.iter().filter_map(|(name, spec)| Some((name.clone(), self.param(name, spec)?))).collect()
    }

    fn param(&mut self, name: &str, spec: &Value) -> Option<Param> {
        let short = Map::from_iter([("type".to_string(), spec.clone())]);
        let spec = if spec.is_string() { &short } else { spec.as_object().unwrap_or(&short) };
        for key in spec.keys().filter(|key| !PARAM_KEYS.contains(&key.as_str())) {
            self.unknown(key, &PARAM_KEYS, "a parameter");
        }
        let type_name = spec.get("type").and_then(Value::as_str).unwrap_or_default();
        let Some(kind) = Kind::named(type_name) else {
            let help = nearest(type_name, Kind::NAMES).map(|it| format!("did you mean `{it}`?"));
            let at = self.block.find(&self.file.text, if type_name.is_empty() { name } else { type_name });
            let text = format!("parameter `{name}` needs a type, one of {}", Kind::NAMES.join(", "));
            self.problem("P0204", at, text, help);
            return None;
        };
        let default = spec.get("default").filter(|it| !it.is_null()).cloned();
        if let Some(Err(why)) = default.as_ref().map(|it| kind.check(it)) {
            self.wrong(name, &format!("its default {why}"));
        }
        Some(Param {
            kind,
            default,
            required: spec.get("required").and_then(Value::as_bool).unwrap_or(false),
            doc: spec.get("doc").and_then(Value::as_str).unwrap_or_default().into(),
        })
    }

    fn unknown(&mut self, key: &str, known: &[&str], of: &str) {
        let help = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        let at = self.block.find(&self.file.text, key);
        self.problem("P0203", at, format!("{of} has no key `{key}`"), Some(help));
    }

    fn wrong(&mut self, key: &str, text: &str) {
        let at = self.block.find(&self.file.text, key);
        self.problem("P0204", at, format!("`{key}`: {text}"), None);
    }

    fn problem(&mut self, code: &str, at: Range<usize>, text: String, help: Option<String>) {
        let error = Diagnostic::error(code, &self.file.path, &self.file.text, at, text);
        self.problems.push(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }
}
