//! What guards remember: the same with restarts and reloads as without, however many targets, fleets and ended intents
//! there are; and where room is short they wait.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::intents::fleets;
use crate::intents::lifecycle::{self, Transition};
use crate::intents::past::Past;
use crate::intents::{Board, board};
use crate::model::Clock;
use crate::rules::{self, Known, RuleSet, SourceFile};
use crate::store::{Memory, Prune, Store, Write};

/// `cooldown` is in minutes; the rules are called by what they are guarded by.
fn rules(cooldown: u64) -> RuleSet {
    let rule = |name: &str, guard: &str, more: &str| {
        format!(
            "  - {{ name: {name}, on: a.b, intent: {{ goal: Mend, target: \"${{subject}}\"{more} }}, \
             playbooks: [mend], guard: {{ {guard} }} }}\n"
        )
    };
    let text = [
        "rules:\n".to_owned(),
        rule("cooldown", &format!("cooldown: {cooldown}m"), ""),
        rule("rate", "rate: 3/20m", ""),
        rule("fleet", "blast_radius: 30%", ", fleet: \"${data.fleet}\""),
        rule("own", "blast_radius: 30%, cooldown: 5m", ""),
    ];
    let file = SourceFile { path: "rules.yaml".into(), text: text.concat() };
    let compiled = rules::compile(&[file], &Known { playbooks: &["mend".into()] });
    compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

/// A board on a store, and all that was ever done to it.
struct World {
    clock: Clock,
    store: Arc<Memory>,
    board: Arc<Board>,
    rules: RuleSet,
    made: u128,
    history: Vec<Repair>,
}

struct Repair {
    rule: &'static str,
    target: String,
    fleet: String,
    at: Time,
}

impl World {
    fn new() -> Self {
        let clock = Clock::fixed(at(1_700_000_000));
        let store = Arc::new(Memory::new(clock.clone()));
        let board = Arc::new(Board::new(store.clone(), clock.clone(), 100_000));
        let mut it = Self { clock, store, board, rules: rules(15), made: 0, history: vec![] };
        it.restart();
        it
    }

    fn restart(&mut self) {
        self.board = Arc::new(Board::new(self.store.clone(), self.clock.clone(), 100_000));
        self.board.recall(&self.rules).now_or_never().unwrap().unwrap();
    }

    fn reload(&mut self, cooldown: u64) {
        self.rules = rules(cooldown);
        self.board.look_back(&self.rules).now_or_never().unwrap();
    }

    fn pass(&self, seconds: i64) {
        self.clock.set(self.clock.now() + chrono::TimeDelta::seconds(seconds));
    }

    fn intent(&self, rule: &str, target: &str, fleet: &str) -> Intent {
        let now = self.clock.now();
        let event = Event::new("e", Topic::try_new("a.b").unwrap(), "test", now, json!(null));
        let plan = self.rules.get(rule).unwrap().plan.clone();
        let id = IntentId::new(now, self.made);
        let mut it = Intent::new(id, rule, target, target, Arc::new(event), plan, now);
        it.fleet = (rule == "fleet").then(|| fleet.into());
        if rule == "fleet" {
            it.group = format!("{fleet}/{target}");
        }
        it
    }

    /// A repair begins and ends; or it goes on, where it `stays`.
    fn repair(&mut self, rule: &'static str, target: &str, fleet: &str, stays: bool) {
        self.made += 1;
        let (now, intent) = (self.clock.now(), self.intent(rule, target, fleet));
        let id = intent.id;
        let mut batch = self.board.batch();
        let opened = batch.reopen(intent).unwrap();
        drop(batch.commit(vec![]));
        if opened != id {
            return;
        }
        let run = RunId::new(now, self.made);
        let begin = |it: &mut Intent| {
            lifecycle::apply(it, Transition::Start, None, now)?;
            it.attempts.push(Attempt { run, started_at: now, ..attempt(1, false) });
            Ok(())
        };
        drop(self.board.change(id, vec![], begin).unwrap());
        if !stays {
            let end = |it: &mut Intent| lifecycle::apply(it, Transition::Cancel, None, now);
            drop(self.board.change(id, vec![], end).unwrap());
        }
        self.history.push(Repair { rule, target: target.into(), fleet: fleet.into(), at: now });
    }

    fn ruling(&self, rule: &str, target: &str, fleet: &str) -> Ruling {
        let (now, intent) = (self.clock.now(), self.intent(rule, target, fleet));
        let past = self.board.past(&intent, now);
        let group = intent.plan.guard.blast_radius.map(|_| Fleet {
            name: fleets::of(&intent),
            size: past.fleet_size,
            touched: past.touched.clone(),
        });
        combine(&Facts {
            last_start: past.last_start,
            rule_starts: &past.rule_starts,
            fleet: group,
            forgotten: past.forgotten,
            now,
            ..facts(&intent, 0)
        })
    }

    /// What guards would say if nothing were ever forgotten.
    fn exact(&self, rule: &str, target: &str, fleet: &str) -> Ruling {
        let (now, intent) = (self.clock.now(), self.intent(rule, target, fleet));
        let of_rule: Vec<&Repair> = self.history.iter().filter(|it| it.rule == rule).collect();
        let others = of_rule.iter().filter(|it| rule == "own" || it.fleet == fleet);
        let others: BTreeMap<&str, Time> =
            others.filter(|it| it.target != target).map(|it| (it.target.as_str(), it.at)).collect();
        let size = others.values().filter(|at| **at + fleets::KNOWN > now).count() + 1;
        combine(&Facts {
            last_start: of_rule.iter().filter(|it| it.target == target).map(|it| it.at).max(),
            rule_starts: &of_rule.iter().map(|it| it.at).collect::<Vec<_>>(),
            fleet: intent.plan.guard.blast_radius.map(|_| Fleet {
                name: fleets::of(&intent),
                size,
                touched: others.into_values().collect(),
            }),
            now,
            ..facts(&intent, 0)
        })
    }
}

const RULES: [&str; 4] = ["cooldown", "rate", "fleet", "own"];

#[derive(Clone, Debug)]
enum Deed {
    Repair { rule: usize, target: u8, fleet: u8, stays: bool },
    Pass(i64),
    Restart,
    Reload(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => (0..4_usize, 0..8_u8, 0..3_u8, any::<bool>())
            .prop_map(|(rule, target, fleet, stays)| Deed::Repair { rule, target, fleet, stays }),
        4 => (0..1_200_i64).prop_map(Deed::Pass),
        1 => (0..90_000_i64).prop_map(Deed::Pass),
        2 => Just(Deed::Restart),
        1 => (1..3_000_u64).prop_map(Deed::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, guards decide as if nothing had ever been restarted, reloaded or forgotten.
    #[test]
    fn guards_decide_after_restarts_and_reloads_as_without(deeds in prop::collection::vec(deed(), 1..60)) {
        let mut world = World::new();
        for deed in deeds {
            match deed {
                Deed::Repair { rule, target, fleet, stays } => {
                    world.repair(RULES[rule], &format!("k{target}"), &format!("f{fleet}"), stays);
                }
                Deed::Pass(seconds) => world.pass(seconds),
                Deed::Restart => world.restart(),
                Deed::Reload(cooldown) => world.reload(cooldown),
            }
            for rule in RULES {
                for (target, fleet) in [("k0", "f0"), ("k1", "f1"), ("k7", "f2"), ("new", "f0")] {
                    let (said, exact) = (world.ruling(rule, target, fleet), world.exact(rule, target, fleet));
                    prop_assert_eq!(said, exact, "{} on {} of {}", rule, target, fleet);
                }
            }
        }
    }
}

#[test]
fn more_than_ten_thousand_targets_keep_their_cooldown_and_over_a_restart() {
    let mut world = World::new();
    let targets: Vec<String> = (0..10_001).map(|n| format!("k{n}")).collect();
    for target in &targets {
        world.repair("cooldown", target, "", false);
    }
    for _ in 0..2 {
        for target in &targets {
            assert_eq!(world.ruling("cooldown", target, "").guard, "cooldown", "{target}");
        }
        assert_eq!(world.ruling("cooldown", "another", "").verdict, Verdict::Allow);
        world.pass(60);
        world.restart();
    }
    world.pass(15 * 60);
    assert_eq!(world.ruling("cooldown", "k0", "").verdict, Verdict::Allow);
}

#[test]
fn more_than_ten_thousand_fleets_keep_their_blast_radius_and_over_a_restart() {
    let mut world = World::new();
    let fleets: Vec<String> = (0..10_001).map(|n| format!("f{n}")).collect();
    for fleet in &fleets {
        world.repair("fleet", "k1", fleet, false);
    }
    for _ in 0..2 {
        for fleet in &fleets {
            assert_eq!(world.ruling("fleet", "k2", fleet).guard, "blast_radius", "{fleet}");
        }
        world.pass(60);
        world.restart();
    }
}

#[test]
fn a_repair_before_more_than_ten_thousand_others_is_known_after_a_restart() {
    let mut world = World::new();
    world.repair("cooldown", "first", "", false);
    for n in 0..10_001 {
        world.repair("rate", &format!("k{n}"), "", false);
    }
    world.restart();
    assert_eq!(world.ruling("cooldown", "first", "").guard, "cooldown");
}

#[test]
fn guards_wait_for_what_found_no_room_and_say_so() {
    let world = World::new();
    let mut past = Past::new(1_000);
    past.adopt(&world.rules);
    let begun = world.clock.now();
    for n in 0..1_001 {
        for rule in ["cooldown", "fleet"] {
            let it = world.intent(rule, &format!("k{n}"), &format!("f{n}"));
            past.see(&it, it.created_at);
            past.start(&it, world.clock.now(), RunId::new(begun, n));
        }
        world.pass(if n == 0 { 10 } else { 0 });
    }
    let now = world.clock.now();
    assert_eq!((past.is_short(now), past.dropped()), (true, 2));
    let ruling = |past: &mut Past, rule: &str, now| {
        let mut it = world.intent(rule, "never repaired", "of another fleet");
        it.expires_at = Time::MAX_UTC;
        let known = past.facts(&it, now);
        let fleet = Fleet { name: "f", size: known.fleet_size, touched: known.touched };
        combine(&Facts {
            fleet: Some(fleet),
            forgotten: known.forgotten,
            last_start: known.last_start,
            now,
            ..facts(&it, 0)
        })
    };
    for (rule, guard, minutes) in [("cooldown", "cooldown", 15), ("fleet", "blast_radius", 30)] {
        let until = begun + chrono::TimeDelta::minutes(minutes);
        let said = ruling(&mut past, rule, now);
        let Verdict::Wait { until: waits, reason } = said.verdict else { panic!("{rule}: {said:?}") };
        assert_eq!((said.guard.as_str(), waits), (guard, until));
        let gap = "are not all remembered: those up to 2023-11-14T22:13:20Z may be missing";
        assert!(reason.contains(gap), "{reason}");
        assert_eq!(ruling(&mut past, rule, until).verdict, Verdict::Allow, "{rule}");
    }
    assert!(!past.is_short(now + chrono::TimeDelta::hours(1)));
}

#[test]
fn guards_wait_where_the_store_has_forgotten_what_a_new_rule_asks_for() {
    let mut world = World::new();
    world.repair("cooldown", "k1", "", false);
    world.pass(40 * 60);
    let before = world.clock.now() - chrono::TimeDelta::minutes(20);
    let since = Write::Meta { key: board::SINCE.into(), value: before.to_rfc3339() };
    world.store.commit(vec![since]).now_or_never().unwrap().unwrap();
    let prune = Prune { intents: Some(before), ..Prune::default() };
    let pruned = world.store.prune(prune).now_or_never().unwrap().unwrap();
    assert_eq!(pruned.intents, 1);
    world.restart();
    assert_eq!(world.ruling("cooldown", "k1", "").verdict, Verdict::Allow, "15 minutes are known");
    world.reload(60);
    let said = world.ruling("cooldown", "k1", "");
    assert_eq!(said.guard, "cooldown", "of 60 minutes only 20 are");
    world.pass(41 * 60);
    assert_eq!(world.ruling("cooldown", "k1", "").verdict, Verdict::Allow);
}
