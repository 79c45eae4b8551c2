//! `/api/kernels`: what is watched, and what a person does to it by hand.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::Api;
use super::page::{Body, List, Path, Query, list};
use super::problem::Problem;
use crate::kernels::View;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/kernels", get(all))
        .route("/api/kernels/{name}", get(one))
        .route("/api/kernels/{name}/restart", post(restart))
        .route("/api/kernels/{name}/start", post(start))
        .route("/api/kernels/{name}/stop", post(stop))
        .route("/api/kernels/{name}/scale", post(scale))
}

async fn all(State(api): State<Api>) -> Json<List<View>> {
    list(api.engine.kernels().list())
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    let view = api.engine.kernels().get(&name);
    view.map(Json).ok_or_else(|| Problem::not_found(format!("no kernel is named `{name}`")))
}

/// What a restart takes besides the name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Restart {
    dependants: bool,
}

async fn restart(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(how): Query<Restart>,
) -> Result<Json<View>, Problem> {
    known(&api, &name)?;
    if how.dependants {
        return Ok(Json(api.engine.kernels().restart_with_dependants(&name, None, "").await?));
    }
    Ok(Json(api.engine.kernels().restart(&name, None, "").await?))
}

async fn start(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    known(&api, &name)?;
    Ok(Json(api.engine.kernels().start(&name, "").await?))
}

async fn stop(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    known(&api, &name)?;
    Ok(Json(api.engine.kernels().stop(&name, None, "").await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    replicas: u32,
}

async fn scale(
    State(api): State<Api>,
    Path(name): Path<String>,
    Body(to): Body<Scale>,
) -> Result<Json<View>, Problem> {
    known(&api, &name)?;
    Ok(Json(api.engine.kernels().scale(&name, to.replicas, "").await?))
}

fn known(api: &Api, name: &str) -> Result<(), Problem> {
    match api.engine.kernels().get(name) {
        Some(_) => Ok(()),
        None => Err(Problem::not_found(format!("no kernel is named `{name}`"))),
    }
}
