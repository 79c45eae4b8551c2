//! What a playbook says about itself as it runs: its log lines go to the engine's log, its metrics become events.
//!
//! Both are steps in the journal besides; a replay does not say them again, as it makes no new steps.

use serde_json::json;

use super::Parts;
use super::worker::Worker;
use crate::model::{Event, Step, StepKind, Topic};

/// Passes on what is said in `steps`, which were made just now.
pub fn pass_on(worker: &Worker<'_>, steps: &[Step]) {
    for step in steps {
        match step.kind {
            StepKind::Log => log(worker, step),
            StepKind::Metric => metric(worker.parts, step),
            _ => {}
        }
    }
}

fn log(worker: &Worker<'_>, step: &Step) {
    let text = step.request["text"].as_str().unwrap_or_default();
    let (intent, run) = (worker.id, step.run);
    match step.request["level"].as_str() {
        Some("error") => tracing::error!(%intent, %run, "{text}"),
        Some("warning") => tracing::warn!(%intent, %run, "{text}"),
        Some("debug") => tracing::debug!(%intent, %run, "{text}"),
        _ => tracing::info!(%intent, %run, "{text}"),
    }
}

/// The same step makes the same (source, id), so what is said twice over a crash counts once.
fn metric(parts: &Parts, step: &Step) {
    let Ok(topic) = Topic::try_new(format!("metric.{}", step.name)) else { return };
    let data = json!({ "name": step.name, "value": step.request["value"] });
    let id = format!("{}/{}", step.run, step.seq);
    let sent = parts.inbox.deliver(vec![Event::new(id, topic, "playbook", step.started_at, data)]);
    let name = step.name.clone();
    tokio::spawn(async move {
        if let Err(error) = sent.await {
            tracing::warn!("the metric {name} was not passed on: {error}");
        }
    });
}
