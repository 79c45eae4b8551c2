//! Fields that are never there, of what host functions gave: Rhai reads each as `()`.
//!
//! Must stay silent where a field could be there: an action of a plugin may give more than it says, so there only a near
//! miss is told.

use rhai::{ASTNode, Expr, Position};

use super::Told;
use super::chain::{Step, is_rest, steps};
use super::ctx::{EVENT, is_guarded};
use super::known::{From, Given, Knowledge};
use crate::model::diagnostic::nearest;

/// What `catch` gives of a failed action.
const FAILURE: [&str; 4] = ["kind", "action", "message", "retryable"];
const OUTCOME: [&str; 3] = ["ok", "result", "error"];
const DONE: [&str; 4] = ["action", "params", "result", "error"];
const DETAILS: [&str; 3] = ["answer", "by", "at"];
/// What other tools call the fields of results.
const CALLED: [(&str, &[&str]); 7] = [
    (
        "code",
        &["exit_code", "exitcode", "exitCode", "returncode", "return_code", "status", "rc", "exit_status"],
    ),
    ("stdout", &["output", "out", "text"]),
    ("stderr", &["err", "error"]),
    ("status", &["code", "status_code", "statusCode"]),
    ("body", &["text", "content", "data"]),
    ("healthy", &["health", "ok", "is_healthy", "up", "alive"]),
    ("lines", &["log", "logs", "text", "output"]),
];

/// What `expr`, the last of `path`, reads and is never there.
pub fn check(known: &Knowledge, expr: &Expr, path: &[ASTNode], told: &mut Told) {
    if !matches!(expr, Expr::Dot(..) | Expr::Index(..)) || is_rest(path) {
        return;
    }
    let (root, steps) = steps(expr);
    let mut base = known.of(root);
    // What is read of `ctx` itself is looked at elsewhere.
    let of_engine = matches!(base.from, From::Ctx);
    let name = match root {
        Expr::Variable(it, ..) => it.1.as_str(),
        _ => "…",
    };
    for (i, step) in steps.iter().enumerate() {
        if let Step::Field(field, at) = step
            && !(of_engine && i < 2)
        {
            let guarded = i + 1 == steps.len() && is_guarded(path);
            one(known, &base.from, name, (field, *at), guarded, told);
        }
        base = known.step(&base, step);
    }
}

fn one(
    known: &Knowledge,
    from: &From,
    name: &str,
    (field, at): (&str, Position),
    guarded: bool,
    told: &mut Told,
) {
    let near = |all: &[&str]| nearest(field, all.iter().copied()).map(|it| format!("did you mean `{it}`?"));
    let among =
        |all: &[&str]| near(all).or_else(|| (!guarded).then(|| format!("there are {}", all.join(", "))));
    let (what, help) = match from {
        From::Result(given, by_all) if given.iter().all(|it| !it.fields.contains_key(field)) => {
            (what(given), result(given, *by_all, field, guarded))
        }
        From::Outcome(given) if !OUTCOME.contains(&field) => {
            let inner = given.iter().any(|it| it.fields.contains_key(field));
            let help =
                if inner && !guarded { Some(format!("write `.result.{field}`")) } else { among(&OUTCOME) };
            ("what `all` with `partial: true` gives".into(), help)
        }
        From::Event if !EVENT.contains(&field) => {
            let sent = || format!("what was sent stands under `data`: `{name}.data.{field}`");
            ("an event".into(), near(&EVENT).or_else(|| (!guarded).then(sent)))
        }
        From::Failure if !FAILURE.contains(&field) => ("what is caught of an action".into(), near(&FAILURE)),
        From::Done if !DONE.contains(&field) => ("what was done".into(), among(&DONE)),
        From::Details if !DETAILS.contains(&field) => ("an answer with details".into(), among(&DETAILS)),
        From::Answer(_) if DETAILS.contains(&field) => {
            let text = format!("`ask` gives the answer alone, which has no `{field}`");
            return told.fails(at, text, "give it `#{ details: true }`, or compare the answer itself", true);
        }
        From::Params => return param(known, field, at, guarded, told),
        _ => return,
    };
    if let Some(help) = help {
        told.warn(at, format!("{what} has no `{field}`, so this is `()`"), help);
    }
}

fn what(given: &[Given]) -> String {
    match given {
        [one] => one.what.clone(),
        [first, rest @ ..] if rest.iter().all(|it| it.action == first.action) => first.what.clone(),
        _ => "what these actions give".into(),
    }
}

/// What to do about a `field` that results do not have; none where it may be there all the same.
fn result(given: &[Given], by_all: bool, field: &str, guarded: bool) -> Option<String> {
    let names: Vec<&str> = given.iter().flat_map(|it| it.fields.keys()).map(String::as_str).collect();
    let complete = given.iter().all(|it| it.complete);
    if by_all && complete && !guarded && OUTCOME.contains(&field) {
        return Some(
            "each is what the action gives; `ok` and `error` are there with `#{ partial: true }`".into(),
        );
    }
    if let Some(near) = nearest(field, names.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if guarded || !complete {
        return None;
    }
    if matches!(field, "ok" | "success" | "succeeded" | "failed" | "error") && !names.contains(&"healthy") {
        return Some("an action that fails throws, which `try { … } catch (e) { … }` can take".into());
    }
    let called = CALLED.iter().find(|(name, all)| names.contains(name) && all.contains(&field));
    Some(match called {
        Some((name, _)) => format!("did you mean `{name}`?"),
        None => {
            let mut names = names;
            names.sort_unstable();
            names.dedup();
            format!("there are {}", names.join(", "))
        }
    })
}

/// A parameter that is read through a variable.
fn param(known: &Knowledge, name: &str, at: Position, guarded: bool, told: &mut Told) {
    let declared = known.declared();
    if declared.is_empty() || declared.contains_key(name) || name == "message" {
        return;
    }
    let help = match nearest(name, declared.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if guarded => return,
        None => format!("declare it: `params: {{ {name}: … }}`; else it is `()` where nobody gives it"),
    };
    told.say("P0219", at, format!("the header declares no parameter `{name}`"), help, false);
}
