//! What fails whenever it is reached, or throws away what it was to give: conditions that are neither true nor false,
//! loops over what has no items, divisions by zero, methods that change in place.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::Told;
use super::chain::{Step, is_rest, spelled, steps};
use super::compare::{named, place};
use super::kinds::Kinds;
use super::known::{From, Given, Knowledge, Known};
use super::literal::Kind;

/// Methods that change what they are called on and give nothing.
pub const IN_PLACE: [&str; 11] = [
    "trim",
    "replace",
    "make_upper",
    "make_lower",
    "push",
    "append",
    "sort",
    "reverse",
    "insert",
    "truncate",
    "clear",
];
/// How others ask for the length.
const LENGTH: [&str; 4] = ["length", "size", "count", "Length"];

/// Names that a function in a map could have.
pub fn words(ast: &AST) -> BTreeSet<String> {
    let mut words = super::texts(ast);
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(Expr::Map(it, _))) => {
                words.extend(it.0.iter().map(|(key, _)| key.name.to_string()));
            }
            Some(ASTNode::Expr(Expr::Property(it, _))) => drop(words.insert(it.2.to_string())),
            // What is imported may hold anything.
            Some(ASTNode::Stmt(Stmt::Import(..))) => words.extend(IN_PLACE.map(String::from)),
            _ => {}
        }
        true
    });
    words
}

/// Conditions and loops.
pub fn statement(known: &Knowledge, statement: &Stmt, told: &mut Told) {
    match statement {
        Stmt::If(it, _) => condition(known, "if", &it.expr, told),
        Stmt::While(it, _) if !matches!(it.expr, Expr::Unit(_)) => condition(known, "while", &it.expr, told),
        Stmt::Do(it, ..) => condition(known, "while", &it.expr, told),
        Stmt::For(it, _) => {
            let (list, over) = (&it.2.expr, known.of(&it.2.expr));
            let none = [Kind::Map, Kind::Bool, Kind::Nothing].into_iter().map(Kinds::of);
            if !over.kinds.within(none.fold(Kinds::NUMBER, Kinds::or)) {
                return;
            }
            let text = format!("{} is {}, which `for` cannot go through", named(list), over.kinds.words());
            let help = match spelled(list) {
                Some(name) if over.kinds.has(Kind::Map) => format!("write `for key in {name}.keys()`"),
                _ if over.kinds.has(Kind::Map) => "go through its keys: `.keys()`".into(),
                Some(name) if over.kinds.within(Kinds::NUMBER) => {
                    format!("to count write `for i in 0..{name}`")
                }
                _ => "it takes a list".into(),
            };
            told.fails(place(list), text, help, over.sure);
        }
        _ => {}
    }
}

fn condition(known: &Knowledge, of: &str, expr: &Expr, told: &mut Told) {
    let it = known.of(expr);
    if it.kinds.is_any() || it.kinds.has(Kind::Bool) {
        return;
    }
    let words = match it.from {
        From::Event => "an event or `()`".into(),
        From::Answer(_) => "the answer, which is text".into(),
        _ => it.kinds.words(),
    };
    let text = format!("`{of}` needs true or false, and {} is {words}", named(expr));
    told.fails(place(expr), text, asked(of, expr, &it), it.sure);
}

/// How to ask of `expr` what was meant.
fn asked(of: &str, expr: &Expr, known: &Known) -> String {
    let name = match expr {
        Expr::FnCall(call, _) if call.op_token.is_none() => format!("{}(…)", call.name),
        _ => spelled(expr).unwrap_or_else(|| "…".into()),
    };
    let kinds = known.kinds.there();
    match &known.from {
        From::Event if of == "!" => format!("say `{name} == ()`: so it is when the time is up"),
        From::Event => format!("say `{name} != ()`: nothing comes when the time is up"),
        From::Answer(choices) => {
            format!("say `{name} == \"{}\"`", choices.first().map_or("yes", String::as_str))
        }
        From::Result(given, _) => match given.iter().find_map(Given::answer) {
            Some(field) => format!("say `{name}.{field}`; an action that fails throws"),
            None => "an action that fails throws, which `try { … } catch (e) { … }` can take".into(),
        },
        _ if kinds.within(Kinds::NUMBER) => format!("say `{name} > 0`"),
        _ if kinds == Kinds::of(Kind::Text) && !known.kinds.has(Kind::Nothing) => {
            format!("say `{name} != \"\"`")
        }
        _ if kinds == Kinds::of(Kind::List) && !known.kinds.has(Kind::Nothing) => {
            format!("say `!{name}.is_empty()`")
        }
        _ => format!("say `{name} != ()`"),
    }
}

/// Operators and divisions.
pub fn call(known: &Knowledge, call: &FnCallExpr, at: Position, told: &mut Told) {
    match (call.name.as_str(), call.args.as_slice()) {
        ("!", [it]) if call.op_token.is_some() => condition(known, "!", it, told),
        ("/" | "%", [left, right]) if call.op_token.is_some() => {
            let zero = matches!(known.written(right), Expr::IntegerConstant(0, _));
            if zero && known.of(left).kinds == Kinds::of(Kind::Int) {
                let at = if at.is_none() { left.start_position() } else { at };
                told.fails(at, "this divides by zero".into(), "ask before whether it is 0", true);
            }
        }
        _ => {}
    }
}

