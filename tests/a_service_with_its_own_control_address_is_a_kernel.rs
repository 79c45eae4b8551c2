//! A service that is started and stopped through addresses of its own is a kernel, in a whole engine: rules repair it.
//!
//! The service is a real HTTP server, in this test.
#![cfg(feature = "http")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod engine;
#[path = "support/kernels.rs"]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use paramedic::kernels;
use serde_json::{Value, json};
use support::World;

#[derive(Default)]
struct Service {
    runs: bool,
    starts: u32,
    replicas: u32,
    /// What was asked: the word, and the idempotency key.
    asked: Vec<(String, String)>,
    /// Asked of it, it fails with this status.
    fails: Option<u16>,
}

type Shared = State<Arc<Mutex<Service>>>;

impl Service {
    fn ask(&mut self, headers: &HeaderMap, word: &str) -> Result<(), StatusCode> {
        let header =
            |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        if header("authorization") != "Bearer open sesame" {
            return Err(StatusCode::UNAUTHORIZED);
        }
        if let Some(status) = self.fails {
            return Err(StatusCode::from_u16(status).unwrap());
        }
        self.asked.push((word.into(), header("idempotency-key")));
        Ok(())
    }

    fn run(&mut self, runs: bool) {
        self.starts += u32::from(runs);
        self.runs = runs;
    }
}

async fn serve() -> (String, Arc<Mutex<Service>>) {
    let service = Arc::new(Mutex::new(Service { runs: true, starts: 1, replicas: 1, ..Service::default() }));
    let router = Router::new()
        .route(
            "/status",
            get(|State(it): Shared| async move {
                let it = it.lock().unwrap();
                let status = if it.runs { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                (status, Json(json!({ "starts": it.starts })))
            }),
        )
        .route(
            "/do/{word}",
            post(|State(it): Shared, headers: HeaderMap, Path(word): Path<String>| async move {
                let mut it = it.lock().unwrap();
                it.ask(&headers, &word)?;
                match word.as_str() {
                    "stop" => it.run(false),
                    _ => it.run(true),
                }
                Ok::<_, StatusCode>("done")
            }),
        )
        .route(
            "/scale",
            post(|State(it): Shared, headers: HeaderMap, Json(body): Json<Value>| async move {
                let mut it = it.lock().unwrap();
                it.ask(&headers, "scale")?;
                it.replicas = u32::try_from(body["n"].as_u64().unwrap()).unwrap();
                Ok::<_, StatusCode>("done")
            }),
        )
        .route(
            "/logs",
            get(|Query(query): Query<Value>| async move {
                format!("one\ntwo\n{}\n", query["n"].as_str().unwrap())
            }),
        )
        .with_state(Arc::clone(&service));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, service)
}

