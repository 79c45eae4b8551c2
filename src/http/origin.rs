//! Keeps web pages of others from acting through the browser of whoever runs the engine.
//!
//! A browser says where a request comes from; other clients say nothing and are let through. What only reads needs no
//! check, as a page may not see the answer.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};

use super::problem::Problem;

/// Refuses a request that changes something and comes from another site's page.
///
/// # Errors
/// 403.
pub fn check(request: &Request) -> Result<(), Problem> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || is_own(request.headers()) {
        return Ok(());
    }
    Err(Problem::new(
        403,
        "cross-origin requests are rejected: use the command line, or a client that is not a browser",
    ))
}

/// Whether a request is from a page of this very address, or from no page at all.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text(header::ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = text(header::HOST.as_str()).unwrap_or_default();
            origin
                .split_once("://")
                .is_some_and(|(_, from)| !host.is_empty() && from.eq_ignore_ascii_case(host))
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_is_told_from_our_own_and_from_a_program() {
        for (headers, own) in [
            (&[][..], true),
            (&[("host", "127.0.0.1:7112")], true),
            (&[("host", "127.0.0.1:7112"), ("origin", "http://127.0.0.1:7112")], true),
            (&[("host", "127.0.0.1:7112"), ("origin", "http://127.0.0.1:7113")], false),
            (&[("host", "127.0.0.1:7112"), ("origin", "https://evil.example")], false),
            (&[("host", "127.0.0.1:7112"), ("origin", "null")], false),
            (&[("origin", "http://")], false),
            (&[("host", "127.0.0.1:7112"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "127.0.0.1:7112"), ("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:7112")], true),
            (&[("sec-fetch-site", "none")], true),
        ] {
            let map = headers.iter().map(|(name, value)| {
                (name.parse::<header::HeaderName>().unwrap(), value.parse::<header::HeaderValue>().unwrap())
            });
            assert_eq!(is_own(&map.collect()), own, "{headers:?}");
        }
    }
}
