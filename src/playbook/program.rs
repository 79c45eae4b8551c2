//! A playbook ready to run: its syntax tree and the modules it imports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rhai::{AST, Module, Shared};

use super::burst::{self, State};
use super::check;
use super::engine;
use super::failure;
use crate::model::Diagnostic;

/// What `import` finds, by its path below the playbooks' folder without `.rhai`.
pub type Modules = BTreeMap<String, Shared<Module>>;

/// A file of the playbooks' folder.
#[derive(Clone, Debug)]
pub struct File {
    /// As the user is shown it.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// A script ready to run; cheap to clone.
#[derive(Clone, Debug)]
pub struct Program {
    /// The script itself.
    pub ast: AST,
    /// What it imports, directly or not.
    pub modules: Arc<Modules>,
}

/// `path` as `import` means it: below the playbooks' folder, forward slashes, with or without `.rhai`. None if it
/// leads anywhere else.
pub fn normalized(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rhai").unwrap_or(path);
    let fits = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    };
    path.split('/').all(fits).then(|| path.to_string())
}

impl Program {
    /// Makes `name`, one of `files`, ready, with all that it imports; also says which files those are.
    ///
    /// # Errors
    /// The first file that is missing, does not parse, imports itself, or fails while it is read.
    pub fn link(
        name: &str,
        files: &BTreeMap<String, File>,
    ) -> Result<(Self, BTreeSet<String>), Box<Diagnostic>> {
        let mut linker = Linker { files, modules: Modules::new(), open: Vec::new() };
        let ast = linker.tree(name)?;
        let used = linker.modules.keys().cloned().collect();
        Ok((Self { ast, modules: Arc::new(linker.modules) }, used))
    }
}

struct Linker<'a> {
    files: &'a BTreeMap<String, File>,
    modules: Modules,
    /// From the playbook down to the file being read: what must not be imported again.
    open: Vec<String>,
}

impl Linker<'_> {
    fn tree(&mut self, name: &str) -> Result<AST, Box<Diagnostic>> {
        let file = &self.files[name];
        let mut ast = check::parse(file)?;
        ast.set_source(&file.path);
        self.open.push(name.into());
        for import in check::imports(file, &ast, self.files) {
            let import = import?;
            if self.open.contains(&import.name) {
                let text =
                    format!("`{}` imports itself: {} → {}", import.name, self.open.join(" → "), import.name);
                let error = Diagnostic::error("P0210", &file.path, &file.text, import.at, text);
                let help = "put what both need into a third file, which imports neither";
                return Err(Box::new(error.help(help)));
            }
            if !self.modules.contains_key(&import.name) {
                let module = self.module(&import.name)?;
                self.modules.insert(import.name, module);
            }
        }
        self.open.pop();
        Ok(ast)
    }

    fn module(&mut self, name: &str) -> Result<Shared<Module>, Box<Diagnostic>> {
        let ast = self.tree(name)?;
        let file = &self.files[name];
        let state = State::reading(Arc::new(self.modules.clone()));
        let (read, state) = burst::with(state, || engine::module(&ast));
        let wrong = |text: String| {
            let help = "the top level of an imported file may compute constants, nothing else";
            Err(Box::new(Diagnostic::error("P0211", &file.path, &file.text, 0..0, text).help(help)))
        };
        match (state.end, read) {
            (Some(burst::End::Failed(failure)), _) => wrong(failure.message),
            (_, Some(Ok(mut module))) => {
                module.set_id(file.path.as_str());
                Ok(module.into())
            }
            (_, Some(Err(error))) => wrong(failure::uncaught(&error, &file.path).message),
            (_, None) => wrong("reading it broke the interpreter".into()),
        }
    }
}
