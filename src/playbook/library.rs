//! All playbooks of a folder, read at once: every mistake in every file is found, not only the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Playbook;
use super::check::{self, calls, ctx, quiet, reach, values};
use super::header;
use super::program::{File, normalized};
use crate::actions::Spec;
use crate::model::Diagnostic;
use crate::model::diagnostic::{Severity, nearest};

/// A file as it was read from disk.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path as the user is shown it; it begins with the root that [`Library::load`] is given.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The playbooks that can be run, by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    playbooks: BTreeMap<String, Arc<Playbook>>,
    warnings: Vec<Diagnostic>,
}

impl Library {
    /// No playbooks.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Makes playbooks of `files`, all of which lie below the folder `root`. A file with a header or a function `run`
    /// is a playbook, named as its file; any other is there to be imported. `known_actions` are those that exist;
    /// if there is one, a header that names another is a mistake.
    ///
    /// # Errors
    /// Everything that is wrong in any file; then nothing is loaded.
    pub fn load(root: &str, files: &[SourceFile], known_actions: &[String]) -> Result<Self, Vec<Diagnostic>> {
        Self::load_fitting(root, files, known_actions, &[])
    }

    /// The same; calls whose parameters are written out must also fit those of `specs` that they name.
    ///
    /// # Errors
    /// Everything that is wrong in any file; then nothing is loaded.
    pub fn load_fitting(
        root: &str,
        files: &[SourceFile],
        known_actions: &[String],
        specs: &[Spec],
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut loader = Loader { known_actions, specs, ..Loader::default() };
        for file in files {
            loader.add(root, file);
        }
        let names: Vec<String> = loader.files.keys().cloned().collect();
        for name in &names {
            loader.read(name);
        }
        let Loader { playbooks, problems, .. } = loader;
        let (errors, mut warnings): (Vec<_>, Vec<_>) =
            problems.into_iter().partition(|it| it.severity == Severity::Error);
        warnings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        warnings.dedup();
        if errors.is_empty() {
            return Ok(Self { playbooks, warnings });
        }
        let mut all = [errors, warnings].concat();
        all.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        all.dedup();
        Err(all)
    }

    /// The playbook called `name`.
    pub fn get(&self, name: &str) -> Option<Arc<Playbook>> {
        self.playbooks.get(name).cloned()
    }

    /// All of them, by name.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Playbook>> {
        self.playbooks.values()
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.playbooks.keys().cloned().collect()
    }

    /// What is suspicious, but does not stop them.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// What people call the function that is `run` here.
const STARTS: [&str; 6] = ["main", "Run", "start", "execute", "handle", "playbook"];

/// Where the name of a function stands that the script defines.
fn definition(file: &File, name: &str) -> std::ops::Range<usize> {
    let at = file.text.find(&format!("fn {name}")).map(|i| i + 3);
    at.map_or(0..0, |at| at..at + name.len())
}

/// The name of `file` cannot be that of a playbook.
fn unnamed(name: &str, file: &File) -> Diagnostic {
    let text = format!("`{name}` is no name for a playbook: it is of a-z, 0-9, _ and -, at most 64");
    let last = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let better: String = last.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let better: String = better.trim_start_matches(['_', '-']).chars().take(64).collect();
    let help = match better.trim_end_matches('_') {
        "" => "rename the file, such as to `restart.rhai`".into(),
        better => format!("rename the file, such as to `{better}.rhai`"),
    };
    Diagnostic::error("P0205", &file.path, &file.text, 0..0, text).help(help)
}

