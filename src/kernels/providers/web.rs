//! What providers that speak HTTP have in common: a client, how much of an answer is read, what a status means.

use std::error::Error;
use std::sync::Once;
use std::time::{Duration, SystemTime};

use reqwest::{ClientBuilder, Response, StatusCode, redirect};

use crate::model::Failure;

/// How much of an answer is read.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// How long one request may take; a look is bounded more tightly.
const LIMIT: Duration = Duration::from_secs(120);

/// A client that follows nothing and asks no proxy.
pub(super) fn client() -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Whoever was first has installed one that serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent("paramedic")
        .connect_timeout(Duration::from_secs(5))
        .timeout(LIMIT)
}

/// Why a request failed, in words, without its address.
pub(super) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The answer's body, or as much of it as is read.
pub(super) async fn body(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(why)? {
        let room = MAX_BODY - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    Ok(bytes)
}

/// A status from 400 on as a failure.
pub(super) fn failure(status: StatusCode, message: String) -> Failure {
    match status.as_u16() {
        401 | 403 => Failure::new("refused", message),
        408 | 409 | 425 | 429 | 500.. => Failure::retryable("failed", message),
        _ => Failure::new("invalid", message),
    }
}

/// Seconds since 1970, for what is compared with, or sent to, another program's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "another program's clock is meant, which no virtual one follows"
)]
#[cfg_attr(
    not(any(feature = "docker", feature = "kubernetes")),
    expect(dead_code, reason = "only these compare clocks")
)]
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The last `n` lines of a text.
pub(super) fn last_lines(bytes: &[u8], n: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<String> = text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
    lines.split_off(lines.len().saturating_sub(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_whether_it_is_worth_trying_again() {
        for (status, kind, retryable) in [
            (401, "refused", false),
            (403, "refused", false),
            (404, "invalid", false),
            (409, "failed", true),
            (422, "invalid", false),
            (429, "failed", true),
            (500, "failed", true),
            (503, "failed", true),
        ] {
            let failure = failure(StatusCode::from_u16(status).unwrap(), String::new());
            assert_eq!((failure.kind.as_str(), failure.retryable), (kind, retryable), "{status}");
        }
    }
}
