//! What scripts can call: one file a topic. Each call is a step in the journal; none does anything by itself.

pub mod act;
mod chance;
pub mod note;
pub mod wait;

use rhai::{Dynamic, Engine, Map, NativeCallContext};
use serde_json::Value;

use super::burst::Thrown;
use super::{convert, failure};
use crate::model::{Failure, Span};

/// Every host function, with the numbers of arguments it takes.
pub const FUNCTIONS: [(&str, &[usize]); 14] = [
    ("act", &[2, 3]),
    ("all", &[1, 2]),
    ("continue_as_new", &[1]),
    ("steps", &[0]),
    ("sleep", &[1]),
    ("wait_for", &[2, 3, 4]),
    ("ask", &[3, 4]),
    ("emit", &[2]),
    ("metric", &[2]),
    ("log", &[2]),
    ("now", &[0]),
    ("random", &[0]),
    ("uuid", &[0]),
    ("fail", &[1]),
];

/// Makes them known to `engine`.
pub fn register(engine: &mut Engine) {
    act::register(engine);
    wait::register(engine);
    note::register(engine);
    chance::register(engine);
}

/// Throws that a call was written wrongly.
fn invalid(at: &NativeCallContext, text: impl Into<String>) -> Thrown {
    failure::throw(&Failure::new("invalid", text), at.call_position())
}

/// A length of time, as text or as a number of seconds.
fn span(at: &NativeCallContext, what: &str, value: &Dynamic) -> Result<Span, Thrown> {
    time(value).map_err(|why| invalid(at, format!("{what}: {why}")))
}

/// The length of time that `value` is: text, or a number of seconds.
///
/// # Errors
/// Why it is none.
pub fn time(value: &Dynamic) -> Result<Span, String> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Span::parse(&text).map_err(|error| error.to_string());
    }
    let seconds = value.as_int().map(|it| it as f64).or_else(|_| value.as_float());
    seconds.ok().and_then(Span::from_secs_f64).ok_or_else(|| {
        format!("`{value}` is not a length of time: write 30s, 5m, 1h30m, or a number of seconds")
    })
}

/// The one option `name`, true or false, that `what` knows.
fn flag(at: &NativeCallContext, what: &str, name: &str, options: &mut Map) -> Result<bool, Thrown> {
    let value = options.remove(name);
    if let Some(other) = options.keys().next() {
        return Err(invalid(at, format!("{what} knows no option `{other}`: there is `{name}`")));
    }
    let wrong = |value: &Dynamic| invalid(at, format!("{what}: {name}: `{value}` is not true or false"));
    value.map_or(Ok(false), |value| value.as_bool().map_err(|_| wrong(&value)))
}

/// The JSON of an argument.
fn json(at: &NativeCallContext, what: &str, value: &Dynamic) -> Result<Value, Thrown> {
    convert::to_json(value).map_err(|error| invalid(at, format!("{what}: {error}")))
}
