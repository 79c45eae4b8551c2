//! `paramedic plugin`: make one, look into one, pin one, and see how those of a running engine fare.

mod inspect;
mod new;
mod pin;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Remote, items, text};
use super::{Setup, output};

/// Options of `plugin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write a crate that builds as a plugin and tests itself
    New {
        /// Its name, and the folder's
        name: String,
    },
    /// List the plugins of a running engine and how they fare
    List,
    /// Load a library in a process of its own and show what it offers
    Inspect {
        /// The library, or the name of a plugin in the configuration
        #[arg(value_name = "FILE")]
        target: String,
        #[command(flatten)]
        setup: Setup,
    },
    /// Write the hash of a plugin's library into the configuration, so that any other content is refused
    Pin {
        /// The name of a plugin in the configuration; or a library, whose hash is only printed
        #[arg(value_name = "NAME|FILE")]
        target: String,
        /// Print the hash and write nothing
        #[arg(long)]
        print: bool,
        #[command(flatten)]
        setup: Setup,
    },
    /// Read `plugins:` in the configuration again, look at the files at once, and forget crashes
    Reload {
        /// Of this plugin; of all, if not said
        name: Option<String>,
    },
}

/// Does what is asked.
pub fn main(args: &Args) -> ExitCode {
    match &args.command {
        Command::New { name } => new::main(name),
        Command::List => list(&args.remote),
        Command::Inspect { target, setup } => inspect::main(target, setup, args.remote.json),
        Command::Pin { target, print, setup } => pin::main(target, *print, setup, args.remote.json),
        Command::Reload { name } => reload(&args.remote, name.as_deref()),
    }
}

fn list(remote: &Remote) -> ExitCode {
    let answer = match remote.list("/api/plugins", "items", usize::MAX) {
        Ok(answer) => answer,
        Err(error) => return output::failed(&error),
    };
    if remote.json {
        output::json(&answer);
        return ExitCode::SUCCESS;
    }
    print(items(&answer));
    ExitCode::SUCCESS
}

fn reload(remote: &Remote, name: Option<&str>) -> ExitCode {
    let path = name.map_or("/api/plugins/reload".into(), |name| format!("/api/plugins/{name}/reload"));
    let answer = match remote.post(&path, &json!({})) {
        Ok(answer) => answer,
        Err(error) => return output::failed(&error),
    };
    if remote.json {
        output::json(&answer);
        return ExitCode::SUCCESS;
    }
    match name {
        Some(_) => print(std::slice::from_ref(&answer)),
        None => print(items(&answer)),
    }
    let names = |key: &str| {
        let all = answer[key].as_array().into_iter().flatten().map(text);
        Some(all.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())
    };
    for key in ["added", "removed", "changed"] {
        if let Some(names) = names(key) {
            output::line(format!("{key}: {names}"));
        }
    }
    if let Some(keys) = names("restart") {
        let told = format!("the configuration has other changes, which take a restart of the engine: {keys}");
        output::line(output::warn(told));
    }
    ExitCode::SUCCESS
}

fn print(plugins: &[Value]) {
    let mut table =
        output::table(&["plugin", "state", "version", "isolation", "pinned", "calls", "crashes", "actions"]);
    for plugin in plugins {
        let state = match plugin["state"].as_str() {
            Some("ready") => output::good("ready"),
            Some(state @ "stale") => output::warn(state),
            other => output::bad(other.unwrap_or("-")),
        };
        let actions = plugin["actions"].as_array().into_iter().flatten().map(text);
        table.add_row([
            text(&plugin["name"]),
            state,
            text(&plugin["version"]),
            text(&plugin["isolation"]),
            if plugin["pinned"] == true { "yes".into() } else { "no".to_string() },
            text(&plugin["calls"]),
            text(&plugin["crashes"]),
            actions.collect::<Vec<_>>().join(" "),
        ]);
    }
    output::line(table);
    for plugin in plugins.iter().filter(|plugin| !plugin["reason"].is_null()) {
        output::line(format!("{}: {}", output::bold(text(&plugin["name"])), text(&plugin["reason"])));
    }
    if plugins.is_empty() {
        output::line(
            "there are none; `plugins:` in the configuration names them, `paramedic plugin new` begins one",
        );
    }
}

/// The library that `target` means: a file, or a plugin of the configuration.
fn find(target: &str, setup: &Setup) -> Result<crate::plugins::Spec, String> {
    let path = PathBuf::from(target);
    if path.is_file() {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name: String =
            name.trim_start_matches("lib").chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        let name = if name.is_empty() { "plugin" } else { &name };
        return Ok(crate::plugins::Spec::of(name, &path));
    }
    let config = setup.load()?;
    if let Some(spec) = config.plugins.iter().find(|spec| spec.name == target) {
        return Ok(spec.clone());
    }
    let names: Vec<&str> = config.plugins.iter().map(|spec| spec.name.as_str()).collect();
    let known = match (names.is_empty(), setup.file()) {
        (true, Some(file)) => format!("{} names none", file.display()),
        (true, None) => "there is no configuration that would name one".into(),
        (false, _) => format!("there are {}", names.join(", ")),
    };
    Err(format!("`{target}` is neither a file nor a plugin of the configuration: {known}"))
}
