//! Questions about lists: `any`, `all`, `count`, `sum` and their like.
//!
//! What is no list is a list of one, so that a field that is sometimes one map and sometimes several reads the same;
//! a missing one has no elements, and nothing holds for it.
//!
//! What is answered does not depend on the order of a list: an element for which the question fails
//! does not hide another that settles it.

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, NativeCallContext};

use super::natives::{Answer, ask as ask_one, fail};
use super::scalar::{Op, compare};
use super::script;

/// A question with a closure.
#[derive(Clone, Copy)]
enum Ask {
    Any,
    All,
    None,
    Count,
    Filter,
    Map,
}

/// Teaches `engine`.
pub(super) fn register(engine: &mut Engine) {
    for (name, ask) in [
        ("any", Ask::Any),
        ("all", Ask::All),
        ("none", Ask::None),
        ("count", Ask::Count),
        ("filter", Ask::Filter),
        ("map", Ask::Map),
    ] {
        engine.register_fn(name, move |context: NativeCallContext, list: &mut Array, f: FnPtr| {
            quantify(ask, &context, list, &f)
        });
        engine.register_fn(name, move |context: NativeCallContext, value: Dynamic, f: FnPtr| -> Answer {
            if value.is_unit() {
                return Ok(match ask {
                    Ask::Any | Ask::All | Ask::None => false.into(),
                    Ask::Count => 0_i64.into(),
                    Ask::Filter | Ask::Map => Array::new().into(),
                });
            }
            quantify(ask, &context, &[value], &f)
        });
    }
    for (name, answer) in [
        ("sum", sum as fn(&[Dynamic]) -> Answer),
        ("avg", avg),
        ("min", |list| extreme(list, Op::Lt)),
        ("max", |list| extreme(list, Op::Gt)),
        ("first", |list| Ok(list.first().cloned().unwrap_or_default())),
        ("last", |list| Ok(list.last().cloned().unwrap_or_default())),
        ("unique", unique),
    ] {
        engine.register_fn(name, move |list: &mut Array| answer(list));
        engine.register_fn(
            name,
            move |value: Dynamic| {
                if value.is_unit() { answer(&[]) } else { answer(&[value]) }
            },
        );
    }
    for name in ["min", "max"] {
        engine
            .register_fn(name, |(): (), other: Dynamic| other)
            .register_fn(name, |other: Dynamic, (): ()| other);
    }
    engine
        .register_fn("join", |list: &mut Array, by: ImmutableString| -> Result<String, Box<EvalAltResult>> {
            let parts: Result<Vec<String>, _> = list
                .iter()
                .map(|x| script::json(x).map(|x| super::template::text_of(&x)).map_err(|e| fail(e.message)))
                .collect();
            Ok(parts?.join(&by))
        })
        .register_fn("join", |(): (), _: ImmutableString| "");
}

fn quantify(ask: Ask, context: &NativeCallContext, list: &[Dynamic], f: &FnPtr) -> Answer {
    let mut kept = Array::new();
    let mut holds = 0_usize;
    let mut failed = None;
    for element in list {
        ask_one()?;
        let answer = f.call_within_context(context, (element.clone(),));
        if let Ask::Map = ask {
            kept.push(answer?);
            continue;
        }
        let yes = match (answer.and_then(|answer| holds_for(&answer)), ask) {
            (Ok(yes), _) => yes,
            // Another element may settle it, unless this one has used up what an evaluation may take.
            (Err(error), Ask::Any | Ask::All | Ask::None) if error.unwrap_inner().is_catchable() => {
                failed.get_or_insert(error);
                continue;
            }
            (Err(error), _) => return Err(error),
        };
        holds += usize::from(yes);
        match (ask, yes) {
            (Ask::Any, true) => return Ok(true.into()),
            (Ask::All, false) | (Ask::None, true) => return Ok(false.into()),
            (Ask::Filter, true) => kept.push(element.clone()),
            _ => {}
        }
    }
    failed.map_or(Ok(()), Err)?;
    Ok(match ask {
        Ask::Any => false.into(),
        Ask::All | Ask::None => true.into(),
        Ask::Count => i64::try_from(holds).unwrap_or(i64::MAX).into(),
        Ask::Filter | Ask::Map => kept.into(),
    })
}

/// What a closure answered of an element; missing is false.
fn holds_for(answer: &Dynamic) -> Result<bool, Box<EvalAltResult>> {
    match answer.as_bool() {
        Ok(yes) => Ok(yes),
        Err(_) if answer.is_unit() => Ok(false),
        Err(kind) => Err(fail(format!("what is asked of each element is true or false, this is {kind}"))),
    }
}

/// The numbers of a list; missing elements are left out.
fn numbers(list: &[Dynamic]) -> Result<Vec<Dynamic>, Box<EvalAltResult>> {
    let there: Vec<Dynamic> = list.iter().filter(|x| !x.is_unit()).cloned().collect();
    match there.iter().find(|x| !x.is_int() && !x.is_float()) {
        Some(x) => Err(fail(format!("only numbers can be added up, this list has a {}", x.type_name()))),
        None => Ok(there),
    }
}

fn sum(list: &[Dynamic]) -> Answer {
    let numbers = numbers(list)?;
    let whole = numbers.iter().try_fold(0_i64, |sum, x| sum.checked_add(x.as_int().ok()?));
    Ok(whole.map_or_else(|| total(&numbers).into(), Into::into))
}

fn avg(list: &[Dynamic]) -> Answer {
    let numbers = numbers(list)?;
    Ok(if numbers.is_empty() { Dynamic::UNIT } else { (total(&numbers) / numbers.len() as f64).into() })
}

fn total(numbers: &[Dynamic]) -> f64 {
    numbers.iter().map(|x| x.as_float().or_else(|_| x.as_int().map(|n| n as f64)).unwrap_or(0.0)).sum()
}

/// The first element that no other is `better` than; missing ones are left out.
fn extreme(list: &[Dynamic], better: Op) -> Answer {
    let values: Result<Vec<_>, _> =
        list.iter().map(|x| script::json(x).map_err(|e| fail(e.message))).collect();
    let values = values?;
    let mut best: Option<usize> = None;
    for (i, value) in values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        let (this, known) = (super::Scalar::of(value), best.map(|i| super::Scalar::of(&values[i])));
        if known.is_none_or(|known| compare(better, &this, &known) == Some(true)) {
            best = Some(i);
        }
    }
    Ok(best.map(|i| list[i].clone()).unwrap_or_default())
}

fn unique(list: &[Dynamic]) -> Answer {
    let (mut seen, mut kept) = (std::collections::HashSet::new(), Array::new());
    for element in list {
        if seen.insert(script::json(element).map_err(|e| fail(e.message))?.to_string()) {
            kept.push(element.clone());
        }
    }
    Ok(kept.into())
}
