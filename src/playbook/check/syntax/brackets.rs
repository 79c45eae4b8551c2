//! Brackets that are not closed, closed twice or closed by another: which one it was, as far as the text shows.

use rhai::{LexError, ParseErrorType};

use super::slip::{Seen, Slip, indent, place};
use super::tokens::Kind;

/// Words that begin a statement, so what stands before them should have been closed.
const BEGINS: [&str; 12] =
    ["let", "const", "fn", "return", "throw", "try", "import", "while", "for", "loop", "break", "continue"];

/// Words before a parenthesis that call nothing.
const KEYWORDS: [&str; 9] = ["if", "while", "for", "in", "return", "throw", "switch", "until", "else"];

/// The slip, if it is one of these.
pub fn find(seen: &Seen) -> Option<Slip> {
    match seen.kind {
        ParseErrorType::WrongFnDefinition => function(seen),
        ParseErrorType::MissingToken(..) | ParseErrorType::UnexpectedEOF => missing(seen),
        ParseErrorType::BadInput(LexError::UnexpectedInput(sign))
            if matches!(sign.as_str(), ")" | "]" | "}" | ";" | "_") =>
        {
            missing(seen)
        }
        _ => None,
    }
}

/// A function within another: meant so, or the one before it is not closed.
fn function(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    let open = script.enclosing(seen.i);
    let outer = *open.first()?;
    let first = script.range(script.line_start(outer)).start;
    let name = script.word(seen.i + 1);
    if indent(script.text, seen.at) > indent(script.text, first) && script.is_first(seen.i) {
        let params = script.closed_by(seen.i + 2).map_or("x", |end| script.between(seen.i + 3, end));
        let help = format!("move it out of this one, or make it a closure: `let {name} = |{params}| …;`");
        return Some(Slip::help(help).says("a function cannot stand inside of another"));
    }
    let culprit = left_open(seen, &open)?;
    let line = place(script.text, seen.at);
    let line = line.split(':').next().unwrap_or_default();
    Some(
        Slip::help(format!("add its `}}` before line {line}, where `fn {name}` begins"))
            .says("this `{` is not closed")
            .at(script.range(culprit)),
    )
}

/// Which of the brackets in `open` lacks its other half: one that is closed by what stands further out than it, else
/// the outermost.
fn left_open(seen: &Seen, open: &[usize]) -> Option<usize> {
    let script = seen.script;
    let from = *open.first()?;
    let mut stack = Vec::new();
    let depth = |j: usize| indent(script.text, script.range(j).start);
    for j in from..seen.i.min(script.tokens.len()) {
        if script.closer(j).is_some() {
            stack.push(j);
        } else if stack.last().is_some_and(|last| script.closes(*last, j)) {
            let opener = stack.pop()?;
            if script.is_first(j) && depth(j) < depth(opener) {
                return Some(opener);
            }
        }
    }
    open.last().copied().filter(|last| script.word(*last) != "{").or(Some(from))
}

fn missing(seen: &Seen) -> Option<Slip> {
    let script = seen.script;
    let open = script.enclosing(seen.i);
    let inner = *open.last()?;
    let (sign, closer) = (script.word(inner), script.closer(inner)?);
    let begins = script.range(inner).start;
    let whence = place(script.text, begins);
    if seen.i >= script.tokens.len() {
        let culprit = left_open(seen, &open)?;
        let (sign, closer) = (script.word(culprit), script.closer(culprit)?);
        let help = match sign {
            "{" => "add its `}` where what it holds ends".to_string(),
            _ => format!("add its `{closer}`"),
        };
        let slip = Slip::help(help).says(format!("this `{sign}` is not closed"));
        return Some(slip.at(script.range(culprit)));
    }
    let word = seen.word();
    let help = format!("close the `{sign}` that opens at {whence}: add `{closer}`");
    if matches!(word, ")" | "]" | "}") && script.kind(seen.i) == Some(Kind::Sign) {
        // What is right by itself is refused for what stands before it.
        if word == closer {
            return None;
        }
        let closes = open.iter().any(|it| script.closes(*it, seen.i));
        if !closes && sign == "{" {
            let help = "take it out, or look before it for what is missing";
            return Some(Slip::help(help).says(format!("this `{word}` closes nothing")));
        }
        if !closes {
            let text = format!("this `{word}` does not close `{sign}`");
            return Some(
                Slip::help(format!("the `{sign}` that opens at {whence} is closed by `{closer}`")).says(text),
            );
        }
        let text = format!("`{closer}` is missing before this `{word}`");
        return Some(Slip::help(help).says(text).at(end_before(seen)));
    }
    let call = inner > 0
        && matches!(script.kind(inner - 1), Some(Kind::Word))
        && !KEYWORDS.contains(&script.word(inner - 1));
    if word == "," && sign == "(" && !call && seen.misses(")") {
        return Some(Slip::help("write `[a, b]`").says("a list stands in brackets"));
    }
    if word == ":" && sign == "[" && seen.misses("]") {
        let help = "write `list.extract(1, 2)` or `text.sub_string(1, 2)`, from which and how many";
        return Some(Slip::help(help).says("one index stands in brackets"));
    }
    if sign == "{" {
        // Cases of a `switch`.
        let comma = seen.misses(",") && script.is_first(seen.i);
        return comma
            .then(|| Slip::help("separate cases with `,`").says("`,` is missing here").at(end_before(seen)));
    }
    if word == ";" && closes_ahead(seen, seen.i + 1, inner) && !script.is_first(seen.i + 1) {
        let help = match script.closes(inner, seen.i + 1) {
            true => "take it out",
            false => "separate items with `,`",
        };
        return Some(Slip::help(help).says("a `;` stands where none can"));
    }
    if closes_ahead(seen, seen.i, inner) {
        let comma = (seen.misses(",") || seen.misses("}")) && script.is_first(seen.i);
        return comma
            .then(|| Slip::help("separate items with `,`").says("`,` is missing here").at(end_before(seen)));
    }
    // The `_` is that of a `switch`, behind a case that is not closed.
    let missing = seen.misses(",") || seen.misses(closer) || matches!(word, ";" | "_");
    missing.then(|| Slip::help(help).says(format!("`{closer}` is missing here")).at(end_before(seen)))
}

/// Where something is missing: at the end of the line before, or here.
fn end_before(seen: &Seen) -> std::ops::Range<usize> {
    match seen.i.checked_sub(1).map(|i| seen.script.range(i).end) {
        Some(end) if seen.script.is_first(seen.i) => end..end + 1,
        _ => seen.script.range(seen.i),
    }
}

/// Whether what is open comes to its end before the statement does.
fn closes_ahead(seen: &Seen, from: usize, open: usize) -> bool {
    let script = seen.script;
    let mut inner = Vec::new();
    for j in from..script.tokens.len() {
        let word = script.word(j);
        if script.closer(j).is_some() {
            inner.push(j);
        } else if script.kind(j) == Some(Kind::Sign) && matches!(word, ")" | "]" | "}") {
            match inner.pop() {
                Some(it) if script.closes(it, j) => {}
                Some(_) => return false,
                None => return script.closes(open, j),
            }
        } else if inner.is_empty()
            && (word == ";"
                || script.kind(j) == Some(Kind::Word) && script.is_first(j) && BEGINS.contains(&word))
        {
            return false;
        }
    }
    false
}