#[derive(Default)]
struct Loader<'a> {
    known_actions: &'a [String],
    specs: &'a [Spec],
    files: BTreeMap<String, File>,
    playbooks: BTreeMap<String, Arc<Playbook>>,
    problems: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn add(&mut self, root: &str, file: &SourceFile) {
        let below = file.path.strip_prefix(root).unwrap_or(&file.path).trim_start_matches('/');
        let content = File { path: file.path.clone(), text: file.text.clone() };
        match normalized(below) {
            Some(name) => {
                self.files.insert(name, content);
            }
            None => {
                self.problems.push(unnamed(below.trim_end_matches(".rhai"), &content));
            }
        }
    }

    fn read(&mut self, path: &str) {
        let file = self.files[path].clone();
        let ast = match check::parse(&file) {
            Ok(ast) => ast,
            Err(problem) => {
                if header::is_there(&file.text) {
                    self.problems.extend(header::read(&file).1);
                }
                return self.problems.push(*problem);
            }
        };
        self.problems.extend(check::unclosed(&file));
        let first = self.problems.len();
        // What follows does not hinder looking further.
        let (header, problems) = header::read(&file);
        self.problems.extend(calls::check(&file, &ast, &self.files, self.specs));
        self.called(&file, &ast, &header.actions);
        self.problems.extend(ctx::check(&file, &ast, &header));
        self.problems.extend(quiet::check(&file, &ast, &header));
        self.problems.extend(values::check(&file, &ast, &header, self.specs));
        let before = self.problems.len();
        self.problems.extend(
            check::imports(&file, &ast, &self.files).into_iter().filter_map(|it| it.err().map(|it| *it)),
        );
        let has_run = ast.iter_functions().any(|it| it.name == "run");
        if !header::is_there(&file.text) && !has_run {
            return self.no_playbook(&file, &ast);
        }
        self.phases(&file, &ast);
        if !header::is_there(&file.text) {
            let (at, text, help) = header::missing(&file.text);
            self.problem(Diagnostic::error("P0201", &file.path, &file.text, at, text).help(help));
        }
        self.problems.extend(problems);
        for (function, at) in calls::outside(&file, &ast) {
            let text = format!(
                "`{function}` stands outside of all functions, so `run`, `verify` and `rollback` each begin with it"
            );
            let told = Diagnostic::error("P0221", &file.path, &file.text, at, text).warning();
            self.problem(told.help("move it into the function that is to do it"));
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_string();
        self.named(&file, &name);
        if self.problems[before..].iter().any(|it| it.severity == Severity::Error) {
            return;
        }
        match Playbook::link(path, &self.files) {
            Ok(playbook) => {
                // A name that is misspelt must not be told a second time, as one that is never used.
                let sound = !self.problems[first..].iter().any(|it| it.severity == Severity::Error);
                self.actions(&file, &playbook, sound);
                self.playbooks.insert(name, Arc::new(playbook));
            }
            Err(problem) => self.problem(*problem),
        }
    }

    /// A file without header and `run` is there to be imported. It must have something to give.
    fn no_playbook(&mut self, file: &File, ast: &rhai::AST) {
        let help =
            "a playbook begins with `//! What it does.`, `//! ---`, `//! actions: []`, and has `fn run(ctx)`";
        let wrong = |at, text: &str| Diagnostic::error("P0201", &file.path, &file.text, at, text).help(help);
        if ast.statements().is_empty() && !ast.has_functions() {
            return self.problem(wrong(0..0, "the file is empty").warning());
        }
        if let Some((_, at)) = calls::outside(file, ast).into_iter().next().filter(|_| !ast.has_functions()) {
            return self.problem(wrong(at, "nothing carries this out: the file is no playbook"));
        }
        if file.text.trim_start().starts_with("```") {
            return self.problem(wrong(
                0..3,
                "this belongs to a page that shows a script: take out the lines of ```",
            ));
        }
        let run = ast
            .iter_functions()
            .find(|it| it.params.len() == 1 && it.params[0] == "ctx" && STARTS.contains(&it.name));
        if let Some(run) = run {
            let at = definition(file, run.name);
            let text = format!("the file is no playbook: it has no header, and `{}` is not `run`", run.name);
            self.problem(wrong(at, &text).warning());
        }
    }

    fn phases(&mut self, file: &File, ast: &rhai::AST) {
        let takes = |name: &str| {
            ast.iter_functions().filter(|it| it.name == name).map(|it| it.params.len()).collect()
        };
        let run: Vec<usize> = takes("run");
        if run.is_empty() {
            let meant = ast
                .iter_functions()
                .map(|it| it.name)
                .find(|name| STARTS.contains(name) || nearest(name, ["run"]).is_some());
            let (at, help) = match meant {
                Some(name) => (definition(file, name), format!("is `{name}` meant? call it `run`")),
                None => (0..0, "write `fn run(ctx) { … }`: it is where a run begins".into()),
            };
            let text = "the playbook has no function `run`";
            self.problem(Diagnostic::error("P0208", &file.path, &file.text, at, text).help(help));
        }
        for (name, at) in calls::without_way_on(file, ast) {
            let text = format!("`continue_as_new` can be called in `run` alone, not in `{name}`");
            let error = Diagnostic::error("P0217", &file.path, &file.text, at, text);
            self.problem(error.help("only the work itself may be long enough to need a new journal"));
        }
        for name in ["run", "verify", "rollback"] {
            let given: Vec<usize> = takes(name);
            if !given.is_empty() && !given.contains(&1) {
                let text = format!("`{name}` must take one argument, this takes {}", given[0]);
                let error = Diagnostic::error("P0208", &file.path, &file.text, definition(file, name), text);
                self.problem(error.help(format!("write `fn {name}(ctx) {{ … }}`")));
            }
        }
    }

    fn named(&mut self, file: &File, name: &str) {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let rest_fits = name.chars().all(|c| fits(c) || c == '_' || c == '-');
        if !name.starts_with(fits) || !rest_fits || name.len() > 64 {
            self.problem(unnamed(name, file));
        }
        if let Some(other) = self.playbooks.get(name) {
            let text =
                format!("the playbook `{name}` is in {} already: rename one of the two files", other.file);
            self.problem(Diagnostic::error("P0206", &file.path, &file.text, 0..0, text));
        }
    }

    /// Actions that are called by a name that no action has; one that stands in the header, too, is told there.
    fn called(&mut self, file: &File, ast: &rhai::AST, allowed: &[String]) {
        for (action, at) in check::acts(file, ast) {
            if !self.exists(&action) && !allowed.contains(&action) {
                let told = self.no_action(file, &action, at);
                self.problem(told);
            }
        }
    }

    fn exists(&self, action: &str) -> bool {
        self.known_actions.is_empty() || self.known_actions.iter().any(|it| it == action)
    }

    fn no_action(&self, file: &File, action: &str, at: std::ops::Range<usize>) -> Diagnostic {
        let text = format!("there is no action `{action}`");
        let error = Diagnostic::error("P0214", &file.path, &file.text, at, text);
        let known = self.known_actions.iter().map(String::as_str);
        // Most forget the group: `restart` for `kernel.restart`.
        let last = |name: &str| name.rsplit('.').next() == Some(action);
        if action.contains('*') {
            return error.help("name each by itself: nothing stands for several actions");
        }
        if let Some((first, _)) = action.split_once(" - ") {
            let at = header::find(file, first);
            let text = "this is one item, and two are meant";
            let error = Diagnostic::error("P0214", &file.path, &file.text, at, text);
            return error.help("each `- …` of a list stands as far to the right as the first");
        }
        match nearest(action, known.clone()).or_else(|| known.clone().find(|name| last(name))) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help("`paramedic actions` lists those there are"),
        }
    }

    fn actions(&mut self, file: &File, playbook: &Playbook, sound: bool) {
        let texts = playbook.texts(&self.files);
        // A name that is put together could be any of them.
        let sound = sound && !playbook.trees(&self.files).iter().any(reach::is_computed);
        for action in &playbook.actions {
            let at = header::find(file, action);
            if !self.exists(action) {
                let told = self.no_action(file, action, at);
                self.problem(told);
            } else if sound && !texts.contains(action) {
                let text = format!("the header allows `{action}`, but the script never names it");
                let told = Diagnostic::error("P0213", &file.path, &file.text, at, text).warning();
                self.problem(told.help("take it out of `actions:`, or call it"));
            }
        }
        for (action, at) in check::acts(file, &playbook.program.ast) {
            if !playbook.actions.contains(&action) && self.exists(&action) {
                let text = format!("the header does not allow `{action}`, so this call will be refused");
                let help = match nearest(&action, playbook.actions.iter().map(String::as_str)) {
                    Some(near) if self.known_actions.is_empty() => format!("did you mean `{near}`?"),
                    _ => "add it to `actions:` in the header".into(),
                };
                self.problem(
                    Diagnostic::error("P0215", &file.path, &file.text, at, text).warning().help(help),
                );
            }
        }
        for reach in reach::reaches(file, &playbook.program.ast, &self.files) {
            for action in &reach.actions {
                if playbook.actions.contains(action) || !self.exists(action) {
                    continue;
                }
                let text = format!(
                    "`{}` calls `{action}`, which the header does not allow, so that call will be refused",
                    reach.call
                );
                let told =
                    Diagnostic::error("P0215", &file.path, &file.text, reach.at.clone(), text).warning();
                self.problem(told.help("add it to `actions:` in the header"));
            }
        }
    }

    fn problem(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }
}
