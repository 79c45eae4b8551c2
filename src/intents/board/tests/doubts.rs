//! Memory and disk after commits that failed, alone and in groups with those of others, on both stores.

use std::collections::BTreeSet;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::store::Memory;
use crate::store::conformance::{Fate, Grouped};

type Both = [(Arc<dyn Store>, Arc<dyn Grouped>); 2];

fn stores() -> Both {
    let clock = Clock::system();
    let memory = Arc::new(Memory::new(clock.clone()));
    let sqlite = Arc::new(Sqlite::open_temporary(clock).unwrap());
    [(memory.clone(), memory), (sqlite.clone(), sqlite)]
}

fn fire(board: &Board, rules: &RuleSet, topic: &str, group: &str, second: i64) -> (Commit, Changes) {
    let (mut windows, mut scratch, mut firings) = (Windows::default(), Scratch::default(), Vec::new());
    let mut batch = board.batch();
    let topic = Topic::try_new(topic).unwrap();
    let event = Arc::new(Event::new(second.to_string(), topic, "test", at(second), json!({ "n": group })));
    windows.apply(rules, &event, &rules.hits(&event, &mut scratch), &mut firings, &mut Vec::new());
    for firing in firings.drain(..) {
        match firing {
            Firing::Fire(it) => Some(batch.fire(&it, &event, at(second), rand::random())),
            Firing::Resolved { rule, group } => batch.resolve(&rule, &group, &event, at(second)),
        };
    }
    batch.commit(vec![])
}

async fn settle(board: &Board, commit: Commit, changes: Changes) {
    match commit.await {
        Ok(()) => board.confirm(changes),
        Err(_) => board.take_back(changes).await.unwrap(),
    }
}

async fn on_disk(store: &dyn Store) -> Vec<Intent> {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let each = found.clone();
    store.open_intents(Box::new(move |it| each.lock().unwrap().push(it))).await.unwrap();
    std::mem::take(&mut *found.lock().unwrap())
}

fn in_memory(board: &Board) -> Vec<Intent> {
    board.open().iter().map(|it| it.as_ref().clone()).collect()
}

fn cancel(board: &Board, id: IntentId, second: i64) -> Result<Commit, Error> {
    let cancel = |it: &mut Intent| lifecycle::apply(it, Transition::Cancel, None, at(second));
    board.change(id, vec![], cancel).map(|(_, commit)| commit)
}

fn start(board: &Board, id: IntentId, second: i64) -> Result<Commit, Error> {
    let start = |it: &mut Intent| {
        lifecycle::apply(it, Transition::Start, None, at(second))?;
        let number = it.attempts.len() as u32 + 1;
        it.attempts.push(Attempt { number, started_at: at(second), ..repaired(false).attempts[0].clone() });
        Ok(())
    };
    board.change(id, vec![], start).map(|(_, commit)| commit)
}

#[tokio::test]
async fn intents_whose_cancel_fails_with_a_group_are_open_in_memory_too_and_are_not_opened_twice() {
    for (store, grouped) in stores() {
        let (board, rules) = (Board::new(store.clone(), Clock::system(), 100), rules());
        for n in 0..5 {
            let (commit, changes) = fire(&board, &rules, "auto.fail", &format!("t{n}"), n);
            settle(&board, commit, changes).await;
        }
        board.take_fresh();
        let ids = board.open_ids();
        grouped.gather();
        let cancelled: Vec<Commit> = ids.iter().map(|id| cancel(&board, *id, 10).unwrap()).collect();
        let foreign = store.commit(vec![Write::Meta { key: "k".into(), value: "v".into() }]);
        // The first one hears of its failure, and looks while the others' group is with the store.
        let again = fire(&board, &rules, "auto.fail", "t0", 11);
        grouped.settle(Fate::Lost);
        assert!(foreign.await.is_err());
        for commit in cancelled {
            assert!(commit.await.is_err());
        }
        assert!(board.is_in_doubt(), "the board knows by itself, whoever waited for the commits");
        settle(&board, again.0, again.1).await;
        assert!(!board.is_in_doubt());
        assert_eq!(board.open_ids(), ids, "what is open on disk is open in memory");
        assert_eq!(in_memory(&board), on_disk(&*store).await);
        assert_eq!(board.take_fresh().into_iter().collect::<BTreeSet<_>>(), ids.iter().copied().collect());
        let (commit, changes) = fire(&board, &rules, "auto.fail", "t0", 12);
        settle(&board, commit, changes).await;
        assert_eq!(board.open_ids(), ids, "a further match is counted, and opens no second one");
    }
}

