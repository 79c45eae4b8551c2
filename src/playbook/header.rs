//! The block of comments at the top of a playbook: what it is for, and what it may do.
//!
//! ```text
//! //! Restart a kernel.          (free text, until the first `//! ---`)
//! //! ---
//! //! risk: low                  (YAML, until the next `//! ---` or the end of the comments)
//! ```

mod block;
mod words;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use self::block::{Block, block, is_key};
use super::params::{Kind, Param, Params};
use super::program::File;
use crate::model::diagnostic::nearest;
use crate::model::{Diagnostic, Risk, Span};
use crate::rules::reader::advice;
use crate::rules::yaml::{self, Key, Node};

/// What a header can say.
pub const KEYS: [&str; 5] = ["risk", "cost", "timeout", "actions", "params"];
/// Most mistakes that are told of one header; each costs a walk through the file.
const MAX_PROBLEMS: usize = 100;
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

/// Why `text`, which is to be a playbook, has no header: where, what, and what to do.
pub fn missing(text: &str) -> (Range<usize>, &'static str, &'static str) {
    let line = |begins: &str| {
        let mut at = 0;
        text.split_inclusive('\n').find_map(|line| {
            let start = at + line.len() - line.trim_start().len();
            at += line.len();
            line.trim_start().starts_with(begins).then(|| start..start + line.trim().len())
        })
    };
    if text.starts_with("//!") {
        let help = "a line `//! ---` is missing, between what it does and `//! actions: [kernel.restart]`";
        let fence = |line: &str| {
            let inner = line.strip_prefix("//!").map(str::trim).unwrap_or_default();
            inner.len() > 1 && inner.chars().all(|c| "-=_*~–—".contains(c))
        };
        if let Some(at) = text.lines().find(|it| fence(it)).and_then(|it| line(it.trim_end())) {
            return (at, "this line does not begin a header", "write `//! ---`");
        }
        return (0..0, "these comments are no header", help);
    }
    if let Some(at) = line("//!") {
        let help = "move it up: nothing stands before its `//!`, no line and no space";
        return (at, "a header begins in the first line of the file", help);
    }
    if let Some(at) = line("// ---").or_else(|| line("/// ---")).or_else(|| line("---")) {
        return (at, "a header is of comments with `//!`", "begin each of its lines with `//! `");
    }
    let help = "begin the file with `//! What it does.`, `//! ---`, `//! actions: [kernel.restart]`";
    (0..0, "a playbook needs a header", help)
}

/// Where `word` of the header stands in the text of `file`; at its beginning if it is not found.
pub fn find(file: &File, word: &str) -> Range<usize> {
    block(&file.text).unwrap_or_default().find(&file.text, word)
}

