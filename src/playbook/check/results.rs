//! What a script does with what host functions gave it: fields that no result has, answers that nobody can choose.
//!
//! Looks only at variables that are set once, where they are declared, and at a call's own result. Must stay silent
//! where a field could be there: an action may give more than it says, so there only a near miss is told.

use std::collections::BTreeMap;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use serde_json::Value;

use super::ctx::EVENT;
use super::literal::{items, text};
use super::{body, range};
use crate::actions::Spec;
use crate::model::Diagnostic;
use crate::model::diagnostic::nearest;
use crate::playbook::program::File;

/// What `catch` gives of a failed action.
const FAILURE: [&str; 4] = ["kind", "action", "message", "retryable"];

/// Where a value comes from.
enum Origin {
    /// An action, by name, with the fields that its result may have.
    Action(String, Vec<String>),
    /// `wait_for`.
    Event,
    /// `ask`, with the choices, if they are written out.
    Answer(Vec<String>),
    /// `catch`.
    Failure,
}

/// What is read in `file` of things that have no such field, or compared with what they can never be.
pub fn check(file: &File, ast: &AST, known: &[Spec]) -> Vec<Diagnostic> {
    let mut reader = Reader { file, known, found: Vec::new() };
    for function in ast.iter_functions() {
        reader.function(&body(ast, function.name, function.params.len()), &function.params);
    }
    reader.found
}

struct Reader<'a> {
    file: &'a File,
    known: &'a [Spec],
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn function(&mut self, statements: &[Stmt], params: &[&str]) {
        let variables = self.variables(statements, params);
        each(statements, &mut |path| match path.last() {
            Some(ASTNode::Expr(Expr::Dot(it, ..))) => {
                let Some((field, at)) = first(&it.rhs) else { return };
                match &it.lhs {
                    Expr::Variable(name, ..) if name.2.is_empty() => {
                        if let Some(origin) = variables.get(name.1.as_str()) {
                            self.field(origin, &name.1, field, at);
                        }
                    }
                    Expr::FnCall(call, _) => {
                        if let Some(origin) = self.origin(call) {
                            self.field(&origin, "…", field, at);
                        }
                    }
                    _ => {}
                }
            }
            Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                self.compared(&variables, call);
            }
            _ => {}
        });
    }

    /// Variables that are set once, and by what.
    fn variables(&self, statements: &[Stmt], params: &[&str]) -> BTreeMap<String, Origin> {
        let mut found: BTreeMap<String, Option<Origin>> =
            params.iter().map(|it| ((*it).to_string(), None)).collect();
        let mut set = |name: &str, origin: Option<Origin>| {
            let known = found.contains_key(name);
            found.insert(name.into(), origin.filter(|_| !known));
        };
        each(statements, &mut |path| match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(it, ..))) => {
                let origin = match &it.1 {
                    Expr::FnCall(call, _) => self.origin(call),
                    _ => None,
                };
                set(&it.0.name, origin);
            }
            Some(ASTNode::Stmt(Stmt::For(it, _))) => {
                set(&it.0.name, None);
                it.1.iter().for_each(|it| set(&it.name, None));
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(it, _))) => {
                if let Expr::Variable(name, ..) = &it.expr {
                    // What the script itself throws there may have any fields.
                    let throws = throws_a_map(it.body.statements());
                    set(&name.1, (!throws).then_some(Origin::Failure));
                }
            }
            Some(ASTNode::Stmt(Stmt::Assignment(it))) => {
                if let Some(name) = root(&it.1.lhs) {
                    set(name, None);
                }
            }
            _ => {}
        });
        found.into_iter().filter_map(|(name, origin)| Some((name, origin?))).collect()
    }

    fn origin(&self, call: &FnCallExpr) -> Option<Origin> {
        if !call.namespace.is_empty() {
            return None;
        }
        match (call.name.as_str(), call.args.len()) {
            ("act", 2 | 3) => {
                let name = text(call.args.first()?)?;
                let result = &self.known.iter().find(|it| it.name == name)?.result;
                let fields = result.get("properties").and_then(Value::as_object)?;
                Some(Origin::Action(name.into(), fields.keys().cloned().collect()))
            }
            ("wait_for", 2 | 3) => Some(Origin::Event),
            ("ask", 3) => {
                let choices: Option<Vec<_>> = items(call.args.get(1)?)?.iter().map(text).collect();
                let choices = choices.filter(|it| !it.is_empty())?;
                Some(Origin::Answer(choices.into_iter().map(String::from).collect()))
            }
            _ => None,
        }
    }

    fn field(&mut self, origin: &Origin, variable: &str, field: &str, at: Position) {
        let (what, near, otherwise) = match origin {
            Origin::Action(name, fields) if !fields.iter().any(|it| it == field) => {
                (format!("what `{name}` gives"), nearest(field, fields.iter().map(String::as_str)), None)
            }
            Origin::Event if !EVENT.contains(&field) => {
                let help = format!("what was sent stands under `data`: `{variable}.data.{field}`");
                ("an event".into(), nearest(field, EVENT), Some(help))
            }
            Origin::Failure if !FAILURE.contains(&field) => {
                ("what is caught of an action".into(), nearest(field, FAILURE), None)
            }
            _ => return,
        };
        if let Some(help) = near.map(|it| format!("did you mean `{it}`?")).or(otherwise) {
            self.warn(at, format!("{what} has no `{field}`, so this is `()`"), help);
        }
    }

    /// `answer == "Yes"` where the choices are "yes" and "no".
    fn compared(&mut self, variables: &BTreeMap<String, Origin>, call: &FnCallExpr) {
        let [left, right] = call.args.as_slice() else { return };
        if !matches!(call.name.as_str(), "==" | "!=") || call.op_token.is_none() {
            return;
        }
        for (name, other) in [(left, right), (right, left)] {
            let Expr::Variable(name, ..) = name else { continue };
            let (Some(Origin::Answer(choices)), Some(wanted)) = (variables.get(name.1.as_str()), text(other))
            else {
                continue;
            };
            if !choices.iter().any(|it| it == wanted) {
                let text = format!("\"{wanted}\" is none of the choices, so nobody can answer it");
                self.warn(other.start_position(), text, format!("there are {}", choices.join(", ")));
            }
        }
    }

    fn warn(&mut self, at: Position, text: String, help: String) {
        let at = range(&self.file.text, at);
        let warning = Diagnostic::error("P0222", &self.file.path, &self.file.text, at, text).warning();
        self.found.push(warning.help(help));
    }
}

/// Shows every node of `statements` to `look`.
fn each(statements: &[Stmt], look: &mut dyn FnMut(&[ASTNode])) {
    for statement in statements {
        statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            look(path);
            true
        });
    }
}

/// The first field of a chain after a dot.
fn first(expr: &Expr) -> Option<(&str, Position)> {
    match expr {
        Expr::Property(it, at) => Some((it.2.as_str(), *at)),
        Expr::Dot(it, ..) | Expr::Index(it, ..) => first(&it.lhs),
        _ => None,
    }
}

/// The variable that is changed by an assignment to `expr`.
fn root(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Variable(it, ..) => Some(it.1.as_str()),
        Expr::Dot(it, ..) | Expr::Index(it, ..) => root(&it.lhs),
        _ => None,
    }
}

fn throws_a_map(statements: &[Stmt]) -> bool {
    let mut found = false;
    each(statements, &mut |path| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::Return(Some(it), ..))) if !matches!(**it, Expr::StringConstant(..)));
    });
    found
}
