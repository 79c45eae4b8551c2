//! `paramedic plugin inspect`: what a library offers, asked in a process of its own.

use std::process::ExitCode;

use serde::Serialize;

use super::super::{Setup, output, run};
use super::{find, text};
use crate::actions::Spec;
use crate::kernels::{Shim, Spawner};
use crate::plugins::{self, Inspected};

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a std::path::Path,
    sha256: &'a str,
    size: u64,
    name: &'a str,
    version: &'a str,
    doc: &'a str,
    actions: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    spec: &'a Spec,
    probe: bool,
    dry_run: bool,
}

/// Prints it; exit status 1 if it is no plugin.
pub(super) fn main(target: &str, setup: &Setup, json: bool) -> ExitCode {
    let spec = match find(target, setup) {
        Ok(spec) => spec,
        Err(error) => return output::failed(&error),
    };
    let asked = run::runtime().and_then(|runtime| {
        runtime.block_on(async {
            let spawner = Spawner::new(Shim::own()).map_err(|error| format!("failed to start: {error}"))?;
            plugins::inspect(&spec, &spawner).await
        })
    });
    let found = match asked {
        Ok(found) => found,
        Err(why) => return output::failed(&format!("{} cannot be used: {why}", spec.path.display())),
    };
    if json {
        output::json(&report(&spec.path, &found));
    } else {
        print(&spec.path, &found);
    }
    ExitCode::SUCCESS
}

fn report<'a>(file: &'a std::path::Path, found: &'a Inspected) -> Report<'a> {
    let said = &found.said;
    let entry =
        |known: &'a plugins::Known| Entry { spec: &known.spec, probe: known.probe, dry_run: known.dry_run };
    Report {
        file,
        sha256: &found.sha256,
        size: found.size,
        name: &said.name,
        version: &said.version,
        doc: &said.doc,
        actions: said.actions.iter().map(entry).collect(),
    }
}

fn print(file: &std::path::Path, found: &Inspected) {
    let said = &found.said;
    output::line(format!("{} {}  {}", output::bold(&said.name), said.version, said.doc));
    output::line(format!("  file    {} ({} bytes)", file.display(), found.size));
    output::line(format!("  sha256  {}", found.sha256));
    for known in &said.actions {
        let spec = &known.spec;
        output::line(format!("\n{}  {}", output::bold(&spec.name), spec.doc));
        let again = match (spec.idempotent, known.probe) {
            (true, _) => "may be repeated",
            (false, true) => "asked after a crash whether it was done",
            (false, false) => "is not repeated after a crash",
        };
        let dry = if known.dry_run { ", has a dry run" } else { "" };
        output::line(format!(
            "  risk {}, at most {}, {again}{dry}",
            text(&serde_json::json!(spec.risk)),
            spec.timeout
        ));
        super::super::list::schemas(&spec.params, &spec.result);
    }
}
