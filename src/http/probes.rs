//! `/healthz`, `/readyz`, `/metrics` and the list of what there is.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Api;
use super::problem::Problem;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

async fn index() -> Json<Value> {
    Json(json!({
        "name": "paramedic",
        "version": env!("CARGO_PKG_VERSION"),
        "resources": [
            "POST /api/events", "/api/events", "/api/events/stream?topic=telemetry.%3E", "/api/intents", "/api/intents/{id}",
            "POST /api/intents/{id}/approve|deny|cancel|retry", "POST /api/intents/{id}/answer",
            "/api/runs/{id}", "/api/kernels",
            "POST /api/kernels/{name}/restart|start|stop|scale", "/api/rules", "POST /api/rules/reload",
            "/api/playbooks", "/api/learning", "/api/actions", "/api/plugins",
            "POST /api/plugins/reload", "POST /api/plugins/{name}/reload", "/api/alerts", "POST /api/alerts/{id}/ack|resolve",
            "POST /api/explain", "POST /api/replay", "/api/observability/stress/current", "/api/observability/stress/trends?hours=24",
            "/api/observability/remediation/stats", "/api/observability/dashboard", "/api/observability/alerts",
            "/healthz", "/readyz", "/metrics",
        ],
    }))
}

async fn ready(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    if let Some(why) = api.engine.unready() {
        return Err(Problem::new(503, why).retry_after(1));
    }
    Ok(Json(api.engine.readiness()))
}

async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.engine.metrics())
}
