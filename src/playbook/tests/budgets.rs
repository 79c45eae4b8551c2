//! A script that runs away hurts only itself, and cannot talk its way out.

use super::*;

/// Ways to hide the end of a run from Rhai's `try`.
const WRAPPERS: [&str; 22] = [
    "{}",
    "try { {} } catch { }",
    "try { {} } catch (e) { log(\"info\", e) }",
    "loop { try { {}; break; } catch { } }",
    "try { [1].map(|x| { {} }) } catch { }",
    "try { [1, 2].filter(|x| { {}; true }) } catch { }",
    "try { [1].for_each(|x| { {} }) } catch { }",
    "try { [1].all(|x| { {}; true }) } catch { }",
    "try { [1].some(|x| { {}; true }) } catch { }",
    "try { [1, 2].reduce(|s, x| { {} }) } catch { }",
    "[3, 1, 2].sort(|x, y| { try { {} } catch { } x - y });",
    "[3, 1, 2].sort(|x, y| { {}; x - y });",
    "try { [2, 1].order(|x, y| { {}; x - y }) } catch { }",
    "try { [1, 1].dedup(|x, y| { {}; true }) } catch { }",
    "try { [1].find(|x| { {}; true }) } catch { }",
    "try { [1].find_map(|x| { {}; x }) } catch { }",
    "try { [1].index_of(|x| { {}; true }) } catch { }",
    "try { let l = [1]; l.retain(|x| { {}; true }) } catch { }",
    "try { let l = [1]; l.drain(|x| { {}; true }) } catch { }",
    "try { [1].zip([2], |x, y| { {}; true }) } catch { }",
    "try { #{ a: 1 }.filter(|k| { {}; true }) } catch { }",
    "try { [[1]].map(|x| x.map(|y| { try { {} } catch { } })) } catch { }",
];

/// Runs on a thread with the stack that a pool gives.
fn on_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(crate::playbook::STACK).spawn_scoped(scope, work).unwrap();
        thread.join().unwrap()
    })
}

#[test]
fn an_ending_cannot_be_caught_in_whatever_it_happens() {
    let endless = [
        ("loop { }", "budget"),
        ("while true { let x = 1; }", "budget"),
        ("deep(1)", "budget"),
        ("let s = \"x\"; loop { s += s; }", "budget"),
        ("let a = [1]; loop { a += a; }", "budget"),
        ("let a = []; loop { a.push(1); }", "budget"),
        ("let m = #{}; for i in 0..1000000 { m[`${i}`] = i; }", "budget"),
    ];
    on_pool(|| {
        for (spend, kind) in endless {
            for wrapper in WRAPPERS {
                let script = wrapper.replace("{}", spend).replace("{  }", "{ }");
                let pb = playbook(&format!(
                    "fn deep(n) {{ deep(n + 1) + 1 }}\nfn run(ctx) {{ {script}; act(\"a.do\", #{{}}); \"escaped\" }}"
                ));
                let started = std::time::Instant::now();
                let end = play(&pb, |_| panic!("{script} acts after its end"));
                let failure = end.end.expect_err(&script);
                assert_eq!(failure.kind, kind, "{script}: {failure}");
                assert!(failure.message.contains("playbooks/t.rhai"), "{script}: {failure}");
                assert!(started.elapsed() < std::time::Duration::from_secs(3), "{script}");
            }
        }
    });
}

#[test]
fn a_wait_cannot_be_caught_in_whatever_it_happens() {
    for wrapper in WRAPPERS {
        let script = wrapper.replace("{}", "sleep(\"1s\")");
        let pb = body(&format!("{script}; log(\"info\", \"after\")"));
        let burst = drive(&pb, Phase::Run, &json!({}), &[], &env());
        let Burst::Suspended { steps, request, .. } = burst else { panic!("{script}: {burst:?}") };
        assert_eq!(steps, [], "{script}");
        assert!(matches!(request, Request::Sleep(_)), "{script}");
    }
}

