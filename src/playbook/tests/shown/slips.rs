//! Mistakes that are seen before anything runs, though the script can be read: arguments, names, words of other
//! languages, whole files.

use super::{Told, loaded, of_bodies, with_body};

/// Arguments of host functions.
pub fn arguments() -> Told {
    of_bodies([
        ("argument_sleep", "sleep(\"5 bananas\");"),
        ("argument_sleep_negative", "sleep(-1);"),
        ("argument_sleep_zero", "sleep(0);"),
        ("argument_sleep_list", "sleep([1]);"),
        ("argument_log_level", "log(\"inof\", \"x\");"),
        ("argument_log_swapped", "log(\"the disk is full\", \"info\");"),
        ("argument_log_char", "log('i', \"x\");"),
        ("argument_wait_time", "wait_for(\"a.b\", \"data.x > 1\", \"soon\");"),
        ("argument_wait_topic", "wait_for(\"a..b\", \"5s\");"),
        ("argument_wait_condition", "wait_for(\"a.b\", \"data.x >\", \"5s\");"),
        ("argument_wait_condition_name", "wait_for(\"a.b\", \"data.x == targte\", \"5s\");"),
        ("argument_wait_condition_kind", "wait_for(\"a.b\", true, \"5s\");"),
        ("argument_wait_condition_ctx", "wait_for(\"a.b\", \"data.x == ctx.target\", \"5s\");"),
        ("argument_log_upper", "log(\"INFO\", \"x\");"),
        ("argument_act_options_number", "act(\"kernel.restart\", #{ kernel: \"a\" }, 3);"),
        ("argument_act_retries_fraction", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ retries: 2.5 });"),
        ("argument_ask_choices", "ask(\"go?\", \"yes\", \"1m\");"),
        ("argument_ask_numbers", "ask(\"go?\", [1, 2], \"1m\");"),
        ("argument_ask_twice", "ask(\"go?\", [\"yes\", \"yes\"], \"1m\");"),
        ("argument_ask_empty", "ask(\"\", [], \"1m\");"),
        ("argument_ask_zero", "ask(\"go?\", [], 0);"),
        ("argument_ask_option", "ask(\"go?\", [], \"1m\", #{ detail: true });"),
        ("argument_emit_pattern", "emit(\"a.>\", #{});"),
        ("argument_emit_closure", "emit(\"a.b\", |x| x);"),
        ("argument_metric_name", "metric(\"a b\", 1);"),
        ("argument_metric_value", "metric(\"a\", \"many\");"),
        ("argument_act_option", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ retires: 3 });"),
        ("argument_act_option_far", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ colour: 3 });"),
        ("argument_act_retries", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ retries: 100 });"),
        ("argument_act_retries_text", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ retries: \"3\" });"),
        ("argument_act_timeout", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ timeout: \"soon\" });"),
        ("argument_act_timeout_zero", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ timeout: 0 });"),
        ("argument_act_key", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ key: 7 });"),
        ("argument_act_text", "act(\"kernel.restart\", \"a\");"),
        ("argument_act_alone", "act(\"kernel.restart\");"),
        ("argument_act_unknown", "act(\"kernel.restrat\", #{ kernel: \"a\" });"),
        ("argument_act_group", "act(\"restart\", #{ kernel: \"a\" });"),
        ("argument_act_swapped", "act(#{ kernel: \"a\" }, \"kernel.restart\");"),
        ("argument_param_name", "act(\"kernel.restart\", #{ kernl: \"a\" });"),
        ("argument_param_far", "act(\"kernel.restart\", #{ kernel: \"a\", colour: 1 });"),
        ("argument_param_kind", "act(\"kernel.restart\", #{ kernel: 7 });"),
        ("argument_param_text", "act(\"kernel.restart\", #{ kernel: \"a\", dependants: `${1}` });"),
        ("argument_param_time", "act(\"kernel.restart\", #{ kernel: \"a\", grace: \"soon\" });"),
        ("argument_param_missing", "act(\"kernel.restart\", #{});"),
        ("argument_all_texts", "all([\"kernel.restart\"]);"),
        ("argument_all_acts", "all([act(\"kernel.restart\", #{ kernel: \"a\" })]);"),
        ("argument_all_one", "all(#{ action: \"kernel.restart\", params: #{} });"),
        ("argument_all_no_action", "all([#{ name: \"kernel.restart\", params: #{ kernel: \"a\" } }]);"),
        ("argument_all_key", "all([#{ action: \"kernel.restart\", parms: #{ kernel: \"a\" } }]);"),
        ("argument_all_param", "all([#{ action: \"kernel.restart\", params: #{ kernle: \"a\" } }]);"),
        ("argument_all_option", "all([], #{ parital: true });"),
        ("argument_fail_none", "fail();"),
        ("argument_timestamp", "let t = timestamp();"),
        ("argument_several", "sleep(\"5 bananas\"); log(\"inof\", 1);\n    emit(\"a.*\", 1);"),
    ])
}

