//! An engine that is killed at any moment loses nothing that it acknowledged, and keeps no unit by half.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may stop at anything, and says what it saw"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use paramedic::model::clock::micros;
use paramedic::model::{Clock, Event, Topic};
use paramedic::store::{Sqlite, Store, Write};
use serde_json::json;

const CHILD: &str = "PARAMEDIC_TEST_STORE";
const ROUNDS: u64 = 12;

fn event(n: u64) -> Arc<Event> {
    let topic = Topic::try_new("test.kill").expect("a topic");
    Arc::new(Event::new(n.to_string(), topic, "test", micros(1), json!({ "n": n })))
}

/// Not a test by itself: what the child process does.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Sqlite::open(Path::new(&dir), Clock::system()).unwrap();
        let mut n = store.counts().await.unwrap().events;
        loop {
            // Three events and their number are one unit; several units are under way at once.
            let units: Vec<_> = (0..4)
                .map(|at| {
                    let first = n + at * 3;
                    store.commit(vec![
                        Write::Events((first..first + 3).map(event).collect()),
                        Write::Meta { key: "count".into(), value: (first + 3).to_string() },
                    ])
                })
                .collect();
            for unit in units {
                unit.await.unwrap();
                n += 3;
                println!("\nacknowledged {n}");
            }
        }
    });
}

#[test]
fn acknowledged_events_survive_kill_9() {
    let home = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines {
            if let Some(n) = line.unwrap().strip_prefix("acknowledged ") {
                acknowledged = n.parse().unwrap();
                seen += 1;
                // Another moment each round, and what was under way runs on until the signal arrives.
                if seen == 5 + round * 7 {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(seen >= 5, "the child did nothing");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Sqlite::open(home.path(), Clock::system()).unwrap();
        let ids = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&ids);
        let each = Box::new(move |event: Event| sink.lock().unwrap().push(event.id.parse::<u64>().unwrap()));
        let kept = store.replay_events(micros(0), each).await.unwrap();
        assert!(kept >= acknowledged, "{acknowledged} were acknowledged, {kept} are there");
        assert_eq!(*ids.lock().unwrap(), (0..kept).collect::<Vec<_>>(), "in order, none twice");
        assert_eq!(store.meta("count".into()).await.unwrap(), Some(kept.to_string()), "units are whole");
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    });
}
