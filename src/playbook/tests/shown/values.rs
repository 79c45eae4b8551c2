//! What is seen of values before anything runs: comparisons, fields, kinds, and literals that stand in variables.

use serde_json::json;

use super::{Told, file, specs};
use crate::actions::{BUILTIN, Spec};
use crate::playbook::library::Library;

/// Actions as the built-in ones are, and one of a plugin.
pub fn actions() -> Vec<Spec> {
    let like = |name: &str, params, result| Spec { name: name.into(), params, result, ..specs()[0].clone() };
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "items": text });
    let [int, bool] = ["integer", "boolean"].map(|it| json!({ "type": it }));
    let kernel = json!({ "type": "object", "required": ["kernel"], "properties": { "kernel": text } });
    let mut actions = specs();
    actions.retain(|it| it.name != "kernel.health");
    let state = json!({ "type": "object", "properties": { "kernel": text, "state": text, "replicas": int } });
    actions.iter_mut().for_each(|it| it.result = state.clone());
    actions.extend([
        like(
            "kernel.health",
            kernel.clone(),
            json!({ "type": "object", "properties": {
                "kernel": text, "healthy": bool, "state": text, "problems": texts, "generation": int,
            } }),
        ),
        like(
            "exec.run",
            json!({ "type": "object", "required": ["argv"], "properties": { "argv": texts } }),
            json!({ "type": "object", "properties": {
                "code": int, "stdout": text, "stderr": text, "truncated": bool,
            } }),
        ),
        like(
            "http.request",
            json!({ "type": "object", "required": ["url"], "properties": { "url": text } }),
            json!({ "type": "object", "properties": { "status": int, "body": text, "json": {} } }),
        ),
        like(
            "diagnostic.run",
            json!({ "type": "object" }),
            json!({ "type": "object", "properties": { "findings": { "type": "array", "items": {
                "type": "object", "properties": { "check": text, "summary": text },
            } } } }),
        ),
        like(
            "shop.refund",
            json!({ "type": "object" }),
            json!({ "type": "object", "properties": { "refunded": bool, "amount": int } }),
        ),
    ]);
    actions
}

/// The header of a playbook that may do all of it.
pub const HEADER: &str = "//! Fix it.\n//! ---\n\
    //! actions: [kernel.restart, kernel.health, kernel.scale, exec.run, http.request, diagnostic.run, shop.refund]\n\
    //! timeout: 2h\n\
    //! params:\n\
    //!   n: { type: int, default: 3 }\n\
    //!   late: { type: int }\n\
    //!   name: { type: string, default: a }\n\
    //!   grace: { type: duration, default: 30s }\n\
    //!   wait: { type: duration, default: 30 }\n\
    //!   force: { type: bool, default: false }\n\
    //!   names: { type: list, default: [] }\n";

/// What is said of a playbook whose `run` is `body`, but for actions that the header allows and nobody calls.
fn told(body: &str) -> String {
    told_of_header(HEADER, body)
}

fn told_of_header(header: &str, body: &str) -> String {
    let text = format!("{header}fn run(ctx) {{\n    {body}\n}}\n");
    let known: Vec<String> = BUILTIN.map(String::from).into_iter().chain(["shop.refund".into()]).collect();
    let problems = match Library::load_fitting("playbooks", &[file("fix", &text)], &known, &actions()) {
        Ok(library) => library.warnings().to_vec(),
        Err(problems) => problems,
    };
    let told = problems.iter().filter(|it| it.code != "P0213").map(ToString::to_string);
    told.collect::<Vec<_>>().join("\n\n")
}

