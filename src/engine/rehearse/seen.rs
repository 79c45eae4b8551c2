//! What came of a test, read back from its store as JSON, so that it can be compared and shown.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::case::Happening;
use super::{Stage, alone};
use crate::model::{Event, Intent, Run, RunId, Span, Step, StepKind, Time};
use crate::store::{EventQuery, IntentQuery, Store};

/// Items a page when everything is read.
const PAGE: usize = 10_000;

/// What came of a test.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Seen {
    /// Intents in the order in which they were opened.
    pub intents: Vec<Value>,
    /// Steps of all runs in the order in which they began.
    pub steps: Vec<Value>,
    /// Alerts in the order in which they were first raised.
    pub alerts: Vec<Value>,
    /// Events in order of arrival, but for those that the test itself sent.
    pub events: Vec<Value>,
    /// What came of the first run; of nothing, `null`.
    pub run: Value,
    /// How much time passed in it.
    #[serde(skip)]
    pub virtual_time: Duration,
    /// What did not go as the test says, whatever it expects: it came to no end, or somebody was not asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
}

/// Reads what there is, but for the events that were `sent`. A store in memory does not fail; what it did not say is
/// not there.
pub(super) async fn collect(stage: &Stage, store: &dyn Store, start: Time, sent: &[Happening]) -> Seen {
    let mut seen = Seen::default();
    let mut steps = Vec::new();
    let mut intents = all_intents(store).await;
    intents.reverse();
    for intent in intents {
        let (mut own, mut said) = (Vec::new(), Vec::new());
        let runs = store.runs_of(intent.id).await.unwrap_or_default();
        for run in &runs {
            let journal = store.steps(run.id).await.unwrap_or_default();
            said.extend(journal.iter().filter_map(|step| line(run, step)));
            own.push(journal.into_iter().flat_map(|step| acts(&step, start)).collect::<Vec<_>>());
        }
        if let (Value::Null, Some(run)) = (&seen.run, runs.last()) {
            let outcome = intent.repairs().last().and_then(|it| it.outcome);
            let has_rollback = stage.library.get(&run.playbook).is_some_and(|it| it.has_rollback);
            seen.run = alone::seen(run, outcome, has_rollback);
        }
        seen.intents.push(view(&intent, start, &runs, &own, said));
        steps.extend(own.into_iter().flatten());
    }
    steps.sort_by_key(|(at, _)| *at);
    seen.steps = steps.into_iter().map(|(_, step)| step).collect();
    let mut alerts = store.alerts(false, usize::MAX).await.unwrap_or_default();
    alerts.sort_by_key(|alert| (alert.created_at, alert.id));
    seen.alerts = alerts
        .into_iter()
        .map(|alert| {
            json!({
                "title": alert.title, "message": alert.message, "level": alert.level, "target": alert.target,
                "status": alert.status, "count": alert.count, "key": alert.key, "at": past(alert.created_at, start),
            })
        })
        .collect();
    let known: HashSet<(&str, &str)> =
        sent.iter().map(|it| (it.event.source.as_str(), it.event.id.as_str())).collect();
    let others = all_events(store).await.into_iter().filter(|it| !known.contains(&(&it.source, &it.id)));
    seen.events = others.map(|event| event_view(&event, start)).collect();
    seen
}

/// How long after the start something was.
fn past(at: Time, start: Time) -> Span {
    Span((at - start).to_std().unwrap_or_default())
}

/// When a step began (and which it is of those that began together), and what it was.
type Act = ((Time, RunId, u32, usize), Value);

