//! From rule files to a [`RuleSet`], or to all that is wrong with them.

use std::collections::HashMap;
use std::ops::Range;
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

/// Fewer files, or rules of a file, than this are read on one thread.
const SIDE_BY_SIDE: usize = 64;
/// Threads that read many.
const THREADS: usize = 4;

/// Compiles all of `files` into one set.
pub fn compile(files: &[SourceFile], known: &Known<'_>) -> Compiled {
    compile_on(THREADS, files, known)
}

/// The same on this thread alone, for where other work goes on beside it.
pub fn compile_alone(files: &[SourceFile], known: &Known<'_>) -> Compiled {
    compile_on(1, files, known)
}

fn compile_on(threads: usize, files: &[SourceFile], known: &Known<'_>) -> Compiled {
    let (mut diagnostics, mut rules, mut names) = (Vec::new(), Vec::new(), HashMap::new());
    for (file, read) in files.iter().zip(side_by_side(threads, files, |file| read(threads, file, known))) {
        let mut r = Reader::with_lines(file, read.lines, &mut diagnostics);
        r.take(read.diagnostics);
        merge(&mut r, file, read.rules, &mut names, &mut rules);
        r.finish();
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
    let set = RuleSet::new(rules, hex(&hash.finalize()), files);
    Compiled { set: Some(set), diagnostics }
}

/// What stands in a file, before files are looked at together.
struct FileRead {
    lines: Arc<[usize]>,
    /// What is wrong with the file as such.
    diagnostics: Vec<Diagnostic>,
    rules: Vec<RuleRead>,
}

/// What stands in a rule.
struct RuleRead {
    /// None if anything in it is wrong.
    rule: Option<Rule>,
    /// Its name and where that stands; also of a rule with mistakes, as the name is taken all the same.
    name: Option<(String, Range<usize>)>,
    diagnostics: Vec<Diagnostic>,
}

fn read(threads: usize, file: &SourceFile, known: &Known<'_>) -> FileRead {
    let mut diagnostics = Vec::new();
    let mut r = Reader::new(file, &mut diagnostics);
    let lines = r.lines();
    let tree = tree(&mut r, file);
    let nodes = tree.as_ref().map_or(&[][..], |tree| nodes(&mut r, tree));
    let rules = side_by_side(threads, nodes, |node| {
        let mut diagnostics = Vec::new();
        let mut r = Reader::with_lines(file, lines.clone(), &mut diagnostics);
        let rule = parse::rule(&mut r, node, &file.path, known);
        RuleRead { rule, name: name(node), diagnostics }
    });
    FileRead { lines, diagnostics, rules }
}

fn merge(
    r: &mut Reader<'_>,
    file: &SourceFile,
    read: Vec<RuleRead>,
    names: &mut HashMap<String, String>,
    rules: &mut Vec<Rule>,
) {
    for it in read {
        r.take(it.diagnostics);
        if let Some((name, at)) = it.name {
            let here = format!("{}:{}", file.path, r.line(at.start));
            if let Some(first) = names.get(&name) {
                let message = format!("there are two rules named `{name}`");
                r.error_help(code::DUPLICATE_RULE, at, message, format!("the first is at {first}"));
                continue;
            }
            names.insert(name, here);
        }
        rules.extend(it.rule);
    }
}

/// The answers for all items, in their order; of many items, found on several threads. It is the same either way.
fn side_by_side<T: Sync, R: Send>(threads: usize, items: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads == 1 || items.len() < SIDE_BY_SIDE {
        return items.iter().map(one).collect();
    }
    let one = &one;
    std::thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(threads));
        let threads: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<R>>())).collect();
        let joined =
            threads.into_iter().map(|it| it.join().unwrap_or_else(|why| std::panic::resume_unwind(why)));
        joined.flatten().collect()
    })
}

fn tree(r: &mut Reader<'_>, file: &SourceFile) -> Option<Node> {
    match yaml::read(&file.text) {
        Ok(Node { kind: Kind::Null, .. }) => None,
        Ok(tree) => Some(tree),
        Err(error) => {
            let code = if error.limit { code::LIMIT } else { code::SYNTAX };
            r.error_help(code, error.at, error.message, error.help.unwrap_or_default());
            None
        }
    }
}

fn nodes<'n>(r: &mut Reader<'_>, tree: &'n Node) -> &'n [Node] {
    let Some(list) = list(r, tree) else { return &[] };
    let Kind::List(nodes) = &list.kind else {
        let message = format!("`rules` is a list, this is {}", list.what());
        r.error_help(code::TYPE, list.at.clone(), message, "begin each rule below it with `- `");
        return &[];
    };
    nodes
}

fn name(rule: &Node) -> Option<(String, Range<usize>)> {
    let Kind::Map(entries) = &rule.kind else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.name == "name")?;
    match &node.kind {
        Kind::Text(name) => Some((name.clone(), node.at.clone())),
        _ => None,
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
