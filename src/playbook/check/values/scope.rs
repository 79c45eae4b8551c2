//! The variables of a function that stay what they were declared as.
//!
//! Must never guess: one that is declared twice, assigned, changed by a method or in a closure, or that shares its name
//! with an argument or a loop's variable, is none of them.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Stmt};

use super::chain::{Step, root, steps};
use super::literal::Kind;
use super::{body, each};
use crate::playbook::host;

/// Methods that leave what they are called on as it is.
const READING: [&str; 30] = [
    "abs",
    "chars",
    "contains",
    "debug",
    "ends_with",
    "extract",
    "get",
    "is_empty",
    "is_shared",
    "keys",
    "len",
    "parse_float",
    "parse_int",
    "print",
    "split",
    "split_rev",
    "starts_with",
    "sub_string",
    "to_array",
    "to_debug",
    "to_float",
    "to_int",
    "to_json",
    "to_lower",
    "to_string",
    "to_upper",
    "type_of",
    "values",
    "Fn",
    "is_def_fn",
];
/// Those that do so unless the function that they are given changes `this`.
const GOING_THROUGH: [&str; 10] =
    ["all", "filter", "find", "find_map", "index_of", "map", "reduce", "reduce_rev", "some", "zip"];

/// Where a variable has its value from.
#[derive(Clone)]
pub enum Source {
    /// `let x = …`.
    Value(Expr),
    /// `for x in …`.
    ItemOf(Expr),
    /// How often a loop was gone through.
    Count,
    /// `catch (x)`.
    Failure,
    /// The argument that the engine gives.
    Ctx,
}

/// The functions of a file that hide others, and the variables that closures change.
pub struct Surroundings {
    own: BTreeSet<String>,
    changed: BTreeSet<String>,
    /// Whether some function changes what it is called on.
    changes_this: bool,
    /// Whether the file asks for types, and so may tell times as text from those as numbers.
    pub asks_types: bool,
    constants: BTreeMap<String, Expr>,
}

impl Surroundings {
    /// Those of `ast`.
    pub fn of(ast: &AST) -> Self {
        let mut all = Self {
            own: ast.iter_functions().map(|it| it.name.to_string()).collect(),
            changed: BTreeSet::new(),
            changes_this: false,
            asks_types: false,
            constants: BTreeMap::new(),
        };
        let bodies: Vec<_> = ast
            .iter_functions()
            .map(|it| (it.name.starts_with("anon$"), body(ast, it.name, it.params.len())))
            .collect();
        all.changes_this = bodies.iter().any(|(_, body)| all.changes(body).contains("this"));
        for (_, body) in &bodies {
            each(body, &mut |path| {
                all.asks_types |= matches!(path.last(),
                    Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)))
                        if call.name == "type_of");
            });
        }
        for (_, body) in bodies.iter().filter(|(is_closure, _)| *is_closure) {
            let changed = all.changes(body);
            all.changed.extend(changed);
        }
        let mut seen = BTreeSet::new();
        for statement in ast.statements() {
            let Stmt::Var(it, flags, _) = statement else { continue };
            let name = it.0.name.to_string();
            if !seen.insert(name.clone()) {
                all.constants.remove(&name);
            } else if flags.contains(ASTFlags::CONSTANT) {
                all.constants.insert(name, it.1.clone());
            }
        }
        all
    }

    /// Whether the file defines a function of this name.
    pub fn defines(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// What the constant `name` at the top of the file is.
    pub fn constant(&self, name: &str) -> Option<&Expr> {
        self.constants.get(name)
    }

    /// The variables of a function of these `statements` that stay as they were declared. `given` is the argument, if
    /// it is certain, that is what the engine gave.
    pub fn variables(
        &self,
        statements: &[Stmt],
        params: &[&str],
        given: Option<&str>,
    ) -> BTreeMap<String, Source> {
        let mut found: BTreeMap<String, Option<Source>> = BTreeMap::new();
        let mut set = |name: &str, source: Option<Source>| {
            let again = found.contains_key(name);
            found.insert(name.into(), source.filter(|_| !again));
        };
        for param in params {
            set(param, (given == Some(*param)).then_some(Source::Ctx));
        }
        each(statements, &mut |path| match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(it, ..))) => set(&it.0.name, Some(Source::Value(it.1.clone()))),
            Some(ASTNode::Stmt(Stmt::For(it, _))) => {
                set(&it.0.name, Some(Source::ItemOf(it.2.expr.clone())));
                it.1.iter().for_each(|it| set(&it.name, Some(Source::Count)));
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(it, _))) => {
                if let Expr::Variable(name, ..) = &it.expr {
                    // What the script itself throws there may have any fields.
                    let throws = throws_a_map(it.body.statements());
                    set(&name.1, (!throws).then_some(Source::Failure));
                }
            }
            _ => {}
        });
        let changed = self.changes(statements);
        let stays = |name: &String| !changed.contains(name) && !self.changed.contains(name);
        found
            .into_iter()
            .filter_map(|(name, source)| Some((name, source?)))
            .filter(|it| stays(&it.0))
            .collect()
    }

    /// The variables that `statements` change.
    fn changes(&self, statements: &[Stmt]) -> BTreeSet<String> {
        let reads = |call: &FnCallExpr| {
            let name = call.name.as_str();
            // `x.call(f)` gives `x` to `f` as `this`.
            let is_plain = |it: &Expr| !matches!(Kind::of(it), Kind::Any | Kind::Function);
            let known = READING.contains(&name)
                || GOING_THROUGH.contains(&name) && !self.changes_this
                || name == "call" && call.args.iter().all(is_plain);
            known && !self.own.contains(name)
        };
        let mut changed = BTreeSet::new();
        each(statements, &mut |path| match path.last() {
            Some(ASTNode::Stmt(Stmt::Assignment(it))) => changed.extend(root(&it.1.lhs).map(String::from)),
            Some(ASTNode::Expr(expr @ (Expr::Dot(..) | Expr::Index(..)))) => {
                let (start, steps) = steps(expr);
                let changes = steps.iter().any(|it| matches!(it, Step::Method(call, _) if !reads(call)));
                if changes {
                    changed.extend(root(start).map(String::from));
                }
            }
            // A function of Rhai's own may change its first argument; those of a script are given copies.
            Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                let name = call.name.as_str();
                let safe = call.op_token.is_some()
                    || reads(call)
                    || self.own.contains(name)
                    || host::FUNCTIONS.iter().any(|(it, _)| *it == name);
                if let (false, Some(Expr::Variable(it, ..))) = (safe, call.args.first()) {
                    changed.insert(it.1.to_string());
                }
            }
            _ => {}
        });
        changed
    }
}

fn throws_a_map(statements: &[Stmt]) -> bool {
    let mut found = false;
    each(statements, &mut |path| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::Return(Some(it), ..))) if !matches!(**it, Expr::StringConstant(..)));
    });
    found
}