/// Fields and functions that are not there.
pub fn names() -> Told {
    let head =
        "//! Fix it.\n//! ---\n//! actions: []\n//! params: { grace: { type: duration, default: 5s } }\n";
    let whole = |text: &str| loaded(&format!("{head}{text}\n"));
    let mut told = of_bodies([
        ("field_of_ctx", "log(\"info\", ctx.tagret);"),
        ("field_of_ctx_far", "log(\"info\", ctx.colour);"),
        ("field_of_ctx_elsewhere", "log(\"info\", ctx.topic);"),
        ("field_of_ctx_index", "log(\"info\", ctx[\"tagret\"]);"),
        ("field_of_event", "log(\"info\", ctx.event.kernel);"),
        ("field_of_event_near", "log(\"info\", ctx.event.dta.x);"),
        ("field_of_intent", "log(\"info\", ctx.intent.gaol);"),
        ("field_done_in_run", "log(\"info\", ctx.done);"),
        ("field_in_closure", "[1].map(|x| ctx.tagret + x);"),
        ("field_in_text", "log(\"info\", `of ${ctx.tagret}`);"),
        ("method_near", "let l = [1]; l.lenght();"),
        ("method_of_javascript", "\"a\".toLowerCase();"),
        ("method_count", "\"a\".to_upper(1, 2);"),
        ("function_of_rhai_count", "parse_int();"),
        ("module_function", "import \"lib/good\" as good; good::pasue();"),
        ("module_function_far", "import \"lib/good\" as good; good::restart(1);"),
        ("module_count", "import \"lib/good\" as good; good::pause(1);"),
        ("function_of_own_near", "helpr(1); }\nfn helper(a) { a"),
    ]);
    told.push(("field_of_params", whole("fn run(ctx) { sleep(ctx.params.garce) }")));
    told.push(("field_of_params_far", whole("fn run(ctx) { sleep(ctx.params.wait) }")));
    told.push((
        "field_in_helper",
        whole("fn run(ctx) { helper(ctx.target, ctx) }\nfn helper(name, given) { log(name, given.evnt) }"),
    ));
    told
}

