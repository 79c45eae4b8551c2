//! The last good rules and playbooks, kept in the store: what an engine goes on with that is started again while a file
//! on disk is broken.
//!
//! Whole sets only, as a reload swaps them: of a half one nobody knows that its parts fit each other.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Engine;
use super::files::{Built, Sources};
use crate::actions::Spec;
use crate::model::diagnostic::Severity;
use crate::model::{Diagnostic, Time};
use crate::playbook::{self, Library};
use crate::rules::{self, RuleSet};
use crate::store::{Store, Write};

/// Name under which it is kept.
const KEY: &str = "files.good";

/// Files that were in force as a whole, as they were read then.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Good {
    /// Since when.
    at: Time,
    /// The folder that names of playbooks begin below.
    root: PathBuf,
    rules: Vec<(String, String)>,
    playbooks: Vec<(String, String)>,
}

/// What an engine begins with.
pub(super) struct First {
    pub(super) rules: RuleSet,
    pub(super) library: Library,
    /// Since when this set is in force.
    pub(super) since: Time,
    /// Mistakes and warnings of the files as they are.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether that is an earlier set, as the files have mistakes.
    pub(super) earlier: bool,
    /// What was in force before, by its hash.
    pub(super) kept: String,
    /// The files as they are, if they are good.
    pub(super) good: Option<Good>,
}

impl Good {
    /// Of files that were just read.
    pub(super) fn of(sources: &Sources, at: Time) -> Self {
        Self {
            at,
            root: sources.root().into(),
            rules: sources.rule_files().iter().map(|it| (it.path.clone(), it.text.clone())).collect(),
            playbooks: sources.playbook_files().iter().map(|it| (it.path.clone(), it.text.clone())).collect(),
        }
    }

    /// What an earlier life kept, if there was one.
    async fn kept(store: &dyn Store) -> Result<Option<Self>, crate::store::Error> {
        super::set_aside::kept(store, KEY).await
    }

    /// Of what it says; when it was read does not count.
    fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (path, text) in self.rules.iter().chain(&self.playbooks) {
            for part in [path, text] {
                hasher.update(part.len().to_le_bytes());
                hasher.update(part);
            }
        }
        hasher.update(self.rules.len().to_le_bytes());
        hasher.update(self.root.to_string_lossy().as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The set again. An action that is gone by now keeps none of it back: a call of it fails and is told.
    fn build(&self, known_actions: &[String]) -> Option<(RuleSet, Library)> {
        let build = |known: &[String]| {
            let rules = |(path, text): &(String, String)| rules::SourceFile {
                path: path.clone(),
                text: text.clone(),
            };
            let playbooks = |(path, text): &(String, String)| playbook::SourceFile {
                path: path.clone(),
                text: text.clone(),
            };
            let sources = Sources::read_before(
                &self.root,
                self.rules.iter().map(rules).collect(),
                self.playbooks.iter().map(playbooks).collect(),
            );
            let built = sources.build(known);
            built.rules.zip(built.library)
        };
        build(known_actions).or_else(|| build(&[]))
    }
}

impl First {
    /// The files as they are; or, if they have mistakes and an earlier life left a good set, that.
    ///
    /// # Errors
    /// All mistakes, if there is nothing to go on with.
    pub(super) async fn read(
        store: &dyn Store,
        [rules, playbooks]: [&Path; 2],
        specs: Vec<Spec>,
        now: Time,
    ) -> Result<Result<Self, Vec<Diagnostic>>, crate::store::Error> {
        let kept = Good::kept(store).await?;
        let hash = kept.as_ref().map(Good::hash).unwrap_or_default();
        let known_actions: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        let known_actions = known_actions.as_slice();
        let sources = Sources::below(rules, playbooks).fitting(specs);
        let good = Good::of(&sources, now);
        let lost = !rules.exists() && kept.as_ref().is_some_and(|kept| !kept.rules.is_empty());
        let mut diagnostics = match sources.build(known_actions) {
            Built { rules: Some(rules), library: Some(library), diagnostics } if !lost => {
                let (earlier, good) = (false, Some(good));
                return Ok(Ok(Self { rules, library, since: now, diagnostics, earlier, kept: hash, good }));
            }
            built => built.diagnostics,
        };
        if lost {
            diagnostics.retain(|it| it.severity == Severity::Error);
            diagnostics.insert(0, gone(rules));
        }
        let Some((kept, (rules, library))) =
            kept.and_then(|kept| kept.build(known_actions).map(|built| (kept, built)))
        else {
            return Ok(Err(diagnostics));
        };
        let (since, earlier) = (kept.at, true);
        Ok(Ok(Self { rules, library, since, diagnostics, earlier, kept: hash, good: None }))
    }
}

/// That the folder of rules is not there any more.
pub(super) fn gone(rules: &Path) -> Diagnostic {
    let why = "the rules are gone from here, so those that are live stay";
    let gone = Diagnostic::error("P0001", &rules.to_string_lossy(), "", 0..0, why);
    gone.help("put them back, or an empty folder if there are to be none")
}

impl Engine {
    /// Keeps what is in force from now on, if it is something else than before.
    pub(super) fn keep_good(&self, good: &Good) {
        let hash = good.hash();
        {
            let mut kept = self.0.reload.kept().lock().unwrap_or_else(PoisonError::into_inner);
            if *kept == hash {
                return;
            }
            *kept = hash;
        }
        let Ok(value) = serde_json::to_string(good) else { return };
        let commit = self.0.store.commit(vec![Write::Meta { key: KEY.into(), value }]);
        self.aside(async move {
            if let Err(error) = commit.await {
                tracing::warn!(
                    "the rules and playbooks could not be kept for a start with a broken file: {error}"
                );
            }
        });
    }
}
