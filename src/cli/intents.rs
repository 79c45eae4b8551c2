//! `paramedic intents`: what is being repaired, what became of it, and a person's answers.

mod asked;
mod which;

use std::process::ExitCode;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{Remote, items, query, text};
use super::output;
use crate::model::{RunStatus, Status};

/// Options of `intents`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those with this status, such as pending or succeeded
    #[arg(long)]
    status: Option<String>,
    /// Only those to which something may still happen
    #[arg(long)]
    open: bool,
    /// At most so many
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one with its attempts, their steps, and why each playbook was chosen
    Show {
        /// Its id, or its first characters where no other begins like it
        id: String,
        /// Show every step of a long journal
        #[arg(long)]
        all: bool,
    },
    /// Say yes to one that waits for approval
    Approve {
        /// Its id, or its first characters where no other begins like it
        id: String,
    },
    /// Say no to one
    Deny {
        /// Its id, or its first characters where no other begins like it
        id: String,
    },
    /// Answer what a playbook asks
    Answer {
        /// Its id, or its first characters where no other begins like it
        id: String,
        /// The answer, one of the choices where there are any
        answer: String,
        /// The question that is meant, as the alert names it, so that a late answer does not count for the next one
        #[arg(long, value_name = "RUN/STEP")]
        question: Option<String>,
    },
    /// Have one that ended without success tried again, as a new intent
    Retry {
        /// Its id, or its first characters where no other begins like it
        id: String,
    },
    /// End one; its run stops before its next effect
    Cancel {
        /// Its id, or its first characters where no other begins like it
        id: String,
    },
}

/// Lists, shows or answers.
pub fn main(args: Args) -> ExitCode {
    let done = match &args.command {
        None => list(&args),
        Some(command) => {
            which::id(&args.remote, command.id()).and_then(|id| carry_out(&args.remote, command, &id))
        }
    };
    done.map_or_else(|error| output::failed(&error), |()| ExitCode::SUCCESS)
}

impl Command {
    fn id(&self) -> &str {
        match self {
            Self::Show { id, .. }
            | Self::Approve { id }
            | Self::Deny { id }
            | Self::Answer { id, .. }
            | Self::Retry { id }
            | Self::Cancel { id } => id,
        }
    }
}

fn carry_out(remote: &Remote, command: &Command, id: &str) -> Result<(), String> {
    match command {
        Command::Show { all, .. } => show(remote, id, *all),
        Command::Approve { .. } => answer(remote, id, "approve"),
        Command::Deny { .. } => answer(remote, id, "deny"),
        Command::Answer { answer, question, .. } => reply(remote, id, answer, question.as_deref()),
        Command::Retry { .. } => retry(remote, id),
        Command::Cancel { .. } => answer(remote, id, "cancel"),
    }
}

fn list(args: &Args) -> Result<(), String> {
    let Filter { status: wanted, open, limit } = &args.filter;
    let wanted = wanted.clone().map(|status| ("status", status));
    let path = query("/api/intents", wanted.into_iter().chain(open.then(|| ("open", "true".to_owned()))));
    let answer = args.remote.list(&path, "items", (*limit).max(1))?;
    if args.remote.json {
        output::json(&answer);
        return Ok(());
    }
    if items(&answer).is_empty() {
        output::line("no intents: nothing has failed that a rule knows of");
        return Ok(());
    }
    let mut table = output::table(&["id", "status", "rule", "target", "matches", "playbook", "goal"]);
    for intent in items(&answer) {
        let playbook = intent["attempts"].as_array().and_then(|a| a.last()).map(|a| text(&a["playbook"]));
        table.add_row([
            text(&intent["id"]),
            status(&text(&intent["status"])),
            text(&intent["rule"]),
            text(&intent["target"]),
            text(&intent["count"]),
            playbook.unwrap_or_else(|| "-".into()),
            text(&intent["goal"]),
        ]);
    }
    output::line(table);
    Ok(())
}

/// Steps that are shown of a long journal: its beginning, and its end.
const ENDS: (usize, usize) = (5, 15);

