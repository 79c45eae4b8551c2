//! A plugin: its name, its state, its actions; and how it answers a request.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::message::{Answer, Manifest, Request};
use crate::{Action, Failure};

/// A plugin. Without a state of its own it is a list of functions; with one, each action is given the state.
pub struct Plugin<S = ()> {
    name: String,
    version: String,
    doc: String,
    start: Box<dyn Fn(Value) -> Result<S, Failure> + Send + Sync>,
    actions: Vec<Action<S>>,
    state: OnceLock<S>,
}

/// What the glue needs of a plugin of any state.
pub trait Serve: Send + Sync {
    /// What it says of itself, as JSON.
    fn manifest(&self) -> String;
    /// Makes its state from its configuration.
    ///
    /// # Errors
    /// When the configuration is wrong, or the plugin cannot work.
    fn start(&self, config: &[u8]) -> Result<(), Failure>;
    /// Answers a request; never panics.
    fn answer(&self, request: &[u8]) -> Vec<u8>;
}

impl Plugin {
    /// A plugin without a state. `version` is usually `env!("CARGO_PKG_VERSION")`.
    pub fn new(name: &str, version: &str) -> Self {
        Self::with_state(name, version, |config: Value| match config {
            Value::Null => Ok(()),
            Value::Object(map) if map.is_empty() => Ok(()),
            _ => Err(Failure::invalid("this plugin takes no configuration")),
        })
    }
}

impl<S: Send + Sync + 'static> Plugin<S> {
    /// A plugin whose state `start` makes of its part of the configuration, once, before the first call. Calls may be
    /// served by several processes, each with a state of its own: keep nothing in it that must not be lost.
    pub fn with_state<C: DeserializeOwned>(
        name: &str,
        version: &str,
        start: impl Fn(C) -> Result<S, Failure> + Send + Sync + 'static,
    ) -> Self {
        let start = move |config: Value| {
            let config = if config.is_null() { Value::Object(serde_json::Map::new()) } else { config };
            match serde_json::from_value(config.clone()) {
                Ok(config) => start(config),
                // One that wants no object at all is given what there is.
                Err(error) => match serde_json::from_value(Value::Null) {
                    Ok(nothing) if config.as_object().is_some_and(serde_json::Map::is_empty) => {
                        start(nothing)
                    }
                    _ => Err(Failure::invalid(format!("`config:` cannot be read: {error}"))),
                },
            }
        };
        Self {
            name: name.into(),
            version: version.into(),
            doc: String::new(),
            start: Box::new(start),
            actions: Vec::new(),
            state: OnceLock::new(),
        }
    }

    /// One line on what it is for.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        self.doc = doc.into();
        self
    }

    /// Adds an action.
    #[must_use]
    pub fn action(mut self, action: Action<S>) -> Self {
        self.actions.push(action);
        self
    }

    fn try_answer(&self, request: &[u8]) -> Result<Box<serde_json::value::RawValue>, Failure> {
        let request: Request<'_> = serde_json::from_slice(request)
            .map_err(|error| Failure::new("plugin", format!("the request cannot be read: {error}")))?;
        let state = self.state.get().ok_or_else(|| Failure::new("plugin", "the plugin was not started"))?;
        let action = self.actions.iter().find(|action| action.spec.name == request.action);
        let Some(action) = action else {
            return Err(Failure::invalid(format!("this plugin has no action `{}`", request.action)));
        };
        catch_unwind(AssertUnwindSafe(|| action.answer(state, &request)))
            .unwrap_or_else(|panic| Err(Failure::new("panic", words(panic.as_ref()))))
    }
}

impl<S: Send + Sync + 'static> Serve for Plugin<S> {
    fn manifest(&self) -> String {
        let manifest = Manifest {
            name: self.name.clone(),
            version: self.version.clone(),
            doc: self.doc.clone(),
            actions: self.actions.iter().map(|action| action.spec.clone()).collect(),
        };
        serde_json::to_string(&manifest).unwrap_or_default()
    }

    fn start(&self, config: &[u8]) -> Result<(), Failure> {
        let config = serde_json::from_slice(config)
            .map_err(|error| Failure::invalid(format!("`config:` cannot be read: {error}")))?;
        let state = catch_unwind(AssertUnwindSafe(|| (self.start)(config)))
            .unwrap_or_else(|panic| Err(Failure::new("panic", words(panic.as_ref()))))?;
        self.state.set(state).map_err(|_| Failure::new("plugin", "the plugin was started twice"))
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let answer = match self.try_answer(request) {
            Ok(value) => Answer::Ok(value),
            Err(failure) => Answer::Error(failure),
        };
        serde_json::to_vec(&answer).unwrap_or_default()
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the action panicked: {}", text.unwrap_or_else(|| "it did not say why".into()))
}
