//! Whether everything that a script calls is there, and takes as much as it is given.
//!
//! Must be right where it says so: a method that may be a closure kept in a map is left alone.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::{advice, arguments, fit};
use super::{each_call, range, variables};
use crate::actions::Spec;
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;
use crate::playbook::program::{File, normalized};
use crate::playbook::{engine, header, host, reference};

/// What Rhai gives any number of arguments.
const ANY_NUMBER: [&str; 9] =
    ["Fn", "call", "curry", "is_def_fn", "is_def_var", "is_shared", "type_of", "print", "debug"];

/// Where to look for what comes after a dot.
const METHODS: &str = "what texts, lists and maps can do is Rhai's: see https://rhai.rs/book";

/// A name with a number of arguments.
type Signature = (String, usize);

/// What is wrong with the calls of `file`, one of `files`. `known` are the actions whose parameters are known.
pub fn check(file: &File, ast: &AST, files: &BTreeMap<String, File>, known: &[Spec]) -> Vec<Diagnostic> {
    let mut reader = Reader {
        file,
        own: functions(ast),
        modules: modules(ast, files),
        variables: variables(ast),
        shared: shared(files),
        words: BTreeSet::new(),
        imports: false,
        found: Vec::new(),
    };
    reader.look_around(ast);
    each_call(ast, &mut |call, position| {
        if reader.call(call, position) {
            arguments::check(file, call, &mut reader.found);
            fit::check(file, call, known, &mut reader.found);
        }
    });
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => reader.method(call, *position),
            Some(ASTNode::Expr(Expr::Variable(it, _, position))) if !it.2.is_empty() => {
                reader.constant(it.2.path.as_slice(), &it.1, *position);
            }
            _ => {}
        }
        true
    });
    reader.found
}

/// Calls of the host outside of all functions, which is no place for them.
pub fn outside(file: &File, ast: &AST) -> Vec<(String, std::ops::Range<usize>)> {
    let own = functions(ast);
    let mut found = Vec::new();
    each_call(&ast.clone_statements_only(), &mut |call, position| {
        let is_own = own.contains(&(call.name.to_string(), call.args.len()));
        if call.namespace.is_empty()
            && !is_own
            && host::FUNCTIONS.iter().any(|(it, _)| *it == call.name.as_str())
        {
            found.push((call.name.to_string(), range(&file.text, position)));
        }
    });
    found
}

/// Where `verify` and `rollback` would go on as a new run, which only `run` can.
pub fn without_way_on(file: &File, ast: &AST) -> Vec<(&'static str, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    for name in ["verify", "rollback"] {
        let mut alone = ast.clone_functions_only();
        alone.retain_functions(|_, _, it, n| it == name && n == 1);
        each_call(&alone, &mut |call, position| {
            let own =
                ast.iter_functions().any(|it| it.name == call.name && it.params.len() == call.args.len());
            if call.name == "continue_as_new" && call.namespace.is_empty() && !own {
                found.push((name, range(&file.text, position)));
            }
        });
    }
    found
}

fn functions(ast: &AST) -> BTreeSet<Signature> {
    ast.iter_functions().map(|it| (it.name.to_string(), it.params.len())).collect()
}

/// What an imported file gives: functions, and the constants that it exports.
#[derive(Default)]
struct Exports {
    functions: BTreeSet<Signature>,
    constants: BTreeSet<String>,
    /// All others, which it keeps for itself.
    kept: BTreeSet<String>,
}

/// What each file gives that is imported, by the name that it is given here; none where that is not one file.
fn modules(ast: &AST, files: &BTreeMap<String, File>) -> BTreeMap<String, Option<Exports>> {
    let mut found = BTreeMap::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(import, _))) = path.last()
            && let Expr::StringConstant(path, _) = &import.0
        {
            let file = normalized(path).and_then(|name| files.get(&name));
            let there = file.and_then(|file| super::parse(file).ok()).map(|ast| Exports::of(&ast));
            let twice = found.contains_key(import.1.name.as_str());
            found.insert(import.1.name.to_string(), there.filter(|_| !twice));
        }
        true
    });
    found
}

/// Functions of the files that are there to be imported.
fn shared(files: &BTreeMap<String, File>) -> BTreeMap<String, BTreeSet<String>> {
    let texts = files.iter().filter(|(_, file)| !header::is_there(&file.text));
    let names = |file: &File| {
        let named = file.text.split("fn ").skip(1).filter_map(|it| it.split_once('('));
        named.map(|(name, _)| name.trim().to_string()).collect()
    };
    texts.map(|(name, file)| (name.clone(), names(file))).collect()
}

