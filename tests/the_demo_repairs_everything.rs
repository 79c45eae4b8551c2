//! `paramedic demo --once` breaks real processes and ends with 0 only if all were repaired and seen to be; killing it
//! leaves no process behind.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn every_broken_kernel_comes_back_verified_and_the_confidence_is_told() {
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(["demo", "--once", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
    assert!(said.contains("18 kernels on 3 layers"), "{said}");
    for fault in ["crashes", "hangs", "boots slowly", "fails to boot"] {
        let repaired = said.lines().filter(|line| line.contains(fault) && line.contains("restart_kernel"));
        assert!(repaired.count() >= 2, "kernels that {fault} are in the table of repairs: {said}");
    }
    assert!(said.contains("BEFORE") && said.contains("AFTER"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours in a pipe: {said:?}");
}

#[test]
fn killed_in_the_middle_it_leaves_no_process_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(["demo", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait(&mut demo, "ten kernels run", || children(dir.path()) >= 10);
    demo.kill().unwrap();
    demo.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while children(dir.path()) > 0 {
        assert!(Instant::now() < deadline, "{} children have survived it", children(dir.path()));
        std::thread::yield_now();
    }
}

fn wait(demo: &mut Child, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(demo.try_wait().unwrap().is_none(), "the demo ended before {what}");
        assert!(Instant::now() < deadline, "it never came to it that {what}");
        std::thread::yield_now();
    }
}

/// Processes whose command line names the demo's directory, the demo itself not counted.
fn children(dir: &Path) -> usize {
    let mark = format!("{}/state", dir.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&mark))
        .count()
}
