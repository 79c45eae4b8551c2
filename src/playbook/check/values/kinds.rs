//! What kinds of value an expression may have: a set, for one that is `()` where nothing came, or may be any number.

use serde_json::Value;

use super::literal::Kind;

/// A set of kinds. Nothing is known of what has them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

const ALL: [Kind; 9] = [
    Kind::Nothing,
    Kind::Bool,
    Kind::Int,
    Kind::Float,
    Kind::Text,
    Kind::Char,
    Kind::List,
    Kind::Map,
    Kind::Function,
];

impl Kinds {
    /// It takes a run to know.
    pub const ANY: Self = Self(u16::MAX);
    /// Whole numbers and others.
    pub const NUMBER: Self = Self(1 << Kind::Int as u16 | 1 << Kind::Float as u16);

    /// Only this kind.
    pub fn of(kind: Kind) -> Self {
        if kind == Kind::Any { Self::ANY } else { Self(1 << kind as u16) }
    }

    /// What JSON Schema says of a value that may be missing.
    pub fn of_schema(schema: &Value) -> Self {
        let one = |name: &str| match name {
            "string" => Self::of(Kind::Text),
            "boolean" => Self::of(Kind::Bool),
            "integer" | "number" => Self::NUMBER,
            "array" => Self::of(Kind::List),
            "object" => Self::of(Kind::Map),
            "null" => Self::of(Kind::Nothing),
            _ => Self::ANY,
        };
        let found = match (schema.get("type"), schema.get("enum").and_then(Value::as_array)) {
            (Some(Value::String(name)), _) => one(name),
            (Some(Value::Array(names)), _) => names
                .iter()
                .map(|it| it.as_str().map_or(Self::ANY, one))
                .reduce(Self::or)
                .unwrap_or(Self::ANY),
            (_, Some(values)) if !values.is_empty() && values.iter().all(Value::is_string) => {
                Self::of(Kind::Text)
            }
            _ => Self::ANY,
        };
        found.or(Self::of(Kind::Nothing))
    }

    /// Those of either.
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All but `()`.
    pub fn there(self) -> Self {
        if self == Self::ANY { self } else { Self(self.0 & !Self::of(Kind::Nothing).0) }
    }

    /// Whether nothing is known.
    pub fn is_any(self) -> bool {
        self == Self::ANY
    }

    /// Whether `kind` is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & Self::of(kind).0 != 0
    }

    /// Whether there is no other kind than those of `other`.
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The kind, if there is only one.
    pub fn one(self) -> Option<Kind> {
        ALL.into_iter().find(|kind| self == Self::of(*kind))
    }

    /// Whether a value of these can never be equal to one of `other`, nor before or after it. Numbers are compared
    /// with numbers, and a character with text.
    pub fn never_meet(self, other: Self) -> bool {
        self.wide().0 & other.wide().0 == 0
    }

    fn wide(self) -> Self {
        let text = Self::of(Kind::Text).or(Self::of(Kind::Char));
        [Self::NUMBER, text].into_iter().fold(
            self,
            |all, same| {
                if all.0 & same.0 == 0 { all } else { all.or(same) }
            },
        )
    }

    /// In words, as in "this is text".
    pub fn words(self) -> String {
        let number = self.0 & Self::NUMBER.0 == Self::NUMBER.0;
        let there = if self == Self::of(Kind::Nothing) { self } else { self.there() };
        let kinds = ALL.into_iter().filter(|kind| there.has(*kind) && !(number && *kind == Kind::Float));
        kinds.map(Kind::words).collect::<Vec<_>>().join(" or ")
    }
}
