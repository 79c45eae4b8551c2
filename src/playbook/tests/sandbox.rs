//! A script reaches nothing but its arguments and the host functions.

use super::*;

/// Each would reach outside of the run if it worked: it must not load, or fail.
const ESCAPES: &[&str] = &[
    // Code from text.
    "eval(\"1 + 1\")",
    "let e = \"ev\" + \"al\"; call(e, \"1\")",
    "Fn(\"eval\").call(\"1 + 1\")",
    "Fn(\"ev\" + \"al\").call(\"1 + 1\")",
    "[\"1\"].map(Fn(\"eval\"))",
    "ctx.eval(\"1\")",
    "Fn(\"curry\").call(Fn(\"act\"), 1)",
    "Fn(\"act\").curry(\"x.y\").call(#{})",
    // Files.
    "import \"/etc/passwd\" as p; p::x",
    "import \"../t\" as p; p::run(1)",
    "import \"lib/../../x\" as p;",
    "import \"./t\" as p;",
    "import \"C:\\\\x\" as p;",
    "import \"file:///etc/passwd\" as p;",
    "import \"%2e%2e/x\" as p;",
    "import \"\\0\" as p;",
    "import \"\" as p;",
    "import \"nothing\" as p;",
    "let p = \"/etc/\" + \"passwd\"; import p as q;",
    "import `${ctx.target}` as q;",
    "open_file(\"/etc/passwd\")",
    "open(\"/etc/passwd\")",
    "read(\"/etc/passwd\")",
    "File(\"/etc/passwd\")",
    "include(\"/etc/passwd\")",
    "path(\"/\").list()",
    // Processes and the network.
    "system(\"id\")",
    "exec(\"id\")",
    "shell(\"id\")",
    "spawn(\"id\")",
    "command([\"id\"])",
    "http_get(\"http://127.0.0.1\")",
    "fetch(\"http://127.0.0.1\")",
    "connect(\"127.0.0.1:80\")",
    "std::process::exit(1)",
    "panic(\"x\")",
    // The machine.
    "env(\"PATH\")",
    "getenv(\"PATH\")",
    "env::PATH",
    "timestamp()",
    "timestamp().elapsed",
    "Fn(\"timestamp\").call()",
    "rand()",
    "thread_sleep(1)",
    "exit_process(1)",
    // Actions that the header does not allow.
    "act(\"exec.run\", #{ argv: [\"id\"] })",
    "act(\"exec.\" + \"run\", #{})",
    "Fn(\"act\").call(\"exec.run\", #{})",
    "\"exec.run\".act(#{})",
    "all([#{ action: \"exec.run\", params: #{} }])",
    "[\"exec.run\"].map(|a| act(a, #{}))",
    "act(\"\", #{})",
    "act(\"a.do \", #{})",
    "act(\"A.DO\", #{})",
    "act(\"*\", #{})",
    // The host's insides.
    "ctx.target.tag = 99999999999",
    "emit(\"a.*\", 1)",
    "emit(\"a..b\", 1)",
    "wait_for(\">.a\", \"1s\")",
    "wait_for(\"a.b\", \"data.x >\", \"1s\")",
    "wait_for(\"a.b\", \"eval(1)\", \"1s\")",
    "log(\"shout\", \"x\")",
    "metric(\"a b\\n# TYPE\", 1)",
    "sleep(-1)",
    "sleep(\"never\")",
    "sleep(1.0 / 0.0)",
    "act(\"a.do\", #{ f: || 1 })",
    "act(\"a.do\", #{ f: 0.0 / 0.0 })",
    "act(\"a.do\", #{}, #{ retires: 1 })",
    "act(\"a.do\", #{}, #{ retries: 1000000 })",
    "act(\"a.do\", #{}, #{ timeout: \"-1s\" })",
    "private_key()",
    "debug_info()",
    "this.x",
];

#[test]
fn no_way_out_of_the_sandbox_works() {
    for escape in ESCAPES {
        let text = format!("{HEADER}fn run(ctx) {{ {escape} }}");
        let Ok(library) = Library::load("playbooks", &[file("t", &text)], &[]) else { continue };
        let pb = library.get("t").unwrap();
        let played = play(&pb, |request| panic!("{escape} gets {request:?}"));
        assert!(played.end.is_err(), "{escape} gives {:?}", played.end);
        assert_eq!(played.journal, [], "{escape}");
    }
    assert!(ESCAPES.len() >= 50);
}

#[test]
fn what_is_refused_says_where_and_why() {
    let cases = [
        (
            "1;\n  act(\"exec.run\", #{})",
            "refused",
            "the header's `actions:` does not name `exec.run`, so playbooks/t.rhai:6:3 may not call it: add it there",
        ),
        ("let t = \"never\"; sleep(t)", "invalid", "sleep: `never` is not a length of time"),
        ("let l = \"wran\"; log(l, 1)", "invalid", "log knows no level `wran`"),
        ("let o = #{ timout: 1 }; act(\"a.do\", #{}, o)", "invalid", "did you mean `timeout`?"),
    ];
    for (script, kind, text) in cases {
        let failure = play(&unchecked(script).unwrap(), nothing).end.unwrap_err();
        assert_eq!(failure.kind, kind, "{script}");
        assert!(failure.message.contains(text), "{script}: {failure}");
        let caught =
            play(&unchecked(&format!("try {{ {script} }} catch (e) {{ return e.kind }}")).unwrap(), nothing)
                .end;
        assert_eq!(caught, Ok(json!(kind)), "{script}");
    }
}

#[test]
fn one_run_sees_nothing_of_another() {
    let pb = playbook("let seen = 0;\nfn run(ctx) { ctx.target = \"changed\"; ctx }");
    for _ in 0..2 {
        let ctx = json!({"target": "k1", "params": {}});
        let Burst::Done { value, .. } = drive(&pb, Phase::Run, &ctx, &[], &env()) else { panic!("it waits") };
        assert_eq!(value, json!({"target": "changed", "params": {}}));
        assert_eq!(ctx["target"], "k1");
    }
}
