//! Which actions a call of an imported function can come to, through the files that those import in turn.
//!
//! Looks only at names that are written out; what is computed is judged when it is called.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::literal::{items, text};
use super::{each_call, fit, parse, range};
use crate::playbook::program::{File, normalized};

/// A function of a file, by name and number of arguments.
type Function = (String, String, usize);

/// A call of an imported function, as it is written, with the actions that it can come to.
pub struct Reach {
    /// Such as `kernels::is_well`.
    pub call: String,
    /// What it calls.
    pub actions: BTreeSet<String>,
    /// Where the call stands.
    pub at: std::ops::Range<usize>,
}

/// Every call of an imported function in `file`, one of `files`.
pub fn reaches(file: &File, ast: &AST, files: &BTreeMap<String, File>) -> Vec<Reach> {
    let mut trees = Trees { files, read: BTreeMap::new() };
    let aliases = aliases(ast);
    let mut calls: Vec<(FnCallExpr, Position)> = Vec::new();
    each_call(ast, &mut |call, at| {
        if !call.namespace.is_empty() {
            calls.push((call.clone(), at));
        }
    });
    let mut found = Vec::new();
    for (call, at) in calls {
        let [module] = call.namespace.path.as_slice() else { continue };
        let Some(imported) = aliases.get(module.name.as_str()) else { continue };
        let mut actions = BTreeSet::new();
        let function = (imported.clone(), call.name.to_string(), call.args.len());
        trees.follow(function, &mut BTreeSet::new(), &mut actions);
        if !actions.is_empty() {
            let call = format!("{}::{}", module.name, call.name);
            found.push(Reach { call, actions, at: range(&file.text, at) });
        }
    }
    found
}

/// Whether an action is called in `ast` whose name is not written out.
pub fn is_computed(ast: &AST) -> bool {
    let mut computed = false;
    each_call(ast, &mut |call, _| {
        computed |= match (call.name.as_str(), call.args.first()) {
            ("act", Some(name)) => text(name).is_none(),
            ("all", Some(list)) => {
                let whole = items(list).is_some_and(|items| items.len() == fit::wishes(call).len());
                !whole || fit::wishes(call).iter().any(|(name, _)| text(name).is_none())
            }
            _ => false,
        };
    });
    computed
}

/// The files that are imported, by the names they are given.
fn aliases(ast: &AST) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
            && let Expr::StringConstant(path, _) = &import.0
            && let Some(name) = normalized(path)
        {
            found.insert(import.1.name.to_string(), name);
        }
        true
    });
    found
}

struct Trees<'a> {
    files: &'a BTreeMap<String, File>,
    read: BTreeMap<String, Option<AST>>,
}

impl Trees<'_> {
    fn follow(&mut self, function: Function, seen: &mut BTreeSet<Function>, actions: &mut BTreeSet<String>) {
        if !seen.insert(function.clone()) {
            return;
        }
        let (file, name, n) = function;
        let files = self.files;
        let tree =
            self.read.entry(file.clone()).or_insert_with(|| files.get(&file).and_then(|it| parse(it).ok()));
        let Some(ast) = tree else { return };
        let mut alone = ast.clone_functions_only();
        alone.retain_functions(|_, _, it, arguments| it == name && arguments == n);
        let aliases = aliases(ast);
        let own: BTreeSet<(String, usize)> =
            ast.iter_functions().map(|it| (it.name.to_string(), it.params.len())).collect();
        let mut next = Vec::new();
        each_call(&alone, &mut |call, _| {
            let arguments = call.args.len();
            match call.namespace.path.as_slice() {
                [] if own.contains(&(call.name.to_string(), arguments)) => {
                    next.push((file.clone(), call.name.to_string(), arguments));
                }
                [] => {
                    actions.extend(fit::wishes(call).iter().filter_map(|(it, _)| text(it)).map(String::from))
                }
                [module] => {
                    let imported = aliases.get(module.name.as_str()).cloned();
                    next.extend(imported.map(|file| (file, call.name.to_string(), arguments)));
                }
                _ => {}
            }
        });
        for function in next {
            self.follow(function, seen, actions);
        }
    }
}
