//! What all resources read alike: paging, ids, JSON bodies.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// A JSON body; what is wrong with one is told as a [`Problem`].
#[derive(axum::extract::FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub struct Body<T>(pub T);

/// A query string; what is wrong with one is told as a [`Problem`].
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// The parts of a path; what is wrong with them is told as a [`Problem`].
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

/// `?limit=&cursor=`
#[derive(Debug, Deserialize)]
pub struct Paging {
    /// At most so many.
    pub limit: Option<usize>,
    /// Go on where a page ended.
    pub cursor: Option<String>,
}

impl Paging {
    /// The limit, within bounds.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, 1_000)
    }
}

/// A whole list that fits a page.
#[derive(Debug, Serialize)]
pub struct List<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// `items` as a list without a next page.
pub fn list<T>(items: Vec<T>) -> axum::Json<List<T>> {
    axum::Json(List { items, next_cursor: None })
}

/// An id from a path.
///
/// # Errors
/// 404, as nothing has a name that is not an id.
pub fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("`{text}` is not the id of {what}")))
}
