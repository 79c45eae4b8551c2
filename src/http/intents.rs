//! `/api/intents`: what is wanted and what becomes of it; a person's wishes and answers.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Api;
use super::body::Body;
use super::page::{Paging, Path, Query, id};
use super::problem::Problem;
use crate::actions::NewIntent;
use crate::engine;
use crate::intents::board;
use crate::intents::lifecycle::Illegal;
use crate::model::{Intent, IntentId, Priority, Run, Status};
use crate::store::{IntentQuery, Page};
use crate::tasks::ask::Asked;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/intents", get(list).post(create))
        .route("/api/intents/{id}", get(show))
        .route("/api/intents/{id}/answer", post(tell))
        .route("/api/intents/{id}/retry", post(retry))
        .route("/api/intents/{id}/{answer}", post(answer))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    status: Option<Status>,
    open: Option<bool>,
    rule: Option<String>,
    target: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn list(State(api): State<Api>, Query(filter): Query<Filter>) -> Result<Json<Page<Intent>>, Problem> {
    let paging = Paging { limit: filter.limit, cursor: filter.cursor };
    let query = IntentQuery {
        status: filter.status,
        open: filter.open,
        rule: filter.rule,
        target: filter.target,
        limit: paging.limit(),
        cursor: paging.cursor,
    };
    Ok(Json(api.engine.store().intents(query).await?))
}

/// Runs that are shown with an intent unless more are asked for.
const RUNS: usize = 50;

/// An intent with a page of its runs, and what a person is asked just now.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    intent: Intent,
    /// The latest of them, oldest first.
    runs: Vec<Run>,
    /// Where the runs before them are.
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Asked>,
}

async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Shown>, Problem> {
    let id: IntentId = id(&name, "an intent")?;
    let intent = api.engine.store().intent(id).await?;
    let intent = intent.ok_or_else(|| Problem::not_found(format!("there is no intent {id}")))?;
    // A run that went on as another again and again leaves many.
    let limit = paging.limit.map_or(RUNS, |_| paging.limit());
    let Page { items: mut runs, next_cursor } =
        api.engine.store().runs_page(id, limit, paging.cursor).await?;
    runs.reverse();
    let question = api.engine.question(id).await?;
    Ok(Json(Shown { intent, runs, next_cursor, question }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    goal: Option<String>,
    target: String,
    playbooks: Vec<String>,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    params: Map<String, Value>,
}

async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    Body(wish): Body<Wish>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if let Some(name) = wish.playbooks.iter().find(|name| !api.engine.has_playbook(name)) {
        let advice = "GET /api/playbooks lists those there are";
        return Err(Problem::bad_request(format!("there is no playbook `{name}`; {advice}"))
            .at(None, Some("playbooks".into())));
    }
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
    let goal = wish.goal.unwrap_or_else(|| format!("{} on {}", wish.playbooks.join(" or "), wish.target));
    let wish = NewIntent {
        goal,
        target: wish.target,
        playbooks: wish.playbooks,
        priority: wish.priority,
        params: wish.params,
        domain: None,
        class: String::new(),
        cause: None,
        key,
    };
    let id = api.engine.create(wish).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    answer: String,
    /// Which question is meant.
    #[serde(default)]
    question: Option<String>,
}

async fn tell(
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(said): Body<Said>,
) -> Result<StatusCode, Problem> {
    let (id, question): (IntentId, _) = (id(&name, "an intent")?, said.question.as_deref());
    match api.engine.answer_question(id, question, &said.answer, "the API").await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(engine::answer::Error::Unknown(_)) => Err(ended(&api, id, "answer").await),
        Err(error) => Err(error.into()),
    }
}

async fn retry(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Intent>), Problem> {
    let intent = api.engine.retry(id(&name, "an intent")?, "the API").await?;
    Ok((StatusCode::ACCEPTED, Json(intent.as_ref().clone())))
}

/// Why nothing can be done any more with an intent that is not open: what became of it, and when.
async fn ended(api: &Api, id: IntentId, what: &str) -> Problem {
    match api.engine.store().intent(id).await {
        Ok(Some(intent)) => {
            let (status, at) = (intent.status.as_str(), intent.updated_at.format("%Y-%m-%d %H:%M:%S UTC"));
            let why = intent.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            Problem::new(409, format!("cannot {what} intent {id}: it ended as {status} at {at}{why}"))
        }
        Ok(None) => Problem::not_found(format!("there is no intent {id}")),
        Err(error) => error.into(),
    }
}

async fn answer(
    State(api): State<Api>,
    Path((name, answer)): Path<(String, String)>,
) -> Result<Json<Intent>, Problem> {
    let id: IntentId = id(&name, "an intent")?;
    let by = "the API";
    let result = match answer.as_str() {
        "approve" => api.engine.approve(id, by).await,
        "deny" => api.engine.deny(id, by).await,
        "cancel" => api.engine.cancel(id, by).await,
        _ => {
            return Err(Problem::not_found(format!(
                "`{answer}` is not an answer to an intent: use approve, deny, cancel, answer or retry"
            )));
        }
    };
    match result {
        Ok(intent) => Ok(Json(intent.as_ref().clone())),
        // It may have ended, which is something else than never having been.
        Err(board::Error::Unknown(_)) => Err(ended(&api, id, &answer).await),
        Err(board::Error::Illegal(why)) if answer != "cancel" => Err(match api.engine.question(id).await? {
            Some(asked) => unfit(id, &why, &asked),
            None => board::Error::Illegal(why).into(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Who says yes or no to the whole of an intent whose playbook asks something of its own is told how to answer that.
fn unfit(id: IntentId, why: &Illegal, asked: &Asked) -> Problem {
    let answers = match asked.choices.as_slice() {
        [] => "any text".to_owned(),
        choices => choices.join(", "),
    };
    let question = &asked.question;
    Problem::new(
        409,
        format!(
            "cannot {why}: its playbook asks \"{question}\", so use `paramedic intents answer {id} TEXT`, with {answers}"
        ),
    )
}
