//! Where findings stand: the files are read once more, but only those in which something was found.

use std::collections::HashMap;
use std::ops::Range;

use super::Finding;
use crate::model::Diagnostic;
use crate::rules::build::SourceFile;
use crate::rules::yaml::{self, Kind, Node};

/// The findings as warnings, in the order of files and lines.
pub fn place(findings: Vec<Finding>, files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut by_file: HashMap<&str, Vec<&Finding>> = HashMap::new();
    for finding in &findings {
        by_file.entry(&finding.rule.file).or_default().push(finding);
    }
    let mut found = Vec::new();
    for file in files {
        let Some(findings) = by_file.get(file.path.as_str()) else { continue };
        let Ok(tree) = yaml::read(&file.text) else { continue };
        let rules = names(&tree);
        for finding in findings {
            let name = finding.rule.name.as_str();
            let at = rules.get(name).map_or(0..0, |rule| find(rule, finding.key));
            let warning = Diagnostic::error(finding.code, &file.path, &file.text, at, &finding.message);
            found.push(warning.warning().help(&finding.help));
        }
    }
    found
}

/// Where things stand in rule files; a file is read when something in it is first asked for.
pub struct Places<'f> {
    files: HashMap<&'f str, &'f SourceFile>,
    read: HashMap<&'f str, Option<Node>>,
}

impl<'f> Places<'f> {
    /// Places in `files`.
    pub fn new(files: &'f [SourceFile]) -> Self {
        let files = files.iter().map(|file| (file.path.as_str(), file)).collect();
        Self { files, read: HashMap::new() }
    }

    /// An error of the rule `name` in the file `path`, at what stands at `keys` in the rule; a key is a name or, in a
    /// list, a number. What is not there is shown at what holds it.
    pub fn error(
        &mut self,
        path: &str,
        name: &str,
        keys: &[&str],
        code: &str,
        message: String,
    ) -> Diagnostic {
        let Some(file) = self.files.get(path).copied() else {
            return Diagnostic::error(code, path, "", 0..0, message);
        };
        let tree = self.read.entry(&file.path).or_insert_with(|| yaml::read(&file.text).ok());
        let rule = tree.as_ref().and_then(|tree| names(tree).get(name).copied());
        let mut at = 0..0;
        let mut node = rule;
        for key in keys {
            let Some(parent) = node else { break };
            at = parent.at.clone();
            node = match &parent.kind {
                Kind::List(items) => key.parse::<usize>().ok().and_then(|n| items.get(n)),
                _ if *key == "0" => Some(parent),
                _ => value(parent, key),
            };
        }
        let at = node.map_or(at, |node| node.at.clone());
        Diagnostic::error(code, path, &file.text, at, message)
    }
}

/// The rules of a file by name.
fn names(tree: &Node) -> HashMap<&str, &Node> {
    let Some(Kind::List(rules)) = value(tree, "rules").map(|node| &node.kind) else { return HashMap::new() };
    let named = rules.iter().filter_map(|rule| match &value(rule, "name")?.kind {
        Kind::Text(name) => Some((name.as_str(), rule)),
        _ => None,
    });
    named.collect()
}

fn find(rule: &Node, key: &str) -> Range<usize> {
    let key = if key.is_empty() { "name" } else { key };
    let Some(node) = value(rule, key) else { return rule.at.clone() };
    match (&node.kind, value(node, "when")) {
        (Kind::Map(_), Some(when)) => when.at.clone(),
        _ => node.at.clone(),
    }
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
}
