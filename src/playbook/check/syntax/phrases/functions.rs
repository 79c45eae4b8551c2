//! How a function is written.

use rhai::{LexError, ParseErrorType};

use crate::playbook::check::syntax::slip::{Seen, Slip};
use crate::playbook::check::syntax::tokens::Kind;

/// What a function begins with elsewhere.
const KEYWORDS: [&str; 8] = ["function", "def", "func", "fun", "sub", "proc", "fn", "procedure"];
/// What stands before that.
const BEFORE: [&str; 7] = ["async", "pub", "export", "public", "static", "default", "local"];

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    head(seen).or_else(|| parameters(seen)).or_else(|| anonymous(seen)).or_else(|| broken(seen))
}

/// `fn name(a, b)` of what begins at token `name`, without types, defaults and signs.
fn written(seen: &Seen, name: usize) -> String {
    let script = seen.script;
    let mut params: Vec<&str> = Vec::new();
    if script.word(name + 1) == "(" {
        let end = script.closed_by(name + 1).unwrap_or(name + 2);
        let takes = |j: &usize| {
            script.kind(*j) == Some(Kind::Word)
                && matches!(script.word(j - 1), "(" | "," | "&" | "*" | "..." | "**" | "mut")
                && script.word(*j) != "mut"
        };
        params = (name + 2..end).filter(takes).map(|j| script.word(j)).collect();
    }
    let params =
        if params.is_empty() && script.word(name) == "run" { "ctx".into() } else { params.join(", ") };
    format!("fn {}({params}) {{ … }}", script.word(name))
}

/// `def run(ctx):`, `async fn run(ctx) {`, `run() {`.
fn head(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    let start = script.line_start(seen.i);
    let mut at = start;
    while BEFORE.contains(&script.word(at)) {
        at += 1;
    }
    let keyword = script.word(at);
    let named = script.kind(at + 1) == Some(Kind::Word) && script.word(at + 2) == "(";
    if KEYWORDS.contains(&keyword) && named && (keyword != "fn" || at > start) && seen.i <= at {
        let written = written(seen, at + 1);
        let slip = if !script.enclosing(start).is_empty() {
            let help = format!("write `{written}` outside of this function, or a closure: `let f = |x| …;`");
            Slip::help(help)
        } else if at > start {
            Slip::help(format!("write `{written}`")).says("a function begins with `fn` alone")
        } else {
            Slip::help(format!("write `{written}`")).says("a function begins with `fn`")
        };
        return Some(slip.at(script.range(start)));
    }
    let bare =
        seen.misses(";") && seen.word() == "{" && script.word(start + 1) == "(" && seen.before() == ")";
    (bare && script.kind(start) == Some(Kind::Word) && script.enclosing(start).is_empty()).then(|| {
        let help = format!("write `{}`", written(seen, start));
        Slip::help(help).says("a function begins with `fn`").at(script.range(start))
    })
}

/// `(x) => …`, `function (x) { … }`, `fn(x) { … }`.
fn anonymous(seen: &Seen) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let closure = |params: &str| Slip::help(format!("a closure is written `|{params}| …`"));
    if KEYWORDS.contains(&seen.word()) && seen.after() == "(" {
        let fits = matches!(
            seen.kind,
            ParseErrorType::VariableUndefined(_)
                | ParseErrorType::MissingToken(..)
                | ParseErrorType::BadInput(LexError::UnexpectedInput(_))
        );
        let end = script.closed_by(i + 1).unwrap_or(i + 2);
        return fits
            .then(|| closure(script.between(i + 2, end)).says("a function without a name is a closure"));
    }
    let open = seen.inside().filter(|it| script.word(*it) == "(")?;
    let end = script.closed_by(open)?;
    if open > 0
        && matches!(script.word(open - 1), "function" | "func" | "lambda")
        && script.word(end + 1) == "{"
    {
        let slip = closure(script.between(open + 1, end)).says("a function without a name is a closure");
        return Some(slip.at(script.range(open - 1)));
    }
    if !matches!(script.word(end + 1), "=>" | "->") || script.line_start(open) != script.line_start(end) {
        return None;
    }
    let params = script.between(open + 1, end);
    let name =
        open.checked_sub(2).filter(|it| script.word(it + 1) == "=" && script.kind(*it) == Some(Kind::Word));
    match name {
        Some(name) if script.enclosing(open).is_empty() => {
            let help = format!("write `fn {}({params}) {{ … }}`", script.word(name));
            Some(
                Slip::help(help)
                    .says("a function begins with `fn`")
                    .at(script.range(script.line_start(name))),
            )
        }
        _ => Some(closure(params).says("`=>` means nothing here").at(script.range(open))),
    }
}

