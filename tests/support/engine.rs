//! A real engine as a child process, with a directory of its own and a free port; killed when dropped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A directory with a configuration, rules and playbooks; several engines may live in it, one after the other.
pub struct Home {
    dir: tempfile::TempDir,
    pub port: u16,
}

/// An engine that serves from a [`Home`].
pub struct Engine {
    child: Child,
    pub url: String,
    client: reqwest::Client,
}

impl Home {
    /// A new home; `more` is added to its configuration.
    pub fn new(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let home = Self { dir, port };
        fs::create_dir_all(home.path("rules")).unwrap();
        fs::create_dir_all(home.path("playbooks")).unwrap();
        home.write("paramedic.yaml", &format!("listen: 127.0.0.1:{port}\n{more}"));
        home
    }

    /// A path inside it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, as an editor does: beside it, then renamed over it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Puts the rules and playbooks that the project ships into it.
    pub fn with_shipped(self) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for dir in ["rules", "playbooks"] {
            copy(&root.join(dir), &self.path(dir));
        }
        self
    }

    /// Starts an engine in it, with `env` set, and does not wait.
    pub fn spawn(&self, env: &[(&str, &str)]) -> Engine {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.spawn_to(log.into(), env)
    }

    /// The same with its standard error going to `log`.
    pub fn spawn_to(&self, log: Stdio, env: &[(&str, &str)]) -> Engine {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paramedic"));
        command.args(["run", "--config"]).arg(self.path("paramedic.yaml")).envs(env.iter().copied());
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.spawn_command(command)
    }

    /// The same by a command that comes to it.
    pub fn spawn_command(&self, mut command: Command) -> Engine {
        let child = command.spawn().unwrap();
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Engine { child, url: format!("http://127.0.0.1:{}", self.port), client }
    }

    /// Starts an engine in it and waits until it is ready.
    pub async fn start(&self) -> Engine {
        self.start_with(&[]).await
    }

    /// The same with `env` set.
    pub async fn start_with(&self, env: &[(&str, &str)]) -> Engine {
        let mut engine = self.spawn(env);
        if !engine.ready().await {
            panic!("the engine did not start:\n{}", self.log());
        }
        engine
    }

    /// What all engines in it have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Engine {
    /// Waits until it is ready; false if it ended instead.
    pub async fn ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(answer) = self.client.get(format!("{}/readyz", self.url)).send().await
                && answer.status().is_success()
            {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for its end; true if that was a success.
    pub fn stop(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// Whether it has ended by `abort`.
    pub fn was_aborted(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some_and(|status| status.signal() == Some(6))
    }

    /// The exit code with which it has ended, if it has and was not killed.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    /// Whether it has ended by itself.
    pub fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `GET path`, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// The same where the answer is not JSON.
    pub async fn text(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        text
    }

    /// Posts `body`; the status and the answer, or nothing if it died meanwhile.
    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Option<(u16, Value)> {
        let request = self.client.post(format!("{}{path}", self.url)).header("content-type", content_type);
        let answer = request.body(body).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Sends one event, which must be accepted.
    pub async fn send(&self, event: Value) {
        let (status, answer) = self.post("/api/events", "application/json", event.to_string()).await.unwrap();
        assert_eq!((status, &answer["accepted"]), (202, &json!(1)), "{answer}");
    }

    /// Asks `path` again and again until `done` says so of the answer, which is returned.
    pub async fn until(&self, path: &str, within: Duration, done: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let answer = self.get(path).await;
            if done(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} did not come to it within {within:?}: {answer:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// All elements of a list, over all its pages.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{join}limit=1000{cursor}")).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A free port below those that the system gives to outgoing connections, one of which could take it between two lives
/// of an engine.
fn free_port() -> u16 {
    loop {
        let port = rand::random_range(12_000..19_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
