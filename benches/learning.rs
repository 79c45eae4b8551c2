//! The learner against the worlds of the learning benchmark: minutes to recover over the oracle's, calibration of the
//! confidence shown, and time for a decision with its update.
//!
//! `WORLDS=worlds.jsonl cargo bench --bench learning` plays every world in the file through the real [`Learner`] (no
//! copy of the policy). Scenarios with a switch are played twice: announced (the playbooks' hashes change with it) and
//! not. Without `WORLDS` it only says how to make that file.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use paramedic::learning::{Candidate, Learner, Situation};
use paramedic::model::clock::micros;
use paramedic::model::{EndedBy, IntentId, Outcome, OutcomeRecord, Priority, Risk, Span};
use serde::Deserialize;

#[derive(Deserialize)]
struct World {
    scenario: String,
    seed: u64,
    attempts: u32,
    switch_at: Option<usize>,
    costs: Vec<f64>,
    human: f64,
    classes: Vec<usize>,
    u: Vec<Vec<f64>>,
    q1: Vec<Vec<f64>>,
    q2: Vec<Vec<f64>>,
    oracle_minutes: f64,
    fixed_minutes: f64,
}

#[derive(Default)]
struct Score {
    ours: f64,
    oracle: f64,
    fixed: f64,
    worlds: u32,
    bins: [[f64; 3]; 10],
    covered: f64,
    shown: f64,
    drifts: u32,
}

#[expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints its table and may stop at a bad file"
)]
fn main() {
    let Ok(path) = std::env::var("WORLDS") else {
        println!(
            "learning: set WORLDS to a file made by worlds.py of the learning benchmark; nothing was measured"
        );
        return;
    };
    let (mut scores, mut nanos): (BTreeMap<String, Score>, Vec<u64>) = Default::default();
    for line in BufReader::new(std::fs::File::open(path).unwrap()).lines() {
        let world: World = serde_json::from_str(&line.unwrap()).unwrap();
        let announced: &[bool] = if world.switch_at.is_some() { &[true, false] } else { &[false] };
        for announced in announced {
            let name = match (world.switch_at, announced) {
                (None, _) => world.scenario.clone(),
                (_, true) => format!("{} announced", world.scenario),
                _ => format!("{} not announced", world.scenario),
            };
            play(&world, *announced, scores.entry(name).or_default(), &mut nanos);
        }
    }
    println!(
        "{:<18} {:>6} {:>8} {:>7} {:>7} {:>8} {:>7}",
        "scenario", "worlds", "/oracle", "fixed", "ECE", "covered", "drifts"
    );
    for (name, s) in &scores {
        let total: f64 = s.bins.iter().map(|b| b[0]).sum();
        let ece: f64 = s.bins.iter().map(|[_, seen, said]| (seen - said).abs() / total).sum();
        println!(
            "{name:<18} {:>6} {:>8.3} {:>7.3} {ece:>7.4} {:>8.3} {:>7.2}",
            s.worlds,
            s.ours / s.oracle,
            s.fixed / s.oracle,
            s.covered / s.shown,
            f64::from(s.drifts) / f64::from(s.worlds),
        );
    }
    nanos.sort_unstable();
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize] as f64 / 1_000.0;
    println!(
        "decision and update: p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs of {}",
        at(0.5),
        at(0.99),
        at(0.999),
        nanos.len()
    );
}

fn play(world: &World, announced: bool, score: &mut Score, nanos: &mut Vec<u64>) {
    let names = ["p0", "p1", "p2", "p3"];
    let candidates = |hash: &str| -> Vec<Candidate> {
        let one = |k: usize, minutes: &f64| Candidate {
            playbook: names[k].into(),
            hash: hash.into(),
            risk: Risk::Low,
            cost: Span::from_secs_f64(minutes * 60.0).unwrap_or_default(),
        };
        world.costs.iter().enumerate().map(|(k, minutes)| one(k, minutes)).collect()
    };
    let (old, new) = (candidates("old"), candidates("new"));
    let switch = world.switch_at.unwrap_or(usize::MAX);
    let classes: Vec<String> = (0..world.q1.len()).map(|j| format!("class {j}")).collect();
    let mut learner = Learner::new();
    let (mut minutes, now) = (0.0, micros(0));
    for (t, j) in world.classes.iter().enumerate() {
        let set = if announced && t >= switch { &new } else { &old };
        let rates = if t < switch { &world.q1[*j] } else { &world.q2[*j] };
        let (mut tried, mut fixed) = (vec![], false);
        for attempt in 1..=world.attempts {
            let situation = Situation {
                class: &classes[*j],
                priority: Priority::Normal,
                tried: &tried,
                attempts_left: world.attempts - attempt + 1,
                person: Span::from_secs_f64(world.human * 60.0).unwrap_or_default(),
                seed: world.seed << 32 | (t as u64) << 2 | u64::from(attempt),
                now,
            };
            let began = Instant::now();
            let Some(decision) = learner.choose(set, &situation) else { break };
            let mut spent = began.elapsed();
            let k = names.iter().position(|n| *n == decision.playbook).unwrap_or_default();
            fixed = world.u[t][k] < rates[k];
            minutes += world.costs[k];
            let bin = &mut score.bins[((decision.confidence * 10.0) as usize).min(9)];
            bin[0] += 1.0;
            bin[1] += f64::from(u8::from(fixed));
            bin[2] += decision.confidence;
            score.shown += 1.0;
            score.covered +=
                f64::from(u8::from(decision.interval[0] <= rates[k] && rates[k] <= decision.interval[1]));
            let took = (world.costs[k] * 60_000.0) as u64;
            let record = OutcomeRecord {
                intent: IntentId::new(now, t as u128),
                attempt,
                rule: "rule".into(),
                class: classes[*j].clone(),
                target: "target".into(),
                playbook: decision.playbook.clone(),
                source_hash: set[k].hash.clone(),
                outcome: if fixed { Outcome::Fixed } else { Outcome::NotFixed },
                ended_by: EndedBy::Itself,
                untimed: false,
                escalation: false,
                recovery_ms: took,
                attempt_ms: took,
                propensity: decision.propensity,
                confidence: decision.confidence,
                at: now,
                number: 0,
            };
            let began = Instant::now();
            let changes = learner.observe(&record);
            spent += began.elapsed();
            score.drifts +=
                changes.iter().filter(|c| c.kind == paramedic::learning::Kind::DriftSuspected).count() as u32;
            nanos.push(spent.as_nanos() as u64);
            tried.push(decision.playbook);
            if fixed {
                break;
            }
        }
        if !fixed {
            minutes += world.human;
        }
    }
    score.ours += minutes / world.classes.len() as f64;
    score.oracle += world.oracle_minutes;
    score.fixed += world.fixed_minutes;
    score.worlds += 1;
}
