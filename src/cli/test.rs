//! `paramedic test`: plays the tests of rules and playbooks in virtual time, with actions that only answer, and shows what differs.

mod junit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Setup, check, output};
use crate::engine::rehearse::{self, Line, Mark, Report, Suite, SuiteError, Unreached};
use crate::model::Span;

/// What `-h` ends with.
const STATUS: &str = "Exit status 0: all passed; 1: one did not, or a file has a mistake; 2: wrong use.";

/// What `--help` ends with.
const EXAMPLE: &str = r#"A test stands in the `tests:` of a rule, or in a file with `tests:` on top:

  tests:
    - name: a crash restarts it
      events:
        - topic: telemetry.kernel.exited
          data: { kernel: k1, expected: false, reason: crash }
      actions:    # one answer a call, the last stays; what is not named goes well
        kernel.restart: [{ fails: no memory, retryable: true }, { takes: 3s }]
        kernel.health: { result: { healthy: true } }
      expect:     # exactly these, in order; of each only what is named here
        intents:
          - { rule: kernel-crashed, status: succeeded, playbook: restart_kernel }
        steps: [kernel.restart, kernel.health]
        alerts: []

The rules are all those of the set, as they are live. Actions do nothing but answer;
only alert.operator and intent.create are real, as they stay within the engine.

  events    topic; at (time from the start), data, subject, source, id, priority,
            time (where it differs from the arrival); those of one moment come together
  actions   result (what it leaves out is as usual), or fails, kind, retryable; takes;
            then: [{ topic, after, data, subject, source }], which follows from it.
            A kernel that is started usually says telemetry.kernel.healthy; `then: []`
            keeps it silent
  people    approve: true, deny: true, cancel: true or answer: TEXT; at, rule, target
  learned   how often playbooks have helped so far: { restart_kernel: 90% }
  playbook  the candidate that is tried first
  start     when it begins, such as 2026-03-29T01:59:00+01:00
  until     how long it is watched; otherwise until nothing is under way
  expect    intents: rule, target, group, class, status, reason, count, goal, domain,
              priority, fleet, playbook, outcome, attempts, escalation, steps, at
            steps: ACTION, or action, params, fails (true, false or a kind), message, at
            alerts: part of the title, or title, message, level, target, count, at
            events: TOPIC, or topic, subject, source, data, at; others may come between

A test of a playbook alone names it and a target; no rule takes part:

  tests:
    - name: a kernel that stays down is told
      playbook: restart_kernel
      target: web
      params: { grace: 2s }
      event: { topic: telemetry.kernel.exited, data: { kernel: web } }    # seen as ctx.event
      actions:
        kernel.restart: { fails: no memory, retryable: false }
      expect:     # beside steps, alerts and events as above
        outcome: failed             # fixed, not_fixed, failed, interrupted or unverified
        failure: { kind: failed, action: kernel.restart, message: no memory }    # or a kind, or null
        verify: null                # what it answered; null: it was not asked
        rollback: false             # whether it was rolled back
        steps: [{ action: kernel.restart, phase: run }]
        # result: { state: healthy }    what `run` returns

