//! Each playbook of the library, asked for by hand of a real engine: on real files, real processes and a real balancer,
//! once where it helps, once more after that, and once where it cannot.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{Engine, Home};
use serde_json::{Value, json};

const KERNELS: &str = r#"
kernels:
  - &kernel
    name: alpha
    command: ["${PARAMEDIC}", __patient, --boot-ms, "20"]
    port: auto
    health: { http: "http://127.0.0.1:${PORT}/", interval: 200ms, timeout: 500ms, failures: 2 }
    stop_grace: 500ms
  - { <<: *kernel, name: beta }
  - { <<: *kernel, name: gamma }
  - { <<: *kernel, name: fragile, command: [sh, -c, "test ! -e broken && exec sleep 300"], port: ~, health: ~ }
"#;

/// Asks for `playbook` and waits for what comes of it: the intent in the end.
async fn ask(engine: &Engine, playbook: &str, target: &str, params: Value) -> Value {
    let wish = json!({ "goal": playbook, "target": target, "playbooks": [playbook], "params": params });
    let (status, answer) = engine.post("/api/intents", "application/json", wish.to_string()).await.unwrap();
    assert!((200..300).contains(&status), "{status} {answer}");
    let path = format!("/api/intents/{}", answer["id"].as_str().unwrap());
    let over = ["succeeded", "failed", "escalated", "cancelled", "expired", "denied", "stale"];
    engine.until(&path, Duration::from_secs(60), |it| over.contains(&it["status"].as_str().unwrap())).await
}

/// The same, which must have helped; gives what `run` returned.
async fn helps(engine: &Engine, playbook: &str, target: &str, params: Value) -> Value {
    let intent = ask(engine, playbook, target, params).await;
    assert_eq!(
        (&intent["status"], &intent["attempts"][0]["outcome"]),
        (&json!("succeeded"), &json!("fixed")),
        "{intent:#}"
    );
    run(engine, &intent).await["result"].clone()
}

async fn run(engine: &Engine, intent: &Value) -> Value {
    engine.get(&format!("/api/runs/{}", intent["attempts"][0]["run"].as_str().unwrap())).await
}

async fn healthy(engine: &Engine, kernel: &str) -> i64 {
    let path = format!("/api/kernels/{kernel}");
    let view = engine.until(&path, Duration::from_secs(20), |view| view["state"] == "healthy").await;
    view["pids"][0].as_i64().unwrap()
}

async fn pids(engine: &Engine, kernels: &[&str]) -> Vec<i64> {
    let mut pids = Vec::new();
    for kernel in kernels {
        pids.push(healthy(engine, kernel).await);
    }
    pids
}

