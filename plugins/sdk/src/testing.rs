//! Tests a plugin in the test's own process: the same requests, checks and answers as in the engine.

use serde_json::{Value, json};

use crate::message::{Answer, Context, Found, Manifest};
use crate::plugin::Serve;
use crate::{Failure, schema};

/// A plugin that was started.
pub struct Harness {
    plugin: Box<dyn Serve>,
    manifest: Manifest,
}

impl Harness {
    /// Starts a plugin without a configuration.
    ///
    /// # Panics
    /// When it does not start: then the test has failed.
    pub fn start(plugin: impl Serve + 'static) -> Self {
        match Self::start_with(plugin, Value::Null) {
            Ok(harness) => harness,
            Err(failure) => panic!("the plugin does not start: {failure}"),
        }
    }

    /// Starts a plugin with this `config:`.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn start_with(plugin: impl Serve + 'static, config: Value) -> Result<Self, Failure> {
        let manifest = serde_json::from_str(&plugin.manifest())?;
        plugin.start(config.to_string().as_bytes())?;
        Ok(Self { plugin: Box::new(plugin), manifest })
    }

    /// What the plugin says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Calls an action as a playbook does. Parameters and result are checked against their schemas.
    ///
    /// # Errors
    /// `invalid` if the parameters are wrong; `result` if the result is not what its schema says; else what the action
    /// says.
    pub fn call(&self, action: &str, params: Value) -> Result<Value, Failure> {
        self.call_as(action, params, &Context { key: "test".into(), ..Context::default() })
    }

    /// The same, in this context.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn call_as(&self, action: &str, params: Value, context: &Context) -> Result<Value, Failure> {
        let value = self.ask("call", action, &params, context)?;
        let spec = self.manifest.actions.iter().find(|spec| spec.name == action);
        if let Some(spec) = spec {
            schema::check(&spec.result, &value).map_err(|problem| Failure::new("result", problem))?;
        }
        Ok(value)
    }

    /// What a call would do.
    ///
    /// # Errors
    /// As [`Self::call`], and `invalid` if the action has no dry run.
    pub fn dry_run(&self, action: &str, params: Value) -> Result<Value, Failure> {
        self.ask("dry_run", action, &params, &Context::default())
    }

    /// Whether the call with this context's key has had its effect, and what it gave.
    ///
    /// # Errors
    /// As [`Self::call`], and `invalid` if the action has no probe.
    pub fn probe(&self, action: &str, params: Value, context: &Context) -> Result<Option<Value>, Failure> {
        let found: Found = serde_json::from_value(self.ask("probe", action, &params, context)?)?;
        Ok(found.done.then_some(found.result))
    }

    fn ask(&self, op: &str, action: &str, params: &Value, context: &Context) -> Result<Value, Failure> {
        if let Some(spec) = self.manifest.actions.iter().find(|spec| spec.name == action) {
            schema::check(&spec.params, params)
                .map_err(|problem| Failure::invalid(format!("`{action}`: {problem}")))?;
        }
        let request = json!({ "op": op, "action": action, "params": params, "context": context });
        match serde_json::from_slice(&self.plugin.answer(request.to_string().as_bytes()))? {
            Answer::Ok(value) => Ok(value),
            Answer::Error(failure) => Err(failure),
        }
    }
}
