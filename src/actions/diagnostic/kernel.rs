//! The kernel that the diagnosis is about: its health, how it boots, its processes.

use serde_json::json;

use super::{Finding, Found, Scene, Severity, process};

/// Restarts from which something is wrong with it.
const RESTARTS: u64 = 3;

/// A boot that takes this many times what it usually takes is slow.
const SLOW: f64 = 2.0;

/// Replicas whose processes are looked at.
const MAX: usize = 20;

pub(super) async fn look(scene: &Scene) -> Found {
    let target = scene.target.as_str();
    let Some(view) = scene.kernels.get(target) else {
        let summary = match target {
            "" => "no kernel is named: only the machine was looked at".into(),
            target => format!("`{target}` is no kernel: only the machine was looked at"),
        };
        return Ok(vec![Finding::info("kernel", summary, json!({}))]);
    };
    let health = scene.kernels.health(target).await.map_err(|failure| failure.message)?;
    let mut found = Vec::new();
    if !health.healthy {
        let summary = format!("kernel `{target}`: {}", health.problems.join("; "));
        let finding =
            Finding::info("kernel", summary, json!({ "problems": health.problems, "state": view.state }));
        found.push(
            finding.bad(Severity::Critical, "see `log` for why; a restart (`restart_kernel`) often helps"),
        );
    }
    if view.restarts > RESTARTS {
        let summary = format!("kernel `{target}` was restarted {} times", view.restarts);
        let finding = Finding::info("kernel", summary, json!({ "restarts": view.restarts }));
        found.push(
            finding.bad(Severity::Warning, "restarting does not cure it: look for the cause in its log"),
        );
    }
    if let (Some(boot), Some(usual)) = (view.boot_ms, view.baseline_ms)
        && boot > SLOW * usual
    {
        let summary = format!("kernel `{target}` took {boot:.0} ms to boot, usually {usual:.0} ms");
        let finding = Finding::info("kernel", summary, json!({ "boot_ms": boot, "baseline_ms": usual }));
        found
            .push(finding.bad(Severity::Warning, "see `load`, `pressure` and `disk` for what slows it down"));
    }
    let mut processes = Vec::new();
    for pid in view.pids.iter().take(MAX) {
        // It may end while it is looked at.
        processes.extend(process::look(*pid, &mut found).await);
    }
    let summary = format!(
        "kernel `{target}` is {} with {} of {} replicas",
        view.state.as_str(),
        view.pids.len(),
        view.desired
    );
    found.push(Finding::info("kernel", summary, json!({ "processes": processes })));
    Ok(found)
}
