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
    let level = if level == "warn" { "warning" } else { level };
    if !LEVELS.contains(&level) {
        let hint =
            nearest(level, LEVELS).map_or_else(|| LEVELS.join(", "), |it| format!("did you mean `{it}`?"));
        return Err(invalid(&at, format!("log knows no level `{level}`: {hint}")));
    }
    let text = text.to_string();
    if text.len() > MAX_LINE {
        return Err(invalid(&at, format!("log: a line of {} bytes, the limit is {MAX_LINE}", text.len())));
    }
    burst::answer(&at, StepKind::Log, "", json!({ "level": level, "text": text }), |_, _| Value::Null)
}

fn metric(at: NativeCallContext, name: &str, value: Dynamic) -> Result<Dynamic, Thrown> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(fits) {
        return Err(invalid(&at, format!("metric: `{name}` is no name: use letters, digits and . _ - :")));
    }
    let number =
        value.as_int().map(|it| it as f64).or_else(|_| value.as_float()).ok().filter(|it| it.is_finite());
    let number = number.ok_or_else(|| invalid(&at, format!("metric {name}: `{value}` is not a number")))?;
    burst::answer(&at, StepKind::Metric, name, json!({ "value": number }), |_, _| Value::Null)
}

/// A line by `print` or `debug`, which cannot fail by themselves.
fn say(level: &str, text: &str) {
    if text.len() > MAX_LINE {
        let text = format!("a printed line of {} bytes, the limit is {MAX_LINE}", text.len());
        return burst::end(End::Failed(Failure::new("budget", text)));
    }
    burst::note(StepKind::Log, "", json!({ "level": level, "text": text }));
}
