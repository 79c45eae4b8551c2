//! A webhook of anybody's: the alert as JSON, with a key by which a repeat can be told.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::channel::{Channel, Notice, Trouble};
use super::post;
use crate::actions::config::{Place, WebhookConfig};

pub(super) struct Webhook(pub(super) WebhookConfig);

impl Channel for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn send<'a>(&'a self, notice: &'a Notice, step: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let mut secrets = Vec::new();
            let mut headers = HeaderMap::new();
            if let Ok(key) = HeaderValue::from_str(step) {
                headers.insert("idempotency-key", key);
            }
            for (name, from) in &self.0.headers {
                let bad = |what: &str| Trouble::Final(format!("the header `{name}` {what}"));
                let header: HeaderName = name.parse().map_err(|_| bad("has a name that is none"))?;
                let secret = from.read().await.map_err(Trouble::Final)?;
                let mut value = HeaderValue::from_str(secret.expose())
                    .map_err(|_| bad("holds a line break or control character"))?;
                value.set_sensitive(true);
                headers.insert(header, value);
                secrets.push(secret);
            }
            let url = match &self.0.url {
                Place::Plain(url) => url.clone(),
                Place::Secret(from) => {
                    let secret = from.read().await.map_err(Trouble::Final)?;
                    let url = secret.expose().to_owned();
                    secrets.push(secret);
                    url
                }
            };
            post::json(&url, headers, &json!(notice), &secrets.iter().collect::<Vec<_>>()).await
        }
        .boxed()
    }
}
