//! Whether `verify` can answer true or false at all, without running it.
//!
//! Must never guess: a value that takes a run to know may be either.

use rhai::{AST, ASTFlags, ASTNode, Expr, Position, Stmt};

use super::literal::Kind;
use super::{body, range};
use crate::model::Diagnostic;
use crate::playbook::program::File;

/// What one way through a function gives, and where it ends.
type End = (Kind, Position);

/// What is wrong with what the `verify` of `file` answers.
pub fn of_verify(file: &File, ast: &AST) -> Option<Diagnostic> {
    let verify = ast.iter_fn_def().find(|it| it.name == "verify" && it.params.len() == 1)?;
    let statements = body(ast, "verify", 1);
    let mut ends = Vec::new();
    last(&statements, verify.body.end_position(), &mut ends);
    let mut path = Vec::new();
    for statement in &statements {
        statement.walk(&mut path, &mut |path: &[ASTNode]| {
            if let Some(ASTNode::Stmt(Stmt::Return(given, flags, at))) = path.last()
                && !flags.contains(ASTFlags::BREAK)
            {
                ends.push((given.as_ref().map_or(Kind::Nothing, |it| Kind::of(it)), *at));
            }
            true
        });
    }
    let is_answer = |kind: &Kind| matches!(kind, Kind::Bool | Kind::Any);
    let (kind, at) = ends.iter().find(|(kind, _)| !is_answer(kind))?;
    let some_answer = ends.iter().any(|(kind, _)| is_answer(kind));
    let (text, help) = match some_answer {
        true => {
            let text = format!("one way through `verify` ends with {}, which is no answer", kind.words());
            (text, "let each way end with true or false, such as `false` as the last line")
        }
        false => {
            let text = format!("`verify` must answer true or false, and gives {}", kind.words());
            (text, "its last line must be a comparison, or `true` or `false`")
        }
    };
    let error = Diagnostic::error("P0222", &file.path, &file.text, range(&file.text, *at), text).help(help);
    Some(if some_answer { error.warning() } else { error })
}

/// What `statements`, which are over at `end`, give where they come to their end; nothing where they never do.
fn last(statements: &[Stmt], end: Position, ends: &mut Vec<End>) {
    let Some(statement) = statements.iter().rev().find(|it| !matches!(it, Stmt::Noop(_))) else {
        return ends.push((Kind::Nothing, end));
    };
    match statement {
        Stmt::Expr(expr) => match &**expr {
            Expr::Stmt(block) => last(block.statements(), block.end_position(), ends),
            other => ends.push((Kind::of(other), other.start_position())),
        },
        Stmt::Block(block) => last(block.statements(), block.end_position(), ends),
        Stmt::If(it, _) | Stmt::TryCatch(it, _) => {
            last(it.body.statements(), it.body.end_position(), ends);
            last(it.branch.statements(), end, ends);
        }
        Stmt::Return(..) => {}
        Stmt::FnCall(call, _) if call.name == "fail" => {}
        // It may end by `break` with a value, or never.
        Stmt::While(it, at) if matches!(it.expr, Expr::Unit(_) | Expr::BoolConstant(true, _)) => {
            ends.push((Kind::Any, *at));
        }
        Stmt::For(..) | Stmt::While(..) | Stmt::Do(..) if !breaks_with_value(statement) => {
            ends.push((Kind::Nothing, end));
        }
        Stmt::Var(..) | Stmt::Assignment(..) => ends.push((Kind::Nothing, statement.position())),
        other => ends.push((Kind::Any, other.position())),
    }
}

fn breaks_with_value(statement: &Stmt) -> bool {
    let mut found = false;
    statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::BreakLoop(Some(_), ..))));
        !found
    });
    found
}
