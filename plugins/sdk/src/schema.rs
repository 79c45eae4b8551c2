//! Short words for JSON Schemas of parameters and results, and the check that the host makes with them.
//!
//! ```
//! use paramedic_plugin::schema::*;
//! let fields = [
//!     required("path", string("Where to look.").at_least(1)),
//!     optional("top", integer("How many to list.").between(1, 100)),
//!     optional("pattern", list("Names to take.", string("Such as *.log."))),
//! ];
//! assert_eq!(object(fields)["required"][0], "path");
//! ```

use serde_json::{Map, Value, json};

/// A field of an object.
pub struct Field {
    name: String,
    kind: Kind,
    required: bool,
}

/// What a value is.
pub struct Kind(Map<String, Value>);

/// A field that must be there.
pub fn required(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, required: true }
}

/// A field that may be left out: take it as an `Option`, or with `#[serde(default)]`.
pub fn optional(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, required: false }
}

/// A text.
pub fn string(doc: &str) -> Kind {
    Kind::of("string", doc)
}

/// A whole number.
pub fn integer(doc: &str) -> Kind {
    Kind::of("integer", doc)
}

/// A number.
pub fn number(doc: &str) -> Kind {
    Kind::of("number", doc)
}

/// Yes or no.
pub fn boolean(doc: &str) -> Kind {
    Kind::of("boolean", doc)
}

/// A length of time: a text such as `5s` or `1h30m`, or a number of seconds.
pub fn duration(doc: &str) -> Kind {
    let mut kind = Kind::of("string", doc);
    kind.0.insert("type".into(), json!(["string", "number"]));
    kind.0.insert("format".into(), "duration".into());
    kind
}

/// One of some texts.
pub fn one_of(doc: &str, values: &[&str]) -> Kind {
    let mut kind = Kind::of("string", doc);
    kind.0.insert("enum".into(), json!(values));
    kind
}

/// A list.
pub fn list(doc: &str, of: Kind) -> Kind {
    let mut kind = Kind::of("array", doc);
    kind.0.insert("items".into(), Value::Object(of.0));
    kind
}

/// An object with fields of its own.
pub fn fields<const N: usize>(doc: &str, of: [Field; N]) -> Kind {
    let Value::Object(mut map) = object(of) else { return Kind::of("object", doc) };
    map.insert("description".into(), doc.into());
    Kind(map)
}

/// The schema of an object with these fields and no others.
pub fn object<const N: usize>(fields: [Field; N]) -> Value {
    let needed: Vec<String> = fields.iter().filter(|f| f.required).map(|f| f.name.clone()).collect();
    let properties: Map<String, Value> =
        fields.into_iter().map(|field| (field.name, Value::Object(field.kind.0))).collect();
    json!({ "type": "object", "properties": properties, "required": needed, "additionalProperties": false })
}

impl Kind {
    fn of(kind: &str, doc: &str) -> Self {
        let mut map = Map::new();
        map.insert("type".into(), kind.into());
        map.insert("description".into(), doc.into());
        Self(map)
    }

    /// The least number, length of a text, or number of items.
    #[must_use]
    pub fn at_least(self, n: u64) -> Self {
        self.bound("minimum", "minLength", "minItems", n)
    }

    /// The most.
    #[must_use]
    pub fn at_most(self, n: u64) -> Self {
        self.bound("maximum", "maxLength", "maxItems", n)
    }

    /// Both bounds.
    #[must_use]
    pub fn between(self, low: u64, high: u64) -> Self {
        self.at_least(low).at_most(high)
    }

    fn bound(mut self, number: &str, text: &str, items: &str, n: u64) -> Self {
        let key = match self.0.get("type").and_then(Value::as_str) {
            Some("string") => text,
            Some("array") => items,
            _ => number,
        };
        self.0.insert(key.into(), n.into());
        self
    }
}

/// Checks `value` as the host does before it calls an action: types, required and unknown fields, bounds, enumerations.
///
/// # Errors
/// In words that name the place.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, value, "the whole")
}

fn at(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{place} is {value}: expected {what}"));
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(value, kind)) {
        return wrong(kinds.join(" or "));
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        return wrong(format!("one of {}", schema["enum"]));
    }
    let (size, low, high) = match value {
        Value::String(text) => (Some(text.chars().count() as f64), "minLength", "maxLength"),
        Value::Array(items) => (Some(items.len() as f64), "minItems", "maxItems"),
        _ => (value.as_f64(), "minimum", "maximum"),
    };
    if let (Some(size), Some(low)) = (size, schema[low].as_f64())
        && size < low
    {
        return wrong(format!("at least {low}"));
    }
    if let (Some(size), Some(high)) = (size, schema[high].as_f64())
        && size > high
    {
        return wrong(format!("at most {high}"));
    }
    if let (Value::Array(items), false) = (value, schema["items"].is_null()) {
        for (i, item) in items.iter().enumerate() {
            at(&schema["items"], item, &format!("{place}[{i}]"))?;
        }
    }
    let Value::Object(fields) = value else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            return Err(format!("`{name}` is missing in {place}"));
        }
    }
    for (name, value) in fields {
        match &schema["properties"][name] {
            Value::Null if schema["additionalProperties"] == false => {
                return Err(format!("`{name}` is not known in {place}"));
            }
            // What a script leaves unset comes as null.
            Value::Null => {}
            _ if value.is_null() => {}
            inner => at(inner, value, &format!("`{name}`"))?,
        }
    }
    Ok(())
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}
