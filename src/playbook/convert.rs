//! JSON to Rhai's values and back. Must not lose anything silently: what JSON cannot hold is an error.

use rhai::{Array, Dynamic, Map};
use serde_json::{Number, Value};

/// Deepest nesting that goes from a script into the journal; what serde_json reads back is 128.
const MAX_DEPTH: usize = 100;

/// Why a script's value cannot be kept as JSON.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A function, a range, a time stamp…
    #[error("a value of type {0} cannot be kept: use text, numbers, true or false, lists and maps")]
    Type(String),
    /// NaN or infinite.
    #[error("the number {0} cannot be kept: JSON has no such number")]
    Number(f64),
    /// Deeper than [`MAX_DEPTH`].
    #[error("the value is nested deeper than {MAX_DEPTH} levels")]
    Depth,
}

/// What a script sees of `value`; whole numbers beyond 64 bits signed become floats.
pub fn to_script(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(it) => (*it).into(),
        Value::Number(it) => match it.as_i64() {
            Some(whole) => whole.into(),
            None => it.as_f64().unwrap_or(f64::MAX).into(),
        },
        Value::String(it) => it.as_str().into(),
        Value::Array(items) => items.iter().map(to_script).collect::<Array>().into(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.as_str().into(), to_script(value))).collect::<Map>().into()
        }
    }
}

/// The JSON of a script's value.
///
/// # Errors
/// When JSON has nothing like it.
pub fn to_json(value: &Dynamic) -> Result<Value, Error> {
    json(value, 0)
}

fn json(value: &Dynamic, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Depth);
    }
    if value.is_shared() {
        return json(&value.flatten_clone(), depth);
    }
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(it) = value.as_bool() {
        return Ok(it.into());
    }
    if let Ok(it) = value.as_int() {
        return Ok(it.into());
    }
    if let Ok(it) = value.as_float() {
        return Number::from_f64(it).map(Value::Number).ok_or(Error::Number(it));
    }
    if let Ok(it) = value.as_immutable_string_ref() {
        return Ok(it.as_str().into());
    }
    if let Ok(it) = value.as_char() {
        return Ok(it.to_string().into());
    }
    if let Ok(items) = value.as_array_ref() {
        return items
            .iter()
            .map(|item| json(item, depth + 1))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array);
    }
    if let Ok(map) = value.as_map_ref() {
        return map
            .iter()
            .map(|(key, value)| Ok((key.to_string(), json(value, depth + 1)?)))
            .collect::<Result<serde_json::Map<_, _>, _>>()
            .map(Value::Object);
    }
    Err(Error::Type(value.type_name().into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_comes_back_as_it_went_in() {
        for value in [
            json!(null),
            json!(true),
            json!(-3),
            json!(i64::MAX),
            json!(0.25),
            json!("ü\u{0}"),
            json!([1, [2, {"a": null}]]),
            json!({"": {"b": [1.5]}}),
        ] {
            assert_eq!(to_json(&to_script(&value)).unwrap(), value);
        }
        assert_eq!(to_json(&to_script(&json!(u64::MAX))).unwrap(), json!(u64::MAX as f64));
    }

    #[test]
    fn what_json_cannot_hold_is_refused_by_name() {
        assert!(to_json(&Dynamic::from_float(f64::NAN)).unwrap_err().to_string().contains("NaN"));
        assert!(to_json(&Dynamic::from_timestamp(std::time::Instant::now())).is_err());
        let mut deep = Dynamic::UNIT;
        for _ in 0..200 {
            deep = Dynamic::from_array(vec![deep]);
        }
        assert!(matches!(to_json(&deep), Err(Error::Depth)));
    }
}
