//! `for`, `while`, `if` and `switch` as others write them.

use rhai::{LexError, ParseErrorType};

use crate::playbook::check::syntax::elsewhere;
use crate::playbook::check::syntax::slip::{Seen, Slip};
use crate::playbook::check::syntax::tokens::Kind;

/// What a `for` does.
const GOES: &str = "a `for` goes through a list or a range";

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    each(seen).or_else(|| switch(seen)).or_else(|| condition(seen))
}

/// The head of a `for`.
fn each(seen: &Seen) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let fits = match seen.kind {
        ParseErrorType::VariableExpected => true,
        ParseErrorType::MissingToken(token, _) => matches!(token.as_str(), "in" | "," | "{"),
        ParseErrorType::BadInput(LexError::ImproperSymbol(..)) => true,
        ParseErrorType::MismatchedType(..) => return words(seen),
        _ => false,
    };
    let start = script.line_start(i);
    let keyword =
        (start..i).rev().find(|j| script.word(*j) == "for" && script.kind(*j) == Some(Kind::Word))?;
    if !fits || (keyword..i).any(|j| script.word(j) == "in") {
        return None;
    }
    let line = script.line_end(i);
    let mut from = keyword + 1;
    let bracket = script.word(from) == "(";
    from += usize::from(bracket);
    from += usize::from(matches!(script.word(from), "let" | "const" | "var" | "auto" | "int"));
    let end = if bracket { script.closed_by(keyword + 1) } else { None };
    let end = end.or_else(|| (from..line).find(|j| script.word(*j) == "{")).unwrap_or(line);
    let write = |it: String| Some(Slip::help(format!("write `for {it} {{ … }}`")).says(GOES));
    if script.kind(from) != Some(Kind::Word) {
        if script.word(from) == "{" && !bracket {
            return Some(Slip::help("write `loop { … }`").says(GOES));
        }
        // `for [k, v] of list` and `for (const { a } of list)`.
        return matches!(script.word(from), "[" | "{" | "(")
            .then(|| Slip::help("write `for x in list { … }`, and take it apart below"));
    }
    let name = script.word(from);
    if let ("=", "to") = (script.word(from + 1), script.word(from + 3)) {
        return write(format!("{name} in {}..={}", script.word(from + 2), script.between(from + 4, end)));
    }
    if let Some(first) = (from..end).find(|j| script.word(*j) == ";") {
        let limit = (first + 1..end).find(|j| matches!(script.word(*j), "<" | "<=" | "!="));
        let last = (first + 1..end).find(|j| script.word(*j) == ";").unwrap_or(end);
        return match limit {
            Some(it) if matches!(script.word(from + 1), "=" | ":=") && it < last => {
                let (low, high) = (script.between(from + 2, first), script.between(it + 1, last));
                write(format!("{name} in {low}..{}{high}", if script.word(it) == "<=" { "=" } else { "" }))
            }
            _ => Some(Slip::help("write `for i in 0..3 { … }`, or `while x > 0 { … }`").says(GOES)),
        };
    }
    let of = (from + 1..end).find(|j| matches!(script.word(*j), "of" | "in" | ":" | ":="))?;
    let list = of + 1 + usize::from(script.word(of + 1) == "range");
    let list = match script.between(list, end) {
        it if it.is_empty() || it.len() > 40 || it.contains('\n') => "list",
        it => it,
    };
    let count = list.bytes().all(|c| c.is_ascii_digit());
    let list = if count { format!("0..{list}") } else { list.to_string() };
    match (script.word(from + 1), script.word(from + 2)) {
        (",", second) if of == from + 3 => {
            let help = format!(
                "write `for ({second}, {name}) in {list} {{ … }}`: the item comes first, then its number"
            );
            Some(Slip::help(help).says("two variables stand in parentheses"))
        }
        _ => write(format!("{name} in {list}")),
    }
}

