//! Which files are to go.

use std::path::PathBuf;

use paramedic_plugin::{Failure, Span};
use serde::Deserialize;

use crate::size::Size;
use crate::walk::Seen;

/// What `disk.clean` takes.
#[derive(Deserialize)]
pub(crate) struct Policy {
    pub(crate) path: PathBuf,
    older_than: Option<Span>,
    larger_than: Option<Size>,
    patterns: Option<Vec<String>>,
    pub(crate) keep: Option<usize>,
    pub(crate) until_free: Option<f64>,
    pub(crate) most: Option<usize>,
}

impl Policy {
    /// Refuses a policy that would take everything, or nothing.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let patterns = self.patterns.as_deref();
        if patterns.is_some_and(<[String]>::is_empty) {
            return Err(Failure::invalid("`patterns` is empty: name some, or leave it out"));
        }
        if let Some(bad) = patterns.into_iter().flatten().find(|text| text.is_empty() || text.contains('/')) {
            return Err(Failure::invalid(format!(
                "`{bad}` is no pattern of a file's name: write one such as *.log"
            )));
        }
        if self.until_free.is_some_and(|share| !(0.0..100.0).contains(&share)) {
            return Err(Failure::invalid("`until_free` is a share in percent, from 0 up to 100"));
        }
        let all = patterns.is_none_or(|all| all.iter().any(|text| text.chars().all(|c| c == '*')));
        let no_age = self.older_than.is_none_or(|span| span.0.is_zero());
        let no_size = self.larger_than.is_none_or(|size| size.0 == 0);
        if all && no_age && no_size {
            return Err(Failure::refused(
                "this would remove every file: say which by `older_than`, `larger_than` or `patterns`",
            ));
        }
        Ok(())
    }

    /// Those of `files` that are to go, the oldest first.
    pub(crate) fn choose(&self, files: Vec<Seen>) -> Vec<Seen> {
        let mut chosen: Vec<Seen> = files.into_iter().filter(|file| self.takes(file)).collect();
        chosen.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.path.cmp(&b.path)));
        chosen.truncate(chosen.len().saturating_sub(self.keep.unwrap_or(0)));
        chosen
    }

    fn takes(&self, file: &Seen) -> bool {
        let name = file.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        self.older_than.is_none_or(|span| file.age >= span.0)
            && self.larger_than.is_none_or(|size| file.bytes >= size.0)
            && self.patterns.as_ref().is_none_or(|all| all.iter().any(|pattern| matches(pattern, &name)))
    }
}

/// Whether `name` is of the `pattern`, in which `*` is any text and `?` any character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and up to where it was taken to reach: it may always reach further.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, reach)) = star else { return false };
                star = Some((at, reach + 1));
                p = at + 1;
                n = reach + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_names_in_linear_time() {
        for (pattern, name, wanted) in [
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("*.log.*", "a.log.1", true),
            ("core.????", "core.1234", true),
            ("core.????", "core.12345", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("*", "", true),
            ("", "a", false),
            ("*é?", "caféx", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
        assert!(!matches(&"a*".repeat(50), &("a".repeat(10_000) + "b").replace('a', "c")));
    }
}
