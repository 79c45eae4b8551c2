//! `diagnostic.run`: looks where a person would look first, at the machine and at a kernel, and says what it found.
//!
//! It changes nothing. Each check is bounded in time and size and stands by itself: one that fails says so in a finding
//! and spoils no other. What is found is judged by fixed thresholds, each a constant beside its check.

mod disks;
mod kernel;
mod logs;
mod machine;
mod oom;
mod pressure;
mod process;
mod table;
mod units;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::schema::{number, text, texts};
use super::{Action, Call, DiagnosticConfig, Spec};
use crate::kernels::{Registry, Spawner};
use crate::model::{Failure, Risk, Span};

pub(super) struct Run {
    kernels: Registry,
    spawner: Spawner,
    config: DiagnosticConfig,
    spec: Arc<Spec>,
}

/// Something that was looked at, and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Finding {
    check: &'static str,
    severity: Severity,
    /// One line.
    summary: String,
    /// What the check saw, for programs.
    data: Value,
    /// What to do about it; empty if nothing stands out.
    advice: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// As it should be, or only good to know.
    Info,
    Warning,
    Critical,
}

/// What the checks share: looked up once, by the first that needs it.
struct Scene {
    kernels: Registry,
    spawner: Spawner,
    config: DiagnosticConfig,
    target: String,
    lines: usize,
    file: Option<String>,
    machine: OnceCell<Result<machine::Sample, String>>,
    table: OnceCell<Result<table::Table, String>>,
    disks: OnceCell<Result<disks::Disks, String>>,
}

type Found = Result<Vec<Finding>, String>;

/// Every check, in the order in which a person would look.
const CHECKS: [&str; 13] = [
    "kernel", "log", "load", "cpu", "memory", "pressure", "swap", "oom", "disk", "inodes", "files", "ports",
    "units",
];

/// How long one check may take.
const EACH: Duration = Duration::from_secs(8);

/// Lines of the log that are looked at, if the call does not say.
const LINES: u64 = 200;

/// More findings than this help nobody.
const MAX_FINDINGS: usize = 100;

impl Run {
    pub(super) fn new(kernels: Registry, spawner: Spawner, config: DiagnosticConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "target": { "type": "string", "description": "kernel to look at; the intent's target if not said" },
                "checks": { "type": "array", "minItems": 1, "items": { "enum": CHECKS }, "description": "what to look at; everything if not said" },
                "lines": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "lines of the log to look at; 200 if not said" },
                "file": { "type": "string", "minLength": 1, "description": "a log file to look at instead of the kernel's; `actions.diagnostic.logs` says which may be" },
            },
            "additionalProperties": false,
        });
        let severity = json!({ "enum": ["info", "warning", "critical"] });
        let result = json!({
            "type": "object",
            "properties": {
                "summary": { "type": "string", "description": "what stands out, in one line" },
                "severity": severity,
                "findings": { "type": "array", "description": "the worst first", "items": {
                    "type": "object",
                    "properties": {
                        "check": { "enum": CHECKS }, "severity": severity, "summary": { "type": "string" },
                        "data": { "description": "what the check saw" },
                        "advice": { "type": "string", "description": "what to do; empty if nothing stands out" },
                    },
                } },
                "checks": { "type": "object", "description": "each check that was made: ok, or why it could not look", "additionalProperties": { "type": "string" } },
                "kernel": { "type": ["object", "null"] },
                "errors": { "type": "array", "description": "last lines of errors in the log", "items": { "type": "string" } },
            },
        });
        let spec = Spec {
            name: "diagnostic.run".into(),
            doc: "Looks at the machine and at a kernel, and says what stands out.".into(),
            params,
            result,
            idempotent: true,
            acts: false,
            risk: Risk::Low,
            timeout: Span::secs(30),
        };
        Self { kernels, spawner, config, spec: Arc::new(spec) }
    }

    fn scene(&self, call: &Call) -> Scene {
        let lines = number(&call.params, "lines").unwrap_or(LINES);
        Scene {
            kernels: self.kernels.clone(),
            spawner: self.spawner.clone(),
            config: self.config.clone(),
            target: text(&call.params, "target").unwrap_or(&call.target).to_owned(),
            lines: usize::try_from(lines).unwrap_or(usize::MAX),
            file: text(&call.params, "file").map(str::to_owned),
            machine: OnceCell::new(),
            table: OnceCell::new(),
            disks: OnceCell::new(),
        }
    }
}

/// The checks that a call wants, in our order.
fn wanted(call: &Call) -> Vec<&'static str> {
    let named = texts(&call.params, "checks");
    CHECKS.into_iter().filter(|check| named.is_empty() || named.iter().any(|it| it == check)).collect()
}

