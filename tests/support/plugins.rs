//! Native libraries for tests: built from C with `cc`, or by cargo from the examples.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `source`, a path in the checkout, as a library at `to`.
pub fn compile(source: &str, to: &Path, flags: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Beside it, then renamed over it, as an installer does.
    let new = to.with_extension("new");
    let out = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-shared", "-fPIC", "-pthread", "-I"])
        .arg(root.join("plugins/sdk/include"))
        .args(flags)
        .arg("-o")
        .arg(&new)
        .arg(root.join(source))
        .output()
        .unwrap();
    assert!(out.status.success(), "cc {flags:?}: {}", String::from_utf8_lossy(&out.stderr));
    std::fs::rename(new, to).unwrap();
}

/// Builds the misbehaving plugin at `to`; it recurses without end on purpose.
pub fn misbehaving(to: &Path, flags: &[&str]) {
    compile(
        "tests/plugins/misbehaving.c",
        to,
        &[&["-Wno-infinite-recursion", "-Wno-unused"], flags].concat(),
    );
}

/// Builds a package of the workspace and gives its library.
pub fn built(package: &str) -> PathBuf {
    built_with(package, &[])
}

/// The same with more arguments for cargo.
pub fn built_with(package: &str, more: &[&str]) -> PathBuf {
    let out = Command::new(env!("CARGO"))
        .args(["build", "--package", package, "--message-format=json", "--quiet"])
        .args(more)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{package}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let files = messages
        .filter(|message| message["target"]["kind"][0] == "cdylib")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    let library = files
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|e| e == "so"));
    library.unwrap_or_else(|| panic!("{package} is no library: {text}"))
}
