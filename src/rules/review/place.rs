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
