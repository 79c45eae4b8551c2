//! What is right is not said to be wrong: a playbook that uses all that the checks look at, in ways that are allowed.

use super::*;

const LARGE: &str = r#"//! Uses everything, and is right.
//! ---
//! risk: low
//! timeout: 2h
//! actions: [kernel.restart, kernel.health, alert.operator]
//! params:
//!   grace: { type: duration, default: 5s }
//!   names: { type: list }

import "lib/good" as good;

const LIMIT = 3;

fn run(ctx) {
    let options = #{ retries: 2 };
    options.timeout = "30s";
    options["backoff"] = 1.5;
    let params = #{ kernel: ctx.target };
    params += #{ grace: ctx.params.grace };
    act("kernel.restart", params, options);
    act("kernel.restart", #{ kernel: `${ctx.target}`, "grace": () }, #{ timeout: (), key: `k-${ctx.attempt}`, retries: 0 });
    let name = "kernel." + "health";
    let health = act(name, #{ kernel: ctx["target"] });
    if ctx.params.extra ?? false { log("warn", ctx.params.message); }
    if ctx.carried != () && "carried" in ctx { log("debug", ctx.carried.n); }
    let level = if health.healthy { "info" } else { "error" };
    log(level, #{ healthy: health.healthy });
    sleep(if health.healthy { 1 } else { 0.5 });
    let event = wait_for("a.*.>", `data.kernel == target && data.n > ${LIMIT_OF()}`, "5s");
    wait_for("a.b", (), ctx.params.grace);
    wait_for("a.b", "", 5);
    let choices = ["yes", "no"];
    choices.push(ctx.target);
    let answer = ask("Go on?", choices, "1h", #{ details: ctx.attempt > 1 });
    ask(`Restart ${ctx.target}?`, [], 30);
    emit(`shop.${ctx.target}`, ctx.event);
    emit("shop.order.lost", [1, 2.5, "x", 'c', (), true, #{ a: [] }]);
    metric("a.b_c-d:e", health.uptime ?? 0);
    let wishes = ctx.params.names.map(|n| #{ action: "kernel.health", params: #{ kernel: n } });
    all(wishes, #{ partial: true });
    all([#{ action: "kernel.health", params: #{ kernel: "a" }, timeout: "5s", retries: 1 }, wish(ctx.target)]);
    let done = all([]).filter(|it| it.ok).len();
    let lists = [[3, 1, 2], [], [1]];
    lists.sort(|x, y| x.len() - y.len());
    for (list, i) in lists { good::pause(); good::MOST; good::LEAST; list.for_each(|| this += i); }
    let helpers = #{ twice: |x| x * 2, len: |x| x };
    let six = helpers.twice.call(3);
    let f = Fn("helper");
    f.call(1, 2);
    "text".describe();
    switch ctx.attempt { 1 => log("info", "first"), 2..5 => (), _ => fail(`${done} of ${six}`) }
    try { helper(1, 2); } catch (e) { if e.kind == "refused" { throw e; } }
    let again = shadow(ctx);
    let any = sleep_all(#{ tagret: 1 });
    let text = "a, b".split(", ").reduce(|s, x| s + x, "");
    text.replace("a", "b");
    if steps() > 4000 { continue_as_new(#{ n: again }); }
    let state = act("kernel.health", #{ kernel: "a" });
    log("info", state.elsewhere ?? state.uptime);
    let late = wait_for("a.b", "1s");
    late = late ?? #{ kernel: "k" };
    log("info", late.kernel);
    try { throw #{ mesage: 1 }; } catch (e) { log("info", e.mesage); }
    let said = ask("Go?", ["yes", "no"], "1m");
    if said == "yes" || said != "no" || said == () { log("info", said); }
    let home = "${HOME}/x ${other}";
    sleep(3600);
    sleep(1.5);
    let equal = ctx.attempt == 1.0 && ctx.target != () && "a" == ctx.rule && ctx.confidence > 0;
    let n = 0;
    loop { n += 1; if n > 3 { break; } }
    loop { n += 1; if n > 5 { return n; } helper(n); }
    while true { sleep(1); if equal { break; } }
    n == 5 || helper(home);
    #{ now: now(), id: uuid(), chance: random(), event: event, answer: answer, any: any, rule: ctx.rule.len() }
}

fn verify(ctx) { ctx.done.all(|it| it.error == ()) && ctx.done.len() > 0 && ctx.event.data.deep.er != 1 }

fn rollback(ctx) {
    for it in ctx.done { log("info", it.action); }
    let ctx = #{ other: 1 };
    log("info", ctx.other);
}

fn wish(name) { #{ action: "alert.operator", params: #{ title: name, message: name } } }
fn helper(a, b) { a + b }
fn helper(a) { a }
fn LIMIT_OF() { global::LIMIT }
fn describe() { `it is ${this}` }

// The engine's functions can be hidden by those of the script, and `ctx` by a variable.
fn log(level, text, more) { metric("logged", more) }
fn sleep_all(ctx) { ctx.tagret }
fn shadow(ctx) {
    ctx.tagret = 5;
    let all = [1];
    let sleep = "5 bananas";
    ctx.tagret + all.len() + sleep.len()
}
fn sleep(list, n) { n }
fn emit(pattern) { pattern }
fn undo(what) { what }
fn check(ctx) { ctx.attempt }
fn checked(ctx) { check(ctx) }
fn unused() { emit("a.>"); sleep("5 bananas", 1); log("no level", 1, 2) }
"#;

#[test]
fn a_playbook_that_is_right_is_told_nothing() {
    let known = crate::actions::BUILTIN.map(String::from);
    let specs = specs();
    let good = file(
        "lib/good",
        "export const MOST = 1;\nconst FEW = 2;\nexport FEW as LEAST;\nfn pause() { 1 }\nfn apply(f, x) { f.call(x) }",
    );
    let told = match Library::load_fitting("playbooks", &[file("large", LARGE), good], &known, &specs) {
        Ok(library) => library.warnings().to_vec(),
        Err(problems) => problems,
    };
    assert!(told.is_empty(), "{}", told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn an_action_whose_name_is_put_together_may_be_any_that_the_header_allows() {
    let known = crate::actions::BUILTIN.map(String::from);
    for body in [
        "for verb in [\"stop\", \"start\"] { act(\"kernel.\" + verb, #{ kernel: ctx.target }); }",
        "act(ctx.params.what ?? \"kernel.stop\", #{ kernel: ctx.target });",
        "all([\"kernel.stop\"].map(|it| #{ action: it, params: #{ kernel: ctx.target } }));",
        "import \"lib/any\" as any; any::any(`kernel.${ctx.params.verb}`, ctx.target);",
    ] {
        let text = format!(
            "//! It.\n//! ---\n//! actions: [kernel.stop, kernel.start]\nfn run(ctx) {{\n{body}\n}}\n"
        );
        let any = file("lib/any", "fn any(name, kernel) { act(name, #{ kernel: kernel }) }");
        let library =
            Library::load_fitting("playbooks", &[file("it", &text), any], &known, &specs()).unwrap();
        assert!(library.warnings().is_empty(), "{body}: {:?}", library.warnings());
    }
}

#[test]
fn every_file_that_is_shipped_is_told_nothing_of_its_calls() {
    let specs = specs();
    for dir in [
        "playbooks",
        "examples/providers/playbooks",
        "examples/own-setup/playbooks",
        "examples/shop/playbooks",
    ] {
        let mut open = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)];
        let root = open[0].to_string_lossy().into_owned();
        let mut files = Vec::new();
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|e| e == "rhai") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    files.push(SourceFile { path: path.to_string_lossy().into_owned(), text });
                }
            }
        }
        assert!(!files.is_empty(), "{dir}");
        let told = match Library::load_fitting(&root, &files, &[], &specs) {
            Ok(library) => library.warnings().to_vec(),
            Err(problems) => problems,
        };
        assert!(told.is_empty(), "{}", told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}

/// Phrases that look like slips, and are none.
const ALIKE: &str = r##"//! Looks odd, and is right.
//! ---
//! risk: low
//!
//! timeout: 30
//! actions: [ "kernel.restart" ]
//! params: { grace: duration, when: { type: string, doc: "---" } }
//! ---
//! timeout: this is no key any more

// timeout: nor is this

//! Words at a place where they are only a comment.

import "lib/good" as good;

const DATA = "#! no shebang";

/* A comment /* in a comment */ with " and ` and ( in it. */
fn run(ctx) {
    let json = #{ "my-key": 1, "if": 2, ok: [1, 2,], };
    let time = 'x';
    let text = `a "b" ${ `c ${1 + 2}` } }`;
    let raw = #"a "quoted" \ text"#;
    let err = "line \
        goes on";
    for (x, i) in [1, 2] { log("info", `${x} ${i}`); }
    for i in 0..=3 { log("info", `${i}`) }
    for i in range(0, 6, 2) { log("info", `${i}`); }
    do { log("info", time.to_string()) } while false;
    let kind = if json.ok.len() > 1 { "many" } else if err == "" { "none" } else { "one" };
    switch kind { "many" | "one" => (), "none" if ctx.attempt > 1 => (), 1..5 => (), _ => log("info", raw) }
    let f = |data, end| data + end;
    let pair = (1 + 2) * 3;
    let none = ctx.event?.data ?? ();
    let f2 = || 5;
    log("info", `${f.call(1, 2)} ${pair} ${none} ${f2.call()} ${text} ${global::DATA} ${good::pause()}`);
    act("kernel.restart", #{
        kernel: ctx.target,
    });
    notify(ctx.target);
    throw "odd";
}

fn notify(data) { log("info", data) }
fn verify(ctx) { true }
"##;

#[test]
fn what_looks_like_a_slip_and_is_right_is_told_nothing() {
    let known = crate::actions::BUILTIN.map(String::from);
    for text in [ALIKE.to_string(), ALIKE.replace('\n', "\r\n"), format!("{}\n//! ---", ALIKE.trim_end())] {
        let good = file("lib/good", "const PAUSE = 1;\nfn pause() { 1 }");
        let told = match Library::load_fitting("playbooks", &[file("alike", &text), good], &known, &specs()) {
            Ok(library) => library.warnings().to_vec(),
            Err(problems) => problems,
        };
        assert!(told.is_empty(), "{}", told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn a_script_that_is_broken_anywhere_is_told_where_and_what_to_do() {
    let whole = LARGE.replace("`${ctx.target}`", "`Ü ${ctx.target}`");
    let cut = (0..whole.len()).step_by(37).filter(|at| whole.is_char_boundary(*at));
    let mut broken = 0;
    for (n, at) in cut.enumerate() {
        let sign = ["", "(", ")", "{", "}", "\"", "`", "/*", ";", "\0", "é", "#{", ":", " for "][n % 14];
        let rest = whole[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        for text in [whole[..at].to_string(), format!("{}{sign}{}", &whole[..at], &whole[rest..])] {
            let Err(problems) = Library::load("playbooks", &[file("large", &text)], &[]) else { continue };
            for problem in problems.iter().filter(|it| it.code == "P0207") {
                broken += 1;
                let line = text.split('\n').nth(problem.line as usize - 1).unwrap();
                assert!(problem.column as usize <= line.chars().count() + 1, "{problem}\n{text}");
                assert!(problem.help.is_some(), "{problem}\n{text}");
            }
        }
    }
    assert!(broken > 100, "{broken}");
}
