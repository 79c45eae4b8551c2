//! `POST /api/explain`: for an event at hand or in the log, why each rule does or does not fire for it.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use super::Api;
use super::body::Body;
use super::problem::Problem;
use crate::engine::explain::Explanation;
use crate::sources::cloudevents;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/explain", post(explain))
}

/// Either the id of an event in the log, or an event itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    id: Option<String>,
    event: Option<Value>,
}

async fn explain(
    State(api): State<Api>,
    Body(question): Body<Question>,
) -> Result<Json<Explanation>, Problem> {
    match question {
        Question { event: Some(event), id: None } => {
            let now = api.engine.clock().now();
            let fresh = &mut || uuid::Uuid::now_v7().to_string();
            let event = cloudevents::decode_line(&event.to_string(), now, "http", fresh)?;
            Ok(Json(api.engine.explain(&std::sync::Arc::new(event))))
        }
        Question { event: None, id: Some(id) } => match api.engine.explain_logged(&id).await? {
            Some(explanation) => Ok(Json(explanation)),
            None => Err(Problem::not_found(format!("no event with the id `{id}` is in the log"))),
        },
        _ => Err(Problem::bad_request(
            "give either `id`, of an event in the log, or `event`, as you would send it",
        )),
    }
}
