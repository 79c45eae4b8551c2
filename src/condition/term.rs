//! The lowered form of an expression: a small tree over numbered fields, evaluated without Rhai.
//!
//! `None` always means "evaluate it": an error, a shape that this form does not know, or a text so long that work must
//! be counted.

use std::borrow::Cow;

use super::builtin::Builtin;
use super::patterns::Pattern;
use super::scalar::{Op, Scalar, Sum, compare, reckon};

/// A lowered expression. Fields are numbers into the slots that it is evaluated with.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A literal.
    Const(Scalar<'static>),
    /// A field of the event.
    Field(u32),
    /// `a && b && …`
    And(Box<[Term]>),
    /// `a || b || …`
    Or(Box<[Term]>),
    /// `!a`
    Not(Box<Term>),
    /// A field against a literal: the common case, without indirection.
    Is(Op, u32, Scalar<'static>),
    /// Any other comparison.
    Compare(Op, Box<(Term, Term)>),
    /// `a in [literals]`
    In(Box<Term>, Box<[Scalar<'static>]>),
    /// A question about two texts.
    Text(TextOp, Box<(Term, Term)>),
    /// Arithmetic.
    Sum(Sum, Box<(Term, Term)>),
    /// `-a`
    Neg(Box<Term>),
    /// `to_lower(a)`
    Lower(Box<Term>),
    /// `to_upper(a)`
    Upper(Box<Term>),
    /// `len(a)`
    Len(Box<Term>),
    /// `is_missing(a)`
    IsMissing(Box<Term>),
    /// A field under `!`, `&&` or `||`: false if it is missing.
    Truth(Box<Term>),
    /// `a in 1..=5`, both ends included
    Between(Box<Term>, i64, i64),
    /// `is_empty(a)`
    IsEmpty(Box<Term>),
    /// `matches(a, "…")` and its like, with a pattern that is written out.
    Matches(Box<Term>, Pattern),
    /// A function of single values.
    Call(Builtin, Box<[Term]>),
    /// `a ?? b`
    Else(Box<(Term, Term)>),
}

/// Texts longer than this are left to the evaluation that counts its work.
const LONG: usize = 16 << 10;

/// A question about two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOp {
    /// `a.contains(b)`, `b in a`
    Contains,
    /// `a.starts_with(b)`
    StartsWith,
    /// `a.ends_with(b)`
    EndsWith,
}

impl Term {
    /// Whether it holds.
    #[inline]
    pub fn test(&self, slots: &[Scalar<'_>]) -> Option<bool> {
        match self {
            Self::Is(op, field, value) => compare(*op, slots.get(*field as usize)?, value),
            Self::And(all) => {
                for term in all {
                    if !term.test(slots)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            Self::Or(any) => {
                for term in any {
                    if term.test(slots)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Self::Not(term) => term.test(slots).map(|b| !b),
            Self::Compare(op, sides) => compare(*op, &sides.0.value(slots)?, &sides.1.value(slots)?),
            Self::In(term, list) => {
                let value = term.value(slots)?;
                if matches!(value, Scalar::Array(_) | Scalar::Map | Scalar::Unknown) {
                    return None;
                }
                for item in list {
                    if compare(Op::Eq, item, &value)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Self::Text(op, sides) => match (sides.0.value(slots)?, sides.1.value(slots)?) {
                (Scalar::Str(text), Scalar::Str(part)) if text.len() <= LONG => Some(match op {
                    TextOp::Contains => text.contains(&*part),
                    TextOp::StartsWith => text.starts_with(&*part),
                    TextOp::EndsWith => text.ends_with(&*part),
                }),
                (Scalar::Missing, part) if part != Scalar::Unknown => Some(false),
                (Scalar::Str(_), Scalar::Missing) => Some(false),
                _ => None,
            },
            Self::Truth(term) => match term.value(slots)? {
                Scalar::Bool(b) => Some(b),
                Scalar::Missing => Some(false),
                _ => None,
            },
            Self::Between(term, least, most) => match term.value(slots)? {
                Scalar::Int(n) => Some((*least..=*most).contains(&n)),
                Scalar::Missing => Some(false),
                _ => None,
            },
            Self::Matches(term, pattern) => match term.value(slots)? {
                Scalar::Str(text) if pattern.cost(&text) <= LONG as u64 * 16 => Some(pattern.matches(&text)),
                Scalar::Missing => Some(false),
                _ => None,
            },
            Self::IsEmpty(term) => match term.value(slots)? {
                Scalar::Missing => Some(true),
                Scalar::Str(text) => Some(text.is_empty()),
                Scalar::Array(n) => Some(n == 0),
                _ => None,
            },
            Self::IsMissing(term) => match term.value(slots)? {
                Scalar::Unknown => None,
                value => Some(value == Scalar::Missing),
            },
            _ => match self.value(slots)? {
                Scalar::Bool(b) => Some(b),
                // A condition that is nothing but a missing field does not hold.
                Scalar::Missing => Some(false),
                _ => None,
            },
        }
    }

    /// Whether it is true or false, if it is anything.
    pub fn is_question(&self) -> bool {
        match self {
            Self::Const(value) => matches!(value, Scalar::Bool(_)),
            Self::Call(builtin, _) => builtin.is_question(),
            Self::Field(_)
            | Self::Sum(..)
            | Self::Neg(_)
            | Self::Lower(_)
            | Self::Upper(_)
            | Self::Len(_)
            | Self::Else(_) => false,
            _ => true,
        }
    }

    /// What it is.
    pub fn value<'s>(&'s self, slots: &'s [Scalar<'_>]) -> Option<Scalar<'s>> {
        Some(match self {
            Self::Const(value) => value.borrow(),
            Self::Field(field) => match slots.get(*field as usize)?.borrow() {
                Scalar::Unknown => return None,
                value => value,
            },
            Self::Sum(op, sides) => reckon(*op, &sides.0.value(slots)?, &sides.1.value(slots)?)?,
            Self::Neg(term) => match term.value(slots)? {
                Scalar::Int(n) => Scalar::Int(n.checked_neg()?),
                Scalar::Float(n) => Scalar::Float(-n),
                Scalar::Missing => Scalar::Missing,
                _ => return None,
            },
            Self::Lower(term) => text(&term.value(slots)?, str::to_lowercase)?,
            Self::Upper(term) => text(&term.value(slots)?, str::to_uppercase)?,
            Self::Len(term) => Scalar::Int(match term.value(slots)? {
                Scalar::Missing => 0,
                Scalar::Str(text) if text.len() <= LONG => i64::try_from(text.chars().count()).ok()?,
                Scalar::Array(n) => i64::try_from(n).ok()?,
                _ => return None,
            }),
            Self::Else(sides) => match sides.0.value(slots)? {
                Scalar::Missing => sides.1.value(slots)?,
                value => value,
            },
            Self::Call(builtin, args) => match &**args {
                [one] => call(*builtin, &[one.value(slots)?])?,
                [one, two] => call(*builtin, &[one.value(slots)?, two.value(slots)?])?,
                _ => return None,
            },
            Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::Is(..)
            | Self::Compare(..)
            | Self::In(..)
            | Self::Text(..)
            | Self::Truth(_)
            | Self::Between(..)
            | Self::Matches(..)
            | Self::IsEmpty(_)
            | Self::IsMissing(_) => Scalar::Bool(self.test(slots)?),
        })
    }

    /// The same over other field numbers: `new[old]` is the new number of each.
    pub fn renumbered(&self, new: &[u32]) -> Term {
        let one = |term: &Term| Box::new(term.renumbered(new));
        let two = |both: &(Term, Term)| Box::new((both.0.renumbered(new), both.1.renumbered(new)));
        let all = |terms: &[Term]| terms.iter().map(|t| t.renumbered(new)).collect();
        match self {
            Self::Const(value) => Self::Const(value.clone()),
            Self::Field(f) => Self::Field(new[*f as usize]),
            Self::And(terms) => Self::And(all(terms)),
            Self::Or(terms) => Self::Or(all(terms)),
            Self::Not(term) => Self::Not(one(term)),
            Self::Is(op, f, value) => Self::Is(*op, new[*f as usize], value.clone()),
            Self::Compare(op, sides) => Self::Compare(*op, two(sides)),
            Self::In(term, list) => Self::In(one(term), list.clone()),
            Self::Text(op, sides) => Self::Text(*op, two(sides)),
            Self::Sum(op, sides) => Self::Sum(*op, two(sides)),
            Self::Neg(term) => Self::Neg(one(term)),
            Self::Lower(term) => Self::Lower(one(term)),
            Self::Upper(term) => Self::Upper(one(term)),
            Self::Len(term) => Self::Len(one(term)),
            Self::IsMissing(term) => Self::IsMissing(one(term)),
            Self::Truth(term) => Self::Truth(one(term)),
            Self::Between(term, least, most) => Self::Between(one(term), *least, *most),
            Self::IsEmpty(term) => Self::IsEmpty(one(term)),
            Self::Matches(term, pattern) => Self::Matches(one(term), pattern.clone()),
            Self::Call(builtin, args) => Self::Call(*builtin, all(args)),
            Self::Else(sides) => Self::Else(two(sides)),
        }
    }

    /// The terms that must all hold for this one to hold.
    pub fn conjuncts(&self) -> Vec<&Term> {
        match self {
            Self::And(terms) => terms.iter().flat_map(Term::conjuncts).collect(),
            term => vec![term],
        }
    }
}

/// A function of texts that are not long; a pattern that is known only now is compiled where that is counted.
fn call(builtin: Builtin, args: &[Scalar<'_>]) -> Option<Scalar<'static>> {
    let long = |arg: &Scalar<'_>| matches!(arg, Scalar::Str(text) if text.len() > LONG);
    let both = matches!(args, [Scalar::Str(_), Scalar::Str(_)]);
    if args.iter().any(long) || both && matches!(builtin, Builtin::Matches(_)) {
        return None;
    }
    builtin.call(args).ok()
}

fn text(value: &Scalar<'_>, change: fn(&str) -> String) -> Option<Scalar<'static>> {
    match value {
        Scalar::Str(text) if text.len() > LONG => None,
        Scalar::Str(text) => Some(Scalar::Str(Cow::Owned(change(text)))),
        Scalar::Missing => Some(Scalar::Missing),
        _ => None,
    }
}
