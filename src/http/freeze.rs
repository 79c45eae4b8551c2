//! `/api/freeze`: the kill switch.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::Api;
use super::body::Body;
use super::page::{List, Paging, Query};
use super::problem::Problem;
use crate::freeze::{Freeze, Scope, Unwritten, not_frozen};
use crate::model::Span;

/// The routes of this resource.
pub fn routes() -> Router<Api> {
    Router::new().route("/api/freeze", get(all).post(freeze).delete(thaw))
}

/// What is meant: everything, unless one of them is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    group: Option<String>,
    playbook: Option<String>,
    rule: Option<String>,
}

/// A wish to freeze.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    group: Option<String>,
    playbook: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: String,
    r#for: Option<Span>,
}

async fn all(State(api): State<Api>, Query(paging): Query<Paging>) -> Result<Json<List>, Problem> {
    Ok(Json(frozen(&api, &paging)?))
}

fn frozen(api: &Api, paging: &Paging) -> Result<List, Problem> {
    paging.of(&api.engine.frozen(), |freeze| freeze.scope.to_string())
}

async fn freeze(
    State(api): State<Api>,
    Body(wish): Body<Wish>,
) -> Result<(StatusCode, Json<Freeze>), Problem> {
    let Wish { group, playbook, rule, reason, by, r#for } = wish;
    if r#for.is_some_and(Span::is_zero) {
        let field = Some("for".into());
        return Err(Problem::bad_request("a freeze of no length freezes nothing").at(None, field));
    }
    let scope = scope(Which { group, playbook, rule })?;
    let freeze = api.engine.freeze(scope, reason, by, r#for).await?;
    Ok((StatusCode::CREATED, Json(freeze)))
}

async fn thaw(State(api): State<Api>, Query(which): Query<Which>) -> Result<Json<List>, Problem> {
    let scope = scope(which)?;
    if !api.engine.thaw(&scope)? {
        return Err(Problem::not_found(not_frozen(&scope, &api.engine.frozen())));
    }
    Ok(Json(frozen(&api, &Paging::default())?))
}

fn scope(which: Which) -> Result<Scope, Problem> {
    let named =
        [which.group.map(Scope::Group), which.playbook.map(Scope::Playbook), which.rule.map(Scope::Rule)];
    let named: Vec<Scope> = named.into_iter().flatten().collect();
    let empty = |it: &Scope| matches!(it, Scope::Group(name) | Scope::Playbook(name) | Scope::Rule(name) if name.is_empty());
    match named.as_slice() {
        [] => Ok(Scope::All),
        [one] if empty(one) => {
            Err(Problem::bad_request("the name is empty: name it, or leave it out for everything"))
        }
        [one] => Ok(one.clone()),
        _ => Err(Problem::bad_request(
            "name one of `group`, `playbook` and `rule`; freeze the others one by one",
        )),
    }
}

impl From<Unwritten> for Problem {
    fn from(error: Unwritten) -> Self {
        let text = format!(
            "{error}; as long as this engine lives, what was to be frozen is frozen, and what was to be thawed is not"
        );
        Self::new(503, text).retry_after(1)
    }
}