impl Exports {
    fn of(ast: &AST) -> Self {
        let public = ast.iter_functions().filter(|it| it.access == rhai::FnAccess::Public);
        let mut exports = Self {
            functions: public.map(|it| (it.name.to_string(), it.params.len())).collect(),
            ..Self::default()
        };
        for statement in ast.statements() {
            match statement {
                Stmt::Var(it, flags, _) if flags.contains(ASTFlags::EXPORTED) => {
                    exports.constants.insert(it.0.name.to_string());
                }
                Stmt::Var(it, ..) => drop(exports.kept.insert(it.0.name.to_string())),
                Stmt::Export(it, _) => {
                    let name = if it.1.name.is_empty() { &it.0.name } else { &it.1.name };
                    exports.constants.insert(name.to_string());
                }
                _ => {}
            }
        }
        exports
    }
}

struct Reader<'a> {
    file: &'a File,
    own: BTreeSet<Signature>,
    modules: BTreeMap<String, Option<Exports>>,
    variables: BTreeSet<String>,
    /// What files that are no playbooks define, by name.
    shared: BTreeMap<String, BTreeSet<String>>,
    /// Names of fields and texts of the script: any could be that of a closure in a map.
    words: BTreeSet<String>,
    imports: bool,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn look_around(&mut self, ast: &AST) {
        self.words = super::texts(ast);
        self.imports = !self.modules.is_empty();
        ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Expr(Expr::Property(it, _))) => drop(self.words.insert(it.2.to_string())),
                Some(ASTNode::Expr(Expr::Map(it, _))) => {
                    self.words.extend(it.0.iter().map(|(key, _)| key.name.to_string()));
                }
                _ => {}
            }
            true
        });
    }

    /// Says what is wrong with `call`; whether it is a good one of a host function.
    fn call(&mut self, call: &FnCallExpr, position: Position) -> bool {
        let (name, given) = (call.name.as_str(), call.args.len());
        if !call.namespace.is_empty() {
            self.imported(call, position);
            return false;
        }
        // The last are what the parser itself makes of closures.
        if call.op_token.is_some()
            || self.own.contains(&(name.into(), given))
            || ANY_NUMBER.contains(&name)
            || !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            return false;
        }
        if let Some(function) = reference::FUNCTIONS.iter().find(|it| it.name == name) {
            let takes =
                host::FUNCTIONS.iter().find(|(it, _)| *it == name).map_or(&[][..], |(_, takes)| takes);
            if takes.contains(&given) {
                return true;
            }
            let help = format!("write it as {}", function.example);
            self.wrong(position, counts(name, takes, given), help);
            return false;
        }
        let own: Vec<usize> = self.own.iter().filter(|(it, _)| it == name).map(|(_, n)| *n).collect();
        let rhai: Vec<usize> = engine::functions().get(name).into_iter().flatten().copied().collect();
        if rhai.contains(&given) {
            if name == "exit" {
                let text = "`exit` ends the run as if all were well".into();
                self.wrong(
                    position,
                    text,
                    "write `fail(\"why\")`, or `return` where it is done early".into(),
                );
                if let Some(last) = self.found.last_mut() {
                    *last = last.clone().warning();
                }
            }
            if name == "timestamp" {
                let text = "`timestamp()` differs at each replay, so it is refused".into();
                self.wrong(position, text, "use `now()`, which is recorded".into());
            }
            return false;
        }
        if !own.is_empty() {
            let text = counts(name, &own, given);
            self.wrong(position, text, "see where it is defined: `fn` of this file".into());
        } else if !rhai.is_empty() {
            self.wrong(position, counts(name, &rhai, given), "it is one of Rhai's own functions".into());
        } else {
            let help = self.instead(name);
            self.wrong(position, format!("there is no function `{name}`"), help);
        }
        false
    }

    /// What to do where there is no function `name`.
    fn instead(&self, name: &str) -> String {
        let host = host::FUNCTIONS.iter().map(|(it, _)| *it);
        let own = self.own.iter().map(|(it, _)| it.as_str()).filter(|it| !it.starts_with("anon$"));
        let near = nearest(name, host.chain(own).chain(engine::functions().keys().map(String::as_str)));
        if self.variables.contains(name) {
            return format!("a function that is kept in a variable is called as `{name}.call(…)`");
        }
        if matches!(name, "verify" | "rollback") {
            return format!(
                "write `fn {name}(ctx) {{ … }}`, which the engine calls by itself; take this call out"
            );
        }
        let exports = self.shared.iter().find(|(_, functions)| functions.contains(name));
        if let Some((file, _)) = exports {
            return format!(
                "it is in {file}: `import \"{file}\" as lib;` at the top, and `lib::{name}(…)` here"
            );
        }
        if let Some(help) = advice::function(name) {
            return help.into();
        }
        if let Some(near) = near {
            return format!("did you mean `{near}`?");
        }
        "`paramedic schema playbooks` lists what there is; the world is reached by `act` alone".into()
    }

    fn imported(&mut self, call: &FnCallExpr, position: Position) {
        let [module] = call.namespace.path.as_slice() else { return };
        let Some(Some(exports)) = self.modules.get(module.name.as_str()) else { return };
        let there = &exports.functions;
        let (name, given) = (call.name.as_str(), call.args.len());
        if there.contains(&(name.into(), given)) {
            return;
        }
        let takes: Vec<usize> = there.iter().filter(|(it, _)| it == name).map(|(_, n)| *n).collect();
        let module = &module.name;
        let (text, help) = if takes.is_empty() {
            let names: BTreeSet<&str> =
                there.iter().map(|(it, _)| it.as_str()).filter(|it| !it.starts_with("anon$")).collect();
            let help = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{module}::{near}`?"),
                None if names.is_empty() => "the file defines no functions".into(),
                None => format!("it has {}", names.into_iter().collect::<Vec<_>>().join(", ")),
            };
            (format!("the file imported as `{module}` has no function `{name}`"), help)
        } else {
            (counts(&format!("{module}::{name}"), &takes, given), "see where it is defined".into())
        };
        self.wrong(position, text, help);
    }

    /// A constant of an imported file.
    fn constant(&mut self, path: &[rhai::Ident], name: &str, position: Position) {
        let [module] = path else { return };
        let Some(Some(exports)) = self.modules.get(module.name.as_str()) else { return };
        if exports.constants.contains(name) {
            return;
        }
        let text = format!("the file imported as `{}` gives no constant `{name}`", module.name);
        let help = match nearest(name, exports.constants.iter().map(String::as_str)) {
            _ if exports.kept.contains(name) => format!("write `export const {name} = …` there"),
            Some(near) => format!("did you mean `{}::{near}`?", module.name),
            None => "what it gives begins with `export const` there".into(),
        };
        self.wrong(position, text, help);
    }

    /// A call with a dot. What is before it is an argument more, or `this`.
    fn method(&mut self, call: &FnCallExpr, position: Position) {
        let (name, given) = (call.name.as_str(), call.args.len());
        let there = self.own.iter().any(|(it, _)| it == name)
            || host::FUNCTIONS.iter().any(|(it, _)| *it == name)
            || ANY_NUMBER.contains(&name)
            || self.words.contains(name);
        if there || call.op_token.is_some() {
            return;
        }
        let (text, help) = match engine::functions().get(name) {
            Some(takes) if takes.contains(&(given + 1)) => return,
            Some(takes) => {
                let takes: Vec<usize> = takes.iter().filter_map(|n| n.checked_sub(1)).collect();
                (counts(name, &takes, given), "it is one of Rhai's own functions".into())
            }
            None => {
                let help = match self.instead(name) {
                    help if help.contains("schema") => METHODS.into(),
                    help => help,
                };
                (format!("there is no method `{name}`"), help)
            }
        };
        self.wrong(position, text, help);
        // A closure could have come in a map of another file.
        if self.imports
            && let Some(last) = self.found.last_mut()
        {
            *last = last.clone().warning();
        }
    }

    fn wrong(&mut self, position: Position, text: String, help: String) {
        let at = range(&self.file.text, position);
        self.found.push(Diagnostic::error("P0212", &self.file.path, &self.file.text, at, text).help(help));
    }
}

fn counts(name: &str, takes: &[usize], given: usize) -> String {
    let numbers: Vec<String> = takes.iter().map(ToString::to_string).collect();
    let listed = match numbers.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => numbers.concat(),
    };
    let plural = if takes == [1] { "" } else { "s" };
    format!("`{name}` takes {listed} argument{plural}, not {given}")
}
