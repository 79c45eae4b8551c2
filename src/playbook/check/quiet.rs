//! Slips that Rhai takes without a word and that do something else than they seem to: told before anybody waits for it.
//!
//! Each is a warning. Must be right where it speaks: what could be meant as it stands is left alone. Start with
//! [`check`].

use std::collections::BTreeSet;

use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::literal::{fields, value};
use super::{body, each_call, range, variables};
use crate::model::diagnostic::nearest;
use crate::model::{Diagnostic, Span};
use crate::playbook::header::Header;
use crate::playbook::program::File;
use crate::playbook::{convert, host, reference};

/// Names that people give to what is called `verify` and `rollback` here.
const VERIFY: [&str; 6] = ["Verify", "validate", "check", "is_fixed", "confirm", "verification"];
const ROLLBACK: [&str; 7] =
    ["Rollback", "roll_back", "rollBack", "undo", "revert", "on_failure", "compensate"];

/// What of the playbook `file` does something else than it seems to.
pub fn check(file: &File, ast: &AST, header: &Header) -> Vec<Diagnostic> {
    let mut reader = Reader { file, header, variables: variables(ast), found: Vec::new() };
    reader.functions(ast);
    let hidden = hidden(ast);
    each_call(ast, &mut |call, _| {
        if call.namespace.is_empty()
            && !hidden.iter().any(|(name, n)| *name == call.name && *n == call.args.len())
        {
            reader.times(call);
        }
    });
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(Expr::StringConstant(text, at))) => reader.quoted(text, *at),
            Some(ASTNode::Stmt(statement)) => reader.statement(statement),
            _ => {}
        }
        true
    });
    reader.thrown_away(ast);
    reader.found
}

/// Host functions that the file has its own of, which are called instead.
fn hidden(ast: &AST) -> Vec<(String, usize)> {
    let is_hosts =
        |name: &str, n: usize| host::FUNCTIONS.iter().any(|(it, takes)| *it == name && takes.contains(&n));
    let own = ast.iter_functions().map(|it| (it.name.to_string(), it.params.len()));
    own.filter(|(name, n)| is_hosts(name, *n)).collect()
}

