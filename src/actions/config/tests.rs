//! What a person may write under `actions:`, and what they are told of mistakes.

use serde_json::{Value, json};

use super::*;
use crate::model::alert::Level;

fn read(value: Value) -> Result<Config, String> {
    // As the engine reads it and as `check` does.
    let yaml: Result<Config, _> = serde_saphyr::from_str(&value.to_string());
    let json: Result<Config, _> = serde_json::from_value(value.clone());
    assert_eq!(yaml.is_ok(), json.is_ok(), "{value}");
    json.map_err(|error| error.to_string())
}

#[test]
fn a_channel_may_be_one_or_several_and_a_webhook_just_its_address() {
    let config = read(json!({ "alert": {
        "webhook": "http://127.0.0.1:9/x",
        "slack": { "url": { "env": "SLACK" }, "levels": ["critical"] },
        "pagerduty": [{ "routing_key": { "file": "pd" } }, { "name": "eu", "routing_key": { "env": "PD" }, "url": "https://events.eu.pagerduty.com/v2/enqueue" }],
        "give_up_after": "5s",
    } }))
    .unwrap();
    let alert = &config.alert;
    assert_eq!(alert.webhook.0[0].url, Place::Plain("http://127.0.0.1:9/x".into()));
    assert_eq!(alert.slack.0[0].levels.as_ref().unwrap().iter().collect::<Vec<_>>(), [&Level::Critical]);
    assert_eq!(alert.pagerduty.0.len(), 2);
    assert_eq!(config.problems(), []);
    let mut config = config;
    config.rebase(Path::new("/etc/paramedic"));
    assert_eq!(config.alert.pagerduty.0[0].routing_key, SecretRef::File("/etc/paramedic/pd".into()));
}

#[test]
fn what_cannot_work_is_told_with_what_to_do() {
    for (value, expected) in [
        (json!({ "alert": { "slack": { "url": "https://hooks.example/T/hunter2" } } }), "say where it is"),
        (json!({ "alert": { "slak": {} } }), "unknown field `slak`"),
        (
            json!({ "alert": { "slack": { "url": { "env": "A" }, "levels": ["fatal"] } } }),
            "unknown variant `fatal`",
        ),
        (json!({ "alert": { "webhook": 5 } }), "one channel or a list"),
        (json!({ "exec": { "allow": [{ "prog": "x" }] } }), "unknown field `prog`"),
    ] {
        let error = read(value.clone()).unwrap_err();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{value}: {error}");
    }
    for (value, expected) in [
        (
            json!({ "alert": { "webhook": "ftp://x/" } }),
            "actions.alert.webhook.url: `ftp` is not http or https",
        ),
        (json!({ "alert": { "webhook": { "url": "http://x/", "levels": [] } } }), "no level is named"),
        (json!({ "alert": { "give_up_after": "10m" } }), "50s at most"),
        (
            json!({ "alert": { "smtp": { "host": "mail.example.com", "tls": "none", "from": "a@b.c", "to": ["d@e.f"] } } }),
            "in the clear",
        ),
        (
            json!({ "alert": { "smtp": { "host": "localhost", "tls": "none", "from": "a@b.c", "to": [] } } }),
            "nobody",
        ),
        (json!({ "exec": { "allow": ["bin/x"] } }), "relative path"),
        (json!({ "http": { "allow": ["http://x:1/"] } }), "host:port"),
        (json!({ "http": { "secrets": { "a": { "from": { "env": "A" }, "to": [] } } } }), "nobody"),
        (json!({ "diagnostic": { "logs": ["/var/***"] } }), "no pattern"),
    ] {
        let told: Vec<String> =
            read(value.clone()).unwrap().problems().iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|it| it.contains(expected)), "{value}: {told:?}");
    }
    let smtp = json!({ "alert": { "smtp": { "host": "localhost", "tls": "none", "from": "a@b.c", "to": ["d@e.f"] } } });
    let told: Vec<String> = read(smtp).unwrap().problems().iter().map(ToString::to_string).collect();
    let expected = if cfg!(feature = "mail") { 0 } else { 1 };
    assert_eq!(told.len(), expected, "{told:?}");
    assert!(told.iter().all(|it| it.contains("--features mail")), "{told:?}");
}
