//! Actions with real processes, real kernels and real connections.

mod exec;
mod http;
mod walk;

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
async fn an_alert_is_on_the_list_and_no_run_waits_for_a_channel() {
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook =
        json!({ "url": format!("http://{}/secret", hangs.local_addr().unwrap()), "levels": ["critical"] });
    let world = world("[]", json!({ "alert": { "webhook": [webhook, "http://127.0.0.1:1/"] } }));
    let title = "t".repeat(100_000);
    let mut alert = call("alert.operator", json!({ "title": title, "level": "critical" }));
    alert.rule = "r".into();
    alert.target = "k".into();
    let told = tokio::time::timeout(std::time::Duration::from_secs(5), world.actions.call(alert, None)).await;
    let told = told.expect("the channel is not waited for").expect("nothing is refused for its length");
    let of = |name: &str| json!({ "channel": name, "kind": "webhook", "status": "queued" });
    assert_eq!(told["channels"], json!([of("webhook"), of("webhook-2")]));
    assert_eq!(
        *world.engine.alerts.lock().unwrap(),
        [("r/k".into(), Level::Critical, title, Some("k".into()))]
    );
    let told = world.act("alert.operator", json!({ "title": "t" })).await.unwrap();
    assert_eq!(told["channels"][0]["status"], "not_for_level");
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
