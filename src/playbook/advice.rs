//! What to do about a script that cannot be read: the slips that people make, in their own words.
//!
//! Start with [`advice`]. It only looks at the text; whether there is a mistake is the parser's to say.

use rhai::{LexError, ParseErrorType};

use crate::model::diagnostic::nearest;

/// Words of other languages, and what stands for them here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("var", "write `let x = …`"),
    ("function", "write `fn name(a, b) { … }`"),
    ("def", "write `fn name(a, b) { … }`"),
    ("null", "write `()` for nothing"),
    ("nil", "write `()` for nothing"),
    ("None", "write `()` for nothing"),
    ("undefined", "write `()` for nothing"),
    ("elif", "write `else if`"),
    ("and", "write `&&`"),
    ("or", "write `||`"),
    ("not", "write `!`"),
    ("True", "write `true`"),
    ("False", "write `false`"),
    ("await", "leave it out: every call waits for its result"),
];

/// Fields of `ctx` that people take for variables.
const CTX: [&str; 10] =
    ["event", "events", "target", "params", "rule", "intent", "attempt", "confidence", "done", "carried"];

/// What to do about `kind` at byte `at` of `text`.
pub fn advice(kind: &ParseErrorType, text: &str, at: usize) -> Option<String> {
    match kind {
        ParseErrorType::VariableUndefined(name) => Some(undefined(name, text)),
        ParseErrorType::ModuleUndefined(name) => {
            Some(format!("import it at the top: `import \"lib/{name}\" as {name};`"))
        }
        ParseErrorType::Reserved(word) | ParseErrorType::BadInput(LexError::ImproperSymbol(word, _)) => {
            reserved(word)
        }
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            Some("close the text with `\"`; a text of several lines stands between backticks".into())
        }
        ParseErrorType::BadInput(LexError::MalformedEscapeSequence(_)) => {
            Some("write `\\\\` for a backslash, `\\n` for a new line, `\\\"` for a quote".into())
        }
        ParseErrorType::UnexpectedEOF => {
            Some("something is not closed: look for a `{`, `(`, `[` or quote without its other half".into())
        }
        ParseErrorType::MissingToken(token, _) => missing(token, text, at),
        ParseErrorType::FnMissingParams(name) => Some(format!("write `fn {name}(ctx) {{ … }}`")),
        ParseErrorType::FnMissingBody(_) => Some("the body stands between `{` and `}`".into()),
        ParseErrorType::AssignmentToInvalidLHS(_) => {
            Some("`==` compares, `=` gives a variable its value".into())
        }
        ParseErrorType::AssignmentToConstant(_) => Some("declare it with `let` if it is to change".into()),
        ParseErrorType::UnknownOperator(_) => {
            Some("operators are + - * / % ** == != < <= > >= && || ! ??".into())
        }
        _ => word_before(text, at).and_then(|word| reserved(&word)),
    }
}

fn undefined(name: &str, text: &str) -> String {
    if let Some((_, help)) = ELSEWHERE.iter().find(|(word, _)| *word == name) {
        return (*help).into();
    }
    if CTX.contains(&name) {
        return format!("write `ctx.{name}`");
    }
    let known = variables(text);
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) if near != name => format!("did you mean `{near}`?"),
        Some(_) => {
            "a function sees its arguments and its own variables only: pass it on as an argument".into()
        }
        None if known.iter().any(|it| it == name) => {
            "a function sees its arguments and its own variables only: pass it on as an argument".into()
        }
        None => format!("declare it first: `let {name} = …`; text stands in quotes"),
    }
}

fn reserved(word: &str) -> Option<String> {
    if let Some((_, help)) = ELSEWHERE.iter().find(|(it, _)| *it == word) {
        return Some((*help).into());
    }
    Some(match word {
        "eval" => "a text cannot be run as a script, as it may come from an event: write a function".into(),
        "curry" => "use a closure: `|x| f(1, x)`".into(),
        "===" => "write `==`".into(),
        "!==" => "write `!=`".into(),
        "++" => "write `x += 1`".into(),
        "--" => "write `x -= 1`".into(),
        "->" | "=>" | ":=" => "that is of another language; see playbooks/WRITING.md".into(),
        "try" => {
            "`try { … } catch (e) { … }` is a statement, not a value: set a variable in both halves".into()
        }
        "spawn" | "go" | "thread" | "async" => "for things side by side there is `all([ … ])`".into(),
        "new" | "class" | "static" | "public" | "protected" | "super" => {
            "a map is written `#{ name: value }`".into()
        }
        _ => return None,
    })
}

/// Of a missing token the cause often lies before it.
fn missing(token: &str, text: &str, at: usize) -> Option<String> {
    let here = text[at.min(text.len())..].trim_start();
    if here.starts_with('=') && !here.starts_with("==") {
        return Some("`==` compares, `=` gives a variable its value".into());
    }
    if let Some(help) = word_before(text, at).and_then(|word| reserved(&word)) {
        return Some(help);
    }
    Some(match token {
        ";" => "end the statement before this with `;`".into(),
        "}" | ")" | "]" => format!("add `{token}`, or a `,` between two items"),
        "{" => "what `if`, `for`, `while`, `try` and `fn` do stands between `{` and `}`".into(),
        ":" => "a field of a map is written `name: value`".into(),
        "," => "separate items with `,`".into(),
        _ => return None,
    })
}

/// The word that ends before byte `at`, or stands there.
fn word_before(text: &str, at: usize) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let before = text[..at.min(text.len())].trim_end();
    let start = before.rfind(|c| !is_word(c)).map_or(0, |i| i + 1);
    let word = before.get(start..).filter(|it| !it.is_empty())?;
    Some(word.to_string())
}

/// Names that are declared somewhere in the script.
fn variables(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found: Vec<String> = vec!["ctx".into()];
    for word in ["let ", "const ", "for "] {
        for (at, _) in text.match_indices(word) {
            let name: String =
                text[at + word.len()..].trim_start().chars().take_while(|c| is_word(*c)).collect();
            found.push(name);
        }
    }
    for (at, _) in text.match_indices("fn ") {
        let params = text[at..].split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        found.extend(
            params.into_iter().flat_map(|(params, _)| params.split(',')).map(|it| it.trim().to_string()),
        );
    }
    found.retain(|name| !name.is_empty());
    found
}
