//! Actions with real processes, real kernels and real connections.

use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;
use crate::bus::Publisher;
use crate::kernels::Shim;
use crate::model::{Clock, Event, Time};

/// Key, level, title and target of an alert.
type Raised = (String, Level, String, Option<String>);

/// Stands in for the engine: keeps what comes.
#[derive(Default)]
struct Engine {
    alerts: Mutex<Vec<Raised>>,
    intents: Mutex<Vec<NewIntent>>,
}

impl Publisher for Engine {
    fn publish(&self, _event: Event) {}
}

impl Alerts for Engine {
    fn raise(
        &self,
        key: String,
        level: Level,
        title: String,
        _message: String,
        target: Option<String>,
        _intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        self.alerts.lock().unwrap().push((key, level, title, target));
        Box::pin(async { Ok(AlertId::new(Time::UNIX_EPOCH, 1)) })
    }
}

impl Intents for Engine {
    fn create(&self, new: NewIntent) -> BoxFuture<'static, Result<IntentId, Failure>> {
        self.intents.lock().unwrap().push(new);
        Box::pin(async { Ok(IntentId::new(Time::UNIX_EPOCH, 2)) })
    }
}

struct World {
    engine: Arc<Engine>,
    actions: Registry,
    kernels: Kernels,
    _dir: tempfile::TempDir,
}

fn world(kernels: &str, config: Value) -> World {
    let engine = Arc::new(Engine::default());
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::new(Shim::none()).unwrap();
    let specs = serde_yaml::from_str(kernels).unwrap();
    let kernels = Kernels::new(specs, engine.clone(), spawner.clone(), dir.path(), Clock::system()).unwrap();
    let ports = Ports {
        kernels: kernels.clone(),
        spawner,
        alerts: engine.clone(),
        intents: engine.clone(),
        config: serde_json::from_value(config).unwrap(),
    };
    World { engine, actions: Registry::builtin(&ports), kernels, _dir: dir }
}

impl World {
    async fn act(&self, name: &str, params: Value) -> Result<Value, Failure> {
        self.actions.call(call(name, params), None).await
    }
}

fn call(name: &str, params: Value) -> Call {
    let params = params.as_object().cloned().unwrap();
    Call { name: name.into(), params, key: "run-1".into(), ..Call::default() }
}

#[tokio::test]
async fn every_built_in_action_is_described_and_refuses_a_wrong_parameter() {
    let world = world("[]", json!({}));
    let names = "alert.operator diagnostic.run exec.run http.request intent.create kernel.health kernel.logs \
                 kernel.restart kernel.scale kernel.start kernel.stop";
    assert_eq!(world.actions.names().join(" "), names);
    for spec in world.actions.list() {
        assert!(
            spec.doc.ends_with('.') && spec.result["type"] == "object" && !spec.timeout.is_zero(),
            "{spec:?}"
        );
        let failure = world.act(&spec.name, json!({ "nonsense": 1 })).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), &failure.action), ("invalid", &spec.name), "{failure}");
    }
    let failure = world.act("kernel.restrat", json!({})).await.unwrap_err();
    assert!(failure.message.contains("`kernel.restrat`: there are alert.operator, "), "{failure}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = world(
        "[{name: k, command: [sleep, '60'], replicas: {min: 1, max: 3}}]",
        json!({ "exec": { "allow": ["/bin/ls"] } }),
    );
    for (name, params, expected) in [
        (
            "kernel.restart",
            json!({ "kernel": "k", "grace": "2s" }),
            "would restart kernel `k`, with 2s between SIGTERM and SIGKILL",
        ),
        (
            "kernel.scale",
            json!({ "kernel": "k", "replicas": 2 }),
            "would scale kernel `k` from 1 to 2 replicas",
        ),
        ("alert.operator", json!({ "title": "x" }), "would tell a person by the alert list: x"),
        (
            "exec.run",
            json!({ "argv": ["/bin/ls", "-l"], "options": ["-l"], "cwd": "/" }),
            "would run [\"/bin/ls\",\"-l\"] in /",
        ),
        (
            "exec.run",
            json!({ "argv": ["rm"] }),
            "would be refused: may not run `rm`: allowed are /bin/ls; see `actions.exec.allow` in the configuration",
        ),
        (
            "http.request",
            json!({ "url": "https://example.com/a?token=x" }),
            "would send GET https://example.com/a",
        ),
        (
            "intent.create",
            json!({ "goal": "g", "target": "t", "playbooks": ["p"] }),
            "would ask for a repair of `t`: g",
        ),
        ("diagnostic.run", json!({ "target": "k" }), "would look at the machine and at `k`"),
    ] {
        let mut call = call(name, params);
        call.dry = true;
        let said = world.actions.call(call, None).await.unwrap();
        assert_eq!(said["dry_run"], expected);
    }
    assert!(world.kernels.get("k").unwrap().pids.is_empty());
    assert!(
        world.engine.alerts.lock().unwrap().is_empty() && world.engine.intents.lock().unwrap().is_empty()
    );
}

