//! The machine: load, memory, disks, and who uses most of them.

use std::time::Duration;

use serde_json::{Value, json};
use sysinfo::{Disks, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Finding, Severity};
use crate::model::Failure;

/// Processor time is a difference: between two looks this far apart.
const BETWEEN: Duration = Duration::from_millis(250);

/// Load for each processor that makes work wait noticeably, and badly.
const LOAD: [f64; 2] = [2.0, 5.0];

/// Memory in use, in per cent.
const MEMORY: [f64; 2] = [90.0, 96.0];

/// Space in use on a disk, in per cent.
const DISK: [f64; 2] = [90.0, 97.0];

/// Smaller file systems are made for a purpose and often full.
const SMALL_DISK: u64 = 64 * 1024 * 1024;

/// How many processes are listed.
const TOP: usize = 5;

pub(super) async fn look(findings: &mut Vec<Finding>) -> Result<Value, Failure> {
    let broken = |_| Failure::retryable("failed", "the look at the machine broke off");
    // Reading /proc blocks, with many processes for a while.
    let system = tokio::task::spawn_blocking(|| {
        let mut system = System::new_with_specifics(Default::default()).map_err(|error| error.to_string())?;
        refresh(&mut system);
        Ok::<_, String>(system)
    });
    let mut system = system
        .await
        .map_err(broken)?
        .map_err(|error| Failure::new("failed", format!("cannot look at the machine: {error}")))?;
    tokio::time::sleep(BETWEEN).await;
    let (machine, found) = tokio::task::spawn_blocking(move || {
        refresh(&mut system);
        let mut found = Vec::new();
        (describe(&system, &mut found), found)
    })
    .await
    .map_err(broken)?;
    findings.extend(found);
    Ok(machine)
}

fn refresh(system: &mut System) {
    system.refresh_cpu_usage();
    system.refresh_memory();
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
}

fn describe(system: &System, findings: &mut Vec<Finding>) -> Value {
    let cpus = system.cpus().len().max(1);
    let load = System::load_average().map_or([0.0; 3], |load| [load.one, load.five, load.fifteen]);
    judge(load[0] / cpus as f64, LOAD, "cpu", findings, |_| {
        format!("the load is {:.1} on {cpus} processors", load[0])
    });
    let (total, available) = (system.total_memory(), system.available_memory());
    judge(used(total, available), MEMORY, "memory", findings, |share| {
        format!("{share:.0} % of memory is in use")
    });
    json!({
        "cpus": cpus,
        "cpu_percent": round(system.global_cpu_usage().into()),
        "load": load,
        "memory_bytes": total,
        "memory_available_bytes": available,
        "swap_used_bytes": system.used_swap(),
        "disks": disks(findings),
        "top_cpu": top(system, |process| f64::from(process.cpu_usage())),
        "top_memory": top(system, |process| process.memory() as f64),
    })
}

fn disks(findings: &mut Vec<Finding>) -> Vec<Value> {
    let Ok(disks) = Disks::new_with_refreshed_list() else { return Vec::new() };
    let mut seen = std::collections::BTreeSet::new();
    let mut rows = Vec::new();
    for disk in disks.iter().filter(|disk| disk.total_space() >= SMALL_DISK && !disk.is_read_only()) {
        // In containers one file system is mounted in many places.
        if !seen.insert((disk.name().to_owned(), disk.total_space())) {
            continue;
        }
        let (total, free) = (disk.total_space(), disk.available_space());
        let place = disk.mount_point().display().to_string();
        judge(used(total, free), DISK, "disk", findings, |share| format!("{place} is {share:.0} % full"));
        rows.push(json!({ "mount": place, "total_bytes": total, "available_bytes": free }));
    }
    rows
}

fn top(system: &System, by: impl Fn(&sysinfo::Process) -> f64) -> Vec<Value> {
    let mut all: Vec<&sysinfo::Process> = system.processes().values().collect();
    all.sort_by(|a, b| by(b).total_cmp(&by(a)));
    let row = |process: &&sysinfo::Process| {
        json!({
            "pid": process.pid().as_u32(),
            "name": process.name().to_string_lossy(),
            "cpu_percent": round(process.cpu_usage().into()),
            "memory_bytes": process.memory(),
        })
    };
    all.iter().take(TOP).map(row).collect()
}

fn judge(
    value: f64,
    limits: [f64; 2],
    area: &'static str,
    findings: &mut Vec<Finding>,
    message: impl Fn(f64) -> String,
) {
    let severity = match value {
        v if v >= limits[1] => Severity::Critical,
        v if v >= limits[0] => Severity::Warning,
        _ => return,
    };
    findings.push(Finding { severity, area, message: message(value) });
}

fn used(total: u64, available: u64) -> f64 {
    if total == 0 { 0.0 } else { 100.0 * (1.0 - available as f64 / total as f64) }
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_full_is_found_with_the_right_severity() {
        for (total, available, expected) in [
            (100, 50, None),
            (0, 0, None),
            (100, 8, Some(Severity::Warning)),
            (100, 1, Some(Severity::Critical)),
        ] {
            let mut findings = Vec::new();
            judge(used(total, available), DISK, "disk", &mut findings, |share| format!("{share:.0} %"));
            assert_eq!(findings.first().map(|finding| finding.severity), expected, "{total} {available}");
        }
    }
}
