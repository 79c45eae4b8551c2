//! What can be said of a script without running it: does it parse, what does it import and name, and, below, whether its
//! calls, their arguments and what it reads of `ctx` make sense, with advice in the words of people who make such slips.
//!
//! What cannot be read stands in [`syntax`], what is known of values and done with them in [`values`].

mod arguments;
pub(super) mod calls;
pub(super) mod ctx;
mod fit;
mod literal;
pub(super) mod quiet;
pub(super) mod reach;
mod syntax;
pub(super) mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use self::syntax::{advice, slip, tokens};
use self::values::{known, scope, through};
use super::program::{File, normalized};
use super::{engine, header};
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;

/// An import of another file.
pub struct Import {
    /// Which, as [`normalized`].
    pub name: String,
    /// Where it stands in the importing text.
    pub at: Range<usize>,
}

/// The syntax tree of `file`.
///
/// # Errors
/// When it is not Rhai.
pub fn parse(file: &File) -> Result<AST, Box<Diagnostic>> {
    engine::shared().compile(&file.text).map_err(|error| {
        let kind = error.err_type();
        let stopped = range(&file.text, error.position());
        let (at, text, help) = match slip::find(kind, &file.text, stopped.start) {
            Some(slip) => (slip.at.unwrap_or(stopped), slip.text, Some(slip.help)),
            None => (stopped.clone(), None, advice::advice(kind, &file.text, stopped.start)),
        };
        let text = text.unwrap_or_else(|| advice::words(kind, &file.text));
        let error = Diagnostic::error("P0207", &file.path, &file.text, at, text);
        Box::new(match help {
            Some(help) => error.help(help),
            None => error,
        })
    })
}

/// A comment that does not end, which the parser takes for the end of the file.
pub fn unclosed(file: &File) -> Option<Diagnostic> {
    let open = if file.text.contains("/*") { tokens::Script::read(&file.text).open } else { None };
    let at = open.filter(|at| file.text[at.clone()].starts_with("/*"))?;
    let text = "this comment does not end, so nothing below it counts";
    Some(Diagnostic::error("P0207", &file.path, &file.text, at, text).help("end it with `*/`"))
}

/// What `ast`, the tree of `file`, imports.
pub fn imports(
    file: &File,
    ast: &AST,
    files: &BTreeMap<String, File>,
) -> Vec<Result<Import, Box<Diagnostic>>> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, position))) = path.last() {
            found.push(one_import(file, &import.0, *position, files));
        }
        true
    });
    found
}

fn one_import(
    file: &File,
    path: &Expr,
    position: Position,
    files: &BTreeMap<String, File>,
) -> Result<Import, Box<Diagnostic>> {
    let wrong = |at: Position, text: String, help: Option<String>| {
        let error = Diagnostic::error("P0209", &file.path, &file.text, range(&file.text, at), text);
        Err(Box::new(match help {
            Some(help) => error.help(help),
            None => error,
        }))
    };
    let Expr::StringConstant(path, at) = path else {
        let text =
            "the file to import must be written as plain text, so that it can be kept with the playbook";
        return wrong(position, text.into(), None);
    };
    let Some(name) = normalized(path) else {
        let help = "name a file below the playbooks' folder, such as \"lib/kernels\"";
        return wrong(*at, format!("`{path}` leads outside of the playbooks' folder"), Some(help.into()));
    };
    if !files.contains_key(&name) {
        let last = |it: &&str| it.rsplit('/').next() == Some(name.as_str());
        let names = || files.keys().map(String::as_str);
        let near = nearest(&name, names()).or_else(|| names().find(last));
        let inside: Vec<String> =
            names().filter(|it| it.starts_with(&format!("{name}/"))).map(|it| format!("\"{it}\"")).collect();
        let help = match near {
            Some(near) => Some(format!("did you mean \"{near}\"?")),
            None if !inside.is_empty() => Some(format!("it is a folder: there are {}", inside.join(", "))),
            None => Some(format!("write the file {name}.rhai, or name one that is there")),
        };
        return wrong(*at, format!("there is no file `{name}.rhai` in the playbooks' folder"), help);
    }
    Ok(Import { name, at: range(&file.text, *at) })
}

/// Actions that `act` and `all` are called with by name, and where; a name may stand in a variable or a constant.
pub fn acts(file: &File, ast: &AST) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    let mut look = |call: &FnCallExpr| {
        for (name, _) in fit::wishes(call) {
            if let Expr::StringConstant(action, at) = name {
                let one = (action.to_string(), range(&file.text, *at));
                if !found.contains(&one) {
                    found.push(one);
                }
            }
        }
    };
    each_call(ast, &mut |call, _| look(call));
    let (header, around) = (header::Header::default(), scope::Surroundings::of(ast));
    for function in ast.iter_functions() {
        let statements = body(ast, function.name, function.params.len());
        let known = known::Knowledge::new(&header, &[], &around, &statements, &function.params, None);
        each(&statements, &mut |path| {
            if let Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) =
                path.last()
                && matches!(call.name.as_str(), "act" | "all")
                && call.namespace.is_empty()
                && !around.defines(&call.name)
            {
                look(&through::filled(&known, call).0);
            }
        });
    }
    found
}

/// Every text in the script, among them every action it can name.
pub fn texts(ast: &AST) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::StringConstant(text, _))) = path.last() {
            found.insert(text.to_string());
        }
        true
    });
    found
}

/// The statements of the function `name` of `n` arguments.
fn body(ast: &AST, name: &str, n: usize) -> Vec<Stmt> {
    let mut alone = ast.clone_functions_only();
    alone.retain_functions(|_, _, it, arguments| it == name && arguments == n);
    let mut found = Vec::new();
    alone.walk(&mut |path: &[ASTNode]| {
        if let [ASTNode::Stmt(statement)] = path {
            found.push((*statement).clone());
        }
        true
    });
    found
}

/// Shows every node of `statements` to `look`.
fn each(statements: &[Stmt], look: &mut dyn FnMut(&[ASTNode])) {
    for statement in statements {
        statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            look(path);
            true
        });
    }
}

/// Everything that is a variable somewhere in the script.
fn variables(ast: &AST) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = ast
        .iter_functions()
        .flat_map(|it| it.params.iter().map(ToString::to_string).collect::<Vec<_>>())
        .collect();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Var(it, ..))) = path.last() {
            found.insert(it.0.name.to_string());
        }
        if let Some(ASTNode::Stmt(Stmt::For(it, _))) = path.last() {
            found.insert(it.0.name.to_string());
        }
        true
    });
    found
}

/// Shows every call of a function to `look`, those of methods not among them.
pub fn each_call(ast: &AST, look: &mut dyn FnMut(&FnCallExpr, Position)) {
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(
            ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position)),
        ) = path.last()
        {
            look(call, *position);
        }
        true
    });
}

/// The bytes of `text` that stand at `position`: to the end of the word there, or one character.
pub fn range(text: &str, position: Position) -> Range<usize> {
    let Some(line) = position.line() else { return 0..0 };
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let column = position.position().unwrap_or(1).saturating_sub(1);
    let at = text[start..].char_indices().nth(column).map_or(text.len(), |(i, _)| start + i);
    let rest = &text[at..];
    let word = match rest.chars().next() {
        Some('"') => rest[1..].find(['"', '\n']).map_or(1, |i| i + 2),
        _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()).max(1),
    };
    at..(at + word).min(text.len())
}
