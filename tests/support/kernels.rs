//! Kernels outside the engine, real ones: a registry that listens, and programs that are ended with the test.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paramedic::bus::Publisher;
use paramedic::kernels::{Registry, Shim, Spawner, View};
use paramedic::model::{Clock, Event};
use serde_json::Value;

/// Keeps what was published.
#[derive(Default)]
pub struct Heard(Mutex<Vec<Event>>);

impl Publisher for Heard {
    fn publish(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    /// Waits for an event about a kernel, of this kind and reason; what came of it before is forgotten.
    pub async fn wait(&self, kernel: &str, what: &str, reason: &str) -> Value {
        let topic = format!("telemetry.kernel.{what}");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            {
                let mut all = self.0.lock().unwrap();
                let is_it = |event: &Event| {
                    let data = event.data.value();
                    event.topic.as_str() == topic && data["kernel"] == kernel && data["reason"] == reason
                };
                if let Some(at) = all.iter().position(is_it) {
                    let found = all.remove(at);
                    let mut place = 0..at;
                    all.retain(|event| place.next().is_none() || event.data.value()["kernel"] != kernel);
                    return found.data.value();
                }
            }
            assert!(Instant::now() < deadline, "no {what} ({reason}) of {kernel} among {:#?}", self.told());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What has been told and not been waited for: kernel, kind, reason.
    pub fn told(&self) -> Vec<String> {
        let all = self.0.lock().unwrap();
        let tell = |event: &Event| {
            let data = event.data.value();
            let word = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
            let what = event.topic.as_str().rsplit('.').next().unwrap_or_default();
            format!("{} {what} {}", word("kernel"), word("reason"))
        };
        all.iter().map(tell).collect()
    }
}

/// An engine's kernels; another may follow in the same directory, as after a crash.
pub struct World {
    pub heard: Arc<Heard>,
    pub registry: Registry,
}

impl World {
    /// A registry of the kernels of this YAML, with its logs in `dir`.
    pub fn new(yaml: &str, dir: &Path) -> Self {
        let specs = serde_yaml::from_str(yaml).unwrap();
        let heard = Arc::new(Heard::default());
        let spawner = Spawner::new(Shim::at(env!("CARGO_BIN_EXE_paramedic"))).unwrap();
        let registry =
            Registry::new(specs, heard.clone(), spawner, dir.join("logs"), Clock::system()).unwrap();
        Self { heard, registry }
    }

    pub fn view(&self, kernel: &str) -> View {
        self.registry.get(kernel).unwrap()
    }
}

/// A program that is asked to end when this is dropped, and also when the test dies.
pub struct Program(Child);

impl Program {
    /// Starts `sh -c script` with these arguments in mounts of its own, so that none is left behind.
    pub fn in_own_mounts(script: &str, arguments: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let child = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "setpriv",
                "--pdeathsig",
                "TERM",
                "sh",
                "-euc",
                script,
                "sh",
            ])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    pub fn is_dead(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Asks it to end, and waits for that.
    pub fn end(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        if self.is_dead() {
            return;
        }
        // It may have ended this moment.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.is_dead() {
            if Instant::now() > deadline {
                drop(self.0.kill());
                drop(self.0.wait());
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether these programs are there and may do what they must; if not, says so. In CI they must be.
pub fn can_run(programs: &[&str], packages: &str) -> bool {
    let found = |name: &&str| {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':').chain(["/usr/sbin", "/sbin"]).any(|dir| Path::new(dir).join(name).exists())
    };
    let missing: Vec<&str> = programs.iter().copied().filter(|name| !found(name)).collect();
    let why = match missing.as_slice() {
        [] if !rustix::process::geteuid().is_root() => "it takes root".to_owned(),
        [] => return true,
        names => format!("{} is not installed (Debian packages {packages})", names.join(", ")),
    };
    assert!(std::env::var_os("CI").is_none(), "{why}, and CI is to have it");
    println!("skipped: {why}");
    false
}

/// Removes control groups that a daemon has left empty behind.
pub fn remove_groups(name: &str) {
    let Ok(kinds) = std::fs::read_dir("/sys/fs/cgroup") else { return };
    let roots = kinds.flatten().map(|kind| kind.path()).chain(["/sys/fs/cgroup".into()]);
    for root in roots {
        remove_group(&root.join(name));
    }
}

fn remove_group(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    drop(std::fs::remove_dir(dir));
}