Such tests stand in tests/*.yaml or beside the playbook, in playbooks/*.yaml.

A file of tests may also say `rules:` and `playbooks:`, paths from where it lies.

Exit status 0: all passed; 1: one did not, or a file has a mistake; 2: wrong use."#;

/// Options of `test`.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS, after_long_help = EXAMPLE)]
pub struct Args {
    /// Files or folders with tests or rules [default: all rules, tests/ beside the configuration, and tests beside playbooks]
    paths: Vec<PathBuf>,
    /// Only tests whose name, rule or file holds this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Directory of rules, instead of the configured one
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Directory of playbooks, instead of the configured one
    #[arg(long, value_name = "DIR")]
    playbooks: Option<PathBuf>,
    /// Write a report for a CI system, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The configuration [default: paramedic.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Plays the tests; exit status 1 if one fails.
pub fn main(args: &Args) -> ExitCode {
    let mut suite = match find(args) {
        Ok(suite) => suite,
        Err(SuiteError::Missing(path)) => return output::misused(&SuiteError::Missing(path).to_string()),
        Err(error) => return output::failed(&error.to_string()),
    };
    if suite.errors().next().is_some() {
        return mistakes(&suite, args.json);
    }
    if let Some(text) = &args.filter {
        suite.filter(text);
    }
    if suite.is_empty() && (args.filter.is_some() || !args.paths.is_empty()) {
        return output::misused(&none(args.filter.as_deref()));
    }
    let began = Instant::now();
    let mut reports = Vec::with_capacity(suite.len());
    let mut each = |report: Report| {
        if !args.json {
            print(&report);
        }
        reports.push(report);
    };
    if let Err(error) = rehearse::rehearse(&suite.groups, &mut each) {
        return output::failed(&format!("the tests could not be played: {error}"));
    }
    let took = began.elapsed();
    let failed = reports.iter().filter(|report| !report.passed()).count();
    // Of a part of the tests it would say nothing.
    let whole = args.filter.is_none() && args.paths.iter().all(|path| path.join("paramedic.yaml").exists());
    let unreached = if whole { rehearse::unreached(&suite, &reports) } else { Unreached::default() };
    if args.json {
        output::json(&told(&reports, failed, took, &unreached));
    } else {
        sum_up(&reports, failed, took, &unreached);
    }
    if let Some(file) = &args.junit
        && let Err(error) = save(file, &junit::write(&reports, took))
    {
        return output::failed(&format!("failed to write {}: {error}", file.display()));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn save(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(file, text)
}

fn find(args: &Args) -> Result<Suite, SuiteError> {
    let setup = Setup { config: args.config.clone(), data: None, listen: None };
    let mut config = setup.load().map_err(SuiteError::Read)?;
    let mut fixed = args.config.is_some();
    for (given, configured) in [(&args.rules, &mut config.rules), (&args.playbooks, &mut config.playbooks)] {
        if let Some(dir) = given {
            if !dir.is_dir() {
                return Err(SuiteError::Missing(dir.display().to_string()));
            }
            configured.clone_from(dir);
            fixed = true;
        }
    }
    let base = args.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    Suite::find(&config, base, &args.paths, fixed)
}

fn mistakes(suite: &Suite, json: bool) -> ExitCode {
    if json {
        output::json(&json!({ "diagnostics": suite.diagnostics }));
    } else {
        let mut count = 0;
        for diagnostic in suite.errors() {
            check::print(diagnostic);
            count += 1;
        }
        output::line(output::bad(format!(
            "{count} mistake{}, so no test was played",
            if count == 1 { "" } else { "s" }
        )));
    }
    ExitCode::from(1)
}

fn title(report: &Report) -> String {
    let case = &report.case;
    let of = case.alone.as_ref().map_or(&case.rule, |it| &it.playbook);
    if of.is_empty() { case.name.clone() } else { format!("{of}: {}", case.name) }
}

fn print(report: &Report) {
    let (case, name) = (&report.case, title(report));
    let verdict = if report.passed() { output::good("ok    ") } else { output::bad("FAILED") };
    let times = format!("({} in {})", passed(report.seen.virtual_time), real(report.took));
    output::line(format!("{verdict} {name} {}", output::dim(times)));
    if report.passed() {
        return;
    }
    output::line(output::dim(format!("       {}:{}", case.file, case.line)));
    for line in &report.differences {
        output::line(format!("       {}", coloured(line)));
    }
}

fn coloured(line: &Line) -> String {
    match line.mark {
        Mark::Missing => output::bad(line),
        Mark::Extra => output::good(line),
        Mark::Same => output::dim(line),
        Mark::Note => line.to_string(),
    }
}

fn none(filter: Option<&str>) -> String {
    let which = filter.map(|text| format!(" whose name, rule or file holds `{text}`")).unwrap_or_default();
    format!("there is no test{which}")
}

fn sum_up(reports: &[Report], failed: usize, took: Duration, unreached: &Unreached) {
    if reports.is_empty() {
        return output::line(output::warn(none(None)));
    }
    let lived: Duration = reports.iter().map(|report| report.seen.virtual_time).sum();
    let good = reports.len() - failed;
    let text = format!("{good} passed, {failed} failed; {} of virtual time in {}", passed(lived), real(took));
    output::line("");
    for (what, names) in
        [("rules that never fired", &unreached.rules), ("playbooks that never ran", &unreached.playbooks)]
    {
        if !names.is_empty() {
            output::line(output::dim(format!("{what}: {}", names.join(", "))));
        }
    }
    // Of many tests those that failed are far above by now.
    for report in reports.iter().filter(|report| !report.passed() && reports.len() > 20) {
        output::line(format!(
            "{} {}:{} {}",
            output::bad("FAILED"),
            report.case.file,
            report.case.line,
            title(report)
        ));
    }
    output::line(if failed == 0 { output::good(text) } else { output::bad(text) });
    if failed > 0 {
        output::line(output::dim("- expected and not seen, + seen and not expected"));
    }
}

fn told(reports: &[Report], failed: usize, took: Duration, unreached: &Unreached) -> Value {
    let tests: Vec<Value> = reports
        .iter()
        .map(|report| {
            let case = &report.case;
            let mut test = json!({
                "name": case.name, "rule": case.rule, "playbook": case.alone.as_ref().map(|it| &it.playbook), "file": case.file, "line": case.line,
                "passed": report.passed(), "differences": report.differences,
                "virtual_ms": millis(report.seen.virtual_time), "ms": millis(report.took),
            });
            if !report.passed() {
                test["seen"] = json!(report.seen);
            }
            test
        })
        .collect();
    json!({
        "tests": tests, "passed": reports.len() - failed, "failed": failed, "ms": millis(took),
        "unreached": unreached,
    })
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Virtual time, to the millisecond.
fn passed(time: Duration) -> String {
    Span(Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))).to_string()
}

fn real(time: Duration) -> String {
    match time.as_secs_f64() {
        secs if secs >= 1.0 => format!("{secs:.2} s"),
        secs => format!("{:.1} ms", secs * 1e3),
    }
}
