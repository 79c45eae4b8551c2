//! Real files, written as log rotation, editors and crashing programs write them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use tempfile::TempDir;

use super::follow::Followers;
use super::place::Places;
use super::*;
use crate::model::clock::micros;
use crate::platform::metrics::Registry;
use crate::store::{Sqlite, Write};

mod absence;
mod odd;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn globs(&self) -> Vec<String> {
        vec![self.path("*.jsonl").to_str().unwrap().to_owned()]
    }

    /// As after a start with what the store kept.
    fn follow(&self, kept: &[(String, String)]) -> Followers {
        let (places, wrong) = Places::read("test", None, kept);
        assert_eq!(wrong, Vec::<String>::new());
        Followers::new(self.globs(), "jsonl".into(), places)
    }
}

/// What the store holds of the places after they were written.
fn kept(followers: &mut Followers) -> Vec<(String, String)> {
    let mut kept = BTreeMap::new();
    for write in followers.changed_places() {
        match write {
            Write::Meta { key, value } => drop(kept.insert(key, value)),
            Write::RemoveMeta { key } => drop(kept.remove(&key)),
            other => panic!("{other:?}"),
        }
    }
    followers.places_kept();
    kept.into_iter().collect()
}

/// So many idle looks let go of what is gone, close what is still, and take last lines.
fn long(followers: &mut Followers) -> Batch {
    let mut all = Batch::default();
    for _ in 0..60 {
        let batch = followers.poll(micros(0));
        all.events.extend(batch.events);
        all.bad_lines += batch.bad_lines;
        all.mishap = batch.mishap.or(all.mishap);
        (all.files, all.wrong) = (batch.files, batch.wrong);
    }
    all
}

fn line(n: u32) -> String {
    format!("{{\"topic\":\"t.n{n}\"}}\n")
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(line).collect()
}

fn topics(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.topic.as_str().trim_start_matches("t.n").to_owned()).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Polls until nothing comes any more.
fn all(followers: &mut Followers) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let batch = followers.poll(micros(0));
        if !batch.news {
            return events;
        }
        events.extend(batch.events);
    }
}

#[test]
fn lines_come_once_and_in_order_as_they_are_appended_also_in_files_that_appear_later() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    assert_eq!(all(&mut followers), []);
    folder.append("a.jsonl", lines(0..3));
    assert_eq!(topics(&all(&mut followers)), numbers(0..3));
    folder.append("a.jsonl", "{\"topic\":");
    assert_eq!(all(&mut followers), [], "half a line is no line yet");
    folder.append("a.jsonl", "\"t.n3\"}\r\n\n");
    folder.append("b.jsonl", lines(4..5_000));
    folder.append("other.log", lines(7..8));
    let mut found = topics(&all(&mut followers));
    found.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(found, numbers(3..5_000));
}

#[test]
fn what_is_written_around_a_rotation_is_neither_lost_nor_doubled() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", lines(0..2));
    assert_eq!(all(&mut followers).len(), 2);
    folder.append("a.jsonl", lines(2..4));
    folder.rename("a.jsonl", "a.jsonl.1");
    folder.append("a.jsonl", lines(10..12));
    let mut found = topics(&all(&mut followers));
    found.sort();
    assert_eq!(found, ["10", "11", "2", "3"]);
    folder.append("a.jsonl.1", lines(4..5));
    folder.append("a.jsonl.1", line(5).trim_end());
    assert_eq!(topics(&all(&mut followers)), ["4"], "the writer may still have the old file open");
    let rest: Vec<Event> = (0..30).flat_map(|_| followers.poll(micros(0)).events).collect();
    assert_eq!(topics(&rest), ["5"], "a last line that nobody ended");
    assert_eq!(followers.poll(micros(0)).files, 1, "the old file is let go");
    folder.rename("a.jsonl", "b.jsonl");
    assert_eq!(all(&mut followers), [], "another name is not another file");
}

#[test]
fn a_file_that_is_cut_or_rewritten_is_read_anew_and_its_events_are_new_ones() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", lines(0..5));
    let first = all(&mut followers);
    OpenOptions::new().write(true).open(folder.path("a.jsonl")).unwrap().set_len(0).unwrap();
    folder.append("a.jsonl", lines(0..2));
    let second = all(&mut followers);
    assert_eq!(topics(&second), numbers(0..2));
    fs::write(folder.path("a.jsonl"), lines(20..40)).unwrap();
    let third = all(&mut followers);
    assert_eq!(topics(&third), numbers(20..40), "longer than before, but not its continuation");
    let mut ids: Vec<&String> = first.iter().chain(&second).chain(&third).map(|event| &event.id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_restart_goes_on_where_it_was_also_if_the_file_was_renamed_meanwhile() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", lines(0..3));
    all(&mut followers);
    folder.append("a.jsonl", "{\"topic\":");
    all(&mut followers);
    let places = kept(&mut followers);
    assert_eq!(followers.changed_places().len(), 0, "kept once");
    drop(followers);
    folder.append("a.jsonl", "\"t.n3\"}\n");
    folder.rename("a.jsonl", "a.jsonl.1");
    folder.append("a.jsonl", lines(4..6));
    let mut followers = folder.follow(&places);
    let mut found = topics(&all(&mut followers));
    found.sort();
    assert_eq!(found, numbers(3..6));
}

