//! The page of explanation of each code: what it means, an example that is wrong, and the same mended.
//!
//! The text lies beside this file, in Markdown, one file a family: `## P0107: Unknown key`, some words, a block of
//! code that is wrong, a block in which it is mended. A page may have more than the two blocks: then pairs follow.

use std::fmt;

use serde::Serialize;

use crate::model::diagnostic::nearest;

const FAMILIES: [&str; 5] = [
    include_str!("pages/files.md"),
    include_str!("pages/rules.md"),
    include_str!("pages/playbooks.md"),
    include_str!("pages/config.md"),
    include_str!("pages/tests.md"),
];

/// What is told of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Such as `P0107`.
    pub code: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// All of it, in Markdown.
    pub text: &'static str,
}

/// The page of `code`, in whatever case it is written.
pub fn find(code: &str) -> Option<Page> {
    pages().find(|page| page.code.eq_ignore_ascii_case(code.trim()))
}

/// What to say where there is no page.
pub fn unknown(code: &str) -> String {
    let upper = code.trim().to_uppercase();
    let help = match nearest(&upper, pages().map(|page| page.code)) {
        Some(near) if upper.starts_with('P') && upper.len() == near.len() => {
            format!("did you mean {near}?")
        }
        _ => "there are".to_owned(),
    };
    let list = pages().map(|page| format!("  {}  {}", page.code, page.title)).collect::<Vec<_>>().join("\n");
    match help.strip_suffix('?') {
        Some(_) => format!("there is no code `{code}`: {help}"),
        None => format!("there is no code `{code}`; {help}\n{list}"),
    }
}

/// All pages, by family.
pub fn pages() -> impl Iterator<Item = Page> {
    FAMILIES.iter().flat_map(|family| family.split("\n## ").skip(1)).filter_map(|text| {
        let (head, text) = text.split_once('\n')?;
        let (code, title) = head.split_once(": ")?;
        Some(Page { code, title: title.trim(), text: text.trim() })
    })
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n", self.code, self.title)?;
        // A block's fence is noise in a terminal; its content is set in by four.
        let mut code = false;
        for line in self.text.lines() {
            if line.starts_with("```") {
                code = !code;
            } else if code && !line.is_empty() {
                writeln!(f, "    {line}")?;
            } else {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
