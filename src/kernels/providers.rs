//! Who carries out start and stop; one file a provider.
//!
//! Start with [`Outside`], the port to whatever keeps kernels outside the engine; adding one is a file here, a line in
//! [`open`] and a word in [`Provider`]. The engine's own processes (`process`) need no such port.

#[cfg(feature = "docker")]
mod docker;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kubernetes")]
mod kubernetes;
pub mod process;
#[cfg(feature = "systemd")]
mod systemd;
#[cfg(any(feature = "docker", feature = "http", feature = "kubernetes"))]
mod web;

use std::time::Duration;

use super::body::Done;
use super::spec::{Provider, Spec};
use super::view::State;

/// A kernel that lives outside the engine, as its provider speaks for it. It judges nothing over time.
///
/// Failures: `invalid` where there is no such thing, `refused` where the engine may not, `failed` and retryable where
/// nobody answers or something is in the way just now.
pub(super) trait Outside: Send + Sync {
    /// How it stands now.
    fn look(&self) -> Done<'_, Sight>;

    /// Starts it. Comes back when the provider has done so, or when from now on a look shows it booting. So do the others.
    fn start<'a>(&'a self, key: &'a str) -> Done<'a>;

    /// Stops it, with `grace` where the provider knows such a thing.
    fn stop<'a>(&'a self, grace: Duration, key: &'a str) -> Done<'a>;

    /// Stops and starts it.
    fn restart<'a>(&'a self, grace: Duration, key: &'a str) -> Done<'a>;

    /// Wishes for `n` replicas; asked only where the specification lets it have several.
    fn scale<'a>(&'a self, n: u32, key: &'a str) -> Done<'a>;

    /// The last `n` lines that it printed, oldest first.
    fn logs(&self, n: usize) -> Done<'_, Vec<String>>;

    /// Whether the provider itself takes the same key twice as once.
    fn keeps_keys(&self) -> bool {
        false
    }
}

/// How something outside stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    /// `Stopped` where somebody wished for that, `Exited` where it ended by itself.
    pub(super) state: State,
    /// What is wrong, in words that follow its name.
    pub(super) problem: Option<String>,
    /// One look is enough to believe that it is unhealthy.
    pub(super) certain: bool,
    /// What does not answer may as well be stopped.
    pub(super) vague: bool,
    /// Changes with every start.
    pub(super) instance: Option<String>,
    /// Processes of this machine.
    pub(super) pids: Vec<u32>,
    /// Replicas wished for, and those that work.
    pub(super) replicas: Option<(u32, u32)>,
    /// How it ended.
    pub(super) exit_code: Option<i64>,
}

impl Sight {
    /// One of this state, of which no more is known.
    pub(super) fn of(state: State) -> Self {
        Self {
            state,
            problem: None,
            certain: false,
            vague: false,
            instance: None,
            pids: Vec::new(),
            replicas: None,
            exit_code: None,
        }
    }
}

/// The port to what `spec` names. Nothing is contacted yet.
///
/// # Errors
/// In words, when its provider is not built in or something that it needs cannot be read.
pub(super) fn open(spec: &Spec, spawner: &process::Spawner) -> Result<Box<dyn Outside>, String> {
    // Some builds have no provider that starts programs.
    let _ = spawner;
    match spec.provider {
        #[cfg(feature = "docker")]
        Provider::Docker => Ok(Box::new(docker::Container::try_new(spec)?)),
        #[cfg(feature = "http")]
        Provider::Http => Ok(Box::new(http::Service::try_new(spec)?)),
        #[cfg(feature = "kubernetes")]
        Provider::Kubernetes => Ok(Box::new(kubernetes::Deployment::try_new(spec, spawner.clone())?)),
        #[cfg(feature = "systemd")]
        Provider::Systemd => Ok(Box::new(systemd::Unit::new(spec, spawner.clone()))),
        provider => {
            Err(format!("`{}` is not a provider of things outside that is built in", provider.as_str()))
        }
    }
}