#[tokio::test]
async fn a_kernel_is_restarted_scaled_read_stopped_and_started() {
    let world =
        world("[{name: k, command: [sh, -c, 'echo up; sleep 60'], replicas: {min: 1, max: 2}}]", json!({}));
    world.kernels.boot().await;
    let done = world.act("kernel.restart", json!({ "kernel": "k", "grace": 1 })).await.unwrap();
    assert_eq!((&done["generation"], &done["state"]), (&2.into(), &"healthy".into()));
    let again = world.act("kernel.restart", json!({ "kernel": "k", "grace": 1 })).await.unwrap();
    assert_eq!(done, again, "the same key acts once");
    let mut scale = call("kernel.scale", json!({ "kernel": "k", "replicas": 2 }));
    scale.key = "run-2".into();
    assert_eq!(world.actions.call(scale, None).await.unwrap()["pids"].as_array().unwrap().len(), 2);
    assert_eq!(world.act("kernel.health", json!({ "kernel": "k" })).await.unwrap()["healthy"], true);
    assert_eq!(
        world.act("kernel.logs", json!({ "kernel": "k", "lines": 1 })).await.unwrap()["lines"],
        json!(["up", "up"])
    );
    let mut stop = call("kernel.stop", json!({ "kernel": "k" }));
    stop.key = "run-3".into();
    assert_eq!(world.actions.call(stop, None).await.unwrap()["state"], "stopped");
    let mut start = call("kernel.start", json!({ "kernel": "k" }));
    start.key = "run-4".into();
    assert_eq!(world.actions.call(start, None).await.unwrap()["state"], "healthy");
    let failure = world.act("kernel.health", json!({ "kernel": "" })).await.unwrap_err();
    assert_eq!(failure.kind, "invalid", "an empty target is never \"all\"");
    world.kernels.shutdown().await;
}

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
        (json!({ "argv": ["sh", "-c", "echo why >&2; exit 3"], "options": ["-c"] }), "failed", "exit code 3: why"),
        (json!({ "argv": ["sh", "-c", "kill -9 $$"], "options": ["-c"] }), "failed", "signal: 9"),
    ] {
        let failure = world.act("exec.run", params).await.unwrap_err();
        assert!(failure.kind == kind && failure.message.contains(says), "{failure:?}");
    }
    let done = world.act("exec.run", json!({ "argv": ["sh", "-c", "exit 3"], "accept": [3], "options": ["-c"] })).await.unwrap();
    assert_eq!(done["code"], 3);
}

/// What an event could bring along to have `touch CANARY` done.
fn payloads(canary: &str) -> Vec<String> {
    let touch = format!("touch {canary}");
    let inner = [
        format!("; {touch}"), format!("| {touch}"), format!("|| {touch}"), format!("&& {touch}"), format!("& {touch}"),
        format!("$({touch})"), format!("`{touch}`"), format!("\n{touch}\n"), format!("\r\n{touch}"),
        format!("> {canary}"), format!("${{IFS}}; {touch}"), format!("<({touch})"), format!("\0; {touch}"),
        format!("-oProxyCommand={touch}"), format!("--checkpoint-action=exec={touch}"), format!("-exec {touch}"),
        format!("--output={canary}"), format!("-o{canary}"), format!("-I{canary}"), "-".into(), "--help".into(),
        "${HOME} $HOME %s %n".into(), "../../../../etc/passwd".into(), "*".into(), "~".into(),
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
        (json!({ "argv": ["ls", "-l", "/"], "options": ["-l"] }), "the configuration allows -d, --sort=* of `ls`"),
        (json!({ "argv": ["true", "-l"] }), "allows none of `true`"),
        (json!({ "argv": ["printf", "x"], "cwd": "tmp" }), "absolute path"),
        (json!({ "argv": ["printf", "x"], "cwd": "/tmp/../etc" }), "without `..`"),
        (json!({ "argv": ["printf", "x"], "cwd": "/nowhere" }), "no such folder"),
    ] {
        match world.act("exec.run", params.clone()).await {
            Ok(_) => assert_eq!(says, "", "{params}"),
            Err(failure) => assert!(!says.is_empty() && failure.message.contains(says), "{params}: {failure}"),
        }
    }
    let action = world.actions.get("exec.run").unwrap();
    assert!(!action.idempotent(&call("exec.run", json!({ "argv": ["true"] }))));
    assert!(action.idempotent(&call("exec.run", json!({ "argv": ["true"], "idempotent": true }))));
}

