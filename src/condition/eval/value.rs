//! A value on its way through an evaluation: borrowed from the event where that is possible.

use std::borrow::Cow;
use std::rc::Rc;

use rhai::{Dynamic, ImmutableString};
use serde_json::Value;

use crate::condition::budget::{Budget, Spent, VALUE};
use crate::condition::natives;
use crate::condition::scalar::Scalar;
use crate::condition::script;

/// A value on its way through an evaluation.
#[derive(Clone, Debug)]
pub(super) enum Val<'v> {
    /// A single value: missing, true or false, a number, a text.
    One(Scalar<'v>),
    /// A list or map of the event.
    Json(&'v Value),
    /// A list that the expression made.
    List(Rc<Vec<Val<'v>>>),
    /// A closure, by the name of its function, with the values that it takes along.
    Closure(ImmutableString, Rc<Vec<Val<'v>>>),
    /// Anything else, as Rhai has it: a character, a range, a map that the expression made.
    Other(Dynamic),
}

impl<'v> Val<'v> {
    pub(super) const MISSING: Self = Self::One(Scalar::Missing);

    pub(super) fn json(value: &'v Value) -> Self {
        match value {
            Value::Array(_) | Value::Object(_) => Self::Json(value),
            single => Self::One(Scalar::of(single)),
        }
    }

    /// A text that is borrowed is borrowed again; one that was built is copied, and paid for.
    pub(super) fn copy(&self, budget: &Budget) -> Result<Self, Spent> {
        match self {
            Self::One(Scalar::Str(Cow::Owned(text))) => budget.bytes(text.len() as u64)?,
            Self::Other(value) => budget.bytes(size_of_dynamic(value, budget.work_left()))?,
            _ => {}
        }
        Ok(self.clone())
    }

    pub(super) fn of(value: Dynamic) -> Self {
        if let Ok(text) = value.as_immutable_string_ref() {
            return Self::One(Scalar::Str(Cow::Owned(text.to_string())));
        }
        match natives::scalar(&value) {
            Scalar::Array(_) | Scalar::Map | Scalar::Unknown => Self::Other(value),
            single => Self::One(single),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::One(Scalar::Missing))
    }

    /// As a single value; [`Scalar::Unknown`] where only Rhai can say more.
    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::One(single) => single.borrow(),
            Self::Json(Value::Array(list)) => Scalar::Array(list.len()),
            Self::Json(_) => Scalar::Map,
            Self::List(list) => Scalar::Array(list.len()),
            Self::Other(value) => natives::scalar(value),
            Self::Closure(..) => Scalar::Unknown,
        }
    }

    /// The elements, if it is a list.
    pub(super) fn list(&self, budget: &Budget) -> Result<Option<Elements<'_, 'v>>, Spent> {
        Ok(match self {
            Self::Json(Value::Array(list)) => Some(Elements::Json(list)),
            Self::List(list) => Some(Elements::List(list)),
            Self::Other(value) if value.is_array() => {
                budget.bytes(size_of_dynamic(value, budget.work_left()))?;
                let list = value.clone().into_array().unwrap_or_default();
                Some(Elements::Own(list.into_iter().map(Val::of).collect()))
            }
            _ => None,
        })
    }

    /// About how many bytes it is, and how much work to walk through; no further than `most`.
    pub(super) fn size(&self, most: u64) -> u64 {
        match self {
            Self::One(Scalar::Str(text)) => VALUE + text.len() as u64,
            Self::One(_) | Self::Closure(..) => VALUE,
            Self::Json(value) => size_of_json(value, most),
            Self::List(list) => {
                let mut sum = VALUE;
                for value in list.iter() {
                    sum += value.size(most.saturating_sub(sum));
                    if sum > most {
                        break;
                    }
                }
                sum
            }
            Self::Other(value) => size_of_dynamic(value, most),
        }
    }

    /// The same for Rhai; it is copied, and paid for.
    pub(super) fn dynamic(&self, budget: &Budget) -> Result<Dynamic, Spent> {
        match self {
            Self::List(list) => {
                budget.bytes(VALUE)?;
                Ok(list.iter().map(|x| x.dynamic(budget)).collect::<Result<rhai::Array, _>>()?.into())
            }
            _ => {
                budget.bytes(self.size(budget.work_left()))?;
                Ok(self.paid())
            }
        }
    }

    fn paid(&self) -> Dynamic {
        match self {
            Self::One(Scalar::Str(text)) => (&**text).into(),
            Self::One(single) => natives::back(single),
            Self::Json(value) => script::dynamic(value),
            Self::List(list) => list.iter().map(Self::paid).collect::<rhai::Array>().into(),
            Self::Closure(name, _) => rhai::FnPtr::new(name.clone()).map_or(Dynamic::UNIT, Dynamic::from),
            Self::Other(value) => value.clone(),
        }
    }

    /// The same as JSON; it is copied, and paid for.
    pub(super) fn to_json(&self, budget: &Budget) -> Result<Value, super::Fail> {
        Ok(match self {
            Self::Json(value) => {
                budget.bytes(self.size(budget.work_left()))?;
                (*value).clone()
            }
            Self::List(list) => {
                budget.bytes(VALUE)?;
                list.iter().map(|x| x.to_json(budget)).collect::<Result<Vec<_>, _>>()?.into()
            }
            _ => {
                let value = self.dynamic(budget)?;
                budget.bytes(self.size(budget.work_left()))?;
                script::json(&value).map_err(|error| super::Fail::new(error.message))?
            }
        })
    }
}

/// The elements of a list.
pub(super) enum Elements<'a, 'v> {
    Json(&'v [Value]),
    List(&'a [Val<'v>]),
    Own(Vec<Val<'v>>),
}

impl<'v> Elements<'_, 'v> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Json(list) => list.len(),
            Self::List(list) => list.len(),
            Self::Own(list) => list.len(),
        }
    }

    pub(super) fn get(&self, n: usize, budget: &Budget) -> Result<Val<'v>, Spent> {
        match self {
            Self::Json(list) => Ok(list.get(n).map_or(Val::MISSING, Val::json)),
            Self::List(list) => list.get(n).map_or(Ok(Val::MISSING), |x| x.copy(budget)),
            Self::Own(list) => list.get(n).map_or(Ok(Val::MISSING), |x| x.copy(budget)),
        }
    }
}

/// About how many bytes `value` is, no further than `most`.
pub(in crate::condition) fn size_of_json(value: &Value, most: u64) -> u64 {
    let mut sum = VALUE;
    match value {
        Value::String(text) => sum += text.len() as u64,
        Value::Array(list) => {
            for value in list {
                sum += size_of_json(value, most.saturating_sub(sum));
                if sum > most {
                    break;
                }
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                sum += VALUE + key.len() as u64 + size_of_json(value, most.saturating_sub(sum));
                if sum > most {
                    break;
                }
            }
        }
        _ => {}
    }
    sum
}

fn size_of_dynamic(value: &Dynamic, most: u64) -> u64 {
    let mut sum = VALUE;
    if let Ok(text) = value.as_immutable_string_ref() {
        sum += text.len() as u64;
    } else if let Ok(list) = value.as_array_ref() {
        for value in list.iter() {
            sum += size_of_dynamic(value, most.saturating_sub(sum));
            if sum > most {
                break;
            }
        }
    } else if let Ok(map) = value.as_map_ref() {
        for (key, value) in map.iter() {
            sum += VALUE + key.len() as u64 + size_of_dynamic(value, most.saturating_sub(sum));
            if sum > most {
                break;
            }
        }
    }
    sum
}
