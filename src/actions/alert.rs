//! `alert.operator`: tells a person, by the alert list always and by a webhook where one is configured.
//!
//! A webhook that fails does not lose the alert: it is on the list by then, and the result says so.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::schema::text;
use super::{Action, AlertConfig, Alerts, Call, Spec, http};
use crate::model::alert::Level;
use crate::model::{Failure, Risk, Span};

pub(super) struct Operator {
    alerts: Arc<dyn Alerts>,
    config: AlertConfig,
    spec: Spec,
}

/// How long the webhook may take.
const WEBHOOK: Duration = Duration::from_secs(10);

impl Operator {
    pub(super) fn new(alerts: Arc<dyn Alerts>, config: AlertConfig) -> Self {
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
                "alert": { "type": "string" },
                "webhook": { "type": "string", "description": "sent, failed: why, or none" },
            },
        });
        let spec = Spec {
            name: "alert.operator".into(),
            doc: "Tells a person, by the alert list and the configured channels.".into(),
            params,
            result,
            idempotent: true,
            risk: Risk::Low,
            timeout: Span::secs(30),
        };
        Self { alerts, config, spec }
    }
}

impl Action for Operator {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let (alerts, webhook) = (Arc::clone(&self.alerts), self.config.webhook.clone());
        Box::pin(async move {
            let title = text(&call.params, "title").unwrap_or_default().to_owned();
            let message = text(&call.params, "message").unwrap_or_default().to_owned();
            let level = level(&call);
            let target = text(&call.params, "target").unwrap_or(&call.target).to_owned();
            let target = (!target.is_empty()).then_some(target);
            let key = key(&call, &title);
            let id = alerts
                .raise(key.clone(), level, title.clone(), message.clone(), target.clone(), call.intent)
                .await?;
            let body = json!({
                "alert": id, "key": key, "level": level, "title": title, "message": message,
                "target": target, "intent": call.intent, "rule": call.rule,
            });
            let told = match webhook {
                None => "none".into(),
                Some(url) => match post(&url, &call.key, &body).await {
                    Ok(()) => "sent".into(),
                    Err(problem) => {
                        tracing::warn!(alert = %id, problem, "the alert is on the list, but the webhook failed");
                        format!("failed: {problem}")
                    }
                },
            };
            Ok(json!({ "alert": id, "webhook": told }))
        })
    }

    fn dry_run(&self, call: &Call) -> String {
        let title = text(&call.params, "title").unwrap_or_default();
        let to =
            if self.config.webhook.is_some() { "the alert list and the webhook" } else { "the alert list" };
        format!("would tell a person by {to}: {title}")
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

/// The address may hold a secret, so no message names it.
async fn post(url: &str, key: &str, body: &Value) -> Result<(), String> {
    let client = http::client().build().map_err(|error| error.to_string())?;
    let request = client.post(url).timeout(WEBHOOK).header("idempotency-key", key).json(body);
    let response = request.send().await.map_err(http::why)?;
    let status = response.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the webhook answered with status {}", status.as_u16()))
    }
}
