//! Each way in which the demo's kernels break is seen as an event of its own kind, and a restart cures it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use paramedic::bus::Publisher;
use paramedic::kernels::{Registry, Shim, Spawner, State};
use paramedic::model::{Clock, Event};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

const PROGRAM: &str = env!("CARGO_BIN_EXE_paramedic");

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Publisher for Heard {
    fn publish(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    async fn wait(&self, topic: &str, reason: &str) -> Value {
        let topic = format!("telemetry.kernel.{topic}");
        for _ in 0..1_000 {
            let all = std::mem::take(&mut *self.0.lock().unwrap());
            let found = all.iter().find(|e| e.topic.as_str() == topic && e.data.value()["reason"] == reason);
            if let Some(event) = found {
                return event.data.value();
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("no {topic} with reason {reason}");
    }
}

struct World {
    heard: Arc<Heard>,
    registry: Registry,
    _dir: tempfile::TempDir,
}

/// One demo kernel, `k`, with these further arguments; `DIR` is a directory of its own.
fn world(arguments: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let arguments = arguments.replace("DIR", dir.path().to_str().unwrap());
    let mut command = vec![PROGRAM.to_owned(), "__patient".into()];
    command.extend(arguments.split_whitespace().map(String::from));
    let spec = json!([{
        "name": "k", "command": command, "port": "auto", "baseline_boot_ms": 100.0,
        "start_timeout": "1s", "stop_grace": "500ms",
        "health": { "http": "http://127.0.0.1:${PORT}/", "interval": "50ms", "timeout": "100ms", "failures": 2 },
    }]);
    let heard = Arc::new(Heard::default());
    let spawner = Spawner::new(Shim::at(PROGRAM)).unwrap();
    let specs = serde_json::from_value(spec).unwrap();
    let registry =
        Registry::new(specs, heard.clone(), spawner, dir.path().join("logs"), Clock::system()).unwrap();
    World { heard, registry, _dir: dir }
}

impl World {
    async fn break_it(&self, how: &str) {
        let port = self.registry.get("k").unwrap().replicas[0].port.unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(format!("POST /break/{how} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // It must have been read before the connection is closed.
        sleep(Duration::from_millis(50)).await;
    }

    async fn restart_cures(&self) {
        let view = self.registry.restart("k", None, "").await.unwrap();
        assert_eq!(view.state, State::Healthy);
        assert!(self.registry.health("k").await.unwrap().healthy);
        self.registry.shutdown().await;
    }
}

#[tokio::test]
async fn a_crash() {
    let world = world("--boot-ms 50");
    world.registry.boot().await;
    let healthy = world.heard.wait("healthy", "booted").await;
    assert!((50.0..400.0).contains(&healthy["boot_duration_ms"].as_f64().unwrap()), "{healthy}");
    world.break_it("crash").await;
    let exited = world.heard.wait("exited", "crash").await;
    assert_eq!((&exited["exit_code"], &exited["expected"]), (&json!(101), &json!(false)));
    world.restart_cures().await;
}

#[tokio::test]
async fn a_hang() {
    let world = world("");
    world.registry.boot().await;
    world.break_it("hang").await;
    let unhealthy = world.heard.wait("unhealthy", "hang").await;
    assert!(unhealthy["message"].as_str().unwrap().contains("no answer within 100ms"), "{unhealthy}");
    world.restart_cures().await;
}

#[tokio::test]
async fn a_boot_that_dies() {
    let world = world("--fail-boots 1 --state DIR/boots");
    world.registry.boot().await;
    world.heard.wait("exited", "boot_exit").await;
    let log = world.registry.logs("k", 10).await.unwrap();
    assert!(log.iter().any(|line| line.contains("told to fail")), "{log:?}");
    world.restart_cures().await;
}

#[tokio::test]
async fn a_slow_boot() {
    let world = world("--slow-boots 1 --slow-ms 300 --state DIR/boots");
    world.registry.boot().await;
    let healthy = world.heard.wait("healthy", "booted").await;
    assert!(healthy["boot_duration_ms"].as_f64().unwrap() > 2.0 * healthy["baseline_ms"].as_f64().unwrap());
    world.registry.restart("k", None, "").await.unwrap();
    let healthy = world.heard.wait("healthy", "booted").await;
    assert!(healthy["boot_duration_ms"].as_f64().unwrap() < 300.0, "{healthy}");
    world.registry.shutdown().await;
}

#[tokio::test]
async fn a_boot_that_hangs() {
    let world = world("--hang-boots 1 --state DIR/boots");
    world.registry.boot().await;
    world.heard.wait("unhealthy", "boot_timeout").await;
    world.restart_cures().await;
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_told_in_words() {
    let world = world("");
    let mut spec = (*world.registry.spec("k").unwrap()).clone();
    spec.command = vec!["no-such-program".into()];
    let spawner = Spawner::new(Shim::at(PROGRAM)).unwrap();
    let logs = world._dir.path().join("other");
    let registry = Registry::new(vec![spec], world.heard.clone(), spawner, logs, Clock::system()).unwrap();
    let failure = registry.start("k", "").await.unwrap_err();
    assert!(
        failure.message.contains("exit code 127") && failure.message.contains("see its log"),
        "{failure}"
    );
    let log = registry.logs("k", 1).await.unwrap();
    assert!(log[0].contains("cannot run no-such-program"), "{log:?}");
}
