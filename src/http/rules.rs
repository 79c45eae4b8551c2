//! `/api/rules`: the rules that are live, and why a newer set is not.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use super::Api;
use super::page::{List, Paging, Query};
use super::problem::Problem;
use crate::engine::query::{Load, Rules};

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/rules", get(all)).route("/api/rules/reload", post(reload))
}

/// A page of the rules, and how the last load went.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    list: List,
    #[serde(flatten)]
    load: Load,
}

async fn all(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<Shown>, Problem> {
    Ok(Json(show(api.engine.rules(), &paging)?))
}

fn show(rules: Rules, paging: &Paging) -> Result<Shown, Problem> {
    let (items, load) = rules.into_parts();
    Ok(Shown { list: paging.of(&items, |rule| rule.name().to_owned())?, load })
}

async fn reload(State(api): State<Api>) -> Result<Json<Shown>, Problem> {
    // First, as rules and playbooks are checked against the actions that plugins bring.
    let reread = api.engine.reread().await;
    let engine = api.engine.clone();
    let rules = tokio::task::spawn_blocking(move || engine.reloaded())
        .await
        .map_err(|_| Problem::new(500, "failed to reload; see the engine log"))?;
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
        [] => Ok(Json(show(rules, &Paging::default())?)),
        kept => {
            let why = kept.join("; ");
            Err(Problem::new(
                422,
                format!("rules and playbooks are reloaded, but plugins stay as they are: {why}"),
            ))
        }
    }
}
