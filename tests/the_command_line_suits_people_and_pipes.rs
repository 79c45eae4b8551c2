//! The command line takes its options where people write them, says what would be right, and stays quiet where nobody
//! reads on.
#![allow(clippy::unwrap_used, reason = "a test may stop at anything")]

use std::process::{Command, Output};

fn paramedic(args: &[&str]) -> Output {
    // A port on which nothing listens: whatever is asked of an engine fails with that, and not with wrong use.
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.args(args).env("PARAMEDIC_URL", "http://127.0.0.1:9").output().unwrap()
}

#[test]
fn options_of_a_command_may_follow_its_subcommand() {
    for args in [
        &["intents", "show", "01M86KS5WBD83QR2QVYB7SXW0J", "--json"][..],
        &["intents", "--json", "show", "01M86KS5WBD83QR2QVYB7SXW0J"],
        &["kernels", "restart", "web", "--url", "http://127.0.0.1:9", "--json"],
        &["actions", "show", "kernel.restart", "--json"],
        &["actions", "list"],
    ] {
        let output = paramedic(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("no engine answers"), "{args:?}: {said}");
        assert!(!said.contains('\u{1b}'), "colour codes in a pipe: {said:?}");
    }
}

#[test]
fn wrong_use_says_what_would_be_right() {
    for (args, code, told) in [
        (&["send", "a.b", "--time", "noon"][..], 2, "such as 2026-01-31T12:00:00Z"),
        (&["stress", "boot", "--runs", "0"], 2, "--runs"),
        (&["stress", "boot", "--break", "web=explode"], 2, "NAME=crash, NAME=hang or NAME=slow"),
        (&["send", "a.*"], 2, "name one"),
        (&["kernels", "--url", "here"], 1, "such as http://127.0.0.1:7112"),
    ] {
        let output = paramedic(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(told), "{args:?}: {said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_crash() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(["completions", "bash"])
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{:?}: {said}", output.status);
}
