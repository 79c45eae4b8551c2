//! How something is declared, imported, named: `let`, `import`, fields of maps, words that cannot be names.

use rhai::ParseErrorType;

use crate::playbook::check::syntax::slip::{Seen, Slip};
use crate::playbook::check::syntax::tokens::Kind;

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    import(seen)
        .or_else(|| declaration(seen))
        .or_else(|| field(seen))
        .or_else(|| taken(seen))
        .or_else(|| thrown(seen))
        .or_else(|| argument(seen))
}

fn import(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    let start = script.line_start(seen.i);
    let begins = script.word(start);
    let next = script.kind(start + 1);
    let named = matches!(next, Some(Kind::Word | Kind::Text)) || matches!(script.word(start + 1), "{" | "*");
    let fits = match begins {
        "import" => seen.i > start && next != Some(Kind::Text),
        "from" | "use" | "using" | "include" | "require" | "package" => seen.i == start && named,
        _ => false,
    };
    if !fits {
        return None;
    }
    let end =
        (start..script.line_end(start)).find(|j| script.word(*j) == ";").unwrap_or(script.line_end(start));
    let clean = |text: &str| {
        let inner = text.trim_matches(['"', '\'', '`']).trim_start_matches("./");
        inner
            .rsplit_once('.')
            .filter(|(_, end)| matches!(*end, "rhai" | "js" | "py"))
            .map_or(inner, |it| it.0)
            .to_string()
    };
    let text = (start..end).find(|j| script.kind(*j) == Some(Kind::Text)).map(|j| clean(script.word(j)));
    let path = text.unwrap_or_else(|| {
        let words =
            (start + 1..end).take_while(|j| !matches!(script.word(*j), "import" | "as" | "from" | "{"));
        words
            .filter(|j| script.kind(*j) == Some(Kind::Word))
            .map(|j| script.word(j))
            .collect::<Vec<_>>()
            .join("/")
    });
    let name: String = path
        .rsplit('/')
        .next()
        .unwrap_or("name")
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    let (path, name) = if name.is_empty() { ("lib/name".into(), "name".into()) } else { (path, name) };
    let help = format!("write `import \"{path}\" as {name};`, and call `{name}::…`");
    Some(Slip::help(help).says("a file is imported by its name in quotes").at(script.range(start)))
}

fn declaration(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    let declares = |j: usize| matches!(script.word(j), "let" | "const" | "var");
    if word == ":" && i >= 2 && declares(i - 2) && script.kind(i - 1) == Some(Kind::Word) {
        let end = script.line_end(i);
        let value = (i..end).find(|j| script.word(*j) == "=").map(|from| {
            let to = (from..end).find(|j| script.word(*j) == ";").unwrap_or(end);
            script.between(from + 1, to)
        });
        let value = value.filter(|it| !it.is_empty() && it.len() <= 40).unwrap_or("…");
        let help = format!("leave the type out: `{} {} = {value};`", script.word(i - 2), seen.before());
        return Some(Slip::help(help).says("a variable has no type"));
    }
    if let ParseErrorType::VariableExpected = seen.kind
        && matches!(word, "$" | "@" | "let" | "const")
        && i >= 1
        && declares(i - 1)
    {
        let text = format!("no `{word}` follows `{}`", seen.before());
        return Some(Slip::help(format!("leave `{word}` out: `{} x = …`", seen.before())).says(text));
    }
    if let ParseErrorType::VariableExpected = seen.kind
        && i >= 1
        && declares(i - 1)
        && matches!(word, "[" | "(" | "{" | "#{")
    {
        let help = "give each its own: `let a = list[0];`, `let b = map.b;`";
        return Some(Slip::help(help).says("a `let` declares one variable"));
    }
    if let ParseErrorType::VariableExpected = seen.kind
        && i >= 1
        && matches!(script.kind(i), Some(Kind::Text | Kind::Number))
        && declares(i - 1)
    {
        return Some(Slip::help("a name is of letters, digits and `_`, and stands without quotes"));
    }
    if i >= 2 && seen.before() == "mut" && declares(i - 2) {
        let help = format!("leave `mut` out: `let {word} = …`");
        return Some(Slip::help(help).says("every variable of `let` can change"));
    }
    let named = i >= 2 && declares(i - 2) && script.kind(i - 1) == Some(Kind::Word) && seen.misses(";");
    if !named || script.is_first(i) {
        return None;
    }
    let name = seen.before();
    match word {
        "==" => Some(
            Slip::help(format!("write `let {name} = …`"))
                .says("`==` compares, `=` gives a variable its value"),
        ),
        "-" => {
            let whole = script
                .between(i - 1, (i..script.line_end(i)).find(|j| script.word(*j) == "=").unwrap_or(i + 2));
            let better: String = whole.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
            Some(
                Slip::help(format!("use letters, digits and `_`: `{better}`"))
                    .says(format!("`{whole}` is no name")),
            )
        }
        "." | "[" if seen.touch(i - 1) => Some(
            Slip::help(format!("leave `let` out: `{name}{word}…`"))
                .says("what is part of a variable is there already"),
        ),
        _ if word == "[" || script.kind(i) == Some(Kind::Word) => {
            Some(Slip::help(format!("write `let {name} = …`")).says("a variable has no type"))
        }
        _ => None,
    }
}

