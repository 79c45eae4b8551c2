//! The life of one process of a kernel, from its start to its end, told as events.
//!
//! It never starts anything anew: a process that ends stays down until somebody acts.
//!
//! ```text
//! booting → healthy ⇄ unhealthy → stopping → exited | stopped
//!         ↘ unhealthy (boot_timeout) → healthy, should it come up after all
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::context::Context;
use super::ending::{Grace, KILL_WAIT};
use super::evidence::{self, Owner};
use super::health::{self, Subject};
use super::logs;
use super::providers::process::{Launch, Running};
use super::spec::{Port, Probe, Spec};
use super::view::State;
use crate::model::Time;
use crate::platform::sleep::pause;
use crate::platform::{Part, descriptors};

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
    pub(super) boot_ms: Option<f64>,
    pub(super) error: Option<String>,
    /// How its boot came out, once it has.
    pub(super) settled: Option<Result<(), String>>,
    /// The value of its variable `PARAMEDIC_INSTANCE`.
    pub(super) mark: Option<Arc<str>>,
    /// Who may answer for it.
    pub(super) owner: Option<Arc<Owner>>,
    /// Nothing of it is left.
    pub(super) ended: bool,
}

/// Holds on to a life. Dropping the last one ends the process.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) seat: Seat,
    pub(super) status: watch::Receiver<Status>,
    stop: Arc<watch::Sender<Option<Duration>>>,
}

/// When each start of a replica gave its last sign of life, by its mark.
pub(super) type Beats = BTreeMap<Arc<str>, Instant>;

/// How often a process that boots is looked at: the error of a measured boot.
const POLL: Duration = Duration::from_millis(20);

/// The same where each look starts a process.
const POLL_EXEC: Duration = Duration::from_millis(100);

/// A process without a probe counts as healthy when it has lived this long.
const PROOF_OF_LIFE: Duration = Duration::from_millis(500);

/// How long a fixed port may be taken when the kernel is to start: whoever had it may just be ending.
const PORT_WAIT: Duration = Duration::from_secs(2);

/// How long the rest of the output may take after the end; something that left the group may hold the pipe.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Starts a process for `spec` in `seat`.
pub(super) fn begin(
    context: &Arc<Context>,
    spec: &Arc<Spec>,
    seat: Seat,
    beats: watch::Receiver<Beats>,
) -> Replica {
    let (told, status) = watch::channel(Status {
        state: State::Booting,
        pid: None,
        since: context.clock.now(),
        boot_ms: None,
        error: None,
        settled: None,
        mark: None,
        owner: None,
        ended: false,
    });
    let (stop, asked) = watch::channel(None);
    let life = Life { context: Arc::clone(context), spec: Arc::clone(spec), seat, told, beats };
    let part = Part::new(format!("kernel {}/{}", spec.name, life.seat.index));
    // It ends with the process that it looks after.
    drop(part.spawn(life.run(asked)));
    Replica { seat, status, stop: Arc::new(stop) }
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
    Launch { argv, env, inherit_env: true, cwd: spec.cwd.clone(), capture: true, ..Launch::default() }
}

impl Seat {
    pub(super) fn fill(&self, text: &str) -> String {
        let text = text.replace("${REPLICA}", &self.index.to_string());
        self.port.map_or_else(|| text.clone(), |port| text.replace("${PORT}", &port.to_string()))
    }
}

impl Replica {
    /// Asks the process to end within `grace`, or sooner if that was asked before.
    pub(super) fn ask_to_stop(&self, grace: Duration) {
        self.stop.send_replace(Some(grace));
    }

    /// Shortens the grace of a stop that is under way.
    pub(super) fn hurry(&self, grace: Duration) {
        self.stop.send_if_modified(|asked| {
            let is_shorter = asked.is_some_and(|before| grace < before);
            if is_shorter {
                *asked = Some(grace);
            }
            is_shorter
        });
    }