struct Reader<'a> {
    file: &'a File,
    block: Block,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn header(&mut self) -> Header {
        let mut header = Header { doc: self.block.doc.clone(), ..Header::default() };
        if is_there(&self.file.text) {
            self.broken();
        }
        let Some(map) = self.yaml() else { return header };
        let mut timeout = false;
        for (key, value) in &map {
            match key.name.as_str() {
                "risk" => header.risk = self.risk(value).unwrap_or_default(),
                "cost" => header.cost = self.span(key, value).unwrap_or(header.cost),
                "timeout" => {
                    timeout = true;
                    header.timeout = self.span(key, value).unwrap_or(header.timeout);
                    if header.timeout.is_zero() {
                        self.wrong(value, "`timeout`: a run needs some time", "give at least 1s");
                    }
                }
                "actions" => header.actions = self.actions(value),
                "params" => header.params = self.params(value),
                _ => self.unknown(key, &KEYS, "a header"),
            }
        }
        if !timeout && header.timeout < header.cost {
            header.timeout = header.cost;
        }
        header
    }

    /// Lines that cut the header in two, or stand below it as if they were part of it.
    fn broken(&mut self) {
        let text = &self.file.text;
        let line = |at: &Range<usize>| text[at.clone()].trim().to_string();
        let mut found = Vec::new();
        let mut blank = false;
        for at in &self.block.gaps {
            let (what, help) = match line(at) {
                // The parser stops there, and tells it in the same words.
                it if is_key(&it) && !it.starts_with("//") => continue,
                it if it.is_empty() && blank => continue,
                it if it.is_empty() => (
                    "the header ends at this blank line, so what follows would not count",
                    "take the line out, or write `//!` on it",
                ),
                _ => (
                    "this line is no part of the header, and cuts it in two",
                    "begin it with `//! `, or move it below the header",
                ),
            };
            blank |= line(at).is_empty();
            found.push((at.clone(), what, help, false));
        }
        for at in self.block.missed(text) {
            let what = "this line is no part of the header, so it does not count";
            found.push((at, what, "begin it with `//! `, right below the others", true));
        }
        for (at, what, help, harmless) in found.into_iter().take(MAX_PROBLEMS) {
            let told = Diagnostic::error("P0202", &self.file.path, text, at, what).help(help);
            self.problems.push(if harmless { told.warning() } else { told });
        }
    }

    fn yaml(&mut self) -> Option<Vec<(Key, Node)>> {
        let node = match yaml::read(&self.block.yaml) {
            Ok(node) => node,
            Err(error) => {
                let line = self.block.yaml[..error.at.start].rfind('\n').map_or(0, |i| i + 1);
                let set_in = &self.block.yaml[line..];
                let tab = set_in.len() - set_in.trim_start_matches(' ').len();
                if set_in[tab..].starts_with('\t') {
                    let text = "the header is not YAML: a tab stands where only spaces can".into();
                    let at = line + tab..line + tab + 1;
                    self.problem("P0202", at, text, Some("put spaces in its place, or none".into()));
                    return None;
                }
                let text = format!("the header is not YAML: {}", error.message);
                let line = self.block.yaml[line..].lines().next().unwrap_or_default();
                let two = line.split([',', ' ']).filter(|it| is_key(it)).count() > 1;
                let help = error.help.filter(|_| !two).or_else(|| words::unread(&error.message, two));
                let help = help.map(|it| it.replace("in column 1,", "right after `//! `,"));
                self.problem("P0202", error.at, text, help);
                return None;
            }
        };
        match node.kind {
            yaml::Kind::Map(map) => {
                self.repeated(&map);
                Some(map)
            }
            yaml::Kind::Null => Some(Vec::new()),
            _ => {
                let text = "the header is not a list of `key: value` lines";
                let help = "write such as `actions: [kernel.restart]`; what the playbook does stands above the `---`";
                self.problem("P0202", node.at, text.into(), Some(help.into()));
                None
            }
        }
    }

    /// Keys written twice, of which only the last would count.
    fn repeated(&mut self, map: &[(Key, Node)]) {
        let mut seen: BTreeMap<&str, &Key> = BTreeMap::new();
        for (key, value) in map {
            match seen.get(key.name.as_str()) {
                None => drop(seen.insert(&key.name, key)),
                Some(first) if self.problems.len() < MAX_PROBLEMS => {
                    let at = self.block.place(&first.at).start;
                    let line = self.file.text[..at].matches('\n').count() + 1;
                    let text = format!("`{}` stands here a second time", key.name);
                    let help = format!("take one of them out: the first is in line {line}");
                    self.problem("P0204", key.at.clone(), text, Some(help));
                }
                Some(_) => return,
            }
            if let yaml::Kind::Map(inner) = &value.kind {
                self.repeated(inner);
            }
        }
    }

    fn risk(&mut self, value: &Node) -> Option<Risk> {
        let json = value.to_json();
        let risk = serde_json::from_value(json.clone()).ok();
        if risk.is_none() {
            let given = json.as_str().unwrap_or_default().to_lowercase();
            let near = nearest(&given, RISKS).or_else(|| words::risk(&given));
            let help = near.map_or("write low, medium or high".into(), |it| format!("did you mean `{it}`?"));
            let text = match json {
                Value::Null => "`risk`: the value is missing".into(),
                _ => format!("`risk`: {json} is none of low, medium, high"),
            };
            self.wrong(value, &text, &help);
        }
        risk
    }

    fn span(&mut self, key: &Key, value: &Node) -> Option<Span> {
        let json = value.to_json();
        let span = serde_json::from_value(json.clone()).ok();
        if span.is_none() {
            let text = json.as_str().map_or_else(|| json.to_string(), String::from);
            let help = advice::span(&text).unwrap_or("write such as 30s, 5m or 1h30m".into());
            let text = match json {
                Value::Null => format!("`{}`: the value is missing", key.name),
                _ => format!("`{}`: {json} is not a length of time", key.name),
            };
            self.wrong(value, &text, &help);
        }
        span
    }

    fn actions(&mut self, value: &Node) -> Vec<String> {
        let text = "`actions`: this is not a list of action names";
        let yaml::Kind::List(items) = &value.kind else {
            self.wrong(value, text, &words::list(value));
            return Vec::new();
        };
        let mut names = Vec::new();
        for item in items {
            match &item.kind {
                yaml::Kind::Text(name) => names.push(name.clone()),
                _ => {
                    let text = format!("`actions`: {} is no name of an action", item.to_json());
                    self.wrong(
                        item,
                        &text,
                        "names alone stand here, such as [kernel.restart, kernel.health]",
                    );
                }
            }
        }
        names
    }

    fn params(&mut self, value: &Node) -> Params {
        let map = match &value.kind {
            yaml::Kind::Map(map) => map,
            yaml::Kind::Null => return Params::new(),
            _ => {
                let text = "`params`: this is not a map of parameters";
                self.wrong(value, text, "write such as { grace: { type: duration, default: 5s } }");
                return Params::new();
            }
        };
        map.iter().filter_map(|(key, spec)| Some((key.name.clone(), self.param(key, spec)?))).collect()
    }

    fn param(&mut self, key: &Key, spec: &Node) -> Option<Param> {
        let name = &key.name;
        let none = Vec::new();
        let spec_map = if let yaml::Kind::Map(map) = &spec.kind { map } else { &none };
        for (key, _) in spec_map.iter().filter(|(key, _)| !PARAM_KEYS.contains(&key.name.as_str())) {
            self.unknown(key, &PARAM_KEYS, "a parameter");
        }
        let get = |wanted: &str| spec_map.iter().rev().find(|(key, _)| key.name == wanted).map(|(_, it)| it);
        let type_node = if matches!(spec.kind, yaml::Kind::Text(_)) { Some(spec) } else { get("type") };
        let type_name = match type_node.map(|it| &it.kind) {
            Some(yaml::Kind::Text(name)) => name.as_str(),
            _ => "",
        };
        let Some(kind) = Kind::named(type_name) else {
            let near = nearest(type_name, Kind::NAMES).or_else(|| words::kind(type_name));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if Span::parse(type_name).is_ok() => {
                    format!("write `{name}: {{ type: duration, default: {type_name} }}`")
                }
                None => format!("write such as `{name}: {{ type: string }}`"),
            };
            let at = type_node.map_or(key.at.clone(), |it| it.at.clone());
            let text = format!("parameter `{name}` needs a type, one of {}", Kind::NAMES.join(", "));
            self.problem("P0204", at, text, Some(help));
            return None;
        };
        let default = get("default").filter(|it| !matches!(it.kind, yaml::Kind::Null));
        if let Some(node) = default
            && let Err(why) = kind.check(&node.to_json())
        {
            let help = words::default(kind, &node.to_json());
            self.wrong(node, &format!("`{name}`: its default {why}"), &help);
        }
        let required = get("required").map(|node| (node, node.to_json()));
        if let Some((node, value)) = required.as_ref().filter(|(_, it)| !it.is_boolean() && !it.is_null()) {
            let help = advice::flag(node).unwrap_or("write `true` or `false`".into());
            self.wrong(node, &format!("`{name}`: `required` is {value}, not true or false"), &help);
        }
        Some(Param {
            kind,
            default: default.map(Node::to_json),
            required: required.and_then(|(_, it)| it.as_bool()).unwrap_or(false),
            doc: get("doc").map(Node::to_json).as_ref().and_then(Value::as_str).unwrap_or_default().into(),
        })
    }

    fn unknown(&mut self, key: &Key, known: &[&str], of: &str) {
        let meant = if known == KEYS { words::key(&key.name) } else { words::param_key(&key.name) };
        let help = match (nearest(&key.name, known.iter().copied()), meant) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(meant)) => meant.into(),
            (None, None) => format!("known are {}", known.join(", ")),
        };
        self.problem("P0203", key.at.clone(), format!("{of} has no key `{}`", key.name), Some(help));
    }

    fn wrong(&mut self, value: &Node, text: &str, help: &str) {
        self.problem("P0204", value.at.clone(), text.into(), Some(help.into()));
    }

    /// What is wrong at bytes `at` of the YAML.
    fn problem(&mut self, code: &str, at: Range<usize>, text: String, help: Option<String>) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let at = self.block.place(&at);
        let error = Diagnostic::error(code, &self.file.path, &self.file.text, at, text);
        self.problems.push(match help {
            Some(help) => error.help(help),
            None => error,
        });
    }
}
