//! The functions that take functions (`map`, `sort`, …), in place of Rhai's own.
//!
//! Rhai's wrap the error of the function they call, which makes every error catchable, or drop it (`sort`, `dedup`).
//! These do the same work with the same arguments; but an error that no script may catch ends the burst.

use std::cell::RefCell;
use std::cmp::Ordering;

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, FuncRegistration, Map, NativeCallContext};

use super::burst::{self, End, Thrown};
use super::failure;
use crate::model::Failure;

/// Takes the place of Rhai's own.
pub fn replace(engine: &mut Engine) {
    lists(engine);
    searches(engine);
    orders(engine);
    maps(engine);
    by_name(engine);
}

/// A function that does not change its list, so that it may be called on a constant.
macro_rules! pure {
    ($engine:ident, $name:expr, $body:expr) => {
        FuncRegistration::new($name).with_purity(true).register_into_engine($engine, $body);
    };
}

type List = Result<Array, Thrown>;
type One = Result<Dynamic, Thrown>;

fn lists(engine: &mut Engine) {
    engine.register_fn(
        "for_each",
        |at: NativeCallContext, list: &mut Array, f: FnPtr| -> Result<(), Thrown> {
            let call = Call::new(&at, f);
            list.iter_mut().enumerate().try_for_each(|(i, item)| call.on_this(item, i).map(drop))
        },
    );
    pure!(engine, "map", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> List {
        let call = Call::new(&at, f);
        list.iter_mut().enumerate().map(|(i, item)| call.item(item, i)).collect()
    });
    pure!(engine, "filter", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> List {
        Ok(Call::new(&at, f).parted(list.clone())?.0)
    });
    engine.register_fn("retain", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> List {
        let (yes, no) = Call::new(&at, f).parted(list.clone())?;
        *list = yes;
        Ok(no)
    });
    engine.register_fn("drain", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> List {
        let (yes, no) = Call::new(&at, f).parted(list.clone())?;
        *list = no;
        Ok(yes)
    });
    pure!(engine, "zip", |at: NativeCallContext, list: &mut Array, other: Array, f: FnPtr| -> List {
        let call = Call::new(&at, f);
        list.iter().zip(other).enumerate().map(|(i, (x, y))| call.two(x.clone(), y, i)).collect()
    });
    pure!(engine, "reduce", |at: NativeCallContext, list: &mut Array, f: FnPtr| Call::new(&at, f)
        .folded(list, None));
    pure!(engine, "reduce", |at: NativeCallContext, list: &mut Array, f: FnPtr, first: Dynamic| {
        Call::new(&at, f).folded(list, Some(first))
    });
    pure!(engine, "reduce_rev", |at: NativeCallContext, list: &mut Array, f: FnPtr| {
        Call::new(&at, f).folded_back(list, None)
    });
    pure!(engine, "reduce_rev", |at: NativeCallContext, list: &mut Array, f: FnPtr, first: Dynamic| {
        Call::new(&at, f).folded_back(list, Some(first))
    });
}

fn searches(engine: &mut Engine) {
    pure!(engine, "all", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> Result<bool, Thrown> {
        Ok(Call::new(&at, f).first(list, 0, false)?.is_none())
    });
    pure!(engine, "some", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> Result<bool, Thrown> {
        Ok(Call::new(&at, f).first(list, 0, true)?.is_some())
    });
    pure!(engine, "find", |at: NativeCallContext, list: &mut Array, f: FnPtr| found(&at, list, f, 0));
    pure!(engine, "find", |at: NativeCallContext, list: &mut Array, f: FnPtr, start: i64| found(
        &at, list, f, start
    ));
    pure!(engine, "index_of", |at: NativeCallContext, list: &mut Array, f: FnPtr| index(&at, list, f, 0));
    pure!(engine, "index_of", |at: NativeCallContext, list: &mut Array, f: FnPtr, start: i64| {
        index(&at, list, f, start)
    });
    pure!(engine, "find_map", |at: NativeCallContext, list: &mut Array, f: FnPtr| mapped(&at, list, f, 0));
    pure!(engine, "find_map", |at: NativeCallContext, list: &mut Array, f: FnPtr, start: i64| {
        mapped(&at, list, f, start)
    });
}

fn found(at: &NativeCallContext, list: &mut Array, f: FnPtr, start: i64) -> One {
    let place = Call::new(at, f).first(list, offset(list, start), true)?;
    Ok(place.map_or(Dynamic::UNIT, |i| list[i].clone()))
}

