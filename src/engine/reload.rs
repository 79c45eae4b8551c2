//! Rules and playbooks from disk: read, checked as a whole, and swapped in only if every file is good.
//!
//! Files are looked at four times a second by name, time, size and inode. That sees every way in which editors and
//! Kubernetes replace a file (rename over it, a swapped `..data` link, a network file system), where notifications
//! miss some, and costs a `stat` a file.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::Engine;
use super::metrics::ResultLabel;
use crate::model::diagnostic::Severity;
use crate::model::{Diagnostic, Event, Time, Topic};
use crate::playbook::{self, Library};
use crate::rules::{self, RuleSet, SourceFile};

/// How often the files are looked at; a save is live well within a second.
const POLL: Duration = Duration::from_millis(250);

/// What the last look at the files came to.
#[derive(Default)]
pub struct State {
    seen: Mutex<Stamp>,
    last: Mutex<Report>,
}

/// What `/api/rules` says of the last load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// When the set that is live was loaded.
    pub loaded_at: Option<Time>,
    /// When a set was refused last, if it was after that.
    pub refused_at: Option<Time>,
    /// Mistakes and warnings of the last load.
    pub diagnostics: Vec<Diagnostic>,
    /// Rules that the last change added.
    pub added: Vec<String>,
    /// Rules that the last change removed.
    pub removed: Vec<String>,
    /// Rules that the last change altered.
    pub changed: Vec<String>,
}

/// By file: modification time, size, inode.
type Stamp = BTreeMap<PathBuf, (i64, i64, u64, u64)>;

/// Everything that was read, good or not.
pub struct Built {
    /// The rules, if every file is good.
    pub rules: Option<RuleSet>,
    /// The playbooks, if every file is good.
    pub library: Option<Library>,
    /// All mistakes and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

impl Built {
    /// The mistakes among the diagnostics.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }
}

/// One line and every mistake below it.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let mut text = format!("rules and playbooks have {errors} mistake{}", if errors == 1 { "" } else { "s" });
    for diagnostic in diagnostics {
        text.push_str("\n\n");
        text.push_str(&diagnostic.to_string());
    }
    text
}

/// Reads and compiles everything in the two directories; missing directories are empty ones.
///
/// # Errors
/// In words, when a directory or file cannot be read.
pub fn build(rules_dir: &Path, playbooks_dir: &Path, known_actions: &[String]) -> Result<Built, String> {
    build_of(&files(rules_dir, &["yaml", "yml"])?, playbooks_dir, known_actions)
}

/// The same with rule files that were read already.
///
/// # Errors
/// In words, when the directory or a file of playbooks cannot be read.
pub fn build_of(
    rule_files: &[SourceFile],
    playbooks_dir: &Path,
    known_actions: &[String],
) -> Result<Built, String> {
    let playbook_files: Vec<playbook::SourceFile> = read(playbooks_dir, &["rhai"])?
        .into_iter()
        .map(|(path, text)| playbook::SourceFile { path, text })
        .collect();
    let root = playbooks_dir.to_string_lossy();
    let (library, mut diagnostics) = match Library::load(&root, &playbook_files, known_actions) {
        Ok(library) => {
            let warnings = library.warnings().to_vec();
            (Some(library), warnings)
        }
        Err(diagnostics) => (None, diagnostics),
    };
    let names = match &library {
        Some(library) => library.names(),
        // With broken playbooks the names still say which exist, so that rules are not blamed for them.
        None => playbook_files.iter().filter_map(|f| stem(&f.path)).collect::<Vec<_>>(),
    };
    let compiled = rules::compile(rule_files, &rules::Known { playbooks: &names });
    diagnostics.extend(compiled.diagnostics);
    Ok(Built { rules: compiled.set, library, diagnostics })
}

/// The file at `path`, or all files below it with one of the extensions, in order of path; none if it is not there.
///
/// # Errors
/// In words, when it cannot be read.
pub fn files(path: &Path, extensions: &[&str]) -> Result<Vec<SourceFile>, String> {
    Ok(read(path, extensions)?.into_iter().map(|(path, text)| SourceFile { path, text }).collect())
}

fn stem(path: &str) -> Option<String> {
    Path::new(path).file_stem().map(|s| s.to_string_lossy().into_owned())
}

/// All files below `dir` with one of the extensions, as (path, text), in order of path.
fn read(dir: &Path, extensions: &[&str]) -> Result<Vec<(String, String)>, String> {
    let mut files = Vec::new();
    for path in list(dir, extensions)? {
        let size = std::fs::metadata(&path).map(|m| m.len()).unwrap_or_default();
        if size > rules::MAX_FILE as u64 {
            let limit = rules::MAX_FILE >> 20;
            return Err(format!("{} is {} MiB, the limit is {limit} MiB", path.display(), size >> 20));
        }
        let bytes = std::fs::read(&path).map_err(|e| format!("failed to read {}: {e}", path.display()))?;
        let text = String::from_utf8(bytes).map_err(|e| {
            format!("{} is not UTF-8 text (byte {})", path.display(), e.utf8_error().valid_up_to())
        })?;
        files.push((path.to_string_lossy().into_owned(), text));
    }
    Ok(files)
}

