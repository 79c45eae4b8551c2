//! Every crate that is linked in may be linked in: its licence is on the list in `deny.toml`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn every_crate_has_a_licence_that_deny_toml_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("deny.toml")).unwrap();
    let start = list.find("allow = [").unwrap();
    let list = &list[start..start + list[start..].find(']').unwrap()];
    let allowed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();

    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "the packages were not listed");
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| !fits(package["license"].as_str().unwrap_or(""), &allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "not on the list in deny.toml:\n{}", wrong.join("\n"));
}

/// Whether one of the alternatives of an SPDX expression consists of allowed licences alone.
fn fits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    // Without brackets `A AND B OR C` reads as it is meant in every expression seen; `WITH` belongs to its licence.
    flat.split(" OR ").any(|all| all.split(" AND ").all(|one| allowed.contains(one.trim())))
}

#[test]
fn an_unknown_licence_is_seen() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0"]);
    assert!(fits("MIT OR GPL-3.0", &allowed));
    assert!(fits("MIT/Apache-2.0", &allowed));
    assert!(!fits("GPL-3.0", &allowed));
    assert!(!fits("MIT AND GPL-3.0", &allowed));
    assert!(!fits("", &allowed));
}
