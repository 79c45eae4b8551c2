//! A newcomer writes a playbook, tests it, sees what it would do, and carries it out on a running engine, with the
//! commands that the page on writing playbooks shows.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The command in `dir`; no engine answers.
fn paramedic(dir: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.args(line.split_whitespace()).current_dir(dir).env("PARAMEDIC_URL", "http://127.0.0.1:9");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn good(dir: &Path, line: &str) -> String {
    let output = paramedic(dir, line);
    assert!(output.status.success(), "{line}: {}", said(&output));
    said(&output)
}

#[test]
fn a_new_playbook_is_accepted_tested_and_tried_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    good(dir, "playbooks new restart_web");
    let checked = good(dir, "check");
    assert!(checked.contains("1 playbook"), "{checked}");
    std::fs::create_dir(dir.join("rules")).unwrap();
    good(dir, "check --deny-warnings");
    let played = good(dir, "test tests/restart_web.yaml");
    assert!(played.contains("2 passed, 0 failed"), "{played}");
    let tried = paramedic(dir, "playbooks run restart_web --target web --dry-run");
    let told = said(&tried);
    assert!(tried.status.code() == Some(1) && told.contains("there is no kernel `web`"), "{told}");
    std::fs::write(dir.join("paramedic.yaml"), "kernels: [{ name: web, command: [sleep, '60'] }]\n").unwrap();
    let tried = good(dir, "playbooks run restart_web --target web --dry-run");
    for part in ["would restart kernel `web`", "playbooks/restart_web.rhai:", "verify", "nothing is done"] {
        assert!(tried.contains(part), "{part}: {tried}");
    }
    let failing =
        paramedic(dir, "playbooks run restart_web --target web --dry-run --fail kernel.restart --json");
    assert_eq!(failing.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&failing.stdout).unwrap();
    let phases: Vec<&Value> = told["functions"].as_array().unwrap().iter().map(|it| &it["phase"]).collect();
    assert_eq!(phases, ["run", "rollback"], "{told}");
    let shown = good(dir, "playbooks show restart_web");
    for part in ["kernel.restart", "grace", "duration", "has run, verify, rollback", " 1 | //! "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn wrong_use_says_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    good(dir, "playbooks new restart_web");
    for (line, code, told) in [
        ("playbooks new restart_web", 2, "is there already"),
        ("playbooks new Restart-Web.rhai", 2, "such as restart_web"),
        ("playbooks show restart_wbe", 1, "did you mean `restart_web`?"),
        ("playbooks run restart_web --dry-run", 2, "--target"),
        ("playbooks run restart_web --target * --dry-run", 2, "exactly one thing"),
        ("playbooks run restart_web --target a --dry-run --param grase=1s", 2, "did you mean `grace`?"),
        ("playbooks run restart_web --target a --dry-run --param grace=soon", 2, "length of time"),
        ("playbooks run restart_web --target a --dry-run --fail kernel.restrat", 2, "`kernel.restart`"),
        ("playbooks run restart_web --target a --answer yes", 2, "--dry-run"),
        ("playbooks run restart_web --target a", 1, "no engine answers"),
    ] {
        let output = paramedic(dir, line);
        let said = said(&output);
        assert!(output.status.code() == Some(code) && said.contains(told), "{line}: {said}");
    }
}

#[test]
fn a_dry_run_answers_waits_and_questions_as_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("playbooks")).unwrap();
    let script = r#"//! Asks and waits.
//! ---
//! timeout: 3h
//! actions: []
fn run(ctx) {
    sleep("1m");
    let said = ask("go?", ["yes", "no"], "1h");
    if said != "yes" { fail(`the answer is ${said}`); }
    let event = wait_for("load.*", "data.low", "10m");
    if event == () { fail("it never came"); }
    [event.topic, event.data.low]
}
"#;
    std::fs::write(dir.join("playbooks/waits.rhai"), script).unwrap();
    let run = "playbooks run waits --target web --dry-run";
    for (options, well, told) in [
        ("", true, "load.any"),
        (" --event load.web={\"low\":true}", true, "[\"load.web\",true]"),
        // In a run it would not end the wait either.
        (" --event load.web={\"low\":3}", true, "came to no use"),
        (" --event none", false, "it never came"),
        (" --answer no", false, "the answer is no"),
        (" --answer maybe", true, "is no answer"),
        (" --event other.topic", true, "came to no use"),
    ] {
        let output = paramedic(dir, &format!("{run}{options}"));
        let said = said(&output);
        assert!(output.status.success() == well && said.contains(told), "{options}: {said}");
    }
}

