//! Why a condition holds or not: the clause that decided, with the values it saw.

use std::fmt;

use serde_json::Value;

use super::clauses::{self, Question, Shape};
use super::scalar::Scalar;
use super::view::written;
use super::{Budget, Condition, Root, View, compile};

/// Why a condition holds or not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Whether it holds.
    pub holds: bool,
    /// The clause that decided, as it is written; the whole condition if all of it did.
    pub clause: String,
    /// What the fields of that clause are, such as `data.n = 3`; empty where it reads none.
    pub values: Vec<String>,
    /// What went wrong, if the clause failed.
    pub error: Option<String>,
    /// What it rests on: each alternative where none holds, what holds although it must not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
}

/// Most values, elements and alternatives that are shown of one clause.
const MAX_SHOWN: usize = 6;
/// Longest clause and longest value that are shown, in characters.
const MAX_CLAUSE: usize = 240;
const MAX_VALUE: usize = 80;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clause = short(&self.clause, MAX_CLAUSE);
        match (&self.error, self.holds, &self.parts[..]) {
            (Some(error), ..) => write!(f, "`{clause}` failed: {error}")?,
            (None, true, []) => write!(f, "`{clause}` holds")?,
            (None, false, []) => write!(f, "`{clause}` is false")?,
            (None, holds, [one]) => {
                return write!(f, "`{clause}` {}, since {one}", if holds { "holds" } else { "is false" });
            }
            (None, _, many) => {
                f.write_str(if many.len() == 2 { "neither of two: " } else { "none of several: " })?;
                for (i, part) in many.iter().take(MAX_SHOWN).enumerate() {
                    write!(f, "{}{part}", if i > 0 { "; " } else { "" })?;
                }
                return match many.len().checked_sub(MAX_SHOWN) {
                    Some(more @ 1..) => write!(f, "; and {more} more"),
                    _ => Ok(()),
                };
            }
        }
        let values = &self.values[..self.values.len().min(MAX_SHOWN)];
        if !values.is_empty() {
            write!(f, ", as {}", values.join(", "))?;
        }
        if self.values.len() > MAX_SHOWN { f.write_str(", …") } else { Ok(()) }
    }
}

pub(super) fn explain(condition: &Condition, view: &View<'_>) -> Explanation {
    let vars: Vec<&str> = condition.vars().collect();
    let explained = part(condition.text().trim(), &vars, view);
    // What is put together from the parts is only shown if it is what the whole says.
    match (condition.test_in(view), explained) {
        (Ok(holds), Some(explained)) if explained.error.is_none() && explained.holds == holds => {
            let whole = holds && matches!(clauses::shape(condition.text()), Shape::And(_));
            if whole { about(condition, view, true, None) } else { explained }
        }
        (Err(_), Some(explained)) if explained.error.is_some() => explained,
        (Ok(holds), _) => about(condition, view, holds, None),
        (Err(error), _) => about(condition, view, false, Some(error.to_string())),
    }
}

/// Why the part `text` of a condition holds or not; none if it cannot be said by itself.
fn part(text: &str, vars: &[&str], view: &View<'_>) -> Option<Explanation> {
    match clauses::shape(text) {
        Shape::And(all) => {
            let mut last = None;
            for clause in &all {
                let explained = part(clause, vars, view)?;
                if explained.error.is_some() || !explained.holds {
                    return Some(explained);
                }
                last = Some(explained);
            }
            if all.len() == 1 {
                return last;
            }
            let whole = compile(text, vars).ok()?;
            Some(about(&whole, view, true, None))
        }
        Shape::Or(any) => {
            let mut parts = Vec::with_capacity(any.len());
            for clause in any {
                let explained = part(clause, vars, view)?;
                if explained.error.is_some() || explained.holds {
                    return Some(explained);
                }
                parts.push(explained);
            }
            Some(Explanation { holds: false, clause: text.into(), values: Vec::new(), error: None, parts })
        }
        Shape::Not(inner) if clauses::shape(inner) != Shape::Clause => {
            let explained = part(inner, vars, view)?;
            if explained.error.is_some() {
                return Some(explained);
            }
            let (holds, clause) = (!explained.holds, text.into());
            Some(Explanation { holds, clause, values: Vec::new(), error: None, parts: vec![explained] })
        }
        Shape::Not(_) | Shape::Clause => {
            let clause = compile(text, vars).ok()?;
            Some(match clause.test_in(view) {
                Ok(holds) => about(&clause, view, holds, None),
                Err(error) => about(&clause, view, false, Some(error.to_string())),
            })
        }
    }
}

