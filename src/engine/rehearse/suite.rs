//! Finds tests: in the rules of a set-up, in files beside it, and wherever a path leads.
//!
//! A path belongs to the nearest set-up above it (a folder with a `paramedic.yaml`), so the tests of an example run with
//! the rules and playbooks of that example.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::read::{self, Names, entry, text_of};
use super::{Case, Stage};
use crate::engine::Config;
use crate::engine::files::{Sources, rule_files};
use crate::model::Diagnostic;
use crate::model::diagnostic::{Severity, nearest};
use crate::rules::SourceFile;
use crate::rules::yaml::{self, Kind, Node};
use crate::{actions, plugins};

/// Name of a set-up's configuration.
const CONFIG: &str = "paramedic.yaml";

/// Name of the folder beside it that holds files of tests.
const TESTS: &str = "tests";

/// Tests with what they are played with, and every mistake that was found on the way.
#[derive(Debug, Default)]
pub struct Suite {
    /// Rules and playbooks, and the tests that are played with them.
    pub groups: Vec<(Stage, Vec<Case>)>,
    /// Mistakes and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why there is no suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A path is not there.
    #[error("{0} is not there: name a file or a folder with rules or tests")]
    Missing(String),
    /// A file or folder cannot be read.
    #[error("{0}")]
    Read(String),
}

/// Where rules and playbooks are taken from.
#[derive(Clone, Debug, PartialEq)]
struct Source {
    rules: Vec<PathBuf>,
    playbooks: PathBuf,
    plugins: Vec<plugins::Spec>,
}

struct Finder {
    actions: Vec<actions::Spec>,
    sources: Vec<(Source, Option<(Stage, Names)>)>,
    suite: Suite,
    seen: BTreeSet<PathBuf>,
}

impl Suite {
    /// The tests at `paths`; without any, those in the rules of `config` and in `tests/` below `base`, where its
    /// configuration lies. With `fixed`, every path is played with the rules of `config`.
    ///
    /// # Errors
    /// When a path is not there, or cannot be read. Mistakes in files are among the diagnostics instead.
    pub fn find(config: &Config, base: &Path, paths: &[PathBuf], fixed: bool) -> Result<Self, SuiteError> {
        let specs = super::specs().map_err(|error| SuiteError::Read(error.to_string()))?;
        let mut finder =
            Finder { actions: specs, sources: Vec::new(), suite: Self::default(), seen: BTreeSet::new() };
        if paths.is_empty() {
            finder.set_up(config, base)?;
        }
        for path in paths {
            if !path.exists() {
                return Err(SuiteError::Missing(path.display().to_string()));
            }
            if fixed {
                for file in files(path)? {
                    finder.file(config, &file)?;
                }
            } else if path.is_dir() && path.join(CONFIG).exists() {
                finder.set_up(&load(path)?, path)?;
            } else {
                finder.path(config, path)?;
            }
        }
        let mut suite = finder.suite;
        // Of a set that is used twice, the warnings too would be told twice.
        let mut told: Vec<Diagnostic> = Vec::new();
        for diagnostic in std::mem::take(&mut suite.diagnostics) {
            if !told.contains(&diagnostic) {
                told.push(diagnostic);
            }
        }
        suite.diagnostics = told;
        suite.groups.retain(|(_, cases)| !cases.is_empty());
        Ok(suite)
    }

    /// How many tests there are.
    pub fn len(&self) -> usize {
        self.groups.iter().map(|(_, cases)| cases.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The mistakes among the diagnostics.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|it| it.severity == Severity::Error)
    }

    /// Keeps the tests whose name, rule or file holds `text`.
    pub fn filter(&mut self, text: &str) {
        for (_, cases) in &mut self.groups {
            cases.retain(|case| {
                let playbook = case.alone.as_ref().map_or("", |it| &it.playbook);
                [&case.name, &case.rule, &case.file, playbook].iter().any(|it| it.contains(text))
            });
        }
        self.groups.retain(|(_, cases)| !cases.is_empty());
    }
}

impl Finder {
    /// All tests of a set-up.
    fn set_up(&mut self, config: &Config, base: &Path) -> Result<(), SuiteError> {
        let source = Source {
            rules: vec![config.rules.clone()],
            playbooks: config.playbooks.clone(),
            plugins: config.plugins.clone(),
        };
        for file in files(&config.rules)? {
            self.rules(&file, &source)?;
        }
        // Tests of a playbook may lie beside it.
        for file in [files(&base.join(TESTS))?, files(&config.playbooks)?].concat() {
            self.file(config, &file)?;
        }
        Ok(())
    }

