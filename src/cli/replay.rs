//! `paramedic replay`: what rules would have done with what happened, and what other rules would do instead.

mod show;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::client::Remote;
use super::{Setup, check, output};
use crate::engine::Config;
use crate::engine::files::{Sources, rule_files};
use crate::engine::replay::{self, Options, Report, served};
use crate::model::{Clock, Time};
use crate::plugins;
use crate::rules::{RuleSet, SourceFile};
use crate::store::{self, Sqlite};

/// What `--help` ends with.
const EXAMPLE: &str = "\
Before a changed rule goes live, ask what it would have changed:

  paramedic replay --since 24h --against new-rules/
  paramedic replay --events night.jsonl --rules rules/ --against new-rules/

Nothing is touched: no playbook runs, nothing is written. The log is read from the data directory, or through the
engine that has it open (--url, --token).

Time. Events of the log are played in the order and at the times of their arrival, so the same rules fire as they
fired then; patterns are filled with what came before --since. What is due by itself happens there when time was next
looked at, which is the next recorded event or timer. Lines of a file come in their order, each at the latest
time that a line up to it names; a line without a time comes with the one before it. After the last line time runs on
until nothing waits; of the log it ends with its last event, or at --until. Schedules do not go on after the last event.

What a replay knows: which rules fire, when, for what, with which class, target and candidates; hold-down, cooldown
and rate; which intents were over before anything was done. What it cannot know: what playbooks would have done, what
people would have answered, which candidate learning would have chosen (so `ask_below` is passed over), and what waits
for a busy target or finds too many intents open. An intent that is acted on stays open until the rule's `resolved` or the event that its `verify`
expects comes, or its time is up (`expire`, 15m unless the rule says otherwise).

Exit status 0: nothing changes (or --against was not given); 1: something does, a rule or a line has a mistake, or the
log cannot be read; 2: wrong use.";

/// Options of `replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Events as JSON lines, as `POST /api/events` takes them; - reads standard input
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// From when on: how long ago such as 24h, or a time such as 2026-01-31T12:00:00Z; without --events, of the log
    #[arg(long, value_name = "TIME", required_unless_present = "events")]
    since: Option<String>,
    /// Until when, in the same way [default: to the end]
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// A folder or file of rules [default: the configured ones, or those of the engine that is asked]
    #[arg(long, value_name = "PATH")]
    rules: Option<PathBuf>,
    /// A folder or file of other rules: says what they would change
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Directory of playbooks, instead of the configured one
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// Only rules whose name contains this
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Threads that match; the answer is the same with any number [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    setup: Setup,
    #[command(flatten)]
    remote: Remote,
}

/// Why there is nothing to show.
enum Trouble {
    /// Wrong use.
    Misused(String),
    /// It failed.
    Failed(String),
    /// It failed, and why was printed.
    Told,
}

/// Plays and prints; exit status 1 if `--against` changes anything.
pub fn main(args: &Args) -> ExitCode {
    let report = match play(args) {
        Ok(report) => report,
        Err(Trouble::Misused(error)) => return output::misused(&error),
        Err(Trouble::Failed(error)) => return output::failed(&error),
        Err(Trouble::Told) => return ExitCode::from(1),
    };
    let changed = report.against.as_ref().is_some_and(|against| against.changed);
    if args.remote.json {
        output::json(&report);
    } else {
        show::print(&report);
    }
    if changed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn play(args: &Args) -> Result<Report, Trouble> {
    let mut config = args.setup.load().map_err(Trouble::Failed)?;
    let missing = [&args.rules, &args.against].into_iter().flatten().find(|path| !path.exists());
    if let Some(path) = missing {
        let what = format!("{} is not there: name a folder or file of rules", path.display());
        return Err(Trouble::Misused(what));
    }
    if let Some(playbooks) = &args.playbooks {
        if !playbooks.is_dir() {
            return Err(Trouble::Misused(format!("{} is not a directory", playbooks.display())));
        }
        config.playbooks.clone_from(playbooks);
    }
    let now = Clock::system().now();
    let since = time("--since", args.since.as_deref(), now)?;
    let until = time("--until", args.until.as_deref(), now)?;
    if let (Some(since), Some(until)) = (since, until)
        && until <= since
    {
        return Err(Trouble::Misused("--until is not after --since".into()));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(processors, usize::from);
    let options = Options { since, until, only: args.rule.clone(), threads, ..Options::default() };
    match &args.events {
        Some(path) => of_file(args, &config, &options, path),
        None => of_log(args, &config, &options, now),
    }
}

fn of_file(args: &Args, config: &Config, options: &Options, path: &Path) -> Result<Report, Trouble> {
    let name = path.display().to_string();
    let mut input: Box<dyn Read> = if name == "-" {
        Box::new(std::io::stdin())
    } else {
        let open = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Err(std::io::Error::other("it is a directory: name a file of JSON lines")),
            false => Ok(file),
        });
        Box::new(open.map_err(|error| Trouble::Misused(format!("failed to open {name}: {error}")))?)
    };
    let sets = sets(args, config)?;
    let name = if name == "-" { "standard input" } else { &name };
    replay::file(&sets, options, name, &mut input).map_err(|error| Trouble::Failed(error.to_string()))
}

