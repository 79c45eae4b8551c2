//! Every code has its page, and what the page says is wrong is wrong, what it says is mended is good.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::actions;
use crate::engine::Config;
use crate::engine::config::problems;
use crate::engine::files::Sources;
use crate::engine::rehearse::Suite;
use crate::model::Diagnostic;
use crate::model::diagnostic::Severity;

/// Codes about files as such, of which no text is an example.
const WITHOUT_EXAMPLE: [&str; 2] = ["P0001", "P0002"];

/// The examples of a page: wrong, mended, and so on in pairs.
fn examples(page: &Page) -> Vec<&'static str> {
    let blocks = page.text.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.split_once('\n').map(|(_, code)| code)).collect()
}

/// Every code that stands in the source as one, but for tests.
fn codes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(path).unwrap();
                found.extend(text.split('"').filter(|word| is_code(word)).map(String::from));
            }
        }
    }
    found
}

fn is_code(word: &str) -> bool {
    word.len() == 5 && word.starts_with('P') && word[1..].bytes().all(|b| b.is_ascii_digit())
}

/// What is found in an example: a rule file, or playbooks beside a rule that uses some.
fn found(code: &str, example: &str) -> Vec<Diagnostic> {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let playbook =
        |doc: &str| format!("//! {doc}\n//! ---\n//! actions: []\nfn run(ctx) {{ log(\"info\", \"\") }}\n");
    if code.starts_with("P03") {
        put("paramedic.yaml", example);
        return problems::problems(&dir.path().join("paramedic.yaml"));
    }
    if code.starts_with("P04") {
        put("paramedic.yaml", "{}");
        put("rules/kernels.yaml", "rules: [{ name: kernel-crashed, on: a, playbooks: [fix] }]");
        put("rules/disk.yaml", "rules: [{ name: disk, on: a, playbooks: [fix] }]");
        put("playbooks/fix.rhai", &playbook("Fix"));
        put("tests/example.yaml", example);
        let suite = Suite::find(&Config::default(), dir.path(), &[dir.path().join("tests")], false);
        return suite.unwrap().diagnostics;
    }
    if code.starts_with("P02") {
        let names = ["example", "restart", "start_anew", "restart_kernel"];
        put("rules/all.yaml", &format!("rules: [{{ name: all, on: a, playbooks: [{}] }}]", names.join(", ")));
        let (first, rest) =
            example.split_once("// file: ").map_or((example, ""), |(a, _)| (a, &example[a.len()..]));
        if !first.trim().is_empty() {
            put("playbooks/example.rhai", first);
        }
        for file in rest.split("// file: ").skip(1) {
            let (name, text) = file.split_once('\n').unwrap();
            put(&format!("playbooks/{name}"), text);
        }
        for name in names {
            let written = name == "example" && !first.trim().is_empty();
            if !written && !example.contains(&format!("{name}.rhai")) {
                put(&format!("playbooks/{name}.rhai"), &playbook(name));
            }
        }
    } else {
        put("rules/example.yaml", example);
        put("playbooks/clean_up.rhai", &playbook("Make room"));
        let restart =
            playbook("Restart").replace("actions: []", "actions: []\n//! params: { grace: duration }");
        put("playbooks/restart_kernel.rhai", &restart);
    }
    let sources = Sources::below(&dir.path().join("rules"), &dir.path().join("playbooks"));
    sources
        .fitting(crate::engine::rehearse::specs().unwrap())
        .build(&actions::BUILTIN.map(String::from))
        .diagnostics
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let pages: Vec<&str> = pages().map(|page| page.code).collect();
    let mut sorted = pages.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(pages, sorted, "pages stand in order, each code once");
    let codes = codes();
    let without: Vec<_> = codes.iter().filter(|code| !pages.contains(&code.as_str())).collect();
    assert!(without.is_empty(), "no page explains {without:?}");
    let idle: Vec<_> = pages.iter().filter(|page| !codes.contains(**page)).collect();
    assert!(idle.is_empty(), "nothing has the codes {idle:?}");
}

#[test]
fn what_a_page_shows_as_wrong_is_wrong_and_what_it_shows_as_mended_is_good() {
    for page in pages() {
        let examples = examples(&page);
        if WITHOUT_EXAMPLE.contains(&page.code) {
            continue;
        }
        assert!(
            !examples.is_empty() && examples.len().is_multiple_of(2),
            "{}: examples come in pairs",
            page.code
        );
        for pair in examples.chunks(2) {
            let wrong = found(page.code, pair[0]);
            assert!(wrong.iter().any(|d| d.code == page.code), "{}\n{}\n{wrong:#?}", page.code, pair[0]);
            let mended = found(page.code, pair[1]);
            let bad = mended.iter().find(|d| d.code == page.code || d.severity == Severity::Error);
            assert!(bad.is_none(), "{}\n{}\n{mended:#?}", page.code, pair[1]);
        }
    }
}

#[test]
fn a_code_is_found_however_it_is_written_and_an_unknown_one_says_what_there_is() {
    assert_eq!(find(" p0107 ").map(|page| page.title), Some("Unknown key"));
    assert_eq!(find("P9999"), None);
    assert!(unknown("P017").contains("P0107"), "{}", unknown("P017"));
    assert!(unknown("syntax").contains("P0101  Not YAML"), "{}", unknown("syntax"));
}
