//! A kernel that lives outside the engine: adopted as it is found, watched, operated through its provider, and left
//! running when the engine ends.
//!
//! Start with [`External`]. What looks mean over time is [`track`]'s business, how things are done the provider's.

mod note;
mod operate;
mod track;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::body::{Body, Done};
use super::context::Context;
use super::health::{self, Subject};
use super::providers::Outside;
use super::providers::process::Launch;
use super::spec::Spec;
use super::view::{ReplicaView, State, View};
use crate::model::{Failure, Time};
use crate::platform::Part;
use crate::platform::sleep::pause;
use track::{Look, Patience, Tale, Track};

/// One kernel outside.
pub(super) struct External(Arc<Inner>);

struct Inner {
    spec: Arc<Spec>,
    context: Arc<Context>,
    outside: Box<dyn Outside>,
    /// Held for a look or an operation, so that what an operation does is not told as somebody else's doing.
    track: tokio::sync::Mutex<Track>,
    shown: Mutex<Shown>,
    generation: AtomicU64,
    watched: AtomicBool,
    beats: watch::Sender<Option<Instant>>,
}

/// What the views say.
#[derive(Clone)]
struct Shown {
    state: State,
    since: Option<Time>,
    error: Option<String>,
    boot_ms: Option<f64>,
    pids: Vec<u32>,
    replicas: (u32, u32),
}

/// Pause between two looks where no probe says how often.
const INTERVAL: Duration = Duration::from_secs(2);

/// Failed looks in a row that count, where no probe says how many.
const FAILURES: u32 = 3;

/// How long a provider may take to say how something stands.
const LOOK: Duration = Duration::from_secs(10);

impl External {
    pub(super) fn new(spec: Arc<Spec>, context: Arc<Context>, outside: Box<dyn Outside>) -> Self {
        let shown = Shown {
            state: State::Stopped,
            since: None,
            error: None,
            boot_ms: None,
            pids: Vec::new(),
            replicas: (spec.replicas.min, 0),
        };
        Self(Arc::new(Inner {
            spec,
            context,
            outside,
            track: tokio::sync::Mutex::new(Track::new(Instant::now())),
            shown: Mutex::new(shown),
            generation: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            beats: watch::channel(None).0,
        }))
    }
}

impl Body for External {
    fn view(&self) -> View {
        self.0.view()
    }

    fn boot(&self, anew: bool) -> Done<'_> {
        Box::pin(async move {
            let done = if anew { self.0.boot_anew().await } else { self.0.adopt().await };
            if !self.0.watched.swap(true, Ordering::SeqCst) {
                let part = Part::new(format!("kernel {}", self.0.spec.name)).until(&self.0.context.closing);
                drop(part.spawn(Arc::clone(&self.0).watch()));
            }
            done
        })
    }

    fn start<'a>(&'a self, key: &'a str) -> Done<'a> {
        Box::pin(self.0.start(key))
    }

    fn stop<'a>(&'a self, grace: Duration, key: &'a str) -> Done<'a> {
        Box::pin(self.0.stop(grace, key))
    }

    fn restart<'a>(&'a self, grace: Duration, key: &'a str) -> Done<'a> {
        Box::pin(self.0.restart(grace, key))
    }

    fn scale<'a>(&'a self, n: u32, key: &'a str) -> Done<'a> {
        Box::pin(self.0.scale(n, key))
    }

    fn health(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async move {
            let begun = self.0.track.lock().await.begun;
            self.0.look(begun).await.problem().into_iter().collect()
        })
    }

    fn logs(&self, n: usize) -> Done<'_, Vec<String>> {
        self.0.outside.logs(n)
    }

    fn beat(&self, _instance: Option<&str>) {
        self.0.beats.send_replace(Some(Instant::now()));
    }

    fn close(&self) -> Done<'_> {
        Box::pin(async { Ok(()) })
    }
}

impl Inner {
    fn view(&self) -> View {
        let shown = self.shown();
        let (wished, ready) = shown.replicas;
        let spec = &self.spec;
        let replica = |index: u32| ReplicaView {
            replica: index,
            state: match shown.state {
                State::Healthy | State::Unhealthy if wished > 1 && index < ready => State::Healthy,
                State::Healthy if wished > 1 => State::Booting,
                state => state,
            },
            pid: shown.pids.get(index as usize).copied(),
            port: None,
            since: shown.since.unwrap_or_default(),
            error: shown.error.clone().filter(|_| index >= ready),
        };
        View {
            name: spec.name.clone(),
            layer: spec.layer,
            provider: spec.provider,
            state: shown.state,
            pids: shown.pids.clone(),
            replicas: if shown.since.is_some() { (0..wished).map(replica).collect() } else { Vec::new() },
            desired: wished,
            min: spec.replicas.min,
            max: spec.replicas.max,
            generation: self.generation.load(Ordering::SeqCst),
            restarts: 0,
            boot_ms: shown.boot_ms,
            baseline_ms: spec.baseline_boot_ms,
            since: shown.since,
            last_error: shown.error,
            fleet: spec.fleet.clone(),
            depends_on: spec.depends_on.clone(),
            waits_for: Vec::new(),
            wish: None,
        }
    }

