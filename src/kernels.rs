//! Kernels: the units that Paramedic starts, stops, restarts, scales and asks for their health.
//!
//! Start with [`Registry`]. Every change of state is an event `telemetry.kernel.{booting,healthy,unhealthy,exited,scaled}`
//! with source `kernels`. A kernel that ends or hangs is only told of: repairing it is a playbook's work.

pub mod guardian;
mod health;
mod life;
mod logs;
mod ports;
pub mod providers;
pub mod shim;
pub mod spec;
#[cfg(test)]
mod tests;
mod unit;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use providers::process::{Shim, Spawner};
pub use spec::Spec;
pub use view::{Health, ReplicaView, State, View};

use crate::bus::Publisher;
use crate::model::{Clock, Failure, Span};
use life::Context;
use unit::{Operation, Unit};

/// All kernels of an engine; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    kernels: Arc<BTreeMap<String, Arc<Unit>>>,
    context: Arc<Context>,
}

/// Why a registry cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specs make no sense.
    #[error(transparent)]
    Spec(#[from] spec::Error),
    /// There is no place for logs.
    #[error("cannot make the directory {path} for the logs of kernels: {error}")]
    Logs {
        /// Where.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// Over and above its grace, what a kernel may take to stop when the engine ends.
const CLOSE_MARGIN: Duration = Duration::from_secs(7);

impl Registry {
    /// Checks `specs` and makes a registry of them; starts nothing yet. Within a tokio runtime.
    ///
    /// # Errors
    /// When a spec makes no sense (kernel and field are named), or `logs_dir` cannot be made.
    pub fn new(
        specs: Vec<Spec>,
        publisher: Arc<dyn Publisher>,
        spawner: Spawner,
        logs_dir: impl Into<PathBuf>,
        clock: Clock,
    ) -> Result<Self, Error> {
        spec::check(&specs)?;
        let logs_dir = logs_dir.into();
        std::fs::create_dir_all(&logs_dir)
            .map_err(|error| Error::Logs { path: logs_dir.display().to_string(), error })?;
        let closing = CancellationToken::new();
        let context = Context { publisher, spawner, logs_dir, clock, ports: Default::default(), closing };
        let context = Arc::new(context);
        let unit = |spec: Spec| (spec.name.clone(), Arc::new(Unit::new(spec, Arc::clone(&context))));
        let kernels = Arc::new(specs.into_iter().map(unit).collect());
        Ok(Self { kernels, context })
    }

    /// A registry without kernels, which touches nothing.
    pub fn none(publisher: Arc<dyn Publisher>, clock: Clock) -> Self {
        let context = Context {
            publisher,
            spawner: Spawner::none(),
            logs_dir: PathBuf::new(),
            clock,
            ports: Default::default(),
            closing: CancellationToken::new(),
        };
        Self { kernels: Arc::default(), context: Arc::new(context) }
    }

    /// Starts every kernel, each when those it depends on have come up or have failed to (a repaired one must not find
    /// its dependents never started). Comes back when every boot has come out; how, the views say.
    pub async fn boot(&self) -> Vec<View> {
        let settled: HashMap<&str, watch::Sender<bool>> =
            self.kernels.keys().map(|name| (name.as_str(), watch::channel(false).0)).collect();
        let boots = self.kernels.values().map(|unit| {
            let settled = &settled;
            async move {
                for needed in &unit.spec.depends_on {
                    if let Some(other) = settled.get(needed.as_str()) {
                        other.subscribe().wait_for(|settled| *settled).await.ok();
                    }
                }
                // Told as events already.
                unit.operate(Operation::Start, "").await.ok();
                settled[unit.spec.name.as_str()].send_replace(true);
            }
        });
        join_all(boots).await;
        self.list()
    }

    /// Starts what does not run, and waits until it has booted.
    ///
    /// # Errors
    /// `invalid`: no such kernel. `failed`: it did not boot within its `start_timeout`. `cancelled`: the engine ends.
    pub async fn start(&self, name: &str, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Start, key).await
    }

    /// Stops all replicas, with `grace` (the kernel's own if not said) between SIGTERM and SIGKILL.
    ///
    /// # Errors
    /// `invalid`: no such kernel. `failed`: it does not end.
    pub async fn stop(&self, name: &str, grace: Option<Span>, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Stop(grace.map(|span| span.0)), key).await
    }

    /// Stops all replicas, starts them anew and waits until they have booted.
    ///
    /// # Errors
    /// As [`Registry::stop`] and [`Registry::start`]; `refused`: restarted too often already.
    pub async fn restart(&self, name: &str, grace: Option<Span>, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Restart(grace.map(|span| span.0)), key).await
    }

    /// Brings the number of replicas to `n` and waits until new ones have booted.
    ///
    /// # Errors
    /// As [`Registry::start`]; `invalid` too where `n` is not within its `replicas`.
    pub async fn scale(&self, name: &str, n: u32, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Scale(n), key).await
    }

    /// Looks now whether it works.
    ///
    /// # Errors
    /// `invalid`: no such kernel.
    pub async fn health(&self, name: &str) -> Result<Health, Failure> {
        Ok(self.find(name)?.health().await)
    }

    /// The last `n` lines that it printed, oldest first, each replica's in turn.
    ///
    /// # Errors
    /// `invalid`: no such kernel. `failed`: the file cannot be read.
    pub async fn logs(&self, name: &str, n: usize) -> Result<Vec<String>, Failure> {
        let unit = self.find(name)?;
        let mut lines = Vec::new();
        for replica in 0..unit.view().desired {
            let path = logs::path(&self.context.logs_dir, name, replica);
            let tail = logs::tail(&path, n).await;
            lines.extend(tail.map_err(|error| {
                Failure::new("failed", format!("cannot read the log {}: {error}", path.display()))
            })?);
        }
        Ok(lines)
    }

    /// Notes a sign of life of a kernel whose probe is `heartbeat`; false if there is no such kernel.
    pub fn heartbeat(&self, name: &str) -> bool {
        self.kernels.get(name).map(|unit| unit.beat()).is_some()
    }

    /// Every kernel, by name.
    pub fn list(&self) -> Vec<View> {
        self.kernels.values().map(|unit| unit.view()).collect()
    }

    /// One kernel.
    pub fn get(&self, name: &str) -> Option<View> {
        self.kernels.get(name).map(|unit| unit.view())
    }

    /// What an operator wrote about a kernel.
    pub fn spec(&self, name: &str) -> Option<Arc<Spec>> {
        self.kernels.get(name).map(|unit| Arc::clone(&unit.spec))
    }

    /// Stops everything, all at once, each with its grace; what does not end in time is left to the guardian.
    /// Operations under way are broken off, later ones refused.
    pub async fn shutdown(&self) {
        self.context.closing.cancel();
        let close = self.kernels.values().map(|unit| async move {
            // An operation under way may be stopping it, with a grace of its own.
            let limit = unit.spec.stop_grace.0 * 2 + CLOSE_MARGIN;
            if tokio::time::timeout(limit, unit.close()).await.is_err() {
                tracing::error!(kernel = unit.spec.name, "a kernel did not stop in time");
            }
        });
        join_all(close).await;
    }

    fn find(&self, name: &str) -> Result<&Arc<Unit>, Failure> {
        self.kernels.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.kernels.keys().map(String::as_str).take(20).collect();
            let known = if known.is_empty() {
                "there are none".into()
            } else {
                format!("there are {}", known.join(", "))
            };
            Failure::new("invalid", format!("no kernel is named `{name}`: {known}"))
        })
    }
}
