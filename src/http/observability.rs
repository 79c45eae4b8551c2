//! The five endpoints of the original system, with its JSON names.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::Api;
use super::page::Query;
use crate::observability::{Alerts, Dashboard, RemediationStats, StressCurrent, StressTrends};

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/observability/stress/current", get(current))
        .route("/api/observability/stress/trends", get(trends))
        .route("/api/observability/remediation/stats", get(remediation))
        .route("/api/observability/dashboard", get(dashboard))
        .route("/api/observability/alerts", get(alerts))
}

async fn current(State(api): State<Api>) -> Json<StressCurrent> {
    Json(api.engine.stress_current())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    hours: Option<u32>,
}

async fn trends(State(api): State<Api>, Query(query): Query<Hours>) -> Json<StressTrends> {
    Json(api.engine.stress_trends(query.hours.unwrap_or(24).clamp(1, 24 * 366)))
}

async fn remediation(State(api): State<Api>) -> Json<RemediationStats> {
    Json(api.engine.remediation_stats())
}

async fn dashboard(State(api): State<Api>) -> Json<Dashboard> {
    Json(api.engine.dashboard())
}

async fn alerts(State(api): State<Api>) -> Json<Alerts> {
    Json(api.engine.alerts_body())
}
