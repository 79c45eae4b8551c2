//! Actions: everything that has an effect on the world outside.
//!
//! Start with [`Action`] and [`Registry`]. An action knows nothing of playbooks or rules: it gets its parameters,
//! checked against its schema, and an idempotency key which is the same when the same step is repeated.
//! Adding one is a new file here and one line in [`Registry::builtin`].

mod alert;
mod config;
mod diagnostic;
mod exec;
mod http;
mod intent;
mod kernel;
mod schema;
mod last_words;
mod secret;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use alert::{Channels, Notice, Trouble};
pub use config::{
    AlertConfig, Config, DiagnosticConfig, ExecConfig, HttpConfig, HttpSecret, MailTls, Many,
    PagerDutyConfig, Place, Problem, Program, SlackConfig, SmtpConfig, WebhookConfig, missing_program,
};
pub use last_words::LastWords;
pub use schema::check as check_schema;
pub use secret::{Secret, SecretRef};

use crate::kernels::{Registry as Kernels, Spawner};
use crate::model::alert::Level;
use crate::model::{AlertId, Failure, IntentId, Priority, Risk, RunId, Span};

/// Something that has an effect.
///
/// Dropping the future of a call breaks the effect off where that is possible: a time-out does so.
pub trait Action: Send + Sync {
    /// What it is and takes.
    fn spec(&self) -> &Spec;

    /// Has the effect. The parameters have been checked.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>>;

    /// Whether this call, made again with the same key, does no more than once.
    fn idempotent(&self, _call: &Call) -> bool {
        self.spec().idempotent
    }

    /// For an action that is not idempotent: looks whether a call whose end nobody saw has had its effect, and what it
    /// gave. `None`: it cannot tell.
    fn probe(&self, _call: &Call) -> Option<BoxFuture<'static, Result<Option<Value>, Failure>>> {
        None
    }

    /// What a call would do, in words.
    fn dry_run(&self, call: &Call) -> String;

    /// What a call would do, for an action that must ask somebody to know: in words or as a value.
    fn preview(&self, call: &Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let words = self.dry_run(call);
        Box::pin(async move { Ok(words.into()) })
    }
}

/// What an action is and takes.
#[derive(Clone, Debug, Serialize)]
pub struct Spec {
    /// Such as `kernel.restart`.
    pub name: String,
    /// One line.
    pub doc: String,
    /// JSON Schema of its parameters.
    pub params: Value,
    /// JSON Schema of what it gives.
    pub result: Value,
    /// Whether every call may be repeated with the same key.
    pub idempotent: bool,
    /// Whether it changes anything but what people and the engine know: what does is held while it is frozen.
    pub acts: bool,
    /// How much harm it can do.
    pub risk: Risk,
    /// How long it may take, if the call does not say.
    pub timeout: Span,
}

/// One call of an action.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Which action.
    pub name: String,
    /// With what.
    pub params: Map<String, Value>,
    /// Idempotency key: the same when the same step is repeated.
    pub key: String,
    /// What the intent is about; empty outside an intent.
    pub target: String,
    /// For which intent.
    pub intent: Option<IntentId>,
    /// In which run.
    pub run: Option<RunId>,
    /// At which place of its journal.
    pub step: u32,
    /// Which rule fired; empty outside an intent.
    pub rule: String,
    /// What the caller's own words may be taken for as options of a program: texts of the playbook's source, which no
    /// event can have brought along.
    pub options: Arc<[String]>,
    /// Only say what would be done.
    pub dry: bool,
    /// Where the action leaves what it would say if its time were up.
    pub last_words: LastWords,
}

/// The alert list, which the engine keeps.
pub trait Alerts: Send + Sync {
    /// Puts an alert on the list; one of the same key that is still active is counted instead.
    fn raise(
        &self,
        key: String,
        level: Level,
        title: String,
        message: String,
        target: Option<String>,
        intent: Option<IntentId>,
    ) -> BoxFuture<'static, Result<AlertId, Failure>>;

    /// What was behind `key` is over: its alert is resolved, if one is open. Where no list is kept there is none.
    fn resolve(&self, _key: String) -> BoxFuture<'static, Result<Option<AlertId>, Failure>> {
        Box::pin(async { Ok(None) })
    }
}

/// The way to a new intent, which the engine offers.
pub trait Intents: Send + Sync {
    /// Creates an intent; the same key again gives the one created before.
    fn create(&self, new: NewIntent) -> BoxFuture<'static, Result<IntentId, Failure>>;
}

/// An intent that an action, a person or another system wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewIntent {
    /// What is wanted, in words.
    pub goal: String,
    /// The one thing to act on.
    pub target: String,
    /// Order of service.
    #[serde(default)]
    pub priority: Priority,
    /// `infrastructure` if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What learning tells apart.
    #[serde(default)]
    pub class: String,
    /// Candidates.
    pub playbooks: Vec<String>,
    /// Reach the playbook as `ctx.params`.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// The same key, the same intent.
    #[serde(default)]
    pub key: String,
    /// The intent whose playbook asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<IntentId>,
}

/// What the built-in actions work with.
#[derive(Clone)]
pub struct Ports {
    /// What `kernel.*` acts on.
    pub kernels: Kernels,
    /// What `exec.run` starts processes with.
    pub spawner: Spawner,
    /// Where `alert.operator` puts alerts.
    pub alerts: Arc<dyn Alerts>,
    /// Where `intent.create` goes.
    pub intents: Arc<dyn Intents>,
    /// What an operator allows.
    pub config: Config,
}

