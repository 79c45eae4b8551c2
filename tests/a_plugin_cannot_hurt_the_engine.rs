//! Whatever a plugin does wrong is a failure of that one call, with a clear message; all else goes on.
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

use std::time::{Duration, Instant};

use calls::{begin, call, end, playbooks};
use engine::{Engine, Home};
use plugins::misbehaving;
use serde_json::{Value, json};

const TWO: &str = "
plugins:
  - { name: bad, path: bad.so, timeout: 1s, memory: 64MiB, output: 1MiB }
  - { name: good, path: good.so }
";

/// A home with a plugin that misbehaves and one that does not.
fn home(plugins: &str) -> Home {
    let home = Home::new(plugins);
    misbehaving(&home.path("bad.so"), &[]);
    misbehaving(&home.path("good.so"), &["-DNAME=\"good\""]);
    playbooks(&home, &["bad.do", "bad.again", "good.do"]);
    home
}

async fn plugin(engine: &Engine, name: &str) -> Value {
    engine.get(&format!("/api/plugins/{name}")).await
}

fn message(result: &Value) -> String {
    result["error"]["message"].as_str().unwrap_or_else(|| panic!("no failure: {result:#}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_to_misbehave_fails_that_call_only_and_the_next_works() {
    let home = home(TWO);
    let engine = home.start().await;
    for (how, kind, words) in [
        ("segfault", "interrupted", "SIGSEGV"),
        ("abort", "interrupted", "SIGABRT"),
        ("exit", "interrupted", "ended by itself with exit code 3"),
        ("exit_fine", "interrupted", "ended by itself with exit code 0"),
        ("kill", "interrupted", "SIGKILL"),
        ("overflow", "interrupted", "stack overflow"),
        ("loop", "timeout", "did not answer within 1s; its process was ended"),
        ("hang", "timeout", "did not answer within 1s"),
        ("stop", "timeout", "did not answer within 1s"),
        ("allocate", "failed", "no memory was given"),
        ("leak", "interrupted", "SIGSEGV"),
        ("scribble", "interrupted", "sent what is no answer"),
        ("forge", "interrupted", "answered call 99 instead of"),
        ("close", "interrupted", "ended"),
        ("silent", "plugin", "came back without an answer"),
        ("late", "plugin", "came back without an answer"),
        ("twice", "plugin", "answered 2 times"),
        ("null", "plugin", "null pointer"),
        ("not_json", "plugin", "what is not JSON"),
        ("not_utf8", "plugin", "what is not UTF-8"),
        ("not_answer", "plugin", "JSON that is no answer"),
        ("huge", "plugin", "16777216 bytes long, over the limit of 1048576"),
    ] {
        let began = Instant::now();
        let result = call(&engine, "bad.do", json!({ "how": how })).await;
        let said = message(&result);
        assert!(result["error"]["kind"] == kind && said.contains(words), "{how}: {result:#}\n{}", home.log());
        assert!(said.contains("`bad`") || kind == "failed", "{how}: the message names the plugin: {said}");
        assert!(began.elapsed() < Duration::from_secs(10), "{how} took {:?}", began.elapsed());
        let after = call(&engine, "bad.do", json!({ "how": "well" })).await;
        assert!(after["ok"].is_string(), "after {how}: {after:#}\n{}", home.log());
        let other = call(&engine, "good.do", json!({ "how": "well" })).await;
        assert!(other["ok"].is_string(), "the other plugin after {how}: {other:#}");
    }
    let shown = plugin(&engine, "bad").await;
    assert_eq!((&shown["state"], &shown["crashes"]), (&json!("ready"), &json!(13)), "{shown:#}");
    assert!(home.log().contains("came when it was over"), "the late answer is logged:\n{}", home.log());
    let idempotent = call(&engine, "bad.again", json!({ "how": "segfault" })).await;
    assert!(
        idempotent["error"]["kind"] == "failed" && idempotent["error"]["retryable"] == true,
        "{idempotent:#}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_prints_is_bounded_and_never_an_answer_and_it_inherits_nothing() {
    let home = home(TWO);
    let engine = home.start_with(&[("PARAMEDIC_TOKEN", "secret"), ("CANARY", "secret")]).await;
    let printed = call(&engine, "bad.do", json!({ "how": "print" })).await;
    assert!(printed["ok"].as_str().is_some_and(|said| said.starts_with("one ")), "{printed:#}");
    let env = call(&engine, "bad.do", json!({ "how": "env" })).await;
    assert_eq!(env["ok"], "none|none");
    // Its channel to the engine and the library are the only ones that are open besides the standard three.
    let descriptors = call(&engine, "bad.do", json!({ "how": "descriptors" })).await;
    assert!(descriptors["ok"].as_u64().unwrap() <= 2, "{descriptors:#}");
    let logged = call(&engine, "bad.do", json!({ "how": "log" })).await;
    assert!(logged["ok"].is_string());
    let deadline = Instant::now() + Duration::from_secs(5);
    while !home.log().contains("more lines that it printed were left out") {
        assert!(Instant::now() < deadline, "{}", home.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let log = home.log();
    assert!(log.matches("garbage").count() < 500, "{} lines", log.matches("garbage").count());
    assert!(!log.contains("\u{1b}[31m"), "no escape sequence of a plugin reaches a terminal");
    assert!(log.contains("a line for the log"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_in_a_row_quarantine_a_plugin_and_there_is_a_way_out() {
    let home = home(TWO);
    let engine = home.start().await;
    for _ in 0..5 {
        let crashed = call(&engine, "bad.do", json!({ "how": "segfault" })).await;
        assert_eq!(crashed["error"]["kind"], "interrupted", "{crashed:#}");
    }
    let refused = call(&engine, "bad.do", json!({ "how": "well" })).await;
    let said = message(&refused);
    for words in ["quarantined", "5 times in a row", "SIGSEGV", "paramedic plugin reload bad"] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(refused["error"]["retryable"], true);
    assert_eq!(plugin(&engine, "bad").await["state"], "quarantined");
    let is_told = |alerts: &Value| alerts.to_string().contains("Plugin bad is quarantined");
    engine.until("/api/observability/alerts", Duration::from_secs(5), is_told).await;
    let other = call(&engine, "good.do", json!({ "how": "well" })).await;
    assert!(other["ok"].is_string(), "{other:#}");
    let (status, _) = engine.post("/api/plugins/bad/reload", "application/json", "{}").await.unwrap();
    assert_eq!(status, 200);
    let after = call(&engine, "bad.do", json!({ "how": "well" })).await;
    assert!(after["ok"].is_string(), "{after:#}");
    // The other way out: another file.
    for _ in 0..5 {
        call(&engine, "bad.do", json!({ "how": "abort" })).await;
    }
    assert_eq!(plugin(&engine, "bad").await["state"], "quarantined");
    misbehaving(&home.path("bad.so"), &["-DTAG=\"mended\""]);
    engine.until("/api/plugins/bad", Duration::from_secs(5), |it| it["state"] == "ready").await;
    let after = call(&engine, "bad.do", json!({ "how": "well" })).await;
    assert!(after["ok"].as_str().is_some_and(|said| said.starts_with("mended ")), "{after:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_call_holds_up_no_other_and_a_crash_beside_it_does_not_touch_it() {
    let home = home(TWO);
    let engine = home.start().await;
    let slow = begin(&engine, "bad.do", json!({ "how": "slow" })).await;
    let began = Instant::now();
    for how in ["well", "segfault", "well", "abort", "well"] {
        call(&engine, "bad.do", json!({ "how": how })).await;
    }
    println!("five calls beside a slow one took {:?}", began.elapsed());
    let slow = end(&engine, &slow).await;
    assert!(slow["ok"].is_string(), "{slow:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_library_serves_new_calls_while_old_ones_finish_on_the_old() {
    for isolation in ["process", "in_process"] {
        let home = home(&format!(
            "plugins: [{{ name: bad, path: bad.so, isolation: {isolation} }}, {{ name: good, path: good.so }}]\n"
        ));
        let engine = home.start().await;
        let first = call(&engine, "bad.do", json!({ "how": "well" })).await;
        assert!(first["ok"].as_str().is_some_and(|said| said.starts_with("one ")), "{first:#}");
        misbehaving(&home.path("two.so"), &["-DTAG=\"two\""]);
        let slow = begin(&engine, "bad.do", json!({ "how": "slower" })).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::fs::rename(home.path("two.so"), home.path("bad.so")).unwrap();
        engine.until("/api/plugins/bad", Duration::from_secs(5), |it| it["swaps"] == 1).await;
        let new = call(&engine, "bad.do", json!({ "how": "well" })).await;
        assert!(new["ok"].as_str().is_some_and(|said| said.starts_with("two ")), "{isolation}: {new:#}");
        let slow = end(&engine, &slow).await;
        assert!(slow["ok"].as_str().is_some_and(|said| said.starts_with("one ")), "{isolation}: {slow:#}");
        // Written over in place, as `cp` does, and half of it first.
        misbehaving(&home.path("three.so"), &["-DTAG=\"three\""]);
        let three = std::fs::read(home.path("three.so")).unwrap();
        std::fs::write(home.path("bad.so"), &three[..three.len() / 2]).unwrap();
        engine.until("/api/plugins/bad", Duration::from_secs(5), |it| it["state"] == "stale").await;
        let still = call(&engine, "bad.do", json!({ "how": "well" })).await;
        assert!(still["ok"].as_str().is_some_and(|said| said.starts_with("two ")), "{isolation}: {still:#}");
        std::fs::write(home.path("bad.so"), &three).unwrap();
        engine.until("/api/plugins/bad", Duration::from_secs(5), |it| it["swaps"] == 2).await;
        let new = call(&engine, "bad.do", json!({ "how": "well" })).await;
        assert!(new["ok"].as_str().is_some_and(|said| said.starts_with("three ")), "{isolation}: {new:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_library_that_changes_by_one_byte_is_refused_and_the_old_one_goes_on() {
    let home = home(TWO);
    let config = home.path("paramedic.yaml");
    let out = paramedic(&["plugin", "pin", "bad", "--config", config.to_str().unwrap()]);
    assert!(out.0, "{}", out.1);
    assert!(std::fs::read_to_string(&config).unwrap().contains("name: bad, sha256: "));
    let mut engine = home.start().await;
    assert_eq!(plugin(&engine, "bad").await["pinned"], true);
    let mut bytes = std::fs::read(home.path("bad.so")).unwrap();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    std::fs::write(home.path("changed.so"), bytes).unwrap();
    std::fs::rename(home.path("changed.so"), home.path("bad.so")).unwrap();
    let shown = engine.until("/api/plugins/bad", Duration::from_secs(5), |it| it["state"] == "stale").await;
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("is pinned") && reason.contains("paramedic plugin pin"), "{reason}");
    let still = call(&engine, "bad.do", json!({ "how": "well" })).await;
    assert!(still["ok"].is_string(), "{still:#}");
    assert!(engine.stop());
    // At a start nothing is loaded, the engine serves all the same, and calls say why.
    let mut engine = home.start().await;
    let failed = call(&engine, "bad.do", json!({ "how": "well" })).await;
    assert!(failed["error"]["kind"] == "unavailable" && message(&failed).contains("is pinned"), "{failed:#}");
    let other = call(&engine, "good.do", json!({ "how": "well" })).await;
    assert!(other["ok"].is_string(), "{other:#}");
    misbehaving(&home.path("bad.so"), &[]);
    engine.until("/api/plugins/bad", Duration::from_secs(5), |it| it["state"] == "ready").await;
    let again = call(&engine, "bad.do", json!({ "how": "well" })).await;
    assert!(again["ok"].is_string(), "{again:#}");
    assert!(engine.stop());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_of_a_plugin_outlives_the_engine() {
    let home = home(TWO);
    let mut engine = home.start().await;
    let own = call(&engine, "bad.do", json!({ "how": "well" })).await;
    let own: u32 = own["ok"].as_str().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let grandchild = call(&engine, "bad.do", json!({ "how": "child" })).await;
    let grandchild = u32::try_from(grandchild["ok"].as_u64().unwrap()).unwrap();
    let slow = begin(&engine, "bad.do", json!({ "how": "hang" })).await;
    assert!(lives(own) && lives(grandchild), "{slow}");
    engine.kill();
    let deadline = Instant::now() + Duration::from_secs(5);
    while lives(own) || lives(grandchild) {
        assert!(Instant::now() < deadline, "{own} or {grandchild} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_library_that_is_no_good_plugin_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lib.so");
    for (flags, words) in [
        (&["-DVERSION=0x00020000u"][..], "built for version 2.0 of the ABI, this Paramedic speaks 1.x"),
        (&["-DVERSION=0x00000009u"], "built for version 0.9"),
        (&["-DFEATURES=(1ull<<40)"], "features 0x10000000000"),
        (&["-DSIZE=24"], "24 bytes long"),
        (&["-DNO_TABLE"], "gives no table"),
        (&["-DNO_ENTRY"], "does not export `paramedic_plugin_entry`"),
        (&["-DNO_CALL"], "has no `call`"),
        (&["-DNO_MANIFEST"], "has no `manifest`"),
        (&["-DMANIFEST=\"{]\""], "manifest cannot be read"),
        (&["-DMANIFEST=\"\\377\\376\""], "manifest is not text in UTF-8"),
        (
            &["-DMANIFEST=\"{\\\"name\\\":\\\"x\\\",\\\"version\\\":\\\"1\\\",\\\"actions\\\":[]}\""],
            "0 actions",
        ),
        (&["-DAT_LOAD=\"segfault\""], "while it was loaded, its process was ended by SIGSEGV"),
        (&["-DAT_LOAD=\"exit\""], "while it was loaded, its process ended by itself with exit code 3"),
    ] {
        misbehaving(&path, flags);
        let (fine, said) = paramedic(&["plugin", "inspect", path.to_str().unwrap()]);
        assert!(!fine && said.contains(words), "{flags:?}: {said}");
    }
    for (content, words) in [
        (&b"hello"[..], "no library that can be loaded"),
        (b"", "no library that can be loaded"),
        (b"\x7fELF\x02\x01\x01", "no library that can be loaded"),
    ] {
        std::fs::write(&path, content).unwrap();
        let (fine, said) = paramedic(&["plugin", "inspect", path.to_str().unwrap()]);
        assert!(!fine && said.contains(words), "{said}");
    }
    let (fine, said) = paramedic(&["plugin", "inspect", "/bin/sh"]);
    assert!(!fine && said.contains("no library that can be loaded"), "{said}");
    let (fine, said) = paramedic(&["plugin", "inspect", dir.path().join("none.so").to_str().unwrap()]);
    assert!(!fine && said.contains("neither a file nor a plugin"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_does_not_load_keeps_no_other_and_no_engine_from_starting() {
    let home = Home::new(
        "plugins:\n  - { name: missing, path: none.so }\n  - { name: shadow, path: shadow.so }\n  \
         - { name: same, path: same.so }\n  - { name: refuses, path: refuses.so, config: { mode: refuse } }\n  \
         - { name: fails, path: fails.so, config: [fail] }\n  \
         - { name: lingers, path: lingers.so, config: linger, start_timeout: 300ms }\n  - { name: good, path: good.so }\n",
    );
    let manifest = r#"-DMANIFEST="{\"name\":\"x\",\"version\":\"1\",\"actions\":[{\"name\":\"kernel.restart\",\"doc\":\"d\",\"params\":{\"type\":\"object\"},\"result\":{},\"timeout_ms\":1}]}""#;
    misbehaving(&home.path("shadow.so"), &[manifest]);
    misbehaving(&home.path("good.so"), &["-DNAME=\"good\""]);
    misbehaving(&home.path("same.so"), &["-DNAME=\"good\""]);
    for name in ["refuses", "fails", "lingers"] {
        misbehaving(&home.path(&format!("{name}.so")), &[&format!("-DNAME=\"{name}\"")]);
    }
    playbooks(&home, &["good.do"]);
    let engine = home.start().await;
    let good = call(&engine, "good.do", json!({ "how": "well" })).await;
    assert!(good["ok"].is_string(), "{good:#}");
    let all = engine.get("/api/plugins").await;
    let reason = |name: &str| {
        let found = all["items"].as_array().unwrap().iter().find(|it| it["name"] == name).cloned().unwrap();
        format!("{} {}", found["state"], found["reason"])
    };
    assert!(reason("missing").contains("is not there"), "{}", reason("missing"));
    assert!(reason("shadow").contains("`kernel.restart` is built in"), "{}", reason("shadow"));
    assert!(reason("refuses").contains("I do not like this configuration"), "{}", reason("refuses"));
    assert!(reason("fails").contains("`start` gives 7"), "{}", reason("fails"));
    assert!(reason("lingers").contains("not loaded and started within 300ms"), "{}", reason("lingers"));
    // Whichever of the two came first has the name.
    let pair = format!("{} {}", reason("same"), reason("good"));
    assert!(pair.contains("is another plugin's"), "{pair}");
    let actions = engine.get("/api/actions").await;
    let named =
        |name: &str| actions["items"].as_array().unwrap().iter().filter(|it| it["name"] == name).count();
    assert_eq!((named("good.do"), named("kernel.restart")), (1, 1));
}

/// Whether a process is there and no zombie.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

/// Runs the program; whether it was fine, and all it said.
fn paramedic(args: &[&str]) -> (bool, String) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_paramedic")).args(args).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_hang_in_process_hold_their_own_threads_and_nothing_else() {
    let home = home(
        "plugins:\n  - { name: bad, path: bad.so, isolation: in_process, processes: 2, timeout: 1s }\n  - { name: good, path: good.so }\n",
    );
    let mut engine = home.start().await;
    // Quick ones first: an engine that thinks it knows the plugin trusts it.
    for _ in 0..5 {
        let well = call(&engine, "bad.do", json!({ "how": "well" })).await;
        assert!(well["ok"].is_string(), "{well:#}");
    }
    let hanging = [
        begin(&engine, "bad.do", json!({ "how": "hang" })).await,
        begin(&engine, "bad.do", json!({ "how": "hang" })).await,
    ];
    for id in hanging {
        let result = end(&engine, &id).await;
        assert_eq!(result["error"]["kind"], "timeout", "{result:#}");
    }
    let began = Instant::now();
    let refused = call(&engine, "bad.do", json!({ "how": "well" })).await;
    let error = &refused["error"];
    assert!(error["kind"] == "unavailable" && error["retryable"] == true, "{refused:#}");
    let other = call(&engine, "good.do", json!({ "how": "well" })).await;
    assert!(other["ok"].is_string(), "{other:#}");
    let ready = engine.get("/readyz").await;
    let problems = ready["problems"].to_string();
    assert!(problems.contains("`bad`") && problems.contains("over their time"), "{ready:#}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(engine.stop(), "it stops in good order:\n{}", home.log());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
