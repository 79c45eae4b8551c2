//! What a person reads of a repair is true: a rollback that failed is told beside the failure, a check that answers
//! neither yes nor no is a failure, and what is repaired has no alert left.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::path::Path;
use std::process::Command;

const RULES: &str = r#"
rules:
  - name: fell
    on: it.fell
    group_by: data.k
    intent: { target: "${data.k}" }
    playbooks: [mend]
  - name: broke
    on: it.broke
    group_by: data.k
    intent: { target: "${data.k}" }
    playbooks: [mend, other, third]
    guard: { max_attempts: 2 }
"#;

const HEADER: &str = "//! Mend it.\n//! ---\n//! actions: [exec.run, http.request]\n";

const RUN: &str = "fn run(ctx) { act(\"exec.run\", #{ argv: [\"mend\"] }) }\n";

const UNDO: &str = "fn rollback(ctx) { act(\"http.request\", #{ url: \"http://127.0.0.1:9/undo\" }) }\n";

/// Plays `tests` with a playbook `mend` of these `functions`; what is said, and whether all passed.
fn played(functions: &str, tests: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("rules/rules.yaml", RULES);
    write("playbooks/mend.rhai", &format!("{HEADER}{functions}"));
    for name in ["other", "third"] {
        write(&format!("playbooks/{name}.rhai"), &format!("{HEADER}{RUN}"));
    }
    write("tests/it.yaml", &format!("tests:\n{tests}"));
    paramedic(dir.path(), &["test", "tests/it.yaml"])
}

fn paramedic(dir: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_paramedic"))
        .args(args)
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (out.status.success(), String::from_utf8([out.stdout, out.stderr].concat()).unwrap())
}

#[test]
fn a_rollback_that_failed_has_an_alert_of_its_own_and_is_in_the_attempt() {
    let (passed, said) = played(
        &format!("{RUN}{UNDO}"),
        r#"
  - name: both fail
    events: [{ topic: it.fell, data: { k: k1 } }]
    actions: { exec.run: { fails: it is stuck }, http.request: { fails: nobody answers } }
    expect:
      intents: [{ outcome: failed, reason: "; and the rollback failed: http.request: nobody answers" }]
      alerts:
        - { key: fell/k1/rollback, title: The rollback of mend failed, message: nobody answers }
        - { key: fell/k1, message: "exec.run: it is stuck" }
"#,
    );
    assert!(passed, "{said}");
}

#[test]
fn a_check_that_answers_neither_yes_nor_no_is_a_failure_that_says_so() {
    for (answer, shown) in
        [("5", "answered 5"), ("\"yes\"", "answered \\\"yes\\\""), ("()", "answered nothing")]
    {
        let (passed, said) = played(
            &format!("{RUN}fn verify(ctx) {{ let answer = (); answer = {answer}; answer }}\n{UNDO}"),
            &format!(
                r#"
  - name: of a rule
    events: [{{ topic: it.fell, data: {{ k: k1 }} }}]
    expect:
      intents: [{{ outcome: failed, reason: "`verify` must answer true or false, and {shown} (" }}]
      steps: [exec.run, http.request]
  - name: alone
    playbook: mend
    target: k1
    expect: {{ outcome: failed, verify: null, rollback: true, failure: unclear }}
"#
            ),
        );
        assert!(passed, "{answer}: {said}");
    }
}

#[test]
fn what_is_repaired_at_last_has_no_alert_left() {
    let (passed, said) = played(
        &format!("{RUN}fn verify(ctx) {{ true }}\n"),
        r#"
  - name: it fails, and then it works
    events: [{ topic: it.fell, data: { k: k1 } }, { topic: it.fell, data: { k: k2 } }, { topic: it.fell, at: 1h, data: { k: k1 } }]
    actions: { exec.run: [{ fails: it is stuck }, { fails: it is stuck }, {}] }
    expect:
      intents: [{ outcome: failed }, { outcome: failed }, { outcome: fixed }]
      alerts: [{ key: fell/k1, status: resolved }, { key: fell/k2, status: active }]
"#,
    );
    assert!(passed, "{said}");
}

#[test]
fn why_nothing_more_is_tried_is_said_as_it_is() {
    let (passed, said) = played(
        RUN,
        r#"
  - name: one playbook
    events: [{ topic: it.fell, data: { k: k1 } }]
    actions: { exec.run: { fails: it is stuck } }
    expect: { intents: [{ reason: "the only playbook was tried without success: exec.run: it is stuck" }] }
  - name: more playbooks than attempts
    events: [{ topic: it.broke, data: { k: k1 } }]
    actions: { exec.run: { fails: it is stuck } }
    expect: { intents: [{ reason: "all 2 attempts that the rule allows had no success; the last: exec.run: it is stuck" }] }
  - name: it is not known how far it came
    events: [{ topic: it.broke, data: { k: k1 } }]
    actions: { exec.run: { fails: the engine died, kind: interrupted } }
    expect: { intents: [{ outcome: interrupted, reason: "nothing more is tried, as it is not known how far it came: exec.run: the engine died" }] }
"#,
    );
    assert!(passed, "{said}");
}
