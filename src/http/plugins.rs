//! `/api/plugins`: the native libraries that add actions, and how they fare.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::Api;
use super::page::{List, Path, list};
use super::problem::Problem;
use crate::plugins::View;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/plugins", get(all))
        .route("/api/plugins/{name}", get(one))
        .route("/api/plugins/{name}/reload", post(reload))
}

async fn all(State(api): State<Api>) -> Json<List<View>> {
    list(api.engine.plugins().list())
}

async fn one(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    find(&api, &name).map(Json)
}

async fn reload(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<View>, Problem> {
    find(&api, &name)?;
    let other = api.engine.plugins().reload(&name).await;
    match other {
        Err(why) => return Err(Problem::new(409, format!("plugin `{name}` stays as it is: {why}"))),
        Ok(true) => {
            let engine = api.engine.clone();
            drop(tokio::task::spawn_blocking(move || engine.reload()));
        }
        Ok(false) => {}
    }
    find(&api, &name).map(Json)
}

fn find(api: &Api, name: &str) -> Result<View, Problem> {
    let found = api.engine.plugins().list().into_iter().find(|view| view.name == name);
    found.ok_or_else(|| {
        Problem::not_found(format!("no plugin is named `{name}`; `plugins:` in the configuration names them"))
    })
}