#[test]
fn a_cancelled_or_late_run_ends_even_if_the_script_objects() {
    for wrapper in WRAPPERS {
        let pb = body(&wrapper.replace("{}", "act(\"a.do\", #{})"));
        for kind in ["cancelled", "deadline", "budget"] {
            let end = play(&pb, |_| Err(Failure::new(kind, "over"))).end;
            assert_eq!(end.unwrap_err().kind, kind, "{wrapper}");
        }
    }
    let pb = body("1");
    let over = |env: Env| match drive(&pb, Phase::Run, &json!({}), &[], &env) {
        Burst::Failed { failure, .. } => failure.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(over(Env { cancelled: true, ..env() }), "cancelled");
    assert_eq!(over(Env { now: env().deadline, ..env() }), "deadline");
}

#[test]
fn a_run_that_is_late_or_cancelled_says_which_call_it_was_at() {
    let pb = body("log(\"info\", 1);\n  act(\"a.do\", #{ n: 1 });\n  sleep(\"1h\");");
    let mut journal = Vec::new();
    for _ in 0..2 {
        let Burst::Suspended { steps, step, .. } = drive(&pb, Phase::Run, &json!({}), &journal, &env())
        else {
            panic!("it waits")
        };
        journal.extend(steps);
        journal.push(Step { status: StepStatus::Finished, ..*step });
        journal.truncate(2);
    }
    let message = |env: Env| match drive(&pb, Phase::Run, &json!({}), &journal, &env) {
        Burst::Failed { failure, steps } if steps.is_empty() => failure.message,
        other => panic!("{other:?}"),
    };
    let place = "it was at `sleep({\"time\":\"1h\"})` (playbooks/t.rhai:7:3)";
    for env in [Env { now: env().deadline, ..env() }, Env { cancelled: true, ..env() }] {
        let message = message(env);
        assert!(message.ends_with(place), "{message}");
    }
    let late = |_: &Request| Err(Failure::new("deadline", "the time was up"));
    let failure = play(&pb, late).end.unwrap_err();
    assert_eq!(
        failure.message,
        "the time was up, in `act(a.do, {\"params\":{\"n\":1}})` (playbooks/t.rhai:6:3)"
    );
}

#[test]
fn where_a_budget_was_spent_is_found_whatever_the_function_looks_like() {
    let cases = [
        ("fn run(ctx) {\n  let a = 1;\n  while true {\n    a += 1;\n  }\n}", 7),
        ("fn run(given) { let n = given.target;\n  loop { n += \"x\" } }", 5),
        (
            "/// Doc.\nprivate fn f(n) { f(n) + 1 }\n/* fn run( */ fn run(ctx) { // {\n\n  let x = f(1); x }",
            8,
        ),
        ("fn run(ctx) { 1 }\nfn verify(ctx) { return g(); }\nfn g() { loop { } }", 5),
        ("fn run(ctx) {\n  try {\n    deep(1)\n  } catch { }\n  1 }\nfn deep(n) { deep(n + 1) + 1 }", 6),
        ("let top = 1;\nfn run(ctx) {\n  [1].for_each(|| {\n    loop { let y = 1; }\n  }) }", 6),
    ];
    on_pool(|| {
        for (script, line) in cases {
            let pb = playbook(script);
            let phase = if pb.has_verify { Phase::Verify } else { Phase::Run };
            let Burst::Failed { failure, .. } = drive(&pb, phase, &json!({"target": "k"}), &[], &env())
            else {
                panic!("{script} ends");
            };
            assert_eq!(failure.kind, "budget", "{script}: {failure}");
            let place = failure.message.rsplit(':').nth(1).and_then(|it| it.parse::<i32>().ok());
            assert!(place.is_some_and(|it| (it - line).abs() <= 1), "{script}: {failure}");
        }
    });
}

#[test]
fn a_script_that_computes_too_long_is_stopped_by_the_clock() {
    let limits =
        Limits { operations: u64::MAX, wall: crate::model::Span::parse("20ms").unwrap(), journal: 5 };
    let env = Env { limits, ..env() };
    let Burst::Failed { failure, .. } = drive(&body("loop { }"), Phase::Run, &json!({}), &[], &env) else {
        panic!("it ended");
    };
    assert_eq!(failure.kind, "budget");
    assert!(failure.message.contains("longer than 20ms"), "{failure}");
}

#[test]
fn a_journal_has_an_end() {
    let env = Env { limits: Limits { journal: 3, ..Limits::default() }, ..env() };
    let pb = body("try { for i in 0..10 { log(\"info\", i) } } catch { } 1");
    let Burst::Failed { failure, steps } = drive(&pb, Phase::Run, &json!({}), &[], &env) else {
        panic!("no end")
    };
    assert_eq!((failure.kind.as_str(), steps.len()), ("budget", 3));
    assert!(
        failure.message.contains("3 steps") && failure.message.contains("playbooks/t.rhai:5:"),
        "{failure}"
    );
}

#[test]
fn values_nested_without_end_do_not_take_the_process_down() {
    on_pool(|| {
        for script in [
            "let a = []; loop { a = [a]; }",
            "let a = #{}; loop { a = #{ a: a }; }",
            "let f = || 1; loop { let g = f; f = || g.call(); }",
            "let f = || 1; loop { let g = [f]; f = || g[0]; }",
            "let f = Fn(\"x\"); loop { f = [f]; let g = f; f = || g; }",
            "let a = []; for i in 0..3000 { a = [a]; } print(a); a == a; a.to_json()",
            "let a = []; let f = || a; a.push(f); a.push(a); a",
            "let a = 1; let f = || a; let b = [a]; b + b",
        ] {
            let failure = play(&body(script), nothing).end.err();
            if script.contains("loop") {
                assert_eq!(failure.expect(script).kind, "budget", "{script}");
            }
        }
    });
}
