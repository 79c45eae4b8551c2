//! `kernel.restart`, `start`, `stop`, `scale`, `health`, `logs`: what the registry of kernels can do.
//!
//! All may be repeated: the registry remembers keys for as long as it lives, and its processes do not outlive it. Of what
//! lives outside it notes a restart before it begins, and looks at its next life whether that was done.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::schema::{number, span, text};
use super::{Action, Call, Spec};
use crate::kernels::{Registry, View};
use crate::model::{Failure, Risk, Span};

/// One of them.
struct Kernel {
    kernels: Registry,
    verb: Verb,
    spec: Spec,
}

#[derive(Clone, Copy)]
enum Verb {
    Restart,
    Start,
    Stop,
    Scale,
    Health,
    Logs,
}

/// Lines of a log, if the call does not say.
const LINES: u64 = 50;

/// All of them.
pub(super) fn all(kernels: &Registry) -> Vec<Arc<dyn Action>> {
    use Verb::{Health, Logs, Restart, Scale, Start, Stop};
    let of = |verb: &Verb| Arc::new(Kernel { kernels: kernels.clone(), verb: *verb, spec: verb.spec() }) as _;
    [Restart, Start, Stop, Scale, Health, Logs].iter().map(of).collect()
}

impl Verb {
    fn spec(self) -> Spec {
        let grace = json!({ "type": ["string", "number"], "format": "duration", "description": "time between SIGTERM and SIGKILL; the kernel's own if not said" });
        let (name, doc, risk, timeout, extra) = match self {
            Self::Restart => (
                "restart",
                "Stops a kernel and starts it anew; done when it is healthy.",
                Risk::Low,
                120,
                json!({
                    "grace": grace,
                    "dependants": { "type": "boolean", "description": "whether those that depend on it are stopped before, the last first, and started after it, in order; false if not said" },
                }),
            ),
            Self::Start => (
                "start",
                "Starts what does not run of a kernel; done when it is healthy.",
                Risk::Low,
                120,
                json!({}),
            ),
            Self::Stop => (
                "stop",
                "Stops a kernel, which stays down until it is started.",
                Risk::Medium,
                60,
                json!({ "grace": grace }),
            ),
            Self::Scale => (
                "scale",
                "Brings a kernel to a number of replicas; done when new ones are healthy.",
                Risk::Low,
                120,
                json!({
                    "replicas": { "type": "integer", "minimum": 1, "description": "how many there shall be" },
                }),
            ),
            Self::Health => ("health", "Looks whether a kernel works.", Risk::Low, 15, json!({})),
            Self::Logs => (
                "logs",
                "Gives the last lines that a kernel printed.",
                Risk::Low,
                15,
                json!({
                    "lines": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "how many, of each replica; 50 if not said" },
                }),
            ),
        };
        let mut params = json!({
            "type": "object",
            "properties": { "kernel": { "type": "string", "minLength": 1, "description": "name of the kernel" } },
            "required": ["kernel"],
            "additionalProperties": false,
        });
        if let (Some(all), Value::Object(extra)) = (params["properties"].as_object_mut(), extra) {
            all.extend(extra);
        }
        if matches!(self, Self::Scale) {
            params["required"] = json!(["kernel", "replicas"]);
        }
        Spec {
            name: format!("kernel.{name}"),
            doc: doc.into(),
            params,
            result: self.result(),
            idempotent: true,
            acts: !matches!(self, Self::Health | Self::Logs),
            risk,
            timeout: Span::secs(timeout),
        }
    }

    fn result(self) -> Value {
        let properties = match self {
            Self::Health => json!({
                "kernel": { "type": "string" },
                "healthy": { "type": "boolean" },
                "state": { "type": "string" },
                "problems": { "type": "array", "items": { "type": "string" } },
                "waits_for": { "type": "array", "items": { "type": "string" }, "description": "what it depends on and is not healthy, while it is down" },
                "generation": { "type": "integer" },
            }),
            Self::Logs => json!({
                "kernel": { "type": "string" },
                "lines": { "type": "array", "items": { "type": "string" } },
            }),
            _ => json!({
                "kernel": { "type": "string" },
                "state": { "type": "string" },
                "pids": { "type": "array", "items": { "type": "integer" } },
                "replicas": { "type": "integer" },
                "generation": { "type": "integer" },
                "boot_ms": { "type": ["number", "null"] },
            }),
        };
        json!({ "type": "object", "properties": properties })
    }
}

