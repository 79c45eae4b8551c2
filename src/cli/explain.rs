//! `paramedic explain EVENT`: why each rule does or does not fire for it.

use std::io::Read;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::{Remote, items, text};
use super::output;

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of an event in the log, an event as JSON, or - to read one from standard input
    event: String,
    /// Only rules whose name contains this
    #[arg(long)]
    rule: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Asks and prints.
pub fn main(args: Args) -> ExitCode {
    let question = match question(&args.event) {
        Ok(question) => question,
        Err(error) => return output::misused(&error),
    };
    match args.remote.post("/api/explain", &question) {
        Ok(mut answer) => {
            if let Some(only) = &args.rule
                && let Err(error) = narrow(&mut answer, only)
            {
                return output::failed(&error);
            }
            if args.remote.json { output::json(&answer) } else { print(&answer) }
        }
        Err(error) => return output::failed(&error),
    }
    ExitCode::SUCCESS
}

fn question(event: &str) -> Result<Value, String> {
    let mut text = event.to_string();
    if event == "-" {
        text.clear();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|e| format!("failed to read standard input: {e}"))?;
    }
    if text.trim_start().starts_with('[') {
        return Err("this is a list: give one event, or the id of one".into());
    }
    if !text.trim_start().starts_with('{') {
        return Ok(json!({ "id": text.trim() }));
    }
    let event: Value =
        serde_json::from_str(&text).map_err(|error| format!("the event is not JSON: {error}"))?;
    Ok(json!({ "event": event }))
}

/// Keeps only the rules whose name contains `only`.
fn narrow(answer: &mut Value, only: &str) -> Result<(), String> {
    let Some(rules) = answer["rules"].as_array_mut() else { return Ok(()) };
    rules.retain(|rule| text(&rule["rule"]).contains(only));
    if rules.is_empty() {
        return Err(format!("no rule's name contains `{only}`; `paramedic rules` lists them"));
    }
    Ok(())
}

/// What came with an event must not steer the terminal.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

fn print(answer: &Value) {
    let event = &answer["event"];
    output::line(format!(
        "{} {} {}",
        output::bold(text(&event["topic"])),
        plain(&text(&event["subject"])),
        output::dim(plain(&text(&event["id"])))
    ));
    let decided = &answer["decided"];
    output::line(output::dim(match text(&decided["when"]).as_str() {
        "now" => "as it would be decided now".to_owned(),
        "then" if decided["still_live"] == true => format!("as it was decided at {}", text(&decided["at"])),
        "then" => format!("as it was decided at {}, by the rules as they were then", text(&decided["at"])),
        _ => format!("by the rules of today: {}", text(&decided["why"])),
    }));
    let empty = Vec::new();
    let rules = answer["rules"].as_array().unwrap_or(&empty);
    if rules.is_empty() && items(answer).is_empty() {
        output::line("  there are no rules");
    }
    for rule in rules {
        let name = text(&rule["rule"]);
        let mark = if rule["fired"] == true { output::good("fires") } else { output::dim("does not fire") };
        output::line(format!("  {name}: {mark}: {}", plain(&text(&rule["reason"]))));
    }
}
