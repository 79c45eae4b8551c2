//! What a crash must not change.

use proptest::prelude::*;

use super::*;

/// Calls everything once or more, and branches on what came back.
const WIDE: &str = r#"
    let found = [];
    log("info", "begin");
    let at = now();
    for i in 0..3 {
        try { found.push(act("a.do", #{ i: i, at: at }).n) } catch (e) { found.push(`${e.kind}: ${e.message}`) }
        print(`after ${i}`);
        metric("m", random());
    }
    let both = all([#{ action: "a.do", params: #{ x: 1 } }, #{ action: "a.other" }]);
    sleep("30s");
    let event = wait_for("a.>", "data.x == 1", "1m");
    if event == () { event = "none" } else { event = event.topic }
    emit("done.it", #{ uuid: uuid() });
    let said = ask("go on?", ["yes", "no"], 60);
    [1, 2].for_each(|i| sleep(1.5));
    #{ found: found, both: both, event: event, said: said, chance: random() < 2.0 }
"#;

fn answer(n: u8, request: &Request) -> Result<Value, Failure> {
    match request {
        Request::Act(_) if n.is_multiple_of(3) => Err(Failure::new("failed", format!("no {n}")).of("a.do")),
        Request::Act(_) => Ok(json!({ "n": n })),
        Request::All { actions, .. } => Ok(json!(actions.iter().map(|it| &it.action).collect::<Vec<_>>())),
        Request::WaitFor { .. } if n.is_multiple_of(2) => Ok(Value::Null),
        Request::WaitFor { .. } => Ok(json!({ "topic": "a.b" })),
        Request::Ask { .. } => Ok(json!("yes")),
        Request::Sleep(_) | Request::Emit { .. } | Request::Continue(_) => Ok(Value::Null),
    }
}

#[test]
fn every_call_is_answered_from_the_journal_and_none_is_made_twice() {
    let pb = body(WIDE);
    let mut calls = 0;
    let played = play(&pb, |request| {
        calls += 1;
        answer(1, request)
    });
    assert_eq!(
        played.end.unwrap(),
        json!({"found": [1, 1, 1], "both": ["a.do", "a.other"], "event": "a.b", "said": "yes", "chance": true})
    );
    assert_eq!((calls, played.bursts), (10, 11));
    let seqs: Vec<u32> = played.journal.iter().map(|step| step.seq).collect();
    assert_eq!(seqs, (0..23).collect::<Vec<u32>>());
    // Replayed once more from its whole journal, it wants nothing, says nothing and answers the same.
    let Burst::Done { steps, .. } = drive(&pb, Phase::Run, &json!({"target": "k1"}), &played.journal, &env())
    else {
        panic!("it wants something again");
    };
    assert_eq!(steps, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A run that dies at any moment and goes on with any part of its journal ends as one that does not.
    #[test]
    fn a_run_cut_off_anywhere_ends_as_if_it_had_not_been(answers in prop::collection::vec(any::<u8>(), 16), cut in 0_usize..40) {
        let pb = body(WIDE);
        let from_list = || {
            let mut list = answers.clone().into_iter();
            move |request: &Request| answer(list.next().unwrap_or(1), request)
        };
        let whole = play(&pb, from_list());
        let mut journal: Vec<Step> = whole.journal.iter().take(cut).cloned().collect();
        // The step that was under way when it died: started, without result.
        let mut open = journal.last().filter(|step| step.kind == crate::model::StepKind::Act).cloned();
        if let Some(open) = &mut open {
            open.status = StepStatus::Started;
            (open.result, open.error) = (None, None);
            journal.pop();
            journal.push(open.clone());
            let burst = drive(&pb, Phase::Run, &json!({"target": "k1"}), &journal, &env());
            let Burst::Suspended { steps, step, request: Request::Act(act) } = burst else { panic!("not suspended: {burst:?}") };
            prop_assert_eq!((steps, *step), (vec![], open.clone()));
            prop_assert_eq!(act.action, open.name.clone());
            journal.pop();
        }
        for position in journal.len()..whole.journal.len() {
            let burst = drive(&pb, Phase::Run, &json!({"target": "k1"}), &whole.journal[..position], &env());
            let (mut steps, step) = match burst {
                Burst::Suspended { steps, step, .. } => (steps, Some(*step)),
                Burst::Done { steps, value } => {
                    prop_assert_eq!(Ok(value), whole.end.clone());
                    (steps, None)
                }
                Burst::Failed { failure, .. } => panic!("{failure}"),
            };
            steps.extend(step);
            for (step, recorded) in steps.iter().zip(&whole.journal[position..]) {
                prop_assert_eq!((&step.kind, &step.name, &step.request, step.seq), (&recorded.kind, &recorded.name, &recorded.request, recorded.seq));
                if step.status == StepStatus::Finished {
                    prop_assert_eq!(step, recorded);
                }
            }
        }
    }
}

#[test]
fn a_script_that_does_not_repeat_itself_is_stopped_and_both_calls_are_named() {
    let done = play(&body(r#"act("a.do", #{ x: 1 }); sleep("1s");"#), nothing).journal;
    let cases = [
        (
            r#"act("a.do", #{ x: 2 });"#,
            r#"step 0 of the journal is `act(a.do, {"params":{"x":1}})`, now it calls `act(a.do, {"params":{"x":2}})` (playbooks/t.rhai:5:1)"#,
        ),
        (r#"act("a.other", #{ x: 1 });"#, "now it calls `act(a.other,"),
        (
            r#"act("a.do", #{ x: 1 }); emit("x.y", 1);"#,
            r#"step 1 of the journal is `sleep({"time":"1s"})`, now it calls `emit(x.y, {"data":1})`"#,
        ),
        (r#"act("a.do", #{ x: 1 });"#, "now `run` ends before it"),
        (r#"try { act("a.do", #{ x: 2 }); } catch { } "#, "now it calls"),
        (r#"[1].map(|x| { try { act("a.do", #{ x: 2 }); } catch { } }); "#, "now it calls"),
        (r#"throw "early""#, "now `run` ends before it"),
    ];
    for (script, text) in cases {
        let Burst::Failed { failure, .. } = drive(&body(script), Phase::Run, &json!({}), &done, &env())
        else {
            panic!("{script}");
        };
        assert_eq!(failure.kind, "nondeterministic", "{script}");
        assert!(failure.message.contains(text), "{script}: {}", failure.message);
    }
}

#[test]
fn the_steps_of_verify_go_on_counting_after_those_of_run() {
    let pb = playbook(r#"fn run(ctx) { act("a.do", #{}) } fn verify(ctx) { act("a.do", #{}).ok }"#);
    assert!(pb.has_verify && !pb.has_rollback && pb.has(Phase::Verify));
    let mut journal = play(&pb, nothing).journal;
    let Burst::Suspended { mut step, .. } = drive(&pb, Phase::Verify, &json!({}), &journal, &env()) else {
        panic!("verify does not act");
    };
    assert_eq!((step.seq, step.phase), (1, Phase::Verify));
    (step.status, step.result) = (StepStatus::Finished, Some(json!({"ok": true})));
    journal.push(*step);
    let end = drive(&pb, Phase::Verify, &json!({}), &journal, &env());
    assert_eq!(end, Burst::Done { steps: vec![], value: json!(true) });
}

#[test]
fn chance_differs_between_steps_and_runs_but_not_between_replays() {
    let pb = body("[random(), random(), uuid(), uuid(), now()]");
    let with = |seed: u128| {
        let Burst::Done { value, .. } = drive(&pb, Phase::Run, &json!({}), &[], &Env { seed, ..env() })
        else {
            panic!("it waits");
        };
        value
    };
    let (one, again, other) = (with(1), with(1), with(2));
    assert_eq!(one, again);
    assert_ne!(one[0], one[1]);
    assert_ne!(one[2], one[3]);
    assert_ne!((&one[0], &one[2]), (&other[0], &other[2]));
    assert_eq!(one[4], "1970-01-01T00:00:01.000000Z");
    let random = one[0].as_f64().unwrap();
    assert!((0.0..1.0).contains(&random));
    assert_eq!(one[2].as_str().unwrap().parse::<uuid::Uuid>().unwrap().get_version_num(), 4);
}

#[test]
fn a_rollback_sees_what_was_done_and_what_was_cut_off() {
    let pb = playbook(
        r#"fn run(ctx) { act("a.do", #{ n: 1 }); all([#{ action: "a.other", params: #{ n: 2 } }]); act("a.do", #{ n: 3 }) }
        fn rollback(ctx) { ctx.done.map(|it| [it.action, it.params.n, it.result, it.error?.kind]) }"#,
    );
    let mut journal = play(&pb, |request| match request {
        Request::All { .. } => Ok(json!(["two"])),
        Request::Act(act) if act.params["n"] == 3 => Err(Failure::new("timeout", "late")),
        _ => Ok(json!("one")),
    })
    .journal;
    let rollback = |journal: &[Step]| match drive(&pb, Phase::Rollback, &json!({}), journal, &env()) {
        Burst::Done { value, .. } => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        rollback(&journal),
        json!([["a.do", 1, "one", null], ["a.other", 2, "two", null], ["a.do", 3, null, "timeout"]])
    );
    (journal[0].status, journal[0].result) = (StepStatus::Started, None);
    assert_eq!(rollback(&journal[..1]), json!([["a.do", 1, null, null]]));
}
