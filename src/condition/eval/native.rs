//! Calls of Rhai's own functions, with what they take and build charged before they begin.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rhai::{AST, Scope};

use super::value::Val;
use super::{Eval, Fail};
use crate::condition::budget::VALUE;
use crate::condition::natives;
use crate::condition::scalar::Scalar;
use crate::condition::script;

/// Most calls that are kept compiled: every function and operator, and the properties that rules ask of values that
/// are not maps.
const MAX_KEPT: usize = 512;

/// What an element or letter costs in Rhai, per byte of its size.
const WALK: u64 = 4;
/// How much longer a value may be as text: quotes and escapes.
const WRITTEN: u64 = 12;

static CALLS: LazyLock<Mutex<HashMap<String, Arc<AST>>>> = LazyLock::new(Mutex::default);

impl<'v> Eval<'v> {
    /// What `shape` is in Rhai, such as `a0 + a1`, for these values; `name` is the function or operator in it.
    pub(super) fn native(&self, shape: &str, name: &str, args: Vec<Val<'v>>) -> Result<Val<'v>, Fail> {
        let most = self.budget.work_left();
        let sizes: Vec<u64> = args.iter().map(|arg| arg.size(most)).collect();
        let sum: u64 = sizes.iter().fold(0, |sum, size| sum.saturating_add(*size));
        self.budget.work(sum.saturating_mul(WALK))?;
        self.budget.bytes(built(name, &args, &sizes, sum))?;
        let mut scope = Scope::with_capacity(args.len());
        for (name, arg) in ["a0", "a1", "a2", "a3"].into_iter().zip(&args) {
            scope.push_dynamic(name, arg.dynamic(self.budget)?);
        }
        let ast = compiled(shape)?;
        let micros = self.view.event().time.timestamp_micros();
        natives::at(micros, || script::engine().eval_ast_with_scope::<rhai::Dynamic>(&mut scope, &ast))
            .map(Val::of)
            .map_err(|error| Fail::new(script::message(&error)))
    }

    /// The same for a function or an operator by its name.
    pub(super) fn named(&self, name: &str, args: Vec<Val<'v>>) -> Result<Val<'v>, Fail> {
        let word = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let shape = match (word, args.len()) {
            (false, 1) => format!("{name} a0"),
            (false, _) => format!("a0 {name} a1"),
            (true, 0) => format!("{name}()"),
            (true, 1) => format!("{name}(a0)"),
            (true, 2) => format!("{name}(a0, a1)"),
            (true, 3) => format!("{name}(a0, a1, a2)"),
            (true, _) => format!("{name}(a0, a1, a2, a3)"),
        };
        self.native(&shape, name, args)
    }
}

/// How many bytes the result may have, from above.
fn built(name: &str, args: &[Val<'_>], sizes: &[u64], sum: u64) -> u64 {
    let text = |n: usize| match args.get(n) {
        Some(Val::One(Scalar::Str(text))) => Some(&**text),
        _ => None,
    };
    let len = text(0).map_or(0, |text| text.len() as u64);
    match name {
        "split" => {
            let parts = match text(1) {
                Some(by) if by.len() > 1 => len / by.len() as u64,
                _ => len,
            };
            (parts + 1) * VALUE + len
        }
        "replace" => (len + 1).saturating_mul(1 + sizes.get(2).copied().unwrap_or(0)),
        "join" => {
            let elements = sizes.first().map_or(0, |size| size / VALUE);
            let by = text(1).map_or(VALUE, |by| by.len() as u64);
            sum.saturating_mul(WRITTEN).saturating_add(elements.saturating_mul(by))
        }
        "contains" | "index_of" => {
            // Each element is compared with a copy of what is looked for.
            let elements = sizes.first().map_or(0, |size| size / VALUE);
            elements.saturating_mul(sizes.get(1).copied().unwrap_or(0))
        }
        "+" | "to_string" | "unique" | "min" | "max" => sum.saturating_mul(WRITTEN),
        _ => sum,
    }
}

fn compiled(shape: &str) -> Result<Arc<AST>, Fail> {
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ast) = calls.get(shape) {
        return Ok(ast.clone());
    }
    let ast = script::engine().compile_expression(shape).map_err(|error| Fail::new(error.to_string()))?;
    if calls.len() >= MAX_KEPT {
        calls.clear();
    }
    let ast = Arc::new(ast);
    calls.insert(shape.into(), ast.clone());
    Ok(ast)
}
