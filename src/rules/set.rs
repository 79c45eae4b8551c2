//! A compiled set of rules: a value that is swapped as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Index;
use super::rule::Rule;
use super::{Known, SourceFile, compile};

/// A compiled set of rules; cloning it copies pointers.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Arc<[Arc<Rule>]>,
    names: Arc<HashMap<String, usize, ahash::RandomState>>,
    index: Arc<Index>,
    hash: Arc<str>,
    /// Packed, as it is seldom wanted and takes room.
    pin: Arc<[u8]>,
}

/// How one set differs from another, by the names of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Changes {
    /// Only in the newer.
    pub added: Vec<String>,
    /// Only in the older.
    pub removed: Vec<String>,
    /// In both, but not the same.
    pub changed: Vec<String>,
}

impl RuleSet {
    /// A set without rules.
    pub fn empty() -> Self {
        Self::new(Vec::new(), String::new(), &[])
    }

    pub(super) fn new(rules: Vec<Arc<Rule>>, hash: String, files: &[SourceFile]) -> Self {
        let index = Arc::new(Index::new(&rules));
        let names = rules.iter().enumerate().map(|(n, rule)| (rule.name.clone(), n)).collect();
        let pin = lz4_flex::compress_prepend_size(pin(&rules, files).as_bytes()).into();
        Self { rules: rules.into(), names: Arc::new(names), index, hash: hash.into(), pin }
    }

    /// The rules in the order in which they fire, those that are not enabled included.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule named `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Rule>> {
        self.names.get(name).map(|n| &self.rules[*n])
    }

    /// SHA-256 of what the rules say, in hex; of no rules, empty.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The files that it was compiled from, as one text that [`RuleSet::from_pin`] reads.
    pub fn pin(&self) -> String {
        let text =
            lz4_flex::decompress_size_prepended(&self.pin).ok().and_then(|it| String::from_utf8(it).ok());
        text.expect("it was packed here")
    }

    /// The set that [`RuleSet::pin`] was called on; none if this version cannot read its rules any more.
    pub fn from_pin(pin: &str) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Pin {
            playbooks: Vec<String>,
            files: Vec<(String, String)>,
        }
        let pin: Pin = serde_json::from_str(pin).ok()?;
        let files: Vec<SourceFile> =
            pin.files.into_iter().map(|(path, text)| SourceFile { path, text }).collect();
        compile(&files, &Known { playbooks: &pin.playbooks }).set
    }

    /// What `newer` changes.
    pub fn diff(&self, newer: &Self) -> Changes {
        let old: HashMap<&str, &str> =
            self.rules.iter().map(|r| (r.name.as_str(), r.hash.as_str())).collect();
        let new: HashMap<&str, &str> =
            newer.rules.iter().map(|r| (r.name.as_str(), r.hash.as_str())).collect();
        let mut changes = Changes::default();
        for (name, hash) in &new {
            match old.get(name) {
                None => changes.added.push((*name).into()),
                Some(before) if before != hash => changes.changed.push((*name).into()),
                Some(_) => {}
            }
        }
        changes.removed =
            old.keys().filter(|name| !new.contains_key(*name)).map(|name| (*name).into()).collect();
        for list in [&mut changes.added, &mut changes.removed, &mut changes.changed] {
            list.sort();
        }
        changes
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }
}

fn pin(rules: &[Arc<Rule>], files: &[SourceFile]) -> String {
    let mut playbooks: Vec<&str> = Vec::new();
    for plan in rules.iter().map(|rule| &rule.plan) {
        playbooks.extend(plan.playbooks.iter().map(String::as_str));
        playbooks.extend(plan.escalate.iter().map(|step| step.to.as_str()));
    }
    playbooks.sort_unstable();
    playbooks.dedup();
    let files: Vec<[&str; 2]> = files.iter().map(|file| [file.path.as_str(), &file.text]).collect();
    serde_json::json!({ "playbooks": playbooks, "files": files }).to_string()
}