/// `for x in 1 2 3; do`.
fn words(seen: &Seen) -> Option<Slip> {
    let (script, i) = (seen.script, seen.i);
    let literal = |j: &usize| matches!(script.kind(*j), Some(Kind::Text | Kind::Number));
    let count = (script.word(i + 1), script.word(i + 2));
    if i >= 3 && script.kind(i) == Some(Kind::Number) && script.word(i - 1) == "in" {
        let (name, low) = (script.word(i - 2), seen.word());
        match count {
            (":" | ",", high) if script.kind(i + 2) == Some(Kind::Number) && script.word(i + 3) == "{" => {
                return Some(Slip::help(format!("write `for {name} in {low}..{high} {{ … }}`")).says(GOES));
            }
            ("{", _) => {
                return Some(Slip::help(format!("write `for {name} in 0..{low} {{ … }}`")).says(GOES));
            }
            _ => {}
        }
    }
    let items: Vec<&str> = (i..script.line_end(i)).take_while(literal).map(|j| script.word(j)).collect();
    if items.len() < 2 || i < 3 || script.word(i - 1) != "in" || script.word(i - 3) != "for" {
        return None;
    }
    let help = format!("write `for {} in [{}] {{ … }}`", script.word(i - 2), items.join(", "));
    Some(Slip::help(help).says("a list stands in brackets"))
}

/// Within a `switch`.
fn switch(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    let open = seen.inside().filter(|it| script.word(*it) == "{")?;
    (script.line_start(open)..open).rev().find(|j| script.word(*j) == "switch")?;
    let literal = |j: usize| matches!(script.kind(j), Some(Kind::Text | Kind::Number));
    let help = |text: String| Some(Slip::help(text));
    if matches!(word, "default" | "else" | "otherwise") {
        return Some(
            Slip::help("write `_ => …` for all that no case names").says(format!("`{word}` is no case")),
        );
    }
    if word == "case" {
        let value = if literal(i + 1) { script.word(i + 1) } else { "\"a\"" };
        return Some(Slip::help(format!("write `{value} => …`")).says("a case begins with its value"));
    }
    match seen.kind {
        ParseErrorType::MissingToken(token, _) if token == "=>" => {
            help(format!("write `{} => …`", if i > 0 && literal(i - 1) { seen.before() } else { "\"a\"" }))
        }
        ParseErrorType::BadInput(LexError::ImproperSymbol(sign, _)) if sign == "->" => {
            help(format!("write `{} => …`", seen.before()))
        }
        ParseErrorType::MissingToken(token, _) if token == "," && word == ";" => {
            help("cases end with `,`; what takes several statements stands between `{` and `}`".into())
        }
        ParseErrorType::WrongSwitchDefaultCase => help("move `_ => …` to the end".into()),
        ParseErrorType::ExprExpected(what) if what.contains("literal") => Some(
            Slip::help(
                "write a value such as \"a\", 1 or 1..5, or `_` for all others; for the rest there is `if`",
            )
            .says("a case is a value that is written out"),
        ),
        _ => None,
    }
}

