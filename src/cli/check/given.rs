//! What the paths are that `check` is given: rules as ever, or playbooks, of which only those are told about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::engine::Config;
use crate::playbook::SourceFile;

/// Deepest folder that is looked into.
const MAX_DEPTH: u32 = 8;

/// The paths, by what they hold.
#[derive(Default)]
pub struct Given {
    /// Rule files and folders of them.
    pub rules: Vec<PathBuf>,
    /// Playbooks and folders of them.
    pub playbooks: Vec<PathBuf>,
}

impl Given {
    /// Sorts `paths`.
    ///
    /// # Errors
    /// When one is not there, or is no file that can be checked.
    pub fn sort(paths: &[PathBuf]) -> Result<Self, String> {
        let mut given = Self::default();
        for path in paths {
            if !path.exists() {
                return Err(format!("{} is not there", path.display()));
            }
            let (rules, playbooks) = (holds(path, &["yaml", "yml"], 0), holds(path, &["rhai"], 0));
            if path.is_file() && !rules && !playbooks {
                return Err(format!(
                    "{} is no rule file, which ends in .yaml or .yml, and no playbook, which ends in .rhai",
                    path.display()
                ));
            }
            if path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
            {
                return Err(format!("{} begins with a dot, so it is never read: rename it", path.display()));
            }
            if playbooks && !rules {
                given.playbooks.push(path.clone())
            } else {
                given.rules.push(path.clone())
            }
        }
        Ok(given)
    }

    /// The folder that the names of the given playbooks begin below: the configured one, if they lie in it.
    ///
    /// # Errors
    /// When they lie in several.
    pub fn root(&self, config: &Config) -> Result<PathBuf, String> {
        let configured = config.playbooks.canonicalize().ok();
        let root = |path: &PathBuf| match (path.canonicalize(), &configured) {
            (Ok(whole), Some(configured)) if whole.starts_with(configured) => config.playbooks.clone(),
            _ if path.is_dir() => path.clone(),
            _ => match path.parent() {
                Some(parent) if parent != Path::new("") => parent.into(),
                _ => PathBuf::from("."),
            },
        };
        let mut roots: Vec<PathBuf> = self.playbooks.iter().map(root).collect();
        roots.dedup();
        match <[PathBuf; 1]>::try_from(roots) {
            Ok([root]) => Ok(root),
            Err(roots) => Err(format!(
                "playbooks of {} folders are given: check those of one folder at a time, as they may import each other",
                roots.len()
            )),
        }
    }

    /// Whether single playbooks are given, and none of them lies in the folder `configured`: what else lies beside them
    /// is nobody's business.
    pub fn alone(&self, configured: &Path) -> bool {
        let inside = |path: &PathBuf| match (path.canonicalize(), configured.canonicalize()) {
            (Ok(path), Ok(configured)) => path.starts_with(configured),
            _ => false,
        };
        !self.playbooks.is_empty() && self.playbooks.iter().all(|path| path.is_file() && !inside(path))
    }

    /// Whether `file` is one of the given playbooks, or lies in a given folder; it need not be one that can be read.
    pub fn covers(&self, file: &str) -> bool {
        let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
        let Ok(file) = whole(Path::new(file)) else { return false };
        self.playbooks.iter().any(|it| whole(it).is_ok_and(|it| file.starts_with(it)))
    }

    /// Those of `files`, playbooks below `root`, that are given or imported by given ones; all if none is given.
    pub fn meant(&self, root: &Path, files: &[SourceFile]) -> BTreeSet<String> {
        let given: Vec<PathBuf> = self.playbooks.iter().filter_map(|it| it.canonicalize().ok()).collect();
        let is_given = |file: &&SourceFile| {
            let path = Path::new(&file.path).canonicalize();
            given.is_empty() || path.is_ok_and(|path| given.iter().any(|it| path.starts_with(it)))
        };
        let mut meant: Vec<&SourceFile> = files.iter().filter(is_given).collect();
        let mut next = 0;
        while let Some(importing) = meant.get(next).copied() {
            let is_named = |file: &&SourceFile| {
                let name = Path::new(&file.path).strip_prefix(root).unwrap_or(Path::new(&file.path));
                importing.text.contains(&format!("\"{}\"", name.with_extension("").display()))
            };
            let new: Vec<&SourceFile> = files.iter().filter(is_named).collect();
            for file in new {
                if !meant.iter().any(|it| it.path == file.path) {
                    meant.push(file);
                }
            }
            next += 1;
        }
        meant.into_iter().map(|file| file.path.clone()).collect()
    }
}

/// Whether `path` is a file that ends so, or a folder with one.
fn holds(path: &Path, extensions: &[&str], depth: u32) -> bool {
    if path.is_file() {
        return path.extension().is_some_and(|e| extensions.iter().any(|it| e == *it));
    }
    let inside = path.read_dir().into_iter().flatten().flatten();
    depth < MAX_DEPTH && inside.into_iter().any(|it| holds(&it.path(), extensions, depth + 1))
}