/// Between the parentheses of a definition, or behind them.
fn parameters(seen: &Seen) -> Option<Slip> {
    let (script, word) = (seen.script, seen.word());
    if let ParseErrorType::FnMissingBody(_) = seen.kind {
        let start = script.line_start(seen.i.saturating_sub(1));
        let name = (start..seen.i).find(|j| script.word(*j) == "fn")? + 1;
        let written = written(seen, name);
        return match word {
            "->" => {
                Some(Slip::help(format!("leave the type out: `{written}`")).says("a function has no types"))
            }
            ";" => Some(Slip::help(format!("write `{written}`")).says("a function needs a body")),
            ")" => Some(Slip::help("take it out").says("one `)` too many")),
            _ if seen.script.is_first(seen.i) => {
                let end = seen.i.checked_sub(1).map_or(0, |it| script.range(it).end);
                let slip = Slip::help(format!("write `{written}`")).says("a `{` is missing here");
                Some(slip.at(end..end + 1))
            }
            "=>" | "=" | ":" => Some(
                Slip::help(format!("write `{written}`"))
                    .says("what a function does stands between `{` and `}`"),
            ),
            _ => None,
        };
    }
    let open = seen.inside().filter(|it| script.word(*it) == "(" && *it >= 2)?;
    if script.word(open - 2) != "fn" {
        return None;
    }
    let written = written(seen, open - 1);
    let says = |what: &str, help: String| Some(Slip::help(help).says(what));
    match word {
        ":" => says("a parameter has no type", format!("leave the type out: `{written}`")),
        "=" => says(
            "a parameter has no default",
            format!("write `{written}`, and a second one that takes fewer and calls it"),
        ),
        "&" | "*" | "**" | "..." => says(
            "a parameter is a name alone",
            format!("write `{written}`; a list holds any number of values"),
        ),
        _ if seen.before() == "mut" => {
            says("a parameter is a name alone", format!("leave `mut` out: `{written}`"))
        }
        _ => None,
    }
}

/// `fn my-name(x)`, and `fn` for `run` twice.
fn broken(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    match seen.kind {
        ParseErrorType::FnMissingParams(name) if matches!(seen.word(), "-" | "." | "::" | ":") => {
            let end = (seen.i..script.line_end(seen.i)).find(|j| script.word(*j) == "(")?;
            let whole = script.between(seen.i - 1, end);
            let better: String = whole.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
            let at = script.range(seen.i - 1).start..script.range(end - 1).end;
            let text = format!("`{whole}` is no name for a function");
            let _ = name;
            Some(Slip::help(format!("use letters, digits and `_`: `{better}`")).says(text).at(at))
        }
        ParseErrorType::FnMissingParams(name) => {
            let params = if matches!(name.as_str(), "run" | "verify" | "rollback") { "ctx" } else { "a, b" };
            Some(Slip::help(format!("write `fn {name}({params}) {{ … }}`")))
        }
        ParseErrorType::FnDuplicatedDefinition(name, n) => {
            let defined = |j: &usize| script.word(*j) == "fn" && script.word(j + 1) == name;
            let first = (0..script.tokens.len()).find(defined)?;
            let line = crate::playbook::check::syntax::slip::place(script.text, script.range(first).start);
            let line = line.split(':').next().unwrap_or_default();
            let s = if *n == 1 { "" } else { "s" };
            let text = format!("`{name}` with {n} argument{s} is there already, at line {line}");
            let at = (script.word(seen.i) == "fn").then(|| script.range(seen.i + 1));
            let slip = Slip::help("take one of them out, or call it another name").says(text);
            Some(match at {
                Some(at) => slip.at(at),
                None => slip,
            })
        }
        _ => None,
    }
}