impl Action for Kernel {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let (kernels, verb) = (self.kernels.clone(), self.verb);
        Box::pin(async move {
            let kernels = kernels.on_behalf_of(&who(&call));
            let params = &call.params;
            let kernel = text(params, "kernel").unwrap_or_default();
            let (grace, key) = (span(params, "grace"), call.key.as_str());
            match verb {
                Verb::Restart if with_dependants(params) => {
                    kernels.restart_with_dependants(kernel, grace, key).await.map(|view| brief(&view))
                }
                Verb::Restart => kernels.restart(kernel, grace, key).await.map(|view| brief(&view)),
                Verb::Start => kernels.start(kernel, key).await.map(|view| brief(&view)),
                Verb::Stop => kernels.stop(kernel, grace, key).await.map(|view| brief(&view)),
                Verb::Scale => {
                    let n = u32::try_from(number(params, "replicas").unwrap_or(0)).unwrap_or(u32::MAX);
                    kernels.scale(kernel, n, key).await.map(|view| brief(&view))
                }
                Verb::Health => kernels.health(kernel).await.map(|health| json!(health)),
                Verb::Logs => {
                    let n = usize::try_from(number(params, "lines").unwrap_or(LINES)).unwrap_or(usize::MAX);
                    let lines = kernels.logs(kernel, n).await?;
                    Ok(json!({ "kernel": kernel, "lines": lines }))
                }
            }
        })
    }

    fn dry_run(&self, call: &Call) -> String {
        let kernel = text(&call.params, "kernel").unwrap_or_default();
        let Some(view) = self.kernels.get(kernel) else {
            return format!("would fail: there is no kernel `{kernel}`");
        };
        let grace = span(&call.params, "grace")
            .map(|grace| format!(", with {grace} between SIGTERM and SIGKILL"))
            .unwrap_or_default();
        let planned = self.kernels.is_planned();
        let now = match planned {
            true => format!("kernel `{kernel}` ({})", written(&view)),
            false => {
                format!(
                    "kernel `{kernel}`, which is {} with {} replicas",
                    view.state.as_str(),
                    running(&view)
                )
            }
        };
        match self.verb {
            Verb::Restart => {
                let taken =
                    if with_dependants(&call.params) { self.kernels.dependants(kernel) } else { Vec::new() };
                let taken = match taken.as_slice() {
                    [] => String::new(),
                    names => format!(", with those that depend on it: {}", names.join(", ")),
                };
                format!("would restart {now}{grace}{taken}")
            }
            Verb::Start if planned => format!("would start {now}, if it does not run"),
            Verb::Start if running(&view) >= view.desired => {
                format!("would do nothing: it would start {now}")
            }
            Verb::Start => format!("would start {now}, up to {}", view.desired),
            Verb::Stop => format!("would stop {now}{grace}"),
            Verb::Scale => {
                let to = number(&call.params, "replicas").unwrap_or_default();
                if (u64::from(view.min)..=u64::from(view.max)).contains(&to) {
                    if planned {
                        return format!("would scale {now} to {to}");
                    }
                    format!("would scale {now}, from {} to {to}", view.desired)
                } else {
                    format!(
                        "would fail: {to} is outside of {} to {} replicas of kernel `{kernel}`",
                        view.min, view.max
                    )
                }
            }
            Verb::Health => format!("would look whether kernel `{kernel}` works"),
            Verb::Logs => format!("would read the log of kernel `{kernel}`"),
        }
    }
}

/// What an operator wrote of it that says what an operation touches.
fn written(view: &View) -> String {
    let provider = view.provider.as_str();
    match view.depends_on.as_slice() {
        [] => format!("provider {provider}"),
        names => format!("provider {provider}, depends on {}", names.join(", ")),
    }
}

fn running(view: &View) -> u32 {
    u32::try_from(view.pids.len()).unwrap_or(u32::MAX)
}

/// Whose wish it is, where that outlives the engine.
fn who(call: &Call) -> String {
    match (&call.run, call.rule.as_str()) {
        (Some(run), "") => format!("run {run}"),
        (Some(run), rule) => format!("run {run} of rule `{rule}`"),
        (None, _) => "a playbook".into(),
    }
}

fn with_dependants(params: &Map<String, Value>) -> bool {
    params.get("dependants").and_then(Value::as_bool).unwrap_or(false)
}

fn brief(view: &View) -> Value {
    json!({
        "kernel": view.name,
        "state": view.state,
        "pids": view.pids,
        "replicas": view.desired,
        "generation": view.generation,
        "boot_ms": view.boot_ms,
    })
}
