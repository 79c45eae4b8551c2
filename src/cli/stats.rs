//! `paramedic stats`: how well repairs go, and confidence in each playbook.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Remote, text};
use super::output;

/// Options of `stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    remote: Remote,
}

/// Prints them.
pub fn main(args: &Args) -> ExitCode {
    let answer = args.remote.get("/api/observability/remediation/stats").and_then(|stats| {
        let dashboard = args.remote.get("/api/observability/dashboard")?;
        // An engine that is not ready says why, which is what a person should see to first.
        let problems = match args.remote.get("/readyz") {
            Ok(ready) => ready["problems"].as_array().into_iter().flatten().map(text).collect(),
            Err(why) => vec![why],
        };
        Ok((stats, dashboard, problems))
    });
    match answer {
        Ok((stats, ..)) if args.remote.json => output::json(&stats),
        Ok((stats, dashboard, problems)) => {
            print(&stats, &dashboard);
            problems.iter().for_each(|problem| output::line(output::bad(problem)));
        }
        Err(error) => return output::failed(&error),
    }
    ExitCode::SUCCESS
}

fn print(stats: &Value, dashboard: &Value) {
    let health = &dashboard["health"];
    if let Some(score) = health["score"].as_f64() {
        let text = format!("{score:.3} {}", text(&health["status"]));
        let text = match score {
            s if s >= 0.9 => output::good(text),
            s if s >= 0.5 => output::warn(text),
            _ => output::bad(text),
        };
        output::line(format!("health  {text}"));
    }
    let active = stats["active"].as_array().map_or(0, Vec::len);
    let rate = stats["success_rate"].as_f64().map_or_else(|| "-".into(), |r| format!("{:.0} %", r * 100.0));
    output::line(format!(
        "intents {} in all, {active} active, {} succeeded, {} failed, {} escalated; success rate {rate}",
        text(&stats["total"]),
        text(&stats["succeeded"]),
        text(&stats["failed"]),
        text(&stats["escalated"]),
    ));
    playbooks(stats["playbooks"].as_array().map_or(&[], Vec::as_slice));
}

/// Prints what is known of each playbook, a row per class.
pub fn playbooks(rows: &[Value]) {
    if rows.is_empty() {
        output::line("no verified outcomes yet: confidence starts from what is assumed of any playbook");
        return;
    }
    let mut table =
        output::table(&["playbook", "class", "attempts", "successes", "confidence", "90 % interval"]);
    for row in rows {
        let number = |value: &Value| value.as_f64().map_or_else(|| "-".into(), |n| format!("{n:.2}"));
        table.add_row([
            text(&row["playbook"]),
            text(&row["class"]),
            text(&row["attempts"]),
            text(&row["successes"]),
            number(&row["confidence"]),
            format!("{} – {}", number(&row["interval"][0]), number(&row["interval"][1])),
        ]);
    }
    output::line(table);
}
