//! Rhai itself: one shared engine, the way into it and out of it.
//!
//! The engine has no files, no modules, no printing, no clock; an expression cannot define or change anything.

use std::sync::LazyLock;

use rhai::{AST, Dynamic, Engine, Expr, OptimizationLevel, Scope, Stmt};
use serde_json::Value;

use super::rewrite::{self, Rewritten};
use super::{Error, EvalError, functions, lists, mistakes, natives};

/// Most operations of one evaluation: some milliseconds, so that a rule cannot hold up the rest, and
/// enough to ask each of some thousand elements of a list.
const MAX_OPERATIONS: u64 = 100_000;
/// Longest text that an expression may build, in bytes.
const MAX_STRING: usize = 1 << 20;
/// Longest list or largest map that an expression may build.
const MAX_ITEMS: usize = 10_000;
/// Longest expression, in bytes.
pub(super) const MAX_TEXT: usize = 16 * 1024;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut engine = Engine::new();
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_max_operations(MAX_OPERATIONS)
        .set_max_expr_depths(128, 128)
        .set_max_call_levels(8)
        .set_max_functions(64)
        .set_max_modules(0)
        .set_max_string_size(MAX_STRING)
        .set_max_array_size(MAX_ITEMS)
        .set_max_map_size(MAX_ITEMS)
        .set_allow_looping(false)
        .set_allow_statement_expression(false)
        .disable_symbol("eval")
        .on_print(|_| {})
        .on_debug(|_, _, _| {});
    natives::register(&mut engine);
    lists::register(&mut engine);
    engine
});

/// Compiles `text` and checks that it calls and reads nothing but what it may.
pub(super) fn parse(text: &str, vars: &[&str]) -> Result<(AST, Expr), Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::new(0..text.len(), format!("the expression is longer than {MAX_TEXT} bytes")));
    }
    let rewritten = rewrite::rewrite(text);
    compile(&rewritten, vars).map_err(|mut error| {
        error.at = rewritten.back(error.at);
        error
    })
}

fn compile(rewritten: &Rewritten, vars: &[&str]) -> Result<(AST, Expr), Error> {
    let text = rewritten.text.as_str();
    let ast = ENGINE.compile_expression(text).map_err(|error| mistakes::explain(text, &error))?;
    let expr = match ast.statements() {
        [Stmt::Expr(expr)] => (**expr).clone(),
        [Stmt::FnCall(call, at)] => Expr::FnCall(call.clone(), *at),
        [] => return Err(Error::new(0..text.len(), "the expression is empty")),
        [first, ..] => {
            return Err(Error::new(mistakes::token(text, first.position()), "this is not an expression"));
        }
    };
    mistakes::allowed(text, &ast, &expr, vars)?;
    Ok((ast, expr))
}

/// Runs `ast`, the compiled `text`, over the variables, for an event of this time in microseconds.
pub(super) fn run(
    ast: &AST,
    text: &str,
    vars: Vec<(&str, Dynamic)>,
    micros: i64,
) -> Result<Dynamic, EvalError> {
    let mut scope = Scope::with_capacity(vars.len());
    for (name, value) in vars {
        scope.push_dynamic(name, value);
    }
    natives::at(micros, || ENGINE.eval_ast_with_scope::<Dynamic>(&mut scope, ast))
        .map_err(|error| EvalError { message: message(&error), column: column(text, position(*error)) })
}

/// Rhai, with what it is taught.
pub(super) fn engine() -> &'static Engine {
    &ENGINE
}

fn position(mut error: rhai::EvalAltResult) -> rhai::Position {
    let outer = error.take_position();
    // What went wrong in a closure is of more use than that it did.
    let position = error.unwrap_inner().position();
    if position.is_none() { outer } else { position }
}

/// What went wrong, in words.
pub(super) fn message(error: &rhai::EvalAltResult) -> String {
    match error.unwrap_inner() {
        rhai::EvalAltResult::ErrorRuntime(message, _) => message.to_string(),
        rhai::EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            let (name, given) = signature.split_once(" (").unwrap_or((signature, ")"));
            let given = given.trim_end_matches(')').replace("&str | ImmutableString | String", "string");
            match functions::find(name) {
                Some(function) => format!("`{name}` is not for ({given}): it is `{}`", function.usage),
                None => format!("`{name}` is not for ({given})"),
            }
        }
        inner => {
            let text = inner.to_string();
            text.split(" (line ").next().unwrap_or_default().to_owned()
        }
    }
}

/// The column of `position` in the text as it was written.
pub(super) fn column(text: &str, position: rhai::Position) -> usize {
    let Some(column) = position.position() else { return 0 };
    let rewritten = rewrite::rewrite(text);
    let start = mistakes::token(&rewritten.text, position).start;
    let back = rewritten.back(start..start).start;
    match text.get(..back) {
        Some(before) => before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        None => column,
    }
}

/// The names of the variables that `expr` reads.
pub(super) fn variables(expr: &Expr) -> Vec<Box<str>> {
    let mut found = Vec::new();
    expr.walk(&mut Vec::new(), &mut |nodes| {
        if let Some(rhai::ASTNode::Expr(Expr::Variable(x, ..))) = nodes.last() {
            let name: Box<str> = x.1.as_str().into();
            if !found.contains(&name) {
                found.push(name);
            }
        }
        true
    });
    found
}

/// JSON as Rhai sees it. Whole numbers above `i64::MAX` are floats.
pub(super) fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match n.as_i64() {
            Some(n) => n.into(),
            None => n.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(list) => list.iter().map(dynamic).collect::<rhai::Array>().into(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.as_str().into(), dynamic(value))).collect::<rhai::Map>().into()
        }
    }
}

/// What Rhai answered, as JSON.
pub(super) fn json(value: &Dynamic) -> Result<Value, EvalError> {
    Ok(if value.is_unit() {
        Value::Null
    } else if let Ok(b) = value.as_bool() {
        b.into()
    } else if let Ok(n) = value.as_int() {
        n.into()
    } else if let Ok(n) = value.as_float() {
        n.into()
    } else if let Ok(text) = value.as_immutable_string_ref() {
        text.as_str().into()
    } else if let Ok(list) = value.as_array_ref() {
        list.iter().map(json).collect::<Result<Vec<_>, _>>()?.into()
    } else if let Ok(map) = value.as_map_ref() {
        map.iter()
            .map(|(key, value)| json(value).map(|value| (key.to_string(), value)))
            .collect::<Result<serde_json::Map<_, _>, _>>()?
            .into()
    } else if let Ok(c) = value.as_char() {
        c.to_string().into()
    } else {
        let message = format!("the answer is a {}, which is no value", value.type_name());
        return Err(EvalError { message, column: 0 });
    })
}

/// Whether anything but a map has a property called `key`, as texts have `len`.
pub(super) fn is_property(key: &str) -> bool {
    let Ok(ast) = ENGINE.compile_expression(format!("x.{key}")) else { return false };
    let samples: [Dynamic; 6] =
        ["a".into(), 1_i64.into(), 0.5.into(), true.into(), 'a'.into(), vec![Dynamic::UNIT].into()];
    samples.into_iter().any(|sample| run(&ast, "", vec![("x", sample)], 0).is_ok())
}
