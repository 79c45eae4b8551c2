//! `paramedic check` accepts every example as it stands, without a warning.
#![allow(clippy::unwrap_used, reason = "a test may stop at anything")]

use std::path::Path;
use std::process::{Command, Output};

#[test]
fn every_example_is_checked_without_a_mistake_or_a_warning() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.join("paramedic.yaml").exists() {
            continue;
        }
        seen += 1;
        let output = check(&dir, "paramedic.yaml");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}", dir.display());
        for part in ["rules", "playbooks", "README.md"] {
            assert!(dir.join(part).exists(), "{} has no {part}", dir.display());
        }
    }
    assert!(seen > 0, "there is no example");
}

#[test]
fn a_configuration_for_a_provider_is_accepted_where_it_is_built_in_and_else_says_what_to_build() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/providers");
    for (provider, built) in [
        ("docker", cfg!(feature = "docker")),
        ("systemd", cfg!(feature = "systemd")),
        ("kubernetes", cfg!(feature = "kubernetes")),
    ] {
        let output = check(&dir, &format!("{provider}.yaml"));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), built, "{provider}: {said}");
        let advice = format!("cargo build --release --features {provider}");
        assert!(built || said.contains(&advice), "{provider}: {said}");
    }
}

fn check(dir: &Path, config: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(["check", "--json", "--deny-warnings", "--config", config])
        .current_dir(dir)
        .output()
        .unwrap()
}
