//! Kernels: the units that Paramedic starts, stops, restarts, scales and asks for their health.
//!
//! Start with [`Registry`]. What a kernel is made of, processes of the engine's own or something outside that a provider
//! speaks for, is hidden behind one trait (`body`), so all of this is alike for each. Every change of state is an event `telemetry.kernel.{booting,healthy,unhealthy,exited,scaled}`
//! with source `kernels`. A kernel that ends or hangs is only told of: repairing it is a playbook's work.

mod body;
mod context;
mod depend;
mod ending;
mod evidence;
mod external;
mod family;
pub mod guardian;
mod health;
mod life;
mod logs;
mod orphans;
mod ports;
mod proc;
pub mod providers;
mod replicas;
pub mod shim;
pub mod spec;
#[cfg(test)]
mod tests;
mod unit;
mod view;
mod wishes;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
pub use providers::process::{Shim, Spawner};
pub use spec::Spec;
pub use view::{Health, ReplicaView, State, View};
pub use wishes::Wish;

use crate::bus::Publisher;
use crate::model::{Clock, Failure, Span};
use crate::platform::Problems;
use crate::store::{self, Store};
use context::Context;
use unit::{Operation, Unit};
use wishes::Wishes;

/// All kernels of an engine; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    kernels: Arc<BTreeMap<String, Arc<Unit>>>,
    context: Arc<Context>,
    /// Who operates through this handle.
    by: Arc<str>,
    /// Whether it only knows what an operator wrote.
    planned: bool,
}

