//! The command line: one file a command. Commands print and set the exit status; they decide nothing.
//!
//! Exit status 0: fine; 1: the thing asked for failed; 2: wrong use.

pub mod alerts;
pub mod check;
pub mod client;
pub mod demo;
pub mod explain;
pub mod freeze;
pub mod intents;
pub mod kernels;
pub mod list;
pub mod output;
pub mod playbooks;
pub mod plugin;
pub mod replay;
pub mod run;
pub mod schema;
pub mod send;
pub mod stats;
pub mod stress;
pub mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::engine::Config;
use crate::platform::log;

/// How long the end of a command waits for its log to be written.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// Failures repair themselves: events match rules, rules run durable playbooks, outcomes teach which to try.
#[derive(Debug, Parser)]
#[command(name = "paramedic", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: take events, match rules, run playbooks
    Run(run::Args),
    /// Watch the loop close: real processes break and come back
    Demo(demo::Args),
    /// Check rules, playbooks and the configuration, and print every mistake
    Check(check::Args),
    /// Play the tests of rules and playbooks, in virtual time and without touching anything
    Test(test::Args),
    /// Say what rules would have done with what happened, and what other rules would change
    Replay(replay::Args),
    /// Send an event to a running engine
    Send(send::Args),
    /// Boot kernels again and again and measure it
    #[command(subcommand)]
    Stress(stress::Command),
    /// Show what is being repaired and what became of it; approve, deny, cancel
    Intents(intents::Args),
    /// Show what is watched; restart, stop, start, scale
    Kernels(kernels::Args),
    /// Show how well repairs go, and confidence in each playbook
    Stats(stats::Args),
    /// Say why each rule does or does not fire for an event
    Explain(explain::Args),
    /// List the rules that are live
    Rules(list::Args),
    /// List playbooks, begin a new one, look at one, carry one out or only say what it would do
    Playbooks(playbooks::Args),
    /// List what playbooks can do; show what one takes and gives
    Actions(list::ActionsArgs),
    /// Make, inspect, pin and list native plugins, which add actions
    Plugin(plugin::Args),
    /// List what people were told; ack, resolve
    Alerts(alerts::Args),
    /// Stop acting, now: everything, a group, a playbook or a rule
    Freeze(freeze::Args),
    /// Act again where it was frozen
    Thaw(freeze::ThawArgs),
    /// Describe rule files and playbooks to an editor
    #[command(subcommand)]
    Schema(schema::Command),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is, and what of it the command line changes.
#[derive(Clone, Debug, Args)]
pub struct Setup {
    /// The configuration [default: paramedic.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything durable lies [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where HTTP is served [default: 127.0.0.1:7112]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<std::net::SocketAddr>,
}

impl Setup {
    /// The configuration's file, if there is one.
    pub fn file(&self) -> Option<PathBuf> {
        let default = PathBuf::from("paramedic.yaml");
        self.config.clone().or_else(|| default.exists().then_some(default))
    }

    /// The configuration with the command line's changes.
    ///
    /// # Errors
    /// In words, when the file cannot be read or is not valid.
    pub fn load(&self) -> Result<Config, String> {
        let mut config = match self.file() {
            Some(path) => Config::load(&path).map_err(|error| error.to_string())?,
            None => Config::default(),
        };
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        Ok(config)
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let code = carry_out(Cli::parse().command);
    log::flush(LAST_WORDS);
    code
}

fn carry_out(command: Command) -> ExitCode {
    match command {
        Command::Run(args) => run::main(&args),
        Command::Demo(args) => demo::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Replay(args) => replay::main(&args),
        Command::Send(args) => send::main(args),
        Command::Stress(command) => stress::main(&command),
        Command::Intents(args) => intents::main(args),
        Command::Kernels(args) => kernels::main(args),
        Command::Stats(args) => stats::main(&args),
        Command::Explain(args) => explain::main(args),
        Command::Rules(args) => list::rules(&args),
        Command::Playbooks(args) => playbooks::main(&args),
        Command::Actions(args) => list::actions(&args),
        Command::Plugin(args) => plugin::main(&args),
        Command::Alerts(args) => alerts::main(args),
        Command::Freeze(args) => freeze::main(args),
        Command::Thaw(args) => freeze::thaw(args),
        Command::Schema(command) => schema::main(&command),
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut command = <Cli as clap::CommandFactory>::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "paramedic", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}