#[tokio::test]
async fn a_program_that_prints_without_end_or_does_not_end_is_bounded() {
    let world = world("[]", json!({ "exec": { "allow": ["sh"] } }));
    let done = world
        .act("exec.run", json!({ "argv": ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], "options": ["-c"] }))
        .await
        .unwrap();
    assert_eq!((done["stdout"].as_str().unwrap().len(), &done["truncated"]), (64 * 1024 + "\n[… 934464 bytes left out …]\n".len(), &true.into()));
    let dir = tempfile::tempdir().unwrap();
    let alive = dir.path().join("alive");
    let script = format!("while :; do echo x >> {}; sleep 0.02; done", alive.display());
    let slow = call("exec.run", json!({ "argv": ["sh", "-c", format!("({script}) & wait")], "options": ["-c"] }));
    let begun = Instant::now();
    let failure = world.actions.call(slow, Some(Span(Duration::from_millis(300)))).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("timeout", false));
    assert!(begun.elapsed() < Duration::from_secs(5));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let size = || std::fs::metadata(&alive).map(|meta| meta.len()).unwrap_or(0);
    let before = size();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(before > 0 && before == size(), "its children were ended with it");
}

/// Answers each connection with `answer`; gives what it was sent.
async fn serve(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 64 * 1024];
            let n = stream.read(&mut request).await.unwrap();
            keep.lock().unwrap().push(String::from_utf8_lossy(&request[..n]).into_owned());
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    (address, heard)
}

#[tokio::test]
async fn an_allowed_address_is_asked_once_without_following_redirects() {
    let (address, heard) = serve(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 8\r\n\r\n{\"a\": 1}",
    )
    .await;
    let world = world("[]", json!({ "http": { "allow": [address] } }));
    let params = json!({ "url": format!("http://{address}/x?y"), "method": "POST", "json": { "b": 2 }, "headers": { "x-one": "1" } });
    let done = world.act("http.request", params.clone()).await.unwrap();
    assert_eq!(
        (&done["status"], &done["json"]["a"], &done["headers"]["location"]),
        (&302.into(), &1.into(), &"http://169.254.169.254/".into())
    );
    let request = heard.lock().unwrap().join("|");
    for part in ["POST /x?y HTTP/1.1\r\n", "idempotency-key: run-1\r\n", "x-one: 1\r\n", "{\"b\":2}"] {
        assert!(request.contains(part), "{part} in {request}");
    }
    let action = world.actions.get("http.request").unwrap();
    assert!(!action.idempotent(&call("http.request", params)));
    assert!(action.idempotent(&call("http.request", json!({ "url": "http://x/", "method": "DELETE" }))));
}

#[tokio::test]
async fn a_loopback_address_that_is_not_allowed_is_never_connected_to() {
    let (address, heard) = serve("HTTP/1.1 200 OK\r\n\r\n").await;
    let world = world("[]", json!({}));
    let failure =
        world.act("http.request", json!({ "url": format!("http://{address}/") })).await.unwrap_err();
    assert_eq!(failure.kind, "refused");
    assert!(failure.message.contains("`actions.http.allow`"), "{failure}");
    let port = address.rsplit_once(':').unwrap().1;
    let failure =
        world.act("http.request", json!({ "url": format!("http://localhost:{port}/") })).await.unwrap_err();
    assert_eq!(failure.kind, "refused");
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_status_fails_a_large_body_is_cut_and_a_forged_header_is_refused() {
    let (busy, _) = serve("HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nlate").await;
    let body: &'static str = Box::leak(
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(400_000)).into_boxed_str(),
    );
    let (large, _) = serve(body).await;
    let world = world("[]", json!({ "http": { "allow": [busy, large] } }));
    let url = format!("http://{busy}/");
    let failure = world.act("http.request", json!({ "url": url })).await.unwrap_err();
    assert!(failure.retryable && failure.message.ends_with("answered with status 503: late"), "{failure}");
    let done = world.act("http.request", json!({ "url": url, "accept": [503] })).await.unwrap();
    assert_eq!(done["body"], "late");
    let done = world.act("http.request", json!({ "url": format!("http://{large}/") })).await.unwrap();
    assert_eq!((done["body"].as_str().unwrap().len(), &done["truncated"]), (256 * 1024, &true.into()));
    for headers in [json!({ "host": "x" }), json!({ "a": "b\r\nc: d" }), json!({ "a b": "c" })] {
        let failure = world.act("http.request", json!({ "url": url, "headers": headers })).await.unwrap_err();
        assert_eq!(failure.kind, "invalid", "{failure}");
    }
}

