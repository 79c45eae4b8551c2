//! More kernels than the file descriptors allow: those that fit run, the others say why they do not, and the engine goes on
//! answering. What it starts has the limit that the engine was started with, not the one that it raised for itself.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(120);

fn kernels(count: usize, command: &str) -> String {
    let mut text = String::from("kernels:\n");
    for n in 0..count {
        writeln!(text, "  - {{ name: k{n}, command: {command} }}").unwrap();
    }
    text
}

/// An engine with these limits of descriptors.
fn start(home: &Home, soft: u32, hard: u32) -> Engine {
    let log = fs::File::options().create(true).append(true).open(home.path("log")).unwrap();
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" run --config \"$1\"");
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_paramedic")]).arg(home.path("paramedic.yaml"));
    command.current_dir(home.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    home.spawn_command(command)
}

fn in_state(list: &Value, state: &str) -> usize {
    list["items"].as_array().unwrap().iter().filter(|kernel| kernel["state"] == state).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_kernels_at_1024_descriptors_leave_http_alive() {
    let home = Home::new(&kernels(300, "[sleep, \"600\"]"));
    let mut engine = start(&home, 1_024, 1_024);
    assert!(engine.ready().await, "{}", home.log());
    let problems = engine.get("/readyz").await["problems"].to_string();
    assert!(problems.contains("file descriptors") && problems.contains("the limit is 1024"), "{problems}");
    let settled = |list: &Value| in_state(list, "healthy") + in_state(list, "exited") == 300;
    let list = engine.until("/api/kernels", LONG, settled).await;
    let (up, down) = (in_state(&list, "healthy"), in_state(&list, "exited"));
    assert!(up >= 100 && down > 0, "{up} run, {down} do not");
    assert!(list.to_string().contains("raise it"), "those that do not run say why");
    // A crowd of clients, each with a connection of its own.
    let ask =
        || async { reqwest::get(format!("{}/readyz", engine.url)).await.map(|it| it.status().as_u16()) };
    for _ in 0..5 {
        let all = futures_util::future::join_all((0..40).map(|_| ask())).await;
        assert!(all.iter().all(|it| it.as_ref().is_ok_and(|status| *status == 200)), "{all:?}");
    }
    for n in 0..50 {
        engine.send(json!({ "id": n.to_string(), "topic": "a.b", "source": "test" })).await;
    }
    assert!(engine.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_has_the_limit_that_the_engine_was_started_with() {
    let home = Home::new("");
    let out = home.path("limit");
    let script = format!("ulimit -Sn > {}; exec sleep 600", out.display());
    home.write(
        "paramedic.yaml",
        &format!(
            "listen: 127.0.0.1:{}\n{}",
            home.port,
            kernels(1, &format!("[/bin/sh, -c, {}]", json!(script)))
        ),
    );
    let mut engine = start(&home, 300, 2_000);
    assert!(engine.ready().await, "{}", home.log());
    engine.until("/api/kernels", LONG, |list| in_state(list, "healthy") == 1).await;
    assert_eq!(fs::read_to_string(&out).unwrap().trim(), "300");
    let limits = fs::read_to_string(format!("/proc/{}/limits", engine.pid())).unwrap();
    let own = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(own.split_whitespace().nth(3) == Some("2000"), "{own}");
}
