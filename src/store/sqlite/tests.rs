//! The conformance suite over SQLite, and what only a store in files can lose.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::Sqlite;
use crate::model::clock::micros;
use crate::model::{Clock, Event, Topic};
use crate::store::conformance::{Fate, Grouped, Home, conformance};
use crate::store::{Error, Store, Write};

struct Folder(TempDir);

impl Home for Folder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(self.0.path()).unwrap())
    }

    fn open_grouped(&self) -> (Arc<dyn Store>, Arc<dyn Grouped>) {
        let store = Arc::new(open(self.0.path()).unwrap());
        (store.clone(), store)
    }
}

impl Grouped for Sqlite {
    fn gather(&self) {
        self.queue.hold(true);
    }

    fn settle(&self, fate: Fate) {
        *self.planned.lock().unwrap() = (fate != Fate::Kept).then_some(fate);
        self.queue.hold(false);
    }
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

fn open(dir: &Path) -> Result<Sqlite, Error> {
    Sqlite::open(dir, Clock::fixed(micros(1_700_001_000_000_000)))
}

conformance!(folder);

#[test]
fn a_second_engine_on_the_same_data_is_told_so_until_the_first_has_ended() {
    let home = folder();
    let first = open(home.0.path()).unwrap();
    let refusal = open(home.0.path()).unwrap_err();
    assert_eq!(refusal, Error::InUse { dir: home.0.path().into(), pid: Some(std::process::id()) });
    assert!(refusal.to_string().contains("another --data directory"), "{refusal}");
    drop(first);
    open(home.0.path()).unwrap();
}

#[test]
fn a_file_that_is_newer_foreign_or_rubbish_is_named_and_left_alone() {
    let database = |setup: &str| {
        let home = folder();
        let file = home.0.path().join("paramedic.db");
        rusqlite::Connection::open(&file).unwrap().execute_batch(setup).unwrap();
        home
    };
    let newer = database("PRAGMA application_id = 1347241027; PRAGMA user_version = 99; CREATE TABLE a (b);");
    let foreign = database("CREATE TABLE songs (title TEXT);");
    let rubbish = folder();
    std::fs::write(rubbish.0.path().join("paramedic.db"), vec![b'x'; 10_000]).unwrap();
    for (home, words) in [
        (newer, "has schema 99, this version knows up to "),
        (foreign, "belongs to another program"),
        (rubbish, "is damaged"),
    ] {
        let file = home.0.path().join("paramedic.db");
        let before = std::fs::read(&file).unwrap();
        let error = open(home.0.path()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("paramedic.db"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}

#[tokio::test]
async fn a_damaged_block_is_an_error_that_names_it_and_the_rest_stays_readable() {
    let home = folder();
    let store = open(home.0.path()).unwrap();
    let event = |id: &str| {
        let topic = Topic::try_new("a.b").unwrap();
        Arc::new(Event::new(id, topic, "s", micros(1), json!({ "text": "abc".repeat(100) })))
    };
    for id in ["one", "two"] {
        store.commit(vec![Write::Events(vec![event(id)])]).await.unwrap();
    }
    drop(store);
    let file = home.0.path().join("paramedic.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute("UPDATE blocks SET payload = zeroblob(40) WHERE seq = 1", [])
        .unwrap();
    let store = open(home.0.path()).unwrap();
    let newest = crate::store::EventQuery { newest_first: true, limit: 1, ..Default::default() };
    let error = store.events(newest.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Corrupt { detail, .. } if detail.contains("block 1")), "{error}");
    assert_eq!(store.verify().await.unwrap().len(), 1);
    store.commit(vec![Write::Events(vec![event("three")])]).await.unwrap();
    assert_eq!(store.recent_keys(10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_log_cut_off_half_way_loses_only_what_was_not_acknowledged() {
    let home = folder();
    let store = open(home.0.path()).unwrap();
    for n in 0..20 {
        store.commit(vec![Write::Meta { key: "n".into(), value: n.to_string() }]).await.unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for name in ["paramedic.db", "paramedic.db-wal"] {
        std::fs::copy(home.0.path().join(name), copy.path().join(name)).unwrap();
    }
    let wal = copy.path().join("paramedic.db-wal");
    let whole = std::fs::read(&wal).unwrap();
    for cut in [1, 100, 5_000] {
        std::fs::write(&wal, &whole[..whole.len() - cut]).unwrap();
        let store = open(copy.path()).unwrap();
        let n: u32 = store.meta("n".into()).await.unwrap().unwrap().parse().unwrap();
        assert!((17..19).contains(&n), "{n} after a cut of {cut} bytes");
        drop(store);
        for name in ["paramedic.db", "paramedic.db-wal"] {
            drop(std::fs::remove_file(copy.path().join(name)));
        }
        std::fs::copy(home.0.path().join("paramedic.db"), copy.path().join("paramedic.db")).unwrap();
    }
}

#[tokio::test]
async fn many_small_blocks_become_few_and_nothing_of_them_changes() {
    let store = Sqlite::open_temporary(Clock::system()).unwrap();
    let event = |n: u64| {
        let topic = Topic::try_new(format!("a.n{}", n % 100)).unwrap();
        Arc::new(Event::new(n.to_string(), topic, "s", micros(n.cast_signed()), json!({ "n": n })))
    };
    for n in 0..3_000 {
        store.commit(vec![Write::Events(vec![event(n)])]).await.unwrap();
    }
    let blocks = || async {
        let file = rusqlite::Connection::open(&store.file).unwrap();
        file.query_row("SELECT count(*) FROM blocks", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let keys = store.recent_keys(10_000).await.unwrap();
    let page = crate::store::EventQuery { limit: 10_000, ..Default::default() };
    let events = store.events(page.clone()).await.unwrap();
    let middle = crate::store::EventQuery { limit: 10, cursor: Some("1500".into()), ..Default::default() };
    let ten = store.events(middle.clone()).await.unwrap();
    let before = blocks().await;
    store.prune(crate::store::Prune::default()).await.unwrap();
    let after = blocks().await;
    assert_eq!(before, 3_000);
    assert!(after < 1_024, "{after} are left; fewer than one round's worth wait for more");
    assert_eq!(store.recent_keys(10_000).await.unwrap(), keys);
    assert_eq!(store.events(page).await.unwrap(), events);
    assert_eq!(store.events(middle).await.unwrap(), ten, "a cursor stays what it was");
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.commit(vec![Write::Events(vec![event(3_000)])]).await.unwrap();
    assert_eq!(store.counts().await.unwrap().events, 3_001);
}

#[tokio::test]
async fn an_event_is_found_by_its_id_without_unpacking_others_also_in_the_log_of_an_older_version() {
    let home = folder();
    let event = |n: u32| {
        let topic = Topic::try_new("a.b").unwrap();
        Arc::new(Event::new(format!("id-{n}"), topic, "s", micros(1), json!({ "n": n })))
    };
    let store = open(home.0.path()).unwrap();
    for from in [0, 10, 20] {
        store.commit(vec![Write::Events((from..from + 10).map(event).collect())]).await.unwrap();
    }
    let file = rusqlite::Connection::open(home.0.path().join("paramedic.db")).unwrap();
    let find = async |n: u32| store.find_event(format!("id-{n}")).await;
    assert_eq!(find(5).await.unwrap().unwrap(), (6, event(5).as_ref().clone()));
    // Whoever unpacked another block than that of the event would fail.
    file.execute("UPDATE blocks SET payload = zeroblob(40) WHERE seq <> 11", []).unwrap();
    assert_eq!(find(15).await.unwrap().unwrap().0, 16);
    assert_eq!(find(99).await.unwrap(), None);
    assert!(find(5).await.is_err(), "this block is damaged");
    // What an older version wrote.
    let keys = store.recent_keys(100).await.unwrap();
    file.execute("UPDATE blocks SET keys = substr(keys, count * 4 + 1) WHERE seq <= 11", []).unwrap();
    assert_eq!(store.recent_keys(100).await.unwrap(), keys);
    assert_eq!(find(15).await.unwrap().unwrap().0, 16);
    file.execute("DELETE FROM blocks WHERE seq < 11", []).unwrap();
    assert_eq!(find(99).await.unwrap(), None);
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_and_the_next_goes_on_where_it_ended() {
    let store = Sqlite::open_temporary(Clock::system()).unwrap();
    let event = |n: u32| {
        let topic = Topic::try_new("a.b").unwrap();
        Arc::new(Event::new(n.to_string(), topic, "s", micros(1), json!({ "text": "x".repeat(900 << 10) })))
    };
    for n in 0..30 {
        store.commit(vec![Write::Events(vec![event(n)])]).await.unwrap();
    }
    for newest_first in [true, false] {
        let mut query = crate::store::EventQuery { limit: 1000, newest_first, ..Default::default() };
        let mut ids = Vec::new();
        loop {
            let page = store.events(query.clone()).await.unwrap();
            assert!(page.items.len() <= 10, "{} events of 900 KiB in one page", page.items.len());
            ids.extend(page.items.into_iter().map(|event| event.id.parse::<u32>().unwrap()));
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        if newest_first {
            ids.reverse();
        }
        assert_eq!(ids, (0..30).collect::<Vec<_>>());
    }
}

#[test]
fn a_throw_away_store_leaves_nothing_behind() {
    let store = Sqlite::open_temporary(Clock::system()).unwrap();
    let dir = store.file.parent().unwrap().to_path_buf();
    assert!(dir.is_dir());
    drop(store);
    assert!(!dir.exists());
}

#[tokio::test]
async fn what_arrived_since_a_time_is_found_whole_also_after_a_clock_went_back() {
    let clock = Clock::fixed(micros(0));
    let store = Sqlite::open_temporary(clock.clone()).unwrap();
    let seconds = |n: i64| micros(n * 1_000_000);
    // A second each, but for three that a clock gave that was set back.
    let arrivals: Vec<i64> = (0..60).chain([40, 41, 42]).chain(60..100).collect();
    for (n, second) in arrivals.iter().enumerate() {
        clock.set(seconds(*second));
        let event = Event::new(n.to_string(), Topic::try_new("a.b").unwrap(), "s", seconds(0), json!(second));
        store.commit(vec![Write::Events(vec![Arc::new(event)])]).await.unwrap();
    }
    for since in [0, 1, 30, 41, 59, 60, 98, 99, 100] {
        let expected: Vec<i64> = arrivals.iter().copied().filter(|second| *second >= since).collect();
        for limit in [1_000, 7] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let arrived_since = Some(seconds(since));
                let query = crate::store::EventQuery { arrived_since, limit, cursor, ..Default::default() };
                let page = store.events(query).await.unwrap();
                found.extend(page.items.iter().filter_map(|event| event.data.value().as_i64()));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "since {since}, {limit} at a time");
        }
    }
}
