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
            "actions.alert.webhook.0.url: `ftp` is not http or https",
        ),
        (json!({ "alert": { "webhook": { "url": "http://x/", "levels": [] } } }), "no level is named"),
        (json!({ "alert": { "give_up_after": "8d" } }), "7d at most"),
        (
            json!({ "alert": { "smtp": { "host": "mail.example.com", "tls": "none", "from": "a@b.c", "to": ["d@e.f"] } } }),
            "in the clear",
        ),
        (
            json!({ "alert": { "smtp": { "host": "localhost", "tls": "none", "from": "a@b.c", "to": [] } } }),
            "nobody",
        ),
        (json!({ "alert": { "give_up_after": "0s" } }), "nobody could be told"),
        (json!({ "exec": { "allow": ["bin/x"] } }), "relative path"),
        (json!({ "exec": { "allow": ["df", ""] } }), "actions.exec.allow.1: names no program"),
        (json!({ "exec": { "allow": ["df -h"] } }), "white space"),
        (json!({ "exec": { "allow": ["df", { "program": "df" }] } }), "twice"),
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

#[test]
fn what_is_not_there_on_this_machine_or_stands_in_the_open_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    for (value, expected) in [
        (json!({ "exec": { "allow": ["sh", "/bin/sh"] } }), ""),
        (
            json!({ "exec": { "allow": ["sh", "/no/such"] } }),
            "actions.exec.allow.1: there is no program `/no/such`",
        ),
        (json!({ "exec": { "allow": ["no-such-program"] } }), "PATH"),
        (json!({ "exec": { "cwd": "/no/such" } }), "no folder"),
        (
            json!({ "http": { "secrets": { "a": { "from": { "env": "PARAMEDIC_NOT_SET" }, "to": ["h:1"] } } } }),
            "actions.http.secrets.a.from: the environment variable PARAMEDIC_NOT_SET is not set here",
        ),
        (json!({ "alert": { "slack": { "url": { "file": empty } } } }), "is empty"),
        (json!({ "alert": { "pagerduty": { "routing_key": { "file": "/no/such" } } } }), "cannot be read"),
        (json!({ "alert": { "webhook": "https://user:hunter2@example.com/" } }), "holds credentials"),
        (json!({ "alert": { "webhook": "https://example.com/?access_token=hunter2" } }), "in its parameters"),
        (json!({ "alert": { "webhook": "https://hooks.slack.com/services/hunter2" } }), "as a whole"),
        (json!({ "alert": { "webhook": "https://example.com/path" } }), ""),
    ] {
        let config = read(value.clone()).unwrap();
        let told: Vec<String> =
            config.unwise().iter().chain(&config.absent()).map(ToString::to_string).collect();
        assert_eq!(told.len(), usize::from(!expected.is_empty()), "{value}: {told:?}");
        assert!(told.iter().all(|it| it.contains(expected) && !it.contains("hunter2")), "{value}: {told:?}");
    }
}
