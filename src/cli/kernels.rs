//! `paramedic kernels`: what is watched, and what a person does to it by hand.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Remote, items, text};
use super::output;

/// Options of `kernels`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Who does it; shown with what a restart of the engine does not undo
    #[arg(long, global = true, value_name = "NAME", env = "USER", default_value = "")]
    by: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Stop it and start it anew
    Restart {
        /// Its name
        name: String,
        /// Stop those that depend on it before, and start them after it, in order
        #[arg(long)]
        dependants: bool,
    },
    /// Start it
    Start {
        /// Its name
        name: String,
    },
    /// Stop it
    Stop {
        /// Its name
        name: String,
    },
    /// Bring it to so many replicas
    Scale {
        /// Its name
        name: String,
        /// How many
        replicas: u32,
    },
}

/// Lists or acts.
pub fn main(args: Args) -> ExitCode {
    let remote = &args.remote;
    let act = |name: &str, what: &str, body: Value| act(remote, name, what, &args.by, &body);
    let answer = match &args.command {
        None => remote.list("/api/kernels", "items", usize::MAX),
        Some(Command::Restart { name, dependants }) => {
            let what = if *dependants { "restart?dependants=true&" } else { "restart?" };
            act(name, what, json!({}))
        }
        Some(Command::Start { name }) => act(name, "start?", json!({})),
        Some(Command::Stop { name }) => act(name, "stop?", json!({})),
        Some(Command::Scale { name, replicas }) => act(name, "scale?", json!({ "replicas": replicas })),
    };
    match answer {
        Ok(answer) if remote.json => output::json(&answer),
        Ok(answer) if args.command.is_some() => print(std::slice::from_ref(&answer)),
        Ok(answer) => print(items(&answer)),
        Err(error) => return output::failed(&error),
    }
    ExitCode::SUCCESS
}

fn act(remote: &Remote, name: &str, what: &str, by: &str, body: &Value) -> Result<Value, String> {
    // Whatever stands in a name stays in the name.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let letter = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let by: String = by.bytes().map(letter).collect();
    remote.post(&format!("/api/kernels/{name}/{what}by={by}"), body)
}

fn print(kernels: &[Value]) {
    if kernels.is_empty() {
        output::line("no kernels: name some under `kernels:` in paramedic.yaml");
        return;
    }
    let mut table =
        output::table(&["kernel", "layer", "provider", "state", "pids", "restarts", "boot", "what is wrong"]);
    for kernel in kernels {
        let pids: Vec<String> = kernel["pids"].as_array().into_iter().flatten().map(text).collect();
        let boot = kernel["boot_ms"].as_f64().map_or_else(|| "-".into(), |ms| format!("{ms:.0} ms"));
        table.add_row([
            text(&kernel["name"]),
            text(&kernel["layer"]),
            text(&kernel["provider"]),
            state(&text(&kernel["state"])),
            if pids.is_empty() { "-".into() } else { pids.join(" ") },
            text(&kernel["restarts"]),
            boot,
            wrong(kernel),
        ]);
    }
    output::line(table);
}

/// What is wrong with it, and what it waits for.
fn wrong(kernel: &Value) -> String {
    let needs: Vec<String> = kernel["waits_for"].as_array().into_iter().flatten().map(text).collect();
    let wish = &kernel["wish"];
    if wish["stopped"] == true && needs.is_empty() {
        let at = text(&wish["at"]);
        return format!("stopped by {} at {}", text(&wish["by"]), at.get(..19).unwrap_or(&at));
    }
    match (text(&kernel["last_error"]), needs.join(", ")) {
        (error, needs) if needs.is_empty() => error,
        (error, needs) if error.is_empty() || error == "-" => format!("waits for {needs}"),
        (error, needs) => format!("waits for {needs}: {error}"),
    }
}

/// A state in its colour.
pub fn state(state: &str) -> String {
    match state {
        "healthy" => output::good(state),
        "unhealthy" | "exited" => output::bad(state),
        _ => output::warn(state),
    }
}
