//! `log`, `metric`, `print`, `debug`: what a playbook says about itself, answered on the spot.

use rhai::{Dynamic, Engine, NativeCallContext};
use serde_json::{Value, json};

use super::invalid;
use crate::model::diagnostic::nearest;
use crate::model::{Failure, StepKind};
use crate::playbook::burst::{self, End, Thrown};

const LEVELS: [&str; 4] = ["debug", "info", "warning", "error"];
/// Longest log line, in bytes; what is longer belongs into a result.
const MAX_LINE: usize = 16 * 1024;

/// Makes them known to `engine`.
pub fn register(engine: &mut Engine) {
    engine.register_fn("log", log);
    engine.register_fn("metric", metric);
    engine.on_print(|text| say("info", text));
    engine.on_debug(|text, _, _| say("debug", text));
}

fn log(at: NativeCallContext, level: &str, text: Dynamic) -> Result<Dynamic, Thrown> {
    let level = known_level(level).map_err(|(why, hint)| invalid(&at, format!("{why}: {hint}")))?;
    let text = text.to_string();
    if text.len() > MAX_LINE {
        return Err(invalid(&at, format!("log: a line of {} bytes, the limit is {MAX_LINE}", text.len())));
    }
    burst::answer(&at, StepKind::Log, "", json!({ "level": level, "text": text }), |_, _| Value::Null)
}

fn metric(at: NativeCallContext, name: &str, value: Dynamic) -> Result<Dynamic, Thrown> {
    if !is_metric(name) {
        return Err(invalid(&at, format!("metric: `{name}` is no name: use letters, digits and . _ - :")));
    }
    let number =
        value.as_int().map(|it| it as f64).or_else(|_| value.as_float()).ok().filter(|it| it.is_finite());
    let number = number.ok_or_else(|| invalid(&at, format!("metric {name}: `{value}` is not a number")))?;
    burst::answer(&at, StepKind::Metric, name, json!({ "value": number }), |_, _| Value::Null)
}

/// The level that is meant by `level`.
///
/// # Errors
/// That there is none, and what to do about it.
pub fn known_level(level: &str) -> Result<&str, (String, String)> {
    let level = if level == "warn" { "warning" } else { level };
    if LEVELS.contains(&level) {
        return Ok(level);
    }
    let hint = match nearest(&level.to_lowercase(), LEVELS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", LEVELS.join(", ")),
    };
    Err((format!("log knows no level `{level}`"), hint))
}

/// Whether `name` can be that of a measurement.
pub fn is_metric(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    !name.is_empty() && name.len() <= 128 && name.chars().all(fits)
}

/// A line by `print` or `debug`, which cannot fail by themselves.
fn say(level: &str, text: &str) {
    if text.len() > MAX_LINE {
        let text = format!("a printed line of {} bytes, the limit is {MAX_LINE}", text.len());
        return burst::end(End::Failed(Failure::new("budget", text)));
    }
    burst::note(StepKind::Log, "", json!({ "level": level, "text": text }));
}
