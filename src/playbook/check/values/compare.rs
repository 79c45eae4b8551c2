//! Comparisons that come out the same whatever happens: Rhai compares anything with anything, and says no word.

use rhai::{Expr, FnCallExpr, Position};

use super::Told;
use super::chain::{Step, spelled, steps};
use super::kinds::Kinds;
use super::known::{From, Knowledge, Known};
use super::literal::{Kind, text, value};

/// What `type_of` can answer.
const TYPES: [&str; 14] = [
    "i64",
    "f64",
    "string",
    "bool",
    "array",
    "map",
    "()",
    "char",
    "Fn",
    "range",
    "range=",
    "blob",
    "timestamp",
    "Instant",
];
/// What other languages call them.
const CALLED: [(&str, &[&str]); 9] = [
    ("i64", &["int", "integer", "Int", "Integer", "i32", "u64", "number", "long"]),
    ("f64", &["float", "double", "Float", "f32", "decimal"]),
    ("string", &["str", "String", "text", "Text"]),
    ("bool", &["boolean", "Boolean", "Bool"]),
    ("array", &["list", "List", "Array", "vec", "Vec"]),
    ("map", &["object", "dict", "Map", "hash", "Object", "object map"]),
    ("()", &["null", "none", "None", "nil", "undefined", "unit", "nothing", "void", ""]),
    ("char", &["character", "Char"]),
    ("Fn", &["function", "fn", "closure", "func", "Function"]),
];
const ORDER: [&str; 4] = ["<", ">", "<=", ">="];

/// What of `call`, perhaps a comparison, always comes out the same.
pub fn check(known: &Knowledge, call: &FnCallExpr, told: &mut Told) {
    let [left, right] = call.args.as_slice() else { return };
    let operator = call.name.as_str();
    let compares = matches!(operator, "==" | "!=") || ORDER.contains(&operator);
    if call.op_token.is_none() {
        return;
    }
    if !compares {
        return counted(known, operator, [left, right], told);
    }
    if twice(operator, left, right, told)
        || [(left, right), (right, left)].into_iter().any(|(one, other)| {
            of_type(known, one, other, told) || of_answer(known, operator, one, other, told)
        })
    {
        return;
    }
    let of = [known.of(left), known.of(right)];
    let sides = if is_literal(left) && !is_literal(right) {
        [(right, &of[1]), (left, &of[0])]
    } else {
        [(left, &of[0]), (right, &of[1])]
    };
    let always = operator == "!=";
    if !time(operator, &sides, told) {
        apart(operator, &sides, always, told);
    }
}

