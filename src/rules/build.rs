//! From rule files to a [`RuleSet`], or to all that is wrong with them.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::Diagnostic;
use crate::model::diagnostic::{Severity, nearest};

use super::parse::{self, hex};
use super::reader::{Reader, code};
use super::rule::Rule;
use super::set::RuleSet;
use super::yaml::{self, Key, Kind, Node};

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path, as the user is to see it.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// What rules may name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Names of playbooks.
    pub playbooks: &'a [String],
}

/// What came of compiling.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The set; none if there was any error.
    pub set: Option<RuleSet>,
    /// Every error and warning of every file, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles all of `files` into one set.
pub fn compile(files: &[SourceFile], known: &Known<'_>) -> Compiled {
    let mut diagnostics = Vec::new();
    let mut rules: Vec<Rule> = Vec::new();
    let mut names: HashMap<String, String> = HashMap::new();
    for file in files {
        file_rules(file, known, &mut names, &mut rules, &mut diagnostics);
    }
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Compiled { set: None, diagnostics };
    }
    // Stable: equal priorities stay in the order of the files.
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.priority));
    let mut hash = Sha256::new();
    for rule in &rules {
        hash.update(rule.name.as_bytes());
        hash.update(rule.hash.as_bytes());
    }
    let rules = rules.into_iter().map(Arc::new).collect();
    let set = RuleSet::new(rules, hex(&hash.finalize()), files.to_vec());
    Compiled { set: Some(set), diagnostics }
}

fn file_rules(
    file: &SourceFile,
    known: &Known<'_>,
    names: &mut HashMap<String, String>,
    rules: &mut Vec<Rule>,
    out: &mut Vec<Diagnostic>,
) {
    let mut r = Reader::new(file, out);
    read_rules(&mut r, file, known, names, rules);
    r.finish();
}

fn read_rules(
    r: &mut Reader<'_>,
    file: &SourceFile,
    known: &Known<'_>,
    names: &mut HashMap<String, String>,
    rules: &mut Vec<Rule>,
) {
    let tree = match yaml::read(&file.text) {
        Ok(tree) => tree,
        Err(error) => {
            let code = if error.limit { code::LIMIT } else { code::SYNTAX };
            return r.error_help(code, error.at, error.message, error.help.unwrap_or_default());
        }
    };
    if matches!(tree.kind, Kind::Null) {
        return;
    }
    let Some(list) = list(r, &tree) else { return };
    let Kind::List(nodes) = &list.kind else {
        let message = format!("`rules` is a list, this is {}", list.what());
        return r.error_help(code::TYPE, list.at.clone(), message, "begin each rule below it with `- `");
    };
    for node in nodes {
        let rule = parse::rule(r, node, &file.path, known);
        // Also of a rule with other mistakes: the name is taken all the same.
        let Kind::Map(entries) = &node.kind else { continue };
        let name =
            entries.iter().find(|(key, _)| key.name == "name").and_then(|(_, node)| match &node.kind {
                Kind::Text(name) => Some((name, node.at.clone())),
                _ => None,
            });
        if let Some((name, at)) = name {
            let here = format!("{}:{}", file.path, r.line(at.start));
            if let Some(first) = names.get(name) {
                let message = format!("there are two rules named `{name}`");
                r.error_help(code::DUPLICATE_RULE, at, message, format!("the first is at {first}"));
                continue;
            }
            names.insert(name.clone(), here);
        }
        rules.extend(rule);
    }
}

/// The value of `rules`. A file that is something else altogether is told so once, and not key by key.
fn list<'n>(r: &mut Reader<'_>, tree: &'n Node) -> Option<&'n Node> {
    const KEYS: &[&str] = &["name", "on", "when", "playbooks"];
    let what = "a rule file is `rules:` and a list of rules below it";
    match &tree.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            let known = |(key, _): &(Key, Node)| nearest(&key.name, ["rules"]).is_some();
            if !entries.iter().any(known) {
                let rule = entries.iter().any(|(key, _)| KEYS.contains(&key.name.as_str()));
                let help = if rule {
                    "write `rules:` above it, and `- ` before the first key of the rule"
                } else {
                    "if this is no rule file, keep it in another folder"
                };
                r.error_help(code::MISSING, entries[0].0.at.clone(), what, help);
                return None;
            }
            r.map(tree, "a rule file", &["rules"])?.get("rules")
        }
        Kind::List(_) => {
            let help = "write `rules:` above it";
            r.error_help(code::TYPE, tree.at.clone(), format!("{what}, this is the list alone"), help);
            None
        }
        _ => {
            let help = "such as rules: [{ name: one, on: disk.full, playbooks: clean_up }]";
            r.error_help(code::TYPE, tree.at.clone(), format!("{what}, this is {}", tree.what()), help);
            None
        }
    }
}
