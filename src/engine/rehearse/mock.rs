//! Actions that only answer: as the test says, or else as the action usually does when all is well.
//!
//! What an action usually gives is made from the schema of its result; a kernel that is started or scaled usually says
//! `telemetry.kernel.healthy`. `alert.operator` and `intent.create` act on the engine alone, so they stay real.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::case::{Answer, Then};
use crate::actions::{Action, Call, Registry, Spec, check_schema};
use crate::bus::Publisher;
use crate::model::{Clock, Event, Failure, Span, Topic};

/// Actions that act on the engine alone.
const REAL: [&str; 2] = ["alert.operator", "intent.create"];

/// What the world of a test is made of.
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) publisher: Arc<dyn Publisher>,
    /// Events that are still to come of actions.
    pub(super) coming: AtomicUsize,
    pub(super) made: AtomicUsize,
}

/// The actions of a test: `real` ones where they are harmless, else, as those of plugins, played by `answers`.
pub(super) fn registry(
    real: &Registry,
    plugins: &[Spec],
    answers: &BTreeMap<String, Vec<Answer>>,
    world: &Arc<World>,
) -> Registry {
    let all = Registry::default();
    for spec in real.list().into_iter().chain(plugins.iter().cloned()) {
        let given = answers.get(&spec.name).cloned();
        match (real.get(&spec.name), given) {
            (Some(action), None) if REAL.contains(&spec.name.as_str()) => drop(all.add(action)),
            (_, given) => {
                let answers = given.unwrap_or_default();
                drop(all.add(Arc::new(Mock {
                    spec,
                    answers,
                    calls: AtomicUsize::new(0),
                    world: world.clone(),
                })));
            }
        }
    }
    all
}

/// Adds those of `plugins` to `all`, to be asked what they would do and never to be called.
pub(in crate::engine) fn plan(all: &Registry, plugins: &[Spec]) {
    for spec in plugins {
        drop(all.add(Arc::new(Planned(spec.clone()))));
    }
}

struct Planned(Spec);

impl Action for Planned {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn call(&self, _call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let failure = Failure::new("failed", "this is only planned").of(&self.0.name);
        std::future::ready(Err(failure)).boxed()
    }

    fn dry_run(&self, _call: &Call) -> String {
        format!("would call {} of a plugin", self.0.name)
    }
}

struct Mock {
    spec: Spec,
    answers: Vec<Answer>,
    calls: AtomicUsize,
    world: Arc<World>,
}

impl Action for Mock {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(n).or(self.answers.last()).cloned().unwrap_or_default();
        let result = answer.result.unwrap_or(Ok(Value::Null)).map(|said| filled(said, &self.spec, &call));
        let usually = || if result.is_ok() { usually_then(&self.spec.name, &call) } else { vec![] };
        let then = answer.then.unwrap_or_else(usually);
        let world = self.world.clone();
        async move {
            if !answer.takes.is_zero() {
                tokio::time::sleep(answer.takes.0).await;
            }
            for event in then {
                world.let_happen(event, &call.target);
            }
            result
        }
        .boxed()
    }

    fn dry_run(&self, _call: &Call) -> String {
        format!("would call {}", self.spec.name)
    }
}

impl World {
    fn let_happen(self: &Arc<Self>, then: Then, target: &str) {
        let n = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        let subject = then.subject.unwrap_or_else(|| target.into());
        let world = self.clone();
        let happen = move || {
            let now = world.clock.now();
            let event = Event::new(format!("then-{n}"), then.topic, then.source, now, then.data);
            world.publisher.publish(event.about(subject));
        };
        if then.after.is_zero() {
            return happen();
        }
        self.coming.fetch_add(1, Ordering::SeqCst);
        let world = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(then.after.0).await;
            happen();
            world.coming.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// What a test says an action gives, with what it leaves out as usual.
fn filled(said: Value, spec: &Spec, call: &Call) -> Value {
    match (said, usual(spec, call)) {
        (Value::Null, usual) => usual,
        (Value::Object(said), Value::Object(mut all)) => {
            if said.get("healthy") == Some(&json!(false)) {
                all.insert("state".into(), "unhealthy".into());
            }
            all.extend(said);
            Value::Object(all)
        }
        (said, _) => said,
    }
}

/// What the action gives when all is well: what its schema says, with the call's own values where names agree.
pub(in crate::engine) fn usual(spec: &Spec, call: &Call) -> Value {
    let mut result = sample(&spec.result, Some(&call.params));
    if let (Some("kernel"), Some(result)) = (spec.name.split('.').next(), result.as_object_mut())
        && result.contains_key("state")
    {
        let state = if spec.name == "kernel.stop" { "stopped" } else { "healthy" };
        result.insert("state".into(), state.into());
    }
    result
}

fn usually_then(action: &str, call: &Call) -> Vec<Then> {
    let topic = Topic::try_new("telemetry.kernel.healthy");
    let (Ok(topic), Some(kernel)) = (topic, call.params.get("kernel").and_then(Value::as_str)) else {
        return vec![];
    };
    if !["kernel.restart", "kernel.start", "kernel.scale"].contains(&action) {
        return vec![];
    }
    vec![Then {
        after: Span::default(),
        topic,
        source: "kernels".into(),
        subject: Some(kernel.into()),
        data: json!({ "kernel": kernel, "state": "healthy", "reason": "booted", "boot_duration_ms": 200, "baseline_ms": 500 }),
    }]
}

/// A value that `schema` allows: the first of an enumeration, the least of a number, `true`, an empty text or list.
pub(super) fn sample(schema: &Value, echo: Option<&Map<String, Value>>) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if kinds.contains(&"null") {
        return Value::Null;
    }
    match kinds.first() {
        Some(&"object") => {
            let fields = schema["properties"].as_object();
            let field = |(name, schema): (&String, &Value)| {
                let fits = |value: &&Value| check_schema(schema, value).is_ok();
                let known = echo.and_then(|echo| echo.get(name)).filter(fits).cloned();
                (name.clone(), known.unwrap_or_else(|| sample(schema, None)))
            };
            Value::Object(fields.into_iter().flatten().map(field).collect())
        }
        Some(&"array") => json!([]),
        Some(&"boolean") => json!(true),
        Some(&"integer" | &"number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some(&"string") => json!(""),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_action_usually_gives_is_what_its_schema_allows() {
        let schema = json!({ "type": "object", "properties": {
            "kernel": { "type": "string" }, "n": { "type": "integer", "minimum": 1 }, "well": { "type": "boolean" },
            "level": { "enum": ["info", "bad"] }, "lines": { "type": "array" }, "ms": { "type": ["number", "null"] },
        } });
        let echo = json!({ "kernel": "k1", "lines": 40, "other": 1 });
        let value = sample(&schema, echo.as_object());
        assert_eq!(
            value,
            json!({ "kernel": "k1", "n": 1, "well": true, "level": "info", "lines": [], "ms": null })
        );
        assert_eq!(check_schema(&schema, &value), Ok(()));
    }
}
