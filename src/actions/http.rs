//! `http.request`: one request, without redirects, to a public address or one that the configuration allows.
//!
//! A name is resolved once, every address it has is judged, and the connection goes to one of these: a name that
//! resolves differently a moment later gains nothing. Proxies of the environment are not used, they would resolve anew.

mod guard;

use std::net::SocketAddr;
use std::sync::{Once, OnceLock};

use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{ClientBuilder, Method, Url, redirect};
use rustls_platform_verifier::ConfigVerifierExt;
use serde_json::{Map, Value, json};

use guard::{address, judge_literal, named, resolve};

use super::schema::text;
use super::secret::{Secret, SecretRef};
use super::{Action, Call, HttpConfig, Spec};
use crate::model::{Failure, Risk, Span};

pub(super) struct Request {
    config: HttpConfig,
    spec: Spec,
}

/// How much of an answer is kept.
const MAX_BODY: usize = 256 * 1024;

/// Headers that say how the message is framed, or whom it is for; they are ours to set.
const FRAMING: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "proxy-authorization"];

/// The header by which a server can tell a repeat.
const KEY: &str = "idempotency-key";

impl Request {
    pub(super) fn new(config: HttpConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "url": { "type": "string", "minLength": 1, "maxLength": 8192, "description": "http:// or https:// address" },
                "method": { "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "description": "GET if not said" },
                "headers": { "type": "object", "description": "each a text, or { secret: NAME, prefix: TEXT } for one of `actions.http.secrets`", "additionalProperties": {
                    "type": ["string", "object"],
                    "properties": { "secret": { "type": "string", "minLength": 1 }, "prefix": { "type": "string" } },
                    "additionalProperties": false,
                } },
                "body": { "type": "string", "maxLength": 1048576, "description": "sent as it is" },
                "json": { "description": "sent as JSON, instead of body" },
                "accept": { "type": "array", "items": { "type": "integer", "minimum": 100, "maximum": 599 }, "description": "statuses that count as success; 200 to 399 if not said" },
            },
            "required": ["url"],
            "additionalProperties": false,
        });
        let result = json!({
            "type": "object",
            "properties": {
                "status": { "type": "integer" },
                "headers": { "type": "object" },
                "body": { "type": "string" },
                "json": { "description": "the body as a value, if it is JSON" },
                "truncated": { "type": "boolean" },
            },
        });
        let spec = Spec {
            name: "http.request".into(),
            doc: "Sends an HTTP request.".into(),
            params,
            result,
            idempotent: false,
            acts: true,
            risk: Risk::Medium,
            timeout: Span::secs(30),
        };
        Self { config, spec }
    }
}

impl Action for Request {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn call(&self, call: Call) -> BoxFuture<'static, Result<Value, Failure>> {
        let config = self.config.clone();
        Box::pin(async move { send(&call, &config).await })
    }

    /// By what HTTP says of the method, or because the call brings an `Idempotency-Key` of its own: who writes one
    /// knows that the server heeds it. The one that goes along by itself may be heeded by nobody.
    fn idempotent(&self, call: &Call) -> bool {
        let headers = call.params.get("headers").and_then(Value::as_object);
        is_repeatable(&method(call))
            || headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case(KEY)))
    }

    /// Names are not looked up: a dry run asks nobody anything.
    fn dry_run(&self, call: &Call) -> String {
        let plan = address(&call.params).and_then(|url| {
            let wanted = call.params.get("headers").and_then(Value::as_object);
            for of in wanted.into_iter().flatten().filter_map(|(_, value)| value.as_object()) {
                secret(of, &url, &self.config)?;
            }
            judge_literal(&url, &self.config.allow)?;
            Ok(url)
        });
        match plan {
            // The query may hold a secret.
            Ok(mut url) => {
                url.set_query(None);
                format!("would send {} {url}{}", method(call), body_of(call))
            }
            Err(failure) => format!("would be refused: {failure}"),
        }
    }
}

/// What is sent along, by its size.
fn body_of(call: &Call) -> String {
    let json = call.params.get("json").filter(|value| !value.is_null());
    match (json, text(&call.params, "body")) {
        (Some(json), _) => format!(" with {} bytes of JSON", json.to_string().len()),
        (None, Some(body)) => format!(" with {} bytes", body.len()),
        (None, None) => String::new(),
    }
}

/// A client that follows nothing and asks no proxy.
pub(super) fn client() -> ClientBuilder {
    provider();
    let builder =
        reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().user_agent("paramedic");
    match tls() {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder,
    }
}

/// A client to whom `host` is `addresses` and nothing else.
fn pinned(host: &str, addresses: &[SocketAddr]) -> reqwest::Result<reqwest::Client> {
    client().resolve_to_addrs(host, addresses).build()
}

/// Makes sure that TLS has its ciphers.
pub(super) fn provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Whoever was first has installed one that serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}

/// How certificates are checked, made once: reading the system's roots takes longer than most requests, and each call
/// has a client of its own.
fn tls() -> Option<rustls::ClientConfig> {
    static TLS: OnceLock<Option<rustls::ClientConfig>> = OnceLock::new();
    TLS.get_or_init(|| rustls::ClientConfig::with_platform_verifier().ok()).clone()
}

