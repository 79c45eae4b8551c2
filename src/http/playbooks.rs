//! `/api/playbooks`: what can be tried, and how well it does.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::Api;
use super::page::{List, Paging, Path, Query};
use super::problem::Problem;
use crate::engine::query::PlaybookDetail;
use crate::learning;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/playbooks", get(all))
        .route("/api/playbooks/{name}", get(one))
        .route("/api/learning", get(learned))
}

async fn all(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<List>, Problem> {
    Ok(Json(paging.of(&api.engine.playbooks(), |playbook| playbook.name().to_owned())?))
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<PlaybookDetail>, Problem> {
    let found = api.engine.playbook(&name);
    found.map(Json).ok_or_else(|| Problem::not_found(format!("no playbook is named `{name}`")))
}

async fn learned(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<List>, Problem> {
    let key = |row: &learning::Row| format!("{}/{}/{}", row.playbook, row.hash, row.class);
    Ok(Json(paging.of(&api.engine.learned(), key)?))
}
