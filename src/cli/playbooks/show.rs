//! `paramedic playbooks show`: all of one playbook, from its file; what is learned of it, from an engine if one runs.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Place, Stop, find, library};
use crate::cli::client::{Remote, text};
use crate::cli::{output, stats};
use crate::engine::dry;
use crate::playbook::Playbook;

/// Options of `show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Prints it.
pub fn show(args: &Args, remote: &Remote) -> Result<ExitCode, Stop> {
    let config = args.place.config()?;
    let library = library(&config.playbooks, &args.name)?;
    let playbook = find(&library, &args.name, &config.playbooks)?;
    // An engine need not run; then nothing is known.
    let learned = remote.get(&format!("/api/playbooks/{}", args.name)).ok();
    if remote.json {
        output::json(&told(&playbook, learned.as_ref()));
        return Ok(ExitCode::SUCCESS);
    }
    print(&playbook, learned.as_ref())?;
    Ok(ExitCode::SUCCESS)
}

fn told(playbook: &Playbook, learned: Option<&Value>) -> Value {
    let mut told = json!(playbook);
    told["imports"] = playbook.imports().collect();
    told["source"] = playbook.text.as_str().into();
    told["learned"] = learned.map(|it| it["learned"].clone()).unwrap_or_default();
    told
}

fn print(playbook: &Playbook, learned: Option<&Value>) -> Result<(), Stop> {
    output::line(format!("{}  {}", output::bold(&playbook.name), playbook.doc));
    output::line(format!("  {}", output::dim(&playbook.file)));
    output::line(format!(
        "  risk {}, takes some {}, its time is up after {}",
        text(&json!(playbook.risk)),
        playbook.cost,
        playbook.timeout
    ));
    let functions = [(true, "run"), (playbook.has_verify, "verify"), (playbook.has_rollback, "rollback")];
    let has: Vec<&str> = functions.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
    let not: Vec<&str> = functions.iter().filter(|(has, _)| !has).map(|(_, name)| *name).collect();
    let missing = if not.is_empty() { String::new() } else { format!(", no {}", not.join(", no ")) };
    output::line(format!("  has {}{missing}", has.join(", ")));
    let imports: Vec<&str> = playbook.imports().collect();
    if !imports.is_empty() {
        output::line(format!("  imports {}", imports.join(", ")));
    }
    if !playbook.params.is_empty() {
        let mut table = output::table(&["param", "type", "default", "what it is"]);
        for (name, param) in &playbook.params {
            let default = match &param.default {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None if param.required => "needed".into(),
                None => "-".into(),
            };
            let kind = json!(param.kind).as_str().unwrap_or_default().to_owned();
            table.add_row([name.clone(), kind, default, param.doc.clone()]);
        }
        output::line(format!("\n{table}"));
    }
    let specs = dry::risks().map_err(|error| Stop::Failed(error.to_string()))?;
    let mut table = output::table(&["action", "risk", "after a crash", "what it does"]);
    for name in &playbook.actions {
        let spec = specs.get(name);
        let again = spec.map_or("?", |it| if it.idempotent { "is repeated" } else { "is looked at" });
        table.add_row([
            name.as_str(),
            &spec.map_or("?".into(), |it| text(&json!(it.risk))),
            again,
            spec.map_or("not built in: of a plugin", |it| &it.doc),
        ]);
    }
    output::line(format!("\n{table}"));
    let rows = learned.and_then(|it| it["learned"].as_array());
    output::line("");
    match rows {
        Some(rows) if !rows.is_empty() => stats::playbooks(rows),
        Some(_) => output::line(output::dim("nothing is learned of it yet")),
        None => output::line(output::dim("no engine answers, so what is learned of it is not known")),
    }
    output::line("");
    let width = playbook.text.lines().count().to_string().len();
    for (n, line) in playbook.text.lines().enumerate() {
        output::line(format!("{} {line}", output::dim(format!("{:>width$} |", n + 1))));
    }
    Ok(())
}
