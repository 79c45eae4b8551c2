//! What Rhai is taught: a missing field can be asked anything, and the functions of [`builtin`](super::builtin).

use std::cell::Cell;
use std::ops::{Range, RangeInclusive};

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position};

use super::builtin::{self, Builtin};
use super::scalar::Scalar;

/// What a native function answers.
pub(super) type Answer = Result<Dynamic, Box<EvalAltResult>>;

thread_local! {
    /// The time of the event that this thread evaluates an expression for, in microseconds; the only clock there is.
    static NOW: Cell<i64> = const { Cell::new(0) };
    /// How many elements of lists this evaluation has asked. Rhai does not add up what closures do.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

/// Most elements of lists that one evaluation asks, those of lists in lists included: some tens of milliseconds.
const MAX_ASKED: usize = 20_000;

/// Runs `work` with the event's time set.
pub(super) fn at<T>(micros: i64, work: impl FnOnce() -> T) -> T {
    let before = (NOW.replace(micros), ASKED.replace(0));
    let answer = work();
    NOW.set(before.0);
    ASKED.set(before.1);
    answer
}

/// Counts one more element that is asked.
pub(super) fn ask() -> Result<(), Box<EvalAltResult>> {
    let asked = ASKED.get() + 1;
    ASKED.set(asked);
    if asked > MAX_ASKED {
        return Err(fail(format!("it asks more than {MAX_ASKED} elements of lists")));
    }
    Ok(())
}

/// Teaches `engine`.
pub(super) fn register(engine: &mut Engine) {
    missing(engine);
    for (name, builtin, least, most) in builtin::ALL {
        let builtin = *builtin;
        if *least == 1 {
            engine.register_fn(*name, move |x: Dynamic| call(builtin, vec![x]));
            // Rhai has functions of some of these names for texts.
            engine.register_fn(*name, move |x: ImmutableString| call(builtin, vec![x.into()]));
        }
        if *most == 2 {
            engine.register_fn(*name, move |x: Dynamic, y: Dynamic| call(builtin, vec![x, y]));
        }
    }
    engine
        .register_fn("to_int", |x: f64| call(Builtin::ToInt, vec![x.into()]))
        .register_fn("replace", |text: ImmutableString, part: ImmutableString, other: ImmutableString| {
            text.replace(&*part, &other)
        });
}

/// A missing field is `()`, and so is everything below it; asking it anything is no error.
fn missing(engine: &mut Engine) {
    engine
        .register_indexer_get(|_: &mut (), _: &str| Dynamic::UNIT)
        .register_indexer_get(|_: &mut (), _: i64| Dynamic::UNIT)
        .on_invalid_array_index(|_, _, _| Ok(Dynamic::UNIT.into()))
        .register_fn("len", |(): ()| 0_i64)
        .register_fn("is_empty", |(): ()| true)
        .register_fn("is_missing", |value: Dynamic| value.is_unit())
        .register_fn("truth", |value: Dynamic| match value.as_bool() {
            Ok(holds) => Ok(holds),
            Err(_) if value.is_unit() => Ok(false),
            Err(_) => Err(fail(format!(
                "`!`, `&&` and `||` want true or false, this is {}",
                builtin::kind(&scalar_or_text(&value))
            ))),
        })
        .register_fn("contains", |range: &mut Range<i64>, x: Dynamic| {
            between(&x, |x| range.contains(&x), range.start as f64, range.end as f64)
                .map(|inside| inside && x.as_float() != Ok(range.end as f64))
        })
        .register_fn("contains", |range: &mut RangeInclusive<i64>, x: Dynamic| {
            between(&x, |x| range.contains(&x), *range.start() as f64, *range.end() as f64)
        })
        .register_fn("exists", |value: Dynamic| !value.is_unit())
        .register_fn("index_of", |(): (), _: Dynamic| -1_i64)
        .register_fn("contains", |_: Map, (): ()| false)
        .register_fn("-", |(): ()| ())
        .register_fn("sub_string", |(): (), _: i64| ())
        .register_fn("sub_string", |(): (), _: i64, _: i64| ())
        .register_fn("replace", |(): (), _: Dynamic, _: Dynamic| ())
        .register_fn("to_string", |(): ()| "");
    for name in ["contains", "starts_with", "ends_with"] {
        engine
            .register_fn(name, |(): (), _: Dynamic| false)
            .register_fn(name, |_: ImmutableString, (): ()| false);
    }
    for name in ["to_lower", "to_upper"] {
        engine.register_fn(name, |(): ()| ());
    }
    for name in ["split", "keys", "values"] {
        engine.register_fn(name, |(): ()| Array::new());
    }
    engine.register_fn("split", |(): (), _: Dynamic| Array::new());
    for name in ["+", "-", "*", "/", "%", "**"] {
        engine
            .register_fn(name, |(): (), _: i64| ())
            .register_fn(name, |(): (), _: f64| ())
            .register_fn(name, |_: i64, (): ()| ())
            .register_fn(name, |_: f64, (): ()| ())
            .register_fn(name, |(): (), (): ()| ());
    }
}

/// Whether a number lies in a range; a missing one does not.
fn between(
    x: &Dynamic,
    whole: impl Fn(i64) -> bool,
    least: f64,
    most: f64,
) -> Result<bool, Box<EvalAltResult>> {
    if let Ok(x) = x.as_int() {
        return Ok(whole(x));
    }
    if let Ok(x) = x.as_float() {
        return Ok((least..=most).contains(&x));
    }
    if x.is_unit() { Ok(false) } else { Err(fail("only a number can lie in a range")) }
}

/// An error of a native function.
pub(super) fn fail(message: impl Into<String>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.into().into(), Position::NONE).into()
}

