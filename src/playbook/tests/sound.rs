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

/// What is done with values, and is right.
const VALUES: &str = r##"
const NAME = "kernel.health";
const PAUSE = "5s";

fn run(ctx) {
    // Declared twice, assigned, changed, or changed by a closure.
    let a = 5;
    if ctx.attempt > 1 { let a = "five"; log("info", a == "five"); }
    let b = "soon";
    b = "5s";
    sleep(b);
    let c = #{ kernal: 1 };
    c.remove("kernal");
    c.kernel = ctx.target;
    act("kernel.restart", c);
    let d = 0;
    [1, 2].for_each(|| d += 1);
    if d == "none" || d > 0 { log("info", 6 / d); }
    let e = ["yes"];
    push(e, "no");
    let said = ask("Go?", e, "1m");
    if said == "no" || said == () || said != "yes" { log("info", said); }
    let f = [1, 2];
    f.map(|| this = `${this}`);
    if f[0] == "1" { log("info", f); }
    let g = #{ retry: 3 };
    g.mend();
    act("kernel.restart", #{ kernel: "a" }, g);
    for i in 0..3 { let i = "a"; if i == "a" { log("info", i); } }
    let text = 5;
    { let other = text; log("info", other == 5.0 && other != ctx.params.late); }

    // Declared parameters.
    if ctx.params.n == 3 || ctx.params.n >= 2.5 || ctx.params.late == () || ctx.params.late == 3 { sleep(1); }
    if ctx.params.grace == "30s" || ctx.params.wait > 3 || ctx.params.wait == "1m" { sleep(ctx.params.wait); }
    if ctx.params.force || !ctx.params.force || ctx.params.force == true { sleep(ctx.params.grace); }
    if (ctx.params.late ?? false) == false { sleep(ctx.params.late ?? 1); }
    if ctx.params.message == "x" || (ctx.params.unknown ?? 0) == "5" { sleep(1); }
    let p = ctx.params;
    if "n" in p && p.n > 0 && p.names.len() > 0 && p.names.contains("a") { sleep(p.grace); }
    for k in p.keys() { log("info", p[k]); }
    for name in p.names { act(global::NAME, #{ kernel: name }); }
    log("info", p.message ?? "none");
    act("kernel.scale", #{ kernel: p.name, replicas: p.n });
    act("kernel.scale", #{ kernel: p.name, replicas: ctx.params.late ?? 1 }, #{ retries: p.n, timeout: p.grace });

    // What host functions give.
    let r = act("exec.run", #{ argv: ["find", "/tmp", "-name", "*.log"], idempotent: true });
    if r.code == 0 && r.stdout != "" && r.stdout.len() > 0 && !r.truncated { log("info", r.stderr); }
    if r.exit ?? r.code > 0 { log("info", r.get("other")); }
    if type_of(r.code) == "i64" || r.code.type_of() == "f64" || type_of(r) == "map" { log("info", r); }
    let h = act(global::NAME, #{ kernel: ctx.target });
    if h.healthy == true || h.state == "stopped" || h.generation > 1 || h.problems.is_empty() { log("info", h); }
    if h != () { log("info", h.state.len() < 5 && h.problems[0] == "x"); }
    let j = act("http.request", #{ url: "http://a.b" }).json;
    if j.ok && j.count == "3" || j == 5 { log("info", j.length); }
    if act("http.request", #{ url: `${ctx.target}/x` }).status == 200 { sleep(1); }
    let back = act("shop.refund", #{});
    if back.other == 5 || back.refunded || back.amount == 3 { log("info", back.more); }
    let e1 = wait_for("a.b", "5s");
    if e1 != () && e1.data.kernel == 5 && e1.topic == "a.b" { log("info", e1?.data); }
    if e1 == () { return; }
    let details = ask("Go?", ["yes"], "1m", #{ details: true });
    if details != () && details.answer == "yes" && details.by != "" { log("info", details.at); }
    let open = ask("Go?", [], "1m", #{ details: p.force });
    if open == "yes" || open.answer == "yes" { log("info", open.who); }
    let free = ask("Why?", [], "1m");
    if free == "because" || free?.len() > 3 { log("info", free); }
    for x in all([#{ action: NAME(), params: #{} }], #{ partial: true }) {
        if x.ok && x.error == () { log("info", x.result.healthy ?? x.result); }
    }
    for x in all([#{ action: "kernel.health", params: #{ kernel: "a" } }]) { if x.healthy { log("info", x.state); } }
    let both = all([#{ action: "kernel.health", params: #{ kernel: "a" } }, #{ action: "shop.refund", params: #{} }]);
    log("info", both[1].refunded && both[0].healthy && both.len() == 2 && both[1].ok);
    for x in all([], #{ partial: p.force }) { log("info", x.ok); }
    let found = act("diagnostic.run", #{}).findings;
    for it in found.filter(|it| it.summary != "") { log("info", it.check); }

    // Methods, numbers and calls.
    let s = " x ";
    s.trim();
    s.replace("x", "y");
    log("info", `of ${s.trim(); s} ${[" a"].map(|it| { it.trim(); it })}`);
    if s != "" { s.trim() } else { s.replace("a", "b") }
    let words = s.split(" ");
    let upper = s.to_upper();
    let sorted = [2, 1];
    sorted.sort();
    let last = sorted.pop();
    if ctx.attempt > 9 { return sorted.push(3); }
    let m = #{ length: 3, size: 1, trim: |x| x };
    log("info", m.length + m.size + sorted.len + "abc".len);
    let t = m.trim(3);
    let twice = |x| x * 2;
    log("info", twice.call(3) / 2 + 5 / 2 + 0 / 5 + 9223372036854775807 % 7);
    let n = 3;
    n.call(|| log("info", this));
    log("info", 1e30 + 10000000000000000000.0);
    let x = ctx.attempt;
    if 1 < x && x < 5 && (x < 3) == (x < 4) { log("info", upper); }
    if 'a' == "a" || "b" > 'a' || 1 == 1.0 || (x ?? "none") == "none" { log("info", last); }
    for c in "abc" { log("info", c == "a"); }
    if words[0] == "x" || `${x}` == "1" || x.to_string() == "1" || parse_int("3") == 3 { log("info", t); }
    let own = wait();
    if own == 5 || own { log("info", own.length); }
    let time = now();
    if time > "2026" && random() < 0.5 && steps() > 3 { log("info", uuid() != ""); }
    try { act("exec.run", #{ argv: ["false"] }); } catch (err) { if err == "x" || err.kind == "failed" { throw err; } }

    // Programs.
    act("exec.run", #{ argv: ["sh", "-c", "ls | wc -l > $HOME/x"] });
    act("exec.run", #{ argv: ["sort", "-t", "|", "/tmp/x"] });
    act("exec.run", #{ argv: ["grep", "-c", ">", "/tmp/x"] });
    act("exec.run", #{ argv: ["/opt/My App/run", "-x", "a b", "c*d"] });
    act("exec.run", #{ argv: ["docker", "exec", "x", "sh", "-c", "echo $HOME"] });
    act("exec.run", #{ argv: ["ssh", "host", "ls", "|", "wc"] });
    act("exec.run", #{ argv: [ctx.params.name, "|"] + ["x"] });
    act("http.request", #{ url: "HTTPS://example.com:80/x" });
    sleep(global::PAUSE);
}

fn NAME() { "kernel.health" }
fn wait() { this }
fn mend() { this = #{ retries: 3 }; }
fn times(ctx) {
    let grace = ctx.params.grace;
    if type_of(grace) == "string" && grace > 3 { 1 } else { grace * 2 }
}
fn verify(ctx) {
    times(ctx);
    if ctx.done.len() == 0 || ctx.done[0].error != () || ctx.done[0].result.any == 5 { return false; }
    let h = act("kernel.health", #{ kernel: ctx.target });
    if h.state == "stopped" { return h.problems.is_empty(); }
    if ctx.attempt > 3 { return act("shop.refund", #{}).else_where; }
    h.healthy
}
"##;

/// Lengths of time in a file that never asks for types.
const TIMES: &str = r##"
fn run(ctx) {
    let grace = ctx.params.grace;
    if grace == "30s" || grace != () && grace != "" { sleep(grace); }
    if ctx.params.wait > 3 { sleep(ctx.params.wait * 2 + 1); }
    log("info", "after " + grace + ", or " + ctx.params.wait);
    log("info", grace + " or so");
    act("kernel.restart", #{ kernel: ctx.target, grace: grace }, #{ timeout: grace, backoff: ctx.params.wait });
    let names = ["kernel.health", "exec.run", "http.request", "diagnostic.run", "kernel.scale", "shop.refund"];
    for name in names { act(name, #{}); }
}
"##;

#[test]
fn values_that_are_used_as_they_are_meant_are_told_nothing() {
    use super::shown::values::{HEADER, actions};
    let known: Vec<_> = actions().iter().map(|it| it.name.clone()).collect();
    for text in [VALUES, TIMES] {
        let files = [file("values", &format!("{HEADER}{text}"))];
        let told = match Library::load_fitting("playbooks", &files, &known, &actions()) {
            Ok(library) => library.warnings().to_vec(),
            Err(problems) => problems,
        };
        assert!(told.is_empty(), "{}", told.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
}
