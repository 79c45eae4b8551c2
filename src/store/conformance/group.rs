//! What every backend must do with commits that share a group with those of others, and with its failure.

use super::*;

fn note(n: usize) -> Vec<Write> {
    vec![Write::Meta { key: format!("k{n}"), value: "kept".into() }]
}

pub(crate) async fn a_group_that_fails_fails_for_each_unit_in_it_and_an_empty_one_only_waits(
    home: &impl Home,
) {
    let (store, grouped) = home.open_grouped();
    for (round, fate) in [Fate::Lost, Fate::Kept, Fate::KeptUnseen, Fate::Lost].into_iter().enumerate() {
        let (first, second) = (round * 2, round * 2 + 1);
        grouped.gather();
        let before = store.commit(Vec::new());
        let units = [store.commit(note(first)), store.commit(note(second))];
        let after = store.commit(Vec::new());
        grouped.settle(fate);
        assert_eq!(before.await, Ok(()), "{fate:?}: nothing comes before it");
        for unit in units {
            assert_eq!(
                unit.await.is_ok(),
                fate == Fate::Kept,
                "{fate:?}: foreign units share the end of a group"
            );
        }
        assert_eq!(after.await, Ok(()), "{fate:?}: what comes before it is settled");
        for n in [first, second] {
            let kept = store.meta(format!("k{n}")).await.unwrap().is_some();
            assert_eq!(kept, fate != Fate::Lost, "{fate:?}");
        }
    }
    store.commit(note(100)).await.unwrap();
    drop((store, grouped));
    let store = home.open();
    assert_eq!(store.meta("k100".into()).await.unwrap().as_deref(), Some("kept"), "the store goes on");
    assert_eq!(store.meta("k0".into()).await.unwrap(), None);
}

pub(crate) async fn what_is_told_first_of_a_commit_is_told_in_order_and_though_nobody_waits(
    home: &impl Home,
) {
    let (store, grouped) = home.open_grouped();
    let heard = Arc::new(Mutex::new(Vec::new()));
    for fate in [Fate::Lost, Fate::Kept] {
        grouped.gather();
        for n in 0..3 {
            let heard = heard.clone();
            let on_settled =
                move |answer: &Result<(), Error>| heard.lock().unwrap().push((n, answer.is_ok()));
            drop(store.commit_watched(note(n), Some(Box::new(on_settled))));
        }
        let last = store.commit(note(3));
        grouped.settle(fate);
        assert_eq!(last.await.is_ok(), fate == Fate::Kept);
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        assert_eq!(heard, [0, 1, 2].map(|n| (n, fate == Fate::Kept)), "told before the last was answered");
    }
}
