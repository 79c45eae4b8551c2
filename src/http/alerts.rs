//! `/api/alerts`: what operators were told, what became of it at each channel, and what they did about it.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::Api;
use super::page::{List, Paging, Path, Query, id};
use super::problem::Problem;
use crate::model::alert::AlertStatus;
use crate::model::{Alert, AlertId};

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/alerts", get(all))
        .route("/api/alerts/{id}/ack", post(ack))
        .route("/api/alerts/{id}/resolve", post(resolve))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    status: Option<AlertStatus>,
    limit: Option<usize>,
    cursor: Option<String>,
}

async fn all(State(api): State<Api>, Query(filter): Query<Filter>) -> Result<Json<List>, Problem> {
    let Filter { status, limit, cursor } = filter;
    let alerts = api.engine.alerts(status);
    Ok(Json(Paging { limit, cursor }.of(&alerts, |alert| alert.id.to_string())?))
}

async fn ack(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Alert>, Problem> {
    change(&api, &name, false).await
}

async fn resolve(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<Alert>, Problem> {
    change(&api, &name, true).await
}

async fn change(api: &Api, name: &str, over: bool) -> Result<Json<Alert>, Problem> {
    let id: AlertId = id(name, "an alert")?;
    Ok(Json(api.engine.change_alert(id, over).await?))
}
