//! The one Rhai engine that all scripts share: what they can call, and how much they can use.
//!
//! It can reach nothing but memory and the host functions in `host/`. Making one costs 0.85 ms, so it is made once; it
//! holds nothing of any run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rhai::{Engine, EvalAltResult, Module, OptimizationLevel, Position, Scope, Shared};

use super::burst::{self, Thrown};
use super::program::normalized;
use super::{higher, host, texts};

/// Calls inside calls. Deeper than any playbook, and shallow enough for a stack of 2 MiB.
const MAX_CALLS: usize = 32;
/// Expressions inside expressions, by the parser; in debug builds Rhai's own default is too small for real scripts.
const MAX_NESTING: usize = 64;
/// Bytes of text in one value, all its parts together.
pub const MAX_TEXT: usize = 1 << 18;
/// Entries in one array or map, those of its parts included. It also bounds how deep a value can be nested.
pub const MAX_ITEMS: usize = 5_000;
/// Variables at a time in one function; with the depth and the sizes this bounds plain values to some 200 MB.
const MAX_VARIABLES: usize = 64;
/// Imports in one burst.
const MAX_MODULES: usize = 64;

/// The shared engine.
pub fn shared() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(build);
    &ENGINE
}

/// All functions that scripts can call without defining them, with the numbers of arguments that they take.
pub fn functions() -> &'static BTreeMap<String, BTreeSet<usize>> {
    static NAMES: LazyLock<BTreeMap<String, BTreeSet<usize>>> = LazyLock::new(|| {
        let mut found: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for signature in shared().gen_fn_signatures(true) {
            let Some((name, rest)) = signature.split_once('(') else { continue };
            let name = name.trim().rsplit([':', ' ']).next().unwrap_or_default();
            found.entry(name.into()).or_default().insert(arguments(rest));
        }
        // Rhai's own keywords that look like functions are in no module.
        for name in ["Fn", "call", "is_def_fn", "is_def_var", "is_shared", "type_of", "print", "debug"] {
            found.entry(name.into()).or_default();
        }
        found
    });
    &NAMES
}

/// How many arguments stand in `text` before the parenthesis that closes them.
fn arguments(text: &str) -> usize {
    let (mut depth, mut commas, mut any) = (0, 0, false);
    for c in text.chars() {
        match c {
            '(' | '<' | '[' => depth += 1,
            ')' if depth == 0 => break,
            ')' | '>' | ']' => depth -= 1,
            ',' if depth == 0 => commas += 1,
            _ => {}
        }
        any |= !c.is_whitespace();
    }
    if any { commas + 1 } else { 0 }
}

fn build() -> Engine {
    let mut engine = Engine::new();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        .set_max_call_levels(MAX_CALLS)
        .set_max_expr_depths(MAX_NESTING, MAX_NESTING)
        .set_max_string_size(MAX_TEXT)
        .set_max_array_size(MAX_ITEMS)
        .set_max_map_size(MAX_ITEMS)
        .set_max_variables(MAX_VARIABLES)
        .set_max_modules(MAX_MODULES)
        .set_module_resolver(Resolver);
    // `eval` would run text from events; `curry` can chain functions without end, and closures do its work.
    engine.disable_symbol("eval").disable_symbol("curry");
    // Operations are counted by the burst: Rhai's own count forgets those made inside `map` and its like.
    engine.on_progress(|_| burst::progress());
    higher::replace(&mut engine);
    texts::replace(&mut engine);
    host::register(&mut engine);
    engine
}

/// Gives `import` the modules of the playbook under way, and nothing else.
struct Resolver;

impl rhai::ModuleResolver for Resolver {
    fn resolve(
        &self,
        _: &Engine,
        _: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Thrown> {
        let found = normalized(path)
            .and_then(|name| burst::read(|state| state.modules.get(&name).cloned()).flatten());
        found.ok_or_else(|| Box::new(EvalAltResult::ErrorModuleNotFound(path.into(), position)))
    }
}

/// Reads `ast` as a module; its top level may compute, but not act.
pub fn module(ast: &rhai::AST) -> Result<Module, Thrown> {
    Module::eval_ast_as_new(Scope::new(), ast, shared())
}
