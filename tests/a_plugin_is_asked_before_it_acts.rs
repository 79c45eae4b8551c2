//! Calls of plugins through the registry: dry runs, and calls that their caller breaks off.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/plugins.rs"]
mod libraries;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use paramedic::actions::{Alerts, Call, Registry};
use paramedic::kernels::{Shim, Spawner};
use paramedic::model::alert::Level;
use paramedic::model::{AlertId, Clock, Failure, IntentId, Span};
use paramedic::plugins::{Isolation, Parts, Plugins, Spec, State};
use serde_json::{Value, json};

async fn load(dir: &Path, isolation: Isolation) -> (Plugins, Registry) {
    libraries::compile("plugins/hello-c/hello.c", &dir.join("hello.so"), &[]);
    libraries::misbehaving(&dir.join("bad.so"), &[]);
    let actions = Registry::default();
    let parts = Parts {
        spawner: Spawner::new(Shim::at(env!("CARGO_BIN_EXE_paramedic"))).unwrap(),
        actions: actions.clone(),
        alerts: Arc::new(Nobody),
        clock: Clock::system(),
        problems: paramedic::platform::Problems::default(),
        memory: dir.join("memory"),
    };
    let specs = ["hello", "bad"].map(|name| {
        let path = dir.join(format!("{name}.so"));
        Spec { isolation, ..Spec::of(name, &path) }
    });
    (Plugins::load(specs.to_vec(), parts).await, actions)
}

fn call(name: &str, params: Value, dry: bool) -> Call {
    let params = params.as_object().unwrap().clone();
    Call { name: name.into(), params, dry, ..Call::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_asks_the_plugin_and_does_nothing() {
    for isolation in [Isolation::Process, Isolation::InProcess] {
        let dir = tempfile::tempdir().unwrap();
        let (plugins, actions) = load(dir.path(), isolation).await;
        let said = actions.call(call("hello_c.greet", json!({ "name": "Ada" }), true), None).await;
        assert_eq!(said, Ok(json!({ "dry_run": "would greet Ada" })), "{isolation:?}");
        // One that has no dry run is not called for one: it would crash.
        let said = actions.call(call("bad.do", json!({ "how": "segfault" }), true), None).await.unwrap();
        let words = said["dry_run"].as_str().unwrap();
        assert!(words.starts_with("would call `bad.do` of plugin `bad`"), "{words}");
        let wrong = actions.call(call("hello_c.greet", json!({}), true), None).await.unwrap_err();
        assert_eq!(wrong.kind, "invalid", "{wrong:?}");
        plugins.shutdown().await;
    }
}

#[test]
fn a_dry_run_of_a_playbook_knows_the_actions_of_plugins() {
    let dir = tempfile::tempdir().unwrap();
    libraries::compile("plugins/hello-c/hello.c", &dir.path().join("hello.so"), &[]);
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("playbooks")).unwrap();
    put("paramedic.yaml", "plugins:\n  - { name: hello, path: hello.so }\n");
    let run = |params: &str| {
        let header = "//! Greet.\n//! ---\n//! actions: [hello_c.greet]\n";
        let script = format!("{header}fn run(ctx) {{ act(\"hello_c.greet\", #{{ {params} }}); }}\n");
        put("playbooks/greet.rhai", &script);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_paramedic"));
        command.args(["playbooks", "run", "greet", "--target", "a", "--dry-run"]).current_dir(dir.path());
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        (output.status.code(), said)
    };
    let (code, said) = run("name: \"Ada\"");
    assert!(code == Some(0) && said.contains("would call hello_c.greet of a plugin"), "{code:?} {said}");
    let (code, said) = run("nam: \"Ada\"");
    assert!(code == Some(1) && said.contains("would not be done"), "{code:?} {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_its_caller_breaks_off_ends_its_process_and_counts_as_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (plugins, actions) = load(dir.path(), Isolation::Process).await;
    for _ in 0..8 {
        let soon = Some(Span(Duration::from_millis(50)));
        let failure = actions.call(call("bad.do", json!({ "how": "hang" }), false), soon).await.unwrap_err();
        assert_eq!(failure.kind, "timeout", "{failure:?}");
    }
    let well = actions.call(call("bad.do", json!({ "how": "well" }), false), None).await;
    assert!(well.is_ok(), "{well:?}");
    let bad = plugins.list().into_iter().find(|view| view.name == "bad").unwrap();
    assert_eq!((bad.state, bad.crashes, bad.idle_processes), (State::Ready, 0, 1));
    // Many at once wait for their turn, and none is lost.
    let many = (0..100).map(|_| actions.call(call("bad.do", json!({ "how": "well" }), false), None));
    let all = futures_util::future::join_all(many).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    plugins.shutdown().await;
    let gone = actions.call(call("bad.do", json!({ "how": "well" }), false), None).await.unwrap_err();
    assert_eq!(gone.kind, "unavailable", "{gone:?}");
}

struct Nobody;

impl Alerts for Nobody {
    fn raise(
        &self,
        _key: String,
        _level: Level,
        _title: String,
        _message: String,
        _target: Option<String>,
        _intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>> {
        Box::pin(async { Err(Failure::new("failed", "there is nobody to tell")) })
    }
}