fn call(builtin: Builtin, args: Vec<Dynamic>) -> Answer {
    // The element of a list, with large and small letters alike.
    if let (Builtin::IContains, [list, item]) = (builtin, &args[..])
        && !item.is_unit()
        && let Ok(list) = list.as_array_ref()
    {
        let equal = |x: &Dynamic| call(Builtin::IEquals, vec![x.flatten_clone(), item.clone()]);
        return Ok(list.iter().any(|x| equal(x).is_ok_and(|b| b.as_bool() == Ok(true))).into());
    }
    let texts: Vec<Option<ImmutableString>> = args.iter().map(text).collect();
    let mut scalars = Vec::with_capacity(3);
    if builtin == Builtin::Age {
        scalars.push(Scalar::Int(NOW.get()));
    }
    for (arg, text) in args.iter().zip(&texts) {
        scalars.push(match text {
            Some(text) => Scalar::Str(text.as_str().into()),
            None => scalar(arg),
        });
    }
    builtin.call(&scalars).map(|answer| back(&answer)).map_err(fail)
}

fn text(value: &Dynamic) -> Option<ImmutableString> {
    if let Ok(c) = value.as_char() {
        return Some(c.to_string().into());
    }
    value.as_immutable_string_ref().ok().map(|text| text.clone())
}

fn scalar_or_text(value: &Dynamic) -> Scalar<'static> {
    if value.is_string() || value.is_char() { Scalar::Str("".into()) } else { scalar(value) }
}

pub(super) fn scalar(value: &Dynamic) -> Scalar<'static> {
    if value.is_unit() {
        Scalar::Missing
    } else if let Ok(b) = value.as_bool() {
        Scalar::Bool(b)
    } else if let Ok(n) = value.as_int() {
        Scalar::Int(n)
    } else if let Ok(n) = value.as_float() {
        Scalar::Float(n)
    } else if let Ok(list) = value.as_array_ref() {
        Scalar::Array(list.len())
    } else if value.is_map() {
        Scalar::Map
    } else {
        Scalar::Unknown
    }
}

pub(super) fn back(value: &Scalar<'_>) -> Dynamic {
    match value {
        Scalar::Bool(b) => (*b).into(),
        Scalar::Int(n) => (*n).into(),
        Scalar::Float(n) => (*n).into(),
        Scalar::Str(text) => (&**text).into(),
        Scalar::Missing | Scalar::Array(_) | Scalar::Map | Scalar::Unknown => Dynamic::UNIT,
    }
}
