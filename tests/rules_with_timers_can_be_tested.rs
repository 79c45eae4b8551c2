//! What fires because nothing happens, or because it is time, is rehearsed as quickly as everything else.
#![allow(clippy::unwrap_used, reason = "a test may stop at anything")]

use std::process::Command;

const RULES: &str = "
rules:
  - name: silent
    group_by: subject
    pattern: { absent: 'heart.*', for: 30s }
    intent: { target: '${subject}' }
    playbooks: [tell]
    tests:
      - name: silence is noticed after 30 s, and a second for what comes late
        events: [{ topic: heart.beat, subject: k1 }, { topic: heart.beat, subject: k1, at: 20s }]
        expect: { intents: [{ rule: silent, target: k1, at: 51s }] }
      - name: who goes on beating is left alone
        events: [{ topic: heart.beat, subject: k1 }, { topic: heart.beat, subject: k1, at: 20s }]
        until: 45s
        expect: { intents: [] }
  - name: collects
    on: bad.thing
    group_by: subject
    pattern: { once_after: 30s }
    intent: { target: '${subject}' }
    playbooks: [tell]
    tests:
      - name: what comes within 30 s is one intent
        events: [{ topic: bad.thing, subject: k1 }, { topic: bad.thing, subject: k1, at: 10s }]
        expect: { intents: [{ rule: collects, target: k1, count: 2 }] }
  - name: unanswered
    group_by: subject
    pattern: { not: { on: call.answered }, after: { on: call.made }, within: 10s }
    intent: { target: '${subject}' }
    playbooks: [tell]
    tests:
      - name: only the call that nobody answered
        events:
          - { topic: call.made, subject: c1 }
          - { topic: call.made, subject: c2 }
          - { topic: call.answered, subject: c2, at: 5s }
        expect: { intents: [{ rule: unanswered, target: c1 }] }
  - name: nightly
    schedule: { cron: '30 2 * * *', timezone: Europe/Berlin }
    intent: { target: backup }
    playbooks: [tell]
    tests:
      - name: once a night, also in the night that has no half past two
        start: 2026-03-28T00:00:00Z
        until: 48h
        expect: { intents: [{ rule: nightly, at: 1h30m }, { rule: nightly }] }
";

#[test]
fn silence_delays_and_schedules_pass_in_virtual_time() {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("rules/timers.yaml", RULES),
        (
            "playbooks/tell.rhai",
            "//! Tell.\n//! ---\n//! actions: [alert.operator]\nfn run(ctx) { act(\"alert.operator\", #{ title: ctx.target }) }\n",
        ),
    ] {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_paramedic")).arg("test").current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("5 passed, 0 failed"), "{said}");
}
