//! `/api/kernels`: what is watched, and what a person does to it by hand.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::Api;
use super::body::Body;
use super::page::{List, Paging, Path, Query};
use super::problem::Problem;
use crate::kernels::{Registry, View};

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

async fn all(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<List>, Problem> {
    Ok(Json(paging.of(&api.engine.kernels().list(), |kernel| kernel.name.clone())?))
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    let view = api.engine.kernels().get(&name);
    view.map(Json).ok_or_else(|| Problem::not_found(format!("no kernel is named `{name}`")))
}

/// Who operates, as they say themselves; kept with what outlives the engine.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Who {
    by: String,
}

/// What a restart takes besides the name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Restart {
    dependants: bool,
    by: String,
}

async fn restart(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(how): Query<Restart>,
) -> Result<Json<View>, Problem> {
    let kernels = known(&api, &name, &how.by)?;
    if how.dependants {
        return Ok(Json(kernels.restart_with_dependants(&name, None, "").await?));
    }
    Ok(Json(kernels.restart(&name, None, "").await?))
}

async fn start(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(who): Query<Who>,
) -> Result<Json<View>, Problem> {
    Ok(Json(known(&api, &name, &who.by)?.start(&name, "").await?))
}

async fn stop(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(who): Query<Who>,
) -> Result<Json<View>, Problem> {
    Ok(Json(known(&api, &name, &who.by)?.stop(&name, None, "").await?))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    replicas: u32,
}

async fn scale(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(who): Query<Who>,
    Body(to): Body<Scale>,
) -> Result<Json<View>, Problem> {
    Ok(Json(known(&api, &name, &who.by)?.scale(&name, to.replicas, "").await?))
}

/// The kernels, on behalf of `by`, if `name` is one of them.
fn known(api: &Api, name: &str, by: &str) -> Result<Registry, Problem> {
    let kernels = api.engine.kernels();
    match kernels.get(name) {
        Some(_) if by.is_empty() => Ok(kernels.on_behalf_of("the API")),
        Some(_) => Ok(kernels.on_behalf_of(by)),
        None => Err(Problem::not_found(format!("no kernel is named `{name}`"))),
    }
}
