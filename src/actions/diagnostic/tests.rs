//! A diagnosis of this very machine: complete, within its bounds, and not spoilt by what it cannot see.

use super::*;
use crate::bus::Publisher;
use crate::kernels::Shim;
use crate::model::{Clock, Event};

struct Nobody;

impl Publisher for Nobody {
    fn publish(&self, _event: Event) {}
}

fn action() -> Run {
    let kernels = Registry::none(Arc::new(Nobody), Clock::system());
    Run::new(kernels, Spawner::new(Shim::none()).unwrap(), DiagnosticConfig::default())
}

fn call(params: Value) -> Call {
    Call { params: params.as_object().cloned().unwrap(), ..Call::default() }
}

#[tokio::test]
async fn every_check_says_what_it_saw_or_why_it_could_not_look() {
    let action = action();
    let found = action.call(call(json!({}))).await.unwrap();
    let made = found["checks"].as_object().unwrap();
    assert_eq!(made.len(), CHECKS.len());
    let findings = found["findings"].as_array().unwrap();
    for check in CHECKS {
        let of = findings.iter().find(|it| it["check"] == check);
        let of = of.unwrap_or_else(|| panic!("{check} says nothing"));
        assert!(
            made[check] == "ok" || of["summary"].as_str().unwrap().starts_with("could not look at"),
            "{of}"
        );
        assert!(of["severity"] == "info" || of["advice"] != "", "what stands out comes with advice: {of}");
    }
    for check in ["load", "cpu", "memory", "swap", "disk", "files", "ports", "log", "kernel"] {
        assert_eq!(made[check], "ok", "{check} can be seen by anybody on Linux");
    }
    super::super::check_schema(&action.spec().result, &found).unwrap();
    assert!(found.to_string().len() < 256 * 1024, "bounded");
}

#[tokio::test]
async fn only_the_checks_that_are_named_are_made() {
    let action = action();
    let wanted = call(json!({ "checks": ["memory", "disk"] }));
    assert_eq!(action.dry_run(&wanted), "would look at the machine: memory, disk");
    let found = action.call(wanted).await.unwrap();
    assert_eq!(found["checks"], json!({ "memory": "ok", "disk": "ok" }));
    let top = found["findings"].as_array().unwrap().iter().find(|it| it["check"] == "memory").unwrap();
    assert!(top["data"]["top"][0]["memory_bytes"].as_u64().unwrap() > 0, "{top}");
}

#[tokio::test]
async fn a_log_file_is_looked_at_only_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::write(root.join("app.log"), "fine\nERROR no disk\n").unwrap();
    let mut action = action();
    let wanted = call(json!({ "checks": ["log"], "file": root.join("app.log") }));
    assert_eq!(action.call(wanted.clone()).await.unwrap_err().kind, "refused");
    assert!(action.dry_run(&wanted).starts_with("would be refused: "));
    action.config.logs = vec![root.join("*.log").display().to_string()];
    let found = action.call(wanted).await.unwrap();
    assert_eq!((&found["errors"], &found["severity"]), (&json!(["ERROR no disk"]), &json!("warning")));
}

#[test]
fn a_check_that_fails_says_so_and_the_others_are_not_hurt() {
    let fine = Finding::info("load", "fine".into(), json!({}));
    let (found, made) = settle(vec![("units", Err("no systemd".into())), ("load", Ok(vec![fine]))]);
    let told: Vec<&str> = found.iter().map(|it| it.summary.as_str()).collect();
    assert_eq!(told, ["could not look at units: no systemd", "fine"]);
    assert_eq!(Value::Object(made), json!({ "units": "no systemd", "load": "ok" }));
}
