//! Conditions and other expressions over an event: Rhai's language, evaluated without Rhai where that is possible.
//!
//! An expression is compiled once. If every part of it has a lowered form ([`term`]), it is evaluated on single fields
//! ([`fields`]) in some tens of nanoseconds; if not, or where the lowered form meets something it does not know or a
//! long text, it is evaluated over the whole event within a [`budget`]. Both always give the same answer, which is
//! Rhai's. Nothing here does I/O or reads a clock. Start with [`compile`].

pub mod budget;
pub mod builtin;
mod clauses;
mod closures;
mod eval;
pub mod explain;
pub mod fields;

pub mod functions;
mod json;
mod lists;
mod lower;
mod mistakes;
mod natives;
pub mod path;
pub mod patterns;
pub mod scalar;
mod rewrite;
mod script;
pub mod template;
pub mod term;
pub mod times;
mod tokens;
pub mod view;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

pub use self::budget::Budget;
use self::eval::{Fail, Program};
pub use self::explain::Explanation;
pub use self::fields::Fields;
pub use self::path::{Path, Root};
pub use self::scalar::Scalar;
pub use self::template::{Rendered, Template};
pub use self::term::Term;
pub use self::view::View;
use crate::model::Event;

/// The variables that every expression sees.
pub const VARIABLES: &[&str] = &["topic", "source", "subject", "time", "priority", "data", "event"];

/// A compiled expression; cloning it copies a pointer.
#[derive(Clone)]
pub struct Condition(Arc<Inner>);

struct Inner {
    text: Box<str>,
    vars: Box<[Box<str>]>,
    /// Which variables it reads.
    reads: Box<[Box<str>]>,
    /// The quick form, and the fields behind its slots.
    term: Option<Term>,
    paths: Box<[Path]>,
    /// The fields that explanations show.
    shown: Option<Box<[Path]>>,
    /// Its other form; of a lowered expression it is made when first needed, as it seldom is and takes room.
    program: OnceLock<Program>,
}

/// Why a text is no expression: where in it, what is wrong, how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The part of the text that is wrong, in bytes.
    pub at: Range<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why an expression gave no answer for an event. The caller counts it and takes the answer to be false.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct EvalError {
    /// What happened.
    pub message: String,
    /// Where in the expression, in characters from 1; 0 if that is not known.
    pub column: usize,
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            0 => f.write_str(&self.message),
            column => write!(f, "{} (at character {column} of the expression)", self.message),
        }
    }
}

/// Compiles `text`. `vars` are variables it sees besides [`VARIABLES`].
///
/// # Errors
/// When it is not one Rhai expression, reads a variable that is not there, or calls what it may not.
pub fn compile(text: &str, vars: &[&str]) -> Result<Condition, Error> {
    let all: Vec<&str> = VARIABLES.iter().copied().chain(vars.iter().copied()).collect();
    let (ast, expr) = script::parse(text, &all)?;
    let (term, paths) = match lower::lower(&expr, vars) {
        Some(lowered) => (Some(lowered.term), lowered.paths),
        None => (None, Vec::new()),
    };
    let keep = OnceLock::new();
    let shown = term.is_none().then(|| {
        let bodies: Vec<_> = closures::bodies(&ast).iter().filter_map(closures::Body::expression).collect();
        lower::fields(std::iter::once(&expr).chain(&bodies), vars).into()
    });
    if term.is_none() {
        keep.get_or_init(|| Program::new(&ast, expr.clone()));
    }
    Ok(Condition(Arc::new(Inner {
        text: text.into(),
        vars: vars.iter().map(|v| Box::from(*v)).collect(),
        reads: script::variables(&expr).into(),
        term,
        paths: paths.into(),
        shown,
        program: keep,
    })))
}

impl Condition {
    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether it runs without Rhai as long as it meets nothing unusual.
    pub fn is_lowered(&self) -> bool {
        self.0.term.is_some()
    }

    /// The lowered form, if there is one. Its slot `i` is field `paths()[i]`.
    pub fn term(&self) -> Option<&Term> {
        self.0.term.as_ref()
    }

    /// Whether it can never be true or false, whatever the event: a number, a text.
    pub fn is_no_condition(&self) -> bool {
        match &self.0.term {
            Some(Term::Const(value)) => !matches!(value, Scalar::Bool(_)),
            Some(Term::Sum(..) | Term::Neg(_) | Term::Lower(_) | Term::Upper(_) | Term::Len(_)) => true,
            Some(Term::Call(builtin, _)) => !builtin.is_question(),
            _ => false,
        }
    }