    /// Ends the process, gracefully if it lets itself be; comes back when nothing of it is left.
    ///
    /// # Errors
    /// When something is left some time after it was killed. It stays `stopping`, and is waited for in the background.
    pub(super) async fn stop(&self, grace: Duration) -> Result<(), String> {
        self.ask_to_stop(grace);
        self.gone(grace + KILL_WAIT + LAST_WORDS).await
    }

    /// Comes back when nothing of it is left.
    ///
    /// # Errors
    /// When something is left after `limit`, in words.
    pub(super) async fn gone(&self, limit: Duration) -> Result<(), String> {
        let mut status = self.status.clone();
        // A life that is over for any other reason is over too.
        if timeout(limit, status.wait_for(|status| status.ended)).await.is_ok() {
            return Ok(());
        }
        let status = self.status.borrow();
        Err(status.error.clone().unwrap_or_else(|| {
            let pid = status.pid.map(|pid| format!("process {pid} of ")).unwrap_or_default();
            format!("{pid}replica {} has not ended yet", self.seat.index)
        }))
    }

    /// The mark of its processes, while it runs and is not asked to stop.
    pub(super) fn runs_as(&self) -> Option<Arc<str>> {
        let status = self.status.borrow();
        let runs = !status.ended && status.state != State::Stopping;
        status.mark.clone().filter(|_| runs)
    }

    /// Whether it is ending and not yet gone.
    pub(super) fn is_stopping(&self) -> bool {
        let status = self.status.borrow();
        !status.ended && (status.state == State::Stopping || self.stop.borrow().is_some())
    }
}

