//! What Rhai makes of a closure: a function of its own, and an expression that takes variables along into it.

use rhai::{AST, ASTNode, Expr, FnCallExpr, Module, ScriptFuncDef, Stmt, StmtBlock};

/// The body of a closure, and the names that it can read besides the event's.
pub(super) struct Body {
    pub params: Vec<String>,
    pub statements: Vec<Stmt>,
}

/// The closures in `ast`.
pub(super) fn bodies(ast: &AST) -> Vec<Body> {
    ast.shared_lib()
        .iter_script_fn_info()
        .map(|(.., f)| Body {
            params: f.params.iter().map(ToString::to_string).collect(),
            statements: statements(f),
        })
        .collect()
}

impl Body {
    /// The expression that it is, if it is one.
    pub(super) fn expression(&self) -> Option<Expr> {
        match &self.statements[..] {
            [Stmt::Expr(expr)] => Some((**expr).clone()),
            [Stmt::FnCall(call, at)] => Some(Expr::FnCall(call.clone(), *at)),
            _ => None,
        }
    }
}

/// The variables that a closure takes from outside, if `block` is what Rhai makes of one.
pub(super) fn captures(block: &StmtBlock) -> Option<&FnCallExpr> {
    match block.statements() {
        [Stmt::Share(_), Stmt::Expr(expr)] => match &**expr {
            Expr::FnCall(call, _) if call.name == "curry" => Some(call),
            _ => None,
        },
        _ => None,
    }
}

fn statements(f: &ScriptFuncDef) -> Vec<Stmt> {
    // A body cannot be reached but by a walk through a tree of its own.
    let mut module = Module::new();
    module.set_script_fn(f.clone());
    let only = AST::new([], module);
    let mut found = Vec::new();
    only.walk(&mut |nodes| {
        if let [ASTNode::Stmt(statement)] = nodes {
            found.push((*statement).clone());
        }
        true
    });
    found
}