fn index(at: &NativeCallContext, list: &mut Array, f: FnPtr, start: i64) -> Result<i64, Thrown> {
    let place = Call::new(at, f).first(list, offset(list, start), true)?;
    Ok(place.and_then(|i| i64::try_from(i).ok()).unwrap_or(-1))
}

fn mapped(at: &NativeCallContext, list: &mut Array, f: FnPtr, start: i64) -> One {
    let (call, start) = (Call::new(at, f), offset(list, start));
    for (i, item) in list.iter_mut().enumerate().skip(start) {
        let value = call.item(item, i)?;
        if !value.is_unit() {
            return Ok(value);
        }
    }
    Ok(Dynamic::UNIT)
}

/// A place in `list`; a negative one counts from the end, as everywhere in Rhai.
fn offset(list: &Array, start: i64) -> usize {
    match usize::try_from(start) {
        Ok(start) => start.min(list.len()),
        Err(_) => list.len().saturating_sub(usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

fn orders(engine: &mut Engine) {
    for name in ["sort", "sort_by"] {
        engine.register_fn(name, |at: NativeCallContext, list: &mut Array, f: FnPtr| sort(&at, list, &f));
    }
    for name in ["order", "order_by"] {
        pure!(engine, name, |at: NativeCallContext, list: &mut Array, f: FnPtr| -> List {
            let mut list = list.clone();
            sort(&at, &mut list, &f)?;
            Ok(list)
        });
    }
    engine.register_fn("dedup", |at: NativeCallContext, list: &mut Array, f: FnPtr| -> Result<(), Thrown> {
        let call = Call::new(&at, f);
        let mut kept = Array::new();
        for item in std::mem::take(list) {
            let same = match kept.last() {
                Some(last) => call.plain([last.clone(), item.clone()])?.as_bool().unwrap_or(false),
                None => false,
            };
            if !same {
                kept.push(item);
            }
        }
        *list = kept;
        Ok(())
    });
}

fn sort(at: &NativeCallContext, list: &mut Array, f: &FnPtr) -> Result<(), Thrown> {
    let call = Call::new(at, f.clone());
    let failed: RefCell<Option<Thrown>> = RefCell::new(None);
    let compare = |x: &Dynamic, y: &Dynamic| {
        if failed.borrow().is_some() {
            return Ordering::Equal;
        }
        match call.plain([x.clone(), y.clone()]) {
            Ok(answer) => match (answer.as_int(), answer.as_bool()) {
                (Ok(number), _) => number.cmp(&0),
                (_, Ok(true)) => Ordering::Less,
                (_, Ok(false)) => Ordering::Greater,
                _ => Ordering::Equal,
            },
            Err(error) => {
                failed.replace(Some(error));
                Ordering::Equal
            }
        }
    };
    // A comparer that contradicts itself can make the standard library panic.
    let sorted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| list.sort_by(compare)));
    match (failed.into_inner(), sorted) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(_)) => {
            let text = "the function given to `sort` contradicts itself";
            Err(Box::new(EvalAltResult::ErrorRuntime(text.into(), at.call_position())))
        }
    }
}

fn maps(engine: &mut Engine) {
    type Parted = Result<Map, Thrown>;
    pure!(engine, "map", |at: NativeCallContext, map: &mut Map, f: FnPtr| -> Parted {
        let call = Call::new(&at, f);
        map.iter_mut().map(|(key, item)| Ok((key.clone(), call.entry(key, item)?))).collect()
    });
    pure!(engine, "filter", |at: NativeCallContext, map: &mut Map, f: FnPtr| -> Parted {
        Ok(Call::new(&at, f).parted_map(map.clone())?.0)
    });
    engine.register_fn("retain", |at: NativeCallContext, map: &mut Map, f: FnPtr| -> Parted {
        let (yes, no) = Call::new(&at, f).parted_map(map.clone())?;
        *map = yes;
        Ok(no)
    });
    engine.register_fn("drain", |at: NativeCallContext, map: &mut Map, f: FnPtr| -> Parted {
        let (yes, no) = Call::new(&at, f).parted_map(map.clone())?;
        *map = no;
        Ok(yes)
    });
}

