//! `alert.operator`: tells a person, by the alert list always and by the channels that the configuration names.
//!
//! The list comes first and is the last resort: a channel that fails does not lose the alert, and the result says of
//! each channel what became of it.

mod channel;
mod mail;
mod pagerduty;
mod post;
mod retry;
mod slack;
mod webhook;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

pub use channel::Channels;
use channel::Notice;

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
                "title": { "type": "string", "minLength": 1, "maxLength": 500, "description": "one line: what is wrong" },
                "message": { "type": "string", "maxLength": 20000, "description": "what happened and what to do" },
                "level": { "enum": ["info", "warning", "critical"], "description": "how bad; warning if not said" },
                "key": { "type": "string", "minLength": 1, "maxLength": 500, "description": "same key, same alert; rule and target if not said" },
                "target": { "type": "string", "description": "what it is about; the intent's if not said" },
            },
            "required": ["title"],
            "additionalProperties": false,
        });
        let result = json!({
            "type": "object",
            "properties": {
                "alert": { "type": "string", "description": "its id on the alert list" },
                "channels": { "type": "array", "description": "what became of each channel", "items": {
                    "type": "object",
                    "properties": {
                        "channel": { "type": "string" },
                        "kind": { "enum": ["webhook", "slack", "pagerduty", "smtp"] },
                        "status": { "enum": ["sent", "sent_before", "not_for_level", "failed"] },
                        "tries": { "type": "integer" },
                        "why": { "type": "string", "description": "of one that failed" },
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
        let (alerts, channels) = (Arc::clone(&self.alerts), self.channels.clone());
        Box::pin(async move {
            let mut notice = notice(&call);
            let Notice { key, level, title, message, target, .. } = notice.clone();
            let listed = alerts.raise(key, level, title, message, target, call.intent).await;
            if let Ok(id) = &listed {
                notice.alert = id.to_string();
            }
            // Also if the list could not be written: a full disk is something to be told of.
            let told = channels.tell(&notice, &call.key).await;
            listed?;
            Ok(json!({ "alert": notice.alert, "channels": told }))
        })
    }

    fn dry_run(&self, call: &Call) -> String {
        let notice = notice(call);
        let names = self.channels.names_for(notice.level);
        let to = if names.is_empty() { String::new() } else { format!(" and {}", names.join(", ")) };
        format!("would tell a person by the alert list{to}: {}", notice.title)
    }
}

fn notice(call: &Call) -> Notice {
    let of = |name| text(&call.params, name).unwrap_or_default().to_owned();
    let title = of("title");
    let target = text(&call.params, "target").unwrap_or(&call.target).to_owned();
    Notice {
        alert: String::new(),
        key: key(call, &title),
        level: level(call),
        message: of("message"),
        target: (!target.is_empty()).then_some(target),
        intent: call.intent.map(|id| id.to_string()),
        rule: call.rule.clone(),
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