fn show(remote: &Remote, id: &str, all: bool) -> Result<(), String> {
    let intent = remote.get(&format!("/api/intents/{id}"))?;
    if remote.json {
        output::json(&intent);
        return Ok(());
    }
    output::line(format!("{}  {}", output::bold(text(&intent["goal"])), status(&text(&intent["status"]))));
    if let Some(reason) = intent["reason"].as_str() {
        output::line(format!("  {reason}"));
    }
    output::line(format!(
        "  rule {}, target {}, group {}, {} since {}",
        text(&intent["rule"]),
        text(&intent["target"]),
        text(&intent["group"]),
        if intent["count"] == 1 { "1 match".into() } else { format!("{} matches", text(&intent["count"])) },
        text(&intent["created_at"])
    ));
    if let Some(old) = intent["retry_of"].as_str() {
        output::line(format!("  tries {old} again"));
    }
    asked::show(&intent);
    for why in intent["decision"]["why"].as_array().into_iter().flatten() {
        output::line(format!("  {} {}", output::dim("why:"), text(why)));
    }
    for attempt in intent["attempts"].as_array().into_iter().flatten() {
        let outcome =
            attempt["outcome"].as_str().unwrap_or(if attempt["escalation"] == true { "told" } else { "…" });
        output::line(format!(
            "\n  attempt {} {}: {}  {}",
            text(&attempt["number"]),
            output::bold(text(&attempt["playbook"])),
            outcome,
            output::dim(attempt["message"].as_str().and_then(|it| it.lines().next()).unwrap_or(""))
        ));
        let run = remote.list(&format!("/api/runs/{}", text(&attempt["run"])), "steps", usize::MAX)?;
        let mut journal = run["steps"].as_array().cloned().unwrap_or_default();
        if !(is_open::<Status>(&intent, Status::is_open) && is_open::<RunStatus>(&run, RunStatus::is_open)) {
            journal.iter_mut().for_each(close);
        }
        steps(&journal, all);
    }
    Ok(())
}

fn is_open<T: DeserializeOwned>(of: &Value, is_open: impl FnOnce(T) -> bool) -> bool {
    serde_json::from_value(of["status"].clone()).is_ok_and(is_open)
}

/// A step that had begun when its run ended is not under way any more: an action was cut off, a wait is over.
fn close(step: &mut Value) {
    if step["status"] == "started" {
        let acts = step["kind"] == "act" || step["kind"] == "all";
        step["status"] = if acts { "cut off" } else { "over" }.into();
    }
}

fn steps(steps: &[Value], all: bool) {
    let (first, last) = ENDS;
    let whole = all || steps.len() <= first + last + 1;
    for (i, step) in steps.iter().enumerate() {
        if whole || i < first || i >= steps.len() - last {
            output::line(format!("    {}", step_line(step)));
            for line in more_lines(step) {
                output::line(format!("        {}", output::dim(line)));
            }
        } else if i == first {
            let left = steps.len() - first - last;
            output::line(output::dim(format!("    … {left} steps are left out; `--all` shows them …")));
        }
    }
}

/// What a failed step said besides the first line, such as the end of a program's output.
fn more_lines(step: &Value) -> impl Iterator<Item = &str> {
    step["error"]["message"].as_str().unwrap_or_default().lines().skip(1)
}

/// A step of a run, on one line.
pub fn step_line(step: &Value) -> String {
    let name = match step["name"].as_str() {
        Some("") | None => text(&step["kind"]),
        Some(name) => format!("{} {name}", text(&step["kind"])),
    };
    let end = match (&step["error"], &step["result"]) {
        (Value::Null, Value::Null) => said(&step["request"]),
        (Value::Null, result) => format!("→ {:.160}", result.to_string()),
        (error, _) => {
            let message = text(&error["message"]);
            output::bad(format!("✗ {}", message.lines().next().unwrap_or_default()))
        }
    };
    format!("{:>3} {:<9} {name} {end}", text(&step["seq"]), text(&step["status"]))
}

/// What a step that gives nothing back was about: the text of a `log`, the value of a `metric`, the time of a `sleep`.
fn said(request: &Value) -> String {
    match (&request["level"], &request["text"], &request["value"], &request["time"]) {
        (Value::Null, Value::Null, Value::Null, Value::Null) => String::new(),
        (Value::Null, Value::Null, Value::Null, time) => text(time),
        (Value::Null, Value::Null, value, _) => text(value),
        (level, said, ..) => format!("{}: {:.160}", text(level), text(said).trim()),
    }
}

fn reply(remote: &Remote, id: &str, answer: &str, question: Option<&str>) -> Result<(), String> {
    let said = remote
        .post(&format!("/api/intents/{id}/answer"), &json!({ "answer": answer, "question": question }))?;
    if remote.json {
        output::json(&said);
    } else {
        output::line(format!("{id} goes on with \"{answer}\""));
    }
    Ok(())
}

fn retry(remote: &Remote, id: &str) -> Result<(), String> {
    let intent = remote.post(&format!("/api/intents/{id}/retry"), &json!({}))?;
    if remote.json {
        output::json(&intent);
    } else {
        let (new, status) = (text(&intent["id"]), status(&text(&intent["status"])));
        output::line(format!("{id} is tried again as {new}, which is {status}"));
    }
    Ok(())
}

fn answer(remote: &Remote, id: &str, answer: &str) -> Result<(), String> {
    let intent = remote.post(&format!("/api/intents/{id}/{answer}"), &json!({}))?;
    if remote.json {
        output::json(&intent);
    } else {
        output::line(format!("{id} is {}", status(&text(&intent["status"]))));
    }
    Ok(())
}

/// A status in its colour.
pub fn status(status: &str) -> String {
    match status {
        "succeeded" => output::good(status),
        "failed" | "escalated" | "denied" | "expired" => output::bad(status),
        "running" | "verifying" | "pending" | "held" | "awaiting_approval" => output::warn(status),
        _ => status.to_string(),
    }
}
