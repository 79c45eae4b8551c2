//! Rhai itself: one shared engine, what an expression may call, evaluation under limits.
//!
//! The engine has no files, no modules, no printing, no clock; an expression cannot define or change anything.

use std::sync::LazyLock;

use rhai::{AST, Dynamic, Engine, Expr, OptimizationLevel, Position, Scope, Stmt};
use serde_json::Value;

use super::{Error, EvalError};
use crate::model::diagnostic::nearest;

/// Functions and methods that an expression may call; all are pure and cheap.
const FUNCTIONS: &[&str] = &[
    "abs",
    "ceiling",
    "contains",
    "ends_with",
    "exists",
    "floor",
    "index_of",
    "is_empty",
    "is_missing",
    "keys",
    "len",
    "max",
    "min",
    "parse_float",
    "parse_int",
    "round",
    "split",
    "starts_with",
    "sub_string",
    "to_float",
    "to_int",
    "to_lower",
    "to_string",
    "to_upper",
    "type_of",
    "values",
];

/// Operators that an expression may use.
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">=", "!", "..", "..=", "&", "|", "^", "<<",
    ">>", "contains",
];

/// Most operations of one evaluation: some milliseconds, so that a rule cannot hold up the rest.
const MAX_OPERATIONS: u64 = 20_000;
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
        .set_max_functions(0)
        .set_max_modules(0)
        .set_max_string_size(MAX_STRING)
        .set_max_array_size(MAX_ITEMS)
        .set_max_map_size(MAX_ITEMS)
        .set_allow_anonymous_fn(false)
        .set_allow_looping(false)
        .set_allow_statement_expression(false)
        .disable_symbol("eval")
        .on_print(|_| {})
        .on_debug(|_, _, _| {});
    // A missing field is `()`, and so is everything below it; asking it anything is no error.
    engine
        .register_indexer_get(|_: &mut (), _: &str| Dynamic::UNIT)
        .register_indexer_get(|_: &mut (), _: i64| Dynamic::UNIT)
        .register_fn("len", |(): ()| 0_i64)
        .register_fn("is_empty", |(): ()| true)
        .register_fn("contains", |(): (), _: Dynamic| false)
        .register_fn("starts_with", |(): (), _: Dynamic| false)
        .register_fn("ends_with", |(): (), _: Dynamic| false)
        .register_fn("is_missing", |value: Dynamic| value.is_unit())
        .register_fn("exists", |value: Dynamic| !value.is_unit());
    engine
});

/// Compiles `text` and checks that it calls and reads nothing but what it may.
pub(super) fn parse(text: &str, vars: &[&str]) -> Result<(AST, Expr), Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::new(0..text.len(), format!("the expression is longer than {MAX_TEXT} bytes")));
    }
    let ast = ENGINE.compile_expression(text).map_err(|error| explain(text, &error))?;
    let expr = match ast.statements() {
        [Stmt::Expr(expr)] => (**expr).clone(),
        [Stmt::FnCall(call, at)] => Expr::FnCall(call.clone(), *at),
        [] => return Err(Error::new(0..text.len(), "the expression is empty")),
        [first, ..] => return Err(Error::new(token(text, first.position()), "this is not an expression")),
    };
    allowed(text, &expr, vars)?;
    Ok((ast, expr))
}

/// Runs `ast` over the variables.
pub(super) fn run(ast: &AST, vars: Vec<(&str, Dynamic)>) -> Result<Dynamic, EvalError> {
    let mut scope = Scope::with_capacity(vars.len());
    for (name, value) in vars {
        scope.push_dynamic(name, value);
    }
    ENGINE.eval_ast_with_scope::<Dynamic>(&mut scope, ast).map_err(|error| {
        let mut error = *error;
        let position = error.take_position();
        EvalError { message: error.to_string(), column: position.position().unwrap_or(0) }
    })
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
    samples.into_iter().any(|sample| run(&ast, vec![("x", sample)]).is_ok())
}

fn allowed(text: &str, expr: &Expr, vars: &[&str]) -> Result<(), Error> {
    let mut wrong = None;
    expr.walk(&mut Vec::new(), &mut |nodes| {
        let Some(rhai::ASTNode::Expr(expr)) = nodes.last() else {
            wrong = Some(Error::new(0..text.len(), "statements are not allowed in an expression"));
            return false;
        };
        wrong = node(text, expr, vars).err();
        wrong.is_none()
    });
    wrong.map_or(Ok(()), Err)
}

fn node(text: &str, expr: &Expr, vars: &[&str]) -> Result<(), Error> {
    let at = token(text, expr.position());
    match expr {
        Expr::Variable(x, ..) => {
            let name = x.1.as_str();
            if !x.2.is_empty() {
                return Err(Error::new(at, "an expression cannot use modules"));
            }
            if vars.contains(&name) {
                return Ok(());
            }
            let known = vars.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
            Err(Error::new(at, format!("unknown name `{name}`")).help(match name {
                "null" | "nil" | "none" | "None" => "a missing field is `()`: compare with that".into(),
                _ => match nearest(name, vars.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("an expression sees {known}; fields of the payload are `data.{name}`"),
                },
            }))
        }
        Expr::FnCall(call, _) | Expr::MethodCall(call, _) => {
            let name = call.name.as_str();
            if call.is_qualified() {
                return Err(Error::new(at, "an expression cannot use modules"));
            }
            if (call.op_token.is_some() && OPERATORS.contains(&name)) || FUNCTIONS.contains(&name) {
                return Ok(());
            }
            Err(Error::new(at, format!("`{name}` cannot be called in an expression")).help(
                match nearest(name, FUNCTIONS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it may call {}", FUNCTIONS.join(", ")),
                },
            ))
        }
        Expr::ThisPtr(_) => Err(Error::new(at, "there is no `this` in an expression")),
        Expr::Stmt(_) => Err(Error::new(at, "blocks are not allowed in an expression")),
        _ => Ok(()),
    }
}

fn explain(text: &str, error: &rhai::ParseError) -> Error {
    use rhai::ParseErrorType as P;
    let mut at = token(text, error.position());
    if error.position().is_none() {
        at = text.len()..text.len();
    }
    let word = &text[at.clone()];
    let before = text[..at.start].trim_end();
    let help = match (&*error.0, word) {
        (P::Reserved(name), _) if before.ends_with('.') => {
            Some(format!("write `[\"{name}\"]` for a field of that name"))
        }
        (_, "and") => Some("write `&&`".to_owned()),
        (_, "or") => Some("write `||`".to_owned()),
        (_, "not") => Some("write `!`".to_owned()),
        (_, "null" | "nil" | "void") => Some("a missing field is `()`: compare with that".to_owned()),
        (_, "=") => Some("write `==` to compare".to_owned()),
        (P::UnexpectedEOF, _) => Some("something is missing at the end".to_owned()),
        _ => None,
    };
    let message = match &*error.0 {
        P::UnexpectedEOF => "the expression is incomplete".to_owned(),
        kind => {
            let message = kind.to_string();
            let mut chars = message.chars();
            chars.next().map_or(String::new(), |c| c.to_lowercase().chain(chars).collect())
        }
    };
    let error = Error::new(at, message);
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

/// The byte range of the word or symbol at `position`.
fn token(text: &str, position: Position) -> std::ops::Range<usize> {
    let (Some(line), Some(column)) = (position.line(), position.position().or(Some(1))) else {
        return 0..text.len();
    };
    let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = &text[line_start..];
    let start = line_start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(i, _)| i);
    let word = text[start..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - start);
    let next = text[start..].chars().next().map_or(0, char::len_utf8);
    start..start + if word == 0 { next } else { word }
}
