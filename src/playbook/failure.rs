//! From Rhai's errors to failures that say where and what, and back to what a script can catch. What they say stands in
//! [`words`].

mod words;

use rhai::{Dynamic, EvalAltResult, Map, Position};
use serde_json::Value;

use super::burst::Thrown;
use crate::model::{Failure, StepKind};

/// A failure as a script catches it: `#{kind, action, message, retryable}`.
pub fn throw(failure: &Failure, position: Position) -> Thrown {
    let map: Map = [
        ("kind", Dynamic::from(failure.kind.clone())),
        ("action", failure.action.clone().into()),
        ("message", failure.message.clone().into()),
        ("retryable", failure.retryable.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.into(), value))
    .collect();
    Box::new(EvalAltResult::ErrorRuntime(map.into(), position))
}

/// The failure that `error`, uncaught, makes of a run of `file`.
pub fn uncaught(error: &EvalAltResult, file: &str) -> Failure {
    let (inner, source) = innermost(error, file);
    let place = place(source, inner.position());
    let failure = match inner {
        EvalAltResult::ErrorRuntime(value, _) => thrown(value),
        EvalAltResult::ErrorTooManyOperations(_)
        | EvalAltResult::ErrorTooManyVariables(_)
        | EvalAltResult::ErrorTooManyModules(_)
        | EvalAltResult::ErrorStackOverflow(_)
        | EvalAltResult::ErrorDataTooLarge(..) => Failure::new("budget", words::of(inner)),
        _ => Failure::new("script", words::of(inner)),
    };
    let call =
        if failure.action.is_empty() { String::new() } else { format!(", act(\"{}\")", failure.action) };
    Failure { message: format!("{} ({place}{call})", failure.message), ..failure }
}

/// Whether `error`, however wrapped, is one that Rhai itself does not let a script catch: a spent budget.
pub fn is_final(error: &EvalAltResult) -> bool {
    innermost(error, "").0.is_system_exception()
}

/// Where the script was when `error` arose.
pub fn where_it_was(error: &EvalAltResult, file: &str) -> String {
    let (inner, source) = innermost(error, file);
    place(source, inner.position())
}

/// The place of the outermost call that led to `error`, as far as known.
pub fn outermost(mut error: &EvalAltResult) -> Position {
    loop {
        let position = error.position();
        match error {
            _ if !position.is_none() => return position,
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
            | EvalAltResult::ErrorInModule(_, inner, _) => {
                error = inner;
            }
            _ => return position,
        }
    }
}

/// `file:line:column`, as far as known.
pub fn place(file: &str, position: Position) -> String {
    match (position.line(), position.position()) {
        (Some(line), column) => format!("{file}:{line}:{}", column.unwrap_or(1)),
        _ => file.into(),
    }
}

/// A call in words, short enough for a message.
pub fn describe(kind: StepKind, name: &str, request: &Value) -> String {
    /// Longest request in a message.
    const MAX: usize = 200;
    let kind =
        serde_json::to_value(kind).ok().and_then(|it| it.as_str().map(String::from)).unwrap_or_default();
    let mut request = if request.is_null() { String::new() } else { request.to_string() };
    if request.chars().count() > MAX {
        request = request.chars().take(MAX).chain("…".chars()).collect();
    }
    match name {
        "" => format!("`{kind}({request})`"),
        name if request.is_empty() => format!("`{kind}({name})`"),
        name => format!("`{kind}({name}, {request})`"),
    }
}

fn innermost<'a>(mut error: &'a EvalAltResult, file: &'a str) -> (&'a EvalAltResult, &'a str) {
    let mut source = file;
    loop {
        match error {
            EvalAltResult::ErrorInFunctionCall(_, at, inner, _) => {
                if !at.is_empty() {
                    source = at;
                }
                error = inner;
            }
            EvalAltResult::ErrorInModule(at, inner, _) => {
                source = at;
                error = inner;
            }
            _ => return (error, source),
        }
    }
}

/// What a script threw: a caught failure thrown again keeps its kind, anything else is `failed`.
fn thrown(value: &Dynamic) -> Failure {
    if let Ok(map) = value.as_map_ref()
        && let Some(message) = map.get("message")
    {
        let text = |key: &str| map.get(key).filter(|it| it.is_string()).map(ToString::to_string);
        return Failure {
            kind: text("kind").filter(|kind| !kind.is_empty()).unwrap_or_else(|| "failed".into()),
            action: text("action").unwrap_or_default(),
            message: message.to_string(),
            retryable: map.get("retryable").and_then(|it| it.as_bool().ok()).unwrap_or(false),
        };
    }
    Failure::new("failed", value.to_string())
}
