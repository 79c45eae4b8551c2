//! `paramedic plugin new`: a crate that builds and passes its test as it is, here or anywhere else.
//!
//! Within a checkout of Paramedic the crate uses the SDK there; elsewhere the SDK's own files, which this program
//! carries, are written beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::output;
use crate::plugins::spec::is_name;

/// The SDK, file by file.
const SDK: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../../plugins/sdk/Cargo.toml")),
    ("include/paramedic_plugin.h", include_str!("../../../plugins/sdk/include/paramedic_plugin.h")),
    ("src/abi.rs", include_str!("../../../plugins/sdk/src/abi.rs")),
    ("src/action.rs", include_str!("../../../plugins/sdk/src/action.rs")),
    ("src/failure.rs", include_str!("../../../plugins/sdk/src/failure.rs")),
    ("src/glue.rs", include_str!("../../../plugins/sdk/src/glue.rs")),
    ("src/lib.rs", include_str!("../../../plugins/sdk/src/lib.rs")),
    ("src/message.rs", include_str!("../../../plugins/sdk/src/message.rs")),
    ("src/plugin.rs", include_str!("../../../plugins/sdk/src/plugin.rs")),
    ("src/schema.rs", include_str!("../../../plugins/sdk/src/schema.rs")),
    ("src/span.rs", include_str!("../../../plugins/sdk/src/span.rs")),
    ("src/testing.rs", include_str!("../../../plugins/sdk/src/testing.rs")),
];

/// The crate, file by file; `NAME` and `SDK` are filled in.
const CRATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("template/cargo.toml.txt")),
    (".gitignore", "/target\n"),
    ("README.md", include_str!("template/readme.md.txt")),
    ("src/lib.rs", include_str!("template/lib.rs.txt")),
];

/// Writes the crate into a new folder.
pub(super) fn main(name: &str) -> ExitCode {
    if !is_name(name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        let message = "a plugin's name is made of a-z, 0-9, `_` and `-`, and begins with a letter";
        return output::misused(&format!("`{name}` can be no plugin: {message}"));
    }
    let dir = Path::new(name);
    if dir.exists() {
        return output::failed(&format!(
            "{name} is there already: give the plugin another name, or remove it"
        ));
    }
    match write(dir, name) {
        Ok(()) => {
            output::line(format!("wrote {name}: build it and play its test with\n"));
            output::line(format!("  cd {name} && cargo test\n"));
            output::line("README.md there says how playbooks come to use it");
            ExitCode::SUCCESS
        }
        Err(error) => output::failed(&format!("failed to write {name}: {error}")),
    }
}

fn write(dir: &Path, name: &str) -> std::io::Result<()> {
    let sdk = match checkout(&std::env::current_dir()?) {
        Some(steps) => steps.join("plugins/sdk"),
        None => {
            put(&dir.join("sdk"), SDK, &|text| text.to_owned())?;
            "sdk".into()
        }
    };
    let library = name.replace('-', "_");
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{library}}", &library)
            .replace("{{sdk}}", &sdk.to_string_lossy())
    };
    put(dir, CRATE, &fill)
}

fn put(dir: &Path, files: &[(&str, &str)], fill: &dyn Fn(&str) -> String) -> std::io::Result<()> {
    for (path, text) in files {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, fill(text))?;
    }
    Ok(())
}

/// The way from a folder in `dir` up to the checkout of Paramedic that it lies in, if it does.
fn checkout(dir: &Path) -> Option<PathBuf> {
    let mut up = PathBuf::from("..");
    for dir in dir.ancestors() {
        let manifest = fs::read_to_string(dir.join("plugins/sdk/Cargo.toml")).unwrap_or_default();
        if manifest.contains("name = \"paramedic-plugin\"") {
            return Some(up);
        }
        up.push("..");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_carries_every_file_of_the_sdk() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk");
        let mut found = vec!["Cargo.toml".to_owned()];
        for folder in ["src", "include"] {
            for entry in fs::read_dir(root.join(folder)).unwrap() {
                found.push(format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()));
            }
        }
        found.sort();
        let carried: Vec<&str> = SDK.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, carried, "list every file in SDK above, in order");
    }

    #[test]
    fn a_crate_in_a_checkout_finds_the_sdk_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(checkout(root), Some("..".into()));
        assert_eq!(checkout(&root.join("plugins")), Some("../..".into()));
        assert_eq!(checkout(tempfile::tempdir().unwrap().path()), None);
    }
}
