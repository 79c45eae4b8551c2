//! `paramedic stress boot`: boots the configured kernels again and again, measures, and tells a running engine.

use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::mpsc;

use super::client::Remote;
use super::{Setup, output, run};
use crate::bus::Publisher;
use crate::kernels::{Shim, Spawner};
use crate::model::{Clock, Event, Span};
use crate::platform::log;
use crate::stress::{self, Break, Plan, Progress, Report};

/// Events on their way to the engine; a stress test makes a handful a boot.
const ON_THEIR_WAY: usize = 10_000;

/// What is stressed.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Boot kernels, measure each boot, write JSON lines below logs/stress/boot
    Boot(BootArgs),
}

/// Options of `stress boot`.
#[derive(Debug, clap::Args)]
pub struct BootArgs {
    #[command(flatten)]
    setup: Setup,
    /// Which kernels, separated by commas [default: all]
    #[arg(long, value_delimiter = ',')]
    kernels: Vec<String>,
    /// How many times each is booted
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Break one on purpose, in every run: NAME=crash|hang|slow
    #[arg(long = "break", value_name = "NAME=FAULT")]
    breaks: Vec<Break>,
    /// Longest that a boot may take
    #[arg(long, default_value = "30s", value_parser = Span::parse)]
    timeout: Span,
    #[command(flatten)]
    remote: Remote,
}

/// Does it.
pub fn main(command: &Command) -> ExitCode {
    let Command::Boot(args) = command;
    log::start(false, "warn");
    let report = run::runtime().and_then(|runtime| runtime.block_on(boot(args)));
    match report {
        Ok(report) => {
            if args.remote.json {
                output::json(&report);
            } else {
                print(&report);
            }
            ExitCode::SUCCESS
        }
        Err(error) => output::failed(&error),
    }
}

async fn boot(args: &BootArgs) -> Result<Report, String> {
    let config = args.setup.load()?;
    let hidden = config.secret_variables();
    let mut kernels = config.kernels;
    for name in &args.kernels {
        if !kernels.iter().any(|kernel| kernel.name == *name) {
            let known: Vec<&str> = kernels.iter().map(|kernel| kernel.name.as_str()).collect();
            return Err(format!("no kernel is named `{name}`: there are {}", known.join(", ")));
        }
    }
    if !args.kernels.is_empty() {
        kernels.retain(|kernel| args.kernels.contains(&kernel.name));
        for kernel in &mut kernels {
            kernel.depends_on.retain(|needed| args.kernels.contains(needed));
        }
    }
    let bar = ProgressBar::new(u64::from(args.runs) * kernels.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let plan = Plan {
        kernels,
        runs: args.runs,
        breaks: args.breaks.clone(),
        timeout: args.timeout,
        dir: config.logs.join("stress"),
    };
    let spawner =
        Spawner::new(Shim::own()).map_err(|error| format!("failed to start the spawner: {error}"))?;
    let spawner = spawner.hiding(hidden);
    let (wire, events) = mpsc::channel(ON_THEIR_WAY);
    let telling = tokio::spawn(tell(args.remote.clone(), events));
    let told = |progress: &Progress| {
        bar.set_message(words(progress));
        bar.inc(1);
    };
    let report = stress::boot(plan, spawner, Arc::new(Wire(wire)), Clock::system(), told).await;
    bar.finish_and_clear();
    // The engine may be gone; the lines are on disk.
    match telling.await {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(n)) => output::progress(format!("the engine was told of {n} events")),
        Ok(Err(why)) => output::progress(format!("only written to disk: {why}")),
    }
    report.map_err(|error| error.to_string())
}

fn words(progress: &Progress) -> String {
    match (&progress.error, progress.boot_duration_ms) {
        (Some(error), _) => format!("{} failed: {error}", progress.kernel),
        (None, Some(ms)) => {
            format!("{} {ms:.0} ms{}", progress.kernel, if progress.slow { ", slow" } else { "" })
        }
        (None, None) => progress.kernel.clone(),
    }
}

/// Hands events to the task that sends them.
struct Wire(mpsc::Sender<Event>);

impl Publisher for Wire {
    fn publish(&self, event: Event) {
        // What does not fit is on disk all the same.
        drop(self.0.try_send(event));
    }
}

/// Sends what comes to the engine until nothing more comes; how many it took.
async fn tell(remote: Remote, mut events: mpsc::Receiver<Event>) -> Result<u64, String> {
    let mut told = 0;
    let mut batch = Vec::new();
    while events.recv_many(&mut batch, 500).await > 0 {
        let answer = remote.send(reqwest::Method::POST, "/api/events", Some(&json!(batch))).await;
        match answer {
            Ok(answer) => told += answer["accepted"].as_u64().unwrap_or(0),
            Err(why) => {
                events.close();
                return Err(why);
            }
        }
        batch.clear();
    }
    Ok(told)
}

fn print(report: &Report) {
    let ms = |value: Option<f64>| value.map_or_else(|| "-".into(), |ms| format!("{ms:.0} ms"));
    let failures = match report.failures {
        0 => output::good("none failed"),
        n => output::bad(format!("{n} failed")),
    };
    output::line(format!("{} boots, {failures}, {} slow", report.boots, report.slow));
    output::line(format!(
        "boot time {} on average, 95 % within {}; {:.1} kernels came up in a run",
        ms(report.avg_boot_time_ms),
        ms(report.p95_boot_time_ms),
        report.avg_kernels_activated
    ));
    let mut table = output::table(&["kernel", "boots", "failures"]);
    for (name, [boots, failures]) in &report.kernels {
        table.add_row([name.clone(), boots.to_string(), failures.to_string()]);
    }
    output::line(table);
    output::line(output::dim(format!("written to {}", report.file.display())));
}
