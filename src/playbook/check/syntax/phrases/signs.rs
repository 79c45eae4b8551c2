//! Signs that mean something else elsewhere, or nothing here.

use rhai::{LexError, ParseErrorType};

use crate::playbook::check::syntax::elsewhere;
use crate::playbook::check::syntax::slip::{Seen, Slip};
use crate::playbook::check::syntax::tokens::Kind;

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    comments(seen)
        .or_else(|| operators(seen))
        .or_else(|| numbers(seen))
        .or_else(|| stray(seen))
        .or_else(|| references(seen))
}

fn unexpected(seen: &Seen) -> bool {
    matches!(seen.kind, ParseErrorType::BadInput(LexError::UnexpectedInput(_)))
}

fn comments(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    if word == "<!--" || word == "--" && script.is_first(i) && !seen.touch(i) {
        return Some(Slip::help("a comment begins with `//`"));
    }
    if let ParseErrorType::WrongDocComment = seen.kind {
        let help = "write `//`: a comment of `///` stands right above a function";
        return Some(Slip::help(help).says("no function follows this comment").at(seen.at..seen.at + 3));
    }
    if word == "#[" {
        return Some(Slip::help("leave it out; a comment begins with `//`").says("there are no attributes"));
    }
    if word == "#" && matches!(seen.after(), "{" | "(") {
        return Some(Slip::help("write `#{`, without a space").says("a map is written `#{ name: value }`"));
    }
    if seen.script.text[seen.at..].starts_with("${") {
        let (text, help) = match script.word(i + 2) {
            ":" => ("a map is written `#{ name: value }`", "write `#{`".to_string()),
            _ => (
                "a variable is written without `$`",
                "`${…}` puts values into a text, between backticks alone".to_string(),
            ),
        };
        return Some(Slip::help(help).says(text));
    }
    (word == "$" && seen.after() == "(").then(|| {
        let help = "outside there is only `act`: `act(\"exec.run\", #{ … })`, if the header allows it";
        Slip::help(help).says("a playbook starts no programs by itself")
    })
}

fn operators(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    if word == "*" && seen.after() == "/" && seen.touch(i) && unexpected(seen) {
        let slip = Slip::help("take it out, or begin the comment with `/*`").says("this ends no comment");
        return Some(slip.at(script.range(i).start..script.range(i + 1).end));
    }
    if word == "->" && i > 0 && seen.touch(i - 1) && script.kind(i + 1) == Some(Kind::Word) {
        return Some(
            Slip::help(format!("write `{}.{}`", seen.before(), seen.after()))
                .says("a field stands behind a dot"),
        );
    }
    if seen.misses("(") && seen.before() == "!" && matches!(word, ";" | ")" | "," | ".") {
        return Some(Slip::help("leave it out").says("nothing follows this `!`").at(script.range(i - 1)));
    }
    let help = |text: &str| Some(Slip::help(text));
    let joined = i > 0 && seen.touch(i - 1);
    let compares = matches!(
        seen.kind,
        ParseErrorType::AssignmentToInvalidLHS(_)
            | ParseErrorType::BadInput(_)
            | ParseErrorType::MissingToken(..)
            | ParseErrorType::UnknownOperator(_)
    );
    if compares {
        let next = if seen.touch(i) { seen.after() } else { "" };
        let means = |sign: &str, help: &str| {
            Some(Slip::help(format!("write `{help}`")).says(format!("there is no operator `{sign}`")))
        };
        match (word, next) {
            ("=", "<") => return means("=<", "<="),
            ("=", "!") => return means("=!", "!="),
            ("=", "~") | ("~", "=") => {
                return super::pattern().says("there is no operator for patterns").into();
            }
            (">", _) if joined && seen.before() == "<" => return means("<>", "!="),
            ("=", _) if joined && seen.before() == "??" => return means("??=", "x = x ?? y"),
            ("=>", _) if seen.misses("{") => return means("=>", ">="),
            _ => {}
        }
    }
    let invalid = matches!(seen.kind, ParseErrorType::AssignmentToInvalidLHS(_));
    if word == "=" && (invalid || matches!(seen.kind, ParseErrorType::BadInput(LexError::ImproperSymbol(..))))
    {
        let slip = Slip::help("`==` compares, `=` gives a variable its value");
        return Some(slip.says("`=` compares nothing"));
    }
    if word == "..." {
        return match seen.kind {
            ParseErrorType::UnknownOperator(_) => {
                help("write `0..3` for 0, 1 and 2, and `0..=3` for the 3 as well")
            }
            _ if seen.inside().is_some_and(|it| script.word(it) == "#{") => Some(
                Slip::help("write `a + b`, or set fields one by one").says("a map is not spread with `...`"),
            ),
            _ => Some(Slip::help("lists are joined by `+`: `a + b`").says("a list is not spread with `...`")),
        };
    }
    if word == "?"
        && matches!(seen.kind, ParseErrorType::UnknownOperator(_))
        && matches!(seen.after(), ";" | ")" | "}" | ".")
    {
        return help("leave it out: a failure that is not caught is passed on by itself");
    }
    let assigns = matches!(word, "+=" | "-=" | "*=" | "/=");
    if assigns && unexpected(seen) {
        return Some(Slip::help(format!("write `x {word} 1`")).says("the variable is missing that changes"));
    }
    // The other side is missing, and the next line was taken for it.
    if unexpected(seen)
        && script.is_first(i)
        && i > 0
        && matches!(seen.before(), "+" | "-" | "*" | "/" | "%" | "&" | "|" | "&&" | "||" | "==")
    {
        let text = format!("nothing stands behind this `{}`", seen.before());
        return Some(Slip::help("add the other side, or take it out").says(text).at(script.range(i - 1)));
    }
    None
}

