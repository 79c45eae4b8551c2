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
use super::good::{Good, gone};
use super::metrics::ResultLabel;
use crate::actions::Alerts;
use crate::model::alert::Level;
use crate::model::diagnostic::Severity;
use crate::model::{Diagnostic, Event, Time, Topic};
use crate::playbook::Library;
use crate::rules::RuleSet;
use crate::store::Write;
use crate::tasks::live::Loaded;
use crate::tasks::lock;

/// How often the files are looked at; a save is live well within a second.
const POLL: Duration = Duration::from_millis(250);

/// The alert that files on disk are not what is in force.
const REFUSED: &str = "files/refused";

/// How often the files are read again in one reload because they were saved meanwhile.
const TRIES: u32 = 5;

/// How far a reload gives way to events.
const NICE: i32 = 15;

/// What the last look at the files came to.
#[derive(Default)]
pub struct State {
    seen: Mutex<Stamp>,
    last: Mutex<Report>,
    /// Hash of the good set that is kept in the store.
    kept: Mutex<String>,
    /// One reload at a time, from reading to swapping.
    turn: Mutex<()>,
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

impl Report {
    /// Why what is on disk is not in force, in words; none if it is.
    pub fn stale(&self) -> Option<String> {
        self.refused_at?;
        let errors = || self.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let n = errors().count();
        let since = self.loaded_at.map(|at| format!(" of {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
        let first = errors().next().map(|it| {
            let place = if it.line > 0 { format!(":{}:{}", it.line, it.column) } else { String::new() };
            format!(" The first: {}{place}: {}", it.file, it.message)
        });
        Some(format!(
            "The files of rules and playbooks have {n} mistake{}, so the last good set{} stays in force until they are \
             mended; `paramedic check` lists all.{}",
            if n == 1 { "" } else { "s" },
            since.unwrap_or_default(),
            first.unwrap_or_default()
        ))
    }
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
    /// Remembers the first load, of files that had this stamp before they were read, and the hash of the good set that
    /// an earlier life kept. What is in force is so since `at`.
    pub(super) fn loaded(&self, stamp: Stamp, diagnostics: Vec<Diagnostic>, kept: String, at: Time) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        self.set(Report { loaded_at: Some(at), diagnostics, ..Report::default() });
    }

    pub(super) fn kept(&self) -> &Mutex<String> {
        &self.kept
    }

    /// What the last load came to.
    pub fn report(&self) -> Report {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, report: Report) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    fn is_seen(&self, now: &Stamp) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == *now
    }

