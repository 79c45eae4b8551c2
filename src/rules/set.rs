//! A compiled set of rules: a value that is swapped as a whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::index::Index;
use super::rule::Rule;
use crate::model::Span;

/// A compiled set of rules; cloning it copies pointers.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Arc<[Arc<Rule>]>,
    index: Arc<Index>,
    hash: Arc<str>,
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
        Self::new(Vec::new(), String::new())
    }

    pub(super) fn new(rules: Vec<Arc<Rule>>, hash: String) -> Self {
        let index = Arc::new(Index::new(&rules));
        Self { rules: rules.into(), index, hash: hash.into() }
    }

    /// The rules in the order in which they fire, those that are not enabled included.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule named `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// SHA-256 of what the rules say, in hex; of no rules, empty.
    pub fn hash(&self) -> &str {
        &self.hash
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

    /// How far back the events must be read again after a restart for the windows to be as before.
    pub fn longest_window(&self) -> Span {
        self.rules.iter().filter(|r| r.enabled).map(|r| r.pattern.reach()).max().unwrap_or_default()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }
}
