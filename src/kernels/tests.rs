//! The registry with real processes.

mod ending;
mod evidence;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::*;
use crate::model::Event;

/// Keeps what was published.
#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Publisher for Heard {
    fn publish(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    fn of(&self, topic: &str) -> Vec<Value> {
        let topic = format!("telemetry.kernel.{topic}");
        let events = self.0.lock().unwrap();
        events.iter().filter(|e| e.topic.as_str() == topic).map(|e| e.data.value()).collect()
    }

    async fn wait(&self, topic: &str, n: usize) -> Value {
        for _ in 0..500 {
            if let Some(data) = self.of(topic).get(n - 1) {
                return data.clone();
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("no {topic} no. {n} among {:?}", self.0.lock().unwrap());
    }
}

struct Set {
    heard: Arc<Heard>,
    registry: Registry,
    dir: tempfile::TempDir,
}

/// A registry with these specs; `DIR` stands for a directory of its own.
fn set(yaml: &str) -> Set {
    let dir = tempfile::tempdir().unwrap();
    let specs = serde_yaml::from_str(&yaml.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    let heard = Arc::new(Heard::default());
    let spawner = Spawner::new(Shim::none()).unwrap();
    let logs = dir.path().join("logs");
    let registry = Registry::new(specs, heard.clone(), spawner, logs, Clock::system()).unwrap();
    Set { heard, registry, dir }
}

#[tokio::test]
async fn a_kernel_boots_crashes_is_told_of_stays_down_and_is_restarted() {
    let Set { heard, registry, dir: _dir } =
        set("[{name: k, layer: 2, command: [sh, -c, 'echo up; sleep 60'], fleet: f}]");
    let view = registry.boot().await.remove(0);
    assert_eq!((view.state, view.generation, view.pids.len()), (State::Healthy, 1, 1));
    let booting = heard.wait("booting", 1).await;
    assert_eq!(
        (&booting["kernel"], &booting["layer"], &booting["fleet"]),
        (&"k".into(), &2.into(), &"f".into())
    );
    let pid = rustix::process::Pid::from_raw(view.pids[0].try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let exited = heard.wait("exited", 1).await;
    assert_eq!(
        (&exited["reason"], &exited["signal"], &exited["expected"]),
        (&"signal".into(), &9.into(), &false.into())
    );
    sleep(Duration::from_millis(300)).await;
    let view = registry.get("k").unwrap();
    assert_eq!((view.state, view.pids.len()), (State::Exited, 0), "nobody asked for it to come back");
    assert!(view.last_error.unwrap().contains("signal 9"));
    assert!(!registry.health("k").await.unwrap().healthy);
    let view = registry.restart("k", None, "1").await.unwrap();
    assert_eq!((view.state, view.generation, view.restarts), (State::Healthy, 2, 1));
    assert!(registry.health("k").await.unwrap().healthy);
    assert_eq!(registry.logs("k", 10).await.unwrap(), ["up", "up"]);
    registry.shutdown().await;
    let exited = heard.wait("exited", 2).await;
    assert_eq!((&exited["expected"], &exited["state"]), (&true.into(), &"stopped".into()));
}

#[tokio::test]
async fn the_same_key_acts_once_and_another_acts_again() {
    let Set { registry, dir: _dir, .. } = set("[{name: k, command: [sleep, '60']}]");
    registry.boot().await;
    let (a, b) = tokio::join!(registry.restart("k", None, "x"), registry.restart("k", None, "x"));
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(registry.restart("k", None, "x").await.unwrap().generation, 2);
    assert_eq!(registry.get("k").unwrap().restarts, 1);
    assert_eq!(registry.restart("k", None, "y").await.unwrap().restarts, 2);
    registry.shutdown().await;
}

#[tokio::test]
async fn an_operation_goes_on_when_its_caller_has_left() {
    let Set { registry, dir: _dir, .. } = set("[{name: k, command: [sleep, '60']}]");
    registry.boot().await;
    timeout(Duration::from_millis(10), registry.restart("k", None, "x")).await.unwrap_err();
    // It is behind the one whose caller left.
    assert_eq!(registry.restart("k", None, "x").await.unwrap().restarts, 1);
    registry.shutdown().await;
}

#[tokio::test]
async fn a_boot_that_dies_or_takes_too_long_fails_and_says_why() {
    let Set { heard, registry, dir: _dir } =
        set("[{name: dies, command: [sh, -c, 'exit 3'], health: {tcp: '127.0.0.1:1'}},
          {name: late, command: [sleep, '60'], start_timeout: 200ms, health: {tcp: '127.0.0.1:1'}},
          {name: lost, command: [/no/such/program]}]");
    registry.boot().await;
    let failure = registry.restart("dies", None, "").await.unwrap_err();
    assert!(failure.retryable && failure.message.contains("replica 0 ended with exit code 3"), "{failure}");
    let failure = registry.restart("late", None, "").await.unwrap_err();
    assert!(failure.message.contains("was not healthy within 200ms"), "{failure}");
    let failure = registry.start("lost", "").await.unwrap_err();
    assert!(failure.message.contains("No such file"), "{failure}");
    assert!(heard.of("exited").iter().any(|d| d["reason"] == "boot_exit" && d["exit_code"] == 3));
    assert_eq!(heard.of("unhealthy")[0]["reason"], "boot_timeout");
    assert_eq!(registry.get("late").unwrap().state, State::Unhealthy);
    registry.shutdown().await;
    assert!(registry.list().iter().all(|view| view.pids.is_empty()));
}

#[tokio::test]
async fn a_kernel_that_hangs_is_unhealthy_after_so_many_checks_and_healthy_again_when_it_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answers = Arc::new(AtomicBool::new(false));
    let port = listener.local_addr().unwrap().port();
    let say = Arc::clone(&answers);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let status = if say.load(Ordering::SeqCst) { 200 } else { 503 };
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            stream.write_all(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes()).await.unwrap();
        }
    });
    let Set { heard, registry, dir: _dir } = set(&format!(
        "[{{name: k, command: [sleep, '60'], baseline_boot_ms: 100,
            health: {{http: 'http://127.0.0.1:{port}/', interval: 20ms, failures: 3, listener: any}}}}]"
    ));
    let boot = tokio::spawn({
        let registry = registry.clone();
        async move { registry.boot().await }
    });
    heard.wait("booting", 1).await;
    sleep(Duration::from_millis(250)).await;
    answers.store(true, Ordering::SeqCst);
    boot.await.unwrap();
    let healthy = heard.wait("healthy", 1).await;
    let ms = healthy["boot_duration_ms"].as_f64().unwrap();
    assert!((200.0..400.0).contains(&ms), "{ms}");
    assert_eq!(healthy["baseline_ms"], 100.0);
    answers.store(false, Ordering::SeqCst);
    let unhealthy = heard.wait("unhealthy", 1).await;
    assert_eq!((&unhealthy["reason"], &unhealthy["failures"]), (&"hang".into(), &3.into()));
    assert_eq!(registry.health("k").await.unwrap().problems, ["replica 0 answered with status 503"]);
    answers.store(true, Ordering::SeqCst);
    let healthy = heard.wait("healthy", 2).await;
    assert_eq!((&healthy["reason"], healthy.get("boot_duration_ms")), (&"recovered".into(), None));
    assert_eq!(heard.of("unhealthy").len(), 1, "told once");
    registry.shutdown().await;
}

