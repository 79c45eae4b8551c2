//! What scripts read of `ctx`: a field that is never there reads as `()`, so a slip would only show when it is too late.
//!
//! Looks only where it is certain that a variable is what the engine gave: the argument of `run`, `verify` and
//! `rollback`, and of functions of the same file that are always given it. A script that changes or hides it is left
//! alone. Start with [`check`].

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use super::range;
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;
use crate::playbook::header::Header;
use crate::playbook::program::File;

/// Everything that `ctx` can have.
pub const FIELDS: [&str; 10] =
    ["event", "events", "target", "params", "rule", "intent", "attempt", "confidence", "done", "carried"];
/// Everything that an event can have.
pub const EVENT: [&str; 12] = [
    "id",
    "topic",
    "source",
    "subject",
    "time",
    "arrived",
    "priority",
    "traceparent",
    "correlationid",
    "causationid",
    "extensions",
    "data",
];
const INTENT: [&str; 11] = [
    "id",
    "goal",
    "domain",
    "priority",
    "group",
    "class",
    "fleet",
    "count",
    "reason",
    "attempts",
    "created_at",
];
/// What an escalation gives without being asked.
const GIVEN: &str = "message";
/// Methods that leave a map as it is.
const READING: [&str; 14] = [
    "contains",
    "get",
    "keys",
    "values",
    "len",
    "is_empty",
    "to_json",
    "to_string",
    "to_debug",
    "filter",
    "map",
    "type_of",
    "some",
    "all",
];

/// A function, by name and number of arguments.
type Name = (String, usize);

/// Who calls, and with which variables.
type Call<'f> = (&'f Function, &'f [Option<String>]);

/// What is read of `ctx` in the playbook `file` and is never there.
pub fn check(file: &File, ast: &AST, header: &Header) -> Vec<Diagnostic> {
    let functions: Vec<Function> =
        ast.iter_functions().map(|it| Function::read(ast, it.name, &it.params)).collect();
    // A closure may change what its surroundings see.
    if functions
        .iter()
        .any(|it| it.name.0.starts_with("anon$") && it.touched.iter().any(|name| name == "ctx"))
    {
        return Vec::new();
    }
    let mut reader = Reader { file, header, found: Vec::new() };
    for (name, place) in given(&functions) {
        for function in functions.iter().filter(|it| it.name == name) {
            let Some(variable) = function.params.get(place).filter(|it| !function.touched.contains(*it))
            else {
                continue;
            };
            for read in function.reads.iter().filter(|read| &read.root == variable) {
                reader.read(read, &name.0);
            }
        }
    }
    reader.found
}

/// Which arguments are always what the engine gave: of which function, of how many arguments, and which of them.
pub fn given_to(ast: &AST) -> Vec<(String, usize, usize)> {
    let functions: Vec<Function> =
        ast.iter_functions().map(|it| Function::read(ast, it.name, &it.params)).collect();
    let given = given(&functions);
    let places = functions.iter().flat_map(|function| {
        let given = given.iter().filter(|(name, _)| *name == function.name);
        given.map(|(name, place)| (name.0.clone(), function.params.len(), *place))
    });
    places.collect()
}

/// Which arguments are always what the engine gave: function and place.
fn given(functions: &[Function]) -> BTreeSet<(Name, usize)> {
    let phases = ["run", "verify", "rollback"];
    let mut given: BTreeSet<(Name, usize)> = phases.iter().map(|it| (((*it).to_string(), 1), 0)).collect();
    let mut calls: BTreeMap<&Name, Vec<Call>> = BTreeMap::new();
    for function in functions {
        for (name, arguments) in &function.calls {
            calls.entry(name).or_default().push((function, arguments));
        }
    }
    loop {
        let before = given.len();
        for function in functions.iter().filter(|it| !phases.contains(&it.name.0.as_str())) {
            let Some(calls) = calls.get(&function.name) else { continue };
            for place in 0..function.params.len() {
                let always = calls.iter().all(|(caller, arguments)| {
                    let Some(Some(variable)) = arguments.get(place) else { return false };
                    !caller.touched.contains(variable)
                        && caller
                            .params
                            .iter()
                            .position(|it| it == variable)
                            .is_some_and(|at| given.contains(&(caller.name.clone(), at)))
                });
                if always {
                    given.insert((function.name.clone(), place));
                }
            }
        }
        if given.len() == before {
            return given;
        }
    }
}

