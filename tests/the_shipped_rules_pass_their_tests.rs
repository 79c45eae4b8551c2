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

#[test]
fn the_example_in_the_readme_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let block = |language: &str, part: &str| {
        let mut blocks = readme.split("```").skip(1).step_by(2);
        let found = blocks.find(|block| block.starts_with(language) && block.contains(part));
        found.unwrap().strip_prefix(language).unwrap().trim_start_matches('\n').to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    for folder in ["rules", "playbooks"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    let rules = block("yaml", "name: disk-nearly-full") + &block("yaml", "    tests:");
    std::fs::write(dir.path().join("rules/disk.yaml"), rules).unwrap();
    std::fs::write(dir.path().join("playbooks/clean_up.rhai"), block("rhai", "fn run")).unwrap();
    for playbook in ["run_diagnostic.rhai", "alert_operator.rhai"] {
        std::fs::copy(root.join("playbooks").join(playbook), dir.path().join("playbooks").join(playbook))
            .unwrap();
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_paramedic")).arg("test").current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn the_example_of_the_help_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_paramedic")).args(args).current_dir(root).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let help = run(&["test", "--help"]);
    let lines = help.lines().skip_while(|line| *line != "  tests:");
    let example: String = lines.take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("example.yaml");
    std::fs::write(&file, example).unwrap();
    let said = run(&["test", &file.to_string_lossy()]);
    assert!(said.contains("1 passed, 0 failed"), "{said}");
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
