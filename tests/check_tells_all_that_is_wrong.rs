//! `paramedic check` tells all that is wrong with what it is given, for people and for editors and CI, and its exit
//! status says whether it may go live.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PLAYBOOK: &str = "//! Fix.\n//! ---\n//! actions: []\nfn run(ctx) { log(\"info\", \"fixed\") }\n";
const GOOD: &str = "rules:\n  - name: good\n    on: a.b\n    playbooks: fix\n";
const WARNED: &str =
    "rules:\n  - name: warned\n    on: a.c\n    when: data.x == 1 && data.x == 2\n    playbooks: fix\n";
const BAD: &str = "rules:\n  - name: bad\n    on: a.d\n    wehn: \"é\"\n    playbooks: fx\n";

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn check(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.arg("check").args(args).current_dir(dir).output().unwrap()
}

/// What it prints as JSON, and its exit status.
fn report(dir: &Path, args: &[&str]) -> (Value, i32) {
    let output = check(dir, &[args, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{:?}", output.stderr));
    (value, output.status.code().unwrap())
}

fn codes(report: &Value) -> Vec<String> {
    let all = report["diagnostics"].as_array().unwrap();
    all.iter()
        .map(|it| format!("{} {}", it["file"].as_str().unwrap(), it["code"].as_str().unwrap()))
        .collect()
}

#[test]
fn the_exit_status_and_the_counts_say_whether_it_may_go_live() {
    let files = [
        ("playbooks/fix.rhai", PLAYBOOK),
        ("rules/good.yaml", GOOD),
        ("other/warned.yaml", WARNED),
        ("other/bad.yml", BAD),
    ];
    let dir = folder(&files.map(|(path, text)| (path, text.as_bytes())));
    for (args, status, errors, warnings) in [
        (&[][..], 0, 0, 0),
        (&["rules"], 0, 0, 0),
        (&["rules/good.yaml", "other/warned.yaml"], 0, 0, 1),
        (&["rules/good.yaml", "other/warned.yaml", "--deny-warnings"], 1, 0, 1),
        (&["other"], 1, 2, 0),
        (&["--rules", "other"], 1, 2, 0),
        (&["other/bad.yml"], 1, 2, 0),
    ] {
        let (said, code) = report(dir.path(), args);
        assert_eq!(
            (code, &said["errors"], &said["warnings"]),
            (status, &json!(errors), &json!(warnings)),
            "{args:?} {said:#}"
        );
    }
    for (args, told) in [
        (&["nowhere"][..], "nowhere is not there"),
        (&["--rules", "nowhere"], "is not a directory"),
        (&["--explain", "P0017"], "did you mean"),
        (&["--explain", "P0107", "rules"], "cannot be used with"),
    ] {
        let output = check(dir.path(), args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(told), "{args:?}: {said}");
    }
}

#[test]
fn json_gives_editors_the_place_of_each_mistake_in_characters() {
    let dir = folder(&[("playbooks/fix.rhai", PLAYBOOK.as_bytes()), ("rules/bad.yaml", BAD.as_bytes())]);
    let (said, _) = report(dir.path(), &[]);
    assert_eq!(
        said["diagnostics"][0],
        json!({
            "file": "rules/bad.yaml", "line": 4, "column": 5, "end_column": 9, "severity": "error", "code": "P0107",
            "message": "unknown key `wehn`", "help": "did you mean `when`?",
        }),
        "{said:#}"
    );
    assert_eq!((&said["rules"], &said["playbooks"]), (&json!(null), &json!(1)));
}

#[test]
fn a_file_that_cannot_be_read_hides_no_other_mistake() {
    let dir = folder(&[
        ("playbooks/fix.rhai", PLAYBOOK.as_bytes()),
        ("playbooks/latin.rhai", b"// caf\xe9\n"),
        ("rules/bad.yaml", BAD.as_bytes()),
        (
            "rules/bom.yaml",
            "\u{feff}rules:\n  - name: bom\n    on: a.b\n    playbooks: [fix, latin]\n".as_bytes(),
        ),
        ("rules/crlf.yaml", GOOD.replace('\n', "\r\n").as_bytes()),
        ("rules/empty.yaml", b""),
        ("rules/latin.yaml", b"rules:\n  - name: caf\xe9\n"),
        ("rules/wide.yaml", b"\xff\xfer\0u\0l\0e\0s\0:\0"),
        ("rules/long.yaml", &vec![b'#'; 9 << 20]),
    ]);
    std::os::unix::fs::symlink("nowhere", dir.path().join("rules/gone.yaml")).unwrap();
    let (said, code) = report(dir.path(), &[]);
    let wanted = [
        "playbooks/latin.rhai P0002",
        "rules/gone.yaml P0001",
        "rules/latin.yaml P0002",
        "rules/long.yaml P0102",
        "rules/wide.yaml P0002",
        "rules/bad.yaml P0107",
        "rules/bad.yaml P0109",
    ];
    assert_eq!((codes(&said), code), (wanted.map(String::from).into(), 1), "{said:#}");
    let latin = &said["diagnostics"][2];
    assert_eq!((&latin["line"], &latin["column"]), (&json!(2), &json!(14)), "{latin}");
    assert!(said.to_string().contains("the file is UTF-16"), "{said:#}");
}

#[test]
fn what_a_file_holds_is_never_obeyed_by_the_terminal() {
    let header = "//! Fix it.\n//! ---\n//! actions: []\n";
    let broken = format!("{header}fn run(ctx) {{ \u{1b}]0;owned\u{7} \u{9b}2J \u{202e} }}\n");
    let named = format!("{header}fn run(ctx) {{ act(\"a\u{1b}[2J\", #{{}}) }}\n");
    let dir = folder(&[
        ("playbooks/broken.rhai", broken.as_bytes()),
        ("playbooks/named.rhai", named.as_bytes()),
        ("playbooks/program.rhai", b"\x7fELF\x02\0\0\x1b[2J\xff\xfe"),
    ]);
    let output = check(dir.path(), &[]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let obeyed = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!said.contains(obeyed), "{said:?}");
    for told in ["broken.rhai:4:15", "named.rhai:4:19", "the file is no text"] {
        assert!(said.contains(told), "{told}: {said}");
    }
}

#[test]
fn a_comment_allows_a_warning_where_it_stands_and_no_other() {
    let quiet = |comment: &str| WARNED.replace("data.x == 2", &format!("data.x == 2 {comment}"));
    for (rule, warnings) in [
        (WARNED.to_owned(), 2),
        (quiet("# allow P0131: it is to be filled in"), 1),
        (quiet("# allow P0132"), 2),
        (WARNED.replace("    when", "    # allow P0131\n    when"), 1),
        (format!("# allow P0131\n{WARNED}"), 2),
    ] {
        let idle = ("playbooks/idle.rhai", PLAYBOOK);
        let files = [("playbooks/fix.rhai", PLAYBOOK), idle, ("rules/x.yaml", &rule)];
        let dir = folder(&files.map(|(path, text)| (path, text.as_bytes())));
        let (said, _) = report(dir.path(), &[]);
        assert_eq!(said["warnings"], json!(warnings), "{rule}\n{said:#}");
        let allowed = format!("{PLAYBOOK}// allow P0216\n");
        fs::write(dir.path().join("playbooks/idle.rhai"), allowed).unwrap();
        let (said, _) = report(dir.path(), &[]);
        assert_eq!(said["warnings"], json!(warnings - 1), "{rule}\n{said:#}");
    }
}

#[test]
fn a_hostile_file_is_refused_before_anyone_notices() {
    let bomb = (0..30).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let aliases = vec![format!("*a{n}"); 9].join(", ");
        format!("{text}a{}: &a{} [{aliases}]\n", n + 1, n + 1)
    });
    let start = Instant::now();
    let dir = folder(&[("rules/good.yaml", GOOD.as_bytes()), ("playbooks/fix.rhai", PLAYBOOK.as_bytes())]);
    check(dir.path(), &[]);
    let usual = start.elapsed();
    for (name, text) in [
        ("bomb", bomb.into_bytes()),
        ("flow", "[".repeat(10_000).into_bytes()),
        ("maps", "{a: ".repeat(10_000).into_bytes()),
        ("blocks", "- ".repeat(10_000).into_bytes()),
        ("indented", (0..10_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>().into_bytes()),
        ("long", vec![b'x'; 50 << 20]),
    ] {
        let dir = folder(&[("rules/x.yaml", &text), ("playbooks/fix.rhai", PLAYBOOK.as_bytes())]);
        let start = Instant::now();
        let (said, code) = report(dir.path(), &[]);
        // In a debug build, on a busy machine; the limit that people notice is 100 ms.
        let took = start.elapsed().saturating_sub(usual);
        println!("{name}: {took:?}");
        assert!(took < Duration::from_secs(1), "{name} took {took:?}");
        assert!(code == 1 && said["errors"] != json!(0), "{name}: {said:#}");
    }
}

#[test]
fn every_code_that_is_shown_can_be_explained() {
    let dir = folder(&[("rules/bad.yaml", BAD.as_bytes())]);
    for entry in report(dir.path(), &[]).0["diagnostics"].as_array().unwrap() {
        let code = entry["code"].as_str().unwrap();
        let output = check(dir.path(), &["--explain", code]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.starts_with(&format!("{code}: ")) && said.contains("Mended:"),
            "{said}"
        );
    }
}

#[test]
fn playbooks_can_be_checked_alone_with_what_they_import() {
    let bad = "//! Fix.\n//! ---\n//! actions: []\nfn run(ctx) { slep(1) }\n";
    let importing = PLAYBOOK.replace("fn run", "import \"lib/k\" as k;\nfn run");
    let dir = folder(&[
        ("playbooks/fix.rhai", PLAYBOOK.as_bytes()),
        ("playbooks/bad.rhai", bad.as_bytes()),
        ("playbooks/use.rhai", importing.as_bytes()),
        ("playbooks/lib/k.rhai", b"fn f( { 1 }\n"),
        ("rules/bad.yaml", BAD.as_bytes()),
        ("elsewhere/own.rhai", bad.as_bytes()),
        ("notes.txt", b"no file to check"),
    ]);
    for (path, wanted, fine) in [
        ("playbooks/fix.rhai", vec![], Some(1)),
        ("playbooks/bad.rhai", vec!["playbooks/bad.rhai P0212"], None),
        ("playbooks/use.rhai", vec!["playbooks/lib/k.rhai P0207"], None),
        ("playbooks", vec!["playbooks/bad.rhai P0212", "playbooks/lib/k.rhai P0207"], None),
        ("elsewhere", vec!["elsewhere/own.rhai P0212"], None),
        ("elsewhere/own.rhai", vec!["elsewhere/own.rhai P0212"], None),
    ] {
        let (said, exit) = report(dir.path(), &[path]);
        let mut found = codes(&said);
        found.sort();
        assert_eq!(
            (found, exit),
            (wanted.iter().map(ToString::to_string).collect(), i32::from(fine.is_none())),
            "{path}"
        );
        assert_eq!(said["playbooks"], json!(fine), "{path}");
    }
    fs::write(dir.path().join("elsewhere/latin.rhai"), b"// caf\xe9\n").unwrap();
    fs::write(dir.path().join("elsewhere/.hidden.rhai"), PLAYBOOK).unwrap();
    std::os::unix::fs::symlink("nowhere.rhai", dir.path().join("elsewhere/dangling.rhai")).unwrap();
    assert_eq!(codes(&report(dir.path(), &["elsewhere/latin.rhai"]).0), ["elsewhere/latin.rhai P0002"]);
    let found = codes(&report(dir.path(), &["elsewhere"]).0);
    assert!(
        found.iter().any(|it| it.contains("dangling")) && found.iter().any(|it| it.contains("latin")),
        "{found:?}"
    );
    assert_eq!(check(dir.path(), &["elsewhere/.hidden.rhai"]).status.code(), Some(2));
    let output = check(dir.path(), &["playbooks/fix.rhai"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1 playbook file is fine, 0 warnings");
    assert_eq!(report(dir.path(), &["playbooks/bad.rhai", "rules"]).1, 1, "with rules, all is checked");
    for wrong in [&["notes.txt"][..], &["playbooks/fix.rhai", "elsewhere"]] {
        assert_eq!(check(dir.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
}
