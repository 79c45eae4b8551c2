//! Whether `verify` can answer true or false at all, without running it.
//!
//! Must never guess: a value that takes a run to know may be either.

use rhai::{ASTFlags, ASTNode, Expr, Position, Stmt};

use super::Told;
use super::each;
use super::kinds::Kinds;
use super::known::{From, Given, Knowledge, Known};
use super::literal::Kind;

/// What one way through a function gives, where it ends, and whether that is certain.
struct End {
    kinds: Kinds,
    at: Position,
    sure: bool,
    /// What is true or false in it, if it is what an action gave.
    field: Option<String>,
}

/// What is wrong with what `verify` answers, whose `statements` are over at `end`.
pub fn of_verify(known: &Knowledge, statements: &[Stmt], end: Position, told: &mut Told) {
    let mut ends = Vec::new();
    last(known, statements, end, &mut ends);
    each(statements, &mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Return(given, flags, at))) = path.last()
            && !flags.contains(ASTFlags::BREAK)
        {
            let of = given.as_ref().map_or(Known::kinds(Kinds::of(Kind::Nothing)), |it| known.of(it));
            ends.push(End::of(&of, *at));
        }
    });
    let is_answer = |end: &End| end.kinds.is_any() || end.kinds.has(Kind::Bool);
    let Some(wrong) = ends.iter().find(|it| !is_answer(it)) else { return };
    let some_answer = ends.iter().any(is_answer);
    let words = wrong.kinds.words();
    let (text, help) = match some_answer {
        true => {
            let text = format!("one way through `verify` ends with {words}, which is no answer");
            (text, "let each way end with true or false, such as `false` as the last line".into())
        }
        false => {
            let text = format!("`verify` must answer true or false, and gives {words}");
            let help = match &wrong.field {
                Some(field) => format!("its last line must be true or false, such as `….{field}`"),
                None => "its last line must be a comparison, or `true` or `false`".into(),
            };
            (text, help)
        }
    };
    told.fails(wrong.at, text, help, !some_answer && wrong.sure);
}

impl End {
    fn of(known: &Known, at: Position) -> Self {
        let field = match &known.from {
            From::Result(given, _) => given.iter().find_map(Given::answer).map(String::from),
            _ => None,
        };
        Self { kinds: known.kinds, at, sure: known.sure, field }
    }

    fn nothing(at: Position) -> Self {
        Self { kinds: Kinds::of(Kind::Nothing), at, sure: true, field: None }
    }

    fn any(at: Position) -> Self {
        Self { kinds: Kinds::ANY, at, sure: true, field: None }
    }
}

/// What `statements`, which are over at `end`, give where they come to their end; nothing where they never do.
fn last(known: &Knowledge, statements: &[Stmt], end: Position, ends: &mut Vec<End>) {
    let Some(statement) = statements.iter().rev().find(|it| !matches!(it, Stmt::Noop(_))) else {
        return ends.push(End::nothing(end));
    };
    match statement {
        Stmt::Expr(expr) => match &**expr {
            Expr::Stmt(block) => last(known, block.statements(), block.end_position(), ends),
            other => ends.push(End::of(&known.of(other), other.start_position())),
        },
        Stmt::Block(block) => last(known, block.statements(), block.end_position(), ends),
        Stmt::If(it, _) | Stmt::TryCatch(it, _) => {
            last(known, it.body.statements(), it.body.end_position(), ends);
            last(known, it.branch.statements(), end, ends);
        }
        Stmt::Return(..) => {}
        Stmt::FnCall(call, _) if call.name == "fail" => {}
        // It may end by `break` with a value, or never.
        Stmt::While(it, at) if matches!(it.expr, Expr::Unit(_) | Expr::BoolConstant(true, _)) => {
            ends.push(End::any(*at));
        }
        Stmt::For(..) | Stmt::While(..) | Stmt::Do(..) if !breaks_with_value(statement) => {
            ends.push(End::nothing(end));
        }
        Stmt::Var(..) | Stmt::Assignment(..) => ends.push(End::nothing(statement.position())),
        Stmt::FnCall(call, at) => ends.push(End::of(&known.of(&Expr::FnCall(call.clone(), *at)), *at)),
        other => ends.push(End::any(other.position())),
    }
}

fn breaks_with_value(statement: &Stmt) -> bool {
    let mut found = false;
    each(std::slice::from_ref(statement), &mut |path| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::BreakLoop(Some(_), ..))));
    });
    found
}