fn numbers(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    let number = i > 0 && script.kind(i - 1) == Some(Kind::Number);
    if number
        && seen.touch(i - 1)
        && script.kind(i) == Some(Kind::Word)
        && matches!(seen.kind, ParseErrorType::MissingToken(..))
    {
        let value = seen.before();
        let at = script.range(i - 1).start..script.range(i).end;
        let time = matches!(
            word,
            "ms" | "s" | "m" | "h" | "d" | "w" | "sec" | "secs" | "min" | "mins" | "hours" | "days"
        );
        let slip = if time {
            let unit = if word == "ms" { "ms" } else { &word[..1] };
            Slip::help(format!("put it in quotes: `\"{value}{unit}\"`")).says("a length of time is text")
        } else {
            let help = match value {
                "0" => "numbers are written 5, 0.5, 1_000 or 0x1f".into(),
                _ => format!("write {value}"),
            };
            Slip::help(help).says(format!("`{value}{word}` is no number"))
        };
        return Some(slip.at(at));
    }
    if word == "," && number && script.kind(i + 1) == Some(Kind::Number) && seen.touch(i) && seen.misses(";")
    {
        let help = format!("write {}_{}", seen.before(), seen.after());
        return Some(Slip::help(help).says("a number has no comma"));
    }
    if word == "." && unexpected(seen) && script.kind(i + 1) == Some(Kind::Number) && seen.touch(i) {
        return Some(Slip::help(format!("write 0.{}", seen.after())).says("a number begins with a digit"));
    }
    if word == ":" && number && script.kind(i + 1) == Some(Kind::Number) && seen.misses(";") {
        return Some(Slip::help("text stands in quotes: `\"12:30\"`").says("a time of day is text"));
    }
    None
}

/// `;` and `:` where nothing ends.
fn stray(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    if word == ";" && seen.misses("{") {
        return Some(Slip::help("take it out, and go on with `{`").says("a `;` comes too early"));
    }
    if word == "else" && seen.before() == ";" && i > 1 && script.word(i - 2) == "}" {
        let slip = Slip::help("take it out: `} else { … }`").says("this `;` ends the `if`");
        return Some(slip.at(script.range(i - 1)));
    }
    if word == ":" && seen.misses(";") {
        if matches!(seen.before(), "return" | "throw") {
            return Some(Slip::help("leave it out").says(format!("no `:` follows `{}`", seen.before())));
        }
        let last = script.line_end(i) == i + 1;
        let foreign = elsewhere::is_keyword(script.word(script.line_start(i)));
        return (last && !foreign).then(|| Slip::help("write `;`").says("a statement ends with `;`"));
    }
    if let ParseErrorType::PropertyExpected = seen.kind
        && seen.before() == "."
        && script.kind(i) == Some(Kind::Sign)
    {
        return Some(Slip::help("add the name of a field or a function").says("nothing follows the dot"));
    }
    if seen.before() == "?." && word == "[" {
        return Some(Slip::help("write `x?[0]`").says("no dot stands before the bracket"));
    }
    None
}

fn references(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    if matches!(word, "&" | "*")
        && unexpected(seen)
        && matches!(seen.before(), "=" | "(" | "," | "return")
        && script.kind(i + 1) == Some(Kind::Word)
    {
        return Some(Slip::help(format!("leave `{word}` out")).says("there are no references"));
    }
    if let ParseErrorType::BadInput(LexError::ImproperSymbol(sign, _)) = seen.kind
        && sign.starts_with("::<")
    {
        return Some(
            Slip::help("leave `::<…>` out; a text is made a number by `parse_int(text)`")
                .says("there are no types"),
        );
    }
    let closure = matches!(seen.kind, ParseErrorType::MissingToken(_, why) if why.contains("anonymous"));
    if closure && script.kind(i) == Some(Kind::Word) && seen.before() == "mut" {
        return Some(Slip::help(format!("leave `mut` out: `|{word}| …`")));
    }
    if closure && script.kind(i) == Some(Kind::Word) {
        let help = format!("write `|{}| …`, or `|a, b| …` for two", seen.before());
        return Some(Slip::help(help).says("the second `|` of the closure is missing"));
    }
    if closure && matches!(word, ":" | "=") {
        let help = format!("leave it out: `|{}| …`", seen.before());
        return Some(Slip::help(help).says("what a closure takes has neither type nor default"));
    }
    let list = seen.misses("(") && seen.before() == "!" && word == "[";
    list.then(|| Slip::help("write `[1, 2]`").says("a list stands in brackets alone"))
}
