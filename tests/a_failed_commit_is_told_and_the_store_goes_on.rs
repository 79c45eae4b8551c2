//! Whatever happens at the edges of a commit, the caller is told, and the store goes on (`--features failpoints`).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use paramedic::model::Clock;
use paramedic::store::{Error, Sqlite, Store, Write};

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
