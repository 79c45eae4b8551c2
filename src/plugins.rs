//! Plugins: native libraries that add actions, and cannot hurt the engine.
//!
//! Start with [`Plugins`], which loads what the configuration names, puts the actions into the registry, and swaps a
//! library whose file is replaced. By default each call runs in a child process ([`host`]) with bounded memory, time and
//! output; what goes wrong there is a failure of that call. Only `abi` touches raw pointers.

mod abi;
mod action;
mod answer;
mod child;
mod configure;
mod health;
pub mod host;
mod image;
mod inside;
mod manifest;
mod output;
mod runner;
mod slot;
pub mod spec;
mod swap;
mod view;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use crate::actions::{self, Alerts};
use crate::kernels::{Shim, Spawner};
use crate::model::alert::Level;
use crate::model::{AlertId, Clock, Failure, IntentId};
use crate::platform::Problems;

pub use configure::{Changes, Kept};
pub use manifest::{Known, Said};
pub use spec::{Bytes, Isolation, Spec};
pub use view::{State, View};

/// How often the files are looked at.
const POLL: Duration = Duration::from_millis(250);

/// All configured plugins; cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    slots: RwLock<Vec<Arc<slot::Slot>>>,
    /// Rung when there are other slots than before.
    others: tokio::sync::Notify,
    /// Held while they change.
    configuring: tokio::sync::Mutex<()>,
    parts: Parts,
}

/// What plugins work with.
pub struct Parts {
    /// Starts their processes.
    pub spawner: Spawner,
    /// Where their actions go.
    pub actions: actions::Registry,
    /// Who is told when one is quarantined or refused.
    pub alerts: Arc<dyn Alerts>,
    /// The time, for what is shown.
    pub clock: Clock,
    /// Where it is told what hangs.
    pub problems: Problems,
    /// Where it is remembered what each said of itself last, so that an engine starts although one does not load.
    pub memory: PathBuf,
}

/// What a library that was looked at says.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Of its content, as hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// What it says of itself.
    pub said: Said,
}

impl Plugins {
    /// Loads `specs` side by side and adds their actions to the registry. One that does not load is told of, and tried
    /// again; its actions, if they are known from before, fail until then.
    pub async fn load(specs: Vec<Spec>, parts: Parts) -> Self {
        let slots: Vec<_> = specs.into_iter().map(|spec| Arc::new(slot::Slot::new(spec))).collect();
        let plugins = Self::of(slots.clone(), parts);
        futures_util::future::join_all(slots.iter().map(|slot| plugins.first(slot))).await;
        plugins
    }

    /// None at all.
    pub fn none() -> Self {
        let parts = Parts {
            spawner: Spawner::none(),
            actions: actions::Registry::default(),
            alerts: Arc::new(Nobody),
            clock: Clock::system(),
            problems: Problems::default(),
            memory: PathBuf::new(),
        };
        Self::of(Vec::new(), parts)
    }

    fn of(slots: Vec<Arc<slot::Slot>>, parts: Parts) -> Self {
        let (slots, others) = (RwLock::new(slots), tokio::sync::Notify::new());
        Self(Arc::new(Inner { slots, others, configuring: tokio::sync::Mutex::default(), parts }))
    }

