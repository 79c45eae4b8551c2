//! What a person answers to an intent is seen at once: it is no longer among the active, and a second answer is told
//! that it comes too late.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;

use std::time::Duration;

use engine::Home;
use serde_json::{Value, json};

const RULES: &str = r#"
rules:
  - { name: ask, on: test.fail, mode: ask, group_by: subject, intent: { goal: Mend, target: "${subject}" }, playbooks: [mend] }
"#;

const PLAYBOOK: &str = "//! Do nothing.\n//! ---\n//! risk: low\n//! cost: 1s\n//! timeout: 1m\n//! actions: []\n\
                        fn run(ctx) { }\nfn verify(ctx) { true }\n";

#[tokio::test]
async fn a_denied_or_cancelled_intent_is_no_longer_active_and_an_approved_one_is_carried_out() {
    let home = Home::new("");
    home.write("rules/ask.yaml", RULES);
    home.write("playbooks/mend.rhai", PLAYBOOK);
    let engine = home.start().await;
    for (answer, end) in [("deny", "denied"), ("cancel", "cancelled"), ("approve", "succeeded")] {
        engine.send(json!({"topic": "test.fail", "source": "test", "subject": answer})).await;
        let path = format!("/api/intents?target={answer}");
        let waiting = engine
            .until(&path, Duration::from_secs(10), |a| a["items"][0]["status"] == "awaiting_approval")
            .await;
        let id = waiting["items"][0]["id"].as_str().unwrap().to_string();
        let told = engine.all("/api/alerts").await;
        let asks = |it: &Value| {
            let title = it["title"].as_str().unwrap();
            it["status"] == "active" && title.contains("may `mend` be run") && title.contains(answer)
        };
        assert!(told.iter().any(asks), "who must approve is told: {told:#?}");
        let path = format!("/api/intents/{id}/{answer}");
        let (status, said) = engine.post(&path, "application/json", "{}").await.unwrap();
        assert_eq!(status, 200, "{said}");
        engine.until(&format!("/api/intents/{id}"), Duration::from_secs(10), |a| a["status"] == end).await;
        let over = |it: &Value| it["items"].as_array().unwrap().iter().all(|it| it["status"] == "resolved");
        engine.until("/api/alerts", Duration::from_secs(10), over).await;
        let stats = engine.get("/api/observability/remediation/stats").await;
        assert_eq!(stats["active"], json!([]), "after {answer}: {stats}");

        let (status, said) = engine.post(&path, "application/json", "{}").await.unwrap();
        let told = said["detail"].as_str().unwrap();
        assert!(status == 409 && told.contains(&format!("ended as {end}")), "{status} {said}");
    }
    let unknown = "/api/intents/01M86KS5WBD83QR2QVYB7SXW0J/approve";
    let (status, said) = engine.post(unknown, "application/json", "{}").await.unwrap();
    assert!(status == 404 && said["detail"].as_str().unwrap().starts_with("there is no intent"), "{said}");
}
