//! Each mistake that a person can make in a playbook, and what they are shown for it.
//!
//! The mistakes stand below, the texts beside this file under `shown/`, one a mistake. To change one, run this test
//! with `INSTA_UPDATE=always`, and read what changed as somebody would at night with a pager.

mod headers;
mod phrases;
mod slips;
pub(super) mod values;

use super::*;

/// Names of mistakes, and what is said of them.
type Told = Vec<(&'static str, String)>;

fn of_bodies<const N: usize>(cases: [(&'static str, &str); N]) -> Told {
    cases.into_iter().map(|(name, body)| (name, loaded(&with_body(body)))).collect()
}

/// What is said of a playbook before it runs.
fn loaded(text: &str) -> String {
    let known = ["kernel.restart", "kernel.health", "kernel.scale"].map(String::from);
    let files = [
        file("fix", text),
        file("lib/good", "const PAUSE = 1;\nfn pause() { 1 }"),
        file("lib/acts", "sleep(1);\nfn f() { 1 }"),
        file(
            "lib/health",
            "fn is_well(k) { look(k).healthy }\nfn look(k) { act(\"kernel.health\", #{ kernel: k }) }",
        ),
        file("lib/round", "import \"lib/round\" as r;\nfn f() { 1 }"),
    ];
    // Files that are wrong by themselves are there for those who import them.
    let used = |it: &&SourceFile| {
        let name = it.path.trim_start_matches("playbooks/").trim_end_matches(".rhai");
        name == "fix" || name == "lib/good" || text.contains(name)
    };
    let files: Vec<SourceFile> = files.iter().filter(used).cloned().collect();
    let specs = specs();
    let told = match Library::load_fitting("playbooks", &files, &known, &specs) {
        Ok(library) => library.warnings().to_vec(),
        Err(problems) => problems,
    };
    told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// A playbook that is good but for the body of `run`.
fn with_body(body: &str) -> String {
    format!(
        "//! Fix it.\n//! ---\n//! actions: [kernel.restart]\nfn run(ctx) {{\n    act(\"kernel.restart\", #{{ kernel: ctx.target }});\n    {body}\n}}\n"
    )
}

/// A playbook that is good but for these lines of the header.
fn with_header(header: &str) -> String {
    let lines: String = header.lines().map(|line| format!("//! {line}\n")).collect();
    format!(
        "//! Fix it.\n//! ---\n{lines}fn run(ctx) {{ act(\"kernel.restart\", #{{ kernel: ctx.target }}); }}\n"
    )
}

/// What is said of a playbook when it fails while it runs; of most of these `check` would have told before.
fn failed(script: &str) -> String {
    let playbook = match unchecked(script) {
        Ok(playbook) => playbook,
        Err(problem) => return problem.to_string(),
    };
    match play(&playbook, nothing).end {
        Err(failure) => format!("{}: {}", failure.kind, failure.message),
        Ok(value) => format!("no mistake, and gives {value}"),
    }
}

fn bodies() -> Vec<(&'static str, String)> {
    [
        ("syntax_brace", "if ctx.attempt > 1 { log(\"info\", \"again\");"),
        ("syntax_paren", "log(\"info\", \"x\";"),
        ("syntax_bracket", "let a = [1, 2;"),
        ("syntax_map", "let a = #{ b: 1;"),
        ("syntax_map_equals", "let a = #{ b = 1 };"),
        ("syntax_quote", "log(\"info\", \"x);"),
        ("syntax_semicolon", "let a = 1\n    let b = 2;"),
        ("syntax_comma", "log(\"info\" \"x\");"),
        ("syntax_assign_in_if", "if ctx.attempt = 1 { log(\"info\", \"x\"); }"),
        ("syntax_triple_equals", "if ctx.attempt === 1 { log(\"info\", \"x\"); }"),
        ("syntax_and", "if true and false { log(\"info\", \"x\"); }"),
        ("syntax_not", "if not true { log(\"info\", \"x\"); }"),
        ("syntax_increment", "let a = 1; a++;"),
        ("syntax_var", "var a = 1;"),
        ("syntax_no_let", "a = 1;"),
        ("syntax_null", "let a = null;"),
        ("syntax_elif", "if true { 1 } elif false { 2 }"),
        ("syntax_try_value", "let a = try { 1 } catch { 2 };"),
        ("syntax_escape", "log(\"info\", \"\\d+\");"),
        ("syntax_reserved", "let new = 1;"),
        ("syntax_arrow", "let f = x -> x + 1;"),
        ("syntax_constant", "const A = 1; A = 2;"),
        ("syntax_single_quotes", "log('info', 'x');"),
        ("syntax_deep", "let a = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))));"),
        ("name_variable", "let grace = 5; log(\"info\", grase);"),
        ("name_ctx_field", "log(\"info\", target);"),
        ("name_nothing", "log(\"info\", whatever);"),
        ("name_function", "slep(\"1s\");"),
        ("name_function_nothing", "rollout_the_fleet();"),
        ("name_module", "lib::pause();"),
        ("arguments_few", "sleep();"),
        ("arguments_many", "ask(\"go?\", [\"yes\"], \"1h\", #{}, 1);"),
        ("arguments_own", "helper(1, 2); }\nfn helper(a) { a"),
        ("forbidden_eval", "eval(\"1 + 1\");"),
        ("forbidden_file", "let f = open_file(\"/etc/passwd\");"),
        ("action_not_allowed", "act(\"kernel.scale\", #{ kernel: ctx.target, replicas: 2 });"),
        ("import_missing", "import \"lib/god\" as lib; lib::pause();"),
        ("import_outside", "import \"../secret\" as lib; lib::pause();"),
        ("import_computed", "import ctx.target as lib; lib::pause();"),
        ("import_acts", "import \"lib/acts\" as lib; lib::f();"),
        ("import_self", "import \"lib/round\" as lib; lib::f();"),
    ]
    .into_iter()
    .map(|(name, body)| (name, loaded(&with_body(body))))
    .collect()
}

fn headers() -> Vec<(&'static str, String)> {
    let good = "actions: [kernel.restart]";
    [
        ("header_unknown_key", format!("{good}\ntimout: 5m")),
        ("header_unknown_key_far", format!("{good}\nauthor: me")),
        ("header_risk", format!("{good}\nrisk: lwo")),
        ("header_risk_number", format!("{good}\nrisk: 3")),
        ("header_duration", format!("{good}\ntimeout: 5 parsecs")),
        ("header_duration_zero", format!("{good}\ntimeout: 0s")),
        ("header_twice", format!("{good}\nrisk: low\nrisk: high")),
        ("header_actions_text", "actions: kernel.restart".into()),
        ("header_action_unknown", "actions: [kernel.restrat, kernel.restart]".into()),
        ("header_action_nothing", "actions: [reboot_all, kernel.restart]".into()),
        ("header_action_unused", "actions: [kernel.restart, kernel.health]".into()),
        ("header_actions_all", "actions: all".into()),
        ("header_list_out_of_line", "actions:\n- kernel.restart\n  - kernel.health".into()),
        ("header_not_yaml", "actions: [kernel.restart".into()),
        ("header_tab", format!("{good}\n\trisk: low")),
        ("header_no_map", "just words".into()),
        ("header_params_list", format!("{good}\nparams: [grace]")),
        ("header_param_type", format!("{good}\nparams: {{ grace: {{ type: duratoin }} }}")),
        ("header_param_no_type", format!("{good}\nparams: {{ grace: {{ default: 5s }} }}")),
        ("header_param_default", format!("{good}\nparams: {{ n: {{ type: int, default: many }} }}")),
        ("header_param_key", format!("{good}\nparams: {{ n: {{ type: int, defualt: 1 }} }}")),
    ]
    .into_iter()
    .map(|(name, header)| (name, loaded(&with_header(&header))))
    .collect()
}

fn wholes() -> Vec<(&'static str, String)> {
    let head = "//! Fix it.\n//! ---\n//! actions: []\n";
    [
        ("whole_no_header", "fn run(ctx) { log(\"info\", \"x\") }\n".to_string()),
        ("whole_no_run", format!("{head}fn runs(ctx) {{ log(\"info\", \"x\") }}\n")),
        ("whole_run_without_ctx", format!("{head}fn run() {{ log(\"info\", \"x\") }}\n")),
        ("whole_verify_with_two", format!("{head}fn run(ctx) {{ 1 }}\nfn verify(ctx, n) {{ true }}\n")),
        ("whole_run_without_parens", format!("{head}fn run {{ 1 }}\n")),
        ("whole_run_without_body", format!("{head}fn run(ctx)\n")),
    ]
    .into_iter()
    .map(|(name, text)| (name, loaded(&text)))
    .collect()
}

fn runs() -> Vec<(&'static str, String)> {
    [
        ("run_action_not_allowed", "let name = \"kernel.\" + \"stop\"; act(name, #{})"),
        ("run_option", "let o = #{ retrys: 3 }; act(\"a.do\", #{}, o)"),
        ("run_retries", "let o = #{ retries: 100 }; act(\"a.do\", #{}, o)"),
        ("run_timeout", "let o = #{ timeout: \"soon\" }; act(\"a.do\", #{}, o)"),
        ("run_key", "let o = #{ key: 7 }; act(\"a.do\", #{}, o)"),
        ("run_params", "let p = 5; act(\"a.do\", p)"),
        ("run_all_form", "let l = [\"a.do\"]; all(l)"),
        ("run_all_option", "let o = #{ parital: true }; all([], o)"),
        ("run_level", "let l = \"inof\"; log(l, \"x\")"),
        ("run_sleep", "let t = \"5 parsecs\"; sleep(t)"),
        ("run_sleep_negative", "let t = -1; sleep(t)"),
        ("run_wait_topic", "let t = \"a..b\"; wait_for(t, \"5s\")"),
        ("run_wait_condition", "let c = \"data.x >\"; wait_for(\"a.b\", c, \"5s\")"),
        ("run_ask_empty", "let q = \"\"; ask(q, [], \"1h\")"),
        ("run_emit_topic", "let t = \"a.*\"; emit(t, #{})"),
        ("run_metric_name", "let n = \"a b\"; metric(n, 1)"),
        ("run_metric_value", "let v = \"many\"; metric(\"a\", v)"),
        ("run_fail", "fail(\"the disk is full\")"),
        ("run_throw", "throw \"odd\""),
        ("run_add", "1 + #{}"),
        ("run_method", "let n = 5; n.push(1)"),
        ("run_index", "let a = [1]; a[5]"),
        ("run_property_of_nothing", "let a = #{}; a.b.c"),
        ("run_not_bool", "if 1 { 2 }"),
        ("run_zero", "1 / 0"),
        ("run_for", "for x in 5 { x }"),
        ("run_closure_result", "|x| x"),
        ("run_loop", "loop {}"),
        ("run_recursion", "f(1) }\nfn f(n) { f(n + 1)"),
        ("run_text_too_long", "let a = \"xxxxxxxxxxxxxxxx\"; loop { a += a; }"),
        ("run_array_too_long", "let a = []; loop { a.push(1); }"),
        ("run_map_too_long", "let m = #{}; let i = 0; loop { m[`${i}`] = i; i += 1; }"),
        (
            "run_many_variables",
            "let n = 0; loop { n += many(); }\n}\nfn many() { let s = \"x\"; loop { s += s; }",
        ),
        ("run_loop_in_closure", "let n = 0;\n[1, 2].map(|x| { loop { n += 1; } });"),
        ("run_recursion_in_map", "[1].map(|x| f(x)) }\nfn f(n) { f(n + 1)"),
        ("run_printed_too_long", "let s = \"x\"; for i in 0..15 { s += s; }\nprint(s);"),
        ("run_host_kinds", "let q = 7; ask(q, [], \"1h\")"),
        ("run_compare_nothing", "let a = #{}; a.count + 1"),
        ("run_text_as_number", "let t = \"5\"; t * 2"),
        ("run_not_bool_known_late", "let x = #{}; if x.ok { 1 }"),
        ("run_length", "let l = [1]; l.length"),
        ("run_closure_arguments", "[1].filter(|a, b, c, d| a)"),
        ("run_for_nothing", "let x = #{}; for y in x.items { y }"),
        ("run_for_number", "let n = 5; for y in n { y }"),
        ("run_index_empty", "let a = []; a[0]"),
        ("run_index_of_text", "let t = \"ab\"; t[5]"),
        ("run_index_by_text", "let a = [1]; a[\"x\"]"),
        ("run_index_of_number", "let a = 5; a[\"x\"]"),
        ("run_index_of_nothing", "let a = #{}; a.b[0]"),
        ("run_map_by_number", "let m = #{ a: 1 }; m[0]"),
        ("run_field_of_text", "let t = \"x\"; t.name"),
        ("run_parse", "parse_int(\"5s\")"),
        ("run_overflow", "let n = 9223372036854775807; n + 1"),
        ("run_constant_changed", "const L = [1]; L.push(2)"),
        ("run_negate", "let t = \"x\"; -t"),
        ("run_not", "let t = 5; !t"),
        ("run_and", "let t = 5; t && true"),
        ("run_call_of_number", "let t = 5; t.call(1)"),
        ("run_this", "this.x"),
        ("run_switch_without_arm", "let x = switch 5 { 1 => 2 }; x + 1"),
        ("run_range_of_text", "for i in range(\"a\", 3) { i }"),
        ("run_sort_mixed", "let a = [1, \"b\"]; a.sort(); a"),
        ("run_journal_full", "loop { log(\"info\", 1); }"),
    ]
    .into_iter()
    .map(|(name, script)| (name, failed(script)))
    .collect()
}

/// What is said where a script takes another way the second time.
fn differs() -> String {
    let first = body("sleep(1);\n  act(\"a.do\", #{})");
    let Burst::Suspended { step, .. } = drive(&first, Phase::Run, &json!({}), &[], &env()) else {
        panic!("it waits")
    };
    let step = Step { status: StepStatus::Finished, ..*step };
    let other = body("\n  act(\"a.do\", #{})");
    match drive(&other, Phase::Run, &json!({}), &[step], &env()) {
        Burst::Failed { failure, .. } => format!("{}: {}", failure.kind, failure.message),
        other => panic!("{other:?}"),
    }
}

/// What is said of an action that failed and was not caught.
fn uncaught() -> String {
    let broken = |_: &Request| Err(Failure::retryable("timeout", "no answer within 30s").of("a.do"));
    let failure = play(&body("let x = 1;\n  act(\"a.do\", #{})"), broken).end.unwrap_err();
    format!("{}: {}", failure.kind, failure.message)
}

#[test]
fn each_mistake_is_shown_with_its_place_and_the_way_out() {
    let mut cases = [
        bodies(),
        headers(),
        wholes(),
        runs(),
        slips::arguments(),
        slips::names(),
        slips::words(),
        slips::files(),
        phrases::halves(),
        phrases::flow(),
        phrases::names(),
        headers::values(),
        headers::places(),
        slips::quiet(),
        values::comparisons(),
        values::fields(),
        values::certain(),
        values::through(),
        values::habits(),
    ]
    .concat();
    cases.push(("run_nondeterministic", differs()));
    cases.push(("run_action_failed", uncaught()));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("shown");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut changed = Vec::new();
    settings.bind(|| {
        for (name, told) in &cases {
            // Each is tried, so that one that changed does not hide the others.
            let same = std::panic::catch_unwind(|| insta::assert_snapshot!(*name, told));
            changed.extend(same.is_err().then_some(*name));
        }
    });
    assert!(changed.is_empty(), "{changed:?}");
    for (name, told) in &cases {
        assert!(told.contains("playbooks/"), "{name} says no place: {told}");
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/playbook/tests/shown")).unwrap();
    let kept =
        files.filter(|file| file.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "snap")));
    assert_eq!(
        kept.count(),
        cases.len(),
        "a text without a mistake is left over, or two mistakes have one name"
    );
}
