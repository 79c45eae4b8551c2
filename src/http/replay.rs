//! `POST /api/replay`: what rules would have done with what is in the log, and what other rules would do instead.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};

use super::Api;
use super::body::Body;
use super::problem::Problem;
use crate::engine::replay::Report;
use crate::engine::replay::served::{Question, Refused};

/// Largest question: it may hold two whole sets of rules.
const BODY: usize = 32 << 20;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/replay", post(replay))
}

async fn replay(
    State(api): State<Api>,
    Body(question): Body<Question, BODY>,
) -> Result<Json<Report>, Problem> {
    Ok(Json(api.engine.replay(question).await?))
}

impl From<Refused> for Problem {
    fn from(error: Refused) -> Self {
        let text = error.to_string();
        match error {
            Refused::Field { field, .. } => Self::bad_request(text).at(None, Some(field.into())),
            Refused::Invalid { field, .. } => Self::new(422, text).at(None, Some(field.into())),
            Refused::Busy => Self::new(429, text).retry_after(1),
            Refused::Failed(_) => Self::new(503, text).retry_after(1),
        }
    }
}
