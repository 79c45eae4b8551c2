//! `paramedic rules|playbooks|actions`: plain lists of what a running engine has.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Remote, items, text};
use super::{output, stats};

/// Options of a list.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    remote: Remote,
}

/// The rules that are live, and why a newer set is not.
pub fn rules(args: &Args) -> ExitCode {
    show(&args.remote, "/api/rules", |answer| {
        let mut table = output::table(&["rule", "mode", "on", "playbooks", "file"]);
        for rule in items(answer) {
            table.add_row([
                text(&rule["name"]),
                text(&rule["mode"]),
                words(&rule["on"]),
                words(&rule["playbooks"]),
                format!("{}:{}", text(&rule["file"]), text(&rule["line"])),
            ]);
        }
        output::line(table);
        if !answer["reload"]["refused_at"].is_null() {
            let at = text(&answer["reload"]["refused_at"]);
            output::line(output::bad(format!(
                "the files as they are now were refused at {at}, so this is the last good set; `paramedic check` says why"
            )));
        }
    })
}

/// The playbooks and what is known of them.
pub fn playbooks(remote: &Remote) -> ExitCode {
    show(remote, "/api/playbooks", |answer| {
        let mut table = output::table(&["playbook", "risk", "cost", "actions", "what it does"]);
        let mut learned = Vec::new();
        for playbook in items(answer) {
            table.add_row([
                text(&playbook["name"]),
                text(&playbook["risk"]),
                text(&playbook["cost"]),
                words(&playbook["actions"]),
                text(&playbook["doc"]).lines().next().unwrap_or_default().to_string(),
            ]);
            learned.extend(playbook["learned"].as_array().into_iter().flatten().cloned());
        }
        output::line(table);
        output::line("");
        stats::playbooks(&learned);
    })
}

/// Options of `actions`.
#[derive(Debug, clap::Args)]
pub struct ActionsArgs {
    #[command(subcommand)]
    command: Option<ActionsCommand>,
    #[command(flatten)]
    list: Args,
}

#[derive(Debug, clap::Subcommand)]
enum ActionsCommand {
    /// List them; the same as without a command
    List,
    /// Show what one takes and gives
    Show {
        /// Its name, such as kernel.restart
        name: String,
    },
}

/// What playbooks can do.
pub fn actions(args: &ActionsArgs) -> ExitCode {
    if let Some(ActionsCommand::Show { name }) = &args.command {
        return action(&args.list, name);
    }
    show(&args.list.remote, "/api/actions", |answer| {
        let mut table = output::table(&["action", "risk", "idempotent", "what it does"]);
        for action in items(answer) {
            table.add_row([
                text(&action["name"]),
                text(&action["risk"]),
                text(&action["idempotent"]),
                text(&action["doc"]),
            ]);
        }
        output::line(table);
    })
}

fn action(args: &Args, name: &str) -> ExitCode {
    let answer = match args.remote.list("/api/actions", "items", usize::MAX) {
        Ok(answer) => answer,
        Err(error) => return output::failed(&error),
    };
    let Some(action) = items(&answer).iter().find(|action| action["name"] == name) else {
        return output::failed(&format!(
            "there is no action `{name}`; `paramedic actions` lists those there are"
        ));
    };
    if args.remote.json {
        output::json(action);
        return ExitCode::SUCCESS;
    }
    output::line(format!("{}  {}", output::bold(name), text(&action["doc"])));
    let (risk, timeout) = (text(&action["risk"]), text(&action["timeout"]));
    let repeated =
        if action["idempotent"] == true { "may be repeated" } else { "is not repeated after a crash" };
    output::line(format!("  risk {risk}, at most {timeout}, {repeated}"));
    schemas(&action["params"], &action["result"]);
    ExitCode::SUCCESS
}

/// Prints what an action takes and gives.
pub fn schemas(params: &Value, result: &Value) {
    for (what, schema) in [("takes", params), ("gives", result)] {
        let mut table = output::table(&[what, "type", "what it is"]);
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let needed = if required.iter().any(|name| name == field) { " (needed)" } else { "" };
            let kind = match (&schema["enum"], &schema["type"]) {
                (Value::Array(_), _) => words(&schema["enum"]),
                (_, Value::Array(_)) => words(&schema["type"]),
                (_, kind) => text(kind),
            };
            let about = schema["description"].as_str().unwrap_or_default();
            table.add_row([format!("{field}{needed}"), kind, about.to_string()]);
        }
        output::line(format!("\n{table}"));
    }
}

fn show(remote: &Remote, path: &str, print: impl Fn(&Value)) -> ExitCode {
    match remote.list(path, "items", usize::MAX) {
        Ok(answer) if remote.json => output::json(&answer),
        Ok(answer) => print(&answer),
        Err(error) => return output::failed(&error),
    }
    ExitCode::SUCCESS
}

fn words(list: &Value) -> String {
    list.as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(" ")
}