fn of<const N: usize>(cases: [(&'static str, &str); N]) -> Told {
    cases.into_iter().map(|(name, body)| (name, told(body))).collect()
}

/// Comparisons that come out the same whatever happens.
pub fn comparisons() -> Told {
    of([
        ("compare_param", "if ctx.params.n == \"3\" { sleep(1); }"),
        ("compare_param_alias", "let p = ctx.params; let n = p.n; if n != \"three\" { sleep(1); }"),
        ("compare_time", "if ctx.params.grace > 3 { sleep(1); }"),
        ("compare_time_counted", "sleep(ctx.params.grace * 2);"),
        ("compare_order", "if ctx.attempt > \"1\" { sleep(1); }"),
        ("compare_order_text", "if ctx.target > 3 { sleep(1); }"),
        ("compare_result", "if act(\"kernel.health\", #{ kernel: \"a\" }).healthy == \"true\" { sleep(1); }"),
        ("compare_code", "let r = act(\"exec.run\", #{ argv: [\"ls\"] }); if r.code == \"0\" { sleep(1); }"),
        ("compare_whole_result", "let r = act(\"exec.run\", #{ argv: [\"ls\"] }); if r == 0 { sleep(1); }"),
        ("compare_plugin", "let r = act(\"shop.refund\", #{}); if r.refunded == \"yes\" { sleep(1); }"),
        ("compare_answer", "if ask(\"Go?\", [\"yes\", \"no\"], \"1m\") == true { sleep(1); }"),
        (
            "compare_details",
            "let a = ask(\"Go?\", [\"yes\"], \"1m\", #{ details: true }); if a == \"yes\" { sleep(1); }",
        ),
        ("compare_type", "if type_of(ctx.params.late) == \"int\" { sleep(1); }"),
        ("compare_type_method", "if ctx.event.data.n.type_of() != \"number\" { sleep(1); }"),
        ("compare_twice", "let x = ctx.attempt; if 1 < x < 5 { sleep(1); }"),
        ("compare_two_variables", "let name = ctx.target; let n = ctx.params.n; if name == n { sleep(1); }"),
        (
            "compare_choice_variable",
            "let c = [\"yes\", \"no\"]; if ask(\"Go?\", c, \"1m\") == \"ok\" { sleep(1); }",
        ),
    ])
}

/// Fields of what host functions give.
pub fn fields() -> Told {
    let run = "let r = act(\"exec.run\", #{ argv: [\"ls\"] });";
    let both = "[#{ action: \"kernel.health\", params: #{ kernel: \"a\" } }]";
    let mut told_of = of([
        (
            "value_field_variable",
            "let k = \"kernel.health\"; log(\"info\", act(k, #{ kernel: \"a\" }).helthy);",
        ),
        ("value_field_params", "let p = ctx.params; sleep(p.grce);"),
        ("value_field_done", "sleep(1); }\nfn verify(ctx) { ctx.done[0].outcome == 1"),
        ("value_field_details", "log(\"info\", ask(\"Go?\", [\"yes\"], \"1m\", #{ details: true }).who);"),
        ("value_field_no_details", "log(\"info\", ask(\"Go?\", [\"yes\"], \"1m\").answer);"),
        (
            "value_field_finding",
            "for f in act(\"diagnostic.run\", #{}).findings { log(\"info\", f.sumary); }",
        ),
        ("value_field_plugin", "log(\"info\", act(\"shop.refund\", #{}).amont);"),
        ("value_field_event", "let e = ctx.event; log(\"info\", e.kernel);"),
        (
            "value_field_status",
            "log(\"info\", act(\"http.request\", #{ url: \"https://a.b\" }).status_code);",
        ),
    ]);
    told_of.extend([
        ("value_field_exit_code", told(&format!("{run} log(\"info\", r.exit_code);"))),
        ("value_field_ok", told(&format!("{run} if r.ok {{ sleep(1); }}"))),
        ("value_field_index", told(&format!("{run} log(\"info\", r[\"exit\"]);"))),
        ("value_field_all", told(&format!("let res = all({both}); log(\"info\", res[0].ok);"))),
        ("value_field_all_loop", told(&format!("for r in all({both}) {{ log(\"info\", r.error); }}"))),
        (
            "value_field_all_partial",
            told(&format!("for r in all({both}, #{{ partial: true }}) {{ log(\"info\", r.healthy); }}")),
        ),
        (
            "value_field_all_computed",
            told_of_header(
                &HEADER.replace(", shop.refund", ""),
                "let w = wishes(); log(\"info\", all(w)[0].result); }\nfn wishes() { []",
            ),
        ),
    ]);
    told_of
}

/// What fails whenever it is reached.
pub fn certain() -> Told {
    let health = "act(\"kernel.health\", #{ kernel: ctx.target })";
    let verify = |end: &str| told(&format!("sleep(1); }}\nfn verify(ctx) {{\n    {end}"));
    let mut told_of = of([
        ("certain_length", "let l = [1]; log(\"info\", l.length);"),
        ("certain_length_text", "log(\"info\", \"abc\".length);"),
        ("certain_length_param", "log(\"info\", ctx.params.names.count);"),
        ("certain_if_ask", "if ask(\"Go?\", [\"yes\", \"no\"], \"1m\") { sleep(1); }"),
        ("certain_if_event", "let e = wait_for(\"a.b\", \"5s\"); if e { sleep(1); }"),
        ("certain_not_event", "let e = wait_for(\"a.b\", \"5s\"); if !e { sleep(1); }"),
        ("certain_if_number", "if ctx.params.n { sleep(1); }"),
        ("certain_if_text", "while ctx.params.name { sleep(1); }"),
        ("certain_if_list", "if ctx.params.names && ctx.attempt > 1 { sleep(1); }"),
        ("certain_if_plugin", "let r = act(\"shop.refund\", #{}); if r.amount { sleep(1); }"),
        ("certain_zero", "log(\"info\", 5 / 0);"),
        ("certain_zero_variable", "let none = 0; log(\"info\", ctx.params.n % none);"),
        ("certain_call", "let f = 5; f.call(1);"),
        ("certain_for_params", "for (k, v) in ctx.params { log(\"info\", k); }"),
        ("certain_for_number", "let n = 5; for i in n { log(\"info\", i); }"),
        ("certain_trim", "let x = ctx.target; let s = x.trim(); log(\"info\", s);"),
        ("certain_replace", "let text = \"a b\"; log(\"info\", text.replace(\" \", \"-\"));"),
        ("certain_push", "let l = [1]; let m = l.push(2); log(\"info\", m);"),
        ("certain_trim_chain", "let n = ctx.event.data.name.trim().len(); log(\"info\", n);"),
        ("certain_trim_in_text", "let x = ctx.target; log(\"info\", `of ${x.trim()}`);"),
        ("certain_large", "log(\"info\", 99999999999999999999);"),
    ]);
    told_of.extend([
        ("certain_if_act", told(&format!("if {health} {{ sleep(1); }}"))),
        ("certain_while_act", told("while act(\"exec.run\", #{ argv: [\"ls\"] }) { sleep(1); }")),
        ("certain_verify_result", verify(health)),
        ("certain_verify_text", verify(&format!("let h = {health};\n    h.state"))),
        (
            "certain_verify_one_way",
            verify(&format!("if ctx.attempt > 1 {{ return true; }}\n    {health}.problems")),
        ),
    ]);
    told_of
}

/// Literals that stand in variables, and kinds of parameters.
pub fn through() -> Told {
    of([
        ("through_params", "let p = #{ kernal: ctx.target }; act(\"kernel.restart\", p);"),
        ("through_options", "let o = #{ retry: 3 }; act(\"kernel.restart\", #{ kernel: \"a\" }, o);"),
        ("through_time", "let t = \"5 parsecs\"; sleep(t);"),
        ("through_action", "let a = \"kernel.reboot\"; act(a, #{ kernel: \"a\" });"),
        (
            "through_action_not_allowed",
            "let a = \"alert.operator\"; act(a, #{ title: \"a\", message: \"b\" });",
        ),
        ("through_constant", "sleep(global::PAUSE); }\nconst PAUSE = \"soon\";\nfn other() { 1"),
        ("through_level", "let level = \"inof\"; log(level, \"x\");"),
        ("through_param_kind", "act(\"kernel.scale\", #{ kernel: ctx.target, replicas: ctx.params.name });"),
        ("through_param_perhaps", "act(\"kernel.restart\", #{ kernel: ctx.params.late });"),
        (
            "through_result",
            "let h = act(\"kernel.health\", #{ kernel: \"a\" }); act(\"kernel.restart\", #{ kernel: h.problems });",
        ),
        (
            "through_all",
            "let w = #{ action: \"kernel.restart\", params: #{ kernle: \"a\" } }; let l = [w]; all(l);",
        ),
        ("through_retries", "act(\"kernel.restart\", #{ kernel: \"a\" }, #{ retries: ctx.params.name });"),
    ])
}

/// Habits from shells and browsers.
pub fn habits() -> Told {
    of([
        ("habit_line", "act(\"exec.run\", #{ argv: [\"ls -l /tmp\"] });"),
        ("habit_pipe", "act(\"exec.run\", #{ argv: [\"ls\", \"/tmp\", \"|\", \"wc\", \"-l\"] });"),
        ("habit_redirect", "act(\"exec.run\", #{ argv: [\"ls\", \"/tmp\", \">\", \"/tmp/out\"] });"),
        ("habit_and", "let argv = [\"ls\", \"&&\", \"df\"]; act(\"exec.run\", #{ argv: argv });"),
        ("habit_variable", "act(\"exec.run\", #{ argv: [\"ls\", \"$HOME/x\"] });"),
        ("habit_pattern", "act(\"exec.run\", #{ argv: [\"rm\", \"-f\", \"/tmp/*.log\"] });"),
        ("habit_address", "act(\"http.request\", #{ url: \"example.com/x\" });"),
        ("habit_ftp", "let url = \"ftp://example.com/x\"; act(\"http.request\", #{ url: url });"),
    ])
}
