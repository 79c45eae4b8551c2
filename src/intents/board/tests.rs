//! What storms, ends within a batch, failed commits and restarts do to the open intents.

use serde_json::json;

mod doubts;

use super::*;
use crate::intents::lifecycle::{self, Transition};
use crate::intents::past::Forgotten;
use crate::model::clock::micros;
use crate::model::intent::{self, Attempt, Plan, Rate, Verify};
use crate::model::{Event, Outcome, Pattern, RunId, Span, Status, Topic};
use crate::rules::{self, Firing, Known, RuleSet, Scratch, SourceFile, Windows};
use crate::store::{IntentQuery, Sqlite};

const RULES: &str = r#"
rules:
  - name: shadow
    on: [shadow.fail]
    mode: shadow
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
  - name: auto
    on: [auto.fail]
    group_by: data.n
    resolved: { on: [auto.well] }
    intent: { goal: "Mend ${data.n}", target: "${data.n}" }
    playbooks: [mend]
"#;

fn at(second: i64) -> Time {
    micros(second * 1_000_000)
}

fn rules() -> RuleSet {
    let file = SourceFile { path: "rules.yaml".into(), text: RULES.into() };
    let compiled = rules::compile(&[file], &Known { playbooks: &["mend".into()] });
    compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

fn board() -> (Arc<Sqlite>, Board) {
    let clock = Clock::system();
    let store = Arc::new(Sqlite::open_temporary(clock.clone()).unwrap());
    (store.clone(), Board::new(store, clock, 100))
}

fn event(topic: &str, second: i64) -> Arc<Event> {
    let topic = Topic::try_new(topic).unwrap();
    Arc::new(Event::new(second.to_string(), topic, "test", at(second), json!({"n": "t1"})))
}

/// Takes `topics` in as one batch at `second`, as the ingest thread does, without waiting for the disk.
fn batch(board: &Board, rules: &RuleSet, topics: &[&str], second: i64) -> (Commit, Changes) {
    let (mut windows, mut scratch, mut firings) = (Windows::default(), Scratch::default(), Vec::new());
    let mut batch = board.batch();
    for topic in topics {
        let event = event(topic, second);
        windows.apply(rules, &event, &rules.hits(&event, &mut scratch), &mut firings, &mut Vec::new());
        for firing in firings.drain(..) {
            match firing {
                Firing::Fire(it) => Some(batch.fire(&it, &event, at(second), rand::random())),
                Firing::Resolved { rule, group } => batch.resolve(&rule, &group, &event, at(second)),
            };
        }
    }
    batch.commit(vec![])
}

async fn all(store: &Sqlite) -> Vec<(Status, u64)> {
    let page = store.intents(IntentQuery::default()).await.unwrap();
    page.items.iter().map(|intent| (intent.status, intent.count)).collect()
}

#[tokio::test]
async fn a_storm_in_shadow_mode_is_one_intent_with_every_match_counted() {
    let (store, board) = board();
    let rules = rules();
    for second in 0..50 {
        let (commit, changes) = batch(&board, &rules, &["shadow.fail"; 10], second);
        commit.await.unwrap();
        assert_eq!(
            changes.ended.len(),
            usize::from(second == 0),
            "it ends once, however often it is counted"
        );
        board.confirm(changes);
    }
    assert_eq!(all(&store).await, [(Status::Shadowed, 500)]);
    let restarted = Board::new(store.clone(), Clock::system(), 100);
    restarted.restore(store.intents(IntentQuery::default()).await.unwrap().items);
    batch(&restarted, &rules, &["shadow.fail"], 60).0.await.unwrap();
    assert_eq!(all(&store).await, [(Status::Shadowed, 501)], "a restart in the storm goes on counting");
    batch(&restarted, &rules, &["shadow.fail"], 15 * 60 + 1).0.await.unwrap();
    assert_eq!(all(&store).await.len(), 2, "a storm that goes on is shown again after a while");
}

#[tokio::test]
async fn what_ends_and_fails_again_within_one_batch_is_two_intents_and_the_first_healed_by_itself() {
    let (store, board) = board();
    let topics = ["auto.fail", "auto.well", "auto.fail", "auto.fail"];
    let (commit, changes) = batch(&board, &rules(), &topics, 1);
    commit.await.unwrap();
    assert_eq!((changes.opened.len(), changes.ended.len()), (1, 1));
    assert!(board.take_fresh().is_empty(), "nothing is worked on before it is durable");
    board.confirm(changes);
    assert_eq!(board.take_fresh().len(), 1);
    assert_eq!(board.open()[0].count, 2);
    let outcomes = store.outcomes().await.unwrap();
    let kept: Vec<_> = outcomes.iter().map(|it| (it.attempt, it.outcome, it.playbook.as_str())).collect();
    assert_eq!(kept, [(0, Outcome::SelfRecovered, "")]);
}

#[tokio::test]
async fn a_batch_that_was_not_kept_leaves_no_trace_and_touches_nobody_elses_intent() {
    let (store, board) = board();
    let rules = rules();
    let (commit, changes) = batch(&board, &rules, &["auto.fail"], 1);
    commit.await.unwrap();
    board.confirm(changes);
    let kept = board.open()[0].clone();

    // Not handed to the store, which to memory is the same as a commit that failed.
    let mut lost = board.batch();
    let mut other = (*kept).clone();
    (other.id, other.group) = (IntentId::new(at(2), 2), "t2".into());
    let other = lost.insert(other).unwrap();
    drop(lost);
    assert!(board.get(other).is_some());
    board.heal().await.unwrap();
    assert!(board.get(other).is_none(), "an intent that is not on disk is not worked on");
    assert_eq!(board.get(kept.id), Some(kept), "the others stay as they are");
    assert_eq!(all(&store).await.len(), 1);
}

#[tokio::test]
async fn a_change_that_comes_while_another_is_taken_back_is_not_lost() {
    let (_store, board) = board();
    let (commit, changes) = batch(&board, &rules(), &["auto.fail"], 1);
    commit.await.unwrap();
    board.confirm(changes);
    let id = board.open()[0].id;
    board.doubts.add([id]);
    let reread = board.reread(id);
    let cancelled = async {
        let cancel = |it: &mut Intent| lifecycle::apply(it, Transition::Cancel, None, at(3));
        board.change(id, vec![], cancel).unwrap().1.await
    };
    let (reread, cancelled) = tokio::join!(reread, cancelled);
    reread.unwrap();
    cancelled.unwrap();
    assert!(board.get(id).is_none(), "what a person cancelled does not come back");
}

/// An intent of rule `auto` that was repaired at second 10 and is held until second 70, and attempts it has made.
fn repaired(escalated: bool) -> Intent {
    let event = event("auto.fail", 1);
    let expect = Pattern::try_new("auto.well").unwrap();
    let verify = Verify { expect, when: None, within: Span::secs(5), hold: Span::secs(60) };
    let plan = Plan { verify: Some(verify), ..Plan::default() };
    let mut it = Intent::new(IntentId::new(at(1), 1), "auto", "t1", "t1", event, Arc::new(plan), at(1));
    it.status = Status::Succeeded;
    it.updated_at = at(10);
    for (number, escalation) in [(1, false), (2, true)].into_iter().take(1 + usize::from(escalated)) {
        it.attempts.push(Attempt {
            number,
            playbook: "mend".into(),
            run: RunId::new(at(2), number.into()),
            escalation,
            confidence: 0.5,
            started_at: at(2),
            ended_at: None,
            outcome: None,
            ended_by: Default::default(),
            message: None,
        });
    }
    it
}

#[tokio::test]
async fn a_relapse_is_known_even_if_the_engine_died_before_it_was_put_down() {
    for (second, relapsed) in [(30, true), (71, false)] {
        let (_store, board) = board();
        let before = repaired(false);
        let again = Intent {
            created_at: at(second),
            status: Status::Pending,
            id: IntentId::new(at(second), 2),
            ..before.clone()
        };
        board.restore(vec![before.clone()]);
        board.take_up(again);
        let found: Vec<_> = board.take_relapsed().into_iter().map(|(_, ended)| ended.intent).collect();
        assert_eq!(found, if relapsed { vec![before.id] } else { vec![] }, "back after {second} s");
    }
}

#[tokio::test]
async fn a_restart_forgets_no_repair_that_a_cooldown_goes_by() {
    for escalated in [false, true] {
        let (_store, board) = board();
        let mut before = repaired(escalated);
        let guard = intent::Guard {
            cooldown: Some(Span::secs(60)),
            rate: Some(Rate { count: 1, within: Span::secs(60) }),
            ..intent::Guard::default()
        };
        before.plan = Arc::new(Plan { guard, ..before.plan.as_ref().clone() });
        board.restore(vec![before.clone()]);
        before.attempts.clear();
        let past = board.past(&before, at(20));
        assert_eq!(
            (past.rule_starts, past.last_start, past.forgotten),
            (vec![at(2)], Some(at(2)), Forgotten::default()),
            "escalated: {escalated}"
        );
    }
}

#[tokio::test]
async fn the_same_wish_made_again_after_it_was_granted_is_not_granted_twice() {
    let (_store, board) = board();
    let wish = |n| Intent {
        rule: MANUAL.into(),
        id: IntentId::new(at(n), n as u128),
        status: Status::Pending,
        ..repaired(false)
    };
    let insert = |n| {
        let mut batch = board.batch();
        let id = batch.insert(wish(n)).unwrap();
        (id, batch.commit(vec![]))
    };
    let (first, (commit, _)) = insert(1);
    commit.await.unwrap();
    let (_, commit) =
        board.change(first, vec![], |it| lifecycle::apply(it, Transition::Cancel, None, at(2))).unwrap();
    commit.await.unwrap();
    assert_eq!(insert(2).0, first);
}
