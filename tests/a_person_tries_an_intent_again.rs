//! An intent that failed is tried again by a person, as a new one that names it; what has ended says what became of it;
//! and a long journal is shown so that it can be read.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Engine, Home};

const SOON: Duration = Duration::from_secs(20);

const CHECK: &str = "//! Look whether the file is there.\n//! ---\n//! actions: [exec.run]\nfn run(ctx) {\n    for i in 0..100 { log(\"info\", `line ${i}`); }\n    act(\"exec.run\", #{ argv: [\"sh\", \"-c\", \"echo first >&2; echo second >&2; echo third >&2; test -e ready\"] });\n}\nfn verify(ctx) { true }\n";

fn paramedic(engine: &Engine, args: &[&str]) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_paramedic"));
    let mut run = run;
    let out = run.args(args).args(["--url", &engine.url]).env("NO_COLOR", "1").output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8(said).unwrap())
}

async fn ended(engine: &Engine, id: &str) -> Value {
    let open = ["held", "pending", "awaiting_approval", "running", "verifying"];
    let over = |it: &Value| !open.contains(&it["status"].as_str().unwrap());
    engine.until(&format!("/api/intents/{id}"), SOON, over).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_a_new_intent_that_names_the_old_one() {
    let home = Home::new("actions: { exec: { allow: [sh] } }\n");
    home.write("playbooks/look.rhai", CHECK);
    home.write(
        "rules/all.yaml",
        "rules:\n  - name: fell\n    on: it.fell\n    group_by: data.k\n    intent: { target: \"${data.k}\" }\n    playbooks: look\n    guard: { cooldown: 10m }\n",
    );
    let engine = home.start().await;
    engine.send(json!({ "id": "1", "topic": "it.fell", "source": "test", "data": { "k": "k1" } })).await;
    let first = engine.until("/api/intents", SOON, |it| it["items"][0]["id"].is_string()).await;
    let id = first["items"][0]["id"].as_str().unwrap().to_owned();
    let old = ended(&engine, &id).await;
    let status = old["status"].as_str().unwrap();

    // What became of it is told to who answers too late.
    let answer = json!({ "answer": "yes" }).to_string();
    let path = format!("/api/intents/{id}/answer");
    let (code, told) = engine.post(&path, "application/json", answer).await.unwrap();
    let told = told["detail"].as_str().unwrap();
    assert!(code == 409 && told.contains(status) && told.contains("20"), "{code} {told}");

    // The journal: its ends, and what the program said.
    let (fine, shown) = paramedic(&engine, &["intents", "show", &id]);
    assert!(
        fine && shown.contains("--all") && shown.contains("line 0") && !shown.contains("line 50"),
        "{shown}"
    );
    for line in ["exit code 1", "first", "second", "third"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let (_, all) = paramedic(&engine, &["intents", "show", &id, "--all"]);
    assert!(all.contains("line 50"), "{all}");

    // Tried again while it cannot work, then when it can; the cooldown does not hold up a person.
    let (fine, said) = paramedic(&engine, &["intents", "retry", &id, "--json"]);
    assert!(fine, "{said}");
    let again: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&again["retry_of"], &again["rule"], &again["target"]),
        (&json!(id), &json!("fell"), &json!("k1"))
    );
    let second = again["id"].as_str().unwrap().to_owned();
    assert_ne!(second, id);
    ended(&engine, &second).await;
    std::fs::write(home.path("data/exec/ready"), "").unwrap();
    let (code, third) =
        engine.post(&format!("/api/intents/{second}/retry"), "application/json", "{}").await.unwrap();
    assert_eq!(code, 202, "{third}");
    let third = ended(&engine, third["id"].as_str().unwrap()).await;
    assert_eq!((&third["status"], &third["retry_of"]), (&json!("succeeded"), &json!(second)), "{third:#}");

    // What the first two told is over with it.
    let alerts = engine.get("/api/alerts").await;
    let told: Vec<_> =
        alerts["items"].as_array().unwrap().iter().map(|it| (&it["key"], &it["status"])).collect();
    assert_eq!(told, [(&json!("fell/k1"), &json!("resolved"))], "{alerts:#}");

    for (path, code, words) in [
        (format!("/api/intents/{}/retry", third["id"].as_str().unwrap()), 409, "it succeeded"),
        ("/api/intents/01M86KS5WBD83QR2QVYB7SXW0J/retry".to_owned(), 404, "no intent"),
    ] {
        let (status, told) = engine.post(&path, "application/json", "{}").await.unwrap();
        assert!(
            status == code && told["detail"].as_str().unwrap().contains(words),
            "{path}: {status} {told}"
        );
    }
}
