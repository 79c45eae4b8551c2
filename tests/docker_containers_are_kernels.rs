//! Containers of a real Docker daemon are kernels: adopted, watched, restarted, measured, and left running.
//!
//! The daemon runs in mounts of its own, without any network, and ends with the test; its image is made of busybox.
#![cfg(feature = "docker")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/kernels.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use paramedic::kernels::{Shim, Spawner, State};
use paramedic::model::{Clock, Span};
use paramedic::stress;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{Heard, Program, World, can_run, remove_groups};

struct Docker {
    dir: tempfile::TempDir,
    client: Client,
    group: String,
    daemon: Option<Program>,
}

const START: &str = "
    if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    exec dockerd --host unix://$1/docker.sock --data-root $1/data --exec-root $1/exec --pidfile $1/pid \
        --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
        --userland-proxy=false --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent=/$2";

impl Docker {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let group = format!("paramedic-test-{}", std::process::id());
        let daemon =
            Program::in_own_mounts(START, &[dir.path().to_str().unwrap(), &group], &dir.path().join("log"));
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().unix_socket(dir.path().join("docker.sock")).build().unwrap();
        let mut docker = Self { dir, client, group, daemon: Some(daemon) };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !docker.is_up().await {
            let dead = docker.daemon.as_mut().unwrap().is_dead();
            let log = || std::fs::read_to_string(docker.dir.path().join("log")).unwrap_or_default();
            assert!(!dead && Instant::now() < deadline, "dockerd does not start:\n{}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        docker.import_image().await;
        docker
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    async fn is_up(&self) -> bool {
        let answer = self.client.get("http://docker/_ping").send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn import_image(&self) {
        let root = self.dir.path().join("image");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "touch", "rm", "test"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tar = Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).output().unwrap();
        assert!(tar.status.success());
        let request = self.client.post("http://docker/images/create?fromSrc=-&repo=busybox&tag=test");
        let answer =
            request.header("content-type", "application/x-tar").body(tar.stdout).send().await.unwrap();
        assert!(answer.status().is_success());
        answer.text().await.unwrap();
    }

    /// A call of the daemon, made as a person would by hand.
    async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let answer =
            self.client.request(method, format!("http://docker{path}")).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn create(&self, name: &str, script: &str, healthcheck: Value) {
        let body = json!({
            "Image": "busybox:test", "Cmd": ["sh", "-c", script], "Healthcheck": healthcheck,
            "NetworkDisabled": true, "HostConfig": { "NetworkMode": "none" },
        });
        self.call(Method::POST, &format!("/containers/create?name={name}"), body).await;
    }

    async fn post(&self, name: &str, what: &str) {
        self.call(Method::POST, &format!("/containers/{name}/{what}"), json!({})).await;
    }

    async fn started_at(&self, name: &str) -> String {
        let it = self.call(Method::GET, &format!("/containers/{name}/json"), json!({})).await;
        it["State"]["StartedAt"].as_str().unwrap().to_owned()
    }

    async fn exec(&self, name: &str, argv: &[&str]) {
        let made = self.call(Method::POST, &format!("/containers/{name}/exec"), json!({ "Cmd": argv })).await;
        let id = made["Id"].as_str().unwrap();
        self.call(Method::POST, &format!("/exec/{id}/start"), json!({ "Detach": true })).await;
    }

    fn config(&self, more: &str) -> String {
        format!("[{}]", more.replace("SOCKET", self.socket().to_str().unwrap()))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        drop(self.daemon.take());
        remove_groups(&self.group);
    }
}

fn ready() -> bool {
    can_run(&["dockerd", "busybox", "unshare", "setpriv", "tar"], "docker.io and busybox-static")
}

const SERVE: &str = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";

#[tokio::test]
async fn a_container_is_adopted_told_of_restarted_once_and_left_running() {
    if !ready() {
        return;
    }
    let docker = Docker::start().await;
    docker.create("web", SERVE, Value::Null).await;
    docker.post("web", "start").await;
    let before = docker.started_at("web").await;
    let dir = tempfile::tempdir().unwrap();
    let yaml = docker.config(
        "{name: shop, provider: docker, docker: {container: web, socket: SOCKET}, stop_grace: 2s, layer: 2}, \
         {name: lost, provider: docker, docker: {socket: SOCKET}}, \
         {name: away, provider: docker, docker: {container: web, socket: /no/such.sock}}",
    );
    let world = World::new(&yaml, dir.path());
    world.registry.boot().await;
    let (heard, registry) = (&world.heard, &world.registry);

    // It is taken as it is.
    let data = heard.wait("shop", "healthy", "adopted").await;
    assert_eq!((&data["layer"], &data["provider"]), (&2.into(), &"docker".into()));
    assert_eq!(docker.started_at("web").await, before, "an engine that starts must not restart anything");
    let view = world.view("shop");
    assert_eq!((view.state, view.pids.len(), view.restarts), (State::Healthy, 1, 0));

    // It crashes, stays down, and is restarted when asked.
    docker.post("web", "kill?signal=KILL").await;
    let data = heard.wait("shop", "exited", "crash").await;
    assert_eq!((&data["exit_code"], &data["expected"]), (&137.into(), &false.into()));
    assert!(!registry.health("shop").await.unwrap().healthy);
    let view = registry.restart("shop", None, "r1").await.unwrap();
    assert_eq!((view.state, view.restarts), (State::Healthy, 1));
    assert!(view.boot_ms.is_some_and(|ms| ms > 0.0), "{view:?}");
    heard.wait("shop", "healthy", "booted").await;
    assert!(registry.health("shop").await.unwrap().healthy);
    assert_eq!(registry.logs("shop", 1).await.unwrap(), ["up"]);

    // The engine dies before the step's end is on disk; its next life comes with the same key.
    let after = docker.started_at("web").await;
    let next = World::new(&yaml, dir.path());
    next.registry.restart("shop", None, "r1").await.unwrap();
    assert_eq!(docker.started_at("web").await, after, "a restart that was done is not done again");
    next.registry.restart("shop", None, "r2").await.unwrap();
    assert_ne!(docker.started_at("web").await, after);
    next.registry.shutdown().await;

    // A person stops it, and starts it again.
    docker.post("web", "stop?t=2").await;
    let data = heard.wait("shop", "exited", "exit").await;
    assert_eq!(data["expected"], true, "what a person did is no failure");
    docker.post("web", "start").await;
    heard.wait("shop", "healthy", "booted").await;

    // The engine stops and starts it.
    let view = registry.stop("shop", None, "").await.unwrap();
    assert_eq!((view.state, view.pids.len()), (State::Stopped, 0));
    assert_eq!(heard.wait("shop", "exited", "exit").await["expected"], true);
    assert_eq!(registry.start("shop", "").await.unwrap().state, State::Healthy);

    // What cannot be done says why, and whether it is worth another try.
    let lost = registry.restart("lost", None, "").await.unwrap_err();
    assert_eq!((lost.kind.as_str(), lost.retryable), ("invalid", false));
    assert!(
        lost.message.starts_with("kernel `lost`: Docker at ") && lost.message.contains("docker.container"),
        "{lost}"
    );
    let away = registry.restart("away", None, "").await.unwrap_err();
    assert_eq!((away.kind.as_str(), away.retryable), ("failed", true));
    assert!(away.message.contains("cannot reach Docker at /no/such.sock"), "{away}");
    assert_eq!(registry.scale("shop", 2, "").await.unwrap_err().kind, "invalid");
    heard.wait("lost", "unhealthy", "missing").await;

    let running = docker.started_at("web").await;
    registry.shutdown().await;
    assert_eq!(docker.started_at("web").await, running);
    let it = docker.call(Method::GET, "/containers/web/json", json!({})).await;
    assert_eq!(it["State"]["Running"], true, "the end of the engine is not its end");
}

#[tokio::test]
async fn the_health_check_of_an_image_counts_and_a_boot_is_measured_by_it() {
    if !ready() {
        return;
    }
    let docker = Docker::start().await;
    let second = 1_000_000_000_u64;
    let check = json!({ "Test": ["CMD", "test", "-f", "/ok"], "Interval": second / 2, "Timeout": second, "Retries": 2 });
    docker.create("api", "rm -f /ok; sleep 1; touch /ok; while :; do sleep 0.1; done", check).await;
    let dir = tempfile::tempdir().unwrap();
    let yaml = docker.config(
        "{name: api, provider: docker, docker: {socket: SOCKET}, baseline_boot_ms: 100, stop_grace: 500ms, start_timeout: 20s}",
    );
    let world = World::new(&yaml, dir.path());
    world.registry.boot().await;
    assert_eq!(
        world.view("api").state,
        State::Stopped,
        "what was never started is not started by an engine that begins"
    );
    let view = world.registry.start("api", "").await.unwrap();
    assert!(view.boot_ms.is_some_and(|ms| ms >= 900.0), "{view:?}");
    world.heard.wait("api", "healthy", "booted").await;
    docker.exec("api", &["rm", "/ok"]).await;
    let data = world.heard.wait("api", "unhealthy", "hang").await;
    assert!(data["message"].as_str().unwrap().contains("health check"), "{data}");
    docker.exec("api", &["touch", "/ok"]).await;
    world.heard.wait("api", "healthy", "recovered").await;
    world.registry.shutdown().await;

    // A stress test restarts it again and again.
    let plan = stress::Plan {
        kernels: serde_yaml::from_str(&yaml).unwrap(),
        runs: 2,
        breaks: Vec::new(),
        timeout: Span::secs(20),
        dir: dir.path().join("stress"),
    };
    let spawner = Spawner::new(Shim::at(env!("CARGO_BIN_EXE_paramedic"))).unwrap();
    let report =
        stress::boot(plan, spawner, Arc::new(Heard::default()), Clock::system(), |_| {}).await.unwrap();
    assert_eq!((report.boots, report.failures, report.slow), (2, 0, 2));
    assert!(report.avg_boot_time_ms.is_some_and(|ms| ms >= 900.0), "{report:?}");
    let it = docker.call(Method::GET, "/containers/api/json", json!({})).await;
    assert_eq!(it["State"]["Running"], true);
    assert!(Path::new(&report.file).exists());
}
