//! A service that has addresses of its own by which it is started, stopped, restarted and asked.
//!
//! The addresses stand in the configuration, so they are trusted as the configuration is. Secrets of headers are read
//! anew for each request, from the environment or a file.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;

use super::web::{self, body, why};
use super::{Outside, Sight};
use crate::kernels::body::Done;
use crate::kernels::spec::{self, Kept, Request, Spec, Text};
use crate::kernels::view::State;
use crate::model::Failure;

/// One service.
pub(super) struct Service {
    spec: spec::Http,
    client: Client,
}

impl Service {
    pub(super) fn try_new(spec: &Spec) -> Result<Self, String> {
        let client =
            web::client().build().map_err(|error| format!("cannot make an HTTP client: {}", why(error)))?;
        Ok(Self { spec: spec.http.clone().unwrap_or_default(), client })
    }

    /// Makes a request; the answer, if its status is below 400.
    async fn ask(
        &self,
        what: &str,
        request: &Request,
        method: Method,
        key: &str,
        fill: &[(&str, &str)],
    ) -> Result<Vec<u8>, Failure> {
        let filled =
            |text: &str| fill.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        let method = request.method.as_deref().and_then(|m| m.parse().ok()).unwrap_or(method);
        let url = filled(&request.url);
        let mut asked = self.client.request(method, &url).headers(headers(request).await?);
        if !key.is_empty() {
            asked = asked.header("idempotency-key", key);
        }
        if let Some(text) = &request.body {
            asked = asked.body(filled(text));
        }
        let host = url.split('/').nth(2).unwrap_or_default();
        let answer = asked.send().await;
        let answer = answer.map_err(|error| {
            Failure::retryable("failed", format!("`{what}`: no answer from {host}: {}", why(error)))
        })?;
        let status = answer.status();
        let bytes = body(answer)
            .await
            .map_err(|error| Failure::retryable("failed", format!("`{what}`: {host} broke off: {error}")))?;
        if status.as_u16() < 400 {
            return Ok(bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let start: String = text.trim().chars().take(200).collect();
        let message = format!("`{what}`: {host} answered with status {}: {start}", status.as_u16());
        Err(web::failure(status, message.trim_end_matches(": ").to_owned()))
    }

    fn missing(what: &str) -> Failure {
        Failure::new(
            "refused",
            format!("its configuration has no address for this: add `{what}` to its `http`"),
        )
    }

    async fn act(&self, what: &str, request: Option<&Request>, key: &str) -> Result<(), Failure> {
        let request = request.ok_or_else(|| Self::missing(what))?;
        self.ask(what, request, Method::POST, key, &[]).await.map(drop)
    }

    async fn sight(&self) -> Result<Sight, Failure> {
        let up = Sight { vague: true, ..Sight::of(State::Healthy) };
        // The probe alone tells then.
        let Some(request) = &self.spec.status else { return Ok(up) };
        match self.ask("status", request, Method::GET, "", &[]).await {
            Ok(bytes) => {
                let value: Option<Value> = serde_json::from_slice(&bytes).ok();
                let instance = self.spec.instance.as_deref().zip(value.as_ref());
                let instance = instance.and_then(|(at, value)| value.pointer(at)).map(plain);
                Ok(Sight { instance, ..up })
            }
            // Not allowed to look is not the same as down.
            Err(failure) if failure.kind == "refused" => Err(failure),
            Err(failure) => Ok(Sight { state: State::Unhealthy, problem: Some(failure.message), ..up }),
        }
    }
}

impl Outside for Service {
    fn look(&self) -> Done<'_, Sight> {
        Box::pin(self.sight())
    }

    fn start<'a>(&'a self, key: &'a str) -> Done<'a> {
        Box::pin(self.act("start", self.spec.start.as_ref(), key))
    }

    fn stop<'a>(&'a self, _grace: Duration, key: &'a str) -> Done<'a> {
        Box::pin(self.act("stop", self.spec.stop.as_ref(), key))
    }

    fn restart<'a>(&'a self, _grace: Duration, key: &'a str) -> Done<'a> {
        Box::pin(async move {
            if self.spec.restart.is_some() {
                return self.act("restart", self.spec.restart.as_ref(), key).await;
            }
            let part = |what: &str| if key.is_empty() { String::new() } else { format!("{key}/{what}") };
            self.act("stop", self.spec.stop.as_ref(), &part("stop")).await?;
            self.act("start", self.spec.start.as_ref(), &part("start")).await
        })
    }

    fn scale<'a>(&'a self, n: u32, key: &'a str) -> Done<'a> {
        Box::pin(async move {
            let request = self.spec.scale.as_ref().ok_or_else(|| Self::missing("scale"))?;
            self.ask("scale", request, Method::POST, key, &[("${REPLICAS}", &n.to_string())]).await.map(drop)
        })
    }

    fn logs(&self, n: usize) -> Done<'_, Vec<String>> {
        Box::pin(async move {
            let request = self.spec.logs.as_ref().ok_or_else(|| Self::missing("logs"))?;
            let bytes = self.ask("logs", request, Method::GET, "", &[("${LINES}", &n.to_string())]).await?;
            Ok(web::last_lines(&bytes, n))
        })
    }

    fn keeps_keys(&self) -> bool {
        self.spec.idempotent
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn headers(request: &Request) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let wrong = |problem: String| Failure::new("invalid", format!("its header `{name}` {problem}"));
        let text = match value {
            Text::Plain(text) => text.clone(),
            Text::Kept(kept) => format!("{}{}", kept.prefix, secret(kept).await.map_err(wrong)?),
        };
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| wrong("cannot be the name of one".into()))?;
        let mut value =
            HeaderValue::try_from(text).map_err(|_| wrong("has a value with a line's end in it".into()))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

async fn secret(kept: &Kept) -> Result<String, String> {
    match (&kept.env, &kept.file) {
        (Some(name), _) => std::env::var(name)
            .map_err(|_| format!("is in the variable `{name}`, which the engine's environment has not")),
        (None, Some(path)) => {
            let read = tokio::fs::read_to_string(path).await;
            let text = read.map_err(|error| format!("is in the file {}: {error}", path.display()))?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
        // Refused at load.
        (None, None) => Ok(String::new()),
    }
}
