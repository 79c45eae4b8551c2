//! What people write in a header for what is called otherwise there.

use serde_json::Value;

use crate::model::Span;
use crate::playbook::params::Kind;
use crate::rules::yaml::{self, Node};

/// The risk that is meant by `given`.
pub fn risk(given: &str) -> Option<&'static str> {
    Some(match given {
        "none" | "safe" | "minimal" | "minor" | "small" | "0" => "low",
        "normal" | "moderate" | "middle" | "mid" | "default" => "medium",
        "extreme" | "critical" | "severe" | "dangerous" | "major" | "very high" => "high",
        _ => return None,
    })
}

/// The type of a parameter that is meant by `given`.
pub fn kind(given: &str) -> Option<&'static str> {
    Some(match given.to_lowercase().as_str() {
        "str" | "text" | "string" => "string",
        "integer" | "number" | "i64" | "int" | "uint" => "int",
        "double" | "decimal" | "f64" | "real" | "float" => "float",
        "boolean" | "flag" | "bool" => "bool",
        "time" | "timespan" | "seconds" | "interval" | "span" | "timedelta" | "duration" => "duration",
        "array" | "strings" | "list[string]" | "vec" | "slice" | "list" => "list",
        "object" | "dict" | "hash" | "json" | "struct" | "map" => "map",
        _ => return None,
    })
}

/// What to do about a key of a header that is none.
pub fn key(given: &str) -> Option<&'static str> {
    Some(match given.to_lowercase().as_str() {
        "name" | "id" | "playbook" => "a playbook is called like its file: take the line out",
        "description" | "doc" | "summary" | "title" | "about" => {
            "what the playbook does stands above the `---`"
        }
        "retries" | "retry" | "attempts" | "backoff" => {
            "how often is said at the call, `act(…, …, #{ retries: 3 })`, or in the rule"
        }
        "parameters" | "inputs" | "input" | "args" | "arguments" | "vars" | "variables" => "write `params`",
        "allow" | "allowed" | "uses" | "permissions" | "allow_actions" => "write `actions`",
        "duration" | "deadline" | "max_time" | "ttl" => "write `timeout`",
        "severity" | "danger" | "impact" => "write `risk`",
        "trigger" | "on" | "when" | "topic" | "rule" | "rules" | "event" => {
            "when a playbook runs is said by a rule, in a file below `rules`"
        }
        "steps" | "tasks" | "run" | "verify" | "rollback" => {
            "what is done stands below, in `fn run(ctx) { … }`"
        }
        _ => return None,
    })
}

/// What to do about a key of a parameter that is none.
pub fn param_key(given: &str) -> Option<&'static str> {
    Some(match given.to_lowercase().as_str() {
        "description" | "help" | "desc" | "comment" => "write `doc`",
        "kind" | "format" => "write `type`",
        "optional" => "without `required: true` a parameter is optional: take it out",
        "value" | "fallback" | "init" => "write `default`",
        _ => return None,
    })
}

/// How a list of actions is written that stands as something else.
pub fn list(value: &Node) -> String {
    match &value.kind {
        yaml::Kind::Text(text) if matches!(text.trim(), "all" | "any" | "*") => {
            "name each action that it may call, such as [kernel.restart, kernel.health]".into()
        }
        yaml::Kind::Text(text) if text.len() <= 100 => {
            let names =
                text.split([',', ' ', '(', ')']).filter(|it| !it.is_empty()).collect::<Vec<_>>().join(", ");
            format!("write `[{names}]`")
        }
        yaml::Kind::Null => "write `[]` for none, or such as [kernel.restart, kernel.health]".into(),
        yaml::Kind::Map(map) if map.len() <= 5 => {
            format!(
                "write `[{}]`",
                map.iter().map(|(key, _)| key.name.as_str()).collect::<Vec<_>>().join(", ")
            )
        }
        _ => "write such as [kernel.restart, kernel.health]".into(),
    }
}

/// How a default of this type is written.
pub fn default(kind: Kind, given: &Value) -> String {
    let text = given.as_str().unwrap_or_default();
    match kind {
        Kind::String => format!("put it in quotes: \"{given}\""),
        Kind::Int if text.trim().parse::<i64>().is_ok() => format!("write {} without quotes", text.trim()),
        Kind::Float if text.trim().parse::<f64>().is_ok() => format!("write {} without quotes", text.trim()),
        Kind::Int | Kind::Float if Span::parse(text).is_ok() => "call its type `duration`".into(),
        Kind::Int => "write such as 3".into(),
        Kind::Float => "write such as 0.5".into(),
        Kind::Bool => "write `true` or `false`, without quotes".into(),
        Kind::Duration => "write such as 30s, 5m or 1h30m".into(),
        Kind::List => "write such as [a, b], and [] for none".into(),
        Kind::Map => "write such as { a: 1 }, and {} for none".into(),
    }
}

/// What to do about YAML that cannot be read, where its reader has no advice, or there are `two` keys in a line.
pub fn unread(message: &str, two: bool) -> Option<String> {
    let help = match message {
        _ if two => "write each key on a line of its own",
        it if it.contains("is not closed") => "close it; each key begins a line of its own",
        it if it.contains("block sequence") => {
            "write `[a, b]`, or each `- a` on a line of its own below the key"
        }
        it if it.contains("expected key") => "write each key on a line of its own",
        _ => "look here for a comma, quote or bracket that is missing or too many",
    };
    Some(help.into())
}
