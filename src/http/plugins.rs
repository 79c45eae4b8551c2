//! `/api/plugins`: the native libraries that add actions, and how they fare.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::page::{List, Paging, Path, Query};
use super::problem::Problem;
use crate::engine::reread::Reread;
use crate::plugins::{Kept, View};

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/plugins", get(all))
        .route("/api/plugins/reload", post(reload_all))
        .route("/api/plugins/{name}", get(one))
        .route("/api/plugins/{name}/reload", post(reload))
}

async fn all(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<List>, Problem> {
    Ok(Json(plugins(&api, &paging)?))
}

fn plugins(api: &Api, paging: &Paging) -> Result<List, Problem> {
    paging.of(&api.engine.plugins().list(), |plugin| plugin.name.clone())
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    find(&api, &name).map(Json)
}

/// A plugin after it was looked at.
#[derive(Debug, Serialize)]
struct Looked {
    #[serde(flatten)]
    view: View,
    /// Keys of the configuration that say something else than at the start.
    restart: Vec<String>,
}

/// All of them after the configuration was read again.
#[derive(Debug, Serialize)]
struct All {
    #[serde(flatten)]
    list: List,
    #[serde(flatten)]
    reread: Reread,
}

async fn reread(api: &Api) -> Result<Reread, Problem> {
    let stay = |why: String| Problem::new(409, format!("all plugins stay as they are: {why}"));
    api.engine.reread().await.map_err(stay)
}

async fn reload_all(State(api): State<Api>) -> Result<Json<All>, Problem> {
    let reread = reread(&api).await?;
    if let [Kept { name, why }, ..] = reread.plugins.kept.as_slice() {
        return Err(Problem::new(409, format!("plugin `{name}` is not loaded as it is configured: {why}")));
    }
    Ok(Json(All { list: plugins(&api, &Paging::default())?, reread }))
}

async fn reload(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Value>, Problem> {
    let Reread { plugins, restart } = reread(&api).await?;
    if plugins.removed.contains(&name) {
        return Ok(Json(json!({ "name": name, "state": "removed", "restart": restart })));
    }
    let stays = |why: &str| Problem::new(409, format!("plugin `{name}` stays as it is: {why}"));
    if let Some(kept) = plugins.kept.iter().find(|kept| kept.name == name) {
        return Err(stays(&kept.why));
    }
    find(&api, &name)?;
    if api.engine.plugins().reload(&name).await.map_err(|why| stays(&why))? {
        let engine = api.engine.clone();
        drop(tokio::task::spawn_blocking(move || engine.reload()));
    }
    Ok(Json(json!(Looked { view: find(&api, &name)?, restart })))
}

fn find(api: &Api, name: &str) -> Result<View, Problem> {
    let found = api.engine.plugins().list().into_iter().find(|view| view.name == name);
    found.ok_or_else(|| {
        Problem::not_found(format!("no plugin is named `{name}`; `plugins:` in the configuration names them"))
    })
}