#[tokio::test]
async fn an_alert_is_on_the_list_whatever_becomes_of_the_webhook() {
    let (address, heard) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let world_ok = world("[]", json!({ "alert": { "webhook": format!("http://{address}/secret") } }));
    let mut alert = call("alert.operator", json!({ "title": "k is down", "level": "critical" }));
    alert.rule = "r".into();
    alert.target = "k".into();
    let done = world_ok.actions.call(alert, None).await.unwrap();
    assert_eq!(done["channels"], json!([{ "channel": "webhook", "kind": "webhook", "status": "sent", "tries": 1 }]));
    assert_eq!(
        *world_ok.engine.alerts.lock().unwrap(),
        [("r/k".into(), Level::Critical, "k is down".into(), Some("k".into()))]
    );
    let request = heard.lock().unwrap().join("");
    assert!(
        request.contains("idempotency-key: run-1") && request.contains("\"title\":\"k is down\""),
        "{request}"
    );

    let world = world("[]", json!({ "alert": { "webhook": "http://127.0.0.1:1/secret", "give_up_after": "100ms" } }));
    let done = world.act("alert.operator", json!({ "title": "t" })).await.unwrap();
    let told = done["channels"][0].to_string();
    assert!(told.contains("\"status\":\"failed\"") && !told.contains("secret"), "{told}");
    assert_eq!(world.engine.alerts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_intent_is_asked_for_with_the_key_of_the_step() {
    let world = world("[]", json!({}));
    let params =
        json!({ "goal": "g", "target": "t", "playbooks": ["p"], "priority": "high", "params": { "a": 1 } });
    let done = world.act("intent.create", params).await.unwrap();
    assert_eq!(done["intent"].as_str().unwrap().len(), 26);
    let new = world.engine.intents.lock().unwrap().remove(0);
    assert_eq!(
        (new.key.as_str(), new.priority, new.params["a"].as_i64()),
        ("run-1", Priority::High, Some(1))
    );
}

#[tokio::test]
async fn a_diagnosis_finds_the_stopped_process_and_the_errors_in_its_log() {
    let world =
        world("[{name: k, command: [sh, -c, 'echo ERROR no disk; kill -STOP $$; sleep 60']}]", json!({}));
    world.kernels.boot().await;
    let found = world.act("diagnostic.run", json!({ "target": "k" })).await.unwrap();
    assert_eq!((&found["severity"], &found["errors"]), (&"critical".into(), &json!(["ERROR no disk"])));
    let summary = found["summary"].as_str().unwrap();
    assert!(summary.contains("is stopped by a signal") && summary.contains("1 lines of errors"), "{summary}");
    let found = world.act("diagnostic.run", json!({ "target": "elsewhere" })).await.unwrap();
    assert!(found["findings"].to_string().contains("`elsewhere` is no kernel"));
    world.kernels.shutdown().await;
}

#[tokio::test]
async fn the_names_that_playbooks_are_checked_against_are_those_that_there_are() {
    let world = world("[]", json!({}));
    assert_eq!(world.actions.names(), BUILTIN);
}
