//! What to do about a script that cannot be read: the slips that people make, in their own words.
//!
//! Start with [`advice`]. It only looks at the text; whether there is a mistake is the parser's to say. What other
//! languages call things stands in [`elsewhere`].

use rhai::{LexError, ParseErrorType};

use super::{ctx, elsewhere};
use crate::model::diagnostic::nearest;

/// The parser's own words, beginning small as ours do.
pub fn words(kind: &ParseErrorType, text: &str) -> String {
    let text = match kind {
        ParseErrorType::VariableUndefined(name) if elsewhere::is_keyword(name) && !is_named(name, text) => {
            return format!("`{name}` means nothing here");
        }
        ParseErrorType::Reserved(name)
            if elsewhere::is_keyword(name) || !name.starts_with(char::is_alphabetic) =>
        {
            return format!("`{name}` means nothing here");
        }
        ParseErrorType::Reserved(name) => return format!("`{name}` is a word that Rhai keeps for itself"),
        ParseErrorType::UnknownOperator(sign) => return format!("there is no operator `{sign}`"),
        ParseErrorType::VariableUndefined(name) => return format!("there is no variable `{name}`"),
        ParseErrorType::ModuleUndefined(name) => return format!("nothing is imported as `{name}`"),
        ParseErrorType::BadInput(LexError::ImproperSymbol(sign, _))
            if elsewhere::word(sign).is_some() && !sign.starts_with(char::is_alphanumeric) =>
        {
            return format!("`{sign}` means nothing here");
        }
        other => other.to_string(),
    };
    let mut chars = text.chars();
    let first = chars.next();
    // `'x'` and the like keep their case.
    first.map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// What to do about `kind` at byte `at` of `text`.
pub fn advice(kind: &ParseErrorType, text: &str, at: usize) -> Option<String> {
    match kind {
        ParseErrorType::VariableUndefined(name) => Some(undefined(name, text, at)),
        ParseErrorType::ModuleUndefined(name) => Some(module(name, text)),
        ParseErrorType::Reserved(word) => reserved(word).or_else(|| match word.as_str() {
            "#" | "$" | "@" => Some(unexpected(text, at)),
            _ => Some(format!("`{word}` is a word of the language and cannot be a name: take another")),
        }),
        ParseErrorType::BadInput(LexError::ImproperSymbol(word, _)) => reserved(word),
        ParseErrorType::BadInput(LexError::UnexpectedInput(sign)) => match sign.as_str() {
            "else" => Some("`else` follows the `}` of an `if`".into()),
            "catch" => Some("`catch` follows the `}` of a `try`".into()),
            ";" | "," | ")" | "}" | "]" | "." | "+" | "*" | "/" | "==" | "=" => expression(text, at),
            _ => reserved(sign).or_else(|| Some(unexpected(text, at))),
        },
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            Some("close the text with `\"`; a text of several lines stands between backticks".into())
        }
        ParseErrorType::BadInput(LexError::MalformedChar(_)) => {
            Some("text stands between double quotes: `\"…\"`; single quotes hold one character".into())
        }
        ParseErrorType::BadInput(LexError::MalformedNumber(_)) => {
            Some("a length of time is text: \"30s\"; numbers are written 5, 0.5 or 1_000".into())
        }
        ParseErrorType::BadInput(LexError::MalformedIdentifier(_)) => {
            Some("names are of letters, digits and `_`, and do not begin with a digit".into())
        }
        ParseErrorType::BadInput(LexError::MalformedEscapeSequence(_)) => {
            Some("write `\\\\` for a backslash, `\\n` for a new line, `\\\"` for a quote".into())
        }
        ParseErrorType::UnexpectedEOF => {
            Some("something is not closed: look for a `{`, `(`, `[` or quote without its other half".into())
        }
        ParseErrorType::MissingToken(token, _) => missing(token, text, at),
        ParseErrorType::FnMissingParams(name) => Some(format!("write `fn {name}(ctx) {{ … }}`")),
        ParseErrorType::FnMissingName => {
            Some("write `fn name(a, b) { … }`, or `|a, b| …` for a closure".into())
        }
        ParseErrorType::FnMissingBody(_) => Some("the body stands between `{` and `}`".into()),
        ParseErrorType::FnDuplicatedDefinition(name, _) => {
            Some(format!("call one of them another name, or take one out: both are `{name}`"))
        }
        ParseErrorType::FnDuplicatedParam(..) => Some("call one of them another name".into()),
        ParseErrorType::WrongFnDefinition => Some(
            "a function cannot stand inside of another: close that with `}` first, or use a closure".into(),
        ),
        ParseErrorType::DuplicatedProperty(name) => {
            Some(format!("take one `{name}` out: a map has each name once"))
        }
        ParseErrorType::PropertyExpected => Some(property(text, at)),
        ParseErrorType::VariableExpected => word_before(text, at)
            .and_then(|word| reserved(&word))
            .or_else(|| Some("a name must stand here, of letters, digits and `_`".into())),
        ParseErrorType::ExprExpected(what) if what.contains("bool") => {
            Some("a condition is missing, such as `x > 1`; after `else` alone comes `{`".into())
        }
        ParseErrorType::ExprExpected(_) => expression(text, at),
        ParseErrorType::LoopBreak => {
            Some("it belongs into a `for`, `while` or `loop`; a function is left by `return`".into())
        }
        ParseErrorType::WrongExport => {
            Some("constants of an imported file stand at its top; functions need no `export`".into())
        }
        ParseErrorType::MismatchedType(wanted, given) => Some(match wanted.as_str() {
            it if it.contains("bool") => "write a comparison, such as `x > 0` or `x != ()`".into(),
            it if it.contains("iter") => "write `for i in 0..5`, or name a list".into(),
            _ => format!("give {wanted}, not {given}"),
        }),
        ParseErrorType::ExprTooDeep => Some("keep parts of it in variables: `let part = …`".into()),
        ParseErrorType::LiteralTooLarge(..) => {
            Some("put it together from smaller parts, or let an event bring it".into())
        }
        ParseErrorType::AssignmentToInvalidLHS(_) => {
            Some("`==` compares, `=` gives a variable its value".into())
        }
        ParseErrorType::AssignmentToConstant(_) => Some("declare it with `let` if it is to change".into()),
        ParseErrorType::UnknownOperator(it) if it == "?" => {
            Some("write `if x { a } else { b }`, which gives a value".into())
        }
        ParseErrorType::UnknownOperator(it) => {
            reserved(it).or_else(|| Some("operators are + - * / % ** == != < <= > >= && || ! ??".into()))
        }
        _ => word_before(text, at).and_then(|word| reserved(&word)),
    }
}