/// The kernel `shop`, in the words of the configuration.
fn spec(url: &str, secret: &std::path::Path, restart: bool) -> String {
    let request = |word: &str| {
        let secret = secret.display();
        format!(
            "{{url: '{url}/do/{word}', headers: {{authorization: {{file: '{secret}', prefix: 'Bearer '}}}}}}"
        )
    };
    let ways = match restart {
        true => format!("restart: {}", request("restart")),
        false => format!("start: {}, stop: {}", request("start"), request("stop")),
    };
    let scale = request("x").replace("/do/x', ", r#"/scale', body: '{"n": ${REPLICAS}}', "#);
    let scale = scale.replace("authorization:", "content-type: application/json, authorization:");
    format!(
        "{{name: shop, provider: http, replicas: {{min: 1, max: 3}}, start_timeout: 5s, \
         http: {{status: {{url: '{url}/status'}}, instance: /starts, {ways}, scale: {scale}, \
         logs: {{url: '{url}/logs?n=${{LINES}}'}}}}}}"
    )
}

#[tokio::test]
async fn it_is_adopted_restarted_once_scaled_and_read() {
    let (url, service) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token");
    std::fs::write(&secret, "open sesame\n").unwrap();
    let yaml = format!("[{}]", spec(&url, &secret, false));
    let world = World::new(&yaml, dir.path());
    let (heard, registry) = (&world.heard, &world.registry);
    registry.boot().await;
    heard.wait("shop", "healthy", "adopted").await;
    assert!(service.lock().unwrap().asked.is_empty(), "an engine that starts asks for nothing");

    let view = registry.restart("shop", None, "r1").await.unwrap();
    assert_eq!((view.state, view.restarts), (kernels::State::Healthy, 1));
    heard.wait("shop", "healthy", "booted").await;
    let asked = std::mem::take(&mut service.lock().unwrap().asked);
    assert_eq!(
        asked,
        [("stop".to_owned(), "r1/stop".to_owned()), ("start".to_owned(), "r1/start".to_owned())]
    );

    // The engine dies before the step's end is on disk; its next life comes with the same key.
    let next = World::new(&yaml, dir.path());
    next.registry.restart("shop", None, "r1").await.unwrap();
    assert!(service.lock().unwrap().asked.is_empty(), "a restart that was done is not done again");

    assert_eq!(registry.scale("shop", 3, "s1").await.unwrap().desired, 3);
    assert_eq!(service.lock().unwrap().replicas, 3);
    assert_eq!(registry.logs("shop", 2).await.unwrap(), ["two", "2"]);

    let view = registry.stop("shop", None, "").await.unwrap();
    assert_eq!((view.state, service.lock().unwrap().runs), (kernels::State::Stopped, false));
    assert_eq!(heard.wait("shop", "exited", "exit").await["expected"], true);
    assert_eq!(registry.start("shop", "").await.unwrap().state, kernels::State::Healthy);

    // What cannot be done says why, and whether it is worth another try.
    for (status, kind, retryable) in [(403, "refused", false), (500, "failed", true), (404, "invalid", false)]
    {
        service.lock().unwrap().fails = Some(status);
        let failure = registry.restart("shop", None, &status.to_string()).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.retryable), (kind, retryable), "{failure}");
        assert!(failure.message.contains(&format!("answered with status {status}")), "{failure}");
    }
    service.lock().unwrap().fails = None;
    std::fs::remove_file(&secret).unwrap();
    let failure = registry.restart("shop", None, "z").await.unwrap_err();
    assert!(
        failure.message.contains("header `authorization`") && !failure.message.contains("sesame"),
        "{failure}"
    );
    registry.shutdown().await;
    next.registry.shutdown().await;
    assert!(service.lock().unwrap().runs, "the end of the engine is not its end");
}

#[tokio::test]
async fn without_a_sign_of_what_runs_a_restart_that_was_cut_off_is_a_case_for_a_person() {
    let (url, service) = serve().await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token");
    std::fs::write(&secret, "open sesame").unwrap();
    let blind = format!("[{}]", spec(&url, &secret, true).replace("instance: /starts, ", ""));
    let world = World::new(&blind, dir.path());
    world.registry.restart("shop", None, "r1").await.unwrap();
    let next = World::new(&blind, dir.path());
    let failure = next.registry.restart("shop", None, "r1").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), ("interrupted", false));
    assert_eq!(service.lock().unwrap().asked.len(), 1);
    // Where the service itself takes the key twice as once, it is asked again.
    let sure = blind.replace("http: {", "http: {idempotent: true, ");
    let next = World::new(&sure, dir.path());
    next.registry.restart("shop", None, "r1").await.unwrap();
    let asked = service.lock().unwrap().asked.clone();
    assert_eq!(asked, [("restart".to_owned(), "r1".to_owned()), ("restart".to_owned(), "r1".to_owned())]);
}

#[tokio::test]
async fn the_shipped_rules_bring_it_back() {
    let (url, service) = serve().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "open sesame").unwrap();
    let kernel = spec(&url, secret.path(), true)
        .replace("start_timeout", "health: {exec: ['true'], interval: 100ms}, start_timeout");
    let home = engine::Home::new(&format!("kernels: [{kernel}]\n")).with_shipped();
    let engine = home.start().await;
    let up = |it: &Value| it["state"] == "healthy" && it["provider"] == "http";
    engine.until("/api/kernels/shop", Duration::from_secs(10), up).await;
    service.lock().unwrap().runs = false;
    let done =
        |it: &Value| it["items"].as_array().is_some_and(|all| !all.is_empty() && all[0]["status"] != "held");
    let intents = engine.until("/api/intents?target=shop", Duration::from_secs(20), done).await;
    assert_eq!(intents["items"][0]["rule"], "kernel-hangs", "{intents:#}");
    engine.until("/api/kernels/shop", Duration::from_secs(20), |it| up(it) && it["restarts"] == 1).await;
    let asked = service.lock().unwrap().asked.clone();
    assert!(asked.len() == 1 && asked[0].0 == "restart" && !asked[0].1.is_empty(), "{asked:?}");
}
