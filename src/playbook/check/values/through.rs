//! Calls of host functions whose arguments stand in variables: they are looked at as if they stood in the call, and what
//! has only a kind as one that has that kind.

use rhai::{Dynamic, Expr, FnCallExpr};

use super::Told;
use super::known::{From, Knowledge};
use super::literal::Kind;
use super::{arguments, fit, habits};
use crate::model::Diagnostic;
use crate::model::diagnostic::Severity;
use crate::playbook::host;

/// What is wrong with the arguments of `call`, a host function, that is not told where they stand in it.
pub fn check(known: &Knowledge, call: &FnCallExpr, told: &mut Told) {
    let is_hosts = host::FUNCTIONS
        .iter()
        .any(|(name, takes)| *name == call.name.as_str() && takes.contains(&call.args.len()));
    if !is_hosts || !call.namespace.is_empty() || known.around.defines(&call.name) {
        return;
    }
    let (filled, certain) = filled(known, call);
    let before = look(known, call, told);
    for mut problem in look(known, &filled, told) {
        if before.contains(&problem) {
            continue;
        }
        if !certain && problem.severity == Severity::Error {
            problem = problem.warning();
        }
        told.add(problem);
    }
    habits::check(&filled, told);
}

fn look(known: &Knowledge, call: &FnCallExpr, told: &Told) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    arguments::check(told.file, call, &mut found);
    fit::check(told.file, call, known.actions(), &mut found);
    found
}

/// `call` with what its variables stand for, and whether all of that is certain.
pub fn filled(known: &Knowledge, call: &FnCallExpr) -> (FnCallExpr, bool) {
    let mut call = call.clone();
    let mut certain = true;
    for argument in &mut call.args {
        *argument = fill(known, argument, false, &mut certain);
    }
    (call, certain)
}

fn fill(known: &Knowledge, expr: &Expr, in_map: bool, certain: &mut bool) -> Expr {
    let mut written = known.written(expr).clone();
    match &mut written {
        Expr::Map(map, _) => {
            for (_, value) in &mut map.0 {
                *value = fill(known, value, true, certain);
            }
        }
        Expr::Array(items, _) => {
            for item in items.iter_mut() {
                *item = fill(known, item, false, certain);
            }
        }
        it if Kind::of(it) == Kind::Any => {
            let of = known.of(it);
            let kind = of.kinds.there().one().filter(|_| !matches!(of.from, From::Time));
            // A map that nobody sees into may be an action to carry out.
            if let Some(kind) = kind.filter(|kind| *kind != Kind::Map || in_map) {
                *certain &= of.sure && !of.kinds.has(Kind::Nothing);
                return Expr::DynamicConstant(Box::new(Dynamic::from(kind)), it.start_position());
            }
        }
        _ => {}
    }
    written
}
