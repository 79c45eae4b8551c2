//! What to write instead of a value that is none: the same in the words that are read here, where it can be told.

use crate::model::Span;
use crate::rules::yaml::{Kind, Node};

/// A length of time that was most likely meant by `text`, or why it is none.
pub fn span(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    if let Some(rest) = lower.strip_prefix('-')
        && Span::parse(rest).is_ok()
    {
        return Some("a length of time is never negative".into());
    }
    if lower.trim_end_matches(char::is_alphabetic).parse::<f64>().is_ok_and(|n| n > 3_000.0)
        && lower.ends_with(['d', 'w', 'h', 's', 'm'])
    {
        return Some("the longest is 10 years".into());
    }
    let iso = lower.strip_prefix("pt").or_else(|| lower.strip_prefix('p')).map(|it| it.replace('t', ""));
    let clock = || {
        let parts: Option<Vec<u64>> = lower.split(':').map(|part| part.parse().ok()).collect();
        match parts?.as_slice() {
            [h, m, s] => Some(format!("{h}h{m}m{s}s")),
            [m, s] => Some(format!("{m}m{s}s")),
            _ => None,
        }
    };
    let words =
        || Some(lower.replace(" and ", "").replace([',', ' '], "").replace("mins", "m").replace("hrs", "h"));
    let shorter = || Some(lower.replace("secs", "s").replace("msec", "ms").replace("millis", "ms"));
    let found =
        [iso, clock(), words(), shorter()].into_iter().flatten().find_map(|it| Span::parse(&it).ok())?;
    Some(format!("did you mean `{found}`?"))
}

/// A share that was most likely meant.
pub fn share(node: &Node) -> Option<String> {
    let number = match &node.kind {
        Kind::Int(n) => Some(*n as f64),
        Kind::Float(n) => Some(*n),
        Kind::Text(text) => {
            return match text.trim_end_matches('%').trim().parse::<f64>() {
                Ok(n) if n > 100.0 => Some("there is no more than 100%".into()),
                Ok(n) if (0.0..=1.0).contains(&n) => Some("write the number without quotes".into()),
                Ok(n) if n > 1.0 => Some(format!("did you mean {n}%?")),
                _ => None,
            };
        }
        _ => None,
    };
    number.filter(|n| (1.0..=100.0).contains(n)).map(|n| format!("did you mean {n}%?"))
}

/// `true` or `false` as other dialects write them.
pub fn flag(node: &Node) -> Option<String> {
    let Kind::Text(text) = &node.kind else {
        return match node.kind {
            Kind::Int(0) => Some("write `false`".into()),
            Kind::Int(1) => Some("write `true`".into()),
            _ => None,
        };
    };
    Some(match text.to_lowercase().as_str() {
        "true" | "false" => format!("write `{}` without quotes", text.to_lowercase()),
        "yes" | "on" | "y" => "write `true`".into(),
        "no" | "off" | "n" => "write `false`".into(),
        _ => return None,
    })
}

/// A whole number that stands there as something else.
pub fn int(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Text(text) if text.trim().parse::<i64>().is_ok() => {
            Some(format!("write {} without quotes", text.trim()))
        }
        _ => None,
    }
}

/// What it is, in words, and for a number the number itself.
pub fn what(node: &Node) -> String {
    match &node.kind {
        Kind::Int(n) => format!("the number {n}"),
        Kind::Float(n) => format!("the number {n}"),
        Kind::Text(text) if text.is_empty() => "an empty text".into(),
        _ => node.what().into(),
    }
}

/// A rate that was most likely meant by `text`, such as `10 per hour`.
pub fn rate(text: &str) -> Option<String> {
    let lower = text.to_lowercase().replace(" per ", "/").replace(" in ", "/").replace(" every ", "/");
    let (count, within) = lower.split_once('/')?;
    let count: u32 = count.trim().trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    let within = within.trim();
    let within = Span::parse(within).or_else(|_| Span::parse(&format!("1{within}"))).ok()?;
    (count > 0 && !within.is_zero()).then(|| format!("did you mean `{count}/{within}`?"))
}

/// A name that could be one of a rule.
pub fn name(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut lower = false;
    for c in text.trim().chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            if c.is_ascii_uppercase() && lower {
                name.push('-');
            }
            lower = c.is_ascii_lowercase() || c.is_ascii_digit();
            name.push(c.to_ascii_lowercase());
        } else if !name.ends_with('-') {
            name.push('-');
            lower = false;
        }
    }
    let name = name.trim_matches(['-', '_']);
    (!name.is_empty() && name.len() <= 64).then(|| format!("did you mean `{name}`?"))
}

/// Why `text` is no topic pattern, and what was most likely meant.
pub fn topic(text: &str) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.contains(',') {
        let list: Vec<&str> = trimmed.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        return Some(format!("several topics are a list: [{}]", list.join(", ")));
    }
    let meant = trimmed.replace(['/', ' ', '\t'], ".");
    let meant = meant.split('.').filter(|token| !token.is_empty()).collect::<Vec<_>>().join(".");
    // A `>` that is not last is a `*`, unless nothing is certain.
    let tokens: Vec<&str> = meant.split('.').collect();
    let last = tokens.len() - 1;
    let tokens: Vec<&str> = tokens
        .iter()
        .enumerate()
        .map(|(i, token)| if *token == ">" && i < last { "*" } else { token })
        .collect();
    let meant = tokens.join(".");
    let good = meant != text && crate::model::Pattern::try_new(&meant).is_ok();
    good.then(|| format!("did you mean `{meant}`?"))
}
