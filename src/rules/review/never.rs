//! Conditions that no event can fulfil.
//!
//! Only what a condition asks of single fields is looked at. For each field that is asked more than once, values are
//! tried that lie on, beside and between those that it is compared with; if none fits, none does.

use crate::condition::builtin::Builtin;
use crate::condition::scalar::Op;
use crate::condition::times::Part;
use crate::condition::{Condition, Path, Root, Scalar, Term};
use crate::model::Pattern;

/// Why `condition` never holds for events of the topics `on`; none if it may.
pub fn why(condition: &Condition, on: Option<&[Pattern]>) -> Option<String> {
    let term = condition.term()?;
    never(term, condition.paths(), on)
}

fn never(term: &Term, paths: &[Path], on: Option<&[Pattern]>) -> Option<String> {
    if term.test(&[]) == Some(false) {
        return Some(match term {
            Term::Const(_) => "its condition is `false`".into(),
            _ => "its condition is false whatever the event says".into(),
        });
    }
    match term {
        Term::Compare(op, sides) if *op != Op::Ne && mixed(sides) => {
            Some("a comparison of a comparison: what is between two values is `a < x && x < b`".into())
        }
        Term::Compare(op, sides) if *op != Op::Ne && number_with_text(sides).is_some() => {
            number_with_text(sides)
        }
        Term::In(_, list) if list.is_empty() => Some("nothing is in an empty list".into()),
        Term::Or(any) => {
            let all: Option<Vec<String>> = any.iter().map(|term| never(term, paths, on)).collect();
            all?.into_iter().next()
        }
        Term::And(_) => {
            let all = term.conjuncts();
            all.iter().find_map(|term| never(term, paths, on)).or_else(|| contradiction(&all, paths, on))
        }
        _ => contradiction(&[term], paths, on),
    }
}

/// Whether something that is true or false is compared with a value that never is, as in `1 < x < 5`.
fn mixed(sides: &(Term, Term)) -> bool {
    let is_test =
        |term: &Term| matches!(term, Term::Is(..) | Term::Compare(..) | Term::In(..) | Term::Text(..));
    let is_value = |term: &Term| matches!(term, Term::Const(value) if !matches!(value, Scalar::Bool(_)));
    is_test(&sides.0) && is_value(&sides.1) || is_value(&sides.0) && is_test(&sides.1)
}

/// A number that is compared with a text.
fn number_with_text(sides: &(Term, Term)) -> Option<String> {
    [(&sides.0, &sides.1), (&sides.1, &sides.0)].into_iter().find_map(|(number, text)| match text {
        Term::Const(text @ Scalar::Str(_)) => counts(number).map(|why| format!("{why} {}", constant(text))),
        _ => None,
    })
}

/// What is to be said before the text that it is compared with, of something that is a number or missing.
fn counts(term: &Term) -> Option<&'static str> {
    match term {
        Term::Call(Builtin::Age, _) => Some("`age` is a number of seconds: write `5m`, not"),
        Term::Call(Builtin::Duration, _) => Some("`duration` is a number of seconds: write `5m`, not"),
        Term::Call(Builtin::Time, _) => {
            Some("`time(x)` is a number of seconds: compare it with another, not with")
        }
        Term::Call(Builtin::Part(Part::Weekday), _) => {
            Some("`weekday` is a number, 1 on Mondays: it is never")
        }
        Term::Call(Builtin::Part(_), _) => Some("a part of a time is a number: it is never the text"),
        Term::Len(_) => Some("`len` is a number: it is never the text"),
        Term::Call(Builtin::ToInt | Builtin::ToFloat, _) => {
            Some("`to_int` and `to_float` give numbers, never the text")
        }
        _ => None,
    }
}

/// Two or more demands on one field that exclude each other.
fn contradiction(all: &[&Term], paths: &[Path], on: Option<&[Pattern]>) -> Option<String> {
    for (field, path) in paths.iter().enumerate() {
        let demands: Vec<&Term> =
            all.iter().copied().filter(|term| reads(term).is_some_and(|f| f as usize == field)).collect();
        let topics = on.filter(|_| *path == Path::root(Root::Topic));
        if let Some(topics) = topics
            && let Some(wanted) = demands.iter().find_map(|term| exact(term))
            && wanted.iter().all(|value| !is_one_of(value, topics))
        {
            let on = topics.iter().map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ");
            return Some(format!("its topic would have to be {}, but it is about {on}", list(wanted)));
        }
        if *path == Path::root(Root::Priority)
            && let Some(wanted) = demands.iter().find_map(|term| exact(term))
            && wanted.iter().all(|value| !is_priority(value))
        {
            let wanted = list(wanted);
            return Some(format!(
                "the priority of an event is low, normal, high or critical, never {wanted}"
            ));
        }
        if demands.is_empty() || fits(&demands, field) {
            continue;
        }
        // Two that exclude each other say more than all there are.
        let pair = demands
            .iter()
            .enumerate()
            .find_map(|(i, a)| demands[..i].iter().find(|b| !fits(&[a, b], field)).map(|b| [*b, *a]));
        let shown: Vec<String> = pair
            .map_or(demands.clone(), Vec::from)
            .iter()
            .map(|term| format!("`{}`", text(term, path)))
            .collect();
        return Some(match shown.as_slice() {
            [one] => format!("{one} never holds"),
            _ => format!("no value fits {}", shown.join(" and ")),
        });
    }
    None
}