/// Why a request failed, in words, without its address.
pub(super) fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn send(call: &Call, config: &HttpConfig) -> Result<Value, Failure> {
    let url = address(&call.params)?;
    let (headers, secrets) = headers(call, &url, config).await?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let addresses = resolve(&url, &config.allow).await?;
    let client = pinned(&host, &addresses)
        .map_err(|error| Failure::new("failed", format!("cannot make a client: {}", why(error))))?;
    let mut request = client.request(method(call), url).headers(headers);
    if let Some(value) = call.params.get("json").filter(|value| !value.is_null()) {
        request = request.json(value);
    } else if let Some(body) = text(&call.params, "body") {
        request = request.body(body.to_owned());
    }
    let answer = request
        .send()
        .await
        .map_err(|error| Failure::retryable("failed", format!("no answer from {host}: {}", why(error))))?;
    // A server may answer with what it was sent.
    let clean = |text: String| secrets.iter().fold(text, |text, secret| secret.redacted(&text));
    read(answer, &host, &accepted(call), clean).await
}

async fn read(
    mut answer: reqwest::Response,
    host: &str,
    accepted: &[u64],
    clean: impl Fn(String) -> String,
) -> Result<Value, Failure> {
    let status = answer.status().as_u16();
    let headers: Map<String, Value> = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.to_string(), clean(String::from_utf8_lossy(value.as_bytes()).into_owned()).into())
        })
        .collect();
    let (mut body, mut truncated) = (Vec::new(), false);
    loop {
        let chunk = answer.chunk().await;
        let chunk =
            chunk.map_err(|e| Failure::retryable("failed", format!("{host} broke off: {}", why(e))))?;
        let Some(chunk) = chunk else { break };
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            truncated = true;
            break;
        }
    }
    let fine =
        if accepted.is_empty() { (200..400).contains(&status) } else { accepted.contains(&status.into()) };
    let body = clean(String::from_utf8_lossy(&body).into_owned());
    if !fine {
        let start: String = body.trim().chars().take(300).collect();
        let retryable = status >= 500 || status == 429 || status == 408;
        let message = format!("{host} answered with status {status}: {start}");
        return Err(Failure { retryable, ..Failure::new("failed", message.trim_end_matches(": ")) });
    }
    let value: Option<Value> = serde_json::from_str(&body).ok();
    Ok(json!({ "status": status, "headers": headers, "body": body, "json": value, "truncated": truncated }))
}

/// The headers of a call, and the secrets that are among them.
async fn headers(call: &Call, url: &Url, config: &HttpConfig) -> Result<(HeaderMap, Vec<Secret>), Failure> {
    let (mut headers, mut secrets) = (HeaderMap::new(), Vec::new());
    let wanted = call.params.get("headers").and_then(Value::as_object);
    for (name, value) in wanted.into_iter().flatten() {
        let bad = |problem: &str| Failure::new("invalid", format!("`headers.{name}` {problem}"));
        let header: HeaderName = name.parse().map_err(|_| bad("is not a header's name"))?;
        if FRAMING.contains(&header.as_str()) {
            return Err(bad("is set by Paramedic itself"));
        }
        let broken = |_| bad("holds a line break or control character");
        let value = match value {
            Value::Object(of) => {
                let secret = secret(of, url, config)?.read().await.map_err(|why| bad(&format!(": {why}")))?;
                let prefix = text(of, "prefix").unwrap_or_default();
                let value = HeaderValue::from_str(&format!("{prefix}{}", secret.expose()));
                let mut value = value.map_err(broken)?;
                value.set_sensitive(true);
                secrets.push(secret);
                value
            }
            value => HeaderValue::from_str(value.as_str().unwrap_or_default()).map_err(broken)?,
        };
        headers.insert(header, value);
    }
    if !is_repeatable(&method(call))
        && !headers.contains_key(KEY)
        && let Ok(key) = HeaderValue::from_str(&call.key)
    {
        headers.insert(KEY, key);
    }
    Ok((headers, secrets))
}

/// Where the secret is that a header names, if it may be sent to where the request goes.
fn secret<'a>(of: &Map<String, Value>, url: &Url, config: &'a HttpConfig) -> Result<&'a SecretRef, Failure> {
    let name = text(of, "secret").unwrap_or_default();
    let Some(secret) = config.secrets.get(name) else {
        let known: Vec<&str> = config.secrets.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "there are none yet".into()
        } else {
            format!("there are {}", known.join(", "))
        };
        let message =
            format!("no secret is named `{name}`: {known}; see `actions.http.secrets` in the configuration");
        return Err(Failure::new("refused", message));
    };
    let host = named(url);
    let listed = |list: &[String]| list.iter().any(|it| it.eq_ignore_ascii_case(&host));
    if !listed(&secret.to) {
        let message = format!(
            "the secret `{name}` may not be sent to {host}: add it to `actions.http.secrets.{name}.to`"
        );
        return Err(Failure::new("refused", message));
    }
    // In the clear only where the operator named the very address as one inside.
    if url.scheme() != "https" && !listed(&config.allow) {
        let message = format!("the secret `{name}` would go to {host} in the clear: use https");
        return Err(Failure::new("refused", message));
    }
    Ok(&secret.from)
}

/// Whether HTTP says that asking twice does no more than asking once.
fn is_repeatable(method: &Method) -> bool {
    !matches!(*method, Method::POST | Method::PATCH)
}

fn method(call: &Call) -> Method {
    text(&call.params, "method").and_then(|name| name.parse().ok()).unwrap_or(Method::GET)
}

fn accepted(call: &Call) -> Vec<u64> {
    let list = call.params.get("accept").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|n| n.as_f64().map(|n| n as u64)).collect()
}