/// `if` and `while`.
fn condition(seen: &Seen) -> Option<Slip> {
    let (script, i, word) = (seen.script, seen.i, seen.word());
    let start = script.line_start(i.saturating_sub(usize::from(script.is_first(i))));
    let keyword = (start..i).rev().find(|j| matches!(script.word(*j), "if" | "while" | "until" | "for"));
    if seen.misses("{") && seen.before() == "else" && script.is_first(i) {
        let end = script.range(i - 1).end;
        let help = "what `else` does stands between `{` and `}`";
        return Some(Slip::help(help).says("a `{` is missing here").at(end..end + 1));
    }
    if seen.misses(")")
        && matches!(seen.kind, ParseErrorType::MissingToken(_, why) if why.contains("catch"))
        && script.kind(i) == Some(Kind::Word)
    {
        let help = "write `catch (e) { … }`: it takes every failure, `e.kind` says which";
        return Some(Slip::help(help).says("a `catch` has one name"));
    }
    if seen.misses("{") && seen.before() == "else" && word != ":" {
        let help = "with a condition write `else if x { … }`, without one `else { … }`";
        return Some(Slip::help(help));
    }
    if matches!(seen.kind, ParseErrorType::BadInput(LexError::UnexpectedInput(it)) if it == "else") {
        let closed = (i.saturating_sub(2_000)..i)
            .rev()
            .find(|j| script.closer(*j).is_some() && script.closed_by(*j) == i.checked_sub(1));
        if closed.and_then(|it| it.checked_sub(1)).is_some_and(|it| script.word(it) == "else") {
            return Some(
                Slip::help("write `else if x { … }` for those before the last")
                    .says("an `if` has one `else`"),
            );
        }
    }
    if seen.misses("catch") && !matches!(word, "except" | "rescue" | "finally") {
        let end = i.checked_sub(1).map_or(0, |it| script.range(it).end);
        let slip = Slip::help("add `catch (e) { … }` behind its `}`").says("a `try` needs its `catch`");
        return Some(slip.at(end..end + 1));
    }
    if seen.misses("{") && keyword.is_none() && script.is_first(i) && i > 0 {
        let end = script.range(i - 1).end;
        let help = "what stands below belongs between `{` and `}`";
        return Some(Slip::help(help).says("a `{` is missing here").at(end..end + 1));
    }
    let keyword = keyword?;
    let what = script.word(keyword);
    if seen.misses("{") && matches!(word, "then" | "do") {
        let last = if word == "do" { "done" } else { "fi" };
        let help = format!("write `{{` in place of `{word}`, and `}}` where `{last}` or `end` would stand");
        return Some(Slip::help(help));
    }
    let word_kind = script.kind(i);
    if seen.misses("{") && script.is_first(i) && i > 0 {
        let end = script.range(i - 1).end;
        let help = format!("what `{what}` does stands between `{{` and `}}`");
        return Some(Slip::help(help).says("a `{` is missing here").at(end..end + 1));
    }
    let not_in = (i..script.line_end(i)).find(|j| script.word(*j) == "not" && script.word(j + 1) == "in");
    if let (ParseErrorType::MismatchedType(..), Some(not)) = (seen.kind, not_in) {
        let slip = Slip::help(format!("write `{what} !(x in y) {{ … }}`")).says("`not` means nothing here");
        return Some(slip.at(script.range(not)));
    }
    if seen.misses("{") && word_kind == Some(Kind::Word) {
        let help = match (word, seen.after()) {
            ("is", "not") => "write `!=`",
            ("is", "None" | "null" | "nil") => "write `== ()`",
            ("not", "in") => "write `!(x in y)`",
            ("between", _) => "write `x >= 1 && x <= 5`",
            ("contains" | "includes" | "like" | "matches" | "has", _) => {
                "write `x.contains(\"…\")`, or `\"…\" in x`"
            }
            _ => "",
        };
        if !help.is_empty() {
            return Some(Slip::help(help).says(format!("`{word}` means nothing here")));
        }
    }
    if let ParseErrorType::MismatchedType(..) = seen.kind
        && script.kind(i + 1) == Some(Kind::Word)
        && let Some(help) = elsewhere::word(seen.after()).filter(|_| elsewhere::is_keyword(seen.after()))
    {
        let text = format!("`{}` means nothing here", seen.after());
        return Some(Slip::help(help).says(text).at(script.range(i + 1)));
    }
    let bash = matches!(seen.kind, ParseErrorType::VariableUndefined(_)) && seen.before() == "-"
        || matches!(seen.kind, ParseErrorType::MismatchedType(..));
    if bash && script.word(keyword + 1) == "[" {
        let text = "brackets make a list, not a condition";
        let help = format!("write `{what} x > 1 {{ … }}`, with == != < <= > >= to compare");
        return Some(Slip::help(help).says(text).at(script.range(keyword + 1)));
    }
    None
}
