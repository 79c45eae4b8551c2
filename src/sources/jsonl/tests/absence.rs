//! Files that are away for a while: nothing in them is read twice when they are back, whatever took them away.

use super::*;

/// A folder with a followed file of some lines, all read and let go, with what the store then holds.
fn read_and_away(folder: &Folder) -> (Followers, Vec<(String, String)>) {
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", lines(0..3));
    assert_eq!(all(&mut followers).len(), 3);
    fs::create_dir(folder.path("elsewhere")).unwrap();
    folder.rename("a.jsonl", "elsewhere/a");
    let batch = long(&mut followers);
    assert_eq!((batch.events.len(), batch.files), (0, 0), "it is let go");
    let places = kept(&mut followers);
    (followers, places)
}

#[test]
fn a_file_that_comes_back_goes_on_where_it_was_left_also_after_a_restart() {
    let folder = Folder::new();
    let (mut followers, places) = read_and_away(&folder);
    folder.append("elsewhere/a", lines(3..5));
    folder.rename("elsewhere/a", "a.jsonl");
    assert_eq!(topics(&all(&mut followers)), numbers(3..5));
    assert_eq!(topics(&all(&mut folder.follow(&places))), numbers(3..5));
}

#[test]
fn a_folder_that_is_away_is_a_problem_until_it_is_back_and_nothing_is_read_twice() {
    let folder = Folder::new();
    fs::create_dir(folder.path("logs")).unwrap();
    folder.append("logs/a.jsonl", lines(0..3));
    let globs = vec![folder.path("logs/*.jsonl").to_str().unwrap().to_owned()];
    let mut followers = Followers::new(globs, "jsonl".into(), Places::default());
    assert_eq!(all(&mut followers).len(), 3);
    folder.rename("logs", "moved");
    let batch = long(&mut followers);
    let text = batch.wrong.values().next().unwrap();
    assert!(text.contains("logs is missing; its 1 followed files are continued"), "{text}");
    folder.append("moved/a.jsonl", lines(3..4));
    folder.rename("moved", "logs");
    let found = long(&mut followers);
    assert_eq!((topics(&found.events), found.wrong.len()), (numbers(3..4), 0));
}

#[test]
fn a_folder_that_was_restored_with_its_times_is_not_read_again_and_another_file_of_that_name_is() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    folder.append("a.jsonl", lines(0..3));
    assert_eq!(all(&mut followers).len(), 3);
    let kept_time = fs::metadata(folder.path("a.jsonl")).unwrap().modified().unwrap();
    let restore = |kept_time| {
        fs::copy(folder.path("a.jsonl"), folder.path("copy")).unwrap();
        fs::remove_file(folder.path("a.jsonl")).unwrap();
        folder.rename("copy", "a.jsonl");
        let file = OpenOptions::new().append(true).open(folder.path("a.jsonl")).unwrap();
        file.set_modified(kept_time).unwrap();
    };
    restore(kept_time);
    assert_eq!(all(&mut followers), [], "the same file, as an archive brings it back");
    folder.append("a.jsonl", lines(3..4));
    assert_eq!(topics(&all(&mut followers)), numbers(3..4));
    let places = kept(&mut followers);
    assert_eq!(all(&mut folder.follow(&places)), [], "also after a restart");
    // Equal lines alone are no proof: many logs begin alike after their rotation.
    restore(kept_time + Duration::from_secs(1));
    assert_eq!(topics(&all(&mut followers)), numbers(0..4));
}

#[test]
fn a_rotation_to_a_file_that_begins_alike_loses_nothing() {
    let folder = Folder::new();
    let mut followers = folder.follow(&[]);
    for day in 0..5 {
        folder.append("a.jsonl", line(7));
        assert_eq!(topics(&all(&mut followers)), numbers(7..8), "day {day}");
        folder.rename("a.jsonl", "a.1");
    }
}

#[test]
fn what_cannot_be_listed_or_read_is_told_and_is_not_taken_for_gone() {
    let folder = Folder::new();
    folder.append("a.jsonl", lines(0..3));
    let mut followers = folder.follow(&[]);
    assert_eq!(all(&mut followers).len(), 3);
    // A link that leads to itself cannot be looked at by anybody, not even by root.
    folder.rename("a.jsonl", "elsewhere");
    std::os::unix::fs::symlink("a.jsonl", folder.path("a.jsonl")).unwrap();
    let batch = followers.poll(micros(0));
    let text = batch.wrong.values().next().unwrap();
    assert!(text.starts_with("failed to read ") && text.contains("a.jsonl: "), "{text}");
    fs::remove_file(folder.path("a.jsonl")).unwrap();
    folder.rename("elsewhere", "a.jsonl");
    let batch = followers.poll(micros(0));
    assert_eq!((batch.events.len(), batch.wrong.len()), (0, 0));
}

#[test]
fn more_than_ten_thousand_files_take_few_descriptors_and_none_is_read_twice() {
    let folder = Folder::new();
    const FILES: u32 = 10_050;
    for n in 0..FILES {
        fs::write(folder.path(&format!("{n}.jsonl")), line(n)).unwrap();
    }
    let mut followers = folder.follow(&[]);
    let found = all(&mut followers);
    assert_eq!(found.len(), FILES as usize);
    assert!(followers.open_files() <= 130, "{} files are open", followers.open_files());
    let places = kept(&mut followers);
    folder.append("77.jsonl", line(1));
    assert_eq!(all(&mut followers).len(), 1);
    assert_eq!(followers.changed_places().len(), 1, "what did not change is not written again");
    assert_eq!(all(&mut folder.follow(&places)).len(), 1);
    // All of them go: the place of the one that went first is forgotten, and that is told.
    let late = |days: i64| micros(0) + chrono::TimeDelta::days(days);
    for n in 0..FILES {
        fs::remove_file(folder.path(&format!("{n}.jsonl"))).unwrap();
    }
    let told: Vec<String> = (0..15).filter_map(|_| followers.poll(late(0)).mishap).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("the places in 50 files"), "{told:?}");
    kept(&mut followers);
    followers.poll(late(31));
    assert_eq!(followers.changed_places().len(), 10_000, "after a month nothing is kept of them");
}

#[tokio::test]
async fn the_places_that_an_older_version_kept_as_one_list_are_taken_over() {
    let folder = Folder::new();
    folder.append("a.jsonl", lines(0..3));
    let store: Arc<dyn Store> = Arc::new(Sqlite::open_temporary(Clock::system()).unwrap());
    let mut followers = folder.follow(&[]);
    all(&mut followers);
    let (_, place) = kept(&mut followers).remove(0);
    let mut place: serde_json::Value = serde_json::from_str(&place).unwrap();
    place.as_object_mut().unwrap().retain(|key, _| !["tail", "modified"].contains(&key.as_str()));
    let old = format!("[{place}]");
    let key = Places::old_name("test");
    store.commit(vec![Write::Meta { key: key.clone(), value: old }]).await.unwrap();
    folder.append("a.jsonl", lines(3..5));
    let config =
        Config { name: "test".into(), paths: folder.globs(), source: default_source(), poll: default_poll() };
    let taker = Arc::new(Taker::default());
    let service = Service::try_new(config, ports(&store, &taker)).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(service.run(shutdown.clone()));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while store.meta(key.clone()).await.unwrap().is_some() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(topics(&taker.taken.lock().unwrap()), numbers(3..5));
    assert_eq!(store.metas(Places::prefix("test")).await.unwrap().len(), 1);
}
