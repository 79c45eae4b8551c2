//! What parameters a playbook takes: their types, defaults and meaning, and the check of what it is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Failure, Span};

/// The parameters of a playbook, by name.
pub type Params = BTreeMap<String, Param>;

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// What it must be.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What it is where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether one must be given.
    #[serde(default)]
    pub required: bool,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
}

/// A parameter's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A length of time such as `30s`, or a number of seconds.
    Duration,
    /// A list of anything.
    List,
    /// A map of anything.
    Map,
}

impl Kind {
    /// Every type, as people write it.
    pub const NAMES: [&str; 7] = ["string", "int", "float", "bool", "duration", "list", "map"];

    /// The type that people call `name`.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(Value::String(name.into())).ok()
    }

    /// Why `value` is not of this type.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(self, value: &Value) -> Result<(), String> {
        let (fits, wanted) = match self {
            Self::String => (value.is_string(), "text"),
            Self::Int => (value.is_i64(), "a whole number"),
            Self::Float => (value.is_number(), "a number"),
            Self::Bool => (value.is_boolean(), "true or false"),
            Self::Duration => {
                (serde_json::from_value::<Span>(value.clone()).is_ok(), "a length of time such as 30s or 5m")
            }
            Self::List => (value.is_array(), "a list"),
            Self::Map => (value.is_object(), "a map"),
        };
        if fits { Ok(()) } else { Err(format!("{value} is not {wanted}")) }
    }
}

/// `given` with defaults filled in. A parameter that is not declared is passed on as it is: the parameters of a rule
/// reach every playbook that it may choose.
///
/// # Errors
/// When one is of the wrong type, or a required one is missing; all are named.
pub fn check(params: &Params, given: &Map<String, Value>) -> Result<Map<String, Value>, Failure> {
    let mut filled = given.clone();
    let mut wrong = Vec::new();
    for (name, param) in params {
        match filled.get(name).filter(|it| !it.is_null()) {
            Some(value) => {
                wrong.extend(param.kind.check(value).err().map(|why| format!("parameter `{name}`: {why}")))
            }
            None if param.required && param.default.is_none() => {
                wrong.push(format!("parameter `{name}` is missing"))
            }
            None => {
                filled.insert(name.clone(), param.default.clone().unwrap_or(Value::Null));
            }
        }
    }
    if wrong.is_empty() { Ok(filled) } else { Err(Failure::new("invalid", wrong.join("; "))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_given_wrongly_is_named_before_anything_is_done() {
        let params: Params = serde_json::from_value(json!({
            "grace": { "type": "duration", "default": "5s" },
            "by": { "type": "int", "required": true },
            "names": { "type": "list" },
        }))
        .unwrap();
        let check = |given: Value| check(&params, given.as_object().unwrap());
        assert_eq!(
            Value::Object(check(json!({"by": 1, "other": true})).unwrap()),
            json!({"by": 1, "grace": "5s", "names": null, "other": true})
        );
        for (given, text) in [
            (json!({}), "parameter `by` is missing"),
            (json!({"by": 1.5}), "parameter `by`: 1.5 is not a whole number"),
            (
                json!({"by": 1, "grace": "soon"}),
                "parameter `grace`: \"soon\" is not a length of time such as 30s or 5m",
            ),
            (json!({"names": 3}), "parameter `by` is missing; parameter `names`: 3 is not a list"),
        ] {
            assert_eq!(check(given).unwrap_err().message, text);
        }
    }
}