pub(super) struct Life {
    pub(super) context: Arc<Context>,
    pub(super) spec: Arc<Spec>,
    pub(super) seat: Seat,
    pub(super) told: watch::Sender<Status>,
    beats: watch::Receiver<Beats>,
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
        if let Some(problem) = self.port_taken().await {
            return self.not_started(&problem);
        }
        // Given back when the process is gone.
        let _room = match descriptors::room() {
            Ok(room) => room,
            Err(why) => return self.not_started(&format!("cannot start: {why}")),
        };
        let mut running = match self.context.spawner.start(launch.clone()).await {
            Ok(running) => running,
            Err(error) => return self.not_started(&format!("cannot start: {error}")),
        };
        self.told.send_modify(|status| {
            status.pid = Some(running.pid());
            status.mark = Some(running.family().mark().into());
            status.owner = Some(Arc::new(Owner::new(running.family().clone())));
        });
        let mut log = self.keep_log(&mut running);
        let begun = running.begun();
        let end = tokio::select! {
            status = running.wait() => End::Itself(status),
            grace = grace(&mut asked) => End::Asked(grace),
            never = self.watch(begun, &launch) => match never {},
        };
        let own_grace = self.spec.stop_grace.0;
        let (status, expected, mut grace) = match end {
            End::Itself(status) => (status, false, Grace::new(own_grace, asked)),
            End::Asked(grace) => {
                let mut grace = Grace::new(grace, asked);
                (self.end(&mut running, &mut grace).await, true, grace)
            }
        };
        let lived = begun.elapsed();
        let at_once = timeout(LAST_WORDS, self.end_rest(&mut running, &mut grace)).await.is_ok();
        let mut error = None;
        if !at_once && !expected {
            // That it ended is not kept back until the last straggler is gone.
            error = Some(self.tell_end(&status, expected, lived, State::Stopping));
        }
        if !at_once {
            self.end_rest(&mut running, &mut grace).await;
        }
        drop(running);
        if timeout(LAST_WORDS, &mut log).await.is_err() {
            log.abort();
        }
        self.told.send_modify(|status| status.pid = None);
        let state = if expected { State::Stopped } else { State::Exited };
        if at_once || expected {
            let message = self.tell_end(&status, expected, lived, state);
            error = (!expected).then_some(message);
        }
        // Last, so that what comes after an end is also told after it.
        self.told.send_modify(|status| {
            status.state = state;
            status.error = error;
            status.ended = true;
        });
    }

    /// Who has the port that it was told to listen on, if that is a fixed one.
    async fn port_taken(&self) -> Option<String> {
        let Some((port, Port::Fixed(_))) = self.seat.port.zip(self.spec.port) else { return None };
        let at = self.spec.health.as_ref().and_then(|probe| {
            health::address(probe, &|text| self.seat.fill(text)).filter(|at| at.port() == port)
        });
        let deadline = Instant::now() + PORT_WAIT;
        loop {
            let look = tokio::task::spawn_blocking(move || evidence::taken(port, at.map(|at| at.ip())));
            let taken = look.await.unwrap_or_default()?;
            if Instant::now() >= deadline {
                return Some(format!("{taken}; stop that or give the kernel another `port`"));
            }
            sleep(POLL * 5).await;
        }
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
        if timeout_at(deadline, self.come_up(probe, launch, poll)).await.is_err() {
            let message = format!("was not healthy within {}", self.spec.start_timeout);
            self.unhealthy("boot_timeout", &message, 0);
            self.come_up(probe, launch, probe.interval.0.max(poll)).await;
        }
        self.healthy(Some(begun.elapsed()), None);
        let mut failures = 0;
        loop {
            pause(&self.context.clock, probe.interval.0).await;
            match self.check(probe, launch).await {
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

    async fn come_up(&self, probe: &Probe, launch: &Launch, poll: Duration) {
        while self.check(probe, launch).await.is_err() {
            pause(&self.context.clock, poll).await;
        }
    }

    async fn check(&self, probe: &Probe, launch: &Launch) -> Result<(), String> {
        let mark = self.told.borrow().mark.clone();
        let beat = mark.and_then(|mark| self.beats.borrow().get(&mark).copied());
        let fill = |text: &str| self.seat.fill(text);
        let owner = self.told.borrow().owner.clone();
        let subject = Subject { fill: &fill, launch, spawner: &self.context.spawner, beat, owner };
        health::check(probe, &subject).await
    }

    fn keep_log(&self, running: &mut Running) -> tokio::task::JoinHandle<()> {
        let path = logs::path(&self.context.logs_dir, &self.spec.name, self.seat.index);
        let output = running.output();
        tokio::spawn(async move {
            let Some((mut out, mut err)) = output else { return };
            logs::copy(path, &mut out, &mut err).await;
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

    fn tell_end(
        &self,
        status: &std::io::Result<ExitStatus>,
        expected: bool,
        lived: Duration,
        state: State,
    ) -> String {
        let (code, signal) = status.as_ref().map_or((None, None), |s| (s.code(), s.signal()));
        let booted = matches!(self.told.borrow().settled, Some(Ok(())));
        let reason = match (booted || expected, signal, code) {
            (false, ..) => "boot_exit",
            (true, Some(_), _) => "signal",
            (true, None, Some(0)) => "exit",
            (true, ..) => "crash",
        };
        let mut message = match (status, signal, code) {
            (Err(error), ..) => error.to_string(),
            (_, Some(signal), _) => format!("ended by signal {signal} after {:.1} s", lived.as_secs_f64()),
            (_, _, code) => {
                format!("ended with exit code {} after {:.1} s", code.unwrap_or(-1), lived.as_secs_f64())
            }
        };
        if matches!(code, Some(126 | 127)) && !expected {
            message.push_str(": the command cannot be run, see its log");
        }
        self.told.send_modify(|status| {
            status.state = state;
            status.since = self.context.clock.now();
            status.error = (!expected).then(|| message.clone());
            status.settled.get_or_insert_with(|| Err(message.clone()));
        });
        let uptime = u64::try_from(lived.as_millis()).unwrap_or(u64::MAX);
        self.publish(
            "exited",
            json!({ "reason": reason, "message": message, "expected": expected, "exit_code": code, "signal": signal, "uptime_ms": uptime }),
        );
        message
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

/// Waits until somebody asks for the end, or nobody holds on any more.
async fn grace(asked: &mut watch::Receiver<Option<Duration>>) -> Duration {
    let grace = asked.wait_for(Option::is_some).await;
    grace.ok().and_then(|grace| *grace).unwrap_or_default()
}