fn of_log(args: &Args, config: &Config, options: &Options, now: Time) -> Result<Report, Trouble> {
    if !Sqlite::is_at(&config.data) {
        let nothing = format!("there is no log in {}", config.data.display());
        return ask(args, options).map_err(|error| match error {
            Trouble::Failed(error) => Trouble::Failed(format!("{nothing}, and {error}")),
            other => other,
        });
    }
    let store = match Sqlite::open(&config.data, Clock::system()) {
        Ok(store) => store,
        Err(store::Error::InUse { .. }) => return ask(args, options),
        Err(error) => return Err(Trouble::Failed(error.to_string())),
    };
    let sets = sets(args, config)?;
    // What is to come is not in the log.
    let options = Options { until: options.until.filter(|until| *until < now), ..options.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Failed(format!("failed to start: {error}")))?;
    let report = runtime.block_on(replay::log(&sets, &options, &store));
    report.map_err(|error| Trouble::Failed(error.to_string()))
}

/// Asks the engine that has the log open.
fn ask(args: &Args, options: &Options) -> Result<Report, Trouble> {
    let files = |path: &PathBuf| -> Result<Vec<served::File>, Trouble> {
        let files = read(path)?.into_iter();
        Ok(files.map(|SourceFile { path, text }| served::File { path, text }).collect())
    };
    let moment = |time: Time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let question = served::Question {
        since: options.since.map(moment).unwrap_or_default(),
        until: options.until.map(moment),
        rules: args.rules.as_ref().map(files).transpose()?,
        against: args.against.as_ref().map(files).transpose()?,
        rule: options.only.clone(),
        limit: Some(served::MOST),
    };
    let question = serde_json::to_value(question).map_err(|error| Trouble::Failed(error.to_string()))?;
    let answer = args.remote.post("/api/replay", &question).map_err(Trouble::Failed)?;
    serde_json::from_value(answer).map_err(|error| {
        Trouble::Failed(format!("the answer is none to a replay ({error}): is the engine of this version?"))
    })
}

/// The rules, and those to compare with; mistakes in them are printed as `check` does.
fn sets(args: &Args, config: &Config) -> Result<Vec<RuleSet>, Trouble> {
    let known = plugins::names(&config.plugins);
    let mut sets = Vec::new();
    let mut mistakes = Vec::new();
    for path in
        [Some(args.rules.as_ref().unwrap_or(&config.rules)), args.against.as_ref()].into_iter().flatten()
    {
        let built = Sources::of(read(path)?, &config.playbooks).build(&known);
        match (built.rules, built.library) {
            (Some(rules), Some(_)) => sets.push(rules),
            _ => mistakes.extend(built.diagnostics),
        }
    }
    if mistakes.is_empty() {
        return Ok(sets);
    }
    mistakes.dedup();
    if args.remote.json {
        output::json(&serde_json::json!({ "diagnostics": mistakes }));
    } else {
        mistakes.iter().for_each(check::print);
        output::line(output::bad("rules or playbooks have mistakes, so nothing was played"));
    }
    Err(Trouble::Told)
}

fn read(path: &Path) -> Result<Vec<SourceFile>, Trouble> {
    rule_files(path).map_err(Trouble::Failed)
}

fn time(option: &str, text: Option<&str>, now: Time) -> Result<Option<Time>, Trouble> {
    let time = text.map(|text| served::moment(text, now)).transpose();
    time.map_err(|error| Trouble::Misused(format!("{option}: {error}")))
}
