//! What a script does with values of which something is known before anything runs: it compares them, reads their
//! fields, asks whether they are true, and passes them on.
//!
//! Looks at each function by itself; what is known stands in [`known`]. Must stay silent where it takes a
//! run to know.

mod answers;
mod certain;
mod chain;
mod compare;
mod fields;
mod habits;
mod kinds;
pub(super) mod known;
pub(super) mod scope;
pub(super) mod through;

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use self::known::Knowledge;
use self::scope::Surroundings;
use super::{arguments, body, ctx, each, fit, literal, range, texts};
use crate::actions::Spec;
use crate::model::Diagnostic;
use crate::playbook::header::Header;
use crate::playbook::program::File;

/// What is wrong in `file`, whose header is `header`, with what it does with values; `specs` are the actions known.
pub fn check(file: &File, ast: &AST, header: &Header, specs: &[Spec]) -> Vec<Diagnostic> {
    let around = Surroundings::of(ast);
    let given = ctx::given_to(ast);
    let words = certain::words(ast);
    let mut told = Told { file, found: Vec::new() };
    for function in ast.iter_functions() {
        let statements = body(ast, function.name, function.params.len());
        let place = given.iter().find(|it| it.0 == function.name && it.1 == function.params.len());
        let ctx = place.and_then(|it| function.params.get(it.2)).copied();
        let knowledge = Knowledge::new(header, specs, &around, &statements, &function.params, ctx);
        each(&statements, &mut |path| match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) => {
                compare::check(&knowledge, call, &mut told);
                certain::call(&knowledge, call, *at, &mut told);
                through::check(&knowledge, call, &mut told);
            }
            Some(ASTNode::Expr(expr)) => {
                fields::check(&knowledge, expr, path, &mut told);
                certain::expression(&knowledge, expr, path, &words, &mut told);
            }
            Some(ASTNode::Stmt(statement)) => certain::statement(&knowledge, statement, &mut told),
            _ => {}
        });
        if function.name == "verify" && function.params.len() == 1 {
            let end = ast.iter_fn_def().find(|it| it.name == "verify" && it.params.len() == 1);
            let end = end.map_or(Position::NONE, |it| it.body.end_position());
            answers::of_verify(&knowledge, &statements, end, &mut told);
        }
    }
    told.found
}

/// What was found.
pub struct Told<'a> {
    /// Where.
    pub file: &'a File,
    /// All of it.
    pub found: Vec<Diagnostic>,
}

impl Told<'_> {
    /// Something that is not what it seems.
    pub fn warn(&mut self, at: Position, text: String, help: impl Into<String>) {
        self.say("P0222", at, text, help.into(), false);
    }

    /// Something that fails whenever it is reached; a warning where that is not `sure`.
    pub fn fails(&mut self, at: Position, text: String, help: impl Into<String>, sure: bool) {
        self.say("P0222", at, text, help.into(), sure);
    }

    /// The same, of any code.
    pub fn say(&mut self, code: &str, at: Position, text: String, help: String, sure: bool) {
        let at = range(&self.file.text, at);
        let error = Diagnostic::error(code, &self.file.path, &self.file.text, at, text).help(help);
        self.add(if sure { error } else { error.warning() });
    }

    /// Keeps `problem`, if it is not there already.
    pub fn add(&mut self, problem: Diagnostic) {
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }
}
