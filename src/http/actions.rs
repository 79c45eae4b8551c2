//! `/api/actions`: what a playbook can do.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::Api;
use super::page::{List, Paging, Query};
use super::problem::Problem;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/actions", get(all))
}

async fn all(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<List>, Problem> {
    Ok(Json(paging.of(&api.engine.actions().list(), |action| action.name.clone())?))
}
