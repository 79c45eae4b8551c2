//! `paramedic check`: every mistake in rules, playbooks and the configuration, at once. Starts nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Setup, output};
use crate::actions;
use crate::engine::reload;
use crate::kernels;
use crate::model::Diagnostic;
use crate::model::diagnostic::Severity;

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    setup: Setup,
    /// Directory of rules, instead of the configured one
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Directory of playbooks, instead of the configured one
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints every mistake; exit status 1 if there is one.
pub fn main(args: &Args) -> ExitCode {
    let mut config = match args.setup.load() {
        Ok(config) => config,
        Err(error) => return output::failed(&error),
    };
    if let Err(error) = kernels::spec::check(&config.kernels) {
        return output::failed(&format!("the configuration's kernels are not valid: {error}"));
    }
    if let Some(rules) = &args.rules {
        config.rules.clone_from(rules);
    }
    if let Some(playbooks) = &args.playbooks {
        config.playbooks.clone_from(playbooks);
    }
    for dir in [args.rules.as_ref(), args.playbooks.as_ref()].into_iter().flatten() {
        if !dir.is_dir() {
            return output::misused(&format!("{} is not a directory", dir.display()));
        }
    }
    let known = actions::BUILTIN.map(String::from);
    let built = match reload::build(&config.rules, &config.playbooks, &known) {
        Ok(built) => built,
        Err(error) => return output::failed(&error),
    };
    let errors = built.errors();
    if args.json {
        output::json(&built.diagnostics);
    } else {
        built.diagnostics.iter().for_each(print);
        let rules = built.rules.as_ref().map(|set| set.rules().len());
        let playbooks = built.library.as_ref().map(|library| library.list().count());
        match (errors, rules, playbooks) {
            (0, Some(rules), Some(playbooks)) => {
                let counted =
                    [(rules, "rule"), (playbooks, "playbook"), (built.diagnostics.len(), "warning")];
                let [rules, playbooks, warnings] = counted.map(|(n, what)| count(n, what));
                output::line(output::good(format!("{rules} and {playbooks} are fine, {warnings}")));
                if built.rules.is_some_and(|set| set.rules().is_empty()) {
                    let dir = config.rules.display();
                    output::line(output::warn(format!(
                        "there is no rule in {dir}, so nothing would be repaired"
                    )));
                }
            }
            _ => output::line(output::bad(count(errors, "mistake"))),
        }
    }
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// A mistake or a warning, its head in colour.
pub fn print(diagnostic: &Diagnostic) {
    let text = diagnostic.to_string();
    let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let head = match diagnostic.severity {
        Severity::Error => output::bad(head),
        Severity::Warning => output::warn(head),
    };
    output::line(format!("{head}\n{rest}\n"));
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
