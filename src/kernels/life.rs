//! The life of one process of a kernel, from its start to its end, told as events.
//!
//! It never starts anything anew: a process that ends stays down until somebody acts.
//!
//! ```text
//! booting → healthy ⇄ unhealthy → exited | stopped
//!         ↘ unhealthy (boot_timeout) → healthy, should it come up after all
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::health::{self, Subject};
use super::logs;
use super::ports::Ports;
use super::providers::process::{Launch, Running, Spawner};
use super::spec::{Probe, Spec};
use super::unit::Unit;
use super::view::State;
use crate::bus::Publisher;
use crate::model::{Clock, Event, Priority, Time, Topic};
use crate::platform::Part;

/// An event that was told: its kind, and its data.
pub(super) type Told = (String, Map<String, Value>);

/// What all kernels of a registry share.
pub(super) struct Context {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) spawner: Spawner,
    pub(super) logs_dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) ports: Ports,
    pub(super) closing: CancellationToken,
    /// All kernels of the registry, once there are any: whom one depends on.
    pub(super) kernels: OnceLock<Weak<BTreeMap<String, Arc<Unit>>>>,
    /// What was told of a kernel while something that it needs was down.
    pub(super) held: Mutex<BTreeMap<String, Told>>,
    /// Changes with every event about a kernel.
    pub(super) changes: watch::Sender<u64>,
}

/// The place that a process takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) index: u32,
    pub(super) generation: u64,
    pub(super) port: Option<u16>,
}

/// What is known of the process.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) state: State,
    pub(super) pid: Option<u32>,
    pub(super) since: Time,
    pub(super) begun: Option<Instant>,
    pub(super) boot_ms: Option<f64>,
    pub(super) error: Option<String>,
    /// How its boot came out, once it has.
    pub(super) settled: Option<Result<(), String>>,
    pub(super) ended: bool,
}

/// Holds on to a life. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) seat: Seat,
    pub(super) status: watch::Receiver<Status>,
    stop: watch::Sender<Option<Duration>>,
}

/// How often a process that boots is looked at: the error of a measured boot.
const POLL: Duration = Duration::from_millis(20);

/// The same where each look starts a process.
const POLL_EXEC: Duration = Duration::from_millis(100);

/// A process without a probe counts as healthy when it has lived this long.
const PROOF_OF_LIFE: Duration = Duration::from_millis(500);

/// How long the rest of the output may take after the end; something that left the group may hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts a process for `spec` in `seat`.
pub(super) fn begin(
    context: &Arc<Context>,
    spec: &Arc<Spec>,
    seat: Seat,
    beats: watch::Receiver<Option<Instant>>,
) -> Replica {
    let (told, status) = watch::channel(Status {
        state: State::Booting,
        pid: None,
        since: context.clock.now(),
        begun: None,
        boot_ms: None,
        error: None,
        settled: None,
        ended: false,
    });
    let (stop, asked) = watch::channel(None);
    let life = Life { context: Arc::clone(context), spec: Arc::clone(spec), seat, told, beats };
    let part = Part::new(format!("kernel {}/{}", spec.name, life.seat.index));
    // It ends with the process that it looks after.
    drop(part.spawn(life.run(asked)));
    Replica { seat, status, stop }
}

/// What the process is started with.
pub(super) fn launch(spec: &Spec, seat: &Seat) -> Launch {
    let mut env: BTreeMap<String, String> =
        spec.env.iter().map(|(name, value)| (name.clone(), seat.fill(value))).collect();
    env.insert("PARAMEDIC_REPLICA".into(), seat.index.to_string());
    env.insert("PARAMEDIC_KERNEL".into(), spec.name.clone());
    if let Some(port) = seat.port {
        env.insert("PORT".into(), port.to_string());
    }
    let argv = spec.command.iter().map(|arg| seat.fill(arg)).collect();
    Launch { argv, env, inherit_env: true, cwd: spec.cwd.clone(), capture: true, channel: None }
}

impl Seat {
    pub(super) fn fill(&self, text: &str) -> String {
        let text = text.replace("${REPLICA}", &self.index.to_string());
        self.port.map_or_else(|| text.clone(), |port| text.replace("${PORT}", &port.to_string()))
    }
}

impl Replica {
    /// Ends the process, gracefully if it lets itself be; comes back when it is gone.
    pub(super) async fn stop(&self, grace: Duration) -> Result<(), String> {
        self.stop.send_replace(Some(grace));
        let mut status = self.status.clone();
        // A life that is over for any other reason is over too.
        match status.wait_for(|status| status.ended).await {
            Ok(status) => status.pid.map_or(Ok(()), |pid| Err(format!("process {pid} does not end"))),
            Err(_) => Ok(()),
        }
    }
}

struct Life {
    context: Arc<Context>,
    spec: Arc<Spec>,
    seat: Seat,
    told: watch::Sender<Status>,
    beats: watch::Receiver<Option<Instant>>,
}

/// Why a life ends.
enum End {
    Itself(std::io::Result<ExitStatus>),
    Asked(Duration),
}

