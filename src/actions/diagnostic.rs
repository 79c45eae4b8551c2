//! `diagnostic.run`: looks at the machine, and at a kernel where one is named, and says what stands out.
//!
//! It changes nothing. What it finds it judges by fixed thresholds, each a constant here.

mod machine;
mod process;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};

use super::schema::{number, text};
use super::{Action, Call, Spec};
use crate::kernels::{Registry, State};
use crate::model::{Failure, Risk, Span};

pub(super) struct Run {
    kernels: Registry,
    spec: Arc<Spec>,
}

/// Something that stands out.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Finding {
    severity: Severity,
    /// `cpu`, `memory`, `disk`, `process`, `kernel` or `log`.
    area: &'static str,
    message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Info,
    Warning,
    Critical,
}

/// Lines of the log that are looked at, if the call does not say.
const LINES: u64 = 200;

/// Lines of the log that are given back: enough to see a pattern.
const SHOWN_LINES: usize = 20;

/// Longest line that is given back.
const SHOWN_CHARS: usize = 500;

/// A line that holds one of these is taken for an error.
const ERROR_WORDS: [&str; 9] =
    ["error", "panic", "fatal", "exception", "traceback", "out of memory", "segfault", "failed", "timed out"];

impl Run {
    pub(super) fn new(kernels: Registry, _config: super::DiagnosticConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "target": { "type": "string", "description": "kernel to look at; the intent's target if not said" },
                "lines": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "lines of its log to look at; 200 if not said" },
            },
            "additionalProperties": false,
        });
        let result = json!({
            "type": "object",
            "properties": {
                "summary": { "type": "string" },
                "severity": { "enum": ["info", "warning", "critical"] },
                "findings": { "type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "severity": { "type": "string" }, "area": { "type": "string" }, "message": { "type": "string" },
                    },
                } },
                "machine": { "type": "object" },
                "kernel": { "type": ["object", "null"] },
                "processes": { "type": "array" },
                "errors": { "type": "array", "items": { "type": "string" } },
            },
        });
        let spec = Spec {
            name: "diagnostic.run".into(),
            doc: "Looks at the machine and at a kernel, and says what stands out.".into(),
            params,
            result,
            idempotent: true,
            risk: Risk::Low,
            timeout: Span::secs(30),
        };
        Self { kernels, spec: Arc::new(spec) }
    }
}

impl Action for Run {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let kernels = self.kernels.clone();
        Box::pin(async move {
            let target = text(&call.params, "target").unwrap_or(&call.target);
            let lines = number(&call.params, "lines").unwrap_or(LINES);
            run(&kernels, target, usize::try_from(lines).unwrap_or(usize::MAX)).await
        })
    }

    fn dry_run(&self, call: &Call) -> String {
        match text(&call.params, "target").unwrap_or(&call.target) {
            "" => "would look at the machine".into(),
            target => format!("would look at the machine and at `{target}`"),
        }
    }
}

async fn run(kernels: &Registry, target: &str, lines: usize) -> Result<Value, Failure> {
    let mut findings = Vec::new();
    let machine = machine::look(&mut findings).await?;
    let (mut processes, mut errors) = (Vec::new(), Vec::new());
    let kernel = kernels.get(target);
    if let Some(view) = &kernel {
        let health = kernels.health(target).await?;
        if !health.healthy {
            let message = format!("kernel `{target}`: {}", health.problems.join("; "));
            findings.push(Finding { severity: Severity::Critical, area: "kernel", message });
        }
        if view.restarts > 3 {
            let message = format!("kernel `{target}` was restarted {} times", view.restarts);
            findings.push(Finding { severity: Severity::Warning, area: "kernel", message });
        }
        slow_boot(target, view.boot_ms, view.baseline_ms, &mut findings);
        for pid in &view.pids {
            // It may end while it is looked at.
            processes.extend(process::look(*pid, &mut findings).await);
        }
        if view.state != State::Stopped {
            errors = error_lines(kernels.logs(target, lines).await?);
        }
        if !errors.is_empty() {
            let message = format!("the log of `{target}` shows {} lines of errors", errors.len());
            findings.push(Finding { severity: Severity::Warning, area: "log", message });
        }
    } else if !target.is_empty() {
        let message = format!("`{target}` is no kernel: only the machine was looked at");
        findings.push(Finding { severity: Severity::Info, area: "kernel", message });
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let severity = findings.first().map_or(Severity::Info, |finding| finding.severity);
    let loud: Vec<&str> =
        findings.iter().filter(|f| f.severity > Severity::Info).map(|f| f.message.as_str()).collect();
    let summary = if loud.is_empty() { "nothing stands out".into() } else { loud.join("; ") };
    let shown = errors.split_off(errors.len().saturating_sub(SHOWN_LINES));
    Ok(json!({
        "summary": summary, "severity": severity, "findings": findings, "machine": machine,
        "kernel": kernel, "processes": processes, "errors": shown,
    }))
}

fn slow_boot(target: &str, boot: Option<f64>, baseline: Option<f64>, findings: &mut Vec<Finding>) {
    if let (Some(boot), Some(baseline)) = (boot, baseline)
        && boot > 2.0 * baseline
    {
        let message = format!("kernel `{target}` took {boot:.0} ms to boot, usually {baseline:.0} ms");
        findings.push(Finding { severity: Severity::Warning, area: "kernel", message });
    }
}

fn error_lines(lines: Vec<String>) -> Vec<String> {
    let is_error = |line: &String| {
        let line = line.to_lowercase();
        ERROR_WORDS.iter().any(|word| line.contains(word))
    };
    lines.into_iter().filter(is_error).map(|line| line.chars().take(SHOWN_CHARS).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_errors_are_picked_out_of_a_log_and_cut() {
        let lines =
            ["ok", "ERROR disk gone", "thread 'main' panicked at x", "request served"].map(String::from);
        let long = format!("fatal {}", "x".repeat(900));
        let found = error_lines(lines.into_iter().chain([long]).collect());
        assert_eq!(found[..2], ["ERROR disk gone", "thread 'main' panicked at x"]);
        assert_eq!((found.len(), found[2].len()), (3, SHOWN_CHARS));
    }
}
