//! What is said of an error of a script while it runs: what is wrong, and what to do, in the words of playbooks.
//!
//! Must not name a type as Rust does. Where the error stands is said by [`super`].

use rhai::EvalAltResult;

use crate::playbook::{engine, reference};

/// What to say of something that is `()`.
const NOTHING: &str =
    "`()` is what a field or result that is not there reads as: ask before with `??` or `!= ()`";

/// What is wrong and what to do.
pub fn of(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorFunctionNotFound(call, _) => unfit(&plain(call)),
        EvalAltResult::ErrorDotExpr(text, _) => field(text),
        EvalAltResult::ErrorIndexingType(text, _) => part(text),
        EvalAltResult::ErrorArrayBounds(n, at, _) => outside("list", "item", *n, *at),
        EvalAltResult::ErrorStringBounds(n, at, _) => outside("text", "character", *n, *at),
        EvalAltResult::ErrorMismatchDataType(wanted, given, _)
        | EvalAltResult::ErrorMismatchOutputType(wanted, given, _) => mismatch(wanted, given),
        EvalAltResult::ErrorFor(_) => {
            "`for` goes through a list, a range such as `0..5` or `map.keys()`; for a list that may be missing \
             write `list ?? []`"
                .into()
        }
        EvalAltResult::ErrorArithmetic(text, _) => arithmetic(text),
        EvalAltResult::ErrorNonPureMethodCallOnConstant(name, _) => {
            let name = name.rsplit('$').next().unwrap_or(name);
            format!("`{name}` would change a constant: declare it with `let` if it is to change")
        }
        EvalAltResult::ErrorAssignmentToConstant(name, _) => {
            format!("`{name}` is a constant: declare it with `let` if it is to change")
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => match name.split_once("::") {
            Some((module, name)) => format!(
                "the file imported as `{module}` gives no constant `{name}`: write `export const {name} = …` there"
            ),
            None => format!("there is no variable `{name}`: declare it first, `let {name} = …`"),
        },
        EvalAltResult::ErrorUnboundThis(_) => {
            "`this` is there only in a function that is called as a method, such as `x.f()`: pass it as an argument".into()
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            "calls inside calls are too deep: does a function call itself without end?".into()
        }
        EvalAltResult::ErrorDataTooLarge(what, _) => {
            let what = match what.as_str() {
                "Length of string" => format!("a text would be longer than {} bytes", engine::MAX_TEXT),
                "Size of object map" => format!("a map would have more than {} entries", engine::MAX_ITEMS),
                _ => format!("a list would have more than {} items", engine::MAX_ITEMS),
            };
            format!("{what}: does a loop make it longer without end?")
        }
        EvalAltResult::ErrorTooManyVariables(_) => {
            "more variables at a time than a function may have: keep them in a map, or use functions".into()
        }
        other => own(other),
    }
}

/// A call that nothing takes, such as `+ (int, map)`.
fn unfit(call: &str) -> String {
    let Some((name, given)) = call.split_once(" (") else {
        return format!("{call}: give a function that compares, such as `list.sort(|a, b| a.n - b.n)`");
    };
    let given = given.trim_end_matches(')');
    if let Some(function) = reference::FUNCTIONS.iter().find(|it| it.name == name) {
        let form = function.forms.iter().find(|it| it.matches(": ").count() == given.split(", ").count());
        let form = form.or(function.forms.first()).and_then(|it| it.split_once(" ->")).map_or("", |it| it.0);
        return format!("`{name}` takes {form}, and was given ({given}): write it as {}", function.example);
    }
    if name.starts_with("anon$") {
        let n = if given.is_empty() { 0 } else { given.split(", ").count() };
        return format!("the closure was given {n} values ({given}), and takes another number of them");
    }
    let kinds: Vec<&str> = given.split(", ").collect();
    let why = if kinds.iter().any(|it| matches!(*it, "()" | "(")) {
        NOTHING.to_owned()
    } else if matches!(name, "+" | "-" | "*" | "/" | "%" | "**" | "<" | ">" | "<=" | ">=" | "+=" | "-=") {
        operator(name, &kinds)
    } else if name == "!" {
        "it takes true or false: write a comparison, such as `x == 0` or `x == ()`".into()
    } else if name.starts_with(|c: char| c.is_alphabetic()) && engine::functions().contains_key(name) {
        format!("`{name}` is there, but not for {}", words_of(kinds.first().copied().unwrap_or_default()))
    } else {
        "no function takes values of these types".into()
    };
    format!("nothing can do `{call}`: {why}")
}

