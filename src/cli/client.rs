//! Talks to a running engine for the commands that ask or tell it something.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Which engine, and how to print what it says.
#[derive(Clone, Debug, clap::Args)]
pub struct Remote {
    /// The running engine
    #[arg(
        long,
        global = true,
        env = "PARAMEDIC_URL",
        default_value = "http://127.0.0.1:7112",
        value_name = "URL"
    )]
    url: String,
    /// The token to show it
    #[arg(long, global = true, env = "PARAMEDIC_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// Elements that are asked for at a time: as many as a page of the engine has.
const PAGE: usize = 1_000;

/// Answers of an engine that is there come within this time; starting a kernel may take its boot.
const PATIENCE: Duration = Duration::from_secs(120);

impl Remote {
    /// What the engine says to `GET path`.
    ///
    /// # Errors
    /// In words: it is not there, or it refuses and says why.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(Method::GET, path, None)
    }

    /// What the engine says to `GET path`, with the list in `field` continued over all its pages, or up to `most`
    /// elements.
    ///
    /// # Errors
    /// In words: it is not there, or it refuses and says why.
    pub fn list(&self, path: &str, field: &str, most: usize) -> Result<Value, String> {
        block_on(self.pages(path, field, most))?
    }

    /// The same where a runtime runs already.
    ///
    /// # Errors
    /// In words: it is not there, or it refuses and says why.
    pub async fn pages(&self, path: &str, field: &str, most: usize) -> Result<Value, String> {
        let mut whole: Option<Value> = None;
        let mut cursor = None;
        loop {
            let have = whole.as_ref().and_then(|it| it[field].as_array()).map_or(0, Vec::len);
            let limit = ("limit", (most - have).min(PAGE).to_string());
            let pairs = [Some(limit), cursor.take().map(|cursor| ("cursor", cursor))];
            let mut page = self.send(Method::GET, &query(path, pairs.into_iter().flatten()), None).await?;
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            let whole = match &mut whole {
                None => whole.insert(page),
                Some(whole) => {
                    if let (Some(all), Some(more)) = (whole[field].as_array_mut(), page[field].as_array_mut())
                    {
                        all.append(more);
                    }
                    whole["next_cursor"] = page["next_cursor"].take();
                    whole
                }
            };
            // An older engine does not know of pages, and gives all at once.
            if cursor.is_none() || whole[field].as_array().is_none_or(|all| all.len() >= most) {
                return Ok(whole.take());
            }
        }
    }

    /// What the engine says to `POST path`.
    ///
    /// # Errors
    /// In words: it is not there, or it refuses and says why.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask(Method::POST, path, Some(body))
    }

    /// What the engine says to `DELETE path`.
    ///
    /// # Errors
    /// In words: it is not there, or it refuses and says why.
    pub fn delete(&self, path: &str) -> Result<Value, String> {
        self.ask(Method::DELETE, path, None)
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        block_on(self.send(method, path, body))?
    }

    /// What the engine says.
    ///
    /// # Errors
    /// In words: it is not there, or it refuses and says why.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        // A second call finds a provider installed already, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .map_err(|error| format!("failed to set up a connection: {error}"))?;
        let mut request = client.request(method, &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| {
            if error.is_builder() {
                format!("`{}` is no address of an engine: write one such as http://127.0.0.1:7112", self.url)
            } else if error.is_connect() {
                format!(
                    "no engine answers at {}: start one with `paramedic run`, or name another with --url",
                    self.url
                )
            } else {
                format!("failed to ask {url}: {error}")
            }
        })?;
        let status = response.status();
        let text =
            response.text().await.map_err(|error| format!("failed to read what {url} says: {error}"))?;
        answer(status, &text)
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start: {error}"))?;
    Ok(runtime.block_on(work))
}

fn answer(status: StatusCode, text: &str) -> Result<Value, String> {
    let value = serde_json::from_str::<Value>(text);
    match (status.is_success(), value) {
        (true, _) if text.is_empty() => Ok(Value::Null),
        (true, Ok(value)) => Ok(value),
        (true, Err(_)) => Err(format!("the answer is not JSON; is this a Paramedic engine? {text:.200}")),
        (false, Ok(problem)) => Err(match (problem["detail"].as_str(), problem["field"].as_str()) {
            (Some(detail), Some(field)) => format!("{detail} (field `{field}`)"),
            (Some(detail), None) => detail.to_string(),
            (None, _) => format!("{status}: {problem}"),
        }),
        (false, Err(_)) => Err(format!("{status}: {text:.200}")),
    }
}

/// `path` with these in its query, after those that are there.
pub fn query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let url = reqwest::Url::parse_with_params("http://engine/", &pairs);
    match url.ok().as_ref().and_then(reqwest::Url::query).filter(|it| !it.is_empty()) {
        Some(query) if path.contains('?') => format!("{path}&{query}"),
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// Text of `value`, or a dash.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The elements of a list answer.
pub fn items(answer: &Value) -> &[Value] {
    answer["items"].as_array().map_or(&[], Vec::as_slice)
}