/// Names of the built-in actions, for those who check playbooks without an engine.
pub const BUILTIN: [&str; 11] = [
    "alert.operator",
    "diagnostic.run",
    "exec.run",
    "http.request",
    "intent.create",
    "kernel.health",
    "kernel.logs",
    "kernel.restart",
    "kernel.scale",
    "kernel.start",
    "kernel.stop",
];

/// All actions by name. Clones share them: plugins come and go while others look.
#[derive(Clone, Default)]
pub struct Registry {
    actions: Arc<RwLock<BTreeMap<String, Arc<dyn Action>>>>,
}

impl Registry {
    /// Those that are built in.
    pub fn builtin(ports: &Ports) -> Self {
        let registry = Self::default();
        for action in kernel::all(&ports.kernels) {
            registry.add(action);
        }
        registry.add(Arc::new(diagnostic::Run::new(
            ports.kernels.clone(),
            ports.spawner.clone(),
            ports.config.diagnostic.clone(),
        )));
        registry.add(Arc::new(alert::Operator::new(Arc::clone(&ports.alerts), &ports.config.alert)));
        registry.add(Arc::new(http::Request::new(ports.config.http.clone())));
        registry.add(Arc::new(exec::Run::new(ports.spawner.clone(), ports.config.exec.clone())));
        registry.add(Arc::new(intent::Create::new(Arc::clone(&ports.intents))));
        registry
    }

    /// Adds an action; one of the same name is replaced and given back.
    pub fn add(&self, action: Arc<dyn Action>) -> Option<Arc<dyn Action>> {
        self.write().insert(action.spec().name.clone(), action)
    }

    /// Takes out the actions named in `old` and puts `new` in, at once.
    ///
    /// # Errors
    /// The name of one that somebody else has; then nothing changes.
    pub fn replace(&self, old: &[String], new: Vec<Arc<dyn Action>>) -> Result<(), String> {
        let mut actions = self.write();
        let taken = |name: &String| actions.contains_key(name) && !old.contains(name);
        if let Some(action) = new.iter().find(|action| taken(&action.spec().name)) {
            return Err(action.spec().name.clone());
        }
        actions.retain(|name, _| !old.contains(name));
        actions.extend(new.into_iter().map(|action| (action.spec().name.clone(), action)));
        Ok(())
    }

    /// One action.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Action>> {
        self.read().get(name).cloned()
    }

    /// Every action, by name.
    pub fn list(&self) -> Vec<Spec> {
        self.read().values().map(|action| action.spec().clone()).collect()
    }

    /// Every name, sorted.
    pub fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<dyn Action>>> {
        self.actions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Arc<dyn Action>>> {
        self.actions.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the parameters of `call`, then makes it, within `timeout` or the action's own. With `call.dry` nothing
    /// is done and the result is `{"dry_run": words}`.
    ///
    /// # Errors
    /// `invalid`: no such action, or a parameter is wrong (the message names it). `timeout`: it took too long, and was
    /// broken off. Else whatever the action says.
    pub fn call(&self, call: Call, timeout: Option<Span>) -> BoxFuture<'static, Result<Value, Failure>> {
        let action = self.get(&call.name);
        let known = if action.is_none() { self.names().join(", ") } else { String::new() };
        Box::pin(async move {
            let name = call.name.clone();
            let Some(action) = action else {
                let message = format!("no action is named `{name}`: there are {known}");
                return Err(Failure::new("invalid", message).of(&name));
            };
            run(&*action, call, timeout).await.map_err(|failure| failure.of(&name))
        })
    }
}

async fn run(action: &dyn Action, call: Call, timeout: Option<Span>) -> Result<Value, Failure> {
    check(action.spec(), &call)?;
    if call.dry {
        let limit = timeout.unwrap_or(action.spec().timeout);
        let said = tokio::time::timeout(limit.0, action.preview(&call)).await.unwrap_or_else(|_| {
            Err(Failure::retryable("timeout", format!("what it would do was not known within {limit}")))
        });
        return Ok(json!({ "dry_run": said? }));
    }
    within(action, call, timeout.unwrap_or(action.spec().timeout)).await
}

/// Makes a call whose parameters have been checked, and breaks it off after `limit`.
///
/// # Errors
/// `timeout`, retryable if the call may be repeated; else whatever the action says.
pub async fn within(action: &dyn Action, call: Call, limit: Span) -> Result<Value, Failure> {
    let again = action.idempotent(&call);
    // Of this try alone.
    let last_words = LastWords::default();
    let call = Call { last_words: last_words.clone(), ..call };
    match tokio::time::timeout(limit.0, action.call(call)).await {
        Ok(result) => result,
        Err(_) => {
            let said = last_words.ask();
            let said = if said.is_empty() { said } else { format!(": {said}") };
            let message = format!("`{}` did not end within {limit}{said}", action.spec().name);
            Err(Failure { retryable: again, ..Failure::new("timeout", message) })
        }
    }
}

/// Checks the parameters of a call against the schema.
///
/// # Errors
/// `invalid`, naming the parameter and what was expected.
pub fn check(spec: &Spec, call: &Call) -> Result<(), Failure> {
    schema::check(&spec.params, &Value::Object(call.params.clone()))
        .map_err(|problem| Failure::new("invalid", format!("`{}`: {problem}", spec.name)))
}

#[cfg(test)]
mod tests;