fn operator(name: &str, kinds: &[&str]) -> String {
    match kinds.contains(&"string") {
        true if kinds.iter().any(|it| matches!(*it, "int" | "float")) => {
            "one is text and the other a number: `parse_int(text)` makes a number of digits; with a length of time such \
             as \"5s\" nothing can be computed, so give a number of seconds"
                .into()
        }
        _ if name == "+" => {
            "it adds two numbers, texts, lists or maps: put anything into a text by `${x}` between backticks"
                .into()
        }
        _ if kinds.len() == 1 => "it takes a number".into(),
        _ => "both must be numbers".into(),
    }
}

/// Reading `.name` of something that has no such thing.
fn field(text: &str) -> String {
    let mut quoted = text.split('\'').skip(1).step_by(2);
    let (Some(name), Some(kind)) = (quoted.next(), quoted.next()) else { return small(text) };
    match plain(kind).as_str() {
        "()" => format!(
            "what `.{name}` is read of is `()`: {}",
            NOTHING.replace("`()` is what a", "a").replace("reads as", "reads so")
        ),
        kind @ ("array" | "string") if matches!(name, "length" | "size" | "count" | "len") => {
            format!("{} has no `.{name}`: write `.len()`", words_of(kind))
        }
        kind => format!(
            "{} has no `.{name}`: only maps have fields; `type_of(x)` says what something is",
            words_of(kind)
        ),
    }
}

/// Reading `x[…]` of something without parts.
fn part(text: &str) -> String {
    let text = plain(text);
    let (of, index) = text.split_once(" [").unwrap_or((&text, ""));
    let index = index.trim_end_matches(']');
    match of {
        "()" => format!("`[…]` is read of `()`: {NOTHING}"),
        "map" => format!("a map is read by text, such as `map[\"name\"]`, not by {}", words_of(index)),
        "array" => format!("a list is read by a number from 0, not by {}", words_of(index)),
        _ => format!("{} has no parts to read by `[…]`: lists, maps and texts have", words_of(of)),
    }
}

fn outside(what: &str, part: &str, n: usize, at: i64) -> String {
    let has = match n {
        0 => "is empty".to_owned(),
        1 => format!("has 1 {part}, number 0"),
        n => format!("has {n} {part}s, numbers 0 to {}", n - 1),
    };
    format!("there is no {part} {at}: the {what} {has}: ask before with `len()`")
}

fn mismatch(wanted: &str, given: &str) -> String {
    let (wanted, given) = (plain(wanted), plain(given));
    let help = match (wanted.as_str(), given.as_str()) {
        ("int", "float") => "`x.to_int()` makes a whole number of it",
        (_, "()") => NOTHING,
        ("bool", _) => "write a comparison, such as `x > 0` or `x != ()`",
        ("string", _) => "`x.to_string()` makes text of it",
        ("int" | "float", "string") => "`parse_int(text)` or `parse_float(text)` makes a number of it",
        _ => "`type_of(x)` says what something is",
    };
    match (wanted.is_empty(), given.is_empty()) {
        (false, false) => {
            format!("{} must stand here, and this is {}: {help}", words_of(&wanted), words_of(&given))
        }
        (false, true) => format!("{} must stand here: {help}", words_of(&wanted)),
        _ => format!("this cannot be {}: {help}", words_of(&given)),
    }
}

fn arithmetic(text: &str) -> String {
    let lower = text.to_lowercase();
    let help = if lower.contains("zero") {
        "ask before whether it is 0"
    } else if lower.contains("overflow") || lower.contains("underflow") {
        "whole numbers go up to 9223372036854775807; a number with a fraction, such as 1.0, goes further"
    } else if lower.contains("pars") {
        "take out what is no number, such as by `text.trim()`, or use `try { … } catch (e) { … }`"
    } else {
        return small(text);
    };
    format!("{}: {help}", small(text))
}

/// Type names as scripts know them.
fn plain(text: &str) -> String {
    text.replace("i64", "int").replace("f64", "float").replace("&str | ImmutableString | String", "string")
}

fn words_of(kind: &str) -> &str {
    match kind {
        "int" => "a whole number",
        "float" => "a number with a fraction",
        "string" => "text",
        "char" => "a character",
        "bool" => "true or false",
        "array" => "a list",
        "map" => "a map",
        "()" => "`()`",
        "Fn" => "a function",
        "range" | "range=" => "a range",
        "blob" => "a list of bytes",
        other => other,
    }
}

/// Rhai's own text without its position.
fn own(error: &EvalAltResult) -> String {
    let text = error.to_string();
    match text.rfind(" (line ") {
        Some(at) if text.ends_with(')') => small(&text[..at]),
        _ => small(&text),
    }
}

/// `text` beginning small, as ours do.
fn small(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