    /// Looks after files and processes until `stop`; calls `changed` when there are other actions than before.
    pub async fn watch(self, stop: CancellationToken, changed: impl Fn()) {
        let mut known: Vec<Arc<slot::Slot>> = Vec::new();
        // Each by itself: one that takes long to load holds up no other.
        let mut watched = FuturesUnordered::new();
        while !stop.is_cancelled() {
            known.retain(|slot| !slot.gone.load(Ordering::SeqCst));
            for slot in self.slots() {
                if !known.iter().any(|it| Arc::ptr_eq(it, &slot)) {
                    known.push(slot.clone());
                    watched.push(self.watch_one(slot, &stop, &changed));
                }
            }
            tokio::select! {
                Some(()) = watched.next() => {}
                () = self.0.others.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        while watched.next().await.is_some() {}
    }

    async fn watch_one(&self, slot: Arc<slot::Slot>, stop: &CancellationToken, changed: &impl Fn()) {
        while !slot.gone.load(Ordering::SeqCst) {
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => return,
            }
            if self.tend(&slot).await {
                changed();
            }
        }
    }

    /// Looks at the file of `name` now, and forgets its crashes; true if its actions are others than before.
    ///
    /// # Errors
    /// In words, when there is no such plugin, or what is there now is refused.
    pub async fn reload(&self, name: &str) -> Result<bool, String> {
        let slot = self.slot(name).ok_or_else(|| {
            let slots = self.slots();
            let names: Vec<&str> = slots.iter().map(|slot| slot.spec.name.as_str()).collect();
            match names.as_slice() {
                [] => format!("there is no plugin `{name}`: the configuration names none"),
                names => format!("there is no plugin `{name}`: there are {}", names.join(", ")),
            }
        })?;
        slot.health.forgive();
        self.resolve(format!("plugin/{name}/quarantined"));
        let other = self.look(&slot).await;
        match slot.look().refused.clone() {
            Some(why) => Err(why),
            None => Ok(other),
        }
    }

    /// All of them, as they are now.
    pub fn list(&self) -> Vec<View> {
        self.slots().iter().map(|slot| view::of(slot)).collect()
    }

    /// Ends their processes in good order.
    pub async fn shutdown(&self) {
        let retire = |slot: &Arc<slot::Slot>| slot.put(None);
        let versions: Vec<_> = self.slots().iter().filter_map(retire).collect();
        futures_util::future::join_all(versions.iter().map(|version| version.runner.retire())).await;
    }

    fn slots(&self) -> Vec<Arc<slot::Slot>> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn slot(&self, name: &str) -> Option<Arc<slot::Slot>> {
        self.slots().into_iter().find(|slot| slot.spec.name == name)
    }

    fn with_slots(&self, change: impl FnOnce(&mut Vec<Arc<slot::Slot>>)) {
        change(&mut self.0.slots.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Stands where there is nobody to tell.
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

/// Loads the library of `spec` in a process of its own, whatever its isolation says, and asks what it is.
///
/// # Errors
/// In words.
pub async fn inspect(spec: &Spec, spawner: &Spawner) -> Result<Inspected, String> {
    let image = image::Image::take(&spec.path)?;
    image.fits(spec.sha256.as_deref())?;
    let (child, text) = child::Child::start(spec, &image, spawner).await?;
    child.retire().await;
    let said = manifest::read(&text, spec.timeout)?;
    for known in &said.actions {
        if actions::BUILTIN.contains(&known.spec.name.as_str()) {
            return Err(format!("its action `{}` is built in: give it another name", known.spec.name));
        }
    }
    Ok(Inspected { sha256: image.sha256, size: image.size, said })
}

/// The actions that each of `specs` adds, or why it does not load; asked in processes that end again. Blocks.
pub fn ask(specs: &[Spec]) -> Vec<Result<Vec<actions::Spec>, String>> {
    if specs.is_empty() {
        return Vec::new();
    }
    let broke =
        |error: std::io::Error| specs.iter().map(|_| Err(format!("failed to start: {error}"))).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return broke(error),
    };
    runtime.block_on(async {
        let spawner = match Spawner::new(Shim::own()) {
            Ok(spawner) => spawner,
            Err(error) => return broke(error),
        };
        let asked = specs.iter().map(async |spec| {
            let found = inspect(spec, &spawner).await?;
            Ok(found.said.actions.into_iter().map(|known| known.spec).collect())
        });
        futures_util::future::join_all(asked).await
    })
}

/// The names of all actions that there are with these plugins, for those who check playbooks. Blocks.
pub fn names(specs: &[Spec]) -> Vec<String> {
    let added = ask(specs).into_iter().filter_map(Result::ok).flatten().map(|spec| spec.name);
    actions::BUILTIN.map(String::from).into_iter().chain(added).collect()
}

/// Hash of the file at `path`, as 64 hexadecimal digits.
///
/// # Errors
/// In words, when it cannot be read.
pub fn sha256(path: &Path) -> Result<String, String> {
    Ok(image::Image::take(path)?.sha256)
}