#[tokio::test]
async fn restarts_beyond_the_budget_are_refused() {
    let Set { registry, dir: _dir, .. } =
        set("[{name: k, command: [sleep, '60'], restarts: {max: 2, within: 10m}}]");
    registry.boot().await;
    registry.restart("k", None, "1").await.unwrap();
    registry.restart("k", None, "2").await.unwrap();
    let failure = registry.restart("k", None, "3").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("refused", false));
    assert_eq!(registry.get("k").unwrap().state, State::Healthy, "it was left alone");
    registry.shutdown().await;
}

#[tokio::test]
async fn scaling_keeps_within_its_range_and_each_replica_knows_its_number_and_port() {
    let Set { heard, registry, dir: _dir } =
        set("[{name: k, command: [sh, -c, 'echo $PARAMEDIC_REPLICA $PORT ${PORT}; sleep 60'], port: auto,
           replicas: {min: 1, max: 3}}]");
    registry.boot().await;
    let first = registry.get("k").unwrap().pids;
    let failure = registry.scale("k", 4, "").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.message.contains("can have 1 to 3")), ("invalid", true));
    let view = registry.scale("k", 3, "a").await.unwrap();
    assert_eq!((view.state, view.pids.len(), view.pids[0]), (State::Healthy, 3, first[0]));
    let scaled = heard.wait("scaled", 1).await;
    assert_eq!((&scaled["from"], &scaled["to"]), (&1.into(), &3.into()));
    let ports: Vec<u16> = view.replicas.iter().filter_map(|replica| replica.port).collect();
    let lines: Vec<String> = (0..3).map(|i| format!("{i} {0} {0}", ports[i])).collect();
    assert_eq!(registry.logs("k", 1).await.unwrap(), lines);
    let view = registry.scale("k", 1, "b").await.unwrap();
    assert_eq!((view.pids, view.replicas.len()), (first, 1));
    registry.shutdown().await;
}

