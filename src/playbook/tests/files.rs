//! What the files of a folder become, and what is said of their mistakes.

use super::*;

const KNOWN: [&str; 2] = ["a.do", "a.other"];

fn problems(files: &[SourceFile]) -> Vec<String> {
    let known = KNOWN.map(String::from);
    let found = match Library::load("playbooks", files, &known) {
        Ok(library) => library.warnings().to_vec(),
        Err(problems) => problems,
    };
    let short = |it: &crate::model::Diagnostic| {
        let help = it.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
        format!("{} {}:{}:{} {}{help}", it.code, it.file, it.line, it.column, it.message)
    };
    found.iter().map(short).collect()
}

#[test]
fn a_header_is_read_as_it_is_meant() {
    let text = "//! Restart it.\n//!\n//! Then look.\n//! ---\n//! risk: low\n//! cost: 2m\n//! timeout: 5m\n\
                //! actions: [a.do]\n//! params:\n//!   grace: { type: duration, default: 5s, doc: How long. }\n\
                //!   by: int\n//! ---\nfn run(ctx) { act(\"a.do\", #{}) }\nfn rollback(ctx) { }";
    let pb = library(&[file("sub/restart-it", text)]).get("restart-it").unwrap();
    assert_eq!(
        serde_json::to_value(&*pb).unwrap(),
        json!({
            "name": "restart-it", "doc": "Restart it.\n\nThen look.", "risk": "low", "cost": "2m", "timeout": "5m",
            "actions": ["a.do"], "file": "playbooks/sub/restart-it.rhai", "hash": pb.hash,
            "has_verify": false, "has_rollback": true,
            "params": {
                "by": { "type": "int", "required": false },
                "grace": { "type": "duration", "default": "5s", "required": false, "doc": "How long." },
            },
        })
    );
}

#[test]
fn every_mistake_in_every_file_is_told_at_once_with_its_place() {
    let run = "fn run(ctx) { act(\"a.do\", #{}) }";
    let cases: [(&str, &str, &[&str]); 17] = [
        (
            "t",
            "fn run(ctx) { 1 }",
            &[
                "P0201 playbooks/t.rhai:1:1 a playbook needs a header | begin the file with `//! What it does.`, `//! ---`, `//! actions: [kernel.restart]`",
            ],
        ),
        ("t", "//! x\n//! ---\n//! risk: [low\nfn run(ctx) { 1 }", &["P0202 playbooks/t.rhai:"]),
        (
            "t",
            "//! x\n//! ---\n//! rsik: low\nfn run(ctx) { 1 }",
            &["P0203 playbooks/t.rhai:3:5 a header has no key `rsik` | did you mean `risk`?"],
        ),
        (
            "t",
            "//! x\n//! ---\n//! risk: hgih\nfn run(ctx) { 1 }",
            &[
                "P0204 playbooks/t.rhai:3:11 `risk`: \"hgih\" is none of low, medium, high | did you mean `high`?",
            ],
        ),
        (
            "t",
            "//! x\n//! ---\n//! cost: soon\n//! actions: a.do\nfn run(ctx) { 1 }",
            &[
                "P0204 playbooks/t.rhai:3:11 `cost`: \"soon\"",
                "P0204 playbooks/t.rhai:4:14 `actions`: this is not a list",
            ],
        ),
        (
            "t",
            "//! x\n//! ---\n//! risk: low\n//! risk: high\nfn run(ctx) { 1 }",
            &["P0204 playbooks/t.rhai:4:5 `risk` stands here a second time"],
        ),
        (
            "t",
            "//! x\n//! ---\n//! params: { g: { type: duratoin } }\nfn run(ctx) { 1 }",
            &[
                "P0204 playbooks/t.rhai:3:26 parameter `g` needs a type, one of string, int, float, bool, duration, list, map | did you mean `duration`?",
            ],
        ),
        (
            "t",
            "//! x\n//! ---\n//! params: { g: { type: int, default: x, defualt: 1 } }\nfn run(ctx) { 1 }",
            &[
                "P0204 playbooks/t.rhai:3:40 `g`: its default \"x\" is not a whole number",
                "P0203 playbooks/t.rhai:3:43 a parameter has no key `defualt` | did you mean `default`?",
            ],
        ),
        ("Bad Name", &format!("{HEADER}{run}"), &["P0205 playbooks/Bad Name.rhai:1:1"]),
        ("Upper", &format!("{HEADER}{run}"), &["P0205 playbooks/Upper.rhai:1:1"]),
        ("t", &format!("{HEADER}fn run(ctx) {{ let x = ; }}"), &["P0207 playbooks/t.rhai:4:"]),
        (
            "t",
            &format!("{HEADER}fn run(ctx) {{ y + 1 }}"),
            &["P0207 playbooks/t.rhai:4:15 there is no variable `y`"],
        ),
        (
            "t",
            &format!("{HEADER}fn runn(ctx) {{ }}"),
            &["P0208 playbooks/t.rhai:4:4 the playbook has no function `run` | is `runn` meant?"],
        ),
        (
            "t",
            &format!("{HEADER}fn run() {{ }}"),
            &["P0208 playbooks/t.rhai:4:4 `run` must take one argument"],
        ),
        (
            "t",
            &format!("{HEADER}fn run(ctx) {{ slepe(1); x2(1); wait_for(1); run(1, 2) }}"),
            &[
                "P0212 playbooks/t.rhai:4:15 there is no function `slepe` | did you mean `sleep`?",
                "P0212 playbooks/t.rhai:4:25 there is no function `x2`",
                "P0212 playbooks/t.rhai:4:32 `wait_for` takes 2, 3 or 4 arguments, not 1",
                "P0212 playbooks/t.rhai:4:45 `run` takes 1 argument, not 2",
            ],
        ),
        (
            "t",
            "//! x\n//! ---\n//! actions: [a.do, a.dp]\nfn run(ctx) { act(\"a.dp\", #{}); act(\"exec.run\", #{}) }",
            &[
                "P0214 playbooks/t.rhai:3:21 there is no action `a.dp` | did you mean `a.do`?",
                "P0214 playbooks/t.rhai:4:37 there is no action `exec.run`",
            ],
        ),
        ("t", &format!("{HEADER}{run} fn verify(ctx) {{ act(\"a.other\", #{{}}).ok }}"), &[]),
    ];
    for (name, text, expected) in cases {
        let found = problems(&[file(name, text)]);
        assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
        }
    }
    let many = [
        file("a", "fn run(ctx) { 1 }"),
        file("b", &format!("{HEADER}fn run(")),
        file("c", &format!("{HEADER}{run}")),
    ];
    let found = problems(&many);
    assert!(
        found.iter().any(|it| it.contains("a.rhai")) && found.iter().any(|it| it.contains("b.rhai")),
        "{found:?}"
    );
    let twice = [file("a/t", &format!("{HEADER}{run}")), file("b/t", &format!("{HEADER}{run}"))];
    let found = problems(&twice).join("\n");
    assert!(
        found.contains("P0206 playbooks/b/t.rhai:1:1 the playbook `t` is in playbooks/a/t.rhai"),
        "{found}"
    );
}

