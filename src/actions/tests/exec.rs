//! `exec.run` with real programs: what an event brought along stays an argument, and nothing outlives its time.

use std::path::Path;

use super::*;

#[tokio::test]
async fn a_program_runs_without_a_shell_a_stranger_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("canary");
    let world = world("[]", json!({ "exec": { "allow": ["printf", "sh", "env"] } }));
    let (payloads, mut refused) = (payloads(&canary.display().to_string()), 0);
    assert!(payloads.len() >= 200, "{}", payloads.len());
    for payload in &payloads {
        let plain = world.act("exec.run", json!({ "argv": ["printf", "%s", payload] })).await;
        match plain {
            Ok(done) => assert_eq!(done["stdout"], *payload),
            Err(failure) if payload.contains('\0') => assert_eq!(failure.kind, "invalid"),
            Err(failure) => {
                assert!(failure.kind == "refused" && payload.starts_with('-'), "{payload:?}: {failure}");
                refused += 1;
                let after = json!({ "argv": ["printf", "--", "%s", payload] });
                assert_eq!(world.act("exec.run", after).await.unwrap()["stdout"], *payload);
            }
        }
    }
    assert!(refused >= 6, "{refused}");
    assert!(!canary.exists());
    let done = world.act("exec.run", json!({ "argv": ["env"], "env": { "A": "b" } })).await.unwrap();
    let env = done["stdout"].as_str().unwrap();
    assert!(env.contains("A=b") && env.contains("PATH=") && !env.contains("CARGO"), "{env}");
    for (params, kind, says) in [
        (json!({ "argv": ["touch", "x"] }), "refused", "may not run `touch`"),
        (json!({ "argv": ["/bin/sh"] }), "refused", "may not run `/bin/sh`"),
        (json!({ "argv": ["../bin/sh"] }), "refused", "may not run"),
        (json!({ "argv": ["env"], "env": { "LD_PRELOAD": "x" } }), "refused", "`env.LD_PRELOAD`"),
        (json!({ "argv": ["env"], "env": { "PATH": "." } }), "refused", "`env.PATH`"),
        (json!({ "argv": ["printf", "a\u{0}b"] }), "invalid", "NUL"),
        (
            json!({ "argv": ["sh", "-c", "echo why >&2; exit 3"], "options": ["-c"] }),
            "failed",
            "exit code 3: why",
        ),
        (json!({ "argv": ["sh", "-c", "kill -9 $$"], "options": ["-c"] }), "failed", "signal: 9"),
    ] {
        let failure = world.act("exec.run", params).await.unwrap_err();
        assert!(failure.kind == kind && failure.message.contains(says), "{failure:?}");
    }
    let done = world
        .act("exec.run", json!({ "argv": ["sh", "-c", "exit 3"], "accept": [3], "options": ["-c"] }))
        .await
        .unwrap();
    assert_eq!(done["code"], 3);
}

/// What an event could bring along to have `touch CANARY` done.
fn payloads(canary: &str) -> Vec<String> {
    let touch = format!("touch {canary}");
    let inner = [
        format!("; {touch}"),
        format!("| {touch}"),
        format!("|| {touch}"),
        format!("&& {touch}"),
        format!("& {touch}"),
        format!("$({touch})"),
        format!("`{touch}`"),
        format!("\n{touch}\n"),
        format!("\r\n{touch}"),
        format!("> {canary}"),
        format!("${{IFS}}; {touch}"),
        format!("<({touch})"),
        format!("\0; {touch}"),
        format!("-oProxyCommand={touch}"),
        format!("--checkpoint-action=exec={touch}"),
        format!("-exec {touch}"),
        format!("--output={canary}"),
        format!("-o{canary}"),
        format!("-I{canary}"),
        "-".into(),
        "--help".into(),
        "${HOME} $HOME %s %n".into(),
        "../../../../etc/passwd".into(),
        "*".into(),
        "~".into(),
    ];
    let frames = ["", "x", "x ", "\"", "'", "\\", "k1\"", "k1' ", "\u{feff}"];
    inner.iter().flat_map(|it| frames.map(|frame| format!("{frame}{it}"))).collect()
}

#[tokio::test]
async fn an_argument_is_an_option_only_where_that_is_meant() {
    let allow = json!([
        "printf",
        { "program": "ls", "options": ["-d", "--sort=*"] },
        { "program": "true", "options": [] },
    ]);
    let world = world("[]", json!({ "exec": { "allow": allow } }));
    for (params, says) in [
        (json!({ "argv": ["printf", "-v"] }), "`argv[1]`, `-v`, begins with `-`"),
        (json!({ "argv": ["printf", "-v"], "options": ["-w"] }), "options: [\"-v\"]"),
        (json!({ "argv": ["printf", "%s", "-x"], "options": ["-*"] }), "`argv[2]`"),
        (json!({ "argv": ["printf", "%s", "-x"], "options": ["-x"] }), ""),
        (json!({ "argv": ["printf", "%s", "-"] }), ""),
        (json!({ "argv": ["printf", "--", "%s", "-x"] }), ""),
        (json!({ "argv": ["ls", "-d", "--sort=time", "/"] }), ""),
        (
            json!({ "argv": ["ls", "-l", "/"], "options": ["-l"] }),
            "the configuration allows -d, --sort=* of `ls`",
        ),
        (json!({ "argv": ["true", "-l"] }), "allows none of `true`"),
        (json!({ "argv": ["printf", "x"], "cwd": "tmp" }), "absolute path"),
        (json!({ "argv": ["printf", "x"], "cwd": "/tmp/../etc" }), "without `..`"),
        (json!({ "argv": ["printf", "x"], "cwd": "/nowhere" }), "no such folder"),
    ] {
        match world.act("exec.run", params.clone()).await {
            Ok(_) => assert_eq!(says, "", "{params}"),
            Err(failure) => {
                assert!(!says.is_empty() && failure.message.contains(says), "{params}: {failure}")
            }
        }
    }
    for (arg, fine) in [("-n", true), ("-n5", false), ("--sort=x", true), ("--sort", false), ("--", true)] {
        let mut call = call("exec.run", json!({ "argv": ["printf", "%s", arg] }));
        call.options = ["-n".to_owned(), "--sort=".into(), "-".into()].into();
        assert_eq!(
            world.actions.call(call, None).await.is_ok(),
            fine,
            "{arg}: the playbook's own words are meant"
        );
    }
    let action = world.actions.get("exec.run").unwrap();
    assert!(!action.idempotent(&call("exec.run", json!({ "argv": ["true"] }))));
    assert!(action.idempotent(&call("exec.run", json!({ "argv": ["true"], "idempotent": true }))));
}