#[tokio::test]
async fn kernels_boot_after_those_they_need_and_wait_while_one_of_these_is_down() {
    // `c` fails its first boot.
    let Set { heard, registry, dir } =
        set("[{name: a, command: [sh, -c, 'echo a >> DIR/order; sleep 60'], depends_on: [b]},
          {name: b, command: [sh, -c, 'echo b >> DIR/order; sleep 60'], depends_on: [c]},
          {name: c, command: [sh, -c, 'echo c >> DIR/order; test -f DIR/mended && sleep 60']}]");
    let order = || std::fs::read_to_string(dir.path().join("order")).unwrap();
    let views = registry.boot().await;
    let stand: Vec<(State, &[String])> = views.iter().map(|v| (v.state, v.waits_for.as_slice())).collect();
    assert_eq!(stand[0], (State::Waiting, &["b".to_owned()][..]));
    assert_eq!(stand[1], (State::Waiting, &["c".to_owned()][..]));
    assert_eq!(stand[2], (State::Exited, &[][..]));
    assert_eq!(order(), "c\n", "nothing was started in vain");
    assert_eq!(heard.of("exited").len(), 1, "only what failed is told to have failed");
    std::fs::write(dir.path().join("mended"), "").unwrap();
    registry.restart("c", None, "").await.unwrap();
    heard.wait("healthy", 3).await;
    assert_eq!(order(), "c\nc\nb\na\n", "those that waited come up by themselves, in order");
    assert!(registry.list().iter().all(|view| view.state == State::Healthy && view.waits_for.is_empty()));
    registry.shutdown().await;
}

