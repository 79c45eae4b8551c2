//! A POST of JSON to a channel, and what its answer means. What it says is freed of secrets.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::channel::Trouble;
use crate::actions::http;
use crate::actions::secret::Secret;
use crate::model::Clock;

/// How much of an answer is read to say why it was refused.
const SAID: usize = 300;

/// Sends `body`. `secrets` are taken out of whatever is said about it.
pub(super) async fn json(
    url: &str,
    headers: HeaderMap,
    body: &Value,
    secrets: &[&Secret],
) -> Result<(), Trouble> {
    let client = http::client().build().map_err(|error| Trouble::Final(http::why(error)))?;
    let address =
        reqwest::Url::parse(url).map_err(|error| Trouble::Final(format!("its address: {error}")))?;
    let clean = |text: String| secrets.iter().fold(text, |text, secret| secret.redacted(&text));
    let sent = client.post(address).headers(headers).json(body).send().await;
    let mut answer = sent.map_err(|error| Trouble::Passing(clean(http::why(error)), None))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let wanted = answer.headers().get(RETRY_AFTER).and_then(|it| it.to_str().ok()).and_then(pause);
    let said = match answer.chunk().await {
        Ok(Some(chunk)) => String::from_utf8_lossy(&chunk[..chunk.len().min(SAID)]).trim().to_owned(),
        _ => String::new(),
    };
    let why = clean(format!("answered with status {}: {said}", status.as_u16()));
    let why = why.trim_end_matches(": ").to_owned();
    Err(match status.as_u16() {
        408 | 425 | 429 | 500.. => Trouble::Passing(why, wanted),
        300..400 => Trouble::Final(format!("{why}; redirects are not followed: write where it leads to")),
        _ => Trouble::Final(why),
    })
}

/// What `Retry-After` says: seconds or a date.
fn pause(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some((date.to_utc() - Clock::system().now()).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_understood() {
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(pause("Fri, 06 Nov 2099 08:49:37 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(pause("soon"), None);
    }
}
