//! What is wrong with an expression, where, and what to write instead.

mod slips;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position};

use super::builtin::Builtin;
use super::patterns::Pattern;
use super::{Error, closures, functions, times, tokens};
use crate::model::diagnostic::nearest;

/// Operators that an expression may use.
const OPERATORS: &[&str] = &[
    "+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">=", "!", "..", "..=", "&", "|", "^", "<<",
    ">>", "contains",
];

/// Checks that `expr`, and the closures of `ast` that stand in it, call and read nothing but what they may.
pub(super) fn allowed(text: &str, ast: &AST, expr: &Expr, vars: &[&str]) -> Result<(), Error> {
    for body in closures::bodies(ast) {
        let seen: Vec<&str> = vars.iter().copied().chain(body.params.iter().map(String::as_str)).collect();
        match (body.expression(), &body.statements[..]) {
            (Some(expr), _) => walk(text, &expr, &seen)?,
            (None, statements) => {
                let at = statements.first().map_or(0..text.len(), |s| token(text, s.position()));
                let help = match &text[at.clone()] {
                    "=" => "write `==` to compare",
                    _ => "write it as in `data.disks.any(|d| d.used > 90)`",
                };
                return Err(Error::new(at, "a closure is one expression").help(help));
            }
        }
    }
    walk(text, expr, vars)
}

fn walk(text: &str, expr: &Expr, vars: &[&str]) -> Result<(), Error> {
    let mut wrong = None;
    expr.walk(&mut Vec::new(), &mut |nodes| {
        let inside = nodes.iter().any(|node| matches!(node, ASTNode::Stmt(_)));
        wrong = match nodes.last() {
            // What Rhai makes of a closure's captured variables; nobody can write it.
            Some(ASTNode::Expr(Expr::Stmt(block))) if closures::captures(block).is_some() => None,
            Some(ASTNode::Expr(Expr::FnCall(call, _))) if inside && call.name == "curry" => None,
            Some(ASTNode::Expr(expr)) => node(text, expr, vars).err(),
            Some(ASTNode::Stmt(_)) if inside => None,
            _ => Some(Error::new(0..text.len(), "statements are not allowed in an expression")),
        };
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
            Err(Error::new(at.clone(), format!("unknown name `{name}`")).help(match name {
                "null" | "nil" | "none" | "None" => "a missing field is `()`: compare with that".into(),
                "True" | "TRUE" | "yes" => "did you mean `true`?".into(),
                "False" | "FALSE" | "no" => "did you mean `false`?".into(),
                "payload" | "body" | "msg" | "message" | "labels" => {
                    "the payload of an event is `data`".into()
                }
                "type" => "did you mean `topic`?".into(),
                _ => match (slips::dashed(text, at.start), nearest(name, vars.iter().copied())) {
                    (Some(field), _) => format!("if the `-` belongs to the name of a field, write `{field}`"),
                    (None, Some(near)) => format!("did you mean `{near}`?"),
                    (None, None) => format!("write `data.{name}` for a field, or \"{name}\" for a text"),
                },
            }))
        }
        Expr::FnCall(call, _) | Expr::MethodCall(call, _) => {
            let name = call.name.as_str();
            if call.is_qualified() {
                return Err(Error::new(at, "an expression cannot use modules"));
            }
            if call.op_token.is_some() && OPERATORS.contains(&name) || name == "truth" {
                return Ok(());
            }
            if let Some(function) = functions::find(name) {
                let given = call.args.len() + usize::from(matches!(expr, Expr::MethodCall(..)));
                return if (function.least..=function.most).contains(&given) {
                    literals(text, call, given)
                } else {
                    let error = Error::new(at, format!("`{name}` does not take {given} values"));
                    Err(error.help(format!("write `{}`", function.usage)))
                };
            }
            let error = Error::new(at, format!("`{name}` cannot be called in an expression"));
            Err(error.help(match (instead(name), nearest(name, functions::names())) {
                (Some(instead), _) => instead.to_owned(),
                (None, Some(near)) => format!("did you mean `{near}`?"),
                (None, None) => {
                    format!("it may call {}", functions::names().collect::<Vec<_>>().join(", "))
                }
            }))
        }
        Expr::ThisPtr(_) => Err(Error::new(at, "there is no `this` in an expression")),
        Expr::Stmt(_) if text[at.clone()] == *"if" => Err(slips::branch(at)),
        Expr::Stmt(_) => Err(Error::new(at, "blocks are not allowed in an expression")),
        _ => Ok(()),
    }
}

pub(super) fn explain(text: &str, error: &rhai::ParseError) -> Error {
    use rhai::ParseErrorType as P;
    let mut at = token(text, error.position());
    if error.position().is_none() {
        at = text.len()..text.len();
    }
    if let Some(slip) = slips::find(text, at.start, &error.0) {
        return slip;
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
        (P::MissingToken(token, _), _) if token.len() == 1 => Some(format!("close it with `{token}`")),
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
pub(super) fn token(text: &str, position: Position) -> std::ops::Range<usize> {
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

/// Checks the patterns and time zones that are written out.
fn literals(text: &str, call: &FnCallExpr, args: usize) -> Result<(), Error> {
    let Some(Expr::StringConstant(literal, at)) = call.args.last() else { return Ok(()) };
    let wrong = match Builtin::named(&call.name, args) {
        Some(Builtin::Matches(kind)) => Pattern::compile(kind, literal).err().map(|error| {
            let help = if error.contains("look-around") || error.contains("backreference") {
                "patterns run in linear time, so these are not there: ask in two parts, with `&&` and `!`"
            } else {
                "in a text between double quotes `\\` is written twice; between backticks once"
            };
            Error::new(0..0, format!("this is no pattern: {error}")).help(help)
        }),
        Some(Builtin::Part(_)) if args == 2 => times::zone(literal).err().map(|e| Error::new(0..0, e)),
        _ => None,
    };
    wrong.map_or(Ok(()), |mut error| {
        let start = token(text, *at).start;
        error.at = start..tokens::skip(text, start).unwrap_or(start);
        Err(error)
    })
}

/// What to write instead of a function that other languages have.
fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "now" | "timestamp" | "today" => {
            "a condition has no clock: `time` is the event's, and `age(x)` the seconds from x to it"
        }
        "regex" | "match" | "search" | "is_match" => "write `text.matches(\"pattern\")`",
        "glob" | "fnmatch" => "write `text.like(\"a*\")`",
        "some" => "write `list.any(|x| …)`",
        "every" => "write `list.all(|x| …)`",
        "find" => "write `list.filter(|x| …).first()`",
        "lower" | "lowercase" | "downcase" => "write `to_lower`",
        "upper" | "uppercase" | "upcase" => "write `to_upper`",
        "size" | "length" => "write `len`",
        "ceil" => "write `ceiling`",
        "mean" | "average" => "write `avg`",
        "defined" | "is_defined" | "has" => "write `exists(x)`",
        _ => return None,
    })
}
