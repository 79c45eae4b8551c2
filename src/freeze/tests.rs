//! What the kill switch holds, whatever happens to its file.

use std::fs;

use serde_json::json;

use super::*;
use crate::model::clock::micros;
use crate::model::intent::Plan;
use crate::model::{Event, IntentId, Topic};

fn at(second: i64) -> Time {
    micros(second * 1_000_000)
}

fn clock() -> Clock {
    Clock::fixed(at(100))
}

fn freeze(scope: Scope, until: Option<Time>) -> Freeze {
    Freeze { scope, reason: "a storm".into(), by: "ann".into(), since: at(100), until }
}

fn intent() -> Intent {
    let event = Event::new("e1", Topic::try_new("a.b").unwrap(), "test", at(0), json!(null));
    Intent::new(IntentId::new(at(0), 1), "r", "g1", "k1", event.into(), Plan::default().into(), at(0))
}

#[test]
fn what_is_frozen_is_so_for_every_handle_and_the_next_engine_until_it_is_thawed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (Switch::of(dir.path(), clock()), Switch::of(dir.path(), clock()));
    for scope in [Scope::All, Scope::Group("k1".into()), Scope::Playbook("p".into()), Scope::Rule("r".into())]
    {
        assert_eq!(one.on(&intent(), Some("p")), None);
        one.freeze(freeze(scope.clone(), None)).unwrap();
        for switch in [&one, &other, &Switch::of(dir.path(), clock())] {
            assert_eq!(switch.on(&intent(), Some("p")).unwrap().scope, scope);
        }
        assert!(other.thaw(&scope).unwrap());
        assert!(!one.thaw(&scope).unwrap(), "it is thawed already");
    }
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn a_scope_covers_what_it_names_and_nothing_else() {
    let mut fleet = intent();
    fleet.fleet = Some("web".into());
    for (scope, covers) in [
        (Scope::Group("g1".into()), true),
        (Scope::Group("k1".into()), true),
        (Scope::Group("web".into()), true),
        (Scope::Group("we".into()), false),
        (Scope::Playbook("p".into()), true),
        (Scope::Playbook("q".into()), false),
        (Scope::Rule("r".into()), true),
        (Scope::Rule("s".into()), false),
    ] {
        assert_eq!(scope.covers(&fleet, Some("p")), covers, "{scope}");
    }
    assert!(!Scope::Playbook("p".into()).covers(&fleet, None));
}

#[test]
fn a_freeze_ends_at_its_time_and_a_new_one_takes_the_place_of_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let switch = Switch::of(dir.path(), clock());
    switch.freeze(freeze(Scope::All, Some(at(100)))).unwrap();
    assert_eq!(switch.list(), []);
    switch.freeze(freeze(Scope::All, Some(at(101)))).unwrap();
    switch.freeze(freeze(Scope::All, Some(at(150)))).unwrap();
    assert_eq!(switch.list(), [freeze(Scope::All, Some(at(150)))]);
}

#[test]
fn a_file_that_nobody_understands_freezes_everything() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let switch = Switch::of(dir.path(), clock());
    for text in ["", "\n", "stop!", "[{\"scope\":\"some\"}]", "{}"] {
        fs::write(&file, text).unwrap();
        let held = switch.on(&intent(), None).unwrap();
        assert!(held.scope == Scope::All && held.reason.contains(FILE), "{held:?}");
        assert!(Switch::of(dir.path(), clock()).on(&intent(), None).is_some());
        // By hand as it came.
        fs::remove_file(&file).unwrap();
        assert_eq!(switch.on(&intent(), None), None);
    }
    fs::write(&file, "").unwrap();
    assert!(switch.thaw(&Scope::All).unwrap() && !file.exists(), "or by whoever may thaw");
}

#[test]
fn it_stays_frozen_when_the_folder_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let switch = Switch::of(&data, clock());
    switch.freeze(freeze(Scope::All, None)).unwrap();
    fs::remove_dir_all(&data).unwrap();
    assert!(switch.on(&intent(), None).is_some());
    assert!(switch.thaw(&Scope::All).is_err(), "what cannot be kept is not thawed");
    assert!(switch.on(&intent(), None).is_some());
    assert!(switch.freeze(freeze(Scope::Rule("s".into()), None)).is_err());
    assert_eq!(switch.list().len(), 2, "but it is frozen as long as it lives");
}

#[test]
fn whoever_waits_is_told_of_each_change() {
    let dir = tempfile::tempdir().unwrap();
    let switch = Switch::of(dir.path(), clock());
    let mut told = switch.subscribe();
    switch.freeze(freeze(Scope::All, None)).unwrap();
    assert!(told.has_changed().unwrap());
    told.mark_unchanged();
    switch.look();
    assert!(!told.has_changed().unwrap());
    fs::remove_file(dir.path().join(FILE)).unwrap();
    switch.look();
    assert!(told.has_changed().unwrap() && switch.list().is_empty());
}