/// Whatever else can be seen of `expr`, the last of `path`.
pub fn expression(
    known: &Knowledge,
    expr: &Expr,
    path: &[ASTNode],
    words: &BTreeSet<String>,
    told: &mut Told,
) {
    match expr {
        Expr::And(parts, _) => parts.iter().for_each(|it| condition(known, "&&", it, told)),
        Expr::Or(parts, _) => parts.iter().for_each(|it| condition(known, "||", it, told)),
        Expr::FloatConstant(it, at) => large(**it, *at, told),
        Expr::Dot(..) | Expr::Index(..) if !is_rest(path) => chain(known, expr, path, words, told),
        _ => {}
    }
}

/// A whole number that does not fit, and so becomes another.
fn large(number: f64, at: Position, told: &mut Told) {
    let place = super::range(&told.file.text, at);
    let written = told.file.text.get(place.clone()).unwrap_or_default();
    let is_whole = !written.is_empty() && written.chars().all(|c| c.is_ascii_digit() || c == '_');
    let ends = !told.file.text[place.end..].starts_with('.');
    if is_whole && ends && number.abs() >= 9.2e18 {
        let text = "this whole number is too large, so it is a number with a fraction, and not exact";
        told.warn(at, text.into(), "the largest is 9223372036854775807; write ids and the like as text");
    }
}

fn chain(known: &Knowledge, expr: &Expr, path: &[ASTNode], words: &BTreeSet<String>, told: &mut Told) {
    let (root, all) = steps(expr);
    let mut base = known.of(root);
    for (i, step) in all.iter().enumerate() {
        let kinds = base.kinds.there();
        let sized = Kinds::of(Kind::List).or(Kinds::of(Kind::Text));
        match step {
            _ if base.kinds == Kinds::of(Kind::Nothing) => {}
            Step::Field(name, at) if kinds.within(sized) && LENGTH.contains(name) => {
                let text = format!("{} has no `{name}`", kinds.words());
                told.fails(*at, text, "write `.len()`", base.sure);
            }
            Step::Method(call, at) if call.name == "call" => {
                let plain = |it: &Expr| !matches!(Kind::of(it), Kind::Any | Kind::Function);
                let is_function =
                    kinds.is_any() || [Kind::Map, Kind::Function].into_iter().any(|it| kinds.has(it));
                if !is_function && call.args.iter().all(plain) && !known.around.defines("call") {
                    let text = format!("this is {}, which cannot be called", kinds.words());
                    told.fails(*at, text, "`call` is for functions, such as `let f = |x| x + 1`", base.sure);
                }
            }
            Step::Method(call, at) if IN_PLACE.contains(&call.name.as_str()) => {
                let known_kind = !kinds.is_any() && kinds.within(sized);
                let name = call.name.as_str();
                let free = !known.around.defines(name) && (known_kind || !words.contains(name));
                let used = i + 1 < all.len() || is_used(path);
                if free && used && (known_kind || kinds.is_any()) {
                    let text = format!("`{name}` changes what it is called on, and gives `()`");
                    let given = if call.args.is_empty() { "()" } else { "(…)" };
                    let help = match root {
                        Expr::Variable(it, ..) if i == 0 => {
                            format!("write `{}.{name}{given};` by itself, and then use `{}`", it.1, it.1)
                        }
                        _ => format!("put it into a variable first: `let x = …; x.{name}{given};`"),
                    };
                    told.warn(*at, text, help);
                }
            }
            _ => {}
        }
        base = known.step(&base, step);
    }
}

/// Whether something is done with what the last node of `path` gives.
fn is_used(path: &[ASTNode]) -> bool {
    match path {
        [.., ASTNode::Stmt(Stmt::Var(..) | Stmt::Assignment(..) | Stmt::FnCall(..)), _] => true,
        // `${…}` is a block, and its last line is what stands there.
        [
            ..,
            ASTNode::Expr(Expr::InterpolatedString(..)),
            ASTNode::Expr(Expr::Stmt(block)),
            ASTNode::Stmt(own),
            _,
        ] => block.statements().last().is_some_and(|last| std::ptr::eq(last, *own)),
        [.., ASTNode::Expr(parent), _] => matches!(
            parent,
            Expr::FnCall(..)
                | Expr::Array(..)
                | Expr::Map(..)
                | Expr::MethodCall(..)
                | Expr::InterpolatedString(..)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::engine;

    #[test]
    fn what_changes_in_place_gives_nothing_whatever_it_is_called_on() {
        for name in IN_PLACE {
            let all = engine::shared().gen_fn_signatures(true);
            let own: Vec<_> = all.iter().filter(|it| it.starts_with(&format!("{name}("))).collect();
            assert!(!own.is_empty(), "{name}");
            // That by the name of a function cannot say so.
            for signature in own.into_iter().filter(|it| !it.starts_with("sort(_: &mut array, _: string)")) {
                assert!(
                    !signature.contains("->")
                        || signature.ends_with("()")
                        || signature.contains("Result<(),"),
                    "{signature}"
                );
            }
        }
    }

    #[test]
    fn what_is_told_to_fail_does() {
        for text in [
            "if () {}",
            "if [1] {}",
            "let x = 1; if x {}",
            "let x = \"a\"; while x {}",
            "let x = #{}; !x",
            "let x = #{}; x && true",
            "let m = #{ a: 1 }; for x in m {}",
            "let x = 5; for y in x {}",
            "for y in true {}",
            "[2, 1].sort(\"f\") + 1",
            "5 / 0",
            "5 % 0",
            "[1].length",
            "\"a\".length",
            "let l = [1]; l.count",
            "let f = 5; f.call(1)",
            "\"a\".call()",
            "let t = \"a\"; t.answer",
        ] {
            assert!(engine::shared().eval::<rhai::Dynamic>(text).is_err(), "{text}");
        }
    }
}
