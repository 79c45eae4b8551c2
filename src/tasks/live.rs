//! The rules and playbooks that are in force, as one: whoever reads them sees both of the same load.

use std::sync::{Arc, PoisonError, RwLock};

use crate::intents::board::MANUAL;
use crate::model::Intent;
use crate::playbook::Library;
use crate::rules::RuleSet;

/// One load of the files.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// The playbooks.
    pub library: Arc<Library>,
}

/// What is in force now; a reload puts another load in its place.
pub struct Live(RwLock<Arc<Loaded>>);

impl Live {
    /// With a first load.
    pub fn new(rules: RuleSet, library: Library) -> Self {
        Self(RwLock::new(Arc::new(Loaded { rules: Arc::new(rules), library: Arc::new(library) })))
    }

    /// What is in force now.
    pub fn now(&self) -> Arc<Loaded> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `next` in force; answers what was before.
    pub fn swap(&self, next: Loaded) -> Arc<Loaded> {
        let next = Arc::new(next);
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), next)
    }

    /// Why nothing more is to be done for `intent`: its rule is no longer in force. What an operator asked for by hand
    /// stands on its own.
    pub fn withdrawn(&self, intent: &Intent) -> Option<String> {
        if intent.rule == MANUAL || intent.retry_of.is_some() {
            return None;
        }
        let loaded = self.now();
        match loaded.rules.get(&intent.rule) {
            None => Some(format!("the rule `{}` was removed", intent.rule)),
            Some(rule) if !rule.enabled => Some(format!("the rule `{}` was disabled", intent.rule)),
            Some(_) => None,
        }
    }
}