impl Life {
    async fn run(self, mut asked: watch::Receiver<Option<Duration>>) {
        self.publish("booting", json!({}));
        let launch = launch(&self.spec, &self.seat);
        let mut running = match self.context.spawner.start(launch.clone()).await {
            Ok(running) => running,
            Err(error) => return self.not_started(&format!("cannot start: {error}")),
        };
        self.told.send_modify(|status| {
            status.pid = Some(running.pid());
            status.begun = Some(running.begun());
        });
        let mut log = self.keep_log(&mut running);
        let begun = running.begun();
        let end = tokio::select! {
            status = running.wait() => End::Itself(status),
            grace = grace(&mut asked) => End::Asked(grace),
            never = self.watch(begun, &launch) => match never {},
        };
        let (status, expected) = match end {
            End::Itself(status) => (status, false),
            End::Asked(grace) => (running.stop(grace).await, true),
        };
        // The process is gone or hopeless by now; its pipes close when the last of its group is gone.
        let lived = begun.elapsed();
        let gone = status.is_ok();
        drop(running);
        if timeout(LAST_WORDS, &mut log).await.is_err() {
            log.abort();
        }
        self.ended(status, expected, lived, gone);
    }

    /// Follows its health for as long as it lives.
    async fn watch(&self, begun: Instant, launch: &Launch) -> Infallible {
        let Some(probe) = &self.spec.health else {
            sleep(PROOF_OF_LIFE).await;
            self.healthy(None, None);
            return std::future::pending().await;
        };
        let poll = if probe.exec.is_some() { POLL_EXEC } else { POLL };
        let deadline = begun + self.spec.start_timeout.0;
        if timeout_at(deadline, self.come_up(probe, begun, launch, poll)).await.is_err() {
            let message = format!("was not healthy within {}", self.spec.start_timeout);
            self.unhealthy("boot_timeout", &message, 0);
            self.come_up(probe, begun, launch, probe.interval.0.max(poll)).await;
        }
        self.healthy(Some(begun.elapsed()), None);
        let mut failures = 0;
        loop {
            sleep(probe.interval.0).await;
            match self.check(probe, begun, launch).await {
                Ok(()) => {
                    if failures >= probe.failures {
                        self.healthy(None, Some("recovered"));
                    }
                    failures = 0;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if failures == probe.failures {
                        self.unhealthy("hang", &error, failures);
                    }
                }
            }
        }
    }

    async fn come_up(&self, probe: &Probe, begun: Instant, launch: &Launch, poll: Duration) {
        while self.check(probe, begun, launch).await.is_err() {
            sleep(poll).await;
        }
    }

    async fn check(&self, probe: &Probe, begun: Instant, launch: &Launch) -> Result<(), String> {
        let beat = self.beats.borrow().filter(|at| *at >= begun);
        let fill = |text: &str| self.seat.fill(text);
        let subject = Subject { fill: &fill, launch, spawner: &self.context.spawner, beat };
        health::check(probe, &subject).await
    }

    fn keep_log(&self, running: &mut Running) -> tokio::task::JoinHandle<()> {
        let path = logs::path(&self.context.logs_dir, &self.spec.name, self.seat.index);
        let output = running.output();
        tokio::spawn(async move {
            let Some((mut out, mut err)) = output else { return };
            if let Err(error) = logs::copy(path.clone(), &mut out, &mut err).await {
                tracing::warn!(path = %path.display(), %error, "a kernel's output is no longer kept");
                // It must not block on a full pipe because of us.
                let mut nowhere = (tokio::io::sink(), tokio::io::sink());
                let (a, b) = tokio::join!(
                    tokio::io::copy(&mut out, &mut nowhere.0),
                    tokio::io::copy(&mut err, &mut nowhere.1)
                );
                a.and(b).ok();
            }
        })
    }

    fn healthy(&self, boot: Option<Duration>, reason: Option<&str>) {
        let boot_ms = boot.map(|took| (took.as_secs_f64() * 10_000.0).round() / 10.0);
        self.told.send_modify(|status| {
            status.state = State::Healthy;
            status.since = self.context.clock.now();
            status.boot_ms = boot_ms.or(status.boot_ms);
            status.error = None;
            // A boot that was given up stays given up.
            status.settled.get_or_insert(Ok(()));
        });
        let mut data = json!({ "reason": reason.unwrap_or("booted") });
        if let Some(ms) = boot_ms {
            data["boot_duration_ms"] = json!(ms);
        }
        self.publish("healthy", data);
    }

    fn unhealthy(&self, reason: &str, message: &str, failures: u32) {
        self.told.send_modify(|status| {
            status.state = State::Unhealthy;
            status.since = self.context.clock.now();
            status.error = Some(message.into());
            status.settled.get_or_insert_with(|| Err(message.into()));
        });
        self.publish("unhealthy", json!({ "reason": reason, "message": message, "failures": failures }));
    }

    fn not_started(&self, message: &str) {
        self.told.send_modify(|status| {
            status.state = State::Exited;
            status.since = self.context.clock.now();
            status.error = Some(message.into());
            status.settled = Some(Err(message.into()));
        });
        self.publish("exited", json!({ "reason": "boot_exit", "message": message, "expected": false }));
        self.told.send_modify(|status| status.ended = true);
    }

