//! `paramedic plugin reload` reads `plugins:` again: pins, limits, newcomers and those that are gone take effect while the
//! engine runs; a mistake changes nothing and is told; an alert about a plugin ends when it works again.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/calls.rs"]
mod calls;
#[path = "support/engine.rs"]
mod engine;
#[path = "support/plugins.rs"]
mod plugins;

use std::time::Duration;

use calls::{call, playbooks};
use engine::{Engine, Home};
use plugins::misbehaving;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

fn configure(home: &Home, more: &str) {
    home.write("paramedic.yaml", &format!("listen: 127.0.0.1:{}\n{more}", home.port));
}

async fn reload(engine: &Engine, path: &str) -> (u16, Value) {
    engine.post(path, "application/json", "{}").await.unwrap()
}

async fn alert_is(engine: &Engine, key: &str, status: &str) {
    let is_it = |page: &Value| {
        let mut all = page["items"].as_array().unwrap().iter().filter(|it| it["key"] == key);
        all.next().is_some_and(|it| it["status"] == status)
    };
    engine.until("/api/alerts", SOON, is_it).await;
}

fn names(plugins: &Value) -> Value {
    plugins["items"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pins_limits_newcomers_and_the_gone_take_effect_and_a_mistake_changes_nothing() {
    let home = Home::new("plugins: [{ name: bad, path: bad.so, timeout: 30s }]\n");
    misbehaving(&home.path("bad.so"), &[]);
    misbehaving(&home.path("good.so"), &["-DNAME=\"good\""]);
    playbooks(&home, &["bad.do"]);
    let engine = home.start().await;

    // A shorter time, for calls from now on.
    configure(&home, "plugins: [{ name: bad, path: bad.so, timeout: 1s }]\n");
    let (status, answer) = reload(&engine, "/api/plugins/bad/reload").await;
    assert_eq!(
        (status, &answer["state"], &answer["restart"]),
        (200, &json!("ready"), &json!([])),
        "{answer}"
    );
    let slow = call(&engine, "bad.do", json!({ "how": "hang" })).await;
    assert!(slow["error"]["message"].as_str().unwrap().contains("within 1s"), "{slow}");

    // A pin that the library does not have: the old one goes on, and says so.
    let pin = "0".repeat(64);
    configure(&home, &format!("plugins: [{{ name: bad, path: bad.so, timeout: 1s, sha256: '{pin}' }}]\n"));
    let (status, answer) = reload(&engine, "/api/plugins/reload").await;
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("`bad`"), "{answer}");
    assert_eq!(engine.get("/api/plugins/bad").await["state"], "stale");
    alert_is(&engine, "plugin/bad/refused", "active").await;
    let ready = engine.get("/readyz").await;
    assert!(ready["problems"][0].as_str().unwrap().starts_with("Plugin bad is stale: "), "{ready}");
    assert!(call(&engine, "bad.do", json!({ "how": "well" })).await["ok"].is_string());

    // The library that belongs to the pin comes: it is taken without another word, and the alert is over.
    misbehaving(&home.path("next.so"), &["-O1"]);
    let pin = paramedic::plugins::sha256(&home.path("next.so")).unwrap();
    configure(&home, &format!("plugins: [{{ name: bad, path: bad.so, timeout: 1s, sha256: '{pin}' }}]\n"));
    assert_eq!(reload(&engine, "/api/rules/reload").await.0, 422, "the library is not there yet");
    std::fs::rename(home.path("next.so"), home.path("bad.so")).unwrap();
    let taken =
        |view: &Value| view["state"] == "ready" && view["sha256"] == json!(pin) && view["pinned"] == true;
    engine.until("/api/plugins/bad", SOON, taken).await;
    alert_is(&engine, "plugin/bad/refused", "resolved").await;

    // Mistakes change nothing.
    for (text, words) in [
        ("plugins: [{ name: bad, path: bad.so, memmory: 1 }]\n", "memmory"),
        ("plugins: [{ name: bad, path: bad.so, processes: 0 }]\n", "processes"),
        ("plugins: [\n", "paramedic.yaml"),
    ] {
        configure(&home, text);
        let (status, answer) = reload(&engine, "/api/plugins/reload").await;
        assert!(status == 409 && answer["detail"].as_str().unwrap().contains(words), "{text}: {answer}");
        assert_eq!(engine.get("/api/plugins/bad").await["state"], "ready", "{text}");
    }

    // A newcomer; and what takes a restart is named.
    let both = format!(
        "plugins: [{{ name: bad, path: bad.so, timeout: 1s, sha256: '{pin}' }}, {{ name: good, path: good.so }}]\n"
    );
    configure(&home, &format!("{both}limits: {{ inbox: 1000 }}\n"));
    let (status, answer) = reload(&engine, "/api/plugins/reload").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["added"], &answer["restart"]), (&json!(["good"]), &json!(["limits"])), "{answer}");
    assert_eq!(names(&answer), json!(["bad", "good"]));
    playbooks(&home, &["bad.do", "good.do"]);
    reload(&engine, "/api/rules/reload").await;
    assert!(call(&engine, "good.do", json!({ "how": "well" })).await["ok"].is_string());

    // And gone again, with its actions.
    playbooks(&home, &["bad.do"]);
    std::fs::remove_file(home.path("playbooks/good_do.rhai")).ok();
    configure(&home, &format!("plugins: [{{ name: bad, path: bad.so, timeout: 1s, sha256: '{pin}' }}]\n"));
    let (status, answer) = reload(&engine, "/api/plugins/reload").await;
    assert_eq!((status, &answer["removed"]), (200, &json!(["good"])), "{answer}");
    let actions = engine.all("/api/actions").await;
    assert!(!actions.iter().any(|it| it["name"] == "good.do"), "{actions:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_that_is_over_ends_its_alert() {
    let home = Home::new("plugins: [{ name: bad, path: bad.so, timeout: 5s }]\n");
    misbehaving(&home.path("bad.so"), &[]);
    playbooks(&home, &["bad.do"]);
    let mut engine = home.start().await;
    for _ in 0..5 {
        call(&engine, "bad.do", json!({ "how": "abort" })).await;
    }
    alert_is(&engine, "plugin/bad/quarantined", "active").await;
    let (status, answer) = reload(&engine, "/api/plugins/bad/reload").await;
    assert_eq!(status, 200, "{answer}");
    alert_is(&engine, "plugin/bad/quarantined", "resolved").await;

    // One that is not configured any more has nothing to be told of.
    for _ in 0..5 {
        call(&engine, "bad.do", json!({ "how": "abort" })).await;
    }
    let open = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["key"] == "plugin/bad/quarantined" && it["status"] == "active")
    };
    engine.until("/api/alerts", SOON, open).await;
    engine.kill();
    std::fs::remove_dir_all(home.path("playbooks")).unwrap();
    std::fs::create_dir_all(home.path("playbooks")).unwrap();
    configure(&home, "");
    let engine = home.start().await;
    engine.until("/api/alerts", SOON, |page| !open(page)).await;
}
