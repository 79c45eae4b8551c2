//! An engine whose data directory is taken away says so at `/readyz` within seconds, also when nothing happens, and takes
//! no event that would be lost; when the directory comes back it goes on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

#[path = "support/engine.rs"]
mod support;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Engine, Home};

/// What people are promised is a few seconds; a debug build on a busy machine gets more.
const SOON: Duration = Duration::from_secs(10);

async fn ready(engine: &Engine) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", engine.url)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn until(engine: &Engine, wanted: u16) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        let (status, text) = ready(engine).await;
        if status == wanted {
            return text;
        }
        assert!(Instant::now() < deadline, "/readyz is {status}, not {wanted}: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_is_gone_is_told_and_no_event_is_taken_until_it_is_back() {
    let home = Home::new("");
    let engine = home.start().await;
    engine.send(json!({ "id": "1", "topic": "a.b", "source": "test" })).await;

    fs::rename(home.path("data"), home.path("elsewhere")).unwrap();
    let told = until(&engine, 503).await;
    assert!(told.contains("data directory") && told.contains("gone"), "{told}");
    let event = json!({ "id": "2", "topic": "a.b", "source": "test" }).to_string();
    let (status, answer) = engine.post("/api/events", "application/json", event.clone()).await.unwrap();
    assert!(status == 503 && answer["detail"].as_str().unwrap().contains("gone"), "{status} {answer}");
    assert!(home.log().contains("not ready: the data directory"), "{}", home.log());

    fs::rename(home.path("elsewhere"), home.path("data")).unwrap();
    until(&engine, 200).await;
    let (status, answer) = engine.post("/api/events", "application/json", event).await.unwrap();
    assert_eq!((status, &answer["accepted"]), (202, &json!(1)), "{answer}");
    assert_eq!(engine.all("/api/events?topic=a.b").await.len(), 2);

    // Another database in its place is not the one that is open.
    fs::rename(home.path("data"), home.path("elsewhere")).unwrap();
    fs::create_dir(home.path("data")).unwrap();
    fs::write(home.path("data/paramedic.db"), "").unwrap();
    let deadline = Instant::now() + SOON;
    while !ready(&engine).await.1.contains("another file") {
        assert!(Instant::now() < deadline, "{}", home.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