/// The actions of a step; others have none.
fn acts(step: &Step, start: Time) -> Vec<Act> {
    let one = [step.request.clone()];
    let wishes: &[Value] = match step.kind {
        StepKind::Act => &one,
        StepKind::All => step.request["actions"].as_array().map(Vec::as_slice).unwrap_or_default(),
        _ => return vec![],
    };
    let name = |wish: &Value| match step.kind {
        StepKind::Act => json!(step.name),
        _ => wish["action"].clone(),
    };
    let act = |(n, wish): (usize, &Value)| {
        let mut act = json!({
            "action": name(wish), "params": wish["params"], "phase": step.phase, "at": past(step.started_at, start),
        });
        if let Some(error) = &step.error {
            act["fails"] = json!(error.kind);
            act["message"] = json!(error.message);
        }
        ((step.started_at, step.run, step.seq, n), act)
    };
    wishes.iter().enumerate().map(act).collect()
}

/// What a playbook logged.
fn line(run: &Run, step: &Step) -> Option<String> {
    let text = step.request["text"].as_str().filter(|_| step.kind == StepKind::Log)?;
    let level = step.request["level"].as_str().unwrap_or("info");
    Some(format!("{} says ({level}): {text}", run.playbook))
}

fn view(intent: &Intent, start: Time, runs: &[Run], steps: &[Vec<Act>], said: Vec<String>) -> Value {
    let steps_of = |attempt: &crate::model::Attempt| {
        let at = runs.iter().position(|run| run.id == attempt.run);
        let steps = at.and_then(|at| steps.get(at)).map(Vec::as_slice).unwrap_or_default();
        steps.iter().map(|(_, step)| step.clone()).collect::<Vec<_>>()
    };
    let attempts: Vec<Value> = intent
        .repairs()
        .map(|it| {
            json!({
                "playbook": it.playbook, "outcome": it.outcome, "message": it.message, "steps": steps_of(it),
            })
        })
        .collect();
    let escalation: Vec<&str> =
        intent.attempts.iter().filter(|it| it.escalation).map(|it| it.playbook.as_str()).collect();
    let ended = |it: &crate::model::Attempt| {
        let how = it.outcome.map_or("failed", |outcome| outcome.as_str());
        it.message.as_ref().map(|message| format!("{}, {how}: {message}", it.playbook))
    };
    let notes: Vec<String> = intent.attempts.iter().filter_map(ended).chain(said).collect();
    let last = intent.repairs().last();
    let all: Vec<Value> = steps.iter().flatten().map(|(_, step)| step.clone()).collect();
    let mut view = Map::new();
    for (key, value) in [
        ("rule", json!(intent.rule)),
        ("target", json!(intent.target)),
        ("group", json!(intent.group)),
        ("class", json!(intent.class)),
        ("status", json!(intent.status)),
        ("reason", json!(intent.reason)),
        ("count", json!(intent.count)),
        ("goal", json!(intent.goal)),
        ("domain", json!(intent.domain)),
        ("priority", json!(intent.priority)),
        ("fleet", json!(intent.fleet)),
        ("playbook", json!(last.map(|it| &it.playbook))),
        ("outcome", json!(last.and_then(|it| it.outcome))),
        ("attempts", json!(attempts)),
        ("escalation", json!(escalation)),
        ("steps", json!(all)),
        ("at", json!(past(intent.created_at, start))),
        ("notes", json!(notes)),
    ] {
        view.insert(key.into(), value);
    }
    Value::Object(view)
}

fn event_view(event: &Event, start: Time) -> Value {
    json!({
        "topic": event.topic, "subject": event.subject, "source": event.source, "id": event.id,
        "priority": event.priority, "data": event.data, "at": past(event.time, start),
    })
}

async fn all_intents(store: &dyn Store) -> Vec<Intent> {
    let mut query = IntentQuery { limit: PAGE, ..IntentQuery::default() };
    let mut all = Vec::new();
    while let Ok(page) = store.intents(query.clone()).await {
        all.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    all
}

async fn all_events(store: &dyn Store) -> Vec<Event> {
    let mut query = EventQuery { limit: PAGE, ..EventQuery::default() };
    let mut all = Vec::new();
    while let Ok(page) = store.events(query.clone()).await {
        all.extend(page.items);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    all
}
