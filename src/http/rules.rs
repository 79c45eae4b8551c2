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
    // First, as rules and playbooks are checked against the actions that plugins bring.
    let reread = api.engine.reread().await;
    let engine = api.engine.clone();
    tokio::task::spawn_blocking(move || engine.reload())
        .await
        .map_err(|_| Problem::new(500, "the reload ended badly; the engine's log says why"))?;
    let rules = api.engine.rules();
    if let n @ 1.. = rules.errors() {
        return Err(Problem::new(
            422,
            format!("the last good set stays, as the files have {n} mistakes: {}", rules.first_error()),
        ));
    }
    let kept =
        reread.map(|it| it.plugins.kept.iter().map(|it| format!("`{}`: {}", it.name, it.why)).collect());
    let kept: Vec<String> = kept.unwrap_or_else(|why| vec![why]);
    match kept.as_slice() {
        [] => Ok(Json(rules)),
        kept => {
            let why = kept.join("; ");
            Err(Problem::new(
                422,
                format!("rules and playbooks are reloaded, but plugins stay as they are: {why}"),
            ))
        }
    }
}
