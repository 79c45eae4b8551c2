//! Every action that is built in: complete, and without effect when it is only asked what it would do.

use super::*;

#[tokio::test]
async fn every_built_in_action_is_described_and_refuses_a_wrong_parameter() {
    let world = world("[]", json!({}));
    let names = "alert.operator diagnostic.run exec.run http.request intent.create kernel.health kernel.logs \
                 kernel.restart kernel.scale kernel.start kernel.stop";
    assert_eq!(world.actions.names().join(" "), names);
    for spec in world.actions.list() {
        let name = &spec.name;
        assert!(spec.doc.ends_with('.') && !spec.doc.contains('\n'), "{name}: one line that is a sentence");
        assert!(!spec.timeout.is_zero() && spec.timeout <= Span::secs(600), "{name}: {}", spec.timeout);
        for (what, schema) in [("params", &spec.params), ("result", &spec.result)] {
            jsonschema::validator_for(schema).unwrap_or_else(|error| panic!("{name}.{what}: {error}"));
            assert_eq!(schema["type"], "object", "{name}.{what}");
            assert!(!schema["properties"].as_object().unwrap().is_empty(), "{name}.{what}");
        }
        assert_eq!(spec.params["additionalProperties"], false, "{name}: a misspelt parameter is an error");
        for (param, schema) in spec.params["properties"].as_object().unwrap() {
            assert!(schema["description"].is_string(), "{name}: `{param}` is not described");
        }
        // What is neither is reported as interrupted, so there is a reason for each.
        let may_be_cut_off = ["exec.run", "http.request"];
        assert!(spec.idempotent != may_be_cut_off.contains(&name.as_str()), "{name}");
        let failure = world.act(name, json!({ "nonsense": 1 })).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), &failure.action), ("invalid", name), "{failure}");
    }
    let failure = world.act("kernel.restrat", json!({})).await.unwrap_err();
    assert!(failure.message.contains("`kernel.restrat`: there are alert.operator, "), "{failure}");
}

#[tokio::test]
async fn a_dry_run_of_every_action_has_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    let canary = dir.path().join("canary");
    let (address, heard) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://{address}/");
    let world = world(
        "[{name: k, command: [sleep, '60'], replicas: {min: 1, max: 3}}, {name: idle, command: [sleep, '60']}]",
        json!({
            "exec": { "allow": ["touch"] }, "http": { "allow": [address] },
            "alert": { "webhook": url, "pagerduty": { "routing_key": { "env": "PARAMEDIC_NOT_SET" }, "url": url } },
        }),
    );
    world.kernels.start("k", "boot").await.unwrap();
    let before = json!([world.kernels.get("k"), world.kernels.get("idle")]);
    let mut said = Vec::new();
    for name in world.actions.names() {
        let params = match name.as_str() {
            "alert.operator" => json!({ "title": "t", "level": "critical" }),
            "diagnostic.run" => json!({}),
            "exec.run" => json!({ "argv": ["touch", canary] }),
            "http.request" => json!({ "url": url, "method": "DELETE" }),
            "intent.create" => json!({ "goal": "g", "target": "t", "playbooks": ["p"] }),
            "kernel.scale" => json!({ "kernel": "k", "replicas": 3 }),
            "kernel.start" => json!({ "kernel": "idle" }),
            kernel if kernel.starts_with("kernel.") => json!({ "kernel": "k" }),
            new => panic!("{new} is new: say with what it is to be tried"),
        };
        let mut call = call(&name, params);
        call.dry = true;
        let words = world.actions.call(call, None).await.unwrap()["dry_run"].as_str().unwrap().to_owned();
        assert!(words.starts_with("would "), "{name}: {words}");
        said.push(words);
    }
    assert_eq!(said.len(), BUILTIN.len());
    assert_eq!(json!([world.kernels.get("k"), world.kernels.get("idle")]), before);
    assert!(!canary.exists() && heard.lock().unwrap().is_empty());
    assert!(
        world.engine.alerts.lock().unwrap().is_empty() && world.engine.intents.lock().unwrap().is_empty()
    );
    world.kernels.shutdown().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let world = world(
        "[{name: k, command: [sleep, '60'], replicas: {min: 1, max: 3}}]",
        json!({ "exec": { "allow": ["/bin/ls"] } }),
    );
    for (name, params, expected) in [
        (
            "kernel.restart",
            json!({ "kernel": "k", "grace": "2s" }),
            "would restart kernel `k`, which is stopped with 0 replicas, with 2s between SIGTERM and SIGKILL",
        ),
        (
            "kernel.scale",
            json!({ "kernel": "k", "replicas": 2 }),
            "would scale kernel `k`, which is stopped with 0 replicas, from 1 to 2",
        ),
        (
            "kernel.scale",
            json!({ "kernel": "k", "replicas": 9 }),
            "would fail: 9 is outside of 1 to 3 replicas of kernel `k`",
        ),
        ("kernel.stop", json!({ "kernel": "l" }), "would fail: there is no kernel `l`"),
        (
            "kernel.start",
            json!({ "kernel": "k" }),
            "would start kernel `k`, which is stopped with 0 replicas, up to 1",
        ),
        ("alert.operator", json!({ "title": "x" }), "would tell a person by the alert list: x"),
        (
            "exec.run",
            json!({ "argv": ["/bin/ls", "-l"], "options": ["-l"], "cwd": "/" }),
            "would run [\"/bin/ls\",\"-l\"] in /",
        ),
        (
            "exec.run",
            json!({ "argv": ["rm"] }),
            "would be refused: may not run `rm`: allowed are /bin/ls; see `actions.exec.allow` in the configuration",
        ),
        (
            "http.request",
            json!({ "url": "https://example.com/a?token=x" }),
            "would send GET https://example.com/a",
        ),
        (
            "intent.create",
            json!({ "goal": "g", "target": "t", "playbooks": ["p"] }),
            "would ask for a repair of `t` by p, with normal priority: g",
        ),
        ("diagnostic.run", json!({ "target": "k" }), "would look at the machine and at `k`"),
    ] {
        let mut call = call(name, params);
        call.dry = true;
        let said = world.actions.call(call, None).await.unwrap();
        assert_eq!(said["dry_run"], expected);
    }
    assert!(world.kernels.get("k").unwrap().pids.is_empty());
    assert!(
        world.engine.alerts.lock().unwrap().is_empty() && world.engine.intents.lock().unwrap().is_empty()
    );
}

#[tokio::test]
async fn the_names_that_playbooks_are_checked_against_are_those_that_there_are() {
    let world = world("[]", json!({}));
    assert_eq!(world.actions.names(), BUILTIN);
}