/// Both sides of a comparison, the one that is not written out first.
type Sides<'s, 'k> = [(&'s Expr, &'s Known<'k>); 2];

fn apart(operator: &str, [(one, a), (other, b)]: &Sides, always: bool, told: &mut Told) {
    let open = |it: Kinds| it.is_any() || it.has(Kind::Function) || it == Kinds::of(Kind::Nothing);
    if open(a.kinds) || open(b.kinds) || !a.kinds.never_meet(b.kinds) {
        return;
    }
    // Both may be `()`, and equal so.
    let both = a.kinds.has(Kind::Nothing) && b.kinds.has(Kind::Nothing);
    if both {
        return;
    }
    let what = named(one);
    let at = if is_literal(other) { other.start_position() } else { one.start_position() };
    let text = if is_literal(other) {
        format!("{what} is {}, so this is always {always}", words(a))
    } else {
        format!("{what} is {}, {} {}: this is always {always}", words(a), named(other), words(b))
    };
    told.warn(at, text, advice(operator, one, a, other, b));
}

fn words(known: &Known) -> String {
    match known.from {
        From::Result(..) if known.kinds.there() == Kinds::of(Kind::Map) => "a map of several fields".into(),
        From::Details => "a map, as `details` are wanted".into(),
        _ => known.kinds.words(),
    }
}

fn advice(operator: &str, one: &Expr, a: &Known, other: &Expr, b: &Known) -> String {
    let written = value(other);
    let one_text = spelled(one);
    match (&a.from, a.kinds.there(), b.kinds.there()) {
        (From::Details, ..) => "what was answered is in `.answer`".into(),
        (From::Answer(choices), _, it) if it == Kinds::of(Kind::Bool) => {
            let first = choices.first().map_or("yes", String::as_str);
            format!("compare it with one of the choices: `== \"{first}\"`")
        }
        (From::Result(given, _), it, _) if it == Kinds::of(Kind::Map) && given.len() == 1 => {
            let names: Vec<&str> = given[0].fields.keys().map(String::as_str).collect();
            format!("compare one of its fields: {}", names.join(", "))
        }
        (_, it, _) if it.within(Kinds::NUMBER) => match written.as_ref().and_then(|it| it.as_str()) {
            Some(text) if text.trim().parse::<f64>().is_ok() => {
                format!("compare it with a number, without quotes: `{}`", text.trim())
            }
            _ => "compare it with a number, without quotes".into(),
        },
        (_, it, of) if it == Kinds::of(Kind::Text) && of.within(Kinds::NUMBER) => {
            match (ORDER.contains(&operator), one_text, &written) {
                (true, Some(name), _) => format!("`parse_int({name})` makes a number of it"),
                (false, _, Some(number)) => format!("compare it with text: \"{number}\""),
                _ => "`parse_int(…)` makes a number of it".into(),
            }
        }
        (_, it, _) if it == Kinds::of(Kind::Bool) => match written.as_ref().and_then(|it| it.as_str()) {
            Some(text @ ("true" | "false")) => format!("write `{text}` without quotes"),
            _ => "compare it with `true` or `false`, or leave the comparison out".into(),
        },
        (_, it, _) if it == Kinds::of(Kind::Text) => "compare it with text: \"…\"".into(),
        (_, it, _) if it == Kinds::of(Kind::List) => "look into it: `.contains(…)` or `.len()`".into(),
        (_, it, _) => format!("compare it with {}", it.words()),
    }
}

/// A length of time that is text, compared with a number.
fn time(operator: &str, [(one, a), (_, b)]: &Sides, told: &mut Told) -> bool {
    if !matches!(a.from, From::Time) || !b.kinds.there().within(Kinds::NUMBER) || b.kinds.has(Kind::Nothing) {
        return false;
    }
    let always = operator == "!=";
    let what = named(one);
    let text = format!("{what} is a length of time, and text such as \"30s\" makes this always {always}");
    told.warn(one.start_position(), text, "declare a number of seconds: `type: int`, and `default: 30`");
    true
}

/// `ctx.params.grace * 2`.
fn counted(known: &Knowledge, operator: &str, sides: [&Expr; 2], told: &mut Told) {
    let of = sides.map(|it| known.of(it));
    let [(one, a, b), (other, c, d)] = [(sides[0], &of[0], &of[1]), (sides[1], &of[1], &of[0])];
    for (expr, time, with) in [(one, a, b), (other, c, d)] {
        let number = with.kinds.within(Kinds::NUMBER) || matches!(with.from, From::Time);
        if matches!(time.from, From::Time)
            && number
            && (matches!(operator, "*" | "/" | "-" | "%")
                || operator == "+" && with.kinds.within(Kinds::NUMBER))
        {
            let text = format!(
                "{} is a length of time, and text such as \"30s\" cannot be counted with",
                named(expr)
            );
            return told.warn(
                expr.start_position(),
                text,
                "declare a number of seconds: `type: int`, and `default: 30`",
            );
        }
    }
}

/// `1 < x < 5`.
fn twice(operator: &str, left: &Expr, right: &Expr, told: &mut Told) -> bool {
    let Expr::FnCall(inner, _) = left else { return false };
    let is_order = |it: &str| ORDER.contains(&it);
    if !is_order(operator) || inner.op_token.is_none() || !is_order(&inner.name) || inner.args.len() != 2 {
        return false;
    }
    let part = |it: &Expr| spelled(it).or_else(|| value(it).map(|it| it.to_string()));
    let help = match (part(&inner.args[0]), part(&inner.args[1]), part(right)) {
        (Some(a), Some(b), Some(c)) => format!("write `{a} {} {b} && {b} {operator} {c}`", inner.name),
        _ => format!("write `a {} b && b {operator} c`", inner.name),
    };
    let text = "this compares true or false, which the first comparison gives, with what comes last";
    told.warn(left.start_position(), text.into(), help);
    true
}

/// `type_of(x) == "int"`.
fn of_type(known: &Knowledge, one: &Expr, other: &Expr, told: &mut Told) -> bool {
    let asks = match one {
        Expr::FnCall(call, _) => call.name == "type_of" && call.args.len() == 1,
        _ => matches!(steps(one).1.last(), Some(Step::Method(call, _)) if call.name == "type_of"),
    };
    let Some(name) = text(known.written(other)).filter(|_| asks && !known.around.defines("type_of")) else {
        return false;
    };
    if TYPES.contains(&name) {
        return true;
    }
    let Some((right, _)) = CALLED.iter().find(|(_, all)| all.contains(&name)) else { return true };
    let help = match name {
        "number" => "write \"i64\" for a whole number, \"f64\" for one with a fraction".into(),
        _ => format!("write \"{right}\""),
    };
    told.warn(other.start_position(), format!("`type_of` never answers \"{name}\""), help);
    true
}

/// `answer == "Yes"` where the choices are "yes" and "no".
fn of_answer(known: &Knowledge, operator: &str, one: &Expr, other: &Expr, told: &mut Told) -> bool {
    if ORDER.contains(&operator) {
        return false;
    }
    let Some(wanted) = text(known.written(other)) else { return false };
    let From::Answer(choices) = known.of(one).from else { return false };
    if choices.is_empty() || choices.iter().any(|it| it == wanted) {
        return false;
    }
    let text = format!("\"{wanted}\" is none of the choices, so nobody can answer it");
    told.warn(other.start_position(), text, format!("there are {}", choices.join(", ")));
    true
}

fn is_literal(expr: &Expr) -> bool {
    Kind::of(expr) != Kind::Any
}

/// How a sentence begins that is about `expr`.
pub fn named(expr: &Expr) -> String {
    if let Some(name) = spelled(expr) {
        return format!("`{name}`");
    }
    let (root, steps) = steps(expr);
    match (root, steps.last()) {
        (Expr::FnCall(call, _), None) if call.op_token.is_none() => format!("what `{}` gives", call.name),
        (_, Some(Step::Method(call, _))) => format!("what `{}` gives", call.name),
        (_, Some(Step::Field(name, _))) => format!("`{name}`"),
        _ => "this".into(),
    }
}

/// Where a sentence about `expr` points.
pub fn place(expr: &Expr) -> Position {
    match steps(expr).1.last() {
        Some(Step::Field(_, at)) => *at,
        _ => expr.start_position(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::engine;

    /// A value of each kind, as it is written.
    const WRITTEN: [(Kind, &str); 9] = [
        (Kind::Nothing, "()"),
        (Kind::Bool, "true"),
        (Kind::Int, "3"),
        (Kind::Float, "3.5"),
        (Kind::Text, "\"3\""),
        (Kind::Char, "'3'"),
        (Kind::List, "[3]"),
        (Kind::Map, "#{ a: 3 }"),
        (Kind::Function, "Fn(\"f\")"),
    ];

    #[test]
    fn kinds_that_never_meet_compare_as_it_is_told() {
        let mut apart = 0;
        for (one, left) in WRITTEN {
            for (other, right) in WRITTEN {
                if !Kinds::of(one).never_meet(Kinds::of(other)) {
                    continue;
                }
                apart += 1;
                for operator in ["==", "!=", "<", ">", "<=", ">="] {
                    let text = format!("{left} {operator} {right}");
                    let came: bool = engine::shared().eval(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
                    assert_eq!(came, operator == "!=", "{text}");
                }
            }
        }
        assert!(apart > 60, "{apart}");
    }

    #[test]
    fn a_type_is_called_wrongly_only_where_nothing_is_called_so() {
        for (kind, text) in WRITTEN {
            let name: String = engine::shared().eval(&format!("type_of({text})")).unwrap();
            assert!(TYPES.contains(&name.as_str()), "{kind:?}: {name}");
        }
        let wrong: Vec<_> = CALLED.iter().flat_map(|(_, all)| *all).filter(|it| TYPES.contains(it)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(CALLED.iter().all(|(right, _)| TYPES.contains(right)));
    }
}