#[tokio::test]
async fn an_intent_that_a_failed_close_lets_open_twice_is_acted_on_once_at_once_and_after_a_restart() {
    for (store, grouped) in stores() {
        let (board, rules) = (Board::new(store.clone(), Clock::system(), 100), rules());
        let (commit, changes) = fire(&board, &rules, "auto.fail", "t", 1);
        settle(&board, commit, changes).await;
        let old = board.open_ids()[0];
        grouped.gather();
        let closed = cancel(&board, old, 2).unwrap();
        grouped.settle(Fate::Lost);
        // Nobody has read it back when the same fails again.
        assert!(closed.await.is_err());
        let (commit, changes) = fire(&board, &rules, "auto.fail", "t", 3);
        commit.await.unwrap();
        board.confirm(changes);
        assert!(board.is_in_doubt(), "what came is not begun as long as this is not known");
        let new = board.open_ids()[0];
        assert_eq!(on_disk(&*store).await.len(), 2);

        let restarted = Board::new(store.clone(), Clock::system(), 100);
        on_disk(&*store).await.into_iter().for_each(|it| restarted.take_up(it));
        for board in [board, restarted] {
            board.heal().await.unwrap();
            assert_eq!(board.take_twins(), [Twins { kept: old, closed: new }], "the later one is closed");
            assert_eq!(board.open_of("auto", "t").map(|it| it.id), Some(old));
            // One that has begun to act goes on, as it may have had its effect.
            start(&board, new, 4).unwrap().await.unwrap();
            let begun = Board::new(store.clone(), Clock::system(), 100);
            on_disk(&*store).await.into_iter().for_each(|it| begun.take_up(it));
            assert_eq!(begun.take_twins(), [Twins { kept: new, closed: old }]);
            board
                .change(new, vec![], |it| lifecycle::apply(it, Transition::Retry, None, at(5)))
                .unwrap()
                .1
                .await
                .unwrap();
            let undone = |it: &mut Intent| {
                it.attempts.clear();
                Ok(())
            };
            board.change(new, vec![], undone).unwrap().1.await.unwrap();
        }
    }
}

/// Random changes, of which random groups are lost, kept, or kept and said to be lost.
async fn stress(seed: u64, (store, grouped): (Arc<dyn Store>, Arc<dyn Grouped>), groups: i64) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (board, rules) = (Board::new(store.clone(), Clock::system(), 100), rules());
    for second in 10..10 + groups {
        let (mut batches, mut commits) = (Vec::new(), Vec::new());
        grouped.gather();
        for _ in 0..random.random_range(1..6) {
            let group = format!("t{}", random.random_range(0..4));
            let any = |random: &mut Xoshiro256PlusPlus| {
                let ids = board.open_ids();
                (!ids.is_empty()).then(|| ids[random.random_range(0..ids.len())])
            };
            match random.random_range(0..7) {
                0..=1 => batches.push(fire(&board, &rules, "auto.fail", &group, second)),
                2 => batches.push(fire(&board, &rules, "auto.well", &group, second)),
                3 => commits.extend(any(&mut random).and_then(|id| cancel(&board, id, second).ok())),
                4..=5 => commits.extend(any(&mut random).and_then(|id| start(&board, id, second).ok())),
                _ => {
                    let retry = |it: &mut Intent| lifecycle::apply(it, Transition::Retry, None, at(second));
                    let changed = any(&mut random).and_then(|id| board.change(id, vec![], retry).ok());
                    commits.extend(changed.map(|(_, commit)| commit));
                }
            }
        }
        let fate = [Fate::Kept, Fate::Kept, Fate::Lost, Fate::KeptUnseen][random.random_range(0..4)];
        grouped.settle(fate);
        // Some who wait for their commit give up.
        commits.retain(|_| random.random());
        for commit in commits {
            drop(commit.await);
        }
        for (commit, changes) in batches {
            match commit.await {
                Ok(()) => board.confirm(changes),
                // Most of the time nobody reads back before the next group comes.
                Err(_) if random.random_range(0..4) > 0 => drop(changes),
                Err(_) => board.take_back(changes).await.unwrap(),
            }
        }
        store.commit(vec![]).await.unwrap();
    }
    board.doubt();
    board.heal().await.unwrap();
    // What the task manager does with them.
    for Twins { closed, .. } in board.take_twins() {
        if let Ok(commit) = cancel(&board, closed, 1_000) {
            commit.await.unwrap();
        }
    }
    let disk = on_disk(&*store).await;
    assert_eq!(in_memory(&board), disk, "seed {seed}: memory is what the disk says");
    let keys: BTreeSet<_> = disk.iter().map(|it| (it.rule.clone(), it.group.clone())).collect();
    assert_eq!(keys.len(), disk.len(), "seed {seed}: one is open for each thing");
    let restarted = Arc::new(Board::new(store.clone(), Clock::system(), 100));
    restarted.recall(&rules).await.unwrap();
    assert_eq!(restarted.take_twins(), []);
    assert_eq!(in_memory(&restarted), in_memory(&board), "seed {seed}: a restart changes nothing");
}

#[tokio::test]
async fn whatever_fails_in_whatever_order_memory_before_a_restart_is_memory_after_it() {
    for seed in 0..150 {
        let [memory, sqlite] = stores();
        stress(seed, memory, 40).await;
        if seed < 8 {
            stress(seed, sqlite, 30).await;
        }
    }
}
