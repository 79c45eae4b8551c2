//! `sleep`, `wait_for`, `ask`, `emit`: waiting for time, for an event, for a person; sending an event.

use rhai::{Array, Dynamic, Engine, Map, NativeCallContext};
use serde_json::json;

use super::{flag, invalid, json, span};
use crate::condition;
use crate::model::{Pattern, StepKind, Time, Topic};
use crate::playbook::burst::{self, Thrown};
use crate::playbook::request::Request;

/// Answers that a person can choose from.
pub const MAX_CHOICES: usize = 20;

/// Makes them known to `engine`.
pub fn register(engine: &mut Engine) {
    // Rhai's own `sleep`, which blocks the thread, has these two signatures.
    engine.register_fn("sleep", |at: NativeCallContext, secs: i64| sleep(&at, secs.into()));
    engine.register_fn("sleep", |at: NativeCallContext, secs: f64| sleep(&at, secs.into()));
    engine.register_fn("sleep", |at: NativeCallContext, text: &str| sleep(&at, text.into()));
    engine.register_fn("wait_for", |at: NativeCallContext, pattern: &str, timeout: Dynamic| {
        wait_for(&at, pattern, Dynamic::UNIT, timeout, Map::new())
    });
    engine.register_fn(
        "wait_for",
        |at: NativeCallContext, pattern: &str, when: Dynamic, timeout: Dynamic| {
            wait_for(&at, pattern, when, timeout, Map::new())
        },
    );
    engine.register_fn(
        "wait_for",
        |at: NativeCallContext, pattern: &str, when: Dynamic, timeout: Dynamic, options: Map| {
            wait_for(&at, pattern, when, timeout, options)
        },
    );
    engine.register_fn("ask", |at: NativeCallContext, question: &str, choices: Array, timeout: Dynamic| {
        ask(&at, question, choices, timeout, Map::new())
    });
    engine.register_fn(
        "ask",
        |at: NativeCallContext, question: &str, choices: Array, timeout: Dynamic, options: Map| {
            ask(&at, question, choices, timeout, options)
        },
    );
    engine.register_fn("emit", emit);
}

fn sleep(at: &NativeCallContext, time: Dynamic) -> Result<Dynamic, Thrown> {
    let time = span(at, "sleep", &time)?;
    burst::suspend(at, StepKind::Sleep, "", json!({ "time": time }), Request::Sleep(time))
}

fn wait_for(
    at: &NativeCallContext,
    pattern: &str,
    when: Dynamic,
    timeout: Dynamic,
    mut options: Map,
) -> Result<Dynamic, Thrown> {
    Pattern::try_new(pattern).map_err(|error| invalid(at, format!("wait_for: {error}")))?;
    let timeout = span(at, "wait_for", &timeout)?;
    let when = match when {
        it if it.is_unit() => None,
        it if it.is_string() => Some(it.to_string()).filter(|text| !text.trim().is_empty()),
        it => return Err(invalid(at, format!("wait_for: the condition `{it}` is not text"))),
    };
    if let Some(text) = &when {
        condition::compile(text, &["target"])
            .map_err(|error| invalid(at, format!("wait_for: the condition `{text}`: {error}")))?;
    }
    let since = since(at, &mut options)?;
    let mut request = json!({ "when": when, "timeout": timeout });
    if let Some(since) = since {
        request["since"] = json!(since);
    }
    let effect = Request::WaitFor { pattern: pattern.into(), when, timeout, since };
    burst::suspend(at, StepKind::WaitFor, pattern, request, effect)
}

/// The option `since` of `wait_for`.
fn since(at: &NativeCallContext, options: &mut Map) -> Result<Option<Time>, Thrown> {
    let value = options.remove("since");
    if let Some(other) = options.keys().next() {
        return Err(invalid(at, format!("wait_for knows no option `{other}`: there is `since`")));
    }
    let Some(value) = value else { return Ok(None) };
    let text = value.as_immutable_string_ref().ok();
    let time = text.and_then(|text| chrono::DateTime::parse_from_rfc3339(&text).ok());
    let wrong =
        || format!("wait_for: since: `{value}` is not a time such as `now()` or `ctx.event.time` gives");
    time.map(|time| Some(time.to_utc())).ok_or_else(|| invalid(at, wrong()))
}

fn ask(
    at: &NativeCallContext,
    question: &str,
    choices: Array,
    timeout: Dynamic,
    mut options: Map,
) -> Result<Dynamic, Thrown> {
    let details = flag(at, "ask", "details", &mut options)?;
    let timeout = span(at, "ask", &timeout)?;
    if question.trim().is_empty() || choices.len() > MAX_CHOICES {
        return Err(invalid(at, format!("ask: give a question, and at most {MAX_CHOICES} choices")));
    }
    let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
    let mut request = json!({ "question": question, "choices": choices, "timeout": timeout });
    if details {
        request["details"] = true.into();
    }
    let effect = Request::Ask { question: question.into(), choices, timeout, details };
    burst::suspend(at, StepKind::Ask, "", request, effect)
}

fn emit(at: NativeCallContext, topic: &str, data: Dynamic) -> Result<Dynamic, Thrown> {
    Topic::try_new(topic).map_err(|error| invalid(&at, format!("emit: {error}")))?;
    let data = json(&at, "emit", &data)?;
    let effect = Request::Emit { topic: topic.into(), data: data.clone() };
    burst::suspend(&at, StepKind::Emit, topic, json!({ "data": data }), effect)
}
