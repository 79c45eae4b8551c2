//! `alert.operator`: alerts an operator, by the alert list always and by the channels that the configuration names.
//!
//! The alert is on the list, durable, and in the queue of each channel when the action returns; a run never waits for a
//! channel. What became of it at each channel is shown with the alert.

mod channel;
mod mail;
mod pagerduty;
mod post;
mod slack;
mod webhook;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

pub use channel::{Channels, Notice, Trouble};

use super::schema::text;
use super::{Action, AlertConfig, Alerts, Call, Spec};
use crate::model::alert::Level;
use crate::model::{Failure, Risk, Span};

pub(super) struct Operator {
    alerts: Arc<dyn Alerts>,
    channels: Channels,
    spec: Spec,
}

impl Operator {
    pub(super) fn new(alerts: Arc<dyn Alerts>, config: &AlertConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "title": { "type": "string", "minLength": 1, "description": "one line: what is wrong; cut at 500 characters" },
                "message": { "type": "string", "description": "what happened and what to do; cut at 20,000 characters" },
                "level": { "enum": ["info", "warning", "critical"], "description": "how bad; warning if not said" },
                "key": { "type": "string", "minLength": 1, "description": "same key, same alert; rule and target if not said" },
                "target": { "type": "string", "description": "what it is about; the intent's if not said" },
            },
            "required": ["title"],
            "additionalProperties": false,
        });
        let result = json!({
            "type": "object",
            "properties": {
                "alert": { "type": "string", "description": "its id on the alert list" },
                "channels": { "type": "array", "description": "the channels that it goes to; `paramedic alerts` shows what became of it at each", "items": {
                    "type": "object",
                    "properties": {
                        "channel": { "type": "string" },
                        "kind": { "enum": ["webhook", "slack", "pagerduty", "smtp"] },
                        "status": { "enum": ["queued", "not_for_level"] },
                    },
                } },
            },
        });
        let spec = Spec {
            name: "alert.operator".into(),
            doc: "Tells a person, by the alert list and the configured channels.".into(),
            params,
            result,
            idempotent: true,
            acts: false,
            risk: Risk::Low,
            timeout: Span::secs(60),
        };
        Self { alerts, channels: Channels::new(config), spec }
    }
}

impl Action for Operator {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let Raised { key, level, title, message, target } = raised(&call);
        let channels: Vec<Value> = self
            .channels
            .all(level)
            .map(|(channel, kind, fits)| {
                let status = if fits { "queued" } else { "not_for_level" };
                json!({ "channel": channel, "kind": kind, "status": status })
            })
            .collect();
        let listed = self.alerts.raise(key, level, title, message, target, call.intent);
        Box::pin(async move { Ok(json!({ "alert": listed.await?.to_string(), "channels": channels })) })
    }

    fn dry_run(&self, call: &Call) -> String {
        let raised = raised(call);
        let names: Vec<String> =
            self.channels.for_level(raised.level).into_iter().map(|(name, _)| name).collect();
        let to = if names.is_empty() { String::new() } else { format!(" and {}", names.join(", ")) };
        format!("would tell a person by the alert list{to}: {}", raised.title)
    }
}

/// What is to be put on the list.
struct Raised {
    key: String,
    level: Level,
    title: String,
    message: String,
    target: Option<String>,
}

fn raised(call: &Call) -> Raised {
    let of = |name| text(&call.params, name).unwrap_or_default().to_owned();
    let title = of("title");
    let target = text(&call.params, "target").unwrap_or(&call.target).to_owned();
    Raised {
        key: key(call, &title),
        level: level(call),
        message: of("message"),
        target: (!target.is_empty()).then_some(target),
        title,
    }
}

fn level(call: &Call) -> Level {
    match text(&call.params, "level") {
        Some("info") => Level::Info,
        Some("critical") => Level::Critical,
        _ => Level::Warning,
    }
}

fn key(call: &Call, title: &str) -> String {
    match text(&call.params, "key") {
        Some(key) => key.to_owned(),
        None if call.rule.is_empty() && call.target.is_empty() => title.to_owned(),
        None => format!("{}/{}", call.rule, call.target),
    }
}

#[cfg(test)]
mod tests;
