//! Whether calls of actions fit what the actions take, where that is written out.
//!
//! Names are known whenever a map is written out; values where they are, too. The rest is checked when the call is made.

use rhai::{Expr, FnCallExpr};
use serde_json::{Map, Value};

use super::literal::{Kind, fields, items, text, value};
use super::range;
use crate::actions::{Spec, check_schema};
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;
use crate::playbook::program::File;

/// What `act` itself takes beside the parameters.
const OPTIONS: [&str; 4] = ["timeout", "retries", "backoff", "key"];

/// The actions that `call` names, each with its parameters if they stand there: one for `act`, any number for `all`.
pub fn wishes(call: &FnCallExpr) -> Vec<(&Expr, Option<&Expr>)> {
    match (call.name.as_str(), call.args.first()) {
        ("act", Some(name)) => vec![(name, call.args.get(1))],
        ("all", Some(list)) => items(list).into_iter().flatten().filter_map(wish).collect(),
        _ => Vec::new(),
    }
}

fn wish(item: &Expr) -> Option<(&Expr, Option<&Expr>)> {
    let field = |name: &str| fields(item)?.find(|(key, ..)| *key == name).map(|(.., it)| it);
    Some((field("action")?, field("params")))
}

/// What of `call`, a host function, does not fit the actions among `known` that it names.
pub fn check(file: &File, call: &FnCallExpr, known: &[Spec], found: &mut Vec<Diagnostic>) {
    for (name, params) in wishes(call) {
        let spec = text(name).and_then(|name| known.iter().find(|spec| spec.name == name));
        if let (Some(spec), Some(params)) = (spec, params) {
            one(file, spec, params, found);
        }
    }
}

fn one(file: &File, spec: &Spec, params: &Expr, found: &mut Vec<Diagnostic>) {
    let Some(given) = fields(params) else { return };
    let given: Vec<_> = given.collect();
    let none = Map::new();
    let takes = spec.params.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let closed = spec.params.get("additionalProperties") == Some(&Value::Bool(false));
    let mut wrong = |at, text: String, help: String| {
        found.push(Diagnostic::error("P0220", &file.path, &file.text, at, text).help(help));
    };
    let listed = || takes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut misspelt = Vec::new();
    for (key, position, expr) in &given {
        let Some(schema) = takes.get(*key) else {
            if closed {
                let help = match nearest(key, takes.keys().map(String::as_str)) {
                    _ if OPTIONS.contains(key) => {
                        format!("it is an option: `act(\"{}\", #{{ … }}, #{{ {key}: … }})`", spec.name)
                    }
                    // Any three letters are near to any others.
                    Some(near) if key.len() > 3 => {
                        misspelt.push(near);
                        format!("did you mean `{near}`?")
                    }
                    _ if takes.is_empty() => "it takes none".into(),
                    _ => format!("there are {}", listed()),
                };
                let text = format!("`{}` takes no parameter `{key}`", spec.name);
                wrong(range(&file.text, *position), text, help);
            }
            continue;
        };
        if let Err(why) = fits(key, schema, expr) {
            let (why, help) = match why.split_once(": ") {
                Some((why, help)) => (why.to_string(), help.to_string()),
                None => (why, format!("see `paramedic actions show {}`", spec.name)),
            };
            wrong(range(&file.text, expr.start_position()), format!("`{}`: {why}", spec.name), help);
        }
    }
    let required = spec.params.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        let there = given.iter().any(|(key, _, it)| *key == name && Kind::of(it) != Kind::Nothing);
        if !there && !misspelt.contains(&name) {
            let doc = takes.get(name).and_then(|it| it.get("description")).and_then(Value::as_str);
            let doc = doc.map(|it| format!(" ({it})")).unwrap_or_default();
            let text = format!("`{}` needs the parameter `{name}`{doc}", spec.name);
            wrong(range(&file.text, params.start_position()), text, format!("add `{name}: …`"));
        }
    }
}

/// Whether `expr` can be what `schema` wants of the parameter `key`.
fn fits(key: &str, schema: &Value, expr: &Expr) -> Result<(), String> {
    let kind = Kind::of(expr);
    if kind == Kind::Function {
        return Err(format!("`{key}` is a function: give text, a number, true or false, a list or a map"));
    }
    let wanted: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    // `()` is a parameter that is not given.
    match kind.in_schema() {
        Some(names)
            if !wanted.is_empty() && kind != Kind::Nothing && !names.iter().any(|it| wanted.contains(it)) =>
        {
            let words: Vec<&str> = wanted.iter().map(|it| in_words(it)).collect();
            return Err(format!("`{key}` is {}: give {}", kind.words(), words.join(" or ")));
        }
        _ => {}
    }
    let Some(value) = value(expr) else { return Ok(()) };
    let schema = serde_json::json!({ "properties": { key: schema } });
    check_schema(&schema, &serde_json::json!({ key: value }))
}

/// A type of JSON Schema as playbooks have it.
fn in_words(kind: &str) -> &str {
    match kind {
        "string" => "text in quotes",
        "array" => "a list, such as `[\"a\", \"b\"]`",
        "object" => "a map, such as `#{ name: 1 }`",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}
