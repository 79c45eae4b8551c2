//! Habits from shells and browsers in the parameters of actions: a command line as one word, signs that only a shell
//! reads, an address without its scheme.

use rhai::{Expr, FnCallExpr, Position};

use super::Told;
use super::fit;
use super::literal::{fields, items, text};

/// Programs that read signs and patterns themselves, or hand them to something that does.
const READERS: [&str; 37] = [
    "sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "busybox", "env", "ssh", "su", "sudo", "watch",
    "parallel", "xargs", "find", "grep", "egrep", "fgrep", "rg", "sed", "awk", "gawk", "jq", "yq", "expr",
    "test", "[", "echo", "printf", "tr", "envsubst", "psql", "mysql", "python3", "perl", "nsenter",
];
/// What shells put between commands.
const SIGNS: [&str; 9] = ["|", "||", "&&", ">", ">>", "<", "2>&1", "2>", "&"];
/// Programs that are given files, which a shell would look for by a pattern.
const OF_FILES: [&str; 18] = [
    "ls", "rm", "cat", "cp", "mv", "chmod", "chown", "touch", "du", "wc", "head", "tail", "stat", "gzip",
    "gunzip", "ln", "rmdir", "shred",
];

/// What in `call`, with all that it is given in it, is of another world.
pub fn check(call: &FnCallExpr, told: &mut Told) {
    for (name, params) in fit::wishes(call) {
        let Some(params) = params else { continue };
        let field = |name: &str| fields(params)?.find(|(key, ..)| *key == name).map(|(.., it)| it);
        match text(name) {
            Some("exec.run") => {
                if let Some(argv) = field("argv").and_then(items) {
                    words(argv, told);
                }
            }
            Some("http.request") => {
                if let Some(Expr::StringConstant(url, at)) = field("url") {
                    address(url, *at, told);
                }
            }
            _ => {}
        }
    }
}

fn words(argv: &[Expr], told: &mut Told) {
    let Some((first, rest)) = argv.split_first() else { return };
    let Some(program) = text(first) else { return };
    let parts: Vec<&str> = program.split_whitespace().collect();
    let is_line = parts.len() > 1
        && (!parts[0].contains('/') || parts[1..].iter().any(|it| it.starts_with(['-', '/'])));
    if is_line {
        let listed = parts.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
        let text = format!("no shell reads this: there is no program `{program}`");
        let help = format!("each word is an item by itself: [{listed}]");
        return told.warn(first.start_position(), text, help);
    }
    let name = program.rsplit('/').next().unwrap_or(program);
    if READERS.contains(&name) || rest.iter().filter_map(text).any(|it| READERS[..8].contains(&it)) {
        return;
    }
    let mut before = name;
    for item in rest {
        let Some(word) = text(item) else {
            before = "";
            continue;
        };
        let of_option = before.starts_with('-');
        let variable = word.strip_prefix('$').map(|it| it.split('/').next().unwrap_or_default());
        let is_variable =
            variable.is_some_and(|it| it.len() > 1 && it.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
        let is_pattern = OF_FILES.contains(&name) && word.contains('*') && !word.starts_with('-');
        let (what, help) = if SIGNS.contains(&word) && !of_option {
            let help = match word {
                ">" | ">>" | "2>" | "2>&1" => "what it prints comes as `stdout` and `stderr` of the result",
                _ => "make a call of each command, and hand `stdout` on in the script",
            };
            (word, help)
        } else if is_variable && !of_option {
            (word, "write the value itself, or put it into a text: `…/${x}` between backticks")
        } else if is_pattern {
            (word, "it is given as it stands; have `find` look for files by a pattern, and act on them")
        } else {
            before = word;
            continue;
        };
        told.warn(
            item.start_position(),
            format!("no shell reads this: `{what}` is given to `{name}` as it is"),
            help,
        );
        before = word;
    }
}

fn address(url: &str, at: Position, told: &mut Told) {
    let lower = url.trim_start().to_ascii_lowercase();
    if lower.is_empty() || lower.starts_with("http:") || lower.starts_with("https:") {
        return;
    }
    let (text, help) = match url.split_once("://") {
        Some((scheme, rest)) => (
            format!("`{scheme}` is neither http nor https"),
            format!("write \"https://{rest}\", or use `exec.run`"),
        ),
        None => {
            let rest = url.trim_start_matches('/');
            ("this address does not say http:// or https://".into(), format!("write \"https://{rest}\""))
        }
    };
    told.say("P0220", at, format!("`http.request`: {text}"), help, true);
}