/// What to do where there is no function `name`, if it is of another language.
pub fn function(name: &str) -> Option<&'static str> {
    elsewhere::function(name)
}

/// What to do where nothing is imported as `name`.
fn module(name: &str, text: &str) -> String {
    if variables(text).iter().any(|it| it == name) {
        return format!("a field stands behind a dot: `{name}.…`");
    }
    let names: Vec<&str> = text
        .match_indices("\" as ")
        .map(|(at, it)| &text[at + it.len()..])
        .map(|it| it.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default())
        .collect();
    if let Some(near) = nearest(name, names) {
        return format!("did you mean `{near}`?");
    }
    if let Some(help) = elsewhere::function(name).or_else(|| elsewhere::word(name)) {
        return help.into();
    }
    let paths =
        || text.match_indices("import \"").filter_map(|(at, it)| text[at + it.len()..].split('"').next());
    if let Some(path) = paths().find(|path| path.rsplit('/').next() == Some(name)) {
        return format!("give it that name where it is imported: `import \"{path}\" as {name};`");
    }
    format!("import it at the top: `import \"lib/{name}\" as {name};`")
}

fn undefined(name: &str, text: &str, at: usize) -> String {
    let after = text.get(at + name.len()..).unwrap_or_default();
    if name == "f" && !after.starts_with(['"', '\'']) {
        return "declare it first: `let f = …`".into();
    }
    let mut alone =
        text.split("import \"").skip(1).filter_map(|it| it.split_once("\";")).map(|(path, _)| path);
    if after.starts_with('.')
        && alone.any(|path| !path.contains('\n') && path.rsplit('/').next() == Some(name))
    {
        return format!("give the imported file a name: `import \"…\" as {name};`, and call `{name}::…`");
    }
    let imported = text
        .split(" as ")
        .skip(1)
        .any(|it| it.trim_start().strip_prefix(name).is_some_and(|it| it.trim_start().starts_with(';')));
    if imported && after.starts_with('.') {
        return format!("`{name}` is an imported file: write `{name}::` for `{name}.`");
    }
    // `x -> x + 1` and `x => x + 1`.
    if after.trim_start().starts_with("->") || after.trim_start().starts_with("=>") {
        return format!("a closure is written `|{name}| …`");
    }
    let known = variables(text);
    let declared = known.iter().any(|it| it == name);
    let line_start = text[..at.min(text.len())].rfind('\n').map_or(0, |i| i + 1);
    if !declared && elsewhere::is_keyword(name) {
        return elsewhere::word(name).unwrap_or_default().into();
    }
    if after.starts_with(':') && !after.starts_with("::") && !after.starts_with(":=") {
        return match text[..at.min(text.len())].trim_end().chars().next_back() {
            Some('{' | ',') => "a map begins with `#{`".into(),
            _ if line_start == at => {
                "this is no script: it begins with `//!` lines and has `fn run(ctx) { … }`".into()
            }
            _ => "a map is written `#{ name: value }`".into(),
        };
    }
    if matches!(name, "debug" | "info" | "warning" | "warn" | "error") {
        return format!("text stands in quotes: `\"{name}\"`");
    }
    let before = text[..at.min(text.len())].trim_end().chars().next_back();
    if matches!(before, Some('(' | ','))
        && after.trim_start().starts_with('=')
        && !after.trim_start().starts_with("==")
    {
        return format!("arguments have no names; parameters are a map: `#{{ {name}: … }}`");
    }
    if !declared && ctx::FIELDS.contains(&name) {
        return format!("write `ctx.{name}`");
    }
    if !declared && let Some(help) = elsewhere::word(name) {
        return help.into();
    }
    if declared && name == "ctx" {
        return "`ctx` is given to `run`, `verify` and `rollback`: pass it on as an argument".into();
    }
    if declared && text.lines().any(|line| starts_const(line, name)) {
        return format!("a constant of the file is read in a function as `global::{name}`");
    }
    // Between the beginning of this function and here.
    let function = text[..at.min(text.len())].rfind("\nfn ").map_or("", |begin| &text[begin..at]);
    let here = ["let", "const"].iter().any(|word| function.contains(&format!("{word} {name} ")));
    if here {
        return format!("`{name}` ends with the block that it is declared in: declare it before that block");
    }
    if declared {
        return "a function sees its arguments and its own variables only: pass it on as an argument".into();
    }
    if after.starts_with('=') && !after.starts_with("==") || after.starts_with(" = ") {
        return match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? a new variable begins with `let`"),
            None => format!("a new variable begins with `let`: `let {name} = …`"),
        };
    }
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("declare it first: `let {name} = …`; text stands in quotes"),
    }
}

