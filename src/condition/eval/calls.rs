//! The functions and operators that are evaluated here; what they do not know is asked of Rhai.

use std::borrow::Cow;

use rhai::{Expr, FnCallExpr};
use serde_json::Value;

use super::value::{Elements, Val};
use super::{Eval, Fail};
use crate::condition::budget::ELEMENT;
use crate::condition::builtin::{Builtin, kind};
use crate::condition::patterns::{Kind, Pattern};
use crate::condition::scalar::{Op, Scalar, Sum, compare, reckon};

impl<'v> Eval<'v> {
    /// What the function or operator of `call` is for `args`, the one before the dot first.
    pub(super) fn call(&self, call: &'v FnCallExpr, args: Vec<Val<'v>>) -> Result<Val<'v>, Fail> {
        let name = call.name.as_str();
        let (this, other) = match &args[..] {
            [this] => (this, None),
            [this, other, ..] => (this, Some(other)),
            [] => return self.named(name, args),
        };
        if let (Some(Val::Closure(closure, captured)), 2) = (other, args.len())
            && let Some(answer) = self.quantify(name, this, closure, captured)?
        {
            return Ok(answer);
        }
        let known = match (other, args.len()) {
            (None, _) => self.unary(name, this)?,
            (Some(other), 2) => self.binary(name, this, other)?,
            (Some(part), _) => self.replace(name, this, part, args.get(2))?,
        };
        if let Some(known) = known {
            return Ok(known);
        }
        if let Some(builtin) = Builtin::named(name, args.len())
            && let Some(known) =
                self.builtin(builtin, &args, matches!(call.args.last(), Some(Expr::StringConstant(..))))?
        {
            return Ok(known);
        }
        self.named(name, args)
    }

    fn unary(&self, name: &str, this: &Val<'v>) -> Result<Option<Val<'v>>, Fail> {
        let count = |n: usize| Val::One(Scalar::Int(i64::try_from(n).unwrap_or(i64::MAX)));
        let text = match this {
            Val::One(Scalar::Str(text)) => Some(text),
            _ => None,
        };
        Ok(Some(match name {
            "truth" => match this {
                Val::One(Scalar::Bool(_)) => this.clone(),
                Val::One(Scalar::Missing) => Val::One(Scalar::Bool(false)),
                other => return Err(Fail::new(other.is_no_question())),
            },
            "exists" => Val::One(Scalar::Bool(!this.is_missing())),
            "is_missing" => Val::One(Scalar::Bool(this.is_missing())),
            "!" => match this {
                Val::One(Scalar::Bool(b)) => Val::One(Scalar::Bool(!b)),
                _ => return Ok(None),
            },
            "-" => match this {
                Val::One(Scalar::Int(n)) if *n != i64::MIN => Val::One(Scalar::Int(-n)),
                Val::One(Scalar::Float(n)) => Val::One(Scalar::Float(-n)),
                Val::One(Scalar::Missing) => Val::MISSING,
                _ => return Ok(None),
            },
            "len" | "is_empty" => {
                let n = match (this, text) {
                    (_, Some(text)) => {
                        self.budget.work(text.len() as u64)?;
                        text.chars().count()
                    }
                    (Val::One(Scalar::Missing), _) => 0,
                    (Val::Json(Value::Object(map)), _) => map.len(),
                    _ => match this.list(self.budget)? {
                        Some(list) => list.len(),
                        None => return Ok(None),
                    },
                };
                if name == "len" { count(n) } else { Val::One(Scalar::Bool(n == 0)) }
            }
            "to_lower" | "to_upper" => match text {
                Some(text) => {
                    // A letter may become three.
                    self.budget.bytes(text.len() as u64 * 3)?;
                    let changed = if name == "to_lower" { text.to_lowercase() } else { text.to_uppercase() };
                    Val::One(Scalar::Str(changed.into()))
                }
                None => return Ok(None),
            },
            "first" | "last" => match (this.list(self.budget)?, this) {
                (Some(list), _) if list.len() == 0 => Val::MISSING,
                (Some(list), _) => list.get(if name == "first" { 0 } else { list.len() - 1 }, self.budget)?,
                (None, Val::One(_) | Val::Json(_)) => this.copy(self.budget)?,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        }))
    }

    fn binary(&self, name: &str, this: &Val<'v>, other: &Val<'v>) -> Result<Option<Val<'v>>, Fail> {
        let texts = match (this, other) {
            (Val::One(Scalar::Str(a)), Val::One(Scalar::Str(b))) => Some((a, b)),
            _ => None,
        };
        let op = match name {
            "==" => Some(Op::Eq),
            "!=" => Some(Op::Ne),
            "<" => Some(Op::Lt),
            "<=" => Some(Op::Le),
            ">" => Some(Op::Gt),
            ">=" => Some(Op::Ge),
            _ => None,
        };
        if let Some(op) = op {
            if let Some((a, b)) = texts {
                self.budget.work(a.len().min(b.len()) as u64 / 8)?;
            }
            let (a, b) = (this.scalar(), other.scalar());
            if let (Scalar::Array(a), Scalar::Array(b), Op::Eq | Op::Ne) = (&a, &b, op)
                && a != b
            {
                return Ok(Some(Val::One(Scalar::Bool(op == Op::Ne))));
            }
            return Ok(compare(op, &a, &b).map(|holds| Val::One(Scalar::Bool(holds))));
        }
        if let ("+", Some((a, b))) = (name, texts) {
            self.budget.bytes((a.len() + b.len()) as u64)?;
            return Ok(Some(Val::One(Scalar::Str([&**a, &**b].concat().into()))));
        }
        let sum = match name {
            "+" => Some(Sum::Add),
            "-" => Some(Sum::Sub),
            "*" => Some(Sum::Mul),
            "/" => Some(Sum::Div),
            "%" => Some(Sum::Rem),
            _ => None,
        };
        if let Some(sum) = sum {
            return Ok(reckon(sum, &this.scalar(), &other.scalar()).map(Val::One));
        }
        match (name, texts) {
            ("contains" | "starts_with" | "ends_with", Some((text, part))) => {
                // Two-way search: linear in both.
                self.budget.work((text.len() + part.len()) as u64 * 2)?;
                Ok(Some(Val::One(Scalar::Bool(match name {
                    "contains" => text.contains(&**part),
                    "starts_with" => text.starts_with(&**part),
                    _ => text.ends_with(&**part),
                }))))
            }
            ("contains", None) => self.contains(this, other),
            _ => Ok(None),
        }
    }

    /// `x in list`, and whether a map has a key.
    fn contains(&self, this: &Val<'v>, item: &Val<'v>) -> Result<Option<Val<'v>>, Fail> {
        let answer = |holds| Ok(Some(Val::One(Scalar::Bool(holds))));
        match (this, item) {
            (Val::One(Scalar::Missing), _) | (Val::One(Scalar::Str(_)), Val::One(Scalar::Missing)) => {
                return answer(false);
            }
            (Val::Json(Value::Object(map)), Val::One(Scalar::Str(key))) => {
                return answer(map.contains_key(&**key));
            }
            (Val::Json(Value::Object(_)), Val::One(Scalar::Missing)) => return answer(false),
            (_, Val::One(wanted)) => {
                let Some(list) = this.list(self.budget)? else { return Ok(None) };
                if let Elements::Json(list) = list {
                    return answer(self.holds_one(list, wanted)?);
                }
                for n in 0..list.len() {
                    self.budget.work(ELEMENT)?;
                    let element = list.get(n, self.budget)?;
                    if let (Val::One(Scalar::Str(a)), Scalar::Str(b)) = (&element, wanted)
                        && a.len() == b.len()
                    {
                        self.budget.work(a.len() as u64 / 8)?;
                    }
                    match compare(Op::Eq, &element.scalar(), wanted) {
                        Some(true) => return answer(true),
                        Some(false) => {}
                        None => return Ok(None),
                    }
                }
                return answer(false);
            }
            _ => {}
        }
        Ok(None)
    }

    /// Whether a list of the event holds `wanted`, which is a single value.
    fn holds_one(&self, list: &[Value], wanted: &Scalar<'_>) -> Result<bool, Fail> {
        for value in list {
            // Mostly the lengths of two texts are compared, and nothing else.
            self.budget.work(3)?;
            let same = match (value, wanted) {
                (Value::Array(_) | Value::Object(_), _) => false,
                (Value::String(a), Scalar::Str(b)) if a.len() == b.len() => {
                    self.budget.work(a.len() as u64 / 8)?;
                    *a == **b
                }
                (Value::String(_), Scalar::Str(_)) => false,
                (value, wanted) => compare(Op::Eq, &Scalar::of(value), wanted) == Some(true),
            };
            if same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn replace(
        &self,
        name: &str,
        this: &Val<'v>,
        part: &Val<'v>,
        with: Option<&Val<'v>>,
    ) -> Result<Option<Val<'v>>, Fail> {
        let (
            "replace",
            Val::One(Scalar::Str(text)),
            Val::One(Scalar::Str(part)),
            Some(Val::One(Scalar::Str(with))),
        ) = (name, this, part, with)
        else {
            return Ok(None);
        };
        // It is searched twice, in linear time.
        self.budget.work((text.len() + part.len()) as u64 * 3)?;
        let found = text.matches(&**part).count() as u64;
        // So long it will be, and no longer.
        let len = text.len() as u64 - found * part.len() as u64;
        self.budget.bytes(len.saturating_add(found.saturating_mul(with.len() as u64)))?;
        Ok(Some(Val::One(Scalar::Str(text.replace(&**part, with).into()))))
    }

    /// A function of single values; none where Rhai must say what it makes of these. `written` says that the last is
    /// written out, so that a pattern was compiled when the rule was read.
    fn builtin(&self, builtin: Builtin, args: &[Val<'v>], written: bool) -> Result<Option<Val<'v>>, Fail> {
        if let (Builtin::IContains, [list, item]) = (builtin, args)
            && !item.is_missing()
            && let Some(list) = list.list(self.budget)?
        {
            for n in 0..list.len() {
                let pair = [list.get(n, self.budget)?, item.clone()];
                if let Ok(Some(Val::One(Scalar::Bool(true)))) = self.builtin(Builtin::IEquals, &pair, false) {
                    return Ok(Some(Val::One(Scalar::Bool(true))));
                }
                if self.budget.is_spent() {
                    self.budget.work(u64::MAX)?;
                }
            }
            return Ok(Some(Val::One(Scalar::Bool(false))));
        }
        let mut scalars = Vec::with_capacity(3);
        if builtin == Builtin::Age {
            scalars.push(Scalar::Int(self.view.event().time.timestamp_micros()));
        }
        let mut length = ELEMENT;
        for arg in args {
            let scalar = arg.scalar();
            match &scalar {
                // A character among them: Rhai has functions of its own for some.
                Scalar::Unknown => return Ok(None),
                Scalar::Str(text) => length += text.len() as u64,
                _ => {}
            }
            scalars.push(scalar);
        }
        if let (Builtin::Matches(kind), [Scalar::Str(text), Scalar::Str(pattern)]) = (builtin, &scalars[..]) {
            return Ok(Some(Val::One(Scalar::Bool(self.matches(kind, text, pattern, written)?))));
        }
        // Letters made small may be copied, and become three.
        self.budget.bytes(length * 3)?;
        builtin.call(&scalars).map(|answer| Some(Val::One(answer))).map_err(Fail::new)
    }

    fn matches(&self, kind: Kind, text: &str, pattern: &str, written: bool) -> Result<bool, Fail> {
        let mut known = self.patterns.borrow_mut();
        let key = (kind, pattern.to_owned());
        self.budget.bytes(pattern.len() as u64)?;
        if let Some(pattern) = known.get(&key) {
            self.budget.work(pattern.cost(text))?;
            return Ok(pattern.matches(text));
        }
        if !written {
            self.budget.work(Pattern::COMPILE)?;
        }
        let compiled = match Pattern::kept(kind, pattern) {
            Ok(compiled) => compiled,
            Err(message) => {
                self.budget.work(Pattern::FAIL)?;
                return Err(Fail::new(message));
            }
        };
        if !written {
            self.budget.work(compiled.cost_to_compile())?;
        }
        self.budget.work(compiled.cost(text))?;
        let answer = compiled.matches(text);
        known.insert(key, compiled);
        Ok(answer)
    }
}

impl Val<'_> {
    /// What the functions of single values are given: a character is a text.
    fn text(&self) -> Scalar<'_> {
        match self {
            Self::Other(value) if value.is_char() => {
                Scalar::Str(Cow::Owned(value.as_char().unwrap_or_default().into()))
            }
            _ => self.scalar(),
        }
    }

    /// That `!`, `&&` and `||` were given this.
    pub(super) fn is_no_question(&self) -> String {
        format!("`!`, `&&` and `||` want true or false, this is {}", kind(&self.text()))
    }

    /// What Rhai calls its kind.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::One(Scalar::Bool(_)) => "bool",
            Self::One(Scalar::Int(_)) => "i64",
            Self::One(Scalar::Float(_)) => "f64",
            Self::One(Scalar::Str(_)) => "string",
            Self::One(_) => "()",
            Self::Json(Value::Object(_)) => "map",
            Self::Json(_) | Self::List(_) => "array",
            Self::Closure(..) => "Fn",
            Self::Other(value) => value.type_name(),
        }
    }
}
