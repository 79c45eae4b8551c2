//! From rule files to a [`RuleSet`], or to all that is wrong with them.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::Diagnostic;
use crate::model::diagnostic::Severity;

use super::parse::{self, hex};
use super::reader::{Reader, code};
use super::rule::Rule;
use super::set::RuleSet;
use super::yaml::{self, Kind};

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
            let quotes = ["mapping values", "trailing content", "unexpected character"];
            return if quotes.iter().any(|part| error.message.contains(part)) {
                r.error_help(
                    code,
                    error.at,
                    error.message,
                    "if this belongs to a text, put all of the text in quotes",
                );
            } else {
                r.error(code, error.at, error.message);
            };
        }
    };
    if matches!(tree.kind, Kind::Null) {
        return;
    }
    let Some(top) = r.map(&tree, "a rule file", &["rules"]) else { return };
    let Some(list) = top.get("rules") else {
        if top.node("rules").is_none() {
            r.missing(&top, "the file", "rules", "a rule file is `rules:` and a list");
        }
        return;
    };
    let Kind::List(nodes) = &list.kind else {
        return r.error(code::TYPE, list.at.clone(), format!("`rules` is a list, this is {}", list.what()));
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