#[test]
fn a_line_read_twice_after_a_crash_is_the_same_event() {
    let folder = Folder::new();
    folder.append("a.jsonl", lines(0..50));
    let ids =
        |events: Vec<Event>| events.into_iter().map(|event| (event.source, event.id)).collect::<Vec<_>>();
    let first = ids(all(&mut folder.follow(&[])));
    assert_eq!(ids(all(&mut folder.follow(&[]))), first);
    let mut unique = first.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 50);
    folder.append("b.jsonl", "{\"topic\":\"a\",\"id\":\"mine\",\"source\":\"me\"}\n");
    let own = all(&mut folder.follow(&[])).into_iter().find(|event| event.id == "mine");
    assert_eq!(own.unwrap().source, "me");
}

#[test]
fn lines_that_are_no_events_are_counted_named_and_passed_over() {
    let folder = Folder::new();
    folder.append("a.jsonl", "rubbish\n{}\n[1]\n{\"topic\":\"a..b\"}\n");
    folder.append("a.jsonl", b"\xff\xfe\n");
    folder.append("a.jsonl", format!("{{\"topic\":\"a\",\"data\":\"{}\"}}\n", "x".repeat(3 << 20)));
    folder.append("a.jsonl", line(1));
    folder.append("a.jsonl", "{\"data\":1}\n");
    let mut followers = folder.follow(&[]);
    let (mut events, mut bad, mut problem) = (Vec::new(), 0, None);
    for _ in 0..100 {
        let batch = followers.poll(micros(0));
        events.extend(batch.events);
        bad += batch.bad_lines;
        problem = batch.mishap.or(problem);
    }
    assert_eq!((topics(&events), bad), (numbers(1..2), 7));
    let problem = problem.unwrap();
    assert!(
        problem.contains("a.jsonl at byte ")
            && problem.ends_with("`topic`: missing: say what kind of thing happened"),
        "{problem}"
    );
}

/// Takes events, or says no as often as told.
#[derive(Default)]
struct Taker {
    taken: Mutex<Vec<Event>>,
    refusals: Mutex<u32>,
}

impl Sink for Taker {
    fn deliver(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let mut refusals = self.refusals.lock().unwrap();
            if *refusals > 0 {
                *refusals -= 1;
                return Err("the disk is full".into());
            }
            self.taken.lock().unwrap().extend(events);
            Ok(())
        })
    }
}

fn ports(store: &Arc<dyn Store>, taker: &Arc<Taker>) -> Ports {
    Ports {
        store: Arc::clone(store),
        sink: Arc::<Taker>::clone(taker),
        clock: Clock::system(),
        problems: Problems::default(),
        metrics: Metrics::new(&Registry::default()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_outlives_a_full_disk_and_a_restart_without_losing_or_doubling() {
    let folder = Folder::new();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open_temporary(Clock::system()).unwrap());
    let taker = Arc::new(Taker::default());
    *taker.refusals.lock().unwrap() = 5;
    for round in 0..3 {
        folder.append("a.jsonl", lines(round * 100..round * 100 + 100));
        let config = Config {
            name: "test".into(),
            paths: folder.globs(),
            source: default_source(),
            poll: default_poll(),
        };
        let service = Service::try_new(config, ports(&store, &taker)).unwrap();
        let handle = service.handle();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        while handle.status().events < 100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A look that finds nothing keeps the places too, and what is over is no problem any more.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(3_600);
        while handle.status().problem.is_some()
            || store.metas(Places::prefix("test")).await.unwrap().is_empty()
        {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", handle.status());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }
    assert_eq!(topics(&taker.taken.lock().unwrap()), numbers(0..300));
    let config =
        Config { name: "x".into(), paths: vec!["a[".into()], source: "s".into(), poll: default_poll() };
    let refused = Service::try_new(config, ports(&store, &taker)).err().unwrap();
    assert!(refused.to_string().starts_with("`a[` is not a path pattern"), "{refused}");
}
