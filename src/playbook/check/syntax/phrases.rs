//! Phrases of other languages: how Python, JavaScript, Go, Bash or Rust would write it, and how it is written here.

mod flow;
mod functions;
mod names;
mod signs;
mod undefined;

use rhai::{LexError, ParseErrorType};

use super::slip::{Seen, Slip};
use super::tokens::Kind;

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    let all = [texts, flow::find, functions::find, names::find, signs::find, undefined::find, statements];
    all.iter().find_map(|find| find(seen))
}

/// What was meant as text, or as a pattern.
fn texts(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    let text_next = script.kind(i + 1) == Some(Kind::Text) && seen.touch(i);
    if matches!(seen.kind, ParseErrorType::VariableUndefined(_))
        && text_next
        && word.len() <= 2
        && script.open.is_none()
    {
        return Some(match word {
            "f" | "F" => Slip::help("a text with values in it stands between backticks: `took ${n} s`")
                .says(format!("a text has no `{word}` before it")),
            _ => Slip::help(
                "leave it out; in a text `\\\\` is a backslash, and between backticks `\\` is only itself",
            )
            .says(format!("a text has no `{word}` before it")),
        });
    }
    if word == "$" && text_next {
        return Some(Slip::help("a text with values in it stands between backticks: `took ${n} s`"));
    }
    if let ParseErrorType::BadInput(LexError::MalformedChar(_)) = seen.kind {
        if [": loop", ": for", ": while"].iter().any(|it| word.contains(it)) {
            let help = "leave it out; to leave several loops at once, put them into a function and `return`";
            return Some(Slip::help(help).says("loops have no labels"));
        }
        let inner = word.trim_matches('\'');
        let better = if inner.len() <= 40 && !inner.contains(['"', '\\']) { inner } else { "…" };
        let help = format!("write `\"{better}\"`");
        return Some(
            Slip::help(help).says("single quotes hold one character, not a text").at(script.range(i)),
        );
    }
    let empty = |j: usize| {
        matches!(script.word(j), "\"\"" | "''") && script.kind(j + 1) == Some(Kind::Text) && seen.touch(j)
    };
    if let Some(j) = (i.saturating_sub(3)..=i).find(|j| empty(*j)) {
        let help = "a text of several lines stands between backticks; a comment begins with `//`";
        return Some(Slip::help(help).says("three quotes mean nothing here").at(script.range(j)));
    }
    if word == "/" && matches!(seen.kind, ParseErrorType::BadInput(LexError::UnexpectedInput(_))) {
        let path = script.word(i + 2) == "/"
            && script.kind(i + 3) == Some(Kind::Word)
            && script.word(i + 3).len() > 2;
        return Some(if path {
            Slip::help("put it in quotes: `\"/…\"`").says("a path is text")
        } else {
            pattern()
        });
    }
    if seen.before() == "." && word == "match" {
        return Some(pattern());
    }
    if matches!(seen.kind, ParseErrorType::MissingToken(..)) && i > 0 && seen.touch(i - 1) {
        let last = script.word(i - 1);
        if script.kind(i - 1) == Some(Kind::Text) && !last.starts_with('"') && last.contains('\n') {
            // With values in it, a text is of several parts.
            let first = (0..i).rev().find(|j| script.word(*j).starts_with('`')).unwrap_or(i - 1);
            let at = script.range(first).start;
            let slip = Slip::help("end it with a backtick where it should end");
            let text = "this text goes on to the next backtick, some lines below";
            return Some(slip.says(text).at(at..at + 1));
        }
    }
    if seen.misses(",")
        && i > 0
        && script.kind(i - 1) == Some(Kind::Text)
        && script.kind(i) == Some(Kind::Word)
        && seen.touch(i - 1)
    {
        let help = "write `\\\"` for a quote within a text, or put the text between backticks";
        return Some(Slip::help(help).says("the text ended at the quote before this"));
    }
    let joins = seen.misses(",") && i > 0 && script.kind(i - 1) == Some(Kind::Text) && !script.is_first(i);
    (joins && script.kind(i) == Some(Kind::Word) && !super::advice::is_foreign(word, script.text))
        .then(|| Slip::help("separate two values with `,`, or join texts with `+`"))
}

/// There are none.
fn pattern() -> Slip {
    Slip::help("write `text.contains(\"…\")`, `starts_with`, `ends_with`, or `index_of`")
        .says("there are no regular expressions in a playbook")
}

/// Where a statement should have ended.
fn statements(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    if !seen.misses(";") || i == 0 || i >= script.tokens.len() {
        return None;
    }
    let start = script.line_start(i - 1);
    if script.is_first(i) {
        let end = script.range(i - 1).end;
        let comment = script.text[end..].lines().next().and_then(|it| it.trim().strip_prefix("//"));
        if comment.is_some_and(|it| it.ends_with(';') && it.trim().len() < 20) {
            let help = "to divide write `/`, which of whole numbers gives a whole number";
            return Some(Slip::help(help).says("`//` begins a comment").at(end + 1..end + 3));
        }
        let is_slip =
            script.kind(i) == Some(Kind::Sign) || super::elsewhere::word(script.word(i - 1)).is_some();
        return (!is_slip).then(|| {
            Slip::help("end the statement with `;`")
                .says("`;` is missing at the end of this line")
                .at(end..end + 1)
        });
    }
    if word == "," && matches!(script.word(start), "let" | "const") {
        return Some(
            Slip::help("give each its own `let`: `let a = 1; let b = 2;`")
                .says("a `let` declares one variable"),
        );
    }
    if word == "as" {
        return Some(
            Slip::help("write `x.to_int()`, `x.to_float()` or `x.to_string()`").says("there are no types"),
        );
    }
    if word == "else" && matches!(script.word(start), "let" | "const") {
        let help = "write `if x == () { … }` below it, or `x ?? y` for another value";
        return Some(Slip::help(help).says("a `let` has no `else`"));
    }
    if word == "if" {
        let help = "write `if x { a } else { b }`, which gives a value";
        return Some(Slip::help(help).says("the condition comes before the value"));
    }
    let foreign = |it: &str| super::advice::is_foreign(it, script.text);
    let value = match script.kind(i) {
        Some(Kind::Text | Kind::Number) => true,
        Some(Kind::Word) => !foreign(word),
        _ => false,
    };
    (value && !foreign(seen.before())).then(|| {
        let begins =
            matches!(word, "let" | "const" | "return" | "throw" | "for" | "while" | "loop" | "import");
        let help = match begins {
            true => "end the statement before this with `;`",
            false => "add what is to join the two, such as `+`, or end the first with `;`",
        };
        Slip::help(help).says("nothing joins this to what stands before it")
    })
}
