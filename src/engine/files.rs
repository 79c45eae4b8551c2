//! Rule files and playbooks from disk to one checked whole, with everything that is wrong with any of them.
//!
//! A file that cannot be read is one more mistake and hides no other. Sizes are looked at before anything is read.

mod fit;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::actions::Spec;
use crate::model::Diagnostic;
use crate::model::diagnostic::Severity;
use crate::playbook::{self, Library};
use crate::rules::{self, RuleSet};

/// Codes of what is wrong with a file as a whole.
pub mod code {
    /// Cannot be read.
    pub const UNREADABLE: &str = "P0001";
    /// Not text in UTF-8.
    pub const NOT_TEXT: &str = "P0002";
    /// A parameter that a playbook does not take as it is, or lacks.
    pub const PARAM: &str = "P0118";
    /// A parameter that no playbook takes.
    pub const PARAM_UNKNOWN: &str = "P0136";
    /// A playbook that no rule names.
    pub const UNUSED: &str = "P0216";
    /// Longer than is read.
    pub const TOO_LONG: &str = crate::rules::code::LIMIT;
}

/// Deepest folder below the one that is given.
const MAX_DEPTH: u32 = 8;

/// Files as they were read.
#[derive(Debug, Default)]
pub struct Sources {
    rules: Vec<rules::SourceFile>,
    playbooks: Vec<playbook::SourceFile>,
    /// The folder that names of playbooks begin below.
    root: PathBuf,
    /// Playbooks that are there, but could not be read; rules are not to be blamed for them.
    unread: Vec<String>,
    problems: Vec<Diagnostic>,
    alone: bool,
    /// Actions whose parameters are known, for playbooks that call them.
    specs: Vec<Spec>,
}

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

impl Sources {
    /// All files below the two directories; missing directories are empty ones.
    pub fn below(rules: &Path, playbooks: &Path) -> Self {
        let mut sources = Self::default();
        sources.add_playbooks(playbooks);
        sources.add_rules(rules);
        sources
    }

    /// Rule files that were read already, and all playbooks below a directory.
    pub fn of(rules: Vec<rules::SourceFile>, playbooks: &Path) -> Self {
        let mut sources = Self { rules, ..Self::default() };
        sources.add_playbooks(playbooks);
        sources
    }

    /// Files that were read before, playbooks below the folder `root`.
    pub fn read_before(
        root: &Path,
        rules: Vec<rules::SourceFile>,
        playbooks: Vec<playbook::SourceFile>,
    ) -> Self {
        Self { rules, playbooks, root: root.into(), ..Self::default() }
    }

    /// The playbooks as they were read.
    pub fn playbook_files(&self) -> &[playbook::SourceFile] {
        &self.playbooks
    }

    /// The folder that names of playbooks begin below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The rule files as they were read.
    pub fn rule_files(&self) -> &[rules::SourceFile] {
        &self.rules
    }

    /// Adds what was found to be wrong before.
    pub fn add_problems(&mut self, problems: Vec<Diagnostic>) {
        self.problems.extend(problems);
    }

    /// Adds the rule files below `path`, or the one that it is.
    pub fn add_rules(&mut self, path: &Path) {
        if !path.exists() {
            let why = "this is not there, so there are no rules from it";
            let missing =
                Diagnostic::error(code::UNREADABLE, &path.to_string_lossy(), "", 0..0, why).warning();
            self.problems.push(missing.help("make the folder, or say with `rules:` where the rules are"));
        }
        for (path, text) in self.read(path, &["yaml", "yml"]) {
            if let Some(text) = text {
                self.rules.push(rules::SourceFile { path, text });
            }
        }
    }

    /// Adds the playbooks below the folder `root`.
    pub fn add_playbooks(&mut self, root: &Path) {
        self.root = root.into();
        for (path, text) in self.read(root, &["rhai"]) {
            match text {
                Some(text) => self.playbooks.push(playbook::SourceFile { path, text }),
                None => self.unread.extend(stem(&path)),
            }
        }
    }

