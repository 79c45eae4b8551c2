//! One thing is acted on, and it has a name: nothing empty, nothing that could mean "all".

use super::{Facts, Verdict};

/// Denies an empty target, one with a wildcard, and one whose template was not filled in.
pub(super) fn check(facts: &Facts<'_>) -> Verdict {
    let target = facts.intent.target.as_str();
    let fault = if target.trim().is_empty() {
        "is empty"
    } else if target.chars().any(|c| matches!(c, '*' | '?' | '>')) {
        "holds a wildcard"
    } else if target.contains("${") || matches!(target.trim(), "()" | "null" | "undefined") {
        "was not filled in"
    } else if target.trim().eq_ignore_ascii_case("all") {
        "means everything"
    } else if target.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Verdict::Allow;
    };
    let reason = format!(
        "the target `{}` {fault}: name one thing in the rule's `intent.target`",
        target.escape_debug()
    );
    Verdict::Deny { reason, expired: false }
}
