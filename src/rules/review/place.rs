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
            let at = rules.get(name).map_or(0..0, |rule| find(rule, &finding.keys));
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
            node = inside(parent, key);
        }
        let at = node.map_or(at, |node| node.at.clone());
        Diagnostic::error(code, path, &file.text, at, message)
    }

    /// The same at the key itself, where it is the key that is wrong and not what stands under it.
    pub fn error_of_key(
        &mut self,
        path: &str,
        name: &str,
        keys: &[&str],
        code: &str,
        message: String,
    ) -> Diagnostic {
        let found = self.tree(path).and_then(|tree| {
            let (last, outer) = keys.split_last()?;
            let rule = names(tree).get(name).copied()?;
            let holder = outer.iter().try_fold(rule, |node, key| inside(node, key))?;
            let Kind::Map(entries) = &holder.kind else { return None };
            entries.iter().rev().find(|(key, _)| key.name == *last).map(|(key, _)| key.at.clone())
        });
        match (found, self.files.get(path)) {
            (Some(at), Some(file)) => Diagnostic::error(code, path, &file.text, at, message),
            _ => self.error(path, name, keys, code, message),
        }
    }

    fn tree(&mut self, path: &str) -> Option<&Node> {
        let file = self.files.get(path).copied()?;
        self.read.entry(&file.path).or_insert_with(|| yaml::read(&file.text).ok()).as_ref()
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

/// What stands under `keys` in a rule, or what holds it; without keys, the rule's name.
fn find(rule: &Node, keys: &[String]) -> Range<usize> {
    let mut node = rule;
    let name = [String::from("name")];
    for key in if keys.is_empty() { &name } else { keys } {
        match inside(node, key) {
            Some(inner) => node = inner,
            None => break,
        }
    }
    node.at.clone()
}

/// What stands under a key of a map, or at a place of a list; what is no list is a list of one.
fn inside<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::List(items) => key.parse::<usize>().ok().and_then(|n| items.get(n)),
        _ if key == "0" => Some(node),
        _ => value(node, key),
    }
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Kind::Map(entries) = &node.kind else { return None };
    entries.iter().rev().find(|(k, _)| k.name == key).map(|(_, node)| node)
}
