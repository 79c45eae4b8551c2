//! `paramedic send TOPIC --data JSON`: sends an event to a running engine.

use std::io::Read;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::client::Remote;
use super::output;
use crate::model::{Priority, Time, Topic};

/// Options of `send`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What happened, such as telemetry.stress.boot_failed
    topic: String,
    /// The payload as JSON; - reads it from standard input
    #[arg(long, default_value = "{}", value_name = "JSON")]
    data: String,
    /// What it is about, such as kernel-17
    #[arg(long)]
    subject: Option<String>,
    /// Who says so
    #[arg(long, default_value = "cli")]
    source: String,
    /// With the source, the idempotency key [default: a new one]
    #[arg(long)]
    id: Option<String>,
    /// When it happened, such as 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "RFC 3339", value_parser = time)]
    time: Option<Time>,
    /// low, normal, high or critical
    #[arg(long, default_value = "normal")]
    priority: Priority,
    #[command(flatten)]
    remote: Remote,
}

/// Sends it, and says whether it was new.
pub fn main(args: Args) -> ExitCode {
    if let Err(error) = Topic::try_new(&args.topic) {
        return output::misused(&error.to_string());
    }
    let data = match data(&args.data) {
        Ok(data) => data,
        Err(error) => return output::misused(&error),
    };
    let mut event = Map::new();
    event.insert("topic".into(), args.topic.clone().into());
    event.insert("source".into(), args.source.into());
    event.insert("data".into(), data);
    event.insert("priority".into(), args.priority.as_str().into());
    let id = args.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    event.insert("id".into(), id.clone().into());
    if let Some(subject) = args.subject {
        event.insert("subject".into(), subject.into());
    }
    if let Some(time) = args.time {
        event.insert("time".into(), json!(time));
    }
    match args.remote.post("/api/events", &Value::Object(event)) {
        Ok(mut receipt) => {
            if args.remote.json {
                receipt["id"] = id.into();
                output::json(&receipt);
            } else if receipt["accepted"] == 1 {
                output::line(format!("{} {} {}", output::good("accepted"), args.topic, output::dim(id)));
            } else {
                output::line(format!("{} {id} was there already", output::warn("duplicate")));
            }
            ExitCode::SUCCESS
        }
        Err(error) => output::failed(&error),
    }
}

fn time(text: &str) -> Result<Time, String> {
    text.parse().map_err(|_| "use RFC 3339, such as 2026-01-31T12:00:00Z".into())
}

fn data(text: &str) -> Result<Value, String> {
    let text = match text {
        "-" => {
            let mut read = String::new();
            std::io::stdin()
                .read_to_string(&mut read)
                .map_err(|e| format!("failed to read standard input: {e}"))?;
            read
        }
        text => text.to_string(),
    };
    serde_json::from_str(&text).map_err(|error| format!("--data is not JSON: {error}"))
}
