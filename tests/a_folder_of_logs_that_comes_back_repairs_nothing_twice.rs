//! A folder of followed files that is away for some seconds, or comes back while the engine is stopped, leads to no
//! second repair; while it is away an operator can see that.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;
use support::Home;

const SOON: Duration = Duration::from_secs(30);

const RULE: &str = "
rules:
  - name: job-failed
    on: job.failed
    group_by: data.job
    intent: { goal: 'Repair ${data.job}', target: '${data.job}' }
    playbooks: [repair]
";

const PLAYBOOK: &str = r#"//! Repair.
//! ---
//! risk: low
//! actions: []
fn run(ctx) { log("info", "repaired") }
fn verify(ctx) { true }
"#;

fn append(home: &Home, jobs: std::ops::Range<u32>) {
    let path = home.path("spool/jobs.jsonl");
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    for job in jobs {
        writeln!(file, r#"{{"topic":"job.failed","data":{{"job":"job-{job}"}}}}"#).unwrap();
    }
}

fn repaired(intents: &Value) -> usize {
    let items = intents["items"].as_array().unwrap();
    items.iter().filter(|intent| intent["status"] == "succeeded").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_not_read_again_after_an_absence_or_a_restart() {
    // The window of known events is smaller than the file, so that only the place in it can help.
    let home = Home::new(
        "limits: { idempotency_window: 2 }\nsources:\n  jsonl: [{ name: jobs, paths: ['spool/*.jsonl'], poll: 50ms }]\n",
    );
    home.write("rules/jobs.yaml", RULE);
    home.write("playbooks/repair.rhai", PLAYBOOK);
    fs::create_dir(home.path("spool")).unwrap();
    append(&home, 0..10);
    let mut engine = home.start().await;
    engine.until("/api/intents?limit=100", SOON, |intents| repaired(intents) == 10).await;

    fs::rename(home.path("spool"), home.path("moved")).unwrap();
    let missing = |ready: &Value| ready["problems"].to_string().contains("spool is missing");
    engine.until("/readyz", SOON, missing).await;
    // Longer than a file that was renamed or deleted is waited for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    fs::rename(home.path("moved"), home.path("spool")).unwrap();
    append(&home, 10..12);
    engine.until("/api/intents?limit=100", SOON, |intents| repaired(intents) == 12).await;
    engine.until("/readyz", SOON, |ready| !missing(ready)).await;

    // Away at the end of one life and for the beginning of the next.
    fs::rename(home.path("spool"), home.path("moved")).unwrap();
    engine.until("/readyz", SOON, missing).await;
    engine.kill();
    let mut engine = home.start().await;
    engine.until("/readyz", SOON, missing).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    fs::rename(home.path("moved"), home.path("spool")).unwrap();
    append(&home, 12..13);
    engine.until("/api/intents?limit=100", SOON, |intents| repaired(intents) >= 13).await;
    let intents = engine.get("/api/intents?limit=100").await;
    assert_eq!(intents["items"].as_array().unwrap().len(), 13, "{intents:#}");

    // What cannot be used is counted and shown.
    fs::write(home.path("spool/odd.jsonl"), "INFO all is well\n").unwrap();
    engine.until("/readyz", SOON, |ready| ready["problems"].to_string().contains("not an event")).await;
    let metrics = engine.text("/metrics").await;
    assert!(metrics.contains("paramedic_source_bad_lines_total{source=\"jobs\"} 1"), "{metrics}");
    assert!(metrics.contains("paramedic_problems 1\n"), "{metrics}");
    assert!(engine.stop());
}
