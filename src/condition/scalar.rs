//! One value out of an event, and how Rhai compares and reckons with it.
//!
//! Every function answers `None` where Rhai would report an error or where this module does not know the answer; the
//! caller then asks Rhai itself. So there is one meaning, and this is only its quick form.

use std::borrow::Cow;

use serde_json::Value;

/// One value out of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar<'a> {
    /// Not there, or `null`; Rhai's `()`.
    #[default]
    Missing,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Str(Cow<'a, str>),
    /// A list of this length.
    Array(usize),
    /// A map.
    Map,
    /// Asked for a key of something that is no map: only Rhai can say what that is.
    Unknown,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// An arithmetic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

impl<'a> Scalar<'a> {
    /// What `value` is.
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Missing,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => match n.as_i64() {
                Some(n) => Self::Int(n),
                None => Self::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Str(Cow::Borrowed(text)),
            Value::Array(list) => Self::Array(list.len()),
            Value::Object(_) => Self::Map,
        }
    }

    /// The same without owning its text.
    #[inline]
    pub fn borrow(&self) -> Scalar<'_> {
        match self {
            Self::Missing => Scalar::Missing,
            Self::Bool(b) => Scalar::Bool(*b),
            Self::Int(n) => Scalar::Int(*n),
            Self::Float(n) => Scalar::Float(*n),
            Self::Str(text) => Scalar::Str(Cow::Borrowed(text)),
            Self::Array(n) => Scalar::Array(*n),
            Self::Map => Scalar::Map,
            Self::Unknown => Scalar::Unknown,
        }
    }

    /// The value as JSON, where it can be said without the event.
    pub fn to_value(&self) -> Option<Value> {
        Some(match self {
            Self::Missing => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Int(n) => Value::from(*n),
            Self::Float(n) => Value::from(*n),
            Self::Str(text) => Value::from(&**text),
            Self::Array(_) | Self::Map | Self::Unknown => return None,
        })
    }
}

/// What `a op b` is in Rhai.
#[inline]
pub fn compare(op: Op, a: &Scalar<'_>, b: &Scalar<'_>) -> Option<bool> {
    use Scalar as S;
    Some(match (a, b) {
        (S::Int(a), S::Int(b)) => ordered(op, a, b),
        (S::Str(a), S::Str(b)) => ordered(op, &**a, &**b),
        (S::Float(a), S::Float(b)) => floats(op, *a, *b),
        (S::Int(a), S::Float(b)) => floats(op, *a as f64, *b),
        (S::Float(a), S::Int(b)) => floats(op, *a, *b as f64),
        (S::Bool(a), S::Bool(b)) => ordered(op, a, b),
        (S::Missing, S::Missing) => op == Op::Eq,
        (S::Unknown, _) | (_, S::Unknown) | (S::Array(_), S::Array(_)) | (S::Map, S::Map) => return None,
        _ => op == Op::Ne,
    })
}

/// What `a op b` is in Rhai, for numbers; an overflow or a division by zero is an error and so `None`.
pub fn reckon(op: Sum, a: &Scalar<'_>, b: &Scalar<'_>) -> Option<Scalar<'static>> {
    let (a, b) = match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => {
            return Some(Scalar::Int(match op {
                Sum::Add => a.checked_add(*b)?,
                Sum::Sub => a.checked_sub(*b)?,
                Sum::Mul => a.checked_mul(*b)?,
                Sum::Div => a.checked_div(*b)?,
                Sum::Rem => a.checked_rem(*b)?,
            }));
        }
        (Scalar::Float(a), Scalar::Float(b)) => (*a, *b),
        (Scalar::Int(a), Scalar::Float(b)) => (*a as f64, *b),
        (Scalar::Float(a), Scalar::Int(b)) => (*a, *b as f64),
        // What is reckoned with a missing number is missing.
        (Scalar::Missing, Scalar::Int(_) | Scalar::Float(_) | Scalar::Missing)
        | (Scalar::Int(_) | Scalar::Float(_), Scalar::Missing) => return Some(Scalar::Missing),
        _ => return None,
    };
    Some(Scalar::Float(match op {
        Sum::Add => a + b,
        Sum::Sub => a - b,
        Sum::Mul => a * b,
        Sum::Div => a / b,
        Sum::Rem => a % b,
    }))
}

#[inline]
fn ordered<T: Ord + ?Sized>(op: Op, a: &T, b: &T) -> bool {
    match op {
        Op::Eq => a == b,
        Op::Ne => a != b,
        Op::Lt => a < b,
        Op::Le => a <= b,
        Op::Gt => a > b,
        Op::Ge => a >= b,
    }
}

/// Rhai compares floats with an epsilon relative to the greater of the two, so `0.1 + 0.2 == 0.3` holds.
#[inline]
fn floats(op: Op, a: f64, b: f64) -> bool {
    let max = if a * b == 0.0 { 1.0 } else { a.abs().max(b.abs()) };
    if max == 0.0 {
        // One of them is not a number; so does Rhai.
        return matches!(op, Op::Eq | Op::Ge | Op::Le);
    }
    let apart = (a - b) / max;
    match op {
        Op::Eq => (a - b).abs() / max <= f64::EPSILON,
        Op::Ne => (a - b).abs() / max > f64::EPSILON,
        Op::Lt => (b - a) / max > f64::EPSILON,
        Op::Le => (b - a) / max > -f64::EPSILON,
        Op::Gt => apart > f64::EPSILON,
        Op::Ge => apart > -f64::EPSILON,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_compare_as_rhai_says_not_as_rust_does() {
        let text = |s: &'static str| Scalar::Str(s.into());
        for (a, op, b, expected) in [
            (Scalar::Int(1), Op::Eq, Scalar::Float(1.0), Some(true)),
            (Scalar::Float(0.1 + 0.2), Op::Eq, Scalar::Float(0.3), Some(true)),
            (Scalar::Float(1e-17), Op::Gt, Scalar::Int(0), Some(false)),
            (Scalar::Missing, Op::Eq, Scalar::Missing, Some(true)),
            (Scalar::Missing, Op::Ge, Scalar::Missing, Some(false)),
            (Scalar::Missing, Op::Ne, Scalar::Int(3), Some(true)),
            (Scalar::Missing, Op::Lt, Scalar::Int(3), Some(false)),
            (text("10"), Op::Eq, Scalar::Int(10), Some(false)),
            (text("a"), Op::Lt, text("b"), Some(true)),
            (Scalar::Array(2), Op::Eq, Scalar::Int(2), Some(false)),
            (Scalar::Array(2), Op::Lt, Scalar::Array(2), None),
        ] {
            assert_eq!(compare(op, &a, &b), expected, "{a:?} {op:?} {b:?}");
        }
        assert_eq!(reckon(Sum::Div, &Scalar::Int(1), &Scalar::Int(0)), None);
        assert_eq!(reckon(Sum::Add, &Scalar::Int(i64::MAX), &Scalar::Int(1)), None);
    }
}
