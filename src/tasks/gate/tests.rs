//! Thousands of cancels and freezes, each at the same moment as an effect.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::freeze::{Scope, Switch};
use crate::intents::Board;
use crate::intents::lifecycle::{self, Transition};
use crate::model::{Clock, Event, Intent, Topic};
use crate::store::Memory;

const RACES: u128 = 4_000;

fn intent(n: u128, now: crate::model::Time) -> Intent {
    let event = Event::new(n.to_string(), Topic::try_new("a.b").unwrap(), "test", now, json!(null));
    Intent::new(IntentId::new(now, n), "r", &n.to_string(), "t", event.into(), Arc::default(), now)
}

/// An effect and a no at the same moment; whether the effect began after the no was answered.
async fn race(freezes: bool, n: u128) -> bool {
    let clock = Clock::system();
    let board = Arc::new(Board::new(Arc::new(Memory::new(clock.clone())), clock.clone(), 10));
    let (gate, switch) = (Arc::new(Gate::default()), Switch::none(clock.clone()));
    let it = intent(n, clock.now());
    let id = it.id;
    board.take_up(it.clone());
    let (turn, answered) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
    let effect = {
        let (board, gate, switch, turn) = (board.clone(), gate.clone(), switch.clone(), turn.clone());
        tokio::spawn(async move {
            let shut = || match board.get(id) {
                None => Some(Shut::Ended),
                Some(intent) => switch.on(&intent, None).map(Shut::Frozen),
            };
            let Ok(pass) = gate.pass(id, shut) else { return 0 };
            // What takes a moment between the last look and the effect, as on a busy machine.
            if n.is_multiple_of(3) {
                tokio::task::yield_now().await;
            }
            beginning::with(pass, async { turn.fetch_add(1, Ordering::SeqCst) }).await
        })
    };
    let no = {
        let (turn, answered) = (turn.clone(), answered.clone());
        tokio::spawn(async move {
            if freezes {
                let (reason, by) = (String::new(), String::new());
                let freeze = Freeze { scope: Scope::All, reason, by, since: clock.now(), until: None };
                switch.freeze(freeze).unwrap();
                gate.clear(None).await;
            } else {
                let now = clock.now();
                let cancel = |it: &mut Intent| lifecycle::apply(it, Transition::Cancel, None, now);
                board.change(id, vec![], cancel).unwrap().1.await.unwrap();
                gate.clear(Some(id)).await;
            }
            answered.store(turn.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        })
    };
    let (effect, ()) = (effect.await.unwrap(), no.await.unwrap());
    effect > answered.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_cancel_or_a_freeze_is_answered_no_effect_begins() {
    for n in 0..RACES {
        for freezes in [false, true] {
            assert!(!race(freezes, n).await, "race {n}, freezes: {freezes}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_never_begins_does_not_hold_an_answer_for_ever() {
    let gate = Gate::default();
    let now = Clock::system().now();
    let stuck = gate.pass(intent(1, now).id, || None).unwrap();
    gate.clear(None).await;
    drop(stuck);
    assert!(lock(&gate.0.passing).inside.is_empty());
}