/// The name of a field of a map.
fn field(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    let fits = seen.misses(":") || seen.misses("}");
    if !fits && !matches!(seen.kind, ParseErrorType::PropertyExpected | ParseErrorType::Reserved(_)) {
        return None;
    }
    let open = seen.inside().filter(|it| script.word(*it) == "#{")?;
    let mut from = seen.i;
    while from > open + 1 && script.word(from - 1) != "," && seen.touch(from - 1) {
        from -= 1;
    }
    let colon = (from..script.tokens.len().min(from + 12))
        .take_while(|j| *j == from || seen.touch(j - 1) || script.word(*j) == ":")
        .find(|j| script.word(*j) == ":")?;
    let key = script.between(from, colon);
    let text = script.kind(from) == Some(Kind::Text) && colon == from + 1;
    let plain = colon == from + 1 && script.kind(from) == Some(Kind::Word);
    let begins = from == open + 1 || script.word(from - 1) == ",";
    if colon == from
        || colon < seen.i
        || text
        || plain && !begins
        || key.starts_with(['[', '.', '`', '$', '\''])
    {
        return None;
    }
    let at = script.range(from).start..script.range(colon - 1).end;
    let quoted = key.replace('"', "");
    Some(
        Slip::help(format!("put it in quotes: `\"{quoted}\"`"))
            .says(format!("`{key}` is no name for a field as it stands"))
            .at(at),
    )
}

/// A word of the language where a name was meant.
fn taken(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    let word = match seen.kind {
        ParseErrorType::Reserved(word) if word.starts_with(|c: char| c.is_alphabetic()) => word.as_str(),
        ParseErrorType::VariableExpected | ParseErrorType::FnMissingName
            if script.kind(seen.i) == Some(Kind::Word) =>
        {
            seen.word()
        }
        _ => return None,
    };
    let named = (0..script.tokens.len())
        .any(|j| script.word(j) == word && j > 0 && matches!(script.word(j - 1), "fn" | "let" | "const"));
    let field = seen.before() == ".";
    let parameter = script.enclosing(seen.i).last().is_some_and(|it| *it >= 2 && script.word(it - 2) == "fn");
    let text = format!("`{word}` is a word that Rhai keeps for itself");
    if field && seen.after() == "(" {
        return None;
    }
    if field {
        return Some(Slip::help(format!("write `map[\"{word}\"]` for the field")).says(text));
    }
    (named || parameter)
        .then(|| Slip::help(format!("take another name, such as `{word}_it` or `my_{word}`")).says(text))
}

/// `throw new Error("x")`.
fn thrown(seen: &Seen) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let begins = script.word(script.line_start(i));
    if seen.word() == "new" && i >= 1 && seen.before() == "throw"
        || seen.word() == "raise"
        || begins == "raise"
    {
        let why = (i..script.line_end(i))
            .find(|j| script.kind(*j) == Some(Kind::Text))
            .map_or("\"why\"", |j| script.word(j));
        let why = if why.len() > 40 || !why.starts_with('"') { "\"why\"" } else { why };
        return Some(
            Slip::help(format!("write `fail({why})`, or `throw {why}`"))
                .says("a failure is text, and needs no object"),
        );
    }
    None
}

/// `f(name: value)`.
fn argument(seen: &Seen) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let undefined = matches!(seen.kind, ParseErrorType::VariableUndefined(_)) && seen.after() == ":";
    let open = seen.inside().filter(|it| script.word(*it) == "(" && *it > 0)?;
    let call = script.kind(open - 1) == Some(Kind::Word)
        && !matches!(script.word(open - 1), "if" | "while" | "for" | "switch");
    (undefined && call && matches!(script.word(i - 1), "(" | ",")).then(|| {
        let word = seen.word();
        Slip::help(format!("leave `{word}:` out; parameters of an action are a map: `#{{ {word}: … }}`"))
            .says("arguments have no names")
    })
}