/// Rhai's old forms, which take a function's name as text. They are refused, but for `index_of`, where text can only
/// be meant as what is looked for.
fn by_name(engine: &mut Engine) {
    let refused = |at: &NativeCallContext| -> Thrown {
        let text = format!("`{}` takes a function: write |x| …, or Fn(\"name\")", at.fn_name());
        failure::throw(&Failure::new("invalid", text), at.call_position())
    };
    for name in ["map", "filter", "some", "all", "dedup", "reduce", "reduce_rev", "sort", "drain", "retain"] {
        let one = move |at: NativeCallContext, _: &mut Array, _: &str| -> One { Err(refused(&at)) };
        pure!(engine, name, one);
    }
    for name in ["reduce", "reduce_rev"] {
        let two =
            move |at: NativeCallContext, _: &mut Array, _: &str, _: Dynamic| -> One { Err(refused(&at)) };
        pure!(engine, name, two);
    }
    pure!(engine, "index_of", |list: &mut Array, text: &str| text_at(list, text, 0));
    pure!(engine, "index_of", |list: &mut Array, text: &str, start: i64| text_at(
        list,
        text,
        offset(list, start)
    ));
}

fn text_at(list: &Array, text: &str, start: usize) -> i64 {
    let is_it = |item: &Dynamic| item.as_immutable_string_ref().is_ok_and(|it| it.as_str() == text);
    let place = list.iter().skip(start).position(is_it).map(|i| i + start);
    place.and_then(|i| i64::try_from(i).ok()).unwrap_or(-1)
}

/// A script's function, called by one of the above.
struct Call<'a> {
    at: &'a NativeCallContext<'a>,
    f: FnPtr,
}

impl<'a> Call<'a> {
    fn new(at: &'a NativeCallContext<'a>, f: FnPtr) -> Self {
        Self { at, f }
    }

    /// With the item bound to `this`, else as first argument; its place as an argument more if one is taken.
    fn item(&self, item: &mut Dynamic, i: usize) -> One {
        self.seen(self.f.call_raw_with_extra_args(
            self.at.fn_name(),
            self.at,
            Some(item),
            [],
            [place(i)],
            Some(0),
        ))
    }

    fn on_this(&self, item: &mut Dynamic, i: usize) -> One {
        self.seen(self.f.call_raw_with_extra_args(
            self.at.fn_name(),
            self.at,
            Some(item),
            [],
            [place(i)],
            None,
        ))
    }

    fn two(&self, x: Dynamic, y: Dynamic, i: usize) -> One {
        self.seen(self.f.call_raw_with_extra_args(self.at.fn_name(), self.at, None, [x, y], [place(i)], None))
    }

    fn step(&self, so_far: Dynamic, item: &mut Dynamic, i: usize) -> One {
        let name = self.at.fn_name();
        self.seen(self.f.call_raw_with_extra_args(name, self.at, Some(item), [so_far], [place(i)], Some(1)))
    }

    fn entry(&self, key: &str, item: &mut Dynamic) -> One {
        self.seen(self.f.call_raw_with_extra_args(
            self.at.fn_name(),
            self.at,
            Some(item),
            [key.into()],
            [],
            Some(1),
        ))
    }

    fn plain<const N: usize>(&self, arguments: [Dynamic; N]) -> One {
        self.seen(self.f.call_raw(self.at, None, arguments))
    }

    /// Lets an error pass; if a script may not catch it, the burst is over.
    fn seen(&self, result: One) -> One {
        if let Err(error) = &result
            && failure::is_final(error)
        {
            let file = burst::read(|state| state.file().to_string()).unwrap_or_default();
            burst::end(End::Failed(failure::uncaught(error, &file)));
        }
        result
    }

    fn yes(&self, item: &mut Dynamic, i: usize) -> Result<bool, Thrown> {
        Ok(self.item(item, i)?.as_bool().unwrap_or(false))
    }

    /// Items for which the function says yes, and the others.
    fn parted(&self, list: Array) -> Result<(Array, Array), Thrown> {
        let (mut yes, mut no) = (Array::new(), Array::new());
        for (i, mut item) in list.into_iter().enumerate() {
            if self.yes(&mut item, i)? { yes.push(item) } else { no.push(item) }
        }
        Ok((yes, no))
    }

    fn parted_map(&self, map: Map) -> Result<(Map, Map), Thrown> {
        let (mut yes, mut no) = (Map::new(), Map::new());
        for (key, mut item) in map {
            let kept = self.entry(&key, &mut item)?.as_bool().unwrap_or(false);
            if kept { &mut yes } else { &mut no }.insert(key, item);
        }
        Ok((yes, no))
    }

