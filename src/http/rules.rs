//! `/api/rules`: the rules that are live, and why a newer set is not.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::Api;
use super::problem::Problem;
use crate::engine::query::Rules;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/rules", get(all)).route("/api/rules/reload", post(reload))
}

async fn all(State(api): State<Api>) -> Json<Rules> {
    Json(api.engine.rules())
}

async fn reload(State(api): State<Api>) -> Result<Json<Rules>, Problem> {
    let engine = api.engine.clone();
    tokio::task::spawn_blocking(move || engine.reload())
        .await
        .map_err(|_| Problem::new(500, "the reload ended badly; the engine's log says why"))?;
    let rules = api.engine.rules();
    match rules.errors() {
        0 => Ok(Json(rules)),
        n => Err(Problem::new(
            422,
            format!("the last good set stays, as the files have {n} mistakes: {}", rules.first_error()),
        )),
    }
}
