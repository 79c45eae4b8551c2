//! `/api/actions`: what a playbook can do.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use super::Api;
use super::page::{List, list};
use crate::actions::Spec;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/actions", get(all))
}

async fn all(State(api): State<Api>) -> Json<List<Spec>> {
    list(api.engine.actions().list())
}