#[tokio::test]
async fn a_kernel_that_falls_with_one_it_needs_is_shown_to_wait_and_is_no_urgent_failure() {
    let Set { heard, registry, dir: _dir } =
        set("[{name: db, command: [sleep, '60']}, {name: web, command: [sleep, '60'], depends_on: [db]}]");
    registry.boot().await;
    let end = |name: &str| {
        let pid = registry.get(name).unwrap().pids[0];
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    end("db");
    let own = heard.wait("exited", 1).await;
    assert_eq!((&own["kernel"], own.get("waits_for")), (&"db".into(), None));
    end("web");
    let follows = heard.wait("exited", 2).await;
    assert_eq!((&follows["kernel"], &follows["waits_for"]), (&"web".into(), &json!(["db"])));
    let web = registry.get("web").unwrap();
    assert_eq!((web.state, web.waits_for), (State::Waiting, vec!["db".to_owned()]));
    assert_eq!(registry.health("web").await.unwrap().waits_for, ["db"]);
    registry.restart("db", None, "").await.unwrap();
    // What was held back is told once more, now as its own failure: it does not come up by itself.
    let own = heard.wait("exited", 3).await;
    assert_eq!(
        (&own["kernel"], own.get("waits_for"), &own["expected"]),
        (&"web".into(), None, &false.into())
    );
    registry.shutdown().await;
}

#[tokio::test]
async fn a_restart_that_takes_dependants_along_stops_the_last_first_and_starts_them_in_order() {
    let body = |name: &str, needs: &str| {
        let script = format!(
            "echo +{name} >> DIR/order; trap 'echo -{name} >> DIR/order; exit 0' TERM; while :; do sleep 0.02; done"
        );
        format!("{{name: {name}, command: [sh, -c, {script:?}], depends_on: [{needs}]}}")
    };
    let yaml =
        [body("db", ""), body("api", "db"), body("web", "api, db"), body("idle", "db"), body("other", "")];
    let Set { registry, dir, .. } = set(&format!("[{}]", yaml.join(", ")));
    registry.boot().await;
    registry.stop("idle", None, "").await.unwrap();
    assert_eq!(registry.dependants("db"), ["api", "idle", "web"]);
    let path = dir.path().join("order");
    std::fs::write(&path, "").unwrap();
    let view = registry.restart_with_dependants("db", None, "k").await.unwrap();
    assert_eq!((view.state, view.restarts), (State::Healthy, 1));
    let order = || std::fs::read_to_string(&path).unwrap().replace('\n', " ");
    assert_eq!(order(), "-web -api -db +db +api +web ");
    // The same step repeated does nothing more.
    registry.restart_with_dependants("db", None, "k").await.unwrap();
    assert_eq!(order(), "-web -api -db +db +api +web ");
    assert_eq!(registry.get("idle").unwrap().state, State::Stopped, "what a person had stopped stays so");
    // Without them nobody else is touched.
    std::fs::write(&path, "").unwrap();
    registry.restart("db", None, "l").await.unwrap();
    assert_eq!(order(), "-db +db ");
    registry.shutdown().await;
}

#[tokio::test]
async fn a_heartbeat_keeps_a_kernel_healthy_and_its_absence_is_noticed() {
    let Set { heard, registry, dir: _dir } = set(
        "[{name: k, command: [sleep, '60'], health: {heartbeat: true, interval: 20ms, timeout: 100ms, failures: 1}}]",
    );
    registry.heartbeat("k", None);
    let boot = tokio::spawn({
        let registry = registry.clone();
        async move { registry.boot().await }
    });
    heard.wait("booting", 1).await;
    sleep(Duration::from_millis(150)).await;
    assert_eq!(registry.get("k").unwrap().state, State::Booting, "a beat from before its start says nothing");
    assert!(registry.heartbeat("k", None) && !registry.heartbeat("other", None));
    boot.await.unwrap();
    assert!(heard.wait("unhealthy", 1).await["message"].as_str().unwrap().contains("no heartbeat for"));
    registry.heartbeat("k", None);
    heard.wait("healthy", 2).await;
    registry.shutdown().await;
}

#[tokio::test]
async fn shutdown_breaks_off_a_boot_and_refuses_what_comes_later() {
    let Set { registry, dir: _dir, .. } = set(
        "[{name: k, command: [sleep, '60'], health: {tcp: '127.0.0.1:1'}}, {name: l, command: [sleep, '60']}]",
    );
    let boot = tokio::spawn({
        let registry = registry.clone();
        async move { registry.boot().await }
    });
    sleep(Duration::from_millis(100)).await;
    timeout(Duration::from_secs(5), registry.shutdown()).await.unwrap();
    timeout(Duration::from_secs(5), boot).await.unwrap().unwrap();
    assert!(registry.list().iter().all(|view| view.pids.is_empty()), "{:?}", registry.list());
    assert_eq!(registry.start("k", "").await.unwrap_err().kind, "cancelled");
    let failure = registry.restart("nope", None, "").await.unwrap_err();
    assert_eq!(failure.message, "no kernel is named `nope`: there are k, l");
}