/// Words of other languages.
pub fn words() -> Told {
    of_bodies([
        ("word_console", "console.log(\"x\");"),
        ("word_print", "println(\"x\");"),
        ("word_sleep_ms", "sleep_ms(500);"),
        ("word_fetch", "let r = fetch(\"http://a\");"),
        ("word_exec", "exec(\"rm\", [\"-r\"]);"),
        ("word_require", "let a = require(\"a\");"),
        ("word_await", "await act(\"kernel.restart\", #{ kernel: \"a\" });"),
        ("word_fstring", "log(\"info\", f\"x {1}\");"),
        ("word_none", "if ctx.target == None { }"),
        ("word_true", "let a = True;"),
        ("word_or", "if true or false { }"),
        ("word_is", "if ctx.attempt is 1 { }"),
        ("word_declare", "let a := 1;"),
        ("word_int", "int a = 1;"),
        ("word_arrow", "[1].map(x => x + 1);"),
        ("word_lambda", "[1].map(lambda x: x);"),
        ("word_function", "function f() { }"),
        ("word_def_inside", "def f():\n        pass"),
        ("word_inner_fn", "fn inner() { 1 }"),
        ("word_colon", "if ctx.attempt > 1:\n        sleep(1);"),
        ("word_else_if", "if true { 1 } else if { 2 }"),
        ("word_comment", "# a comment"),
        ("word_map", "let a = { b: 1 };"),
        ("word_map_quotes", "act(\"kernel.restart\", { \"kernel\": \"a\" });"),
        ("word_spread", "let a = #{ ...b };"),
        ("word_ternary", "let a = true ? 1 : 2;"),
        ("word_for", "for (let i = 0; i < 3; i++) { }"),
        ("word_foreach", "foreach x in [1] { }"),
        ("word_in_of", "for x of [1] { }"),
        ("word_while", "while (true) sleep(1);"),
        ("word_if_no_brace", "if true sleep(1);"),
        ("word_try_except", "try { sleep(1); } except { }"),
        ("word_finally", "try { sleep(1); } finally { }"),
        ("word_switch", "match ctx.target { 1 => 2 }"),
        ("word_curly_quotes", "log(“info”, \"x\");"),
        ("word_duration", "sleep(5s);"),
        ("word_unquoted_action", "act(kernel.restart, #{ kernel: \"a\" });"),
        ("word_unquoted_text", "log(info, \"x\");"),
        ("word_dollar", "log(\"info\", $target);"),
        ("word_template", "log(\"info\", \"of ${ctx.target}\"));"),
        ("word_dangling", "let a = 1 + ;"),
        ("word_double_comma", "log(\"info\",, \"x\");"),
        ("word_missing_value", "let a = ;"),
        ("word_else", "else { 1 }"),
        ("word_break", "break;"),
        ("word_null_check", "if ctx.target === null { }"),
        ("word_not_in", "if !(\"a\" in ctx) and true { }"),
        ("word_this", "log(\"info\", self.target);"),
        ("word_extra_brace", "log(\"info\", \"x\"); }"),
        ("word_named_argument", "act(\"kernel.restart\", kernel = ctx.target);"),
        ("word_catch_kind", "try { sleep(1); } catch Exception as e { }"),
        ("word_catch_javascript", "try { sleep(1); } catch e { }"),
        ("word_twice", "let a = #{ b: 1, b: 2 };"),
    ])
}

/// Whole files.
pub fn files() -> Told {
    let head = "//! Fix it.\n//! ---\n//! actions: []\n";
    [
        ("file_empty", String::new()),
        ("file_of_space", "\n  \n".into()),
        ("file_without_function", "log(\"info\", \"x\");\n".into()),
        ("file_comment_open", format!("{head}fn run(ctx) {{ 1 }}\n/* not yet\nfn verify(ctx) {{ true }}\n")),
        ("file_with_main", "fn main(ctx) { log(\"info\", \"x\") }\n".into()),
        ("file_main_for_run", format!("{head}fn main(ctx) {{ log(\"info\", \"x\") }}\n")),
        ("file_header_only", head.into()),
        ("file_acts_outside", format!("{head}log(\"info\", \"x\");\nfn run(ctx) {{ 1 }}\n")),
        ("file_variable_outside", format!("{head}let n = 1;\nfn run(ctx) {{ n + 1 }}\n")),
        ("file_run_twice", format!("{head}fn run(ctx) {{ 1 }}\nfn run(ctx) {{ 2 }}\n")),
        ("file_rollback_with_three", format!("{head}fn run(ctx) {{ 1 }}\nfn rollback(a, b, c) {{ 1 }}\n")),
        (
            "file_rollback_goes_on",
            format!("{head}fn run(ctx) {{ 1 }}\nfn rollback(ctx) {{ continue_as_new(1); }}\n"),
        ),
        ("file_of_yaml", "name: fix\nsteps:\n  - restart\n".into()),
        ("file_of_python", "def run(ctx):\n    print(\"x\")\n".into()),
        ("file_of_javascript", "export async function run(ctx) {\n  await fetch(\"x\");\n}\n".into()),
        ("file_header_open", "//! Fix it.\n//! actions: []\nfn run(ctx) { 1 }\n".into()),
    ]
    .into_iter()
    .map(|(name, text)| (name, loaded(&text)))
    .collect()
}