    /// The fields that the lowered form reads.
    pub fn paths(&self) -> &[Path] {
        &self.0.paths
    }

    /// The one field that it is, if it is nothing else.
    pub fn path(&self) -> Option<&Path> {
        match (&self.0.term, &self.0.paths[..]) {
            (Some(Term::Field(_)), [path]) => Some(path),
            _ => None,
        }
    }

    /// The field that must equal the further variable `var` for it to hold, where it says so in so many words.
    pub fn equal_to(&self, var: &str) -> Option<&Path> {
        let is_var = |path: &Path| match path.root {
            Root::Var(n) => path.keys.is_empty() && *self.0.vars[usize::from(n)] == *var,
            _ => false,
        };
        let path = |term: &Term| match term {
            Term::Field(slot) => self.0.paths.get(*slot as usize),
            _ => None,
        };
        self.0.term.as_ref()?.conjuncts().into_iter().find_map(|term| {
            let Term::Compare(scalar::Op::Eq, sides) = term else { return None };
            match (path(&sides.0)?, path(&sides.1)?) {
                (field, other) if is_var(other) && !is_var(field) => Some(field),
                (other, field) if is_var(other) && !is_var(field) => Some(field),
                _ => None,
            }
        })
    }

    /// Whether it reads the variable `var`.
    pub fn reads(&self, var: &str) -> bool {
        self.0.reads.iter().any(|name| **name == *var)
    }

    /// Whether it holds for `event`.
    ///
    /// # Errors
    /// When it fails, or its answer is not true or false.
    pub fn test(&self, event: &Event, vars: &[(&str, &Value)]) -> Result<bool, EvalError> {
        self.test_in(&View::new(event, vars))
    }

    /// What it is for `event`.
    ///
    /// # Errors
    /// When it fails.
    pub fn value(&self, event: &Event, vars: &[(&str, &Value)]) -> Result<Value, EvalError> {
        self.value_in(&View::new(event, vars))
    }

    /// Whether it holds for the event that `view` shows; several expressions over one event share what was read.
    ///
    /// # Errors
    /// When it fails, its answer is not true or false, or it would take more than one evaluation may.
    pub fn test_in(&self, view: &View<'_>) -> Result<bool, EvalError> {
        self.test_within(view, &Budget::default())
    }

    /// The same within what is left of `budget`.
    ///
    /// # Errors
    /// As [`Condition::test_in`].
    pub fn test_within(&self, view: &View<'_>, budget: &Budget) -> Result<bool, EvalError> {
        if let Some(term) = &self.0.term
            && let Some(answer) = term.test(&view.slots(&self.0.paths, &self.0.vars))
        {
            return Ok(answer);
        }
        self.program().test(view, budget).map_err(|fail| self.error(fail))
    }

    /// What it is for the event that `view` shows.
    ///
    /// # Errors
    /// When it fails, or would take more than one evaluation may.
    pub fn value_in(&self, view: &View<'_>) -> Result<Value, EvalError> {
        self.value_within(view, &Budget::default())
    }

    /// The same within what is left of `budget`.
    ///
    /// # Errors
    /// As [`Condition::value_in`].
    pub fn value_within(&self, view: &View<'_>, budget: &Budget) -> Result<Value, EvalError> {
        if let Some(term) = &self.0.term
            && let Some(value) =
                term.value(&view.slots(&self.0.paths, &self.0.vars)).and_then(|s| s.to_value())
        {
            return Ok(value);
        }
        self.program().value(view, budget).map_err(|fail| self.error(fail))
    }

    /// Why it holds or not for `event`, in words.
    pub fn explain(&self, event: &Event, vars: &[(&str, &Value)]) -> Explanation {
        explain::explain(self, &View::new(event, vars))
    }

    fn program(&self) -> &Program {
        self.0.program.get_or_init(|| {
            let (ast, expr) = self.parse();
            Program::new(&ast, expr)
        })
    }

    fn parse(&self) -> (rhai::AST, rhai::Expr) {
        let vars: Vec<&str> = VARIABLES.iter().copied().chain(self.vars()).collect();
        script::parse(&self.0.text, &vars).expect("a text that compiled once compiles again")
    }

    fn error(&self, fail: Fail) -> EvalError {
        EvalError { message: fail.message, column: script::column(&self.0.text, fail.at) }
    }

    fn vars(&self) -> impl Iterator<Item = &str> {
        self.0.vars.iter().map(|v| &**v)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.0.text).finish()
    }
}

impl Error {
    fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[cfg(test)]
mod tests;