    /// Looks now and then, until the engine ends.
    async fn watch(self: Arc<Self>) {
        let interval = self.spec.health.as_ref().map_or(INTERVAL, |probe| probe.interval.0);
        let closing = self.context.closing.clone();
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = pause(&self.context.clock, interval) => {}
            }
            let mut track = self.track.lock().await;
            tokio::select! {
                () = closing.cancelled() => return,
                _ = self.see(&mut track) => {}
            }
        }
    }

    /// Looks, tells what has changed, and gives the look.
    async fn see(&self, track: &mut Track) -> Look {
        let look = self.look(track.begun).await;
        let probe = self.spec.health.as_ref();
        let failures = probe.map_or(FAILURES, |probe| probe.failures);
        let tales =
            track.see(&look, Instant::now(), Patience { failures, start_timeout: self.spec.start_timeout });
        self.show(track, look.sight.as_ref().ok());
        for tale in tales {
            self.tell(tale);
        }
        look
    }

    /// What the provider and the probe say now.
    async fn look(&self, begun: Instant) -> Look {
        let sight = timeout(LOOK, self.outside.look()).await.unwrap_or_else(|_| {
            let message =
                format!("{} does not say within {} s how it is", self.spec.provider.as_str(), LOOK.as_secs());
            Err(Failure::retryable("timeout", message))
        });
        let runs = sight.as_ref().is_ok_and(|sight| matches!(sight.state, State::Healthy | State::Booting));
        let probe = match &self.spec.health {
            Some(probe) if runs => {
                let launch = Launch { inherit_env: true, ..Launch::default() };
                let beat = self.beats.borrow().filter(|at| *at >= begun);
                let fill = |text: &str| text.replace("${REPLICA}", "0");
                let spawner = &self.context.spawner;
                // Who listens for something outside is not for the engine to say.
                let subject = Subject { fill: &fill, launch: &launch, spawner, beat, owner: None };
                Some(health::check(probe, &subject).await)
            }
            _ => None,
        };
        Look { sight, probe }
    }

    fn show(&self, track: &Track, sight: Option<&super::providers::Sight>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.state != track.state || shown.since.is_none() {
            shown.since = Some(self.context.clock.now());
        }
        shown.state = track.state;
        shown.error.clone_from(&track.error);
        shown.boot_ms = track.boot.map(millis).or(shown.boot_ms);
        if let Some(sight) = sight {
            shown.pids.clone_from(&sight.pids);
            let up = u32::from(track.state == State::Healthy);
            shown.replicas = sight.replicas.unwrap_or((shown.replicas.0, up * shown.replicas.0));
        }
    }

    fn tell(&self, tale: Tale) {
        if matches!(tale, Tale::Booting { .. } | Tale::Healthy { reason: "adopted" | "started_outside", .. })
        {
            self.generation.fetch_add(1, Ordering::SeqCst);
        }
        let shown = self.shown();
        let mut data = Map::new();
        data.insert("replica".into(), json!(0));
        data.insert("generation".into(), json!(self.generation.load(Ordering::SeqCst)));
        data.insert("state".into(), json!(shown.state));
        data.insert("pid".into(), json!(shown.pids.first()));
        data.insert("provider".into(), json!(self.spec.provider));
        let (what, more) = match tale {
            Tale::Booting { reason } => ("booting", json!({ "reason": reason })),
            Tale::Healthy { reason, boot: None } => ("healthy", json!({ "reason": reason })),
            Tale::Healthy { reason, boot: Some(took) } => {
                ("healthy", json!({ "reason": reason, "boot_duration_ms": millis(took) }))
            }
            Tale::Unhealthy { reason, message, failures } => {
                ("unhealthy", json!({ "reason": reason, "message": message, "failures": failures }))
            }
            Tale::Exited { reason, message, expected, exit_code } => (
                "exited",
                json!({ "reason": reason, "message": message, "expected": expected, "exit_code": exit_code }),
            ),
        };
        if let serde_json::Value::Object(more) = more {
            data.extend(more);
        }
        self.context.publish(&self.spec, what, data);
    }

    fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}
