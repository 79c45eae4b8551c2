//! A storm over real listeners: one that hangs, one that refuses, one that works.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{List, Notifier};
use crate::actions::{Alerts, Channels};
use crate::bus::Publisher;
use crate::intents::Board;
use crate::model::alert::{DeliveryStatus, Level};
use crate::model::{Alert, Chance, Clock, Event};
use crate::observability::alerts::Book;
use crate::platform::Problems;
use crate::platform::metrics::Registry;
use crate::store::{Memory, Store};

struct Nobody;

impl Publisher for Nobody {
    fn publish(&self, _event: Event) {}
}

struct World {
    notifier: Arc<Notifier>,
    store: Arc<dyn Store>,
    problems: Problems,
    registry: Registry,
    stop: CancellationToken,
}

/// One life over `store`, as it would be after a start.
async fn live(store: Arc<dyn Store>, config: &Value) -> World {
    let (clock, stop) = (Clock::system(), CancellationToken::new());
    let (problems, registry) = (Problems::default(), Registry::default());
    let board = Arc::new(Board::new(store.clone(), clock.clone(), 10));
    let book = Book::restore(store.alerts(false, usize::MAX).await.unwrap());
    let list = List::new(clock, Chance::seeded(1), store.clone(), board, Arc::new(Nobody), book);
    let channels = Channels::new(&serde_json::from_value(config.clone()).unwrap());
    let notifier = Notifier::new(
        Arc::new(list),
        channels,
        problems.clone(),
        &registry,
        TaskTracker::new(),
        stop.clone(),
    );
    let notifier = Arc::new(notifier);
    notifier.start();
    World { notifier, store, problems, registry, stop }
}

impl World {
    async fn raise(&self, n: u64, level: Level) {
        let target = Some(format!("h{n}"));
        let (key, title) = (format!("r/h{n}"), format!("h{n} is down"));
        self.notifier.raise(key, level, title, "no way".into(), target, None).await.unwrap();
    }

    fn shown(&self) -> Vec<Alert> {
        let all = self.notifier.list().read(|book| book.page(None, None, usize::MAX));
        all.into_iter().map(|alert| self.notifier.shown(alert)).collect()
    }
}

/// Answers each request with `answer`, or never where there is none; gives the address and the titles that it heard.
async fn listen(answer: Option<&'static str>) -> (String, Arc<Mutex<Vec<(Instant, Value)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = heard.clone();
    tokio::spawn(async move {
        let mut hung = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(answer) = answer else {
                hung.push(stream);
                continue;
            };
            let mut request = Vec::new();
            let body = loop {
                let mut part = [0; 16_384];
                let n = stream.read(&mut part).await.unwrap_or(0);
                request.extend(&part[..n]);
                let text = String::from_utf8_lossy(&request);
                let whole = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
                if whole.is_some() || n == 0 {
                    break whole.unwrap_or(Value::Null);
                }
            };
            keep.lock().unwrap().push((Instant::now(), body));
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    (url, heard)
}

async fn until(what: &str, mut fits: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !fits() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_critical_alert_in_a_storm_of_ten_thousand_arrives_whatever_the_other_channels_do() {
    let ((hangs, _), (refuses, refused), (works, heard)) =
        (listen(None).await, listen(Some("500 Oops")).await, listen(Some("200 OK")).await);
    let webhook = |name: &str, url: &str| json!({ "name": name, "url": url });
    let config = json!({ "webhook": [webhook("hangs", &hangs), webhook("refuses", &refuses), webhook("works", &works)] });
    let clock = Clock::system();
    let first = live(Arc::new(Memory::new(clock)), &config).await;

    let mut slowest = Duration::ZERO;
    let mut critical = None;
    for n in 0..10_000 {
        let begun = Instant::now();
        if n == 5_000 {
            first.raise(n, Level::Critical).await;
            critical = Some(begun);
        } else {
            first.raise(n, Level::Warning).await;
        }
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "nobody waits for a channel: {slowest:?}");
    let arrived =
        || heard.lock().unwrap().iter().find(|(_, it)| it["level"] == "critical").map(|(at, _)| *at);
    until("the critical one did not arrive", || arrived().is_some()).await;
    let took = arrived().unwrap() - critical.unwrap();
    assert!(took < Duration::from_secs(5), "it overtakes the rest: {took:?}");
    let became = |world: &World, channel: &str, status: DeliveryStatus| {
        let all = world.shown();
        all.iter().filter(|it| it.channels.get(channel).is_some_and(|it| it.status == status)).count()
    };
    until("the failures are not told", || {
        became(&first, "hangs", DeliveryStatus::Failing) == 10_000
            && became(&first, "refuses", DeliveryStatus::Failing) == 10_000
    })
    .await;
    assert!(refused.lock().unwrap().len() < 20, "a channel that fails is left alone for growing pauses");
    let sent = became(&first, "works", DeliveryStatus::Sent);
    assert!(sent > 30 && heard.lock().unwrap().len() <= 70, "{sent} in {}", heard.lock().unwrap().len());
    until("a channel that fails for long is no problem", || !first.problems.is_empty()).await;

    // What the store has is what a next life goes on with, as after kill -9.
    first.stop.cancel();
    let second = live(first.store.clone(), &config).await;
    until("the rest did not arrive", || became(&second, "works", DeliveryStatus::Sent) == 10_000).await;
    let digest = heard.lock().unwrap().iter().map(|(_, it)| it["title"].to_string()).collect::<String>();
    assert!(digest.contains("more alerts: ") && digest.contains(" warning"), "{digest}");
    assert!(heard.lock().unwrap().len() <= 140, "{}", heard.lock().unwrap().len());
    let numbers = first.registry.text().unwrap();
    assert!(numbers.contains("paramedic_alert_queue_depth{channel=\"hangs\"}"), "{numbers}");
    second.stop.cancel();
}
