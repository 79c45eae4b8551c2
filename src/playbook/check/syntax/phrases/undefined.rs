//! Words that are no variables: functions called as commands, keywords in capitals, text without quotes.

use rhai::{LexError, ParseErrorType};

use crate::playbook::check::syntax::advice::is_named;
use crate::playbook::check::syntax::slip::{Seen, Slip};
use crate::playbook::check::syntax::tokens::Kind;
use crate::playbook::{engine, host, reference};

/// Words that begin or continue statements.
const OWN: [&str; 18] = [
    "let", "const", "if", "else", "for", "while", "loop", "do", "fn", "return", "throw", "try", "catch",
    "switch", "import", "break", "continue", "in",
];

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    let word = match seen.kind {
        ParseErrorType::VariableUndefined(name) => name.as_str(),
        ParseErrorType::Reserved(name) => name.as_str(),
        ParseErrorType::BadInput(LexError::UnexpectedInput(name)) if name == "let" || name == "until" => {
            name.as_str()
        }
        _ => return None,
    };
    capital(seen, word)
        .or_else(|| typed(seen))
        .or_else(|| command(seen, word))
        .or_else(|| unquoted(seen))
        .or_else(|| written(seen, word))
}

/// `int x = 5`.
fn typed(seen: &Seen) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let fits = script.kind(i) == Some(Kind::Word)
        && script.kind(i + 1) == Some(Kind::Word)
        && script.word(i + 2) == "=";
    (fits && script.is_first(i) && !script.is_first(i + 1) && !OWN.contains(&seen.word())).then(|| {
        Slip::help(format!("write `let {} = …`", seen.after()))
            .says("a new variable begins with `let`, and has no type")
    })
}

/// `sleep 5`, `act.kernel.restart(…)`.
fn command(seen: &Seen, word: &str) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let is_function =
        host::FUNCTIONS.iter().any(|(it, _)| *it == word) || engine::functions().contains_key(word);
    let follows = matches!(script.kind(i + 1), Some(Kind::Text | Kind::Number | Kind::Word))
        || seen.after() == "."
        || seen.after() == "#{";
    if !is_function || !follows || script.is_first(i + 1) || OWN.contains(&seen.after()) {
        return None;
    }
    let help = match reference::FUNCTIONS.iter().find(|it| it.name == word) {
        Some(function) => format!("write it as {}", function.example),
        None => format!("write `{word}(…)`"),
    };
    Some(Slip::help(help).says(format!("`{word}` is a function: what it is given stands in parentheses")))
}

/// Addresses and the like.
fn unquoted(seen: &Seen) -> Option<Slip> {
    let range = seen.script.range(seen.i);
    let after = &seen.script.text[range.end..];
    let text =
        seen.script.kind(seen.i) == Some(Kind::Word) && (after.starts_with("://") || after.starts_with('@'));
    text.then(|| {
        let end = after.find([' ', ';', ',', ')', '\n']).unwrap_or(0);
        let all = range.start..range.end + end;
        let help = format!("put it in quotes: `\"{}\"`", &seen.script.text[all.clone()]);
        Slip::help(help).says("a text stands in quotes").at(all)
    })
}

/// `If x { … }`.
fn capital(seen: &Seen, word: &str) -> Option<Slip> {
    let small = word.to_lowercase();
    let fits = small != word && OWN.contains(&small.as_str()) && seen.after() != "(";
    fits.then(|| Slip::help(format!("write `{small}`")).says("words of the language are in small letters"))
}

/// What is written otherwise.
fn written(seen: &Seen, word: &str) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let outside = script.enclosing(i).iter().all(|it| script.word(*it) != "{");
    if outside && matches!(word, "run" | "verify" | "rollback") && seen.after() == "=" {
        return Some(
            Slip::help(format!("write `fn {word}(ctx) {{ … }}`")).says("a function begins with `fn`"),
        );
    }
    if outside && word == "ctx" && script.word(script.line_start(i)) != "fn" {
        let help = "take the line out: the engine itself calls `run`, `verify` and `rollback`";
        return Some(Slip::help(help).says("outside of functions there is no `ctx`"));
    }
    let index = seen.before() == "[" && seen.after() == "]" && i > 1 && seen.touch(i - 2);
    if index && script.kind(i - 2) == Some(Kind::Word) && !is_named(word, script.text) {
        return Some(Slip::help(format!("write `[\"{word}\"]`, or `.{word}`")));
    }
    if seen.before() == "-" && i > 1 {
        let sign = match word {
            "eq" => "==",
            "ne" => "!=",
            "gt" => ">",
            "ge" => ">=",
            "lt" => "<",
            "le" => "<=",
            _ => "",
        };
        if !sign.is_empty() {
            let at = script.range(i - 1).start..script.range(i).end;
            return Some(
                Slip::help(format!("write `{sign}`")).says(format!("`-{word}` compares nothing")).at(at),
            );
        }
    }
    let after = seen.after();
    if after == ":=" {
        let own = script.is_first(i) || matches!(seen.before(), ";" | "{");
        let help = if own {
            format!("write `let {word} = …`")
        } else {
            format!("give it a line of its own: `let {word} = …;`")
        };
        return Some(Slip::help(help).says("a new variable begins with `let`"));
    }
    if after == ":" && matches!(script.word(i + 2), "for" | "while" | "loop" | "do") {
        let help = "leave it out; to leave several loops at once, put them into a function and `return`";
        return Some(Slip::help(help).says("loops have no labels"));
    }
    if matches!(seen.before(), "[" | "{") {
        let open = i - 1;
        let end = script.closed_by(open).unwrap_or(i);
        if (i..end).any(|j| script.word(j) == "for" && !script.is_first(j)) {
            let help = "write `list.map(|x| …)`, and `list.filter(|x| …)` for an `if`";
            return Some(Slip::help(help).says("a list is not made by a `for` within it"));
        }
    }
    if after == "{" && seen.touch(i) && word.starts_with(char::is_uppercase) {
        return Some(
            Slip::help("write `#{ name: value }`")
                .says(format!("there is no type `{word}`, and a map needs none")),
        );
    }
    if word == "let" && matches!(seen.before(), "if" | "while") {
        let help = format!("write `let x = …;` before it, then `{} x != () {{ … }}`", seen.before());
        return Some(Slip::help(help).says("a condition declares nothing"));
    }
    (word == "until").then(|| Slip::help("write `while !x { … }`, or `do { … } until x;`"))
}
