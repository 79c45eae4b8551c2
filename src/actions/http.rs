//! `http.request`: one request, without redirects, to a public address or one that the configuration allows.
//!
//! A name is resolved once, every address it has is judged, and the connection goes to one of these: a name that
//! resolves differently a moment later gains nothing. Proxies of the environment are not used, they would resolve anew.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Once, OnceLock};

use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{ClientBuilder, Method, Url, redirect};
use rustls_platform_verifier::ConfigVerifierExt;
use serde_json::{Map, Value, json};

use super::schema::text;
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

impl Request {
    pub(super) fn new(config: HttpConfig) -> Self {
        let params = json!({
            "type": "object",
            "properties": {
                "url": { "type": "string", "minLength": 1, "maxLength": 8192, "description": "http:// or https:// address" },
                "method": { "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "description": "GET if not said" },
                "headers": { "type": "object", "additionalProperties": { "type": "string" } },
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
        let allow = self.config.allow.clone();
        Box::pin(async move { send(&call, &allow).await })
    }

    /// By what HTTP says of the method. The key goes along as `Idempotency-Key`, but nobody need heed it.
    fn idempotent(&self, call: &Call) -> bool {
        !matches!(method(call), Method::POST | Method::PATCH)
    }

    fn dry_run(&self, call: &Call) -> String {
        match address(&call.params) {
            // The query may hold a secret.
            Ok(mut url) => {
                url.set_query(None);
                format!("would send {} {url}", method(call))
            }
            Err(failure) => format!("would be refused: {failure}"),
        }
    }
}

/// A client that follows nothing and asks no proxy.
pub(super) fn client() -> ClientBuilder {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Whoever was first has installed one that serves as well.
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    let builder =
        reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().user_agent("paramedic");
    match tls() {
        Some(tls) => builder.tls_backend_preconfigured(tls),
        None => builder,
    }
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

async fn send(call: &Call, allow: &[String]) -> Result<Value, Failure> {
    let url = address(&call.params)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let addresses = resolve(&url, allow).await?;
    let client = client().resolve_to_addrs(&host, &addresses).build();
    let client =
        client.map_err(|error| Failure::new("failed", format!("cannot make a client: {}", why(error))))?;
    let mut request = client.request(method(call), url).headers(headers(call)?);
    if let Some(value) = call.params.get("json").filter(|value| !value.is_null()) {
        request = request.json(value);
    } else if let Some(body) = text(&call.params, "body") {
        request = request.body(body.to_owned());
    }
    let answer = request
        .send()
        .await
        .map_err(|error| Failure::retryable("failed", format!("no answer from {host}: {}", why(error))))?;
    read(answer, &host, &accepted(call)).await
}

async fn read(mut answer: reqwest::Response, host: &str, accepted: &[u64]) -> Result<Value, Failure> {
    let status = answer.status().as_u16();
    let headers: Map<String, Value> = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned().into())
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
    let body = String::from_utf8_lossy(&body).into_owned();
    if !fine {
        let start: String = body.trim().chars().take(300).collect();
        let retryable = status >= 500 || status == 429 || status == 408;
        let message = format!("{host} answered with status {status}: {start}");
        return Err(Failure { retryable, ..Failure::new("failed", message.trim_end_matches(": ")) });
    }
    let value: Option<Value> = serde_json::from_str(&body).ok();
    Ok(json!({ "status": status, "headers": headers, "body": body, "json": value, "truncated": truncated }))
}

fn address(params: &Map<String, Value>) -> Result<Url, Failure> {
    let invalid = |problem: String| Failure::new("invalid", format!("`url`: {problem}"));
    let url =
        Url::parse(text(params, "url").unwrap_or_default()).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("`{}` is not http or https", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("holds a user name or password: use a header".into()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("names no host".into()));
    }
    Ok(url)
}

/// The addresses that the host has, all of which must be fit to be connected to.
async fn resolve(url: &Url, allow: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((bare, port)).await;
    let found: Vec<SocketAddr> = found
        .map_err(|error| Failure::retryable("failed", format!("cannot find the address of {host}: {error}")))?
        .collect();
    if found.is_empty() {
        return Err(Failure::retryable("failed", format!("{host} has no address")));
    }
    let name = format!("{host}:{port}");
    if allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name)) {
        return Ok(found);
    }
    match found.iter().find(|address| !is_public(address.ip())) {
        None => Ok(found),
        Some(address) => {
            let message = format!(
                "{name} leads to {}, which is not a public address: add `{name}` to `actions.http.allow` in the \
                 configuration if it is meant",
                address.ip()
            );
            Err(Failure::new("refused", message))
        }
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose registries, RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = a == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || ip.is_documentation()
        || a >= 224;
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // Mapped, and translated by NAT64: what counts is the address inside.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo, documentation, benchmarking and other special uses.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only this part of the address space is handed out for the internet.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

fn headers(call: &Call) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let wanted = call.params.get("headers").and_then(Value::as_object);
    for (name, value) in wanted.into_iter().flatten() {
        let bad = |problem: &str| Failure::new("invalid", format!("`headers.{name}` {problem}"));
        let header: HeaderName = name.parse().map_err(|_| bad("is not a header's name"))?;
        if FRAMING.contains(&header.as_str()) {
            return Err(bad("is set by Paramedic itself"));
        }
        let value = value.as_str().unwrap_or_default();
        let value =
            HeaderValue::from_str(value).map_err(|_| bad("holds a line break or control character"))?;
        headers.insert(header, value);
    }
    if !matches!(method(call), Method::GET | Method::HEAD | Method::OPTIONS)
        && !headers.contains_key("idempotency-key")
        && let Ok(key) = HeaderValue::from_str(&call.key)
    {
        headers.insert("idempotency-key", key);
    }
    Ok(headers)
}

fn method(call: &Call) -> Method {
    text(&call.params, "method").and_then(|name| name.parse().ok()).unwrap_or(Method::GET)
}

fn accepted(call: &Call) -> Vec<u64> {
    let list = call.params.get("accept").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|n| n.as_f64().map(|n| n as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_spelling_of_an_inner_address_gets_through() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://0.0.0.0/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://100.64.0.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001::1]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://[fd00:ec2::254]/",
            "http://[ff02::1]/",
            "http://①②⑦.0.0.1/",
        ] {
            let mut params = Map::new();
            params.insert("url".into(), url.into());
            let url = address(&params).unwrap();
            let found = resolve(&url, &["127.0.0.1:81".into()]).await;
            match found {
                Err(failure) => assert!(failure.kind == "refused" || failure.retryable, "{url}: {failure}"),
                Ok(found) => panic!("{url} led to {found:?}"),
            }
        }
    }

    #[test]
    fn public_addresses_are_let_through() {
        for ip in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_that_is_no_plain_http_address_is_refused() {
        for (url, expected) in [
            ("file:///etc/passwd", "`file` is not http"),
            ("gopher://x/", "`gopher` is not http"),
            ("http://user:pw@example.com/", "user name"),
            ("//x", "relative URL"),
            ("http:///", "empty host"),
        ] {
            let mut params = Map::new();
            params.insert("url".into(), url.into());
            let failure = address(&params).unwrap_err();
            assert!(failure.kind == "invalid" && failure.message.contains(expected), "{url}: {failure}");
        }
    }
}