/// Why a registry cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The specs make no sense.
    #[error(transparent)]
    Spec(#[from] spec::Error),
    /// A provider cannot be made ready.
    #[error("kernel `{kernel}`: {problem}")]
    Provider {
        /// Which kernel.
        kernel: String,
        /// What is wrong and what to do.
        problem: String,
    },
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
        let context = Context::new(publisher, spawner, logs_dir, clock);
        let mut kernels = BTreeMap::new();
        for spec in specs {
            kernels.insert(spec.name.clone(), Arc::new(Unit::try_new(spec, &context)?));
        }
        let kernels = Arc::new(kernels);
        context.kernels.get_or_init(|| Arc::downgrade(&kernels));
        Ok(Self { kernels, context, by: "the engine".into(), planned: false })
    }

    /// A registry without kernels, which touches nothing.
    pub fn none(publisher: Arc<dyn Publisher>, clock: Clock) -> Self {
        let context = Context::new(publisher, Spawner::none(), PathBuf::new(), clock);
        Self { kernels: Arc::default(), context, by: "the engine".into(), planned: false }
    }

    /// A registry that knows `specs` as they are written, to say what would be done to them. It touches nothing, and none
    /// of its kernels may be operated.
    pub fn planned(specs: Vec<Spec>, publisher: Arc<dyn Publisher>, clock: Clock) -> Self {
        let context = Context::new(publisher, Spawner::none(), PathBuf::new(), clock);
        let unit = |spec: Spec| (spec.name.clone(), Arc::new(Unit::planned(spec, &context)));
        let kernels = Arc::new(specs.into_iter().map(unit).collect());
        Self { kernels, context, by: "the engine".into(), planned: true }
    }

    /// Remembers in `store` which kernels are stopped and scaled by hand, and does as it remembers; to be called before
    /// they boot.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn remember_in(&self, store: Arc<dyn Store>) -> Result<(), store::Error> {
        let wishes = Wishes::read(store, |name| self.kernels.contains_key(name)).await?;
        for (name, unit) in self.kernels.iter() {
            if let Some(n) = wishes.of(name).and_then(|wish| wish.replicas) {
                unit.wish(n);
            }
        }
        // The first one stays.
        self.context.wishes.get_or_init(|| wishes);
        Ok(())
    }

    /// The same registry, operated on behalf of `who`, whose name is kept with what outlives the engine.
    #[must_use]
    pub fn on_behalf_of(&self, who: &str) -> Self {
        Self { by: who.into(), ..self.clone() }
    }

    /// Lists what is wrong with kernels that an operator should know of, such as one that does not end, among `problems`.
    pub fn report_to(&self, problems: Problems) {
        // The first one stays.
        self.context.problems.get_or_init(|| problems);
    }

    /// Whether it only knows what an operator wrote, and not how its kernels are.
    pub fn is_planned(&self) -> bool {
        self.planned
    }

    /// Boots every kernel, each when those it depends on are healthy: the engine's own are started, those outside are
    /// adopted as they are found. One whose needs are not met waits, and is started as soon as they are. Comes back when
    /// every boot has come out or waits; how, the views say.
    pub async fn boot(&self) -> Vec<View> {
        self.boot_all(false).await
    }

    /// The same, where those outside are restarted too, or started, so that each boot can be measured.
    pub async fn boot_anew(&self) -> Vec<View> {
        self.boot_all(true).await
    }

    /// Starts what does not run, and waits until it has booted.
    ///
    /// # Errors
    /// `invalid`: no such kernel. `failed`: it did not boot within its `start_timeout`. `cancelled`: the engine ends.
    pub async fn start(&self, name: &str, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Start, key, &self.by).await
    }

    /// Stops all replicas, with `grace` (the kernel's own if not said) between SIGTERM and SIGKILL.
    ///
    /// # Errors
    /// `invalid`: no such kernel. `failed`: it does not end.
    pub async fn stop(&self, name: &str, grace: Option<Span>, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Stop(grace.map(|span| span.0)), key, &self.by).await
    }

    /// Stops all replicas, starts them anew and waits until they have booted.
    ///
    /// # Errors
    /// As [`Registry::stop`] and [`Registry::start`]; `refused`: restarted too often already.
    pub async fn restart(&self, name: &str, grace: Option<Span>, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Restart(grace.map(|span| span.0)), key, &self.by).await
    }

    /// Restarts it with all that depend on it: these are stopped before, the last first, and started after it is healthy,
    /// in order. Those that did not run are left alone.
    ///
    /// # Errors
    /// As [`Registry::restart`]. Where it does not come up, its dependants wait, and start when it does.
    pub async fn restart_with_dependants(
        &self,
        name: &str,
        grace: Option<Span>,
        key: &str,
    ) -> Result<View, Failure> {
        self.find(name)?;
        self.restart_all(name, grace.map(|span| span.0), key).await
    }

    /// Those that depend on it, directly or not, in the order in which they boot.
    pub fn dependants(&self, name: &str) -> Vec<String> {
        self.dependants_of(name).into_iter().map(|unit| unit.spec.name.clone()).collect()
    }

    /// Brings the number of replicas to `n` and waits until new ones have booted.
    ///
    /// # Errors
    /// As [`Registry::start`]; `invalid` too where `n` is not within its `replicas`.
    pub async fn scale(&self, name: &str, n: u32, key: &str) -> Result<View, Failure> {
        self.find(name)?.operate(Operation::Scale(n), key, &self.by).await
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
    /// `invalid`: no such kernel. `failed`: the log cannot be read.
    pub async fn logs(&self, name: &str, n: usize) -> Result<Vec<String>, Failure> {
        self.find(name)?.logs(n).await
    }

    /// Notes a sign of life of a kernel whose probe is `heartbeat`; false if there is no such kernel. With `instance`, which
    /// a process finds in its variable `PARAMEDIC_INSTANCE`, it is one of that start of that replica alone; without, of
    /// every replica. None of it counts while the kernel does not run.
    pub fn heartbeat(&self, name: &str, instance: Option<&str>) -> bool {
        self.kernels.get(name).map(|unit| unit.beat(instance)).is_some()
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

    /// Stops the engine's own kernels, all at once, each with its grace; what does not end in time is left to the guardian.
    /// Those outside go on. Operations under way are broken off, later ones refused.
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