    /// The first place from `start` for which the function says `wanted`.
    fn first(&self, list: &mut Array, start: usize, wanted: bool) -> Result<Option<usize>, Thrown> {
        for (i, item) in list.iter_mut().enumerate().skip(start) {
            if self.yes(item, i)? == wanted {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }

    fn folded(&self, list: &mut Array, first: Option<Dynamic>) -> One {
        let first = first.unwrap_or(Dynamic::UNIT);
        list.iter_mut().enumerate().try_fold(first, |so_far, (i, item)| self.step(so_far, item, i))
    }

    fn folded_back(&self, list: &mut Array, first: Option<Dynamic>) -> One {
        let first = first.unwrap_or(Dynamic::UNIT);
        list.iter_mut().enumerate().rev().try_fold(first, |so_far, (i, item)| self.step(so_far, item, i))
    }
}

fn place(i: usize) -> Dynamic {
    i64::try_from(i).unwrap_or(i64::MAX).into()
}

#[cfg(test)]
mod tests {
    use rhai::Engine;

    /// What a playbook's author learned from Rhai's own book holds here too.
    #[test]
    fn they_answer_as_rhais_own_do() {
        let cases = [
            "[1, 2, 3].map(|x| x * 2)",
            "[1, 2, 3].map(|x, i| x * i)",
            "[1, 2, 3].map(|| this + 1)",
            "const L = [3, 1]; L.map(|x| x) + L.filter(|x| x > 1)",
            "let l = [1, 2]; l.for_each(|i| this += i); l",
            "let l = [1, 2]; l.for_each(|| this *= 5); l",
            "[1, 2, 3, 4].filter(|x| x % 2 == 0)",
            "[1, 2, 3, 4].filter(|x, i| i > 1)",
            "[1, 2, 3, 4].filter(|x| x)",
            "let l = [1, 2, 3]; let d = l.drain(|x| x > 1); [l, d]",
            "let l = [1, 2, 3]; let d = l.retain(|x| x > 1); [l, d]",
            "let l = [1, 1, 2, 1, 3, 3]; l.dedup(|x, y| x == y); l",
            "let l = [1, 1, 2]; l.dedup(); l",
            "[1, 2, 3].reduce(|s, x| (s ?? 0) + x)",
            "[1, 2, 3].reduce(|s, x| s + x, 10)",
            "[1, 2, 3].reduce(|s, x, i| s + x * i, 10)",
            "[1, 2, 3].reduce(|s| s + this, 10)",
            "[1, 2, 3].reduce_rev(|s, x, i| s + `${x}${i}`, \"\")",
            "[].reduce(|s, x| s + x, 7)",
            "[[1, 2].all(|x| x > 0), [1, 2].all(|x| x > 1), [].all(|x| false)]",
            "[[1, 2].some(|x| x > 1), [1, 2].some(|x, i| i > 5), [].some(|x| true)]",
            "[[1, 2, 3].find(|x| x > 1), [1, 2].find(|x| x > 5), [1, 2, 3].find(|x| x > 0, -1)]",
            "[[1, 2, 3].index_of(|x| x > 1), [1].index_of(|x| x > 5), [3, 3].index_of(|x| x == 3, 1)]",
            "[[1, 2].index_of(2), [\"a\", \"b\"].index_of(\"b\"), [\"a\"].index_of(\"z\")]",
            "[[#{ a: 1 }, #{ b: 2 }].find_map(|x| x.b), [1].find_map(|x| ()), [1, 2].find_map(|x| x, 1)]",
            "let l = [3, 1, 2]; l.sort(|x, y| x - y); l",
            "let l = [3, 1, 2]; l.sort(|x, y| x > y); l",
            "let l = [3, 1, 2]; l.sort(); l",
            "let l = [3, 1, 2]; [l.order_by(|x, y| y - x), l]",
            "[1, 2].zip([3, 4, 5], |x, y| x + y)",
            "[1, 2].zip([3, 4], |x, y, i| x + y * i)",
            "#{ a: 1, b: 2 }.map(|k, v| `${k}${v}`)",
            "#{ a: 1, b: 2 }.filter(|k| k == \"a\")",
            "#{ a: 1, b: 2 }.filter(|k, v| v == 2)",
            "let m = #{ a: 1, b: 2 }; let d = m.drain(|k, v| v == 2); [m, d]",
            "let m = #{ a: 1, b: 2 }; let d = m.retain(|k, v| v == 2); [m, d]",
            "fn f(x) { x + 1 } [1].map(Fn(\"f\"))",
            "let n = 3; [1].map(|x| x + n)",
            "[1].map(|x| nothing(x))",
            "[1].map(|x| throw \"no\")",
        ];
        let (plain, mut ours) = (Engine::new(), Engine::new());
        super::replace(&mut ours);
        let run = |engine: &Engine, script: &str| {
            engine.eval::<rhai::Dynamic>(script).map(|it| it.to_string()).map_err(|it| it.to_string())
        };
        for script in cases {
            assert_eq!(run(&ours, script), run(&plain, script), "{script}");
        }
    }
}
