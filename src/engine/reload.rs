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
use super::files::{Built, Sources, list};
use super::metrics::ResultLabel;
use crate::model::diagnostic::Severity;
use crate::model::{Diagnostic, Event, Time, Topic};
use crate::playbook::Library;
use crate::rules::RuleSet;
use crate::store::Write;

/// How often the files are looked at; a save is live well within a second.
const POLL: Duration = Duration::from_millis(250);

/// How far a reload gives way to events.
const NICE: i32 = 15;

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
pub type Stamp = BTreeMap<PathBuf, (i64, i64, u64, u64)>;

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

/// How the files below both directories stand.
pub fn stamp(dirs: [&Path; 2]) -> Stamp {
    let mut stamp = Stamp::new();
    for path in dirs.iter().flat_map(|dir| list(dir, &["yaml", "yml", "rhai"]).unwrap_or_default()) {
        if let Ok(meta) = std::fs::metadata(&path) {
            stamp.insert(path, (meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()));
        }
    }
    stamp
}

impl State {
    /// Remembers the first load, of files that had this stamp before they were read.
    pub fn loaded(&self, stamp: Stamp, diagnostics: Vec<Diagnostic>, now: Time) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
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

    /// Looks after plugins until the engine stops; when one brings other actions, playbooks are checked against them.
    pub(super) async fn watch_plugins(self) {
        let engine = self.clone();
        let changed = move || {
            let engine = engine.clone();
            drop(tokio::task::spawn_blocking(move || engine.reload()));
        };
        self.0.plugins.clone().watch(self.0.stop.clone(), changed).await;
    }

    /// Reads all files and swaps in what they say, if every one is good; otherwise nothing changes. Blocks.
    pub fn reload(&self) -> Report {
        let specs = self.0.actions.list();
        let known: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        let now = self.0.clock.now();
        let (rules, playbooks) = (&self.0.config.rules, &self.0.config.playbooks);
        // On a thread of its own, as a thread that gives way to others does so for good.
        let built = std::thread::scope(|scope| {
            let build = || {
                rustix::process::setpriority_process(None, NICE).ok();
                Sources::below(rules, playbooks).alone().fitting(specs).build(&known)
            };
            scope.spawn(build).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let gone = !rules.exists() && !self.rule_set().rules().is_empty();
        let report = match built {
            built if gone => {
                let why = "the rules are gone from here, so those that are live stay";
                let gone = Diagnostic::error("P0001", &rules.to_string_lossy(), "", 0..0, why);
                let help = "put them back, or an empty folder if there are to be none";
                let mistakes = built.diagnostics.into_iter().filter(|d| d.severity == Severity::Error);
                self.refuse([gone.help(help)].into_iter().chain(mistakes).collect(), now)
            }
            Built { rules: Some(rules), library: Some(library), diagnostics } => {
                self.swap(rules, library, diagnostics, now)
            }
            built => self.refuse(built.diagnostics, now),
        };
        self.0.reload.set(report.clone());
        report
    }

    fn swap(&self, rules: RuleSet, library: Library, diagnostics: Vec<Diagnostic>, now: Time) -> Report {
        let rules = Arc::new(rules);
        // On its way before anything is decided by them, and in order: so it is there when an explanation wants it.
        let source = Write::Source { hash: rules.hash().into(), text: rules.pin() };
        let kept = self.0.store.commit(vec![source]);
        self.0.tracker.spawn_on(
            async move {
                if let Err(error) = kept.await {
                    tracing::warn!("the rules could not be written down for later explanations: {error}");
                }
            },
            &self.0.alerts.inbox.runtime,
        );
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
