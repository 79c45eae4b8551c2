//! `paramedic schema`: descriptions of files that people write, for editors that complete and check while they type.

use std::process::ExitCode;

use super::output;
use crate::{playbook, rules};

/// What to describe.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Rule files, as a JSON Schema (2020-12)
    Rules,
    /// What playbooks can call, as a definition file (`paramedic.d.rhai`) of Rhai's language server
    Playbooks,
}

/// Prints it.
pub fn main(command: &Command) -> ExitCode {
    match command {
        Command::Rules => output::line(rules::SCHEMA.trim_end()),
        Command::Playbooks => output::line(playbook::reference::definitions().trim_end()),
    }
    ExitCode::SUCCESS
}