/// What matters of a function.
struct Function {
    name: Name,
    params: Vec<String>,
    /// Variables that it declares or changes.
    touched: BTreeSet<String>,
    /// What it calls, with the variables that it passes on as they are.
    calls: Vec<(Name, Vec<Option<String>>)>,
    reads: Vec<Read>,
}

/// A chain such as `ctx.params.grace`.
struct Read {
    root: String,
    keys: Vec<(String, Position)>,
    /// Whether the script provides for its not being there.
    guarded: bool,
}

impl Function {
    fn read(ast: &AST, name: &str, params: &[&str]) -> Self {
        let mut alone = ast.clone_functions_only();
        alone.retain_functions(|_, _, it, n| it == name && n == params.len());
        let mut function = Self {
            name: named(name, params.len()),
            params: params.iter().map(ToString::to_string).collect(),
            touched: BTreeSet::new(),
            calls: Vec::new(),
            reads: Vec::new(),
        };
        alone.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Stmt(statement)) => function.statement(statement),
                Some(ASTNode::Expr(expr)) => function.expression(expr, path),
                _ => {}
            }
            true
        });
        function
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Var(it, ..) => drop(self.touched.insert(it.0.name.to_string())),
            Stmt::For(it, _) => {
                self.touched.insert(it.0.name.to_string());
                self.touched.extend(it.1.iter().map(|it| it.name.to_string()));
            }
            Stmt::TryCatch(it, _) => self.touched.extend(root(&it.expr)),
            Stmt::Assignment(it) => self.touched.extend(root(&it.1.lhs)),
            Stmt::FnCall(call, _) => self.call(call),
            _ => {}
        }
    }

    fn expression(&mut self, expr: &Expr, path: &[ASTNode]) {
        match expr {
            Expr::FnCall(call, _) => self.call(call),
            Expr::Dot(..) | Expr::Index(..) => {
                let Some(name) = root(expr) else { return };
                let (mut keys, mut changes) = (Vec::new(), false);
                let (Expr::Dot(it, ..) | Expr::Index(it, ..)) = expr else { return };
                follow(&it.rhs, &mut keys, &mut changes);
                if changes {
                    self.touched.insert(name.clone());
                }
                self.reads.push(Read { root: name, keys, guarded: is_guarded(path) });
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &rhai::FnCallExpr) {
        // A closure is its function with the first arguments given.
        let (name, arguments) = match (call.name.as_str(), call.args.first()) {
            ("curry", Some(Expr::DynamicConstant(f, _))) => {
                let Some(f) = f.read_lock::<rhai::FnPtr>() else { return };
                (f.fn_name().to_string(), &call.args[1..])
            }
            (name, _) => (name.to_string(), &call.args[..]),
        };
        let arguments: Vec<_> = arguments.iter().map(variable).collect();
        self.calls.push((named(&name, arguments.len()), arguments));
    }
}

/// Closures have names of their own, and are made with some of their arguments only.
fn named(name: &str, arguments: usize) -> Name {
    (name.into(), if name.starts_with("anon$") { 0 } else { arguments })
}

fn variable(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Variable(it, ..) if it.2.is_empty() => Some(it.1.to_string()),
        _ => None,
    }
}

/// The variable that a chain begins with.
fn root(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Dot(it, ..) | Expr::Index(it, ..) => variable(&it.lhs),
        other => variable(other),
    }
}