#[test]
fn files_are_imported_from_the_folder_and_kept_with_the_run() {
    let lib = "import \"lib/names\" as names;\nconst WAIT = \"7s\";\nfn pause() { sleep(WAIT()); names::action() }\nfn WAIT() { global::WAIT }";
    let main =
        format!("{HEADER}import \"lib/wait\" as w;\nfn run(ctx) {{ let a = w::pause(); act(a, #{{}}) }}");
    let names = "fn action() { \"a.do\" } fn unused() { \"a.other\" }";
    let files = [file("lib/wait", lib), file("t", &main), file("lib/names", names)];
    assert_eq!(problems(&files), Vec::<String>::new());
    let pb = library(&files).get("t").unwrap();
    let first = play(&pb, |_| Ok(json!(5)));
    assert_eq!(first.end, Ok(json!(5)));
    assert_eq!(first.journal[0].request, json!({"time": "7s"}));

    // The files change or go; the run goes on with what it began with.
    let kept = Playbook::from_pinned(&pb.source).unwrap();
    assert_eq!((&kept.hash, &kept.name, &kept.actions), (&pb.hash, &pb.name, &pb.actions));
    let again = drive(&kept, Phase::Run, &json!({"target": "k1"}), &first.journal[..1], &env());
    assert!(matches!(again, Burst::Suspended { request: Request::Act(_), .. }), "{again:?}");
    let changed = [file("lib/wait", &lib.replace("7s", "8s")), file("t", &main), file("lib/names", names)];
    assert_ne!(library(&changed).get("t").unwrap().hash, pb.hash, "an imported file counts");
    let moved: Vec<SourceFile> = files
        .iter()
        .map(|it| SourceFile { path: it.path.replace("playbooks", "/elsewhere"), ..it.clone() })
        .collect();
    assert_eq!(
        Library::load("/elsewhere", &moved, &[]).unwrap().get("t").unwrap().hash,
        pb.hash,
        "the place does not"
    );
    for damaged in ["", "{}", &pb.source.replace("\"host\": 1", "\"host\": 99")] {
        assert!(Playbook::from_pinned(damaged).is_err(), "{damaged}");
    }
}

#[test]
fn an_import_that_cannot_be_is_refused_when_the_files_are_read() {
    let main = |import: &str| {
        format!("{HEADER}import {import} as x;\nfn run(ctx) {{ act(\"a.do\", #{{}}); \"a.other\" }}")
    };
    let cases = [
        ("\"/etc/passwd\"", "", "P0209 playbooks/t.rhai:4:8 `/etc/passwd` leads outside"),
        ("\"../x\"", "", "P0209 playbooks/t.rhai:4:8 `../x` leads outside"),
        (
            "\"lib/x\" + \"y\"",
            "",
            "P0209 playbooks/t.rhai:4:1 the file to import must be written as plain text",
        ),
        (
            "\"lob\"",
            "",
            "P0209 playbooks/t.rhai:4:8 there is no file `lob.rhai` in the playbooks' folder | did you mean \"lib\"?",
        ),
        (
            "\"lib\"",
            "import \"lib\" as me;",
            "P0210 playbooks/lib.rhai:1:8 `lib` imports itself: t → lib → lib",
        ),
        ("\"lib\"", "loop { }", "P0211 playbooks/lib.rhai:1:1 the script has used its"),
        (
            "\"lib\"",
            "log(\"info\", \"read\");",
            "P0211 playbooks/lib.rhai:1:1 a file that is imported may not act",
        ),
        ("\"lib\"", "throw \"no\";", "P0211 playbooks/lib.rhai:1:1 no"),
        ("\"lib\"", "fn f( {", "P0207 playbooks/lib.rhai:1:"),
        ("\"t\"", "", "P0210 playbooks/t.rhai:4:8 `t` imports itself"),
    ];
    for (import, lib, expected) in cases {
        let found = problems(&[file("lib", lib), file("t", &main(import))]);
        assert!(found.iter().any(|it| it.starts_with(expected)), "{import}: {found:#?}");
    }
}