/// What Rhai takes without a word.
pub fn quiet() -> Told {
    let mut told = of_bodies([
        ("quiet_template", "log(\"info\", \"restarting ${ctx.target}\");"),
        ("quiet_template_of_variable", "let n = 3; log(\"info\", \"${n} kernels\");"),
        ("quiet_milliseconds", "sleep(30000);"),
        ("quiet_milliseconds_of_option", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ timeout: 5000 });"),
        ("quiet_longer_than_run", "ask(\"go?\", [\"yes\"], \"1h\");"),
        ("quiet_number_as_text", "if ctx.attempt == \"2\" { fail(\"again\"); }"),
        ("quiet_target_as_number", "if 7 != ctx.target { fail(\"odd\"); }"),
        ("quiet_compared", "let a = 1; a == 2; log(\"info\", a);"),
        ("quiet_compared_in_branch", "let a = 1; if a > 0 { a == 2; log(\"info\", a); }"),
        ("quiet_endless", "let n = 0; loop { n += 1; }"),
        ("name_closure", "let f = |x| x + 1; f(2);"),
        ("argument_wait_template", "wait_for(\"a.b\", \"data.x == ${ctx.target}\", \"5s\");"),
        ("argument_act_option_inside", "act(\"kernel.restart\", #{ kernel: \"a\", timeout: \"5s\" });"),
        ("argument_act_list_as_text", "act(\"kernel.scale\", #{ kernel: [\"a\"], replicas: \"2\" });"),
        ("module_constant", "import \"lib/good\" as good; sleep(good::PAUSE);"),
        ("module_constant_far", "import \"lib/good\" as good; sleep(good::PAUSES);"),
        (
            "quiet_field_of_result",
            "let r = act(\"kernel.health\", #{ kernel: \"a\" }); if r.healty { log(\"info\", 1); }",
        ),
        (
            "quiet_field_of_call",
            "if !act(\"kernel.health\", #{ kernel: \"a\" }).healty { log(\"info\", 1); }",
        ),
        ("quiet_field_of_failure", "try { sleep(1); } catch (e) { log(\"info\", e.mesage); }"),
        (
            "quiet_field_of_event",
            "let e = wait_for(\"a.b\", \"5s\"); if e != () { log(\"info\", e.kernel); }",
        ),
        (
            "quiet_answer",
            "let a = ask(\"go?\", [\"yes\", \"no\"], \"1m\"); if a == \"Yes\" { log(\"info\", 1); }",
        ),
        ("import_missing_folder", "import \"good\" as lib; lib::pause();"),
        ("name_function_shared", "import \"lib/good\" as lib; pause();"),
        ("name_module_unnamed", "import \"lib/good\"; good.pause();"),
        ("name_module_near", "import \"lib/good\" as kernels; kernel::pause();"),
        ("name_constant_of_file", "log(\"info\", LIMIT); }\nconst LIMIT = 1;\nfn other() { 1"),
        ("name_ended_with_block", "if true { let x = 1; log(\"info\", x); } log(\"info\", x);"),
        ("word_curry", "let f = |x| x; f.curry(1);"),
        ("word_exit", "if ctx.attempt > 1 { exit(1); }"),
        ("import_folder", "import \"lib\" as lib; lib::pause();"),
        ("module_acts", "import \"lib/health\" as health; health::is_well(ctx.target);"),
        ("name_module_dot", "import \"lib/good\" as good; good.pause();"),
        ("word_let_without_end", "let x = 5 let y = 6;"),
        ("name_function_rollback", "rollback(ctx);"),
        ("quiet_hidden", "sleep(1); }\nfn sleep(n) { n"),
    ]);
    let whole = |rest: &str| loaded(&format!("{}{rest}\n", with_body("")));
    told.extend([
        ("quiet_verify_near", whole("fn verfiy(ctx) { true }")),
        ("quiet_rollback_near", whole("fn undo(ctx) { log(\"info\", \"x\"); }")),
        ("quiet_verify_text", whole("fn verify(ctx) {\n    \"ok\"\n}")),
        ("quiet_verify_nothing", whole("fn verify(ctx) {\n    let ok = ctx.done.len() > 0;\n}")),
        ("quiet_verify_one_way", whole("fn verify(ctx) {\n    if ctx.attempt > 1 { true }\n}")),
        ("quiet_verify_return", whole("fn verify(ctx) {\n    if ctx.attempt > 1 { return; }\n    true\n}")),
        (
            "quiet_verify_loop",
            whole("fn verify(ctx) {\n    for i in 0..3 { if i > ctx.attempt { return true; } }\n}"),
        ),
    ]);
    told
}