fn aged(path: &Path, days: u64) {
    fs::write(path, "x").unwrap();
    let then = fs::metadata(path).unwrap().modified().unwrap() - Duration::from_secs(days * 86_400 + 60);
    fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A home whose `df` says that a folder is fuller by 10 % for each file in it.
async fn with_files() -> (Home, Engine) {
    let home = Home::new("").with_shipped();
    let logs = home.path("logs-of-app");
    let config = format!(
        "listen: 127.0.0.1:{}\nactions:\n  exec: {{ allow: [find, df, cp, truncate, gzip, rm] }}\n  diagnostic: {{ logs: [\"{}/*.log\"] }}\n",
        home.port,
        fs::canonicalize(home.path(".")).unwrap().join("logs-of-app").display(),
    );
    home.write("paramedic.yaml", &config);
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(home.path("bin")).unwrap();
    let df = home.path("bin/df");
    fs::write(&df, "#!/bin/sh\nfor last; do :; done\nn=$(ls \"$last\" | wc -l)\necho Filesystem Blocks Used Free Capacity Mounted\necho disk 100 50 50 \"$((n * 10))%\" /\n").unwrap();
    fs::set_permissions(&df, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", home.path("bin").display(), std::env::var("PATH").unwrap());
    let engine = home.start_with(&[("PATH", &path)]).await;
    (home, engine)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_disk_removes_the_oldest_first_and_no_more_than_needed() {
    let (home, engine) = with_files().await;
    let dir = home.path("cache/files");
    fs::create_dir_all(&dir).unwrap();
    for (name, days) in
        [("a1", 10), ("a2", 10), ("a3", 9), ("b1", 4), ("b2", 4), ("c1", 0), ("c2", 0), ("-c3", 0)]
    {
        aged(&dir.join(name), days);
    }
    let clean = |below: u64| json!({ "path": dir, "below": below });
    let done = helps(&engine, "clean_disk", "disk-1", clean(60)).await;
    assert_eq!(
        (&done["before"], &done["after"], &done["removed"]),
        (&json!(80), &json!(50), &json!(3)),
        "{done}"
    );
    assert_eq!(names(&dir), ["-c3", "b1", "b2", "c1", "c2"]);
    let done = helps(&engine, "clean_disk", "disk-2", clean(60)).await;
    assert_eq!(done["removed"], 0, "there is room already");
    let done = helps(&engine, "clean_disk", "disk-3", clean(30)).await;
    assert_eq!(done["removed"], 2, "the age was halved once");
    let intent = ask(&engine, "clean_disk", "disk-4", clean(10)).await;
    assert_eq!(
        intent["attempts"][0]["outcome"], "not_fixed",
        "what is too young stays, and that is said: {intent:#}"
    );
    assert_eq!(names(&dir), ["-c3", "c1", "c2"]);
    for (i, path) in ["/", "/var", "/etc/x", "relative/x", "/tmp/../etc", "/usr/share"].iter().enumerate() {
        let intent =
            ask(&engine, "clean_disk", &format!("wrong-{i}"), json!({ "path": path, "below": 0 })).await;
        assert_eq!(intent["attempts"][0]["outcome"], "failed", "{path}");
        let message = intent["attempts"][0]["message"].as_str().unwrap();
        assert!(message.contains("is no folder to clean"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotate_logs_compresses_what_is_large_keeps_the_latest_and_leaves_the_writers_file() {
    let (home, engine) = with_files().await;
    let dir = home.path("logs-of-app");
    let small = "a line\n";
    fs::write(dir.join("small.log"), small).unwrap();
    let mut writer = fs::File::options().create(true).append(true).open(dir.join("big.log")).unwrap();
    let params = json!({ "path": dir, "larger_than": 100, "keep": 2 });
    for round in 0..4 {
        writer.write_all(format!("round {round}\n").repeat(20_000).as_bytes()).unwrap();
        let done = helps(&engine, "rotate_logs", &format!("logs-{round}"), params.clone()).await;
        assert_eq!(done["rotated"], json!([dir.join("big.log")]));
        assert_eq!(
            fs::metadata(dir.join("big.log")).unwrap().len(),
            0,
            "the writer goes on in the same file"
        );
    }
    let copies: Vec<String> = names(&dir).into_iter().filter(|name| name.starts_with("big.log.")).collect();
    assert!(copies.len() == 2 && copies.iter().all(|name| name.ends_with(".gz")), "{copies:?}");
    for (copy, round) in copies.iter().zip([2, 3]) {
        let out = Command::new("gzip").arg("-dc").arg(dir.join(copy)).output().unwrap().stdout;
        assert_eq!(String::from_utf8(out).unwrap(), format!("round {round}\n").repeat(20_000));
    }
    let done = helps(&engine, "rotate_logs", "logs-again", params).await;
    assert_eq!((&done["rotated"], &done["removed"]), (&json!([]), &json!(0)), "a second time does nothing");
    assert_eq!(fs::read_to_string(dir.join("small.log")).unwrap(), small);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gather_evidence_attaches_what_it_found_and_is_not_stopped_by_what_is_missing() {
    let (home, engine) = with_files().await;
    let log = home.path("logs-of-app/app.log");
    fs::write(&log, "fine\nERROR the queue is full\n").unwrap();
    let files = json!([log, home.path("logs-of-app/none.log"), "/etc/passwd"]);
    let intent = ask(&engine, "gather_evidence", "app", json!({ "files": files })).await;
    let run = run(&engine, &intent).await;
    let evidence = &run["result"];
    assert!(evidence["findings"].as_array().unwrap().len() > 8, "{run:#}");
    assert_eq!(evidence["files"][log.to_str().unwrap()], json!(["ERROR the queue is full"]));
    let denied = evidence["files"]["/etc/passwd"].to_string();
    assert!(denied.contains("may not look at"), "{denied}");
    let alerts = engine.all("/api/alerts").await;
    let alert = alerts.iter().find(|it| it["key"].as_str().unwrap().starts_with("evidence/")).unwrap();
    let message = alert["message"].as_str().unwrap();
    assert!(message.contains("the queue is full") && message.contains("- memory: "), "{message}");
    assert_eq!((&alert["level"], &alert["target"]), (&json!("info"), &json!("app")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_with_dependants_restarts_all_in_order_and_leaves_none_down() {
    let home = Home::new(KERNELS).with_shipped();
    let engine = home.start().await;
    let all = ["alpha", "beta", "gamma"];
    let mut before = pids(&engine, &all).await;
    let params = json!({ "dependants": ["beta", "gamma"], "every": "100ms", "grace": "500ms" });
    for time in 0..2 {
        let done = ask(&engine, "restart_with_dependants", "alpha", params.clone()).await;
        assert_eq!(done["attempts"][0]["outcome"], "fixed", "{done:#}");
        let after = pids(&engine, &all).await;
        assert!(before.iter().all(|pid| !after.contains(pid)), "time {time}: {before:?} {after:?}");
        before = after;
        let steps = run(&engine, &done).await["steps"].clone();
        let order: Vec<String> = steps
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| {
                ["kernel.stop", "kernel.restart", "kernel.start"].contains(&it["name"].as_str().unwrap_or(""))
            })
            .map(|it| {
                format!(
                    "{} {}",
                    it["name"].as_str().unwrap(),
                    it["request"]["params"]["kernel"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            order,
            [
                "kernel.stop gamma",
                "kernel.stop beta",
                "kernel.restart alpha",
                "kernel.start beta",
                "kernel.start gamma"
            ]
        );
    }
    // What it needs does not come back: those that need it do not stay down for that.
    healthy(&engine, "fragile").await;
    home.write("broken", "");
    let params = json!({ "dependants": ["beta"], "within": "500ms", "every": "100ms", "grace": "500ms" });
    let done = ask(&engine, "restart_with_dependants", "fragile", params).await;
    assert_ne!(done["status"], "succeeded", "{done:#}");
    healthy(&engine, "beta").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_restart_begins_with_the_canary_and_stops_with_it() {
    let home = Home::new(KERNELS).with_shipped();
    let engine = home.start().await;
    let all = ["alpha", "beta", "gamma"];
    let before = pids(&engine, &all).await;
    let quick = |members: Value| json!({ "members": members, "soak": "300ms", "pause": "100ms", "every": "100ms", "within": "5s", "grace": "500ms", "batch": 2 });
    let done = helps(&engine, "rolling_restart", "fleet", quick(json!(all))).await;
    assert_eq!(done["restarted"], json!(all));
    let after = pids(&engine, &all).await;
    assert!(before.iter().all(|pid| !after.contains(pid)));

    healthy(&engine, "fragile").await;
    home.write("broken", "");
    let done = ask(&engine, "rolling_restart", "fleet-2", quick(json!(["fragile", "alpha", "beta"]))).await;
    assert_ne!(done["status"], "succeeded", "{done:#}");
    assert_eq!(pids(&engine, &all).await, after, "the others were left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_and_see_tells_what_passes_from_what_does_not() {
    let home = Home::new(KERNELS).with_shipped();
    let engine = home.start().await;
    healthy(&engine, "alpha").await;
    let done = helps(&engine, "wait_and_see", "alpha", json!({ "within": "5s", "every": "50ms" })).await;
    assert_eq!(done["looks"], 3);
    let (status, _) = engine.post("/api/kernels/beta/stop", "application/json", "{}").await.unwrap();
    let down = if (200..300).contains(&status) { "beta" } else { "nothing" };
    let done = ask(&engine, "wait_and_see", down, json!({ "within": "300ms", "every": "50ms" })).await;
    assert_eq!(done["attempts"][0]["outcome"], "failed", "{done:#}");

    let waiting = ask(
        &engine,
        "wait_and_see",
        "disk",
        json!({ "within": "20s", "every": "5s", "recovered": "disk.ok" }),
    );
    let telling = async {
        let path = "/api/intents?status=running";
        let waits = |list: &Value| list["items"].as_array().unwrap().iter().any(|it| it["target"] == "disk");
        engine.until(path, Duration::from_secs(10), waits).await;
        for id in 0..40 {
            // Sent again, as it may come before anybody waits for it.
            engine
                .send(
                    json!({ "id": id.to_string(), "topic": "disk.ok", "source": "test", "subject": "disk" }),
                )
                .await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (done, ()) = tokio::join!(waiting, telling);
    assert_eq!(done["status"], "succeeded", "{done:#}");
}

/// A balancer that hears `/drain` and `/undrain`, and tells at `/active` what is left, one less each time.
fn balancer(stuck: bool) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    std::thread::spawn(move || {
        let mut left = 2;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            let line = request.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
            let body = json!({ "active": left }).to_string();
            if line.contains("/active") && !stuck && left > 0 {
                left -= 1;
            }
            let key = request.to_lowercase().contains("idempotency-key: ");
            keep.lock().unwrap().push(if key { format!("{line} +key") } else { line });
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    (address, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_restart_waits_until_nothing_is_left_and_always_puts_it_back() {
    let (calm, heard) = balancer(false);
    let (busy, busy_heard) = balancer(true);
    let allow = format!("actions: {{ http: {{ allow: [\"{calm}\", \"{busy}\"] }} }}\n");
    let home = Home::new(&format!("{allow}{KERNELS}")).with_shipped();
    let engine = home.start().await;
    let before = healthy(&engine, "alpha").await;
    let params = |address: &str, within: &str| {
        json!({
            "drain": format!("http://{address}/drain/{{target}}"), "undrain": format!("http://{address}/undrain/{{target}}"),
            "active": format!("http://{address}/active"), "every": "50ms", "within": within, "grace": "500ms",
        })
    };
    helps(&engine, "drain_restart", "alpha", params(&calm, "5s")).await;
    assert_ne!(healthy(&engine, "alpha").await, before);
    assert_eq!(
        *heard.lock().unwrap(),
        ["POST /drain/alpha +key", "GET /active", "GET /active", "GET /active", "POST /undrain/alpha +key"]
    );
    let before = healthy(&engine, "alpha").await;
    let done = ask(&engine, "drain_restart", "alpha", params(&busy, "300ms")).await;
    assert_eq!(done["attempts"][0]["outcome"], "failed", "{done:#}");
    assert_eq!(healthy(&engine, "alpha").await, before, "what is still busy is not restarted");
    assert_eq!(busy_heard.lock().unwrap().last().unwrap(), "POST /undrain/alpha +key");
}
