//! Which keys each address takes in its query string: any other is refused, as a filter that is misspelled would
//! otherwise answer with everything. Start with [`check`].

use axum::extract::{MatchedPath, Request};
use axum::http::Method;

use super::problem::Problem;

/// Keys of every list.
const PAGE: &[&str] = &["limit", "cursor"];

/// The addresses that take keys. Those that are not here take none.
const KEYS: &[(Method, &str, &[&str])] = &[
    (Method::GET, "/api/actions", PAGE),
    (Method::GET, "/api/alerts", &["status", "limit", "cursor"]),
    (Method::GET, "/api/events", &["topic", "since", "until", "text", "limit", "cursor"]),
    (Method::GET, "/api/events/stream", &["topic"]),
    (Method::GET, "/api/freeze", PAGE),
    (Method::DELETE, "/api/freeze", &["group", "playbook", "rule"]),
    (Method::GET, "/api/intents", &["status", "open", "rule", "target", "limit", "cursor"]),
    (Method::GET, "/api/intents/{id}", PAGE),
    (Method::GET, "/api/kernels", PAGE),
    (Method::POST, "/api/kernels/{name}/restart", &["dependants", "by"]),
    (Method::POST, "/api/kernels/{name}/scale", &["by"]),
    (Method::POST, "/api/kernels/{name}/start", &["by"]),
    (Method::POST, "/api/kernels/{name}/stop", &["by"]),
    (Method::GET, "/api/learning", PAGE),
    (Method::GET, "/api/observability/stress/trends", &["hours"]),
    (Method::GET, "/api/playbooks", PAGE),
    (Method::GET, "/api/plugins", PAGE),
    (Method::GET, "/api/rules", PAGE),
    (Method::GET, "/api/runs/{id}", PAGE),
];

/// Refuses a key that the address does not take.
///
/// # Errors
/// 400, naming the keys that it takes.
pub fn check(request: &Request) -> Result<(), Problem> {
    let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
    let known = known(request.method(), path.as_str());
    let keys = query.split('&').filter(|pair| !pair.is_empty());
    let mut keys = keys.map(|pair| pair.split_once('=').map_or(pair, |(key, _)| key));
    let Some(unknown) = keys.find(|key| !known.contains(key)) else { return Ok(()) };
    let unknown: String = unknown.chars().take(100).collect();
    let what = match known {
        [] => "it takes none".to_owned(),
        known => {
            format!("it takes {}", known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "))
        }
    };
    let text = format!("`{unknown}` is not a query key of {}: {what}", path.as_str());
    Err(Problem::bad_request(text).at(None, Some(unknown)))
}

fn known(method: &Method, path: &str) -> &'static [&'static str] {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    KEYS.iter().find(|(known, at, _)| known == method && *at == path).map_or(&[], |(_, _, keys)| keys)
}