/// Whether `word` is one of another language that the script does not use as a name.
pub fn is_foreign(word: &str, text: &str) -> bool {
    elsewhere::word(word).is_some() && !is_named(word, text)
}

/// Whether the script itself calls something `word`.
pub fn is_named(word: &str, text: &str) -> bool {
    variables(text).iter().any(|it| it == word) || text.contains(&format!("fn {word}("))
}

fn reserved(word: &str) -> Option<String> {
    elsewhere::word(word).map(String::from)
}

/// A sign that no script can have.
fn unexpected(text: &str, at: usize) -> String {
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some('“' | '”' | '„' | '‘' | '’' | '«' | '»') => {
            "these are quotes of a word processor: text stands between plain `\"`".into()
        }
        Some('\u{a0}' | '\u{200b}' | '\u{feff}' | '\u{2009}') => {
            "a sign stands here that cannot be seen, such as a wide space: delete and type it again".into()
        }
        Some('–' | '—' | '−') => "this is a dash of a word processor: write `-`".into(),
        Some('$') => {
            "a variable is written without `$`; `${…}` puts values into a text between backticks".into()
        }
        Some('@') => "there are no decorators: leave it out".into(),
        Some('#') => "a comment begins with `//`, a map with `#{`".into(),
        Some('\\') => "a statement may go on in the next line without any sign".into(),
        _ => "this sign means nothing here; text stands between `\"`".into(),
    }
}

/// Whether `line` begins a constant of this name outside of functions.
fn starts_const(line: &str, name: &str) -> bool {
    let rest = line.strip_prefix("const ").or_else(|| line.strip_prefix("export const "));
    rest.and_then(|it| it.trim_start().strip_prefix(name)).is_some_and(|it| it.trim_start().starts_with('='))
}

fn property(text: &str, at: usize) -> String {
    if text.get(at..).is_some_and(|rest| rest.starts_with("curry")) {
        return elsewhere::word("curry").unwrap_or_default().into();
    }
    match text.get(at..).and_then(|rest| rest.chars().next()) {
        Some('.') => "a map is not spread with `...`: write `a + b`, or set fields one by one".into(),
        Some('[') => "a name that must be computed is set after: `map[name] = value;`".into(),
        _ => "a field is written `name: value`; a name of other signs stands in quotes".into(),
    }
}