    /// Each file at `path` with the set-up that it belongs to, or with `config`.
    fn path(&mut self, config: &Config, path: &Path) -> Result<(), SuiteError> {
        let mut homes: BTreeMap<PathBuf, Config> = BTreeMap::new();
        for file in files(path)? {
            let own = match home(Path::new(&file.path)) {
                Some(home) => match homes.entry(home) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let loaded = load(new.key())?;
                        new.insert(loaded)
                    }
                },
                None => config,
            };
            self.file(own, &file)?;
        }
        Ok(())
    }

    /// A file of tests, or of rules with tests; any other is passed over.
    fn file(&mut self, config: &Config, file: &SourceFile) -> Result<(), SuiteError> {
        let path = PathBuf::from(&file.path);
        let tree = match yaml::read(&file.text) {
            Ok(tree) => tree,
            Err(error) => {
                let mistake = Diagnostic::error("P0101", &file.path, &file.text, error.at, error.message);
                self.suite.diagnostics.push(mistake);
                return Ok(());
            }
        };
        if entry(&tree, "tests").is_some() {
            let dir = path.parent().unwrap_or(Path::new(""));
            let (rules, playbooks) =
                (self.named(file, &tree, "rules", dir), self.named(file, &tree, "playbooks", dir));
            let (Some(rules), Some(playbooks)) = (rules, playbooks) else { return Ok(()) };
            let source = Source {
                rules: if rules.is_empty() { vec![config.rules.clone()] } else { rules },
                playbooks: playbooks.into_iter().next().unwrap_or_else(|| config.playbooks.clone()),
                plugins: config.plugins.clone(),
            };
            return self.rules(file, &source);
        }
        if matches!(entry(&tree, "rules"), Some(Node { kind: Kind::List(_), .. })) {
            let inside = is_within(&path, &config.rules);
            let rules = vec![if inside { config.rules.clone() } else { path }];
            let (playbooks, plugins) = (config.playbooks.clone(), config.plugins.clone());
            return self.rules(file, &Source { rules, playbooks, plugins });
        }
        if let Kind::Map(entries) = &tree.kind
            && let Some((key, _)) = entries.iter().find(|(key, _)| nearest(&key.name, ["tests"]).is_some())
        {
            let text = format!("unknown key `{}`", key.name);
            let mistake = Diagnostic::error("P0107", &file.path, &file.text, key.at.clone(), text);
            self.suite.diagnostics.push(mistake.help("did you mean `tests`?"));
        }
        Ok(())
    }

    /// The paths under `key` of a file of tests, from where it lies; none if one of them is not there.
    fn named(&mut self, file: &SourceFile, tree: &Node, key: &str, dir: &Path) -> Option<Vec<PathBuf>> {
        let Some(node) = entry(tree, key) else { return Some(vec![]) };
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut found = Vec::new();
        for item in items {
            match text_of(item).map(|text| dir.join(text)) {
                Some(path) if path.exists() => found.push(path),
                _ => {
                    let text =
                        format!("`{key}` names files or folders, from where this file lies; this is none");
                    let mistake = Diagnostic::error("P0405", &file.path, &file.text, item.at.clone(), text);
                    self.suite.diagnostics.push(mistake);
                }
            }
        }
        (found.len() == items.len()).then_some(found)
    }

    /// The tests of `file`, played with `source`.
    fn rules(&mut self, file: &SourceFile, source: &Source) -> Result<(), SuiteError> {
        let whole = PathBuf::from(&file.path);
        let whole = whole.canonicalize().unwrap_or(whole);
        if !self.seen.insert(whole) {
            return Ok(());
        }
        let at = match self.sources.iter().position(|(known, _)| known == source) {
            Some(at) => at,
            None => {
                let stage = self.stage(source)?;
                self.sources.push((source.clone(), stage));
                self.sources.len() - 1
            }
        };
        let Some((stage, names)) = self.sources[at].1.clone() else { return Ok(()) };
        let cases = read::cases(file, &names, &mut self.suite.diagnostics);
        self.suite.groups.push((stage, cases));
        Ok(())
    }

    /// Reads and compiles; none if that has mistakes, which are told then.
    fn stage(&mut self, source: &Source) -> Result<Option<(Stage, Names)>, SuiteError> {
        let mut rules = Vec::new();
        for path in &source.rules {
            // Playbooks can be tested before there is any rule.
            rules.extend(files(path)?);
        }
        // One that does not load is told of by `check`; here its actions are unknown.
        let plugins: Vec<actions::Spec> =
            plugins::ask(&source.plugins).into_iter().filter_map(Result::ok).flatten().collect();
        let actions = [self.actions.as_slice(), &plugins].concat();
        let known: Vec<String> = actions.iter().map(|spec| spec.name.clone()).collect();
        let built = Sources::of(rules, &source.playbooks).fitting(actions.clone()).build(&known);
        self.suite.diagnostics.extend(built.diagnostics);
        let (Some(rules), Some(library)) = (built.rules, built.library) else { return Ok(None) };
        let names = Names::of(&rules, &library, &actions);
        Ok(Some((Stage { rules, library, plugins }, names)))
    }
}

/// The configuration of the set-up in `dir`.
fn load(dir: &Path) -> Result<Config, SuiteError> {
    Config::load(&dir.join(CONFIG)).map_err(|error| SuiteError::Read(error.to_string()))
}

/// The folder of the set-up that `path` belongs to.
fn home(path: &Path) -> Option<PathBuf> {
    let whole = path.canonicalize().ok()?;
    let levels = whole.ancestors().take_while(|dir| !dir.join(CONFIG).exists()).count();
    whole.ancestors().nth(levels)?;
    // Told as the user named it, where that can be done.
    let mut short = path.to_path_buf();
    for _ in 0..levels {
        short = match short.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_path_buf(),
            None => return whole.ancestors().nth(levels).map(Path::to_path_buf),
        };
    }
    if short.join(CONFIG).exists() {
        Some(short)
    } else {
        whole.ancestors().nth(levels).map(Path::to_path_buf)
    }
}

fn is_within(path: &Path, dir: &Path) -> bool {
    match (path.canonicalize(), dir.canonicalize()) {
        (Ok(path), Ok(dir)) => path.starts_with(dir),
        _ => false,
    }
}

/// The YAML files at `path`, or that file itself; none if it is not there.
fn files(path: &Path) -> Result<Vec<SourceFile>, SuiteError> {
    rule_files(path).map_err(SuiteError::Read)
}
