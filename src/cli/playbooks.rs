//! `paramedic playbooks`: list them, begin a new one, look at one, carry one out by hand or only say what it would do.

mod begin;
mod dry;
mod follow;
mod given;
mod show;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::client::Remote;
use super::{Setup, check, list, output};
use crate::engine::Config;
use crate::engine::files::{Built, Sources};
use crate::model::Diagnostic;
use crate::model::diagnostic::{Severity, nearest};
use crate::playbook::{Library, Playbook};

/// Options of `playbooks`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List those of a running engine; the same as without a command
    List,
    /// Begin a new one, with a test of it
    New(begin::Args),
    /// Show one: what it may do, what it takes, its source, and what is learned of it
    Show(show::Args),
    /// Carry one out now, or with --dry-run only say what it would do
    Run(given::Args),
}

/// Lists, begins, shows or carries out.
pub fn main(args: &Args) -> ExitCode {
    let done = match &args.command {
        None | Some(Command::List) => return list::playbooks(&args.remote),
        Some(Command::New(new)) => begin::begin(new, args.remote.json),
        Some(Command::Show(which)) => show::show(which, &args.remote),
        Some(Command::Run(wish)) if wish.dry_run => dry::run(wish, args.remote.json),
        Some(Command::Run(wish)) => follow::run(wish, &args.remote),
    };
    done.unwrap_or_else(|error| error.told())
}

/// Why a command ended without its work done.
enum Stop {
    /// The thing asked for failed.
    Failed(String),
    /// Wrong use.
    Misused(String),
    /// Everything is said already.
    Told,
}

impl Stop {
    fn told(self) -> ExitCode {
        match self {
            Self::Failed(text) => output::failed(&text),
            Self::Misused(text) => output::misused(&text),
            Self::Told => ExitCode::from(1),
        }
    }
}

/// Where playbooks lie.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    /// The configuration [default: paramedic.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Directory of playbooks, instead of the configured one
    #[arg(long, value_name = "DIR")]
    playbooks: Option<std::path::PathBuf>,
}

impl Place {
    fn config(&self) -> Result<Config, Stop> {
        let setup = Setup { config: self.config.clone(), data: None, listen: None };
        let mut config = setup.load().map_err(Stop::Failed)?;
        if let Some(dir) = &self.playbooks {
            config.playbooks.clone_from(dir);
        }
        Ok(config)
    }
}

/// The playbooks of `dir`, to carry out the one called `name`: of another that is broken it is only said that it is left
/// out.
fn library(dir: &Path, name: &str) -> Result<Library, Stop> {
    let mut sources = Sources::default();
    sources.add_playbooks(dir);
    let root = sources.root().to_owned();
    let mut files = sources.playbook_files().to_vec();
    let mut built = sources.build(&[]);
    let first: Vec<Diagnostic> = mistakes(&built).cloned().collect();
    let mut left_out = BTreeSet::new();
    let is_it = |file: &str| Path::new(file).file_stem().is_some_and(|stem| stem == name);
    loop {
        if let Some(library) = built.library {
            for file in left_out {
                output::progress(format!(
                    "warning: {file} is broken and left out: `paramedic check {file}` says why"
                ));
            }
            return Ok(library);
        }
        let before = left_out.len();
        left_out.extend(mistakes(&built).map(|mistake| mistake.file.clone()));
        if left_out.len() == before || left_out.iter().any(|file| is_it(file)) {
            // Those that were there before anything was left out: it may need what is broken.
            first.iter().for_each(check::print);
            return Err(Stop::Told);
        }
        files.retain(|file| !left_out.contains(&file.path));
        built = Sources::read_before(&root, Vec::new(), files.clone()).build(&[]);
    }
}

fn mistakes(built: &Built) -> impl Iterator<Item = &Diagnostic> {
    built.diagnostics.iter().filter(|it| it.severity == Severity::Error)
}

/// The playbook called `name`.
fn find(library: &Library, name: &str, dir: &Path) -> Result<Arc<Playbook>, Stop> {
    library.get(name).ok_or_else(|| {
        let names = library.names();
        let help = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "there are none: `paramedic playbooks new NAME` begins one".into(),
            None => format!("there are {}", names.join(", ")),
        };
        Stop::Failed(format!("{} has no playbook `{name}`: {help}", dir.display()))
    })
}
