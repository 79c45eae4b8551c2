//! Checks values against the part of JSON Schema that actions use, and reads checked parameters.
//!
//! Understood: `type` (one or a list), `required`, `properties`, `additionalProperties`, `enum`, `minimum`, `maximum`,
//! `minLength`, `maxLength`, `items`, `minItems`, `maxItems`, and `format: duration` (`5s`, or a number of seconds).
//! Other keywords are not looked at.

use serde_json::{Map, Value};

use crate::model::Span;

/// Checks `value` against `schema`. `Err` names the place and says what was expected.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    check_at(schema, value, "")
}

/// The text of a parameter that the schema says is one.
pub(super) fn text<'a>(params: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str)
}

/// The length of time of a parameter that the schema says is one.
pub(super) fn span(params: &Map<String, Value>, name: &str) -> Option<Span> {
    params.get(name).and_then(to_span)
}

/// The whole number of a parameter that the schema says is one, and not negative.
pub(super) fn number(params: &Map<String, Value>, name: &str) -> Option<u64> {
    params.get(name).and_then(|value| value.as_u64().or_else(|| value.as_f64().map(|f| f as u64)))
}

/// The texts of a list parameter.
pub(super) fn texts(params: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = params.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn to_span(value: &Value) -> Option<Span> {
    match value {
        Value::String(text) => Span::parse(text).ok(),
        Value::Number(number) => number.as_f64().and_then(Span::from_secs_f64),
        _ => None,
    }
}

fn check_at(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(schema) = schema else {
        return if schema == &Value::Bool(false) {
            Err(format!("{} is not allowed", place(at)))
        } else {
            Ok(())
        };
    };
    check_type(schema, value, at)?;
    if let Some(Value::Array(allowed)) = schema.get("enum")
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(brief).collect();
        return Err(format!("{} is {}: use one of {}", place(at), brief(value), allowed.join(", ")));
    }
    if schema.get("format").and_then(Value::as_str) == Some("duration") && to_span(value).is_none() {
        return Err(format!(
            "{} is {}: expected a length of time such as 5s or 1m30s",
            place(at),
            brief(value)
        ));
    }
    match value {
        Value::Number(number) => check_bounds(schema, number.as_f64(), "", value, at),
        Value::String(text) => {
            let length = text.chars().count() as f64;
            check_bounds(schema, Some(length), "Length", value, at)
        }
        Value::Array(items) => {
            check_bounds(schema, Some(items.len() as f64), "Items", value, at)?;
            let each = schema.get("items");
            let check = |(i, item)| each.map_or(Ok(()), |each| check_at(each, item, &format!("{at}[{i}]")));
            items.iter().enumerate().try_for_each(check)
        }
        Value::Object(fields) => check_fields(schema, fields, at),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn check_type(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let allowed: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = |name: &&str| match *name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    };
    if allowed.iter().any(is) {
        return Ok(());
    }
    Err(format!("{} is {}: expected {}", place(at), brief(value), allowed.join(" or ")))
}

/// `what` is empty for a number's own bounds.
fn check_bounds(
    schema: &Map<String, Value>,
    size: Option<f64>,
    what: &str,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let Some(size) = size else { return Ok(()) };
    let (low, high) = if what.is_empty() {
        ("minimum".into(), "maximum".into())
    } else {
        (format!("min{what}"), format!("max{what}"))
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let unit = match what {
        "Length" => " characters",
        "Items" => " items",
        _ => "",
    };
    if let Some(least) = bound(&low).filter(|least| size < *least) {
        return Err(format!("{} is {}: expected at least {least}{unit}", place(at), brief(value)));
    }
    if let Some(most) = bound(&high).filter(|most| size > *most) {
        return Err(format!("{} is {}: expected at most {most}{unit}", place(at), brief(value)));
    }
    Ok(())
}

fn check_fields(schema: &Map<String, Value>, fields: &Map<String, Value>, at: &str) -> Result<(), String> {
    let inner = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let none = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            let doc = known.get(name).and_then(|s| s.get("description")).and_then(Value::as_str);
            let doc = doc.map(|doc| format!(": {doc}")).unwrap_or_default();
            return Err(format!("{} is missing{doc}", place(&inner(name))));
        }
    }
    for (name, value) in fields {
        match (known.get(name), schema.get("additionalProperties")) {
            // What a script leaves unset comes as null.
            (Some(_), _) if value.is_null() => {}
            (Some(schema), _) => check_at(schema, value, &inner(name))?,
            (None, Some(Value::Bool(false))) => {
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                let known = if known.is_empty() {
                    "there are none".into()
                } else {
                    format!("there are {}", known.join(", "))
                };
                return Err(format!("{} is not a parameter: {known}", place(&inner(name))));
            }
            (None, Some(schema)) => check_at(schema, value, &inner(name))?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn place(at: &str) -> String {
    if at.is_empty() { "the whole".into() } else { format!("`{at}`") }
}

/// A value short enough for a message.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wrong_parameter_is_named_with_what_was_expected() {
        let schema = json!({
            "type": "object", "required": ["kernel"], "additionalProperties": false,
            "properties": {
                "kernel": { "type": "string", "minLength": 1, "description": "which kernel" },
                "grace": { "type": ["string", "number"], "format": "duration" },
                "n": { "type": "integer", "minimum": 1, "maximum": 9 },
                "level": { "enum": ["info", "warning"] },
                "argv": { "type": "array", "minItems": 1, "items": { "type": "string" } },
                "env": { "type": "object", "additionalProperties": { "type": "string" } },
            }
        });
        for (value, expected) in [
            (
                json!({ "kernel": "k", "grace": "5s", "n": 9.0, "level": "info", "argv": ["x"], "env": {"A": "b"} }),
                "",
            ),
            (json!({ "kernel": "k", "grace": 2.5, "n": null }), ""),
            (json!({}), "`kernel` is missing: which kernel"),
            (json!({ "kernel": null }), "`kernel` is missing: which kernel"),
            (json!({ "kernel": "" }), "`kernel` is \"\": expected at least 1 characters"),
            (json!({ "kernel": 7 }), "`kernel` is 7: expected string"),
            (json!({ "kernel": "k", "grace": "soon" }), "`grace` is \"soon\": expected a length of time"),
            (json!({ "kernel": "k", "n": 10 }), "`n` is 10: expected at most 9"),
            (json!({ "kernel": "k", "n": 1.5 }), "`n` is 1.5: expected integer"),
            (
                json!({ "kernel": "k", "level": "bad" }),
                "`level` is \"bad\": use one of \"info\", \"warning\"",
            ),
            (json!({ "kernel": "k", "argv": [] }), "`argv` is []: expected at least 1 items"),
            (json!({ "kernel": "k", "argv": ["a", 1] }), "`argv[1]` is 1: expected string"),
            (json!({ "kernel": "k", "env": { "A": 1 } }), "`env.A` is 1: expected string"),
            (json!({ "kernal": "k", "kernel": "k" }), "`kernal` is not a parameter: there are argv, env"),
            (json!([]), "the whole is []: expected object"),
        ] {
            match (check(&schema, &value), expected) {
                (Ok(()), "") => {}
                (Err(problem), expected) if !expected.is_empty() => {
                    assert!(problem.starts_with(expected), "{value}: {problem}");
                }
                (found, _) => panic!("{value}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
