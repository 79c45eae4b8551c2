//! PagerDuty's Events API v2: an alert triggers an incident, a person who sees to it here acknowledges it there.
//!
//! Source: developer.pagerduty.com, "Events API v2" (PD-CEF). The same alert key is the same `dedup_key`, so a repeat is
//! counted on the incident and pages nobody again.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::channel::{Channel, Notice, Trouble};
use super::post;
use crate::actions::config::PagerDutyConfig;
use crate::model::alert::{Level, cut};

pub(super) struct PagerDuty(pub(super) PagerDutyConfig);

/// The longest `dedup_key`, `summary` and other field that are taken. A whole event may have 512 kB, which the longest
/// message that an alert can have is far below.
const MAX_KEY: usize = 255;
const MAX_SUMMARY: usize = 1024;
const MAX_FIELD: usize = 255;

impl Channel for PagerDuty {
    fn kind(&self) -> &'static str {
        "pagerduty"
    }

    fn send<'a>(&'a self, notice: &'a Notice, _step: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        self.event(trigger(notice)).boxed()
    }

    fn keeps_incidents(&self) -> bool {
        true
    }

    fn changed<'a>(&'a self, key: &'a str, over: bool) -> BoxFuture<'a, Result<(), Trouble>> {
        let action = if over { "resolve" } else { "acknowledge" };
        self.event(json!({ "event_action": action, "dedup_key": dedup_key(key) })).boxed()
    }
}

impl PagerDuty {
    async fn event(&self, mut event: Value) -> Result<(), Trouble> {
        let key = self.0.routing_key.read().await.map_err(Trouble::Final)?;
        event["routing_key"] = key.expose().into();
        post::json(&self.0.url, HeaderMap::new(), &event, &[&key]).await
    }
}

fn trigger(notice: &Notice) -> Value {
    let severity = match notice.level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Critical => "critical",
    };
    let source = cut(notice.target.as_deref().unwrap_or("paramedic"), MAX_FIELD);
    let mut payload = json!({
        "summary": cut(&notice.title, MAX_SUMMARY),
        "source": source,
        "severity": severity,
        "custom_details": {
            "message": notice.words(), "alert": notice.alert, "intent": notice.intent, "key": notice.key,
        },
    });
    if let Some(target) = &notice.target {
        payload["component"] = cut(target, MAX_FIELD).into();
    }
    if !notice.rule.is_empty() {
        payload["class"] = cut(&notice.rule, MAX_FIELD).into();
    }
    json!({
        "event_action": "trigger", "dedup_key": dedup_key(&notice.key), "client": "Paramedic",
        "payload": payload,
    })
}

/// The alert's key; of one that is too long the beginning, and a hash that keeps it apart from others.
fn dedup_key(key: &str) -> String {
    let whole = format!("paramedic/{key}");
    if whole.len() <= MAX_KEY {
        return whole;
    }
    let hash: String = Sha256::digest(key).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let start: String = whole.char_indices().take_while(|(i, _)| *i < 200).map(|(_, c)| c).collect();
    format!("{start}#{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_triggers_an_incident_of_the_documented_shape() {
        let notice = Notice {
            alert: "01A".into(),
            key: "r/k1".into(),
            level: Level::Warning,
            title: "k1 is down".into(),
            message: "since noon".into(),
            target: Some("k1".into()),
            intent: None,
            rule: "r".into(),
            ..Notice::default()
        };
        assert_eq!(
            trigger(&notice),
            json!({
                "event_action": "trigger", "dedup_key": "paramedic/r/k1", "client": "Paramedic",
                "payload": {
                    "summary": "k1 is down", "source": "k1", "severity": "warning", "component": "k1", "class": "r",
                    "custom_details": { "message": "since noon", "alert": "01A", "intent": null, "key": "r/k1" },
                },
            })
        );
    }

    #[test]
    fn keys_that_are_too_long_stay_apart() {
        let long = |end: &str| dedup_key(&format!("{}{end}", "ü".repeat(200)));
        assert!(long("a").len() <= MAX_KEY && long("a") != long("b"));
        assert_eq!(long("a"), long("a"));
    }
}
