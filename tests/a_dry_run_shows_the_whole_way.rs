//! A dry run knows the kernels of the configuration, shows the way of a playbook to its end whatever stands in it, and
//! fails where a call would not be done; where a run is cut off it says at which line.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const CONFIG: &str = "\
kernels:
  - { name: db, command: [sleep, '60'] }
  - { name: web, command: [sleep, '60'], depends_on: [db], replicas: { min: 1, max: 3 } }
";

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// A folder with the kernels `db` and `web`, and a playbook `it` of these `functions`.
fn folder(functions: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("paramedic.yaml"), CONFIG).unwrap();
    std::fs::create_dir(dir.path().join("playbooks")).unwrap();
    let header = "//! It.\n//! ---\n//! timeout: 1h\n//! actions: [kernel.restart, kernel.scale, exec.run, http.request]\n";
    std::fs::write(dir.path().join("playbooks/it.rhai"), format!("{header}{functions}")).unwrap();
    dir
}

fn dry(dir: &Path, options: &str) -> Said {
    let line = format!("playbooks run it --target web --dry-run {options}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.args(line.split_whitespace()).current_dir(dir).env("NO_COLOR", "1");
    let output = command.env("PARAMEDIC_URL", "http://127.0.0.1:9").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn the_kernels_of_the_configuration_are_known_and_none_of_them_is_started() {
    let dir = folder(
        "fn run(ctx) {\n    act(\"kernel.restart\", #{ kernel: \"db\", dependants: true });\n    act(\"kernel.scale\", #{ kernel: ctx.target, replicas: 3 });\n}\n",
    );
    let said = dry(dir.path(), "");
    for part in [
        "would restart kernel `db` (provider process), with those that depend on it: web",
        "would scale kernel `web` (provider process, depends on db) to 3",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert_eq!((said.code, said.out.contains("would not be done")), (Some(0), false), "{}", said.out);
    for made in ["logs", "data"] {
        assert!(!dir.path().join(made).exists(), "a dry run made the folder `{made}`");
    }
}

#[test]
fn a_wait_is_given_the_event_that_it_would_get_in_a_run() {
    let dir = folder(
        "fn run(ctx) {
    let second = wait_for(\"door.>\", \"data.n == 2 && subject == target\", \"1m\");
    let first = wait_for(\"door.>\", (), \"1m\");
    [first.data.n, second.data.n]
}
",
    );
    let said = dry(dir.path(), "--event door.open={\"n\":1} --event door.open={\"n\":2} --json");
    let told: Value =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {} {}", said.out, said.err));
    let given: Vec<&Value> =
        told["steps"].as_array().unwrap().iter().map(|step| &step["gives"]["data"]["n"]).collect();
    assert_eq!(given, [&Value::from(2), &Value::from(1)], "{told:#}");
}

#[test]
fn calls_that_would_not_be_done_are_counted_and_the_way_goes_on() {
    let dir = folder(
        "fn run(ctx) {
    act(\"kernel.restart\", #{ kernel: \"wbe\" });
    all([#{ action: \"exec.run\", params: #{ argv: [\"rm\"] } }, #{ action: \"kernel.restart\", params: #{ kernel: \"db\" } }]);
    act(\"kernel.scale\", #{ kernel: \"web\", replicas: 0 + ctx.attempt * 9 });
    for i in 0..3 { act(\"kernel.restart\", #{ kernel: ctx.attempt }); }
    act(\"kernel.restart\", #{ kernel: \"web\" });
}
fn verify(ctx) { true }
",
    );
    let said = dry(dir.path(), "");
    let end = "6 calls would not be done: kernel.restart (playbooks/it.rhai:6:5), exec.run (playbooks/it.rhai:7:5), kernel.scale (playbooks/it.rhai:8:5), kernel.restart (playbooks/it.rhai:9:21, 3 times)";
    assert!(said.code == Some(1) && said.out.trim_end().ends_with(end), "{}{}", said.out, said.err);
    for part in ["there is no kernel `wbe`", "would restart kernel `web`", "answers true"] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let told: Value = serde_json::from_str(&dry(dir.path(), "--json").out).unwrap();
    assert_eq!(
        (&told["well"], &told["steps"][1]["not_done"][0]),
        (&false.into(), &"exec.run".into()),
        "{told:#}"
    );
}

#[test]
fn another_playbook_that_is_broken_stops_nothing_and_is_named() {
    let dir = folder("import \"lib\" as lib;\nfn run(ctx) { lib::mend() }\n");
    std::fs::write(dir.path().join("playbooks/lib.rhai"), "fn mend() { 7 }\n").unwrap();
    std::fs::write(
        dir.path().join("playbooks/other.rhai"),
        "//! X.\n//! ---\n//! risk: huge\nfn run(ctx) {\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("playbooks/more.rhai"), [b'/', b'/', 0xff]).unwrap();
    let said = dry(dir.path(), "");
    assert!(said.code == Some(0) && said.out.contains("gives 7"), "{}{}", said.out, said.err);
    for file in ["playbooks/other.rhai", "playbooks/more.rhai"] {
        assert_eq!(
            said.err.matches(&format!("warning: {file} is broken and left out")).count(),
            1,
            "{}",
            said.err
        );
    }
    // For one on a running engine it is the same.
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.args(["playbooks", "run", "it", "--target", "web"]).current_dir(dir.path());
    let output = command.env("PARAMEDIC_URL", "http://127.0.0.1:9").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("no engine answers") && err.contains("other.rhai is broken"), "{err}");
    // What it imports is needed.
    std::fs::write(dir.path().join("playbooks/lib.rhai"), "fn mend( { 7 }\n").unwrap();
    let said = dry(dir.path(), "");
    assert!(
        said.code == Some(1) && (said.out.clone() + &said.err).contains("playbooks/lib.rhai:1:"),
        "{}{}",
        said.out,
        said.err
    );
}

#[test]
fn a_run_that_is_cut_off_says_at_which_line() {
    for (run, kind, place) in [
        ("fn run(ctx) {\n    sleep(\"10m\");\n    sleep(\"3h\");\n}\n", "deadline", "playbooks/it.rhai:7:5)"),
        ("fn run(ctx) {\n    sleep(\"1h\");\n    7\n}\n", "deadline", "playbooks/it.rhai:6:5)"),
        ("fn run(ctx) {\n    for i in 0..6000 { metric(\"n\", i); }\n}\n", "budget", "playbooks/it.rhai:6:"),
        ("fn run(ctx) {\n    let x = 1;\n    while true { x += 1; }\n}\n", "budget", "playbooks/it.rhai:7:"),
    ] {
        let dir = folder(run);
        let said = dry(dir.path(), "--json");
        let told: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
        let failure = &told["functions"][0]["failure"];
        let message = failure["message"].as_str().unwrap_or_default();
        assert!(failure["kind"] == kind && message.contains(place), "{run}{failure}");
        assert_eq!(said.code, Some(1));
    }
}

#[test]
fn what_polls_for_long_is_shown_to_its_end() {
    let dir = folder(
        "fn run(ctx) {\n    for i in 0..600 { sleep(\"1s\"); }\n}\nfn verify(ctx) { let n = 5; n += 0; n }\n",
    );
    let told: Value = serde_json::from_str(&dry(dir.path(), "--json").out).unwrap();
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(600));
    assert_eq!(told["functions"][0]["waited"], "10m", "{}", told["functions"]);
    let said = told["functions"][1]["failure"]["message"].as_str().unwrap();
    assert_eq!(said, "`verify` must answer true or false, and answered 5 (playbooks/it.rhai:8:16)");
}

#[test]
fn an_unknown_key_of_the_configuration_is_told_in_one_line() {
    let dir = folder("fn run(ctx) { }\n");
    std::fs::write(dir.path().join("paramedic.yaml"), "kernels:\n  - { name: db, command: [sh], layr: 1 }\n")
        .unwrap();
    let said = dry(dir.path(), "");
    let line = said.err.trim_end();
    assert_eq!((said.code, line.lines().count()), (Some(1), 1), "{line}");
    for part in ["paramedic.yaml:2:32: unknown key `layr`", "did you mean `layer`?", "depends_on"] {
        assert_eq!(line.matches(part).count(), 1, "{part}: {line}");
    }
}