/// Whether a value can be found that fulfils all of the demands on this field, or it cannot be decided.
fn fits(demands: &[&Term], field: usize) -> bool {
    let mut slots = vec![Scalar::Missing; field + 1];
    let mut undecided = false;
    for value in candidates(demands) {
        slots[field] = value;
        let answers: Vec<Option<bool>> = demands.iter().map(|term| holds(term, &slots)).collect();
        if answers.iter().all(|answer| *answer == Some(true)) {
            return true;
        }
        undecided |= answers.iter().all(|answer| *answer != Some(false));
    }
    undecided
}

/// Whether `term` holds. What is asked for itself must be true or false: anything else fails, and so is false.
fn holds(term: &Term, slots: &[Scalar<'_>]) -> Option<bool> {
    let plain = |term: &Term| matches!(term, Term::Field(_) | Term::Truth(_));
    let asked = plain(term) || matches!(term, Term::Not(inner) if plain(inner));
    let answer = term.test(slots);
    if asked || matches!(term, Term::Between(..)) { Some(answer == Some(true)) } else { answer }
}

/// Values that decide: if none of these fits, no other does.
fn candidates(demands: &[&Term]) -> Vec<Scalar<'static>> {
    if let Some(values) = demands.iter().find_map(|term| exact(term)) {
        return values.to_vec();
    }
    let constants = demands.iter().flat_map(|term| match term {
        Term::Is(_, _, value) => vec![value.clone()],
        Term::Between(_, least, most) => vec![Scalar::Int(*least), Scalar::Int(*most)],
        _ => Vec::new(),
    });
    let mut numbers: Vec<f64> = Vec::new();
    let mut found = vec![
        Scalar::Missing,
        Scalar::Bool(false),
        Scalar::Bool(true),
        Scalar::Str("".into()),
        Scalar::Array(0),
        Scalar::Array(1),
        Scalar::Map,
    ];
    for value in constants {
        match value {
            Scalar::Int(n) => {
                numbers.push(n as f64);
                found.extend([n.saturating_sub(1), n, n.saturating_add(1)].map(Scalar::Int));
            }
            Scalar::Float(n) => numbers.push(n),
            Scalar::Str(text) => {
                // The next text after it.
                found.push(Scalar::Str(format!("{text}\u{0}").into()));
                found.push(Scalar::Str(text));
            }
            other => found.push(other),
        }
    }
    numbers.sort_by(f64::total_cmp);
    let between = numbers.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0).collect::<Vec<_>>();
    let around = |n: &f64| [*n, n - n.abs().max(1.0), n + n.abs().max(1.0)];
    found.extend(numbers.iter().flat_map(around).chain(between).map(Scalar::Float));
    found
}

/// The only field that `term` reads, if it asks nothing but what [`candidates`] can decide.
fn reads(term: &Term) -> Option<u32> {
    match term {
        Term::Is(_, field, _) => Some(*field),
        Term::In(item, _) | Term::IsMissing(item) | Term::Truth(item) | Term::Between(item, ..) => {
            match **item {
                Term::Field(field) => Some(field),
                _ => None,
            }
        }
        Term::Field(field) => Some(*field),
        Term::Not(inner) => reads(inner),
        _ => None,
    }
}

/// The values that `term` allows its field, where it names them.
fn exact(term: &Term) -> Option<&[Scalar<'static>]> {
    match term {
        Term::Is(Op::Eq, _, value) => Some(std::slice::from_ref(value)),
        Term::In(item, list) if matches!(**item, Term::Field(_)) => Some(list),
        _ => None,
    }
}

fn is_one_of(value: &Scalar<'_>, topics: &[Pattern]) -> bool {
    matches!(value, Scalar::Str(topic) if topics.iter().any(|pattern| pattern.matches(topic)))
}

fn is_priority(value: &Scalar<'_>) -> bool {
    matches!(value, Scalar::Str(name) if ["low", "normal", "high", "critical"].contains(&&**name))
}

fn list(values: &[Scalar<'_>]) -> String {
    values.iter().map(constant).collect::<Vec<_>>().join(" or ")
}

fn constant(value: &Scalar<'_>) -> String {
    match value {
        Scalar::Missing => "()".into(),
        value => value.to_value().map(|value| value.to_string()).unwrap_or_default(),
    }
}

/// The demand as a person would write it.
fn text(term: &Term, path: &Path) -> String {
    let path = path.display(&[]).to_string();
    shown(term, &path)
}

fn shown(term: &Term, path: &str) -> String {
    match term {
        Term::Is(op, _, value) => {
            let op = match op {
                Op::Eq => "==",
                Op::Ne => "!=",
                Op::Lt => "<",
                Op::Le => "<=",
                Op::Gt => ">",
                Op::Ge => ">=",
            };
            format!("{path} {op} {}", constant(value))
        }
        Term::In(_, list) => {
            format!("{path} in [{}]", list.iter().map(constant).collect::<Vec<_>>().join(", "))
        }
        Term::Between(_, least, most) => format!("{path} in {least}..={most}"),
        Term::IsMissing(_) => format!("is_missing({path})"),
        Term::Not(inner) => match &**inner {
            Term::Between(_, least, most) => format!("{path} in {least}..={most}"),
            Term::IsMissing(_) => format!("exists({path})"),
            inner => format!("!({})", shown(inner, path)),
        },
        _ => path.to_string(),
    }
}
