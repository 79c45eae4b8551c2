//! `paramedic alerts`: what people were told, and what they say to it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Remote, items, text};
use super::output;

/// Options of `alerts`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say that somebody is on it
    Ack {
        /// Its id
        id: String,
    },
    /// Say that it is over
    Resolve {
        /// Its id
        id: String,
    },
}

/// Lists or answers.
pub fn main(args: Args) -> ExitCode {
    let remote = &args.remote;
    let answer = match &args.command {
        None => remote.list("/api/alerts", "items", usize::MAX),
        Some(Command::Ack { id }) => remote.post(&format!("/api/alerts/{id}/ack"), &json!({})),
        Some(Command::Resolve { id }) => remote.post(&format!("/api/alerts/{id}/resolve"), &json!({})),
    };
    match answer {
        Ok(answer) if remote.json => output::json(&answer),
        Ok(answer) if args.command.is_some() => print(std::slice::from_ref(&answer)),
        Ok(answer) => print(items(&answer)),
        Err(error) => return output::failed(&error),
    }
    ExitCode::SUCCESS
}

/// What became of an alert at each channel.
fn channels(all: &Value) -> String {
    let all = all.as_object().into_iter().flatten();
    let each = all.map(|(name, it)| {
        let why = it["why"].as_str().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("{name}: {}{why}", text(&it["status"]))
    });
    each.collect::<Vec<_>>().join("\n")
}

fn print(alerts: &[Value]) {
    if alerts.is_empty() {
        output::line("no alerts");
        return;
    }
    let mut table = output::table(&["alert", "level", "status", "times", "title", "message", "channels"]);
    for alert in alerts {
        table.add_row([
            text(&alert["id"]),
            text(&alert["level"]),
            text(&alert["status"]),
            text(&alert["count"]),
            text(&alert["title"]),
            text(&alert["message"]),
            channels(&alert["channels"]),
        ]);
    }
    output::line(table);
}