impl Action for Run {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let scene = self.scene(&call);
        Box::pin(async move {
            if let Some(file) = &scene.file {
                logs::may_read(file, &scene.config.logs)?;
            }
            Ok(run(&scene, &wanted(&call)).await)
        })
    }

    fn dry_run(&self, call: &Call) -> String {
        let scene = self.scene(call);
        if let Some(file) = &scene.file
            && let Err(failure) = logs::may_read(file, &scene.config.logs)
        {
            return format!("would be refused: {failure}");
        }
        let at = if scene.target.is_empty() { String::new() } else { format!(" and at `{}`", scene.target) };
        let checks = wanted(call);
        let what =
            if checks.len() == CHECKS.len() { String::new() } else { format!(": {}", checks.join(", ")) };
        format!("would look at the machine{at}{what}")
    }
}

async fn run(scene: &Scene, checks: &[&'static str]) -> Value {
    let looks = join_all(checks.iter().map(|check| async move {
        let found = match tokio::time::timeout(EACH, look(scene, check)).await {
            Ok(found) => found,
            Err(_) => Err(format!("it took longer than {} s", EACH.as_secs())),
        };
        (*check, found)
    }))
    .await;
    let (findings, made) = settle(looks);
    let severity = findings.first().map_or(Severity::Info, |finding| finding.severity);
    let loud: Vec<&str> =
        findings.iter().filter(|f| f.severity > Severity::Info).map(|f| f.summary.as_str()).collect();
    let summary = if loud.is_empty() { "nothing stands out".into() } else { loud.join("; ") };
    let log = findings.iter().find(|finding| finding.check == "log");
    let errors = log.and_then(|log| log.data.get("errors")).cloned().unwrap_or_else(|| json!([]));
    json!({
        "summary": summary, "severity": severity, "findings": findings, "checks": made,
        "kernel": scene.kernels.get(&scene.target), "errors": errors,
    })
}

/// All findings, the worst first, and of each check whether it could look.
fn settle(looks: Vec<(&'static str, Found)>) -> (Vec<Finding>, Map<String, Value>) {
    let (mut findings, mut made) = (Vec::new(), Map::new());
    for (check, found) in looks {
        match found {
            Ok(found) => {
                made.insert(check.into(), "ok".into());
                findings.extend(found);
            }
            Err(why) => {
                let summary = format!("could not look at {check}: {why}");
                findings.push(Finding { summary, ..Finding::info(check, String::new(), json!({})) });
                made.insert(check.into(), why.into());
            }
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings.truncate(MAX_FINDINGS);
    (findings, made)
}

async fn look(scene: &Scene, check: &'static str) -> Found {
    match check {
        "kernel" => kernel::look(scene).await,
        "log" => logs::look(scene).await,
        "load" => scene.machine().await.map(machine::load),
        "cpu" => scene.machine().await.map(machine::cpu),
        "memory" => scene.machine().await.map(machine::memory),
        "swap" => scene.machine().await.map(machine::swap),
        "pressure" => pressure::look().await,
        "oom" => oom::look().await,
        "disk" => scene.disks().await.map(disks::space),
        "inodes" => scene.disks().await.map(disks::inodes),
        "files" => table::files(scene.table().await?).await,
        "ports" => table::ports(scene.table().await?).await,
        _ => units::look(&scene.spawner).await,
    }
}

impl Scene {
    async fn machine(&self) -> Result<&machine::Sample, String> {
        self.machine.get_or_init(machine::sample).await.as_ref().map_err(Clone::clone)
    }

    async fn table(&self) -> Result<&table::Table, String> {
        self.table.get_or_init(|| blocking(table::read)).await.as_ref().map_err(Clone::clone)
    }

    async fn disks(&self) -> Result<&disks::Disks, String> {
        self.disks.get_or_init(|| blocking(disks::read)).await.as_ref().map_err(Clone::clone)
    }
}

impl Finding {
    fn info(check: &'static str, summary: String, data: Value) -> Self {
        Self { check, severity: Severity::Info, summary, data, advice: String::new() }
    }

    /// Judged by two limits: from the first it is a warning, from the second critical.
    fn judged(self, value: f64, limits: [f64; 2], advice: &str) -> Self {
        let severity = match value {
            v if v >= limits[1] => Severity::Critical,
            v if v >= limits[0] => Severity::Warning,
            _ => return self,
        };
        Self { severity, advice: advice.into(), ..self }
    }

    fn bad(self, severity: Severity, advice: &str) -> Self {
        Self { severity, advice: advice.into(), ..self }
    }
}

/// Runs something that blocks, where that hurts nobody.
async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(f).await {
        Ok(result) => result,
        Err(_) => Err("the look broke off".into()),
    }
}

/// Text that is short enough to be shown.
fn brief(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// With one digit behind the point.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Bytes as people say them.
fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// What is used of `total`, in per cent.
fn used(total: u64, available: u64) -> f64 {
    if total == 0 { 0.0 } else { 100.0 * (1.0 - available as f64 / total as f64) }
}

#[cfg(test)]
mod tests;
