//! What scripts can call: one file a topic. Each call is a step in the journal; none does anything by itself.

mod act;
mod chance;
mod note;
mod wait;

use rhai::{Dynamic, Engine, NativeCallContext};
use serde_json::Value;

use super::burst::Thrown;
use super::{convert, failure};
use crate::model::{Failure, Span};

/// Every host function, with the numbers of arguments it takes.
pub const FUNCTIONS: [(&str, &[usize]); 12] = [
    ("act", &[2, 3]),
    ("all", &[1]),
    ("sleep", &[1]),
    ("wait_for", &[2, 3]),
    ("ask", &[3]),
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
    let wrong = |text: String| invalid(at, format!("{what}: {text}"));
    if let Ok(text) = value.as_immutable_string_ref() {
        return Span::parse(&text).map_err(|error| wrong(error.to_string()));
    }
    let seconds = value.as_int().map(|it| it as f64).or_else(|_| value.as_float());
    seconds.ok().and_then(Span::from_secs_f64).ok_or_else(|| {
        wrong(format!("`{value}` is not a length of time: write 30s, 5m, 1h30m, or a number of seconds"))
    })
}

/// The JSON of an argument.
fn json(at: &NativeCallContext, what: &str, value: &Dynamic) -> Result<Value, Thrown> {
    convert::to_json(value).map_err(|error| invalid(at, format!("{what}: {error}")))
}
