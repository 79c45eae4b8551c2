//! Where one version of a plugin runs: in processes of its own, or in the engine.
//!
//! Each process serves one call at a time, so a crash or a call that is over its time costs that call and no other;
//! calls at once have a process each, up to the configured number.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::answer;
use super::child::{Child, Reply, WINDOW};
use super::health::Health;
use super::image::Image;
use super::inside::Inside;
use super::spec::{Isolation, Spec};
use crate::kernels::Spawner;
use crate::model::{Failure, Span};
use crate::platform::Problems;

/// How long a process that is not needed is kept; one is always kept.
const IDLE: Duration = Duration::from_secs(60);

/// One version of a plugin, ready to be called.
pub(super) enum Runner {
    Process(Processes),
    Inside(Inside),
}

/// Told when a plugin is quarantined, with the reason, and without one when that is over.
pub(super) type Told = Box<dyn Fn(Option<&str>) + Send + Sync>;

pub(super) struct Processes {
    spec: Arc<Spec>,
    image: Image,
    spawner: Spawner,
    places: Semaphore,
    idle: Mutex<Vec<(Child, Instant)>>,
    /// Whether the last call was answered at once.
    quick: AtomicBool,
    health: Arc<Health>,
    told: Told,
}

impl Runner {
    /// Loads and starts `image`; gives what the plugin says of itself, as it was said.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn load(
        spec: Arc<Spec>,
        image: Image,
        spawner: Spawner,
        health: Arc<Health>,
        (told, problems): (Told, Problems),
    ) -> Result<(Self, String), String> {
        if spec.isolation == Isolation::InProcess {
            // First in a process of its own: a file that is cut short would take the engine down as it is loaded.
            let (child, _) = Child::start(&spec, &image, &spawner).await?;
            child.retire().await;
            let (inside, manifest) = Inside::load(spec, image, problems).await?;
            return Ok((Self::Inside(inside), manifest));
        }
        let (child, manifest) = Child::start(&spec, &image, &spawner).await?;
        let places = Semaphore::new(spec.processes);
        let idle = Mutex::new(vec![(child, Instant::now())]);
        let quick = AtomicBool::new(false);
        Ok((Self::Process(Processes { spec, image, spawner, places, idle, quick, health, told }), manifest))
    }

    /// Makes a call with `frame`, a request with room for a head; `again` says whether it may be repeated.
    ///
    /// # Errors
    /// What the plugin says; or what became of it.
    pub(super) async fn call(&self, frame: Vec<u8>, limit: Span, again: bool) -> Result<Value, Failure> {
        match self {
            Self::Process(processes) => processes.call(frame, limit, again).await,
            Self::Inside(inside) => inside.call(frame, limit).await,
        }
    }

    /// Lets go of processes that have not been needed for a while.
    pub(super) fn trim(&self) {
        let Self::Process(processes) = self else { return };
        let mut idle = processes.idle();
        let mut left = Vec::new();
        while idle.len() > 1 && idle.first().is_some_and(|(_, since)| since.elapsed() > IDLE) {
            left.push(idle.remove(0).0);
        }
        drop(idle);
        left.into_iter().for_each(|child| drop(tokio::spawn(child.retire())));
    }

    /// Ends all processes that are not in a call, in good order.
    pub(super) async fn retire(&self) {
        let Self::Process(processes) = self else { return };
        let idle = std::mem::take(&mut *processes.idle());
        futures_util::future::join_all(idle.into_iter().map(|(child, _)| child.retire())).await;
    }

    /// Processes that wait for a call.
    pub(super) fn idle(&self) -> usize {
        match self {
            Self::Process(processes) => processes.idle().len(),
            Self::Inside(_) => 0,
        }
    }
}

impl Processes {
    async fn call(&self, mut frame: Vec<u8>, limit: Span, again: bool) -> Result<Value, Failure> {
        let name = &self.spec.name;
        let deadline = Instant::now() + limit.0;
        let place = timeout(limit.0, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            let message = format!(
                "all {} processes of plugin `{name}` were busy for {limit}; `processes` in the configuration says how \
                 many there may be",
                self.spec.processes
            );
            return Err(Failure::retryable("unavailable", message));
        };
        let pass = self.health.admit(name)?;
        if let Some(at) = pass.at {
            tokio::time::sleep_until(at.min(deadline)).await;
        }
        let mut child = match self.take() {
            Some(child) => child,
            None => match Child::start(&self.spec, &self.image, &self.spawner).await {
                Ok((child, _)) => child,
                Err(why) => {
                    self.crashed(pass.bad(&why), &why);
                    let message = format!("plugin `{name}` cannot be started again: {why}");
                    return Err(Failure::retryable("unavailable", message));
                }
            },
        };
        let began = Instant::now();
        let left = deadline.saturating_duration_since(began);
        let quick = self.quick.load(Ordering::Relaxed);
        let result = match timeout(left, child.call(&mut frame, quick)).await {
            Ok(Ok(Reply::Answer(answer))) => answer::read(name, answer),
            Ok(Ok(Reply::Wrong(how))) => Err(answer::wrong(name, &how)),
            Ok(Err(how)) => {
                self.crashed(pass.bad(&how), &how);
                return Err(lost(name, &how, again));
            }
            Err(_) => {
                let how = format!("it was still busy after {limit}, and was ended");
                self.crashed(pass.bad(&how), &how);
                let message = format!("plugin `{name}` did not answer within {limit}; its process was ended");
                return Err(Failure { retryable: again, ..Failure::new("timeout", message) });
            }
        };
        if pass.good() {
            (self.told)(None);
        }
        let ended = Instant::now();
        self.quick.store(ended - began < WINDOW, Ordering::Relaxed);
        self.idle().push((child, ended));
        result
    }

    fn crashed(&self, quarantined: bool, why: &str) {
        tracing::warn!(plugin = self.spec.name, "a call failed, because {why}");
        if quarantined {
            (self.told)(Some(why));
        }
    }

    /// A process that waits, if one is still good. The one used last, so that others can be let go of.
    fn take(&self) -> Option<Child> {
        loop {
            let (child, _) = self.idle().pop()?;
            if !child.is_spoilt() {
                return Some(child);
            }
            tracing::warn!(
                plugin = self.spec.name,
                "a process of it ended, or spoke out of turn, between two calls"
            );
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Child, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The failure of a call whose process was lost.
fn lost(name: &str, how: &str, again: bool) -> Failure {
    let message = format!("plugin `{name}` failed during this call: {how}");
    if again {
        return Failure::retryable("failed", message);
    }
    Failure::new("interrupted", format!("{message}; whether the call had its effect, nobody saw"))
}
