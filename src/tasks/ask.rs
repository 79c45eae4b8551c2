//! A question that a playbook asks a person: told as an alert, answered by an event, so that both outlive a restart.
//!
//! The answer's event is named after the step that asks. The first answer counts; a further one is a duplicate.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::Parts;
use super::wait::{self, Awaited};
use super::worker::{Stop, Worker};
use crate::model::alert::Level;
use crate::model::{
    Event, Failure, Intent, IntentId, Pattern, RunId, Span, Step, StepKind, StepStatus, Time, Topic,
};

/// Topic and source of answers.
const TOPIC: &str = "intent.answered";
const SOURCE: &str = "answers";

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nothing is asked.
    #[error("its playbook asks nothing just now")]
    NotAsked,
    /// A person's yes or no to the whole of it is waited for.
    #[error(
        "it waits for approval, and its playbook asks nothing: use `paramedic intents approve {0}` or `paramedic intents deny {0}`"
    )]
    Approval(IntentId),
    /// Something else is asked by now.
    #[error("question {question} is over; it asks {now} now: look at it before you answer")]
    Over {
        /// Which was answered.
        question: String,
        /// What is asked now, in words.
        now: String,
    },
    /// The question has its own answers.
    #[error("`{answer}` is none of the answers: choose one of {choices}")]
    NoChoice {
        /// What was answered.
        answer: String,
        /// What may be.
        choices: String,
    },
}

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Its name, `RUN/STEP`.
    pub name: String,
    /// In words.
    pub question: String,
    /// What may be answered; none: anything.
    pub choices: Vec<String>,
    /// Until when.
    pub until: Time,
}

/// What a person is asked.
pub struct Question {
    /// In words.
    pub text: String,
    /// What they may answer; none: anything.
    pub choices: Vec<String>,
    /// How long they have.
    pub timeout: Span,
    /// Whether the script wants to know who answered, and when.
    pub details: bool,
}

/// What a question waits for: the event that is named after its `step`.
pub fn awaited(step: &Step, until: Time) -> Awaited {
    let pattern = Pattern::try_new(TOPIC).expect("the topic of answers is a pattern");
    let when = Some(format!("source == \"{SOURCE}\" && event.id == target"));
    Awaited { pattern, when, target: name(step.run, step.seq), until, since: Some(step.started_at) }
}

/// Tells a person, and waits for the answer; nothing if none came in time.
pub async fn ask(
    worker: &mut Worker<'_>,
    step: &Step,
    question: &Question,
) -> Result<Result<Value, Failure>, Stop> {
    let told = worker.awaits.step.as_ref().is_some_and(|(seq, _)| *seq == step.seq);
    if !told && let Some(intent) = worker.parts.board.get(worker.id) {
        // Told again after a restart it is the same alert, counted.
        tell(worker, &intent, step, &question.text, &question.choices, question.timeout).await;
    }
    let awaited = awaited(step, step.started_at + question.timeout.delta());
    let fits = |event: &Event| {
        event.data.value()["answer"].as_str().is_some_and(|it| is_choice(it, &question.choices))
    };
    let answered = wait::event(worker, step, &awaited, fits).await?;
    over(worker.parts, worker.id).await;
    let result = |event: Arc<Event>| {
        let said = event.data.value();
        match question.details {
            true => json!({ "answer": said["answer"], "by": said["by"], "at": event.time }),
            false => said["answer"].clone(),
        }
    };
    Ok(answered.map(|event| event.map_or(Value::Null, result)))
}

/// The question that the journal `steps` ends with, if it is one.
pub fn asked(steps: &[Step]) -> Option<Asked> {
    let open = |step: &&Step| step.kind == StepKind::Ask && step.status == StepStatus::Started;
    let step = steps.last().filter(open)?;
    let timeout: Span = serde_json::from_value(step.request["timeout"].clone()).ok()?;
    Some(Asked {
        name: name(step.run, step.seq),
        question: step.request["question"].as_str().unwrap_or_default().to_owned(),
        choices: serde_json::from_value(step.request["choices"].clone()).unwrap_or_default(),
        until: step.started_at + timeout.delta(),
    })
}

/// The event that answers the question which the journal `steps` ends with. Where `question` names one (`RUN/STEP`), it
/// must be that.
///
/// # Errors
/// When there is no such question, or `answer` is none of its choices.
pub fn answer(
    intent: &Intent,
    steps: &[Step],
    question: Option<&str>,
    answer: &str,
    by: &str,
    now: Time,
) -> Result<Event, Refused> {
    let asked = asked(steps).ok_or(Refused::NotAsked)?;
    if let Some(question) = question.filter(|question| *question != asked.name) {
        let now = format!("\"{}\" ({})", asked.question, asked.name);
        return Err(Refused::Over { question: question.into(), now });
    }
    if !is_choice(answer, &asked.choices) {
        return Err(Refused::NoChoice { answer: answer.into(), choices: asked.choices.join(", ") });
    }
    let topic = Topic::try_new(TOPIC).map_err(|_| Refused::NotAsked)?;
    let data = json!({ "answer": answer, "question": asked.question, "by": by });
    let mut event = Event::new(asked.name, topic, SOURCE, now, data).about(intent.target.clone());
    event.correlationid = Some(intent.id.to_string());
    Ok(event)
}

async fn tell(
    worker: &Worker<'_>,
    intent: &Intent,
    step: &Step,
    question: &str,
    choices: &[String],
    timeout: Span,
) {
    let answers = if choices.is_empty() { "any text".to_owned() } else { choices.join(", ") };
    let message = format!(
        "{} asks: {question} Answer within {timeout} with `paramedic intents answer {} TEXT --question {}`: {answers}",
        intent.goal,
        intent.id,
        name(step.run, step.seq)
    );
    let (key, title) = (key(intent.id), question.to_owned());
    let target = Some(intent.target.clone());
    let told = worker.parts.alerts.raise(key, Level::Warning, title, message, target, Some(intent.id)).await;
    if let Err(failure) = told {
        tracing::error!(intent = %intent.id, "the question `{question}` could not be put on the alert list: {failure}");
    }
}

/// Tells a person that `playbook` may only be run for `intent` once they have approved of it.
///
/// # Errors
/// When it could not be put on the alert list.
pub async fn permission(
    parts: &Parts,
    intent: &Intent,
    playbook: &str,
    why: &str,
    within: Span,
) -> Result<(), Failure> {
    let title = format!("{}: may `{playbook}` be run on {}?", intent.goal, intent.target);
    let message = format!(
        "Asked because {why}. Answer within {within} with `paramedic intents approve {0}` or `paramedic intents deny {0}`.",
        intent.id
    );
    let (key, target) = (key(intent.id), Some(intent.target.clone()));
    parts.alerts.raise(key, intent.priority.into(), title, message, target, Some(intent.id)).await.map(|_| ())
}

/// Nobody is asked any more about `intent`.
pub async fn over(parts: &Parts, intent: IntentId) {
    if let Err(failure) = parts.alerts.resolve(key(intent)).await {
        tracing::error!(intent = %intent, "the alert of a question that is over stays open: {failure}");
    }
}

/// The key of its alert. An intent asks one question at a time.
fn key(intent: IntentId) -> String {
    format!("{intent}/question")
}

fn is_choice(answer: &str, choices: &[String]) -> bool {
    choices.is_empty() || choices.iter().any(|choice| choice == answer)
}

fn name(run: RunId, seq: u32) -> String {
    format!("{run}/{seq}")
}
