//! What can be known of an expression without running it: its value if it is written out, else perhaps its type.
//!
//! Must never guess: what is not certain is [`Kind::Any`].

use rhai::{Dynamic, Expr};
use serde_json::{Map, Value};

use crate::playbook::convert;

/// What an expression gives, as far as that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `()`.
    Nothing,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Any other number.
    Float,
    /// A text.
    Text,
    /// One character between single quotes, which is no text.
    Char,
    /// A list.
    List,
    /// A map.
    Map,
    /// A closure.
    Function,
    /// It takes a run to know.
    Any,
}

impl Kind {
    /// What `expr` gives.
    pub fn of(expr: &Expr) -> Self {
        match expr {
            Expr::Unit(_) => Self::Nothing,
            Expr::BoolConstant(..) | Expr::And(..) | Expr::Or(..) => Self::Bool,
            Expr::IntegerConstant(..) => Self::Int,
            Expr::FloatConstant(..) => Self::Float,
            Expr::StringConstant(..) | Expr::InterpolatedString(..) => Self::Text,
            Expr::CharConstant(..) => Self::Char,
            Expr::Array(..) => Self::List,
            Expr::Map(..) => Self::Map,
            Expr::DynamicConstant(value, _) => Self::of_value(value),
            _ => Self::Any,
        }
    }

    fn of_value(value: &Dynamic) -> Self {
        match value {
            it if it.is_unit() => Self::Nothing,
            it if it.is_bool() => Self::Bool,
            it if it.is_int() => Self::Int,
            it if it.is_float() => Self::Float,
            it if it.is_string() => Self::Text,
            it if it.is_char() => Self::Char,
            it if it.is_array() => Self::List,
            it if it.is_map() => Self::Map,
            it if it.is_fnptr() => Self::Function,
            // A value of which only the kind is known, as it stands where it was found.
            it => it.clone().try_cast::<Self>().unwrap_or(Self::Any),
        }
    }

    /// In words, as in "this is a list".
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "`()`",
            Self::Bool => "true or false",
            Self::Int => "a number",
            Self::Float => "a number with a fraction",
            Self::Text => "text",
            Self::Char => "a character, as it stands between single quotes",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Function => "a function",
            Self::Any => "unknown",
        }
    }

    /// What JSON Schema calls it; none if no value of it can be kept.
    pub fn in_schema(self) -> Option<&'static [&'static str]> {
        Some(match self {
            Self::Nothing => &["null"],
            Self::Bool => &["boolean"],
            Self::Int => &["integer", "number"],
            Self::Float => &["number", "integer"],
            Self::Text | Self::Char => &["string"],
            Self::List => &["array"],
            Self::Map => &["object"],
            Self::Function | Self::Any => return None,
        })
    }
}

/// The value of `expr`, if all of it is written out.
pub fn value(expr: &Expr) -> Option<Value> {
    match expr {
        Expr::Unit(_) => Some(Value::Null),
        Expr::BoolConstant(it, _) => Some((*it).into()),
        Expr::IntegerConstant(it, _) => Some((*it).into()),
        Expr::FloatConstant(it, _) => serde_json::Number::from_f64(**it).map(Value::Number),
        Expr::StringConstant(it, _) => Some(it.as_str().into()),
        Expr::CharConstant(it, _) => Some(it.to_string().into()),
        Expr::DynamicConstant(it, _) => convert::to_json(it).ok(),
        Expr::Array(items, _) => items.iter().map(value).collect::<Option<Vec<_>>>().map(Value::Array),
        Expr::Map(map, _) => {
            let fields = map.0.iter().map(|(key, it)| Some((key.name.to_string(), value(it)?)));
            fields.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        _ => None,
    }
}

/// The text of `expr`, if it is written out.
pub fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::StringConstant(it, _) => Some(it.as_str()),
        _ => None,
    }
}

/// The fields of a map that is written out, with the places of their names; their values may be anything.
pub fn fields(expr: &Expr) -> Option<impl Iterator<Item = (&str, rhai::Position, &Expr)>> {
    match expr {
        Expr::Map(map, _) => Some(map.0.iter().map(|(key, it)| (key.name.as_str(), key.pos, it))),
        _ => None,
    }
}

/// The items of a list that is written out.
pub fn items(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Array(items, _) => Some(items),
        _ => None,
    }
}