struct Reader<'a> {
    file: &'a File,
    header: &'a Header,
    variables: BTreeSet<String>,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Functions whose names say that they are meant to be called, and that nothing calls, or that hide others.
    fn functions(&mut self, ast: &AST) {
        for (name, n) in hidden(ast) {
            let at = self.definition(ast, &name, n);
            let text =
                format!("`{name}` is defined here, so `{name}` of the host cannot be called in this file");
            self.warn(at, text, "call it another name".into());
        }
        let mut called = BTreeSet::new();
        ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(
                    ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _))
                    | ASTNode::Stmt(Stmt::FnCall(call, _)),
                ) => {
                    called.insert(call.name.to_string());
                }
                // `Fn("name")`.
                Some(ASTNode::Expr(Expr::StringConstant(text, _))) => drop(called.insert(text.to_string())),
                _ => {}
            }
            true
        });
        for (phase, names) in [("verify", &VERIFY[..]), ("rollback", &ROLLBACK[..])] {
            if ast.iter_functions().any(|it| it.name == phase) {
                continue;
            }
            let means = |name: &str| names.contains(&name) || nearest(name, [phase]).is_some();
            let meant = ast.iter_functions().find(|it| {
                it.params.len() == 1 && it.params[0] == "ctx" && means(it.name) && !called.contains(it.name)
            });
            if let Some(meant) = meant {
                let at = self.definition(ast, meant.name, 1);
                let text = format!("nothing calls `{}`", meant.name);
                self.warn(at, text, format!("is `{phase}` meant? call it so, and the engine calls it"));
            }
        }
    }

    /// `"${ctx.target}"`, which is no template.
    fn quoted(&mut self, text: &str, at: Position) {
        let place = range(&self.file.text, at);
        // A part of a text between backticks has its place there, and begins with no quote.
        if !self.file.text.get(place.clone()).is_some_and(|it| it.starts_with('"')) {
            return;
        }
        let inside = text.split("${").skip(1).filter_map(|it| it.split_once('}'));
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut roots =
            inside.map(|(it, _)| it.trim_start().split(|c| !is_word(c)).next().unwrap_or_default());
        if roots.any(|root| self.variables.contains(root)) {
            let text = "`${…}` stays as it stands between double quotes".into();
            self.warn(place, text, "put the text between backticks: `… ${x} …`".into());
        }
    }

    /// Times that are milliseconds by mistake, or longer than the run may take.
    fn times(&mut self, call: &FnCallExpr) {
        let Some(function) = reference::FUNCTIONS.iter().find(|it| it.name == call.name.as_str()) else {
            return;
        };
        let own = match (function.name, call.args.len()) {
            ("sleep", 1) => call.args.first(),
            ("wait_for", n @ (2 | 3)) => call.args.get(n - 1),
            ("wait_for", 4) => call.args.get(2),
            ("ask", 3 | 4) => call.args.get(2),
            _ => None,
        };
        if let Some(expr) = own {
            if self.milliseconds(expr) {
                return;
            }
            let time = value(expr).and_then(|it| host::time(&convert::to_script(&it)).ok());
            if let Some(time) = time.filter(|it| *it > self.header.timeout) {
                let limit = self.header.timeout;
                let text = format!("this may take {time}, and the run is ended after {limit}");
                let help = format!("give it time in the header, as in `timeout: {}`", Span(time.0 * 2));
                self.warn(range(&self.file.text, expr.start_position()), text, help);
            }
        }
        let options = if function.name == "act" { call.args.get(2) } else { None };
        for (key, _, expr) in options.and_then(fields).into_iter().flatten() {
            if matches!(key, "timeout" | "backoff") {
                self.milliseconds(expr);
            }
        }
    }

    /// Whether `expr` is a number of seconds that looks like milliseconds, which is told.
    fn milliseconds(&mut self, expr: &Expr) -> bool {
        let Expr::IntegerConstant(n, at) = expr else { return false };
        let Ok(seconds) = u64::try_from(*n) else { return false };
        // Round in milliseconds, and no round number of half hours that somebody would write in seconds.
        if seconds < 1_000 || !seconds.is_multiple_of(500) || seconds.is_multiple_of(1_800) {
            return false;
        }
        let meant = Span(std::time::Duration::from_millis(seconds));
        let text = format!("a number is seconds: this is {}", Span::secs(seconds));
        let help = format!("for {n} milliseconds write \"{meant}\"; if it is meant so, write \"{n}s\"");
        self.warn(range(&self.file.text, *at), text, help);
        true
    }

    fn statement(&mut self, statement: &Stmt) {
        let Stmt::While(it, at) = statement else { return };
        if matches!(it.expr, Expr::Unit(_) | Expr::BoolConstant(true, _)) && !ends(it.body.statements()) {
            let text = "this never ends, and waits for nothing".into();
            self.warn(
                range(&self.file.text, *at),
                text,
                "leave it with `break`, or wait in it with `sleep`".into(),
            );
        }
    }

    /// `x == 5;`, which does nothing.
    fn thrown_away(&mut self, ast: &AST) {
        let mut places = Vec::new();
        let mut look = |statements: &[Stmt]| {
            for statement in statements.iter().rev().skip(1) {
                let call = match statement {
                    Stmt::FnCall(call, at) => Some((call, *at)),
                    Stmt::Expr(expr) => match &**expr {
                        Expr::FnCall(call, at) => Some((call, *at)),
                        _ => None,
                    },
                    _ => None,
                };
                if let Some((call, at)) =
                    call.filter(|(call, _)| call.name == "==" && call.op_token.is_some())
                {
                    places.push((at, call.args.first().map_or(at, Expr::start_position)));
                }
            }
        };
        for function in ast.iter_functions() {
            look(&body(ast, function.name, function.params.len()));
        }
        ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::If(it, _) | Stmt::TryCatch(it, _))) => {
                    look(it.body.statements());
                    look(it.branch.statements());
                }
                Some(ASTNode::Stmt(Stmt::While(it, _) | Stmt::Do(it, ..))) => look(it.body.statements()),
                Some(ASTNode::Stmt(Stmt::For(it, _))) => look(it.2.body.statements()),
                _ => {}
            }
            true
        });
        for (_, at) in places {
            let text = "this compares, and nothing is done with what comes of it".into();
            self.warn(range(&self.file.text, at), text, "to give a variable a value write `=`".into());
        }
    }

    fn definition(&self, ast: &AST, name: &str, n: usize) -> std::ops::Range<usize> {
        let body = ast.iter_fn_def().find(|it| it.name == name && it.params.len() == n);
        let body = body.map_or(0, |it| range(&self.file.text, it.body.start_position()).start);
        let at = self.file.text[..body].rfind(&format!("fn {name}")).map(|i| i + 3);
        at.map_or(0..0, |at| at..at + name.len())
    }

    fn warn(&mut self, at: std::ops::Range<usize>, text: String, help: String) {
        let warning = Diagnostic::error("P0222", &self.file.path, &self.file.text, at, text).warning();
        self.found.push(warning.help(help));
    }
}

/// Whether something in `statements` could leave a loop around them, or wait.
fn ends(statements: &[Stmt]) -> bool {
    let mut found = false;
    let mut path = Vec::new();
    for statement in statements {
        statement.walk(&mut path, &mut |path: &[ASTNode]| {
            found |= match path.last() {
                Some(ASTNode::Stmt(Stmt::BreakLoop(_, flags, _))) => flags.contains(ASTFlags::BREAK),
                Some(ASTNode::Stmt(Stmt::Return(..) | Stmt::FnCall(..))) => true,
                Some(ASTNode::Expr(Expr::FnCall(call, _))) => call.op_token.is_none(),
                Some(ASTNode::Expr(Expr::MethodCall(..))) => true,
                _ => false,
            };
            !found
        });
    }
    found
}