fn list(dir: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, String> {
    if dir.is_file() {
        return Ok(vec![dir.to_path_buf()]);
    }
    let mut found = Vec::new();
    let mut open = vec![(dir.to_path_buf(), 0)];
    while let Some((dir, depth)) = open.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("failed to read {}: {error}", dir.display())),
        };
        for entry in entries {
            let entry = entry.map_err(|e| format!("failed to read {}: {e}", dir.display()))?;
            let (path, name) = (entry.path(), entry.file_name());
            // Hidden entries are editors' swap files and the `..data` links of ConfigMaps.
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                if depth < 8 {
                    open.push((path, depth + 1));
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn stamp(dirs: [&Path; 2]) -> Stamp {
    let mut stamp = Stamp::new();
    for path in dirs.iter().flat_map(|dir| list(dir, &["yaml", "yml", "rhai"]).unwrap_or_default()) {
        if let Ok(meta) = std::fs::metadata(&path) {
            stamp.insert(path, (meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()));
        }
    }
    stamp
}

impl State {
    /// Remembers the first load.
    pub fn loaded(&self, engine_dirs: [&Path; 2], diagnostics: Vec<Diagnostic>, now: Time) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp(engine_dirs);
        self.set(Report { loaded_at: Some(now), diagnostics, ..Report::default() });
    }

    /// What the last load came to.
    pub fn report(&self) -> Report {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, report: Report) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    fn moved_on(&self, now: Stamp) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != now;
        *seen = now;
        changed
    }
}

impl Engine {
    /// Looks for changed files until the engine stops.
    pub(super) async fn watch_files(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.0.stop.cancelled() => return,
            }
            let engine = self.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let dirs = [engine.0.config.rules.as_path(), engine.0.config.playbooks.as_path()];
                if engine.0.reload.moved_on(stamp(dirs)) {
                    engine.reload();
                }
            });
            if looked.await.is_err() {
                tracing::error!("the look at changed files ended badly; trying again");
            }
        }
    }

    /// Reads all files and swaps in what they say, if every one is good; otherwise nothing changes. Blocks.
    pub fn reload(&self) -> Report {
        let known: Vec<String> = self.0.actions.list().iter().map(|spec| spec.name.clone()).collect();
        let now = self.0.clock.now();
        let built = build(&self.0.config.rules, &self.0.config.playbooks, &known);
        let report = match built {
            Ok(Built { rules: Some(rules), library: Some(library), diagnostics }) => {
                self.swap(rules, library, diagnostics, now)
            }
            Ok(built) => self.refuse(built.diagnostics, now),
            Err(why) => {
                let at = self.0.config.rules.to_string_lossy().into_owned();
                self.refuse(vec![Diagnostic::error("P0001", &at, "", 0..0, why)], now)
            }
        };
        self.0.reload.set(report.clone());
        report
    }

    fn swap(&self, rules: RuleSet, library: Library, diagnostics: Vec<Diagnostic>, now: Time) -> Report {
        let rules = Arc::new(rules);
        *self.0.parts.library.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(library);
        let old = {
            let mut live = self.0.rules.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *live, rules.clone())
        };
        let changes = old.diff(&rules);
        self.0.metrics.reloads.get_or_create(&ResultLabel { result: "ok" }).inc();
        self.0.metrics.rules.set(rules.rules().len() as i64);
        tracing::info!(
            rules = rules.rules().len(),
            added = ?changes.added,
            removed = ?changes.removed,
            changed = ?changes.changed,
            "rules and playbooks reloaded"
        );
        let report = Report {
            loaded_at: Some(now),
            refused_at: None,
            diagnostics,
            added: changes.added,
            removed: changes.removed,
            changed: changes.changed,
        };
        self.say("rules.reloaded", &report, now);
        report
    }

    fn refuse(&self, diagnostics: Vec<Diagnostic>, now: Time) -> Report {
        self.0.metrics.reloads.get_or_create(&ResultLabel { result: "failed" }).inc();
        tracing::error!("the last good rules and playbooks stay: {}", summary(&diagnostics));
        let report = Report { refused_at: Some(now), diagnostics, ..self.0.reload.report() };
        self.say("rules.refused", &report, now);
        report
    }

    fn say(&self, topic: &str, report: &Report, now: Time) {
        if let Ok(topic) = Topic::try_new(topic) {
            let id = uuid::Uuid::now_v7().to_string();
            let data = serde_json::to_value(report).unwrap_or_default();
            self.publish(Event::new(id, topic, "paramedic", now, data));
        }
    }
}
