//! ansible-rulebook's conditions in Paramedic's language: its grammar, read and written again.
//!
//! What is asked of a missing field is false in ansible-rulebook, and so is its negation; so each negation asks first
//! whether the fields are there.

use std::collections::BTreeSet;

/// A translated part, and the fields of the event that it reads.
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub text: String,
    fields: BTreeSet<String>,
}

/// Translates a condition.
///
/// # Errors
/// When it is not one, or says what Paramedic has no counterpart of, in words.
pub fn translate(condition: &str) -> Result<String, String> {
    let mut parser = Parser { tokens: tokens(condition)?, at: 0 };
    let part = parser.or()?;
    match parser.peek() {
        None => Ok(part.text),
        Some(rest) => Err(format!("`{rest}` is left over")),
    }
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Part, String> {
        let mut left = self.and()?;
        while self.take("or") {
            let right = self.and()?;
            left = joined(&left, "||", &right);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Part, String> {
        let mut left = self.not()?;
        while self.take("and") {
            let right = self.not()?;
            left = joined(&left, "&&", &right);
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Part, String> {
        if self.take("not") {
            let part = self.not()?;
            return Ok(negated(part));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Part, String> {
        let left = self.sum()?;
        let Some(operator) = self.peek().map(str::to_owned) else { return Ok(left) };
        match operator.as_str() {
            "==" | ">" | ">=" | "<" | "<=" => {
                self.at += 1;
                Ok(joined(&left, &operator, &self.sum()?))
            }
            "!=" => {
                self.at += 1;
                Ok(negated(joined(&left, "==", &self.sum()?)))
            }
            "in" => {
                self.at += 1;
                Ok(joined(&left, "in", &self.sum()?))
            }
            "contains" => {
                self.at += 1;
                let right = self.sum()?;
                Ok(called("contains", left, &right))
            }
            "not" => {
                self.at += 1;
                if self.take("in") {
                    return Ok(negated(joined(&left, "in", &self.sum()?)));
                }
                self.expect("contains")?;
                let right = self.sum()?;
                Ok(negated(called("contains", left, &right)))
            }
            "is" => {
                self.at += 1;
                let not = self.take("not");
                let test = self.next()?;
                if test == "defined" {
                    let text = format!("{}({})", if not { "is_missing" } else { "exists" }, left.text);
                    return Ok(Part { text, fields: BTreeSet::new() });
                }
                let part = self.test(&test, left)?;
                Ok(if not { negated(part) } else { part })
            }
            _ => Ok(left),
        }
    }

    /// `match("…")`, `select("op", value)`, …
    fn test(&mut self, name: &str, left: Part) -> Result<Part, String> {
        self.expect("(")?;
        let mut args = Vec::new();
        let mut flags = String::new();
        while !self.take(")") {
            if let [option, equals, value] = &self.tokens[self.at..(self.at + 3).min(self.tokens.len())]
                && equals == "="
            {
                match (option.as_str(), value.to_lowercase().as_str()) {
                    ("ignorecase", "true") => flags.push('i'),
                    ("multiline", "true") => flags.push('m'),
                    _ => {}
                }
                self.at += 3;
            } else {
                args.push(self.or()?);
            }
            self.take(",");
        }
        let fields = args.iter().flat_map(|arg| arg.fields.clone()).chain(left.fields.clone()).collect();
        let flags = if flags.is_empty() { flags } else { format!("(?{flags})") };
        let text = match (name, &args[..]) {
            ("match" | "search" | "regex", [pattern]) => asked(name, &left.text, &flags, &pattern.text)?,
            ("select", [operator, value]) => {
                let asked = asked(unquoted(&operator.text), "x", &flags, &value.text)?;
                format!("{}.any(|x| {asked})", left.text)
            }
            ("selectattr", [key, operator, value]) => {
                let key = format!("x.{}", unquoted(&key.text));
                let asked = asked(unquoted(&operator.text), &key, &flags, &value.text)?;
                format!("{}.any(|x| {asked})", left.text)
            }
            _ => return Err(format!("there is no test `{name}` with {} arguments", args.len())),
        };
        Ok(Part { text, fields })
    }

    fn sum(&mut self) -> Result<Part, String> {
        let mut left = self.operand()?;
        while let Some(operator @ ("+" | "-" | "*" | "/")) = self.peek() {
            let operator = operator.to_owned();
            self.at += 1;
            left = joined(&left, &operator, &self.operand()?);
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Part, String> {
        let token = self.next()?;
        let plain = |text: String| Ok(Part { text, fields: BTreeSet::new() });
        match token.as_str() {
            "(" => {
                let inner = self.or()?;
                self.expect(")")?;
                Ok(Part { text: format!("({})", inner.text), fields: inner.fields })
            }
            "[" => {
                let (mut items, mut fields) = (Vec::new(), BTreeSet::new());
                while !self.take("]") {
                    let item = self.sum()?;
                    items.push(item.text);
                    fields.extend(item.fields);
                    self.take(",");
                }
                Ok(Part { text: format!("[{}]", items.join(", ")), fields })
            }
            "-" => {
                let operand = self.operand()?;
                Ok(Part { text: format!("-{}", operand.text), fields: operand.fields })
            }
            "true" | "True" => plain("true".into()),
            "false" | "False" => plain("false".into()),
            "null" | "none" | "None" => plain("()".into()),
            text if text.starts_with(['"', '\'']) => plain(quoted(unquoted(text))),
            number if number.starts_with(|c: char| c.is_ascii_digit()) => plain(number.into()),
            root => {
                let mut text = match root {
                    "event" | "fact" => "data".to_owned(),
                    "events" | "facts" => return Err("it reads another event of the same match".into()),
                    "vars" => return Err("it reads variables that the row does not say".into()),
                    other => return Err(format!("`{other}` is no name")),
                };
                loop {
                    if self.take(".") {
                        let key = self.next()?;
                        text.push_str(&format!("[{}]", quoted(&key)));
                    } else if self.take("[") {
                        let index = self.operand()?;
                        self.expect("]")?;
                        text.push_str(&format!("[{}]", index.text));
                    } else {
                        break;
                    }
                }
                Ok(Part { fields: BTreeSet::from([text.clone()]), text })
            }
        }
    }

    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().ok_or_else(|| "it ends too early".into())
    }

    fn take(&mut self, token: &str) -> bool {
        let there = self.peek() == Some(token);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("`{token}` is missing before {:?}", self.peek())) }
    }
}

/// What an operator of `select` or a test on a text asks.
fn asked(operator: &str, left: &str, flags: &str, right: &str) -> Result<String, String> {
    Ok(match operator {
        "==" | "!=" | ">" | ">=" | "<" | "<=" => format!("{left} {operator} {right}"),
        "in" => format!("{left} in {right}"),
        "not in" => format!("{left} !in {right}"),
        "contains" => format!("contains({left}, {right})"),
        "not contains" => format!("!contains({left}, {right})"),
        // Python's `re.match` begins at the start; a pattern that is written out stays one text.
        "match" | "search" | "regex" => {
            let (before, after) = if operator == "match" { ("^(?:", ")") } else { ("", "") };
            match right.strip_prefix('"').and_then(|right| right.strip_suffix('"')) {
                Some(pattern) => format!("matches({left}, \"{flags}{before}{pattern}{after}\")"),
                None => format!("matches({left}, \"{flags}{before}\" + {right} + \"{after}\")"),
            }
        }
        _ => return Err(format!("there is no operator `{operator}`")),
    })
}

fn joined(left: &Part, operator: &str, right: &Part) -> Part {
    let fields = left.fields.union(&right.fields).cloned().collect();
    Part { text: format!("{} {operator} {}", left.text, right.text), fields }
}

fn called(function: &str, left: Part, right: &Part) -> Part {
    let fields = left.fields.union(&right.fields).cloned().collect();
    Part { text: format!("{function}({}, {})", left.text, right.text), fields }
}

fn negated(part: Part) -> Part {
    let there = part.fields.iter().map(|field| format!("exists({field}) && ")).collect::<String>();
    Part { text: format!("({there}!({}))", part.text), fields: part.fields }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix(['"', '\'']).unwrap_or(text);
    inner.strip_suffix(['"', '\'']).unwrap_or(inner)
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |c: char| !c.is_alphanumeric() && c != '_';
        let end = match first {
            '"' | '\'' => rest[1..].find(first).ok_or("a text is not closed")? + 2,
            c if c.is_ascii_digit() => rest.find(|c: char| word(c) && c != '.').unwrap_or(rest.len()),
            c if !word(c) => rest.find(word).unwrap_or(rest.len()),
            _ if ["==", "!=", ">=", "<=", "<<"].iter().any(|sign| rest.starts_with(sign)) => 2,
            c => c.len_utf8(),
        };
        found.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(found)
}