#[tokio::test]
async fn a_program_that_prints_without_end_or_does_not_end_is_bounded() {
    let world = world("[]", json!({ "exec": { "allow": ["sh"] } }));
    let done = world
        .act(
            "exec.run",
            json!({ "argv": ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], "options": ["-c"] }),
        )
        .await
        .unwrap();
    assert_eq!(
        (done["stdout"].as_str().unwrap().len(), &done["truncated"]),
        (64 * 1024 + "\n[… 934464 bytes left out …]\n".len(), &true.into())
    );
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join("alive");
    let script = format!("while :; do echo x >> {}; sleep 0.02; done", alive.display());
    let slow = call(
        "exec.run",
        json!({ "argv": ["sh", "-c", format!("echo so far; ({script}) & wait")], "options": ["-c"] }),
    );
    let begun = Instant::now();
    let failure = world.actions.call(slow, Some(Span(Duration::from_millis(300)))).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("timeout", false));
    assert!(failure.message.ends_with("did not end within 300ms: so far"), "what it said is told: {failure}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let size = || std::fs::metadata(&alive).map(|meta| meta.len()).unwrap_or(0);
    let before = size();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(before > 0 && before == size(), "its children were ended with it");
}

#[tokio::test]
async fn a_program_does_not_run_where_the_engine_happens_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let (own, chosen) = (dir.path().join("data/exec"), dir.path().join("chosen"));
    std::fs::create_dir(&chosen).unwrap();
    let run = async |config: Value, own: Option<&Path>, params: Value| {
        let mut config: Config = serde_json::from_value(config).unwrap();
        config.exec.own = own.map(Into::into);
        let spawner = Spawner::new(Shim::none()).unwrap();
        let run: Arc<dyn Action> = Arc::new(crate::actions::exec::Run::new(spawner, config.exec));
        let done = run.call(call("exec.run", params)).await;
        done.map(|done| done["stdout"].as_str().unwrap().trim().to_owned())
    };
    let allow = json!({ "exec": { "allow": ["pwd"] } });
    let said = run(allow.clone(), Some(&own), json!({ "argv": ["pwd"] })).await.unwrap();
    assert_eq!(Path::new(&said), own.canonicalize().unwrap(), "an empty folder of its own");
    let config = json!({ "exec": { "allow": ["pwd"], "cwd": chosen } });
    let said = run(config, Some(&own), json!({ "argv": ["pwd"] })).await.unwrap();
    assert_eq!(Path::new(&said), chosen.canonicalize().unwrap(), "the configuration says where");
    let said = run(allow, Some(&own), json!({ "argv": ["pwd"], "cwd": chosen })).await.unwrap();
    assert_eq!(Path::new(&said), chosen.canonicalize().unwrap(), "the playbook says where");
}

#[tokio::test]
async fn a_program_that_leaves_a_daemon_behind_is_over_when_it_ends_and_loses_nothing_it_said() {
    let world = world("[]", json!({ "exec": { "allow": ["sh"] } }));
    let sh = |script: &str| json!({ "argv": ["sh", "-c", script], "options": ["-c"] });
    let pid = |text: &str| -> i32 {
        let digits = text.split("process ").nth(1).and_then(|rest| rest.split(' ').next());
        digits.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no process in {text}"))
    };
    let end = |text: &str| {
        let pid = rustix::process::Pid::from_raw(pid(text)).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    // It holds the pipes for as long as it lives, and would be ended if it could not write to them.
    let dir = tempfile::tempdir().unwrap();
    let up = dir.path().join("up");
    let up = up.display();
    // The program goes on once the daemon has left its group.
    let daemon = format!(
        "setsid sh -c 'touch {up}; while :; do echo still here; sleep 0.01; done' & while ! test -e {up}; do sleep 0.01; done; rm {up};"
    );
    let begun = Instant::now();
    let done = world.act("exec.run", sh(&format!("echo out; {daemon} echo done"))).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let said = done["stdout"].as_str().unwrap();
    assert!(said.starts_with("out\n") && said.contains("done\n"), "{said}");
    let left = done["left_running"][0].as_str().unwrap_or_else(|| panic!("{done}"));
    assert!(left.contains("still here"), "{left}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(std::path::Path::new(&format!("/proc/{}", pid(left))).exists(), "it lives on");
    end(left);
    let failure = world.act("exec.run", sh(&format!("{daemon} echo why >&2; exit 3"))).await.unwrap_err();
    assert!(failure.message.contains("exit code 3: "), "{failure}");
    assert!(failure.message.contains("why") && failure.message.contains("It has left process"), "{failure}");
    end(&failure.message);
    // What stays in its group is no daemon, and ends with it.
    let done = world.act("exec.run", sh("sleep 600 & echo out")).await.unwrap();
    assert_eq!((&done["stdout"], done.get("left_running")), (&"out\n".into(), None));
}