/// The names along a chain, as far as they are written out, and whether a method might change it.
fn follow(expr: &Expr, keys: &mut Vec<(String, Position)>, changes: &mut bool) -> bool {
    match expr {
        Expr::Property(it, position) => {
            keys.push((it.2.to_string(), *position));
            true
        }
        Expr::StringConstant(it, position) => {
            keys.push((it.to_string(), *position));
            true
        }
        Expr::Dot(it, ..) | Expr::Index(it, ..) => {
            follow(&it.lhs, keys, changes) && follow(&it.rhs, keys, changes)
        }
        Expr::MethodCall(call, _) => {
            *changes |= !READING.contains(&call.name.as_str());
            false
        }
        _ => false,
    }
}

/// Whether what comes of the last node of `path` is asked for being there.
pub fn is_guarded(path: &[ASTNode]) -> bool {
    let Some(ASTNode::Expr(parent)) = path.len().checked_sub(2).and_then(|i| path.get(i)) else {
        return false;
    };
    match parent {
        Expr::Coalesce(..) => true,
        Expr::FnCall(call, _) => {
            call.name == "type_of" || call.args.iter().any(|it| matches!(it, Expr::Unit(_)))
        }
        _ => false,
    }
}

struct Reader<'a> {
    file: &'a File,
    header: &'a Header,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn read(&mut self, read: &Read, function: &str) {
        let Some((first, position)) = read.keys.first() else { return };
        let at = range(&self.file.text, *position);
        if first == "done" && function == "run" && !read.guarded {
            let text = "`ctx.done` is there in `verify` and `rollback` only";
            return self.told(
                "P0218",
                at,
                text.into(),
                "here it is `()`: what `run` does is not done yet".into(),
                false,
            );
        }
        if !FIELDS.contains(&first.as_str()) {
            let near = nearest(first, FIELDS);
            if read.guarded && near.is_none() {
                return;
            }
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.header.params.contains_key(first) => format!("write `ctx.params.{first}`"),
                None if EVENT.contains(&first.as_str()) => format!("write `ctx.event.{first}`"),
                None if INTENT.contains(&first.as_str()) => format!("write `ctx.intent.{first}`"),
                None => format!("there are {}", FIELDS.join(", ")),
            };
            return self.told("P0218", at, format!("`ctx` has no `{first}`"), help, !read.guarded);
        }
        let Some((second, position)) = read.keys.get(1) else { return };
        let at = range(&self.file.text, *position);
        match first.as_str() {
            "params" => self.param(second, at, read.guarded),
            "event" => self.inner("event", &EVENT, second, at, read.guarded),
            "intent" => self.inner("intent", &INTENT, second, at, read.guarded),
            _ => {}
        }
    }

    /// A warning only: a rule may give parameters that a playbook does not declare.
    fn param(&mut self, name: &str, at: Range, guarded: bool) {
        let declared = &self.header.params;
        if declared.is_empty() || declared.contains_key(name) || name == GIVEN {
            return;
        }
        let help = match nearest(name, declared.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if guarded => return,
            None => format!("declare it: `params: {{ {name}: … }}`; else it is `()` where nobody gives it"),
        };
        self.told("P0219", at, format!("the header declares no parameter `{name}`"), help, false);
    }

    fn inner(&mut self, of: &str, known: &[&str], name: &str, at: Range, guarded: bool) {
        if known.contains(&name) {
            return;
        }
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if guarded => return,
            None if of == "event" => {
                format!("what was sent stands under `ctx.event.data`: `ctx.event.data.{name}`")
            }
            None => format!("there are {}", known.join(", ")),
        };
        self.told("P0218", at, format!("`ctx.{of}` has no `{name}`"), help, false);
    }

    fn told(&mut self, code: &str, at: Range, text: String, help: String, certain: bool) {
        let error = Diagnostic::error(code, &self.file.path, &self.file.text, at, text).help(help);
        self.found.push(if certain { error } else { error.warning() });
    }
}

type Range = std::ops::Range<usize>;
