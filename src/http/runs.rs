//! `/api/runs/{id}`: a run and its journal.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::Api;
use super::page::{Path, id};
use super::problem::Problem;
use crate::model::{Run, RunId, Step};

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/runs/{id}", get(show))
}

/// A run with its journal.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    run: Run,
    steps: Vec<Step>,
}

async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Shown>, Problem> {
    let id: RunId = id(&name, "a run")?;
    let run = api.engine.store().run(id).await?;
    let run = run.ok_or_else(|| Problem::not_found(format!("there is no run {id}")))?;
    let steps = api.engine.store().steps(id).await?;
    Ok(Json(Shown { run, steps }))
}
