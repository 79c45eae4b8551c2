//! The page on writing playbooks tells the truth: its playbooks load, and no host function is left out.

use super::*;
use crate::actions::BUILTIN;
use crate::playbook::reference;

const PAGE: &str = include_str!("../../../playbooks/WRITING.md");

#[test]
fn every_playbook_of_the_page_is_one_that_check_accepts() {
    let blocks: Vec<&str> = PAGE.split("```rhai\n").skip(1).filter_map(|it| it.split("```").next()).collect();
    let wholes: Vec<&&str> = blocks.iter().filter(|it| it.starts_with("//!")).collect();
    assert!(wholes.len() >= 2 && blocks.len() > wholes.len(), "{} {}", wholes.len(), blocks.len());
    for text in wholes {
        let shared = file("lib/words", "fn polite(text) { `Please: ${text}` }");
        let known = BUILTIN.map(String::from);
        if let Err(problems) = Library::load("playbooks", &[file("page", text), shared], &known) {
            panic!("{text}\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
    }
    for text in blocks.iter().filter(|it| !it.starts_with("//!")) {
        // A part of a function, or functions.
        let whole =
            if text.starts_with("fn ") { (*text).to_string() } else { format!("fn run(ctx) {{\n{text}\n}}") };
        let text = format!("{HEADER}{whole}");
        let text = if text.contains("fn run(") { text } else { format!("{text}\nfn run(ctx) {{ 1 }}") };
        if let Err(problems) = Library::load("playbooks", &[file("page", &text)], &[]) {
            panic!("{text}\n{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn the_page_tells_of_every_host_function_in_the_words_of_the_table() {
    for function in reference::FUNCTIONS {
        let first = function.doc.lines().next().unwrap();
        for form in function.forms {
            assert!(PAGE.contains(&format!("`{}{form}`", function.name)), "{}{form}", function.name);
        }
        assert!(PAGE.contains(first), "{}: {first}", function.name);
    }
    for key in ["risk", "cost", "timeout", "actions", "params"] {
        assert!(PAGE.contains(&format!("| `{key}` |")), "{key}");
    }
}