fn about(clause: &Condition, view: &View<'_>, holds: bool, error: Option<String>) -> Explanation {
    let paths = clause.0.shown.as_deref().unwrap_or(clause.paths());
    let slots = view.slots(paths, &clause.0.vars);
    let mut values: Vec<String> = paths
        .iter()
        .zip(&slots)
        .map(|(path, value)| {
            let value = match path.root {
                Root::Clock => format!("{:?}", written(view.event().time)),
                _ => words(value),
            };
            format!("{} = {value}", path.display(&clause.0.vars))
        })
        .collect();
    if error.is_none()
        && let Some(question) = clauses::question(clause.text())
    {
        values.extend(elements(&question, clause, view));
    }
    Explanation { holds, clause: clause.text().trim().into(), values, error, parts: Vec::new() }
}

/// Which elements of a list decided.
fn elements(question: &Question<'_>, clause: &Condition, view: &View<'_>) -> Option<String> {
    let vars: Vec<&str> = clause.vars().collect();
    let list = match compile(question.list, &vars).ok()?.value_in(view).ok()? {
        Value::Array(list) => list,
        Value::Null => return None,
        one => vec![one],
    };
    // As long as one evaluation, over all elements.
    let budget = Budget::default();
    let inner: Vec<&str> = vars.iter().copied().chain([question.element]).collect();
    let body = compile(question.body, &inner).ok()?;
    let holds = |element: &Value| {
        let mut values: Vec<(&str, &Value)> = vec![(question.element, element)];
        values.extend(view.vars());
        body.test_within(&View::new(view.event(), &values), &budget).ok()
    };
    // One for which the question fails decides nothing.
    let yes: Vec<Option<bool>> = list.iter().map(holds).collect();
    let (name, of, total) = (question.name, short(question.list, MAX_VALUE), list.len());
    let decided = match name {
        "any" | "none" => yes.iter().position(|yes| *yes == Some(true)),
        "all" => yes.iter().position(|yes| *yes == Some(false)),
        _ => None,
    };
    Some(match (decided, name) {
        (Some(n), _) => format!("{of}[{n}] = {}", short(&list[n].to_string(), MAX_VALUE)),
        (None, "all") => format!("it holds for all {total} of {of}"),
        (None, "any" | "none") => {
            let some: Vec<String> = list.iter().take(3).map(|x| short(&x.to_string(), MAX_VALUE)).collect();
            let more = if total > 3 { ", …" } else { "" };
            format!("it holds for none of the {total} of {of} [{}{more}]", some.join(", "))
        }
        _ => format!(
            "it holds for {} of the {total} of {of}",
            yes.iter().filter(|yes| **yes == Some(true)).count()
        ),
    })
}

fn words(value: &Scalar<'_>) -> String {
    match value {
        Scalar::Missing => "() (missing)".into(),
        Scalar::Array(n) => format!("a list of {n}"),
        Scalar::Map => "a map".into(),
        Scalar::Unknown => "a field of something that has none".into(),
        Scalar::Str(text) => {
            let start: String = text.chars().take(MAX_VALUE).collect();
            if start.len() < text.len() { format!("{start:?}…") } else { format!("{start:?}") }
        }
        value => value.to_value().map(|v| v.to_string()).unwrap_or_default(),
    }
}

fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into(),
    }
}
