//! Whatever happens at the edges of a commit, the caller is told, and the store goes on (`--features failpoints`).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use paramedic::actions::{AlertConfig, Alerts, Channels};
use paramedic::alerts::{List, Notifier};
use paramedic::bus::Publisher;
use paramedic::intents::Board;
use paramedic::model::alert::{AlertStatus, Level};
use paramedic::model::{Chance, Clock, Event};
use paramedic::observability::alerts::Book;
use paramedic::platform::Problems;
use paramedic::platform::metrics::Registry;
use paramedic::store::{Error, Sqlite, Store, Write};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

fn note(value: &str) -> Vec<Write> {
    vec![Write::Meta { key: "k".into(), value: value.into() }]
}

#[tokio::test]
async fn a_failed_commit_is_told_and_the_store_goes_on() {
    let scenario = fail::FailScenario::setup();
    let home = tempfile::tempdir().unwrap();
    let store = Sqlite::open(home.path(), Clock::system()).unwrap();
    store.commit(note("first")).await.unwrap();
    // Before the commit nothing is kept; after it, it is kept though the caller is told otherwise.
    for (point, action, full, kept) in [
        ("store::before_commit", "1*return(full)", true, "first"),
        ("store::before_commit", "1*return(io)", false, "first"),
        ("store::before_commit", "1*panic", false, "first"),
        ("store::after_commit", "1*return(io)", false, "second"),
        ("store::after_commit", "1*panic", false, "second"),
    ] {
        fail::cfg(point, action).unwrap();
        let error = store.commit(note("second")).await.unwrap_err();
        assert!(error.is_full() == full && error.is_retryable(), "{point} {action}: {error}");
        assert!(matches!(error, Error::Full(_) | Error::Io { .. }));
        assert_eq!(store.meta("k".into()).await.unwrap().as_deref(), Some(kept), "{point} {action}");
        store.commit(note("first")).await.unwrap();
        assert_eq!(store.meta("k".into()).await.unwrap().as_deref(), Some("first"));
    }
    scenario.teardown();
}

struct Nobody;

impl Publisher for Nobody {
    fn publish(&self, _event: Event) {}
}

#[tokio::test]
async fn the_alert_list_and_the_store_agree_whatever_commit_failed_and_an_answer_can_be_given_again() {
    let scenario = fail::FailScenario::setup();
    let home = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(home.path(), clock.clone()).unwrap());
    let board = Arc::new(Board::new(store.clone(), clock.clone(), 10));
    let list = List::new(clock, Chance::system(), store.clone(), board, Arc::new(Nobody), Book::default());
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let channels = Channels::new(&AlertConfig::default());
    let registry = Registry::default();
    let notifier =
        Notifier::new(Arc::new(list), channels, Problems::default(), &registry, tracker, stop.clone());
    let notifier = Arc::new(notifier);
    notifier.start();
    let raise = |key: &str| {
        notifier.raise(key.into(), Level::Warning, format!("{key} is down"), String::new(), None, None)
    };
    let agree = async |key: &str, status: AlertStatus| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let kept = store.alerts(false, 100).await.unwrap().into_iter().find(|it| it.key == key);
            let shown =
                notifier.list().read(|book| book.page(None, None, 100)).into_iter().find(|it| it.key == key);
            if kept.is_some() && kept == shown && kept.as_ref().is_some_and(|it| it.status == status) {
                return;
            }
            assert!(Instant::now() < deadline, "{key}: kept {kept:#?}, shown {shown:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for (n, point) in ["store::before_commit", "store::after_commit"].into_iter().enumerate() {
        let key = |what: &str| format!("{what}{n}");
        // An answer that was refused has changed nothing, and is taken the next time.
        let id = raise(&key("a")).await.unwrap();
        fail::cfg(point, "1*return(io)").unwrap();
        notifier.change(id, true).await.unwrap_err();
        agree(&key("a"), AlertStatus::Active).await;
        notifier.change(id, true).await.unwrap();
        agree(&key("a"), AlertStatus::Resolved).await;
        // What the engine itself says is written again until it is kept.
        fail::cfg(point, "1*return(io)").unwrap();
        raise(&key("b")).await.unwrap_err();
        agree(&key("b"), AlertStatus::Active).await;
        fail::cfg(point, "1*return(io)").unwrap();
        notifier.resolve(key("b")).await.unwrap_err();
        agree(&key("b"), AlertStatus::Resolved).await;
    }
    stop.cancel();
    scenario.teardown();
}
