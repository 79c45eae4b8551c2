//! The machine: load, processors, memory, swap, and who uses most of them.

use std::time::Duration;

use serde_json::{Value, json};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Finding, blocking, brief, bytes, round, used};

/// What was seen.
pub(super) struct Sample {
    system: System,
    load: [f64; 3],
}

/// Processor time is a difference: between two looks this far apart.
const BETWEEN: Duration = Duration::from_millis(250);

/// Load for each processor that makes work wait noticeably, and badly.
const LOAD: [f64; 2] = [2.0, 5.0];

/// Of all processors, in per cent.
const CPU: [f64; 2] = [95.0, 101.0];

/// Memory in use, in per cent.
const MEMORY: [f64; 2] = [90.0, 96.0];

/// Swap in use, in per cent.
const SWAP: [f64; 2] = [50.0, 90.0];

/// How many processes are listed.
const TOP: usize = 5;

pub(super) async fn sample() -> Result<Sample, String> {
    // Reading /proc blocks, with many processes for a while.
    let mut system = blocking(|| {
        let mut system = System::new_with_specifics(Default::default())
            .map_err(|error| format!("cannot look at the machine: {error}"))?;
        refresh(&mut system);
        Ok(system)
    })
    .await?;
    tokio::time::sleep(BETWEEN).await;
    blocking(move || {
        refresh(&mut system);
        let load = System::load_average().map_or([0.0; 3], |load| [load.one, load.five, load.fifteen]);
        Ok(Sample { system, load })
    })
    .await
}

fn refresh(system: &mut System) {
    system.refresh_cpu_usage();
    system.refresh_memory();
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
}

pub(super) fn load(sample: &Sample) -> Vec<Finding> {
    let (cpus, load) = (sample.system.cpus().len().max(1), sample.load);
    let summary = format!("the load is {:.1} on {cpus} processors", load[0]);
    let data = json!({ "one": load[0], "five": load[1], "fifteen": load[2], "processors": cpus });
    let advice = "see `cpu` for who computes and `pressure` for what work waits for";
    vec![Finding::info("load", summary, data).judged(load[0] / cpus as f64, LOAD, advice)]
}

pub(super) fn cpu(sample: &Sample) -> Vec<Finding> {
    let all = f64::from(sample.system.global_cpu_usage());
    let (top, first) = top(
        &sample.system,
        |process| f64::from(process.cpu_usage()),
        |process| {
            format!(
                "{} ({}) with {:.0} % of one",
                brief(&process.name().to_string_lossy(), 40),
                process.pid(),
                process.cpu_usage()
            )
        },
    );
    let summary = format!("the processors are {all:.0} % busy; most busy is {first}");
    let data = json!({ "percent": round(all), "processors": sample.system.cpus().len(), "top": top });
    vec![Finding::info("cpu", summary, data).judged(
        all,
        CPU,
        "see whether the first of `data.top` does what it should",
    )]
}

pub(super) fn memory(sample: &Sample) -> Vec<Finding> {
    let (total, available) = (sample.system.total_memory(), sample.system.available_memory());
    let share = used(total, available);
    let (top, first) = top(
        &sample.system,
        |process| process.memory() as f64,
        |process| {
            format!(
                "{} ({}) with {}",
                brief(&process.name().to_string_lossy(), 40),
                process.pid(),
                bytes(process.memory())
            )
        },
    );
    let summary = format!("{share:.0} % of {} of memory are in use; most by {first}", bytes(total));
    let data = json!({
        "total_bytes": total, "available_bytes": available, "used_percent": round(share), "top": top,
    });
    vec![Finding::info("memory", summary, data).judged(
        share,
        MEMORY,
        "restart or bound the first of `data.top`",
    )]
}

pub(super) fn swap(sample: &Sample) -> Vec<Finding> {
    let (total, used_bytes) = (sample.system.total_swap(), sample.system.used_swap());
    let data = json!({ "total_bytes": total, "used_bytes": used_bytes });
    if total == 0 {
        return vec![Finding::info("swap", "there is no swap".into(), data)];
    }
    let share = used(total, total.saturating_sub(used_bytes));
    let summary = format!("{share:.0} % of {} of swap are in use", bytes(total));
    let advice =
        "something was pushed out of memory: see `memory`, and `pressure` for whether it still hurts";
    vec![Finding::info("swap", summary, data).judged(share, SWAP, advice)]
}

/// The first few by `by`, and the very first in words.
fn top(
    system: &System,
    by: impl Fn(&Process) -> f64,
    words: impl Fn(&Process) -> String,
) -> (Vec<Value>, String) {
    let mut all: Vec<&Process> = system.processes().values().collect();
    all.sort_by(|a, b| by(b).total_cmp(&by(a)));
    let row = |process: &&Process| {
        json!({
            "pid": process.pid().as_u32(),
            "name": brief(&process.name().to_string_lossy(), 100),
            "cpu_percent": round(process.cpu_usage().into()),
            "memory_bytes": process.memory(),
        })
    };
    let first = all.first().map_or_else(|| "nobody".into(), |process| words(process));
    (all.iter().take(TOP).map(row).collect(), first)
}
