//! Every rule that comes with Paramedic, and every rule of the examples, has tests that follow it to its end, and
//! `paramedic test` passes them.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn each_rule_has_tests_and_they_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut set_ups: Vec<PathBuf> = vec![root.into()];
    set_ups.extend(std::fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path()));
    set_ups.retain(|dir| dir.join("paramedic.yaml").exists());
    assert!(set_ups.len() > 2, "the examples were not found");
    for dir in set_ups {
        let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
            .args(["test", "--json"])
            .current_dir(&dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", dir.display());
        let said: Value = serde_json::from_str(&said).unwrap();
        let mut tests: BTreeMap<&str, usize> = BTreeMap::new();
        for test in said["tests"].as_array().unwrap() {
            *tests.entry(test["rule"].as_str().unwrap()).or_default() += 1;
        }
        for rule in rules(&dir.join("rules")) {
            let count = tests.get(rule.as_str()).copied().unwrap_or_default();
            assert!(
                count >= 2,
                "{}: `{rule}` has {count} tests: what it does, and what if that fails",
                dir.display()
            );
        }
        println!("{}: {} tests", dir.display(), said["passed"]);
    }
}

fn rules(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let names_in = text.lines().filter_map(|line| line.strip_prefix("  - name: "));
        names.extend(names_in.map(|name| name.trim().to_owned()));
    }
    assert!(!names.is_empty(), "{} has no rules", dir.display());
    names
}
