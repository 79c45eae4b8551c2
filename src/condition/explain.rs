//! Why a condition holds or not: the first of its clauses that decided, with the values it saw.

use super::scalar::Scalar;
use super::view::written;
use super::{Condition, Root, View, compile};

/// Why a condition holds or not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Whether it holds.
    pub holds: bool,
    /// The clause that decided, as it is written; the whole condition if it holds.
    pub clause: String,
    /// What the fields of that clause are, such as `data.n = 3`; empty where it reads none.
    pub values: Vec<String>,
    /// What went wrong, if the clause failed.
    pub error: Option<String>,
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ", self.clause)?;
        match (&self.error, self.holds) {
            (Some(error), _) => write!(f, "failed: {error}")?,
            (None, true) => f.write_str("holds")?,
            (None, false) => f.write_str("is false")?,
        }
        if self.values.is_empty() { Ok(()) } else { write!(f, ", as {}", self.values.join(", ")) }
    }
}

pub(super) fn explain(condition: &Condition, view: &View<'_>) -> Explanation {
    let vars: Vec<&str> = condition.vars().collect();
    for text in clauses(condition.text()) {
        let Ok(clause) = compile(text, &vars) else { continue };
        match clause.test_in(view) {
            Ok(true) => {}
            Ok(false) => return about(&clause, view, false, None),
            Err(error) => return about(&clause, view, false, Some(error.to_string())),
        }
    }
    match condition.test_in(view) {
        Ok(holds) => about(condition, view, holds, None),
        Err(error) => about(condition, view, false, Some(error.to_string())),
    }
}

fn about(clause: &Condition, view: &View<'_>, holds: bool, error: Option<String>) -> Explanation {
    let paths = clause.0.shown.as_deref().unwrap_or(clause.paths());
    let slots = view.slots(paths, &clause.0.vars);
    let named = paths.iter().zip(&slots);
    let values = named
        .map(|(path, value)| {
            let value = match path.root {
                Root::Clock => format!("{:?}", written(view.event().time)),
                _ => words(value),
            };
            format!("{} = {value}", path.display(&clause.0.vars))
        })
        .collect();
    Explanation { holds, clause: clause.text().trim().into(), values, error }
}

fn words(value: &Scalar<'_>) -> String {
    match value {
        Scalar::Missing => "() (missing)".into(),
        Scalar::Array(n) => format!("a list of {n}"),
        Scalar::Map => "a map".into(),
        Scalar::Unknown => "a field of something that has none".into(),
        Scalar::Str(text) => {
            let short: String = text.chars().take(80).collect();
            if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
        }
        value => value.to_value().map(|v| v.to_string()).unwrap_or_default(),
    }
}

/// The parts of `text` between the `&&` that stand outside brackets and texts; all of it if there is such a `||`.
fn clauses(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match (quote, bytes[i]) {
            (Some(_), b'\\') => i += 1,
            (Some(q), b) if b == q => quote = None,
            (Some(_), _) => {}
            (None, b @ (b'"' | b'\'' | b'`')) => quote = Some(b),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, b'|' | b'?') if depth == 0 && bytes.get(i + 1) == Some(&bytes[i]) => return vec![text],
            (None, b'&') if depth == 0 && bytes.get(i + 1) == Some(&b'&') => {
                parts.push(text[from..i].trim());
                from = i + 2;
                i += 1;
            }
            _ => {}
        }
        i += 1;
    }
    parts.push(text[from..].trim());
    parts
}
