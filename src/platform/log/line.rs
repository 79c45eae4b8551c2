//! What a line of the log looks like where `tracing` does not write it, and what no line may hold.

use std::fmt::Write;

use chrono::SecondsFormat;
use serde_json::json;

use crate::model::Clock;

/// How lines are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) json: bool,
    /// Whether the formatter may use the terminal's escape sequences.
    pub(super) color: bool,
}

impl Style {
    /// A whole line of its own, as `tracing` would format it.
    pub(super) fn line(self, level: &str, message: &str) -> Vec<u8> {
        let now = Clock::system().now().to_rfc3339_opts(SecondsFormat::Micros, true);
        if self.json {
            let line = json!({ "timestamp": now, "level": level, "fields": { "message": message } });
            format!("{line}\n").into_bytes()
        } else {
            escape(format!("{now} {level:>5} {message}\n").as_bytes(), false)
        }
    }
}

/// `line` with every control character escaped but the newline at its end and tabs; with `color`, escape characters stay
/// too: `tracing` has taken those out that it did not write itself.
pub(super) fn escape(line: &[u8], color: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let mut out = String::with_capacity(text.len() + 1);
    for char in text.chars() {
        match char {
            '\t' => out.push(char),
            '\u{1b}' if color => out.push(char),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            // Some viewers break lines at these two as well.
            char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
                // Writing into a string cannot fail.
                write!(out, "\\u{{{:x}}}", u32::from(char)).ok();
            }
            char => out.push(char),
        }
    }
    out.push('\n');
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        assert_eq!(String::from_utf8(escape(line.as_bytes(), false)).unwrap(), expected);
    }

    #[test]
    fn no_text_can_pass_for_a_line_of_its_own() {
        check("all is well\n", "all is well\n");
        check("a\n2026-01-01T00:00:00Z ERROR b\n", "a\\n2026-01-01T00:00:00Z ERROR b\n");
        check("a\r\u{b}\u{85}\u{2028}b\u{7}\n", "a\\r\\u{b}\\u{85}\\u{2028}b\\u{7}\n");
        check("\u{1b}[2Jü\tx", "\\u{1b}[2Jü\tx\n");
    }
}