    fn ended(&self, status: std::io::Result<ExitStatus>, expected: bool, lived: Duration, gone: bool) {
        let (code, signal) = status.as_ref().map_or((None, None), |s| (s.code(), s.signal()));
        let booted = matches!(self.told.borrow().settled, Some(Ok(())));
        let reason = match (booted || expected, signal, code) {
            (false, ..) => "boot_exit",
            (true, Some(_), _) => "signal",
            (true, None, Some(0)) => "exit",
            (true, ..) => "crash",
        };
        let mut message = match (&status, signal, code) {
            (Err(error), ..) => error.to_string(),
            (_, Some(signal), _) => format!("ended by signal {signal} after {:.1} s", lived.as_secs_f64()),
            (_, _, code) => {
                format!("ended with exit code {} after {:.1} s", code.unwrap_or(-1), lived.as_secs_f64())
            }
        };
        if matches!(code, Some(126 | 127)) && !expected {
            message.push_str(": the command cannot be run, see its log");
        }
        let state = if expected { State::Stopped } else { State::Exited };
        self.told.send_modify(|status| {
            status.state = state;
            status.since = self.context.clock.now();
            status.error = (!expected).then(|| message.clone());
            status.settled.get_or_insert_with(|| Err(message.clone()));
            if gone {
                status.pid = None;
            }
        });
        let uptime = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
        self.publish(
            "exited",
            json!({ "reason": reason, "message": message, "expected": expected, "exit_code": code, "signal": signal, "uptime_ms": uptime }),
        );
        // Last, so that what comes after an end is also told after it.
        self.told.send_modify(|status| status.ended = true);
    }

    fn publish(&self, what: &str, data: Value) {
        let (pid, state) = {
            let status = self.told.borrow();
            (status.pid, status.state)
        };
        let mut all = Map::new();
        all.insert("replica".into(), json!(self.seat.index));
        all.insert("generation".into(), json!(self.seat.generation));
        all.insert("state".into(), json!(state));
        all.insert("pid".into(), json!(pid));
        if let Value::Object(data) = data {
            all.extend(data);
        }
        self.context.publish(&self.spec, what, all);
    }
}

impl Context {
    /// What no kernel has used yet.
    pub(super) fn new(
        publisher: Arc<dyn Publisher>,
        spawner: Spawner,
        logs_dir: PathBuf,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            publisher,
            spawner,
            logs_dir,
            clock,
            ports: Ports::default(),
            closing: CancellationToken::new(),
            kernels: OnceLock::new(),
            held: Mutex::default(),
            changes: watch::channel(0).0,
        })
    }

    /// Those that `spec` depends on and that are not healthy.
    pub(super) fn missing(&self, spec: &Spec) -> Vec<String> {
        if spec.depends_on.is_empty() {
            return Vec::new();
        }
        let Some(kernels) = self.kernels.get().and_then(Weak::upgrade) else { return Vec::new() };
        let down = |name: &&String| kernels.get(*name).is_some_and(|unit| unit.state() != State::Healthy);
        spec.depends_on.iter().filter(down).cloned().collect()
    }

    /// Publishes `telemetry.kernel.<what>` about `spec`. Trouble that comes while something it depends on is not healthy
    /// names that as `waits_for`, and is no cause for hurry.
    pub(super) fn publish(&self, spec: &Spec, what: &str, data: Map<String, Value>) {
        let topic = Topic::try_new(format!("telemetry.kernel.{what}")).expect("these words make a topic");
        let bad = what == "unhealthy" || data.get("expected") == Some(&Value::Bool(false));
        let waits_for = if bad { self.missing(spec) } else { Vec::new() };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if waits_for.is_empty() {
            held.remove(&spec.name);
        } else {
            held.insert(spec.name.clone(), (what.to_owned(), data.clone()));
        }
        drop(held);
        let mut all = Map::new();
        all.insert("kernel".into(), json!(spec.name));
        all.insert("layer".into(), json!(spec.layer));
        if let Some(fleet) = &spec.fleet {
            all.insert("fleet".into(), json!(fleet));
        }
        if let Some(ms) = spec.baseline_boot_ms {
            all.insert("baseline_ms".into(), json!(ms));
        }
        all.extend(data);
        if !waits_for.is_empty() {
            all.insert("waits_for".into(), json!(waits_for));
        }
        let id = uuid::Uuid::now_v7().to_string();
        let mut event =
            Event::new(id, topic, "kernels", self.clock.now(), Value::Object(all)).about(&*spec.name);
        event.priority = if bad && waits_for.is_empty() { Priority::High } else { Priority::Normal };
        self.publisher.publish(event);
        self.changes.send_modify(|n| *n += 1);
    }
}

/// Waits until somebody asks for the end, or nobody holds on any more.
async fn grace(asked: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let grace = asked.wait_for(Option::is_some).await;
    grace.ok().and_then(|grace| *grace).unwrap_or_default()
}
