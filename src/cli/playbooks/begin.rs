//! `paramedic playbooks new`: a playbook to begin with that `check` accepts, and a test of it that passes.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::{Place, Stop};
use crate::cli::output;

const PLAYBOOK: &str = include_str!("begin/playbook.rhai");
const TEST: &str = include_str!("begin/test.yaml");

/// Options of `new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name: a-z, 0-9, _ and -, at most 64
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Writes both files.
pub fn begin(args: &Args, json: bool) -> Result<ExitCode, Stop> {
    let name = args.name.as_str();
    check(name)?;
    let config = args.place.config()?;
    let base = args.place.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    if let Some(file) = known(&config.playbooks, name) {
        return Err(Stop::Misused(format!("{} is there already: choose another name", file.display())));
    }
    let playbook = config.playbooks.join(format!("{name}.rhai"));
    let test = base.join("tests").join(format!("{name}.yaml"));
    if test.exists() {
        return Err(Stop::Misused(format!("{} is there already: choose another name", test.display())));
    }
    for (path, text) in [(&playbook, PLAYBOOK), (&test, TEST)] {
        write(path, &text.replace("NAME", name))?;
    }
    if json {
        output::json(&json!({ "playbook": playbook, "test": test }));
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{} {}", output::good("wrote"), playbook.display()));
    output::line(format!("{} {}", output::good("wrote"), test.display()));
    for (command, what) in [
        (format!("paramedic test {}", test.display()), "plays its test"),
        (format!("paramedic playbooks run {name} --target web --dry-run"), "says what it would do"),
        ("paramedic check".into(), "tells every mistake"),
    ] {
        output::line(format!("  {command:<58} {}", output::dim(what)));
    }
    Ok(ExitCode::SUCCESS)
}

/// A playbook's name as the library takes it.
fn check(name: &str) -> Result<(), Stop> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.starts_with(first) && name.chars().all(|c| first(c) || c == '_' || c == '-');
    if fits && name.len() <= 64 {
        return Ok(());
    }
    let mut near: String = name
        .trim_end_matches(".rhai")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(64)
        .collect();
    near = near.trim_matches('_').into();
    let help = if near.is_empty() { String::new() } else { format!(", such as {near}") };
    Err(Stop::Misused(format!("`{name}` is no name for a playbook: use a-z, 0-9, _ and -, at most 64{help}")))
}

/// The file of a playbook of this name, in whatever folder below.
fn known(dir: &Path, name: &str) -> Option<PathBuf> {
    let files = crate::engine::files::list(dir, &["rhai"]).unwrap_or_default();
    files.into_iter().find(|file| file.file_stem().is_some_and(|stem| stem == name))
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Result<(), Stop> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Stop::Misused(format!("{} is there already", path.display())),
        _ => Stop::Failed(format!("failed to write {}: {error}", path.display())),
    };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