#[test]
fn mistakes_in_a_test_of_a_playbook_are_shown_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    good(dir, "playbooks new fix");
    for (test, told) in [
        ("playbook: fxi\n    target: web\n    expect: { outcome: fixed }", "did you mean `fix`?"),
        ("target: web\n    expect: { outcome: fixed }", "playbook"),
        ("playbook: fix\n    params: {}\n    expect: { outcome: fixed }", "target"),
        (
            "playbook: fix\n    target: web\n    params: { grase: 1s }\n    expect: { outcome: fixed }",
            "`grace`",
        ),
        (
            "playbook: fix\n    target: web\n    params: { grace: soon }\n    expect: { outcome: fixed }",
            "P0406",
        ),
        ("playbook: fix\n    target: web\n    expect: { outcome: fixd }", "fixed"),
        ("playbook: fix\n    target: web\n    expect: {}", "expects nothing"),
        ("events: []\n    expect: { verify: true }", "P0407"),
    ] {
        let file = dir.join("tests/wrong.yaml");
        std::fs::write(&file, format!("tests:\n  - name: one\n    {test}\n")).unwrap();
        let output = paramedic(dir, "test tests/wrong.yaml");
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.contains(told), "{test}: {said}");
        assert!(said.contains("tests/wrong.yaml:"), "{test}: {said}");
    }
    let wrong = "tests:\n  - name: one\n    playbook: fix\n    target: web\n    expect: { outcome: failed, result: { state: ill }, verify: false, steps: [kernel.health] }\n";
    std::fs::write(dir.join("tests/wrong.yaml"), wrong).unwrap();
    let output = paramedic(dir, "test tests/wrong.yaml");
    let told = said(&output);
    for part in ["-   outcome: failed", "+   outcome: fixed", "-   verify: false", "kernel.restart"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn editors_get_a_definition_of_each_host_function() {
    let text = good(Path::new("."), "schema playbooks");
    assert!(
        text.contains("\nmodule static;\n") && text.contains("\nfn continue_as_new(carried: ?)"),
        "{text}"
    );
}

#[tokio::test]
async fn a_run_by_hand_is_followed_to_its_end_and_its_exit_status_says_how_that_was() {
    let home = engine::Home::new("");
    let script = |answer: &str| {
        format!(
            "//! Say it.\n//! ---\n//! actions: [alert.operator]\n//! params: {{ word: {{ type: string, default: none }} }}\n\
             fn run(ctx) {{ act(\"alert.operator\", #{{ title: ctx.params.word }}); sleep(0.2); 1 }}\n\
             fn verify(ctx) {{ {answer} }}\n"
        )
    };
    home.write("playbooks/helps.rhai", &script("true"));
    home.write("playbooks/does_not.rhai", &script("false"));
    let engine = home.start().await;
    for (line, well, told) in [
        ("playbooks run helps --target web --param word=7", true, "act alert.operator"),
        ("playbooks run does_not --target web", false, "own check says that it did not help"),
        ("playbooks run helps --target web --no-wait", true, "paramedic intents show"),
        ("playbooks run nothing --target web", false, "no playbook `nothing`"),
        ("playbooks show helps", true, "Say it."),
        ("playbooks list", true, "does_not"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
        command.args(line.split_whitespace()).current_dir(home.path("")).env("PARAMEDIC_URL", &engine.url);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = said(&output);
        assert!(output.status.success() == well && said.contains(told), "{line}: {said}");
    }
}
