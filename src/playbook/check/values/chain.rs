//! A chain such as `ctx.done[0].result`, as the steps that it is walked by.

use rhai::{ASTFlags, ASTNode, Expr, FnCallExpr, Position};

/// One step along a chain.
#[derive(Clone, Copy)]
pub enum Step<'a> {
    /// `.name`, or `["name"]`.
    Field(&'a str, Position),
    /// `.name(…)`.
    Method(&'a FnCallExpr, Position),
    /// `[…]`.
    Item,
}

/// What `expr` begins with, and the steps from there; none where it is no chain.
pub fn steps(expr: &Expr) -> (&Expr, Vec<Step<'_>>) {
    let (Expr::Dot(it, flags, _) | Expr::Index(it, flags, _)) = expr else { return (expr, Vec::new()) };
    let mut steps = Vec::new();
    let mut is_index = matches!(expr, Expr::Index(..));
    let (mut rest, mut flags) = (&it.rhs, *flags);
    loop {
        let goes_on = !is_index || !flags.contains(ASTFlags::BREAK);
        let (own, next) = match rest {
            Expr::Dot(it, more, _) if goes_on => (&it.lhs, Some((&it.rhs, *more, false))),
            Expr::Index(it, more, _) if goes_on => (&it.lhs, Some((&it.rhs, *more, true))),
            other => (other, None),
        };
        steps.push(match own {
            Expr::Property(it, at) if !is_index => Step::Field(&it.2, *at),
            Expr::MethodCall(call, at) if !is_index => Step::Method(call, *at),
            Expr::StringConstant(it, at) => Step::Field(it, *at),
            _ => Step::Item,
        });
        let Some(next) = next else { return (&it.lhs, steps) };
        (rest, flags, is_index) = next;
    }
}

/// The chain as people would write it, if it is only names: `ctx.params.n`.
pub fn spelled(expr: &Expr) -> Option<String> {
    let (root, steps) = steps(expr);
    let Expr::Variable(name, ..) = root else { return None };
    let mut text = name.1.to_string();
    for step in steps {
        match step {
            Step::Field(name, _) => text = format!("{text}.{name}"),
            _ => return None,
        }
    }
    Some(text)
}

/// The variable that `expr` is or begins with.
pub fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(it, ..) => Some(it.1.as_str()),
        Expr::ThisPtr(_) => Some("this"),
        Expr::Dot(it, ..) | Expr::Index(it, ..) => root(&it.lhs),
        _ => None,
    }
}

/// Whether the last of `path` is only the rest of a chain that begins before it.
pub fn is_rest(path: &[ASTNode]) -> bool {
    let [.., ASTNode::Expr(parent), ASTNode::Expr(own)] = path else { return false };
    match parent {
        Expr::Dot(it, ..) => std::ptr::eq(&raw const it.rhs, *own),
        Expr::Index(it, flags, _) => {
            !flags.contains(ASTFlags::BREAK) && std::ptr::eq(&raw const it.rhs, *own)
        }
        _ => false,
    }
}
