//! What a test of rules can say, and that time, mocks and people in it do what it says.

use std::time::Duration;

use super::*;
use crate::rules::{self, Known};

const RULES: &str = "
rules:
  - name: door-open
    on: door.opened
    group_by: data.door
    class: data.why
    resolved: { on: door.closed }
    intent: { goal: 'Close ${data.door}', target: '${data.door}', priority: high }
    playbooks: [close]
    guard: { max_attempts: 1 }
    verify: { expect: door.closed, when: subject == target, within: 30s, hold: 30s }
    escalate: [{ to: tell }, { to: tell, after: 15m }]
  - name: door-squeaks
    on: door.squeaks
    group_by: data.door
    intent: { target: '${data.door}' }
    playbooks: [oil, wait]
    mode: ask
  - name: room-dark
    on: room.dark
    intent: { target: '${subject}' }
    playbooks: [chat]
  - name: ring
    on: ring.again
    intent: { target: bell }
    playbooks: [ring]
  - name: alarm
    on: alarm.rang
    intent: { target: '${subject}' }
    playbooks: [alarm]
";

const PLAYBOOKS: &[(&str, &str, &str)] = &[
    ("close", "actions: [exec.run]", "fn run(ctx) { act(\"exec.run\", #{ argv: [\"close\", ctx.target] }, #{ retries: 2 }) }"),
    ("tell", "actions: [alert.operator]", "fn run(ctx) { act(\"alert.operator\", #{ title: `see to ${ctx.target}` }) }"),
    ("oil", "cost: 1m\n//! actions: [exec.run]", "fn run(ctx) { act(\"exec.run\", #{ argv: [\"oil\"] }) } fn verify(ctx) { true }"),
    ("wait", "timeout: 7h", "fn run(ctx) { sleep(\"6h\") } fn verify(ctx) { true }"),
    (
        "chat",
        "timeout: 2h\n//! actions: [http.request, exec.run]",
        "fn run(ctx) {
            let said = ask(\"Light?\", [\"yes\", \"no\"], \"1h\");
            if said != \"yes\" { fail(`a person said ${said}`) }
            emit(\"lamp.wanted\", #{ room: ctx.target });
            let lamp = wait_for(\"lamp.lit\", \"subject == target\", \"10m\");
            if lamp == () { fail(\"no lamp\") }
            all([#{ action: \"exec.run\", params: #{ argv: [\"a\"] } }, #{ action: \"exec.run\", params: #{ argv: [\"b\"] } }]);
            metric(\"lamps\", 1);
        }",
    ),
    (
        "alarm",
        "timeout: 1h\n//! actions: [exec.run]",
        "fn run(ctx) {
            act(\"exec.run\", #{ argv: [\"reset\"] });
            sleep(\"5s\");
            let seen = [];
            for n in 0..3 {
                let event = wait_for(\"alarm.>\", \"subject == target\", \"10s\");
                seen.push(if event == () { \"none\" } else { event.data.n });
            }
            let late = wait_for(\"alarm.off\", \"subject == target\", \"10s\", #{ since: now() });
            let early = wait_for(\"alarm.rang\", \"subject == target\", \"1s\", #{ since: ctx.event.time });
            emit(\"alarm.seen\", #{ seen: seen, late: late != (), early: early != () });
        }",
    ),
    ("ring", "actions: [exec.run]", "fn run(ctx) { act(\"exec.run\", #{ argv: [\"ring\"] }) }"),
];

fn stage() -> (Stage, Names) {
    let files: Vec<playbook::SourceFile> = PLAYBOOKS
        .iter()
        .map(|(name, header, text)| playbook::SourceFile {
            path: format!("{name}.rhai"),
            text: format!("//! Does it.\n//! ---\n//! {header}\n{text}\n"),
        })
        .collect();
    let library = Library::load("", &files, &[]).unwrap_or_else(|all| panic!("{}", told(&all)));
    let file = SourceFile { path: "rules.yaml".into(), text: RULES.into() };
    let compiled = rules::compile(&[file], &Known { playbooks: &library.names() });
    let rules = compiled.set.unwrap_or_else(|| panic!("{}", told(&compiled.diagnostics)));
    let specs = specs().unwrap();
    let names = Names::of(&rules, &library, &specs);
    (Stage { rules, library, plugins: vec![] }, names)
}

fn told(all: &[Diagnostic]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Plays the tests of a text, which must have no mistakes.
fn play(tests: &str) -> Vec<Report> {
    let (stage, names) = stage();
    let file = SourceFile { path: "tests.yaml".into(), text: format!("tests:\n{tests}") };
    let mut mistakes = Vec::new();
    let cases = cases(&file, &names, &mut mistakes);
    assert!(mistakes.is_empty(), "{}", told(&mistakes));
    let mut reports = Vec::new();
    rehearse(&[(stage, cases)], &mut |report| reports.push(report)).unwrap();
    assert!(!reports.is_empty(), "there is no test");
    reports
}

fn difference(report: &Report) -> String {
    report.differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn hours_of_waiting_pass_in_a_moment() {
    let reports = play(
        "
  - name: a check that takes its 30 s, a chain that goes on after 15 m
    events: [{ topic: door.opened, data: { door: d1, why: wind } }]
    expect:
      intents: [{ status: escalated, outcome: not_fixed, escalation: [tell, tell], class: wind, reason: did not come, at: 0s }]
      steps: [exec.run, { action: alert.operator, at: 30s }, { action: alert.operator, at: 15m30s }]
      alerts: [{ title: see to d1, count: 2, at: 30s }]
  - name: a failure within 30 s of its repair is a relapse, one after that is not
    events:
      - { topic: door.opened, data: { door: d1 } }
      - { topic: door.opened, at: 20s, data: { door: d1 } }
      - { topic: door.opened, at: 60s, data: { door: d1 } }
    actions: { exec.run: { then: [{ topic: door.closed }] } }
    expect: { intents: [{ outcome: relapsed }, { outcome: fixed }, { outcome: fixed }] }
  - name: a script that sleeps for six hours, once somebody has let it
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    playbook: wait
    people: [{ at: 20m, approve: true }]
    expect: { intents: [{ status: succeeded, playbook: wait }], steps: [] }
  - name: an event of the next day
    events: [{ topic: door.opened, at: 24h, data: { door: d1 } }]
    actions: { exec.run: { takes: 10s, then: [{ topic: door.closed, after: 5s }] } }
    expect: { intents: [{ status: succeeded, at: 1d }], events: [{ topic: door.closed, at: 1d15s }] }
",
    );
    let took: Duration = reports.iter().map(|report| report.took).sum();
    let lived: Vec<u64> = reports.iter().map(|report| report.seen.virtual_time.as_secs()).collect();
    for report in &reports {
        assert!(report.passed(), "{}:\n{}", report.case.name, difference(report));
    }
    assert_eq!(lived, [15 * 60 + 30, 60, 20 * 60 + 6 * 3_600, 24 * 3_600 + 15]);
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

#[test]
fn what_an_action_causes_is_not_missed_and_ends_one_wait_only() {
    for report in play(
        "
  - name: both came before the waits began, the third time nothing does
    events: [{ topic: alarm.rang, subject: hall }]
    actions:
      exec.run:
        takes: 20s
        then:
          - { topic: alarm.off, subject: hall, data: { n: first } }
          - { topic: alarm.off, subject: hall, data: { n: second } }
          - { topic: alarm.off, subject: hall, after: 22s, data: { n: after them } }
    expect:
      events: [{ topic: alarm.seen, data: { seen: [first, second, none], late: true, early: false } }]
",
    ) {
        assert!(report.passed(), "{}:\n{}", report.case.name, difference(&report));
    }
}

#[test]
fn actions_fail_take_their_time_and_answer_differently_each_time() {
    for report in play(
        "
  - name: an action that fails twice and is tried again
    events: [{ topic: door.opened, data: { door: d1 } }]
    actions:
      exec.run:
        - { fails: it is stuck, kind: stuck, retryable: true, takes: 2s }
        - { fails: it is stuck, retryable: true }
        - { then: [{ topic: door.closed }] }
    expect: { intents: [{ status: succeeded }], steps: [{ action: exec.run, params: { argv: [close, d1] }, fails: false }] }
  - name: one that fails for good is not tried again
    events: [{ topic: door.opened, data: { door: d1 } }]
    actions: { exec.run: [{ fails: the door is gone, kind: gone }, {}] }
    expect:
      intents: [{ outcome: failed, attempts: [{ playbook: close, outcome: failed, message: the door is gone, steps: [{ action: exec.run, fails: gone }] }] }]
  - name: one that fails and has its consequences
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    playbook: oil
    people: [{ approve: true }]
    actions: { exec.run: { fails: spilt, then: { topic: floor.wet, subject: hall } } }
    expect: { events: [{ topic: floor.*, subject: hall }], intents: [{ playbook: oil, outcome: failed }] }
  - name: one that takes longer than it may
    events: [{ topic: door.opened, data: { door: d1 } }]
    actions: { exec.run: { takes: 2m } }
    expect: { intents: [{ outcome: failed }], steps: [{ action: exec.run, fails: timeout }, alert.operator, alert.operator] }
  - name: an alert that cannot be raised is told of by the engine itself
    events: [{ topic: door.opened, data: { door: d1 } }]
    actions: { alert.operator: { fails: no line } }
    expect: { intents: [{ status: escalated }], alerts: [{ title: the escalation failed, level: critical, count: 2 }] }
",
    ) {
        assert!(report.passed(), "{}:\n{}", report.case.name, difference(&report));
    }
}

#[test]
fn people_approve_refuse_end_and_answer_when_there_is_something_to_say() {
    for report in play(
        "
  - name: approved
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    playbook: oil
    people: [{ at: 10s, approve: true }]
    expect: { intents: [{ status: succeeded, playbook: oil }], steps: [exec.run] }
  - name: refused
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    people: [{ deny: true }]
    expect: { intents: [{ status: denied, reason: denied by test, playbook: null }], steps: [] }
  - name: silence is no
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    expect:
      intents: [{ status: denied }]
      alerts: ['door-squeaks: may `wait` be run on d1?', { title: 'door-squeaks: not repaired, nobody answered whether it may be repaired' }]
  - name: ended, each door by whom it concerns
    events: [{ topic: door.squeaks, data: { door: d1 } }, { topic: door.squeaks, data: { door: d2 } }]
    playbook: oil
    people: [{ target: d2, cancel: true }, { rule: door-squeaks, at: 1m, approve: true }]
    expect: { intents: [{ target: d1, status: succeeded }, { target: d2, status: cancelled }] }
  - name: a question is answered, and what is waited for comes
    events: [{ topic: room.dark, subject: hall }, { topic: lamp.lit, subject: hall, at: 5m }]
    people: [{ at: 1m, answer: yes }]
    expect:
      intents: [{ status: succeeded, outcome: unverified, steps: [exec.run, { action: exec.run, params: { argv: [b] } }] }]
      alerts: [Light?]
      events: [alert.raised, intent.answered, { topic: lamp.wanted, data: { room: hall } }, metric.lamps]
  - name: nobody answers
    events: [{ topic: room.dark, subject: hall }]
    expect: { intents: [{ status: failed, outcome: failed }], steps: [] }
",
    ) {
        assert!(report.passed(), "{}:\n{}", report.case.name, difference(&report));
    }
}

#[test]
fn what_is_known_of_playbooks_and_how_long_is_watched_can_be_said() {
    for report in play(
        "
  - name: what has helped is tried first
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    learned: { oil: 90%, wait: 0.05 }
    people: [{ approve: true }]
    expect: { intents: [{ playbook: oil }] }
  - name: and the other way round
    events: [{ topic: door.squeaks, data: { door: d1 } }]
    learned: { oil: 0.05, wait: 0.9 }
    people: [{ approve: true }]
    expect: { intents: [{ playbook: wait }] }
  - name: in the middle of it
    start: 2026-03-29T01:30:00+01:00
    events: [{ topic: door.opened, time: '2026-03-29T00:00:00Z', data: { door: d1 } }]
    until: 10s
    expect: { intents: [{ status: verifying, outcome: null }] }
",
    ) {
        assert!(report.passed(), "{}:\n{}", report.case.name, difference(&report));
    }
}

#[test]
fn the_same_test_takes_the_same_course_each_time() {
    let test = "
  - name: a storm
    events:
      - { topic: door.opened, data: { door: d1 } }
      - { topic: door.squeaks, data: { door: d1 } }
      - { topic: door.opened, data: { door: d2 } }
      - { topic: room.dark, subject: hall }
      - { topic: room.dark, subject: attic }
      - { topic: door.opened, at: 1s, data: { door: d3 } }
      - { topic: lamp.lit, subject: hall, at: 90s }
    actions: { exec.run: [{ fails: stuck, retryable: true }, { takes: 1s, then: [{ topic: door.closed }] }] }
    people: [{ approve: true }, { at: 1m, answer: yes }, { at: 1m, answer: yes }]
    expect: { intents: [] }
";
    let course = || {
        let reports = play(test);
        (
            serde_json::to_string(&reports[0].seen).unwrap(),
            difference(&reports[0]),
            reports[0].seen.virtual_time,
        )
    };
    let first = course();
    assert!(first.0.len() > 1_000 && !first.1.is_empty());
    for _ in 0..20 {
        assert_eq!(course(), first);
    }
}

#[test]
fn a_rule_that_fires_less_often_than_expected_is_asked_why() {
    let reports = play(
        "
  - name: two doors, of which one squeaks only
    events:
      - { topic: door.opened, data: { door: d1 } }
      - { topic: door.opened, at: 5s, data: { door: d1 } }
      - { topic: door.squeaks, at: 5s, data: { door: d2 } }
    until: 10s
    expect: { intents: [{ rule: door-open, target: d1 }, { rule: door-squeaks }, { rule: door-open, target: d2 }] }
",
    );
    let expected = "  intents: 3 expected, 2 seen
    rule: door-open, target: d1
    rule: door-squeaks
-   rule: door-open, target: d2
  why `door-open` did not fire more often:
    event 1 (door.opened): it fired: ";
    let said = difference(&reports[0]);
    assert!(said.starts_with(expected), "{said}");
    assert!(
        said.contains("event 3 (door.squeaks): topic `door.squeaks` is not covered by `door.opened`"),
        "{said}"
    );
}

#[test]
fn what_a_test_says_and_does_not_come_to_pass_is_said() {
    let reports = play(
        "
  - name: nobody is asked, and the end comes first
    events: [{ topic: door.opened, data: { door: d1 } }, { topic: door.opened, at: 1h, data: { door: d2 } }]
    people: [{ at: 1s, approve: true }, { answer: yes }]
    until: 1m
    expect: { intents: [{ target: d1, status: pending }] }
",
    );
    let expected = "  event 2, at 1h, did not come before the test was over
  nobody was asked, so nobody did this: approve, at 1s or later
  nobody was asked, so nobody did this: answer `yes`, at 0s or later";
    assert_eq!(difference(&reports[0]), expected);
}

#[test]
fn a_circle_is_found_and_said() {
    let reports = play(
        "
  - name: ring
    events: [{ topic: ring.again }]
    actions: { exec.run: { then: [{ topic: ring.again, after: 1s }] } }
    expect: { alerts: [] }
",
    );
    assert!(difference(&reports[0]).contains("it goes round in circles"), "{}", difference(&reports[0]));
}

#[test]
fn a_difference_shows_what_was_expected_what_was_seen_and_why() {
    let reports = play(
        "
  - name: all wrong
    events: [{ topic: door.opened, data: { door: d1 } }, { topic: door.opened, at: 1h, data: { door: d2 } }]
    actions: { exec.run: { fails: it is stuck } }
    expect:
      intents:
        - { rule: door-squeaks, target: d1 }
        - { rule: door-open, target: d1, status: succeeded, escalation: [tell, tell], attempts: [{ playbook: close, outcome: fixed }] }
      steps: [exec.run, alert.operator, kernel.stop]
      alerts: [{ title: see to d1 }, { title: nothing, level: info }]
",
    );
    let expected = "  intents: 2 expected, 2 seen
-   rule: door-squeaks, target: d1
    rule: door-open, target: d1 differs:
      attempts: 1 expected, 1 seen
        playbook: close differs:
-         outcome: fixed
+         outcome: failed
-     status: succeeded
+     status: escalated
      it is escalated: the only playbook was tried without success: exec.run: it is stuck (close.rhai:4:15, act(\"exec.run\")); an operator was alerted by tell, tell follows in 15m; an operator was alerted by tell
      close, failed: exec.run: it is stuck (close.rhai:4:15, act(\"exec.run\"))
+   rule: door-open, target: d2, status: escalated, playbook: close
  steps: 3 expected, 6 seen
    action: exec.run
    action: alert.operator
-   action: kernel.stop
+   action: alert.operator, params: { title: see to d1 }
+   action: exec.run, params: { argv: [close, d2] }, fails: failed
+   action: alert.operator, params: { title: see to d2 }
+   action: alert.operator, params: { title: see to d2 }
  alerts: 2 expected, 2 seen
    title: see to d1
-   title: nothing, level: info
+   title: see to d2, level: warning, target: d2
  why `door-squeaks` did not fire:
    event 1 (door.opened): topic `door.opened` is not covered by `door.squeaks`
    event 2 (door.opened): topic `door.opened` is not covered by `door.squeaks`";
    assert_eq!(difference(&reports[0]), expected);
}