    fn saw(&self, stamp: Stamp) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
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
                if !engine.0.reload.is_seen(&stamp(engine.dirs())) {
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

    /// Reads all files and swaps in what they say, if every one is good; otherwise nothing changes. Answers the rules in
    /// force after that, and how it went. Blocks, also while another reload is under way: they take turns, so what was
    /// read last is what stays.
    pub fn reload(&self) -> (Arc<RuleSet>, Report) {
        let _turn = self.0.reload.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tries = 0;
        let (stamp, good, built, now) = loop {
            tries += 1;
            let before = stamp(self.dirs());
            let now = self.0.clock.now();
            let (good, built) = self.build(now);
            // What was saved while it was read may be half in it. Who saves without end is waited for by the next look.
            if tries >= TRIES || stamp(self.dirs()) == before {
                break (before, good, built, now);
            }
        };
        self.0.reload.saw(stamp);
        let rules = &self.0.config.rules;
        let lost = !rules.exists() && !self.rule_set().rules().is_empty();
        let report = match built {
            built if lost => {
                let mistakes = built.diagnostics.into_iter().filter(|d| d.severity == Severity::Error);
                self.refuse([gone(rules)].into_iter().chain(mistakes).collect(), now)
            }
            Built { rules: Some(rules), library: Some(library), diagnostics } => {
                let report = self.swap(rules, library, diagnostics, now);
                self.keep_good(&good);
                report
            }
            built => self.refuse(built.diagnostics, now),
        };
        self.0.reload.set(report.clone());
        (self.rule_set(), report)
    }

    fn dirs(&self) -> [&Path; 2] {
        [self.0.config.rules.as_path(), self.0.config.playbooks.as_path()]
    }

    /// The files as they are now, and what they come to.
    fn build(&self, now: Time) -> (Good, Built) {
        let specs = self.0.actions.list();
        let known: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        let [rules, playbooks] = self.dirs();
        let sources = Sources::below(rules, playbooks).alone().fitting(specs);
        let good = Good::of(&sources, now);
        fail::fail_point!("reload");
        // On a thread of its own, as a thread that gives way to others does so for good.
        let built = std::thread::scope(|scope| {
            let build = || {
                rustix::process::setpriority_process(None, NICE).ok();
                sources.build(&known)
            };
            scope.spawn(build).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        (good, built)
    }

    fn swap(&self, rules: RuleSet, library: Library, diagnostics: Vec<Diagnostic>, now: Time) -> Report {
        let rules = Arc::new(rules);
        // On its way before anything is decided by them, and in order: so it is there when an explanation wants it.
        let source = Write::Source { hash: rules.hash().into(), text: rules.pin() };
        let kept = self.0.store.commit(vec![source]);
        self.aside(async move {
            if let Err(error) = kept.await {
                tracing::warn!("the rules could not be written down for later explanations: {error}");
            }
        });
        let old = {
            // Nothing is begun while it is swapped, and nothing under the old rules after that.
            let _turn = lock(&self.0.parts.turn);
            self.0.parts.live.swap(Loaded { rules: rules.clone(), library: Arc::new(library) })
        };
        let changes = old.rules.diff(&rules);
        self.0.tasks.withdraw();
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
        self.files_are_good();
        report
    }

    /// The files are what is in force: an alert that says otherwise is over.
    pub(super) fn files_are_good(&self) {
        let resolved = self.0.parts.alerts.resolve(REFUSED.into());
        self.aside(async move {
            if let Err(failure) = resolved.await {
                tracing::warn!("the alert about broken files stays open: {failure}");
            }
        });
    }

    /// Keeps what is in force, as the files have mistakes, and says so. At the start this is what an earlier life left.
    pub(super) fn stay(&self, diagnostics: Vec<Diagnostic>, now: Time) {
        let report = self.refuse(diagnostics, now);
        self.0.reload.set(report);
    }

    fn refuse(&self, diagnostics: Vec<Diagnostic>, now: Time) -> Report {
        self.0.metrics.reloads.get_or_create(&ResultLabel { result: "failed" }).inc();
        // A line of the log is one line.
        for line in summary(&diagnostics).lines().filter(|line| !line.is_empty()) {
            tracing::error!("the last good rules and playbooks stay: {line}");
        }
        let before = self.0.reload.report();
        let again = before.refused_at.is_some();
        let report = Report { refused_at: Some(now), diagnostics, ..before };
        self.say("rules.refused", &report, now);
        if let Some(message) = report.stale() {
            let title = "Rules and playbooks on disk have mistakes".to_owned();
            // Somebody who saves one mistake after the other is at it already: the channels tell the first.
            let alerts: &dyn Alerts = if again { &**self.0.alerts.list() } else { &*self.0.parts.alerts };
            let raised = alerts.raise(REFUSED.into(), Level::Warning, title, message, None, None);
            self.aside(async move {
                if let Err(failure) = raised.await {
                    tracing::warn!("broken files could not be put on the alert list: {failure}");
                }
            });
        }
        report
    }

    /// Does something small that nobody waits for.
    pub(super) fn aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tracker.spawn_on(work, &self.0.inbox.runtime);
    }

    fn say(&self, topic: &str, report: &Report, now: Time) {
        if let Ok(topic) = Topic::try_new(topic) {
            let id = uuid::Uuid::now_v7().to_string();
            let data = serde_json::to_value(report).unwrap_or_default();
            self.publish(Event::new(id, topic, "paramedic", now, data));
        }
    }
}
