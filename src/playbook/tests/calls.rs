//! What the host functions ask for, and what a script gets back.

use super::*;
use crate::model::Span;
use crate::playbook::ActRequest;

fn first(script: &str) -> Request {
    match drive(&body(script), Phase::Run, &json!({"target": "k1", "params": {"grace": "5s"}}), &[], &env()) {
        Burst::Suspended { request, .. } => request,
        other => panic!("{script}: {other:?}"),
    }
}

#[test]
fn each_call_asks_for_what_it_says() {
    let act = |params: Value| ActRequest {
        action: "a.do".into(),
        params: params.as_object().unwrap().clone(),
        timeout: None,
        retries: None,
        backoff: None,
        key: None,
    };
    let wait = |when: Option<&str>| Request::WaitFor {
        pattern: "a.>".into(),
        when: when.map(String::from),
        timeout: Span::secs(30),
        since: None,
    };
    let cases = [
        (
            r#"act("a.do", #{ k: ctx.target, g: ctx.params.grace, no: ctx.params.nothing })"#,
            Request::Act(act(json!({"k": "k1", "g": "5s", "no": null}))),
        ),
        (
            r#"act("a.do", #{}, #{ timeout: "10s", retries: 3, backoff: 2, key: "x" })"#,
            Request::Act(ActRequest {
                timeout: Some(Span::secs(10)),
                retries: Some(3),
                backoff: Some(Span::secs(2)),
                key: Some("x".into()),
                ..act(json!({}))
            }),
        ),
        (
            r#"all([#{ action: "a.do", params: #{ x: [1] } }])"#,
            Request::All { actions: vec![act(json!({"x": [1]}))], partial: false },
        ),
        ("sleep(30)", Request::Sleep(Span::secs(30))),
        ("sleep(\"1m30s\")", Request::Sleep(Span::secs(90))),
        (r#"wait_for("a.>", "30s")"#, wait(None)),
        (r#"wait_for("a.>", (), 30)"#, wait(None)),
        (r#"wait_for("a.>", "data.x > 1", 30.0)"#, wait(Some("data.x > 1"))),
        (r#"emit("a.b", #{ x: () })"#, Request::Emit { topic: "a.b".into(), data: json!({"x": null}) }),
        (
            r#"ask("go?", ["yes", 2], "1h")"#,
            Request::Ask {
                question: "go?".into(),
                choices: vec!["yes".into(), "2".into()],
                timeout: Span::secs(3600),
                details: false,
            },
        ),
        (
            r#"ask("go?", [], "1h", #{ details: true })"#,
            Request::Ask {
                question: "go?".into(),
                choices: vec![],
                timeout: Span::secs(3600),
                details: true,
            },
        ),
        (
            r#"all([#{ action: "a.do" }], #{ partial: true })"#,
            Request::All { actions: vec![act(json!({}))], partial: true },
        ),
        (r#"continue_as_new(#{ page: 7 })"#, Request::Continue(json!({"page": 7}))),
        (r#"log("info", "x"); sleep(steps())"#, Request::Sleep(Span::secs(1))),
    ];
    for (script, request) in cases {
        assert_eq!(first(script), request, "{script}");
    }
}

#[test]
fn a_failed_action_can_be_caught_and_an_uncaught_one_says_where() {
    let broken = |_: &Request| Err(Failure::retryable("timeout", "no answer").of("a.do"));
    let caught = play(&body(r#"try { act("a.do", #{}) } catch (e) { return e }"#), broken);
    assert_eq!(
        caught.end,
        Ok(json!({"kind": "timeout", "action": "a.do", "message": "no answer", "retryable": true}))
    );
    let uncaught = play(&body("\n  act(\"a.do\", #{})"), broken).end.unwrap_err();
    assert_eq!(
        (uncaught.kind.as_str(), uncaught.action.as_str(), uncaught.retryable),
        ("timeout", "a.do", true)
    );
    assert_eq!(uncaught.message, "no answer (playbooks/t.rhai:6:3, act(\"a.do\"))");
    let again = play(&body(r#"try { act("a.do", #{}) } catch (e) { throw e }"#), broken).end.unwrap_err();
    assert_eq!((again.kind.as_str(), again.action.as_str()), ("timeout", "a.do"));
}

#[test]
fn what_goes_wrong_in_a_script_is_told_with_its_place() {
    let cases = [
        ("fail(\"disk \" + 7)", "failed", "disk 7 (playbooks/t.rhai:5:1)"),
        ("throw \"odd\"", "failed", "odd (playbooks/t.rhai:5:1)"),
        ("let x = 1;\nx / 0", "script", "(playbooks/t.rhai:6:"),
        ("let m = #{};\n\nm.a.b", "script", "(playbooks/t.rhai:7:"),
        ("let m = #{ nothing: 1 };\n[1].map(|x| x.nothing())", "script", "nothing"),
        ("|| 1", "script", "what `run` returns: a value of type Fn"),
    ];
    for (script, kind, text) in cases {
        let failure = play(&unchecked(script).unwrap(), nothing).end.unwrap_err();
        assert_eq!(failure.kind, kind, "{script}: {failure}");
        assert!(failure.message.contains(text), "{script}: {failure}");
    }
}

#[test]
fn what_a_playbook_says_is_in_its_journal_once() {
    let pb = body(r#"print("a"); debug(1); log("warn", #{ x: 1 }); metric("m.x", 2); sleep(1); print("b");"#);
    let played = play(&pb, nothing);
    let said: Vec<Value> =
        played.journal.iter().map(|step| json!([step.kind, step.name, step.request])).collect();
    assert_eq!(
        said,
        [
            json!(["log", "", {"level": "info", "text": "a"}]),
            json!(["log", "", {"level": "debug", "text": "1"}]),
            json!(["log", "", {"level": "warning", "text": "#{\"x\": 1}"}]),
            json!(["metric", "m.x", {"value": 2.0}]),
            json!(["sleep", "", {"time": "1s"}]),
            json!(["log", "", {"level": "info", "text": "b"}]),
        ]
    );
}