    /// Adds these playbooks, and what they import from the folder `root`, but nothing else that lies there.
    pub fn add_playbook_files(&mut self, root: &Path, files: &[PathBuf]) {
        self.root = root.into();
        let mut open: Vec<PathBuf> = files.to_vec();
        while let Some(path) = open.pop() {
            let name = path.to_string_lossy();
            if self.playbooks.iter().any(|it| it.path == name) {
                continue;
            }
            for (path, text) in self.read(&path, &["rhai"]) {
                let Some(text) = text else {
                    self.unread.extend(stem(&path));
                    continue;
                };
                let imports = text.split("import \"").skip(1).filter_map(|it| it.split_once('"'));
                let imports =
                    imports.map(|(name, _)| root.join(format!("{}.rhai", name.trim_end_matches(".rhai"))));
                open.extend(imports.filter(|it| it.is_file()));
                self.playbooks.push(playbook::SourceFile { path, text });
            }
        }
        self.playbooks.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The same, to be compiled on one thread, as other work goes on beside it.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// The same; calls of these actions are checked as far as their parameters are written out.
    #[must_use]
    pub fn fitting(self, specs: Vec<Spec>) -> Self {
        Self { specs, ..self }
    }

    /// Compiles it all.
    pub fn build(self, known_actions: &[String]) -> Built {
        let Self { rules, playbooks, root, unread, problems, alone, specs } = self;
        let (library, mut diagnostics) =
            match Library::load_fitting(&root.to_string_lossy(), &playbooks, known_actions, &specs) {
                Ok(library) => {
                    let warnings = library.warnings().to_vec();
                    (Some(library).filter(|_| unread.is_empty()), warnings)
                }
                Err(diagnostics) => (None, diagnostics),
            };
        let names = match &library {
            Some(library) => library.names(),
            // With broken playbooks the names still say which exist, so that rules are not blamed for them.
            None => playbooks.iter().filter_map(|f| stem(&f.path)).chain(unread).collect::<Vec<_>>(),
        };
        let compile = if alone { rules::compile_alone } else { rules::compile };
        let compiled = compile(&rules, &rules::Known { playbooks: &names });
        diagnostics.extend(compiled.diagnostics);
        let unread = problems.iter().any(|problem| problem.severity == Severity::Error);
        let mut set = compiled.set.filter(|_| !unread);
        if let Some(compiled) = &set {
            diagnostics.extend(rules::review(compiled, &rules));
            let misfits = library.as_ref().map(|library| fit::check(compiled, library, &rules));
            let misfits = misfits.unwrap_or_default();
            if misfits.iter().any(|misfit| misfit.severity == Severity::Error) {
                set = None;
            }
            diagnostics.extend(misfits);
        }
        let texts = playbooks.iter().map(|file| (file.path.as_str(), file.text.as_str()));
        let texts = texts.chain(rules.iter().map(|file| (file.path.as_str(), file.text.as_str())));
        allow(&mut diagnostics, &texts.collect());
        diagnostics.splice(0..0, problems);
        Built { rules: set, library, diagnostics }
    }

    /// The files below `path` with their text, in order; none for the text where it could not be read.
    fn read(&mut self, path: &Path, extensions: &[&str]) -> Vec<(String, Option<String>)> {
        let files = match list(path, extensions) {
            Ok(files) => files,
            Err((path, why)) => {
                self.problem(&path, code::UNREADABLE, why);
                Vec::new()
            }
        };
        let mut found = Vec::with_capacity(files.len());
        for path in files {
            let text = match text(&path) {
                Ok(text) => Some(text),
                Err(problem) => {
                    self.problems.push(*problem);
                    None
                }
            };
            found.push((path.to_string_lossy().into_owned(), text));
        }
        found
    }

    fn problem(&mut self, path: &Path, code: &str, why: String) {
        self.problems.push(Diagnostic::error(code, &path.to_string_lossy(), "", 0..0, why));
    }
}

/// The rule files below `path`, or the one that it is; none if it is not there.
///
/// # Errors
/// In words, when one cannot be read.
pub fn rule_files(path: &Path) -> Result<Vec<rules::SourceFile>, String> {
    let mut sources = Sources::default();
    sources.add_rules(path);
    match sources.problems.iter().find(|problem| problem.severity == Severity::Error) {
        Some(problem) => Err(problem.to_string()),
        None => Ok(sources.rules),
    }
}

/// Leaves out warnings that a comment allows: `allow P0216` on the line or the one before it, or anywhere in the file
/// where the warning is about all of it.
fn allow(diagnostics: &mut Vec<Diagnostic>, texts: &HashMap<&str, &str>) {
    diagnostics.retain(|it| {
        let (Severity::Warning, Some(text)) = (it.severity, texts.get(it.file.as_str())) else { return true };
        let wanted = format!("allow {}", it.code);
        let comment = |line: &str| {
            line.split_once('#').or_else(|| line.split_once("//")).is_some_and(|(_, it)| it.contains(&wanted))
        };
        let whole = (it.line, it.column, it.length) == (1, 1, 1);
        let (from, n) = if whole { (0, usize::MAX) } else { ((it.line as usize).saturating_sub(2), 2) };
        !text.contains(&wanted) || !text.lines().skip(from).take(n).any(comment)
    });
}

/// The text of `path`.
fn text(path: &Path) -> Result<String, Box<Diagnostic>> {
    let name = path.to_string_lossy();
    let wrong = |code, why| Diagnostic::error(code, &name, "", 0..0, why);
    let unreadable = |error| Box::new(wrong(code::UNREADABLE, format!("the file cannot be read: {error}")));
    let meta = std::fs::metadata(path).map_err(unreadable)?;
    if !meta.is_file() {
        return Err(Box::new(wrong(code::UNREADABLE, "this is no file".into())));
    }
    if meta.len() > rules::MAX_FILE as u64 {
        let limit = rules::MAX_FILE >> 20;
        let why = format!("the file is {} MiB long, the limit is {limit} MiB", meta.len() >> 20);
        return Err(Box::new(wrong(code::TOO_LONG, why).help("split it: all files of a folder are one set")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    String::from_utf8(bytes).map_err(|error| {
        let (good, bytes) = (error.utf8_error().valid_up_to(), error.into_bytes());
        let text = String::from_utf8_lossy(&bytes);
        let wide = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        let why = match bytes.get(good) {
            _ if wide => "the file is UTF-16, not UTF-8".to_owned(),
            _ if bytes.contains(&0) => {
                "the file is no text, but a program, an archive or the like".to_owned()
            }
            Some(byte) => format!("the file is not UTF-8 text: byte {good} is 0x{byte:02x}"),
            None => "the file is not UTF-8 text".to_owned(),
        };
        let end = text[good..].chars().next().map_or(good, |c| good + c.len_utf8());
        let error = Diagnostic::error(code::NOT_TEXT, &name, &text, good..end, why);
        let binary = !wide && bytes.contains(&0);
        Box::new(error.help(if binary { "take it out of the folder" } else { "save it as UTF-8" }))
    })
}

fn stem(path: &str) -> Option<String> {
    Path::new(path).file_stem().map(|s| s.to_string_lossy().into_owned())
}

/// All files below `path` with one of the extensions, in order; `path` itself if it is a file. What is missing is
/// empty.
pub fn list(path: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, (PathBuf, String)> {
    if path.is_file() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    let mut open = vec![(path.to_path_buf(), 0)];
    while let Some((dir, depth)) = open.pop() {
        let unreadable = |error| (dir.clone(), format!("the folder cannot be read: {error}"));
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(error)),
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let (path, name) = (entry.path(), entry.file_name());
            // Hidden entries are editors' swap files and the `..data` links of ConfigMaps.
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                if depth < MAX_DEPTH {
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
