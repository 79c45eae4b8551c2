//! Texts with expressions in them: `Restart ${data.kernel} after ${data.error}`.
//!
//! Values are put in as text and never read again, so a value that itself looks like `${…}` stays what it is.

use serde_json::Value;

use super::{Budget, Condition, Error, EvalError, View, compile};
use crate::model::Event;

/// A compiled text with expressions in it.
#[derive(Clone, Debug)]
pub struct Template {
    text: Box<str>,
    parts: Box<[Part]>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Expression(Condition),
}

/// A template filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text. A missing value is empty.
    pub text: String,
    /// The first expression that had no value: a target made of it means nothing.
    pub missing: Option<String>,
    /// The first expression that was a list or a map: a target made of it is not one thing.
    pub several: Option<String>,
}

impl Template {
    /// Compiles `text`. `$$` is a `$`; `vars` as in [`compile`].
    ///
    /// # Errors
    /// When a `${` is not closed, or what stands in it is not an expression.
    pub fn compile(text: &str, vars: &[&str]) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(n) = text[at..].find('$') {
            plain.push_str(&text[at..at + n]);
            let rest = &text[at + n + 1..];
            if let Some(inner) = rest.strip_prefix('{') {
                let start = at + n + 2;
                let Some(len) = closing(inner) else {
                    return Err(
                        Error::new(at + n..text.len(), "this `${` is not closed").help("end it with `}`")
                    );
                };
                let expression = compile(&inner[..len], vars).map_err(|mut error| {
                    error.at = error.at.start + start..error.at.end + start;
                    error
                })?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(Part::Expression(expression));
                at = start + len + 1;
            } else {
                plain.push('$');
                at += n + if rest.starts_with('$') { 2 } else { 1 };
            }
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Fills it in for `event`.
    ///
    /// # Errors
    /// When an expression in it fails.
    pub fn render(&self, event: &Event, vars: &[(&str, &Value)]) -> Result<Rendered, EvalError> {
        self.render_in(&View::new(event, vars))
    }

    /// Fills it in for the event that `view` shows.
    ///
    /// # Errors
    /// When an expression in it fails.
    pub fn render_in(&self, view: &View<'_>) -> Result<Rendered, EvalError> {
        let mut out = Rendered::default();
        let budget = Budget::default();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.text.push_str(text),
                Part::Expression(expression) => {
                    let value = expression.value_within(view, &budget)?;
                    if value.is_null() && out.missing.is_none() {
                        out.missing = Some(expression.text().trim().into());
                    }
                    // What needs no script was not counted yet.
                    budget.bytes(size_of(&value)).map_err(EvalError::from)?;
                    if (value.is_array() || value.is_object()) && out.several.is_none() {
                        out.several = Some(expression.text().trim().into());
                    }
                    out.text.push_str(&text_of(&value));
                }
            }
        }
        Ok(out)
    }
}

/// A value as it stands in a text: a string as it is, nothing for a missing one, JSON for the rest.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// How long [`text_of`] may be, from above.
fn size_of(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::String(text) => text.len() as u64,
        // A letter may become an escape of six.
        value => super::eval::size_of_json(value, super::budget::BYTES).saturating_mul(6),
    }
}

/// How long `text` is up to the `}` that closes it, past nested braces and texts.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(i),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Topic, clock};
    use serde_json::json;

    #[test]
    fn a_text_names_what_failed_and_says_what_it_could_not_name() {
        let event = Event::new(
            "1",
            Topic::try_new("a.b").unwrap(),
            "s",
            clock::micros(0),
            json!({"kernel": "k1", "n": 3, "evil": "${data.n}", "list": [1, "x"]}),
        );
        for (template, expected, missing) in [
            ("Restart ${data.kernel} after ${data.n}", "Restart k1 after 3", None),
            ("plain", "plain", None),
            ("${ data.kernel + \"}\" }", "k1}", None),
            ("$5 and $${data.n}", "$5 and ${data.n}", None),
            ("${data.evil}", "${data.n}", None),
            ("${data.list}", r#"[1,"x"]"#, None),
            ("unit-${subject}", "unit-", Some("subject")),
        ] {
            let out = Template::compile(template, &[]).unwrap().render(&event, &[]).unwrap();
            assert_eq!((out.text.as_str(), out.missing.as_deref()), (expected, missing), "{template}");
        }
    }

    #[test]
    fn a_mistake_in_a_text_is_shown_where_it_stands() {
        let error = Template::compile("Restart ${dta.kernel} now", &[]).unwrap_err();
        assert_eq!((error.at, error.help.as_deref()), (10..13, Some("did you mean `data`?")));
        assert_eq!(Template::compile("Restart ${data.kernel", &[]).unwrap_err().at, 8..21);
    }
}
