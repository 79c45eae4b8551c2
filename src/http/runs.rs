//! `/api/runs/{id}`: a run and its journal.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::Api;
use super::page::{Paging, Path, Query, id};
use super::problem::Problem;
use crate::model::{Run, RunId, Step};
use crate::store::Page;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/runs/{id}", get(show))
}

/// A run with a page of its journal.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    run: Run,
    steps: Vec<Step>,
    /// Where the journal goes on.
    next_cursor: Option<String>,
}

async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Shown>, Problem> {
    let id: RunId = id(&name, "a run")?;
    let run = api.engine.store().run(id).await?;
    let run = run.ok_or_else(|| Problem::not_found(format!("there is no run {id}")))?;
    let Page { items: steps, next_cursor } =
        api.engine.store().steps_page(id, paging.wide(), paging.cursor).await?;
    Ok(Json(Shown { run, steps, next_cursor }))
}
