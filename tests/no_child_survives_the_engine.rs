//! However the engine dies, `kill -9` included and at whatever moment, none of its processes is left behind.
//!
//! The engine is this test's own program, started anew with `PARAMEDIC_TEST_ENGINE` set to a directory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use paramedic::bus::Publisher;
use paramedic::kernels::{Registry, Shim, Spawner, Spec};
use paramedic::model::{Clock, Event};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

const ENGINE: &str = "PARAMEDIC_TEST_ENGINE";

struct Nobody;
impl Publisher for Nobody {
    fn publish(&self, _event: Event) {}
}

/// Not a test: the engine that the tests kill.
#[tokio::test]
#[ignore = "is started by the tests below"]
async fn engine() {
    let Ok(dir) = std::env::var(ENGINE) else { return };
    let dir = Path::new(&dir);
    // Each has a child of its own, which a parent-death signal would not reach, and one that has left its group besides.
    let kernel = |i: usize| {
        let command = ["sh", "-c", "(setsid sleep 1000 &) ; sleep 1000 & sleep 1000"].map(String::from);
        let spec = serde_json::json!({ "name": format!("k{i}"), "command": command });
        serde_json::from_value::<Spec>(spec).unwrap()
    };
    let spawner = Spawner::new(Shim::at(env!("CARGO_BIN_EXE_paramedic"))).unwrap();
    let specs = (0..4).map(kernel).collect();
    let registry =
        Registry::new(specs, Arc::new(Nobody), spawner, dir.join("logs"), Clock::system()).unwrap();
    registry.boot().await;
    std::fs::write(dir.join("ready"), "").unwrap();
    loop {
        // Something is always being started and stopped.
        registry.restart("k0", None, "").await.ok();
    }
}

fn start_engine(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "engine"])
        .env(ENGINE, dir)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Processes that have the engine's mark in their environment, and guardians of engine `pid`.
fn processes(dir: &Path, pid: u32) -> Vec<u32> {
    let mark = format!("{ENGINE}={}\0", dir.display());
    let numbers = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    numbers
        .filter(|number| {
            let read = |what: &str| std::fs::read(format!("/proc/{number}/{what}")).unwrap_or_default();
            let environ = String::from_utf8_lossy(&read("environ")).into_owned();
            environ.contains(&mark) || (is_guardian(*number) && parent(*number) == Some(pid))
        })
        .collect()
}

fn is_guardian(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("__guardian")
}

fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // An orphan that nobody reaps is dead all the same.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// When the process of this number began; numbers are given again.
fn born(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(String::from)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// Kills the engine and checks that all it ever started, as far as one can see, goes with it.
async fn kill_and_check(dir: &Path, mut engine: Child) -> usize {
    let pid = engine.id();
    let seen: Vec<_> = processes(dir, pid).into_iter().map(|pid| (pid, born(pid))).collect();
    engine.kill().unwrap();
    engine.wait().unwrap();
    until("all processes of the engine are gone", || {
        seen.iter().all(|(pid, when)| !is_alive(*pid) || born(*pid) != *when)
            && processes(dir, pid).iter().all(|pid| !is_alive(*pid))
    })
    .await;
    seen.len()
}

#[tokio::test]
async fn killed_while_all_runs_and_after_its_guardian_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    for guardian_first in [false, true] {
        std::fs::remove_file(dir.path().join("ready")).ok();
        let engine = start_engine(dir.path());
        let pid = engine.id();
        until("the engine is ready", || dir.path().join("ready").exists()).await;
        let guardian =
            || processes(dir.path(), pid).into_iter().find(|pid| is_guardian(*pid) && is_alive(*pid));
        until("there is a guardian", || guardian().is_some()).await;
        if guardian_first {
            let first = guardian().unwrap();
            kill(first);
            until("there is another guardian", || guardian().is_some_and(|pid| pid != first)).await;
        }
        // The engine itself, its guardian, and of three kernels at least the shell and both sleepers.
        let seen = kill_and_check(dir.path(), engine).await;
        assert!(seen >= 11, "only {seen} processes were there to be ended");
    }
}

#[tokio::test]
async fn killed_at_any_moment_of_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut most = 0;
    for round in 0..40 {
        let engine = start_engine(dir.path());
        sleep(Duration::from_millis(5 + round * 4)).await;
        most = most.max(kill_and_check(dir.path(), engine).await);
    }
    assert!(most >= 6, "no kill came late enough to prove anything");
}
