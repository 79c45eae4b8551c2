//! What all kernels of a registry share, and how it is told what happens to one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ports::Ports;
use super::providers::process::Spawner;
use super::spec::Spec;
use super::unit::Unit;
use super::view::State;
use super::wishes::Wishes;
use crate::bus::Publisher;
use crate::model::{Clock, Event, Priority, Topic};
use crate::platform::Problems;

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
    /// What was wished of kernels by hand, where that outlives the engine.
    pub(super) wishes: OnceLock<Wishes>,
    /// What is wrong that an operator should know of.
    pub(super) problems: OnceLock<Problems>,
    /// Changes with every event about a kernel.
    pub(super) changes: watch::Sender<u64>,
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
            problems: OnceLock::new(),
            wishes: OnceLock::new(),
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

    /// Tells an operator of something wrong, in the log once.
    pub(super) fn raise(&self, key: &str, text: &str) {
        if self.problems.get_or_init(Problems::default).raise(key, text) {
            tracing::error!("{text}");
        }
    }

    /// It is over.
    pub(super) fn clear(&self, key: &str) {
        self.problems.get_or_init(Problems::default).clear(key);
    }
}