fn expression(text: &str, at: usize) -> Option<String> {
    if let Some(help) =
        word_before(text, at).filter(|it| !is_named(it, text)).and_then(|word| reserved(&word))
    {
        return Some(help);
    }
    let rest = text.get(at..).unwrap_or_default();
    let last = text[..at.min(text.len())].trim_end().chars().next_back();
    Some(match (last, rest.chars().next()) {
        (_, Some('{')) => "a map begins with `#{`".into(),
        (Some('}'), Some(',')) => "take the `,` out: functions and statements stand one after another".into(),
        (Some('}'), Some('}')) => "one `}` too many; or look above for a `{` that is missing".into(),
        (Some('=' | '('), Some(';')) | (Some('='), _) => "a value is missing after `=`".into(),
        (Some(','), Some(')' | ']' | '}')) => "take out the `,`, or add what is to follow it".into(),
        (Some('+' | '-' | '*' | '/' | '%' | '&' | '|' | '<' | '>'), _) => {
            "the other side of the operator is missing".into()
        }
        (_, Some('}' | ')' | ']')) => "take it out, or look above for what it should close".into(),
        (_, Some('.')) => "nothing stands before the dot".into(),
        _ => "a value is missing here".into(),
    })
}

/// Of a missing token the cause often lies before it.
fn missing(token: &str, text: &str, at: usize) -> Option<String> {
    let here = text.get(at..).unwrap_or_default().trim_start();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let word: String = here.chars().take_while(|c| is_word(*c)).collect();
    if token == ":" && here.starts_with('=') {
        return Some("a field of a map is written `name: value`".into());
    }
    if here.starts_with("=>") || here.starts_with("->") {
        return reserved("=>");
    }
    if here.starts_with(":=") || here.starts_with("===") || here.starts_with("++") {
        return reserved(&here.chars().take(if here.starts_with('=') { 3 } else { 2 }).collect::<String>());
    }
    if here.starts_with('=') && !here.starts_with("==") {
        return Some("`==` compares, `=` gives a variable its value".into());
    }
    let before = word_before(text, at);
    if before.as_deref() == Some("catch") {
        return Some("write `catch (e) { … }`: it takes every failure, `e.kind` says which".into());
    }
    let foreign = |it: &&str| !matches!(*it, "f" | "try" | "") && !is_named(it, text);
    if let Some(help) = before.as_deref().filter(foreign).and_then(reserved) {
        return Some(help);
    }
    if let Some(help) = Some(word.as_str()).filter(foreign).and_then(reserved) {
        return Some(help);
    }
    let last = text.get(..at.min(text.len())).and_then(|it| it.chars().next_back());
    if last.is_some_and(|c| c.is_ascii_digit()) && here.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("a length of time is text: \"30s\"".into());
    }
    if here.starts_with("...") || here.starts_with("..") && token == "}" {
        return Some("a map is not spread with `...`: write `a + b`, or set fields one by one".into());
    }
    if token == ";" && here.starts_with(':') {
        return Some("a map begins with `#{`".into());
    }
    if token == "}" && here.starts_with([')', ']']) {
        return Some("close what began with `{` or `#{` before this: add `}`".into());
    }
    if token == ";" && here.starts_with([')', ']']) {
        return Some("this closes nothing: take it out, or look before it for what is missing".into());
    }
    if token == "{" && here.starts_with(':') {
        return Some("what `if`, `for`, `while` and `fn` do stands between `{` and `}`, without `:`".into());
    }
    Some(match token {
        ";" if here.is_empty() => "something is not closed: look for a `{` without its `}`".into(),
        ";" => "end the statement before this with `;`".into(),
        "}" | ")" | "]" => format!("add `{token}`, or a `,` between two items"),
        "{" => "what `if`, `for`, `while`, `try` and `fn` do stands between `{` and `}`".into(),
        ":" => "a field of a map is written `name: value`".into(),
        "," => "separate items with `,`".into(),
        "in" => "write `for x in list { … }`, or `for i in 0..10 { … }`".into(),
        "(" => "write it with parentheses: `fn name(a, b) { … }`, `catch (e) { … }`".into(),
        "|" => "a closure is written `|x| x + 1`".into(),
        "=" => "write `let name = value;`".into(),
        _ => return None,
    })
}

/// The word that ends before byte `at`, unless it is that of a field.
fn word_before(text: &str, at: usize) -> Option<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let before = text.get(..at.min(text.len()))?.trim_end();
    let start =
        before.rfind(|c| !is_word(c)).map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
    let word = before.get(start..).filter(|it| !it.is_empty() && !before[..start].ends_with('.'))?;
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
    found.retain(|name| !name.is_empty() && name != "mut");
    found
}
