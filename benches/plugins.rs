//! P9: a call of a plugin's action, through the registry, with parameters checked and JSON both ways.
//!
//! Side by side: in process, and isolated in a child; a plugin in Rust with the SDK and one in C. Processor time is that
//! of the engine and of the child together. `cargo bench --bench plugins`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::unwrap_used, reason = "a benchmark may stop at anything unexpected")]

#[path = "../tests/support/plugins.rs"]
mod libraries;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use paramedic::actions::{Alerts, Call, Registry};
use paramedic::kernels::{Shim, Spawner};
use paramedic::model::alert::Level;
use paramedic::model::{AlertId, Clock, Failure, IntentId};
use paramedic::platform::Problems;
use paramedic::plugins::{Isolation, Parts, Plugins, Spec};
use serde_json::json;

const ROUNDS: usize = 5;
const CALLS: u32 = 20_000;

fn main() {
    // `cargo test --benches` runs this too, and only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    println!("P9 a call of a plugin, the median of {ROUNDS} rounds of {CALLS} calls one after the other\n");
    println!("| plugin | isolation | wall | processor | to reach |\n| --- | --- | --- | --- | --- |");
    let dir = tempfile::tempdir().unwrap();
    let rust = libraries::built_with("paramedic-hello", &["--release"]);
    let c = dir.path().join("libhello_c.so");
    libraries::compile("plugins/hello-c/hello.c", &c, &["-O2"]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (language, path, action) in [("Rust", rust.as_path(), "hello.greet"), ("C", &c, "hello_c.greet")] {
        for (isolation, limit) in [(Isolation::InProcess, "4 µs"), (Isolation::Process, "25 µs")] {
            let memory = dir.path().to_owned();
            let measured = measure(path.to_owned(), action, isolation, memory);
            let (wall, cpu) = runtime.block_on(async { tokio::spawn(measured).await.unwrap() });
            println!("| {language} | {isolation:?} | {wall:.1} µs | {cpu:.1} µs | {limit} |");
        }
    }
}

async fn measure(
    path: std::path::PathBuf,
    action: &'static str,
    isolation: Isolation,
    memory: std::path::PathBuf,
) -> (f64, f64) {
    let spawner = Spawner::new(Shim::at(env!("CARGO_BIN_EXE_paramedic"))).unwrap();
    let actions = Registry::default();
    let parts = Parts {
        spawner,
        actions: actions.clone(),
        alerts: Arc::new(Nobody),
        clock: Clock::system(),
        memory,
        problems: Problems::default(),
    };
    let spec = Spec { isolation, ..Spec::of("bench", Path::new(&path)) };
    let plugins = Plugins::load(vec![spec], parts).await;
    let call = Call {
        name: action.into(),
        params: json!({ "name": "Ada Lovelace" }).as_object().unwrap().clone(),
        key: "01JD0000000000000000000000/3/0".into(),
        target: "kernel-17".into(),
        rule: "kernel-boot-failed".into(),
        ..Call::default()
    };
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let (began, cpu) = (Instant::now(), processor_time());
        for _ in 0..CALLS {
            let given = actions.call(call.clone(), None).await.unwrap();
            assert_eq!(given["text"], "Hello, Ada Lovelace!");
        }
        let per_call = |seconds: f64| seconds * 1e6 / f64::from(CALLS);
        rounds.push((per_call(began.elapsed().as_secs_f64()), per_call(processor_time() - cpu)));
    }
    plugins.shutdown().await;
    // The first round warms up.
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = rounds[1..].iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    (median(|round| round.0), median(|round| round.1))
}

/// Seconds that this process and its children have used, from their first thread on.
fn processor_time() -> f64 {
    let own = std::process::id();
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let parent: u32 = fields[1].parse().unwrap();
        if pid == own || parent == own {
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
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
