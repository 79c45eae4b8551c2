//! What the README promises to who writes a plugin: it builds, passes its test, is looked into, pinned and called.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/plugins.rs"]
mod plugins;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use calls::{call, playbooks};
use engine::Home;
use serde_json::{Value, json};

#[test]
fn a_new_plugin_builds_and_passes_its_test_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Anywhere, with the SDK that the program carries; and in a checkout, where the SDK lies.
    let anywhere = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.join("target")).unwrap();
    let within = tempfile::tempdir_in(root.join("target")).unwrap();
    for dir in [anywhere.path(), within.path()] {
        let (fine, said) = run(paramedic(&["plugin", "new", "my-demo"]).current_dir(dir));
        assert!(fine && said.contains("cd my-demo && cargo test"), "{said}");
        let demo = dir.join("my-demo");
        assert_eq!(demo.join("sdk").exists(), dir == anywhere.path());
        // As a newcomer does, only that what others have built is used again; and the versions that are there already.
        std::fs::copy(root.join("Cargo.lock"), demo.join("Cargo.lock")).unwrap();
        let target = root.join("target/newcomer");
        let (fine, said) = run(Command::new(env!("CARGO"))
            .args(["test", "--color=never"])
            .current_dir(&demo)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("CARGO_MANIFEST_DIR"));
        assert!(fine && said.contains("2 passed") && !said.contains("warning"), "{said}");
        let (fine, said) = run(Command::new(env!("CARGO"))
            .args(["build", "--color=never"])
            .current_dir(&demo)
            .env("CARGO_TARGET_DIR", &target));
        assert!(fine, "{said}");
        let library = target.join("debug/libmy_demo.so");
        let (fine, said) = run(&mut paramedic(&["plugin", "inspect", library.to_str().unwrap()]));
        assert!(fine && said.contains("my-demo.measure") && said.contains("has a dry run"), "{said}");
        let (fine, said) = run(paramedic(&["plugin", "new", "my-demo"]).current_dir(dir));
        assert!(!fine && said.contains("is there already"), "nothing is written over: {said}");
    }
    for name in ["../x", "My", "", "a b", "-x", "1x"] {
        let (fine, said) = run(paramedic(&["plugin", "new", "--", name]).current_dir(anywhere.path()));
        assert!(!fine && said.contains("can be no plugin"), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_are_called_by_playbooks_and_shown() {
    let home = Home::new(
        "plugins:\n  - { name: hello, path: libhello.so }\n  - { name: hello-c, path: libhello_c.so }\n  \
         - name: disk\n    path: libdisk.so\n    config: { roots: [logs-of-mine] }\n",
    );
    let logs = home.path("logs-of-mine");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("old.log"), "x").unwrap();
    let config = std::fs::read_to_string(home.path("paramedic.yaml")).unwrap();
    home.write("paramedic.yaml", &config.replace("logs-of-mine", logs.to_str().unwrap()));
    std::fs::copy(plugins::built("paramedic-hello"), home.path("libhello.so")).unwrap();
    std::fs::copy(plugins::built("paramedic-disk"), home.path("libdisk.so")).unwrap();
    plugins::compile("plugins/hello-c/hello.c", &home.path("libhello_c.so"), &[]);
    playbooks(&home, &["hello.greet", "hello_c.greet", "disk.clean", "hello.count"]);
    let config = home.path("paramedic.yaml");
    let config = config.to_str().unwrap();
    let (fine, said) = run(&mut paramedic(&["check", "--config", config]));
    assert!(fine, "`check` knows the actions of plugins: {said}");
    let engine = home.start().await;
    for action in ["hello.greet", "hello_c.greet"] {
        let greeted = call(&engine, action, json!({ "name": "Ada \"A\" Löve" })).await;
        assert_eq!(greeted["ok"]["text"], "Hello, Ada \"A\" Löve!", "{action}: {greeted:#}");
        let wrong = call(&engine, action, json!({ "name": 7 })).await;
        assert!(
            wrong["error"]["kind"] == "invalid" && wrong.to_string().contains("`name` is 7"),
            "{wrong:#}"
        );
    }
    let counted = call(&engine, "hello.count", json!({ "text": "one two" })).await;
    assert!(
        counted["ok"]["words"] == 2 && counted["ok"]["target"].as_str().unwrap().starts_with('t'),
        "{counted:#}"
    );
    let refused = call(&engine, "disk.clean", json!({ "path": "/etc", "patterns": ["*.log"] })).await;
    assert_eq!(refused["error"]["kind"], "refused", "{refused:#}");
    let cleaned = call(&engine, "disk.clean", json!({ "path": logs, "patterns": ["*.log"] })).await;
    assert!(cleaned["ok"]["removed"] == 1 && !logs.join("old.log").exists(), "{cleaned:#}");
    let listed = remote(&engine.url, &["plugin", "list"]);
    assert!(listed.contains("hello-c") && listed.contains("ready"), "{listed}");
    let listed: Value = serde_json::from_str(&remote(&engine.url, &["plugin", "list", "--json"])).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 3, "{listed:#}");
    let shown = remote(&engine.url, &["actions", "show", "disk.clean"]);
    assert!(shown.contains("older_than") && shown.contains("risk medium"), "{shown}");
    let (fine, said) = run(&mut paramedic(&["plugin", "pin", "disk", "--config", config, "--json"]));
    let pinned: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(fine && pinned["written"].is_string(), "{pinned}");
    let text = std::fs::read_to_string(config).unwrap();
    assert!(text.contains(&format!("sha256: {}", pinned["sha256"].as_str().unwrap())), "{text}");
    let (fine, said) = run(&mut paramedic(&["plugin", "inspect", "disk", "--config", config, "--json"]));
    let inspected: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(fine && inspected["sha256"] == pinned["sha256"], "{inspected:#}");
    assert_eq!(inspected["actions"].as_array().unwrap().len(), 3, "{inspected:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_that_a_new_version_brings_can_be_used_at_once() {
    let home = Home::new("plugins: [{ name: x, path: x.so }]\n");
    plugins::misbehaving(&home.path("x.so"), &["-DNAME=\"before\""]);
    playbooks(&home, &["before.do"]);
    let engine = home.start().await;
    assert!(call(&engine, "before.do", json!({})).await["ok"].is_string());
    // The playbook comes first: it is refused, as there is no such action yet.
    playbooks(&home, &["after.do"]);
    std::fs::remove_file(home.path("playbooks/before_do.rhai")).unwrap();
    engine.until("/api/rules", Duration::from_secs(5), |it| it["reload"]["refused_at"].is_string()).await;
    plugins::misbehaving(&home.path("x.so"), &["-DNAME=\"after\""]);
    engine.until("/api/rules", Duration::from_secs(5), |it| it["reload"]["refused_at"].is_null()).await;
    assert!(call(&engine, "after.do", json!({})).await["ok"].is_string());
    let actions = engine.get("/api/actions").await;
    assert!(!actions.to_string().contains("before.do"), "what the new version lacks is gone");
}

#[test]
fn check_tells_a_plugin_that_would_not_load_where_it_is_named() {
    let home = Home::new("plugins:\n  - name: good\n    path: good.so\n  - name: gone\n    path: none.so\n");
    plugins::misbehaving(&home.path("good.so"), &["-DNAME=\"good\""]);
    playbooks(&home, &["good.do"]);
    let (fine, said) =
        run(&mut paramedic(&["check", "--config", home.path("paramedic.yaml").to_str().unwrap()]));
    assert!(!fine && said.contains("P0305") && said.contains("none.so is not there"), "{said}");
    assert!(said.contains("paramedic.yaml:6:11") && !said.contains("no action `good.do`"), "{said}");
}

#[test]
fn tests_of_rules_play_the_actions_of_plugins_instead_of_calling_them() {
    let home = Home::new("plugins: [{ name: bad, path: bad.so }]\n");
    plugins::misbehaving(&home.path("bad.so"), &[]);
    playbooks(&home, &["bad.do"]);
    home.write(
        "rules/rules.yaml",
        "rules:\n  - name: it\n    on: it.fails\n    intent: { goal: Mend it, target: \"${data.n}\" }\n    \
         playbooks: [bad_do]\n    params: { args: { how: segfault } }\n    tests:\n      - name: it is done\n        \
         events: [{ topic: it.fails, data: { n: a } }]\n        \
         actions: { bad.do: { result: played } }\n        \
         expect: { steps: [{ action: bad.do, params: { how: segfault } }] }\n",
    );
    let config = home.path("paramedic.yaml");
    let (fine, said) = run(&mut paramedic(&["test", "--config", config.to_str().unwrap()]));
    assert!(fine && !said.contains("SIGSEGV"), "{said}");
    home.write("paramedic.yaml", "plugins: []\n");
    let (fine, said) = run(&mut paramedic(&["test", "--config", config.to_str().unwrap()]));
    assert!(!fine && said.contains("there is no action `bad.do`"), "{said}");
}

fn paramedic(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    command.args(args);
    command
}

fn remote(url: &str, args: &[&str]) -> String {
    let (fine, said) = run(paramedic(args).args(["--url", url]));
    assert!(fine, "{said}");
    said
}

/// Whether it was fine, and all it said.
fn run(command: &mut Command) -> (bool, String) {
    let out = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), said)
}
