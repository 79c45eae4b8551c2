//! The choice among a rule's candidates, and its reasons in plain words. Reads the learner; the draws come from a seed.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::choose::{Judged, first, propensities};
use super::learner::Learner;
use super::text;
use super::view::{Posterior, View};
use crate::model::{Decision, Priority, Risk, Span, Time, decision};

/// A playbook that a rule names.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub playbook: String,
    /// Its content hash.
    pub hash: String,
    /// Candidates of high risk are never tried for the sake of learning.
    pub risk: Risk,
    /// What it usually takes, as its author declared; measured times replace it.
    pub cost: Span,
}

/// What a choice is made for.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The failure class.
    pub class: &'a str,
    /// Nothing is explored for a critical one.
    pub priority: Priority,
    /// Playbooks already tried for this intent; never chosen again for it.
    pub tried: &'a [String],
    /// How many attempts the intent has left, this one included; the last goes to the likeliest rather than the
    /// quickest.
    pub attempts_left: u32,
    /// What a person needs when all attempts have failed; [`Learner::PERSON`] where nothing better is known.
    pub person: Span,
    /// Decides the draws.
    pub seed: u64,
    /// Kept in the decision.
    pub now: Time,
}

/// What was drawn was possible, even where no point of the lattice met it.
const LEAST_PROPENSITY: f64 = 0.005;
/// Draws whose mean stands for a probability: less exploration than one, and better in the benchmark.
pub(super) const DRAWS: u32 = 3;

impl Learner {
    /// Chooses among `candidates`; none if all were tried. Remembers the set, so that [`Self::observe`] can tell when
    /// its order changes.
    pub fn choose(&mut self, candidates: &[Candidate], situation: &Situation<'_>) -> Option<Decision> {
        let open: Vec<&Candidate> =
            candidates.iter().filter(|c| !situation.tried.contains(&c.playbook)).collect();
        if open.is_empty() {
            return None;
        }
        self.remember(situation.class, candidates);
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(situation.seed);
        let (left, person) = (situation.attempts_left.max(1) as usize, minutes(situation.person));
        let looks: Vec<Look<'_>> = open
            .iter()
            .map(|candidate| {
                let declared = minutes(candidate.cost);
                let view = self.look(&candidate.playbook, &candidate.hash, situation.class, declared);
                let explored = situation.priority != Priority::Critical && candidate.risk != Risk::High;
                let rate =
                    if explored { view.pool.draw(view.cell, DRAWS, &mut rng) } else { view.moments.mean };
                Look { candidate, explored, drawn: view.own(rate), known: view.posterior(), view }
            })
            .collect();
        let judged: Vec<Judged> = looks.iter().map(|look| look.view.judged(look.explored)).collect();
        let takes: Vec<f64> = judged.iter().map(|j| j.minutes).collect();
        let drawn: Vec<f64> = looks.iter().map(|look| look.drawn).collect();
        let means: Vec<f64> = judged.iter().map(|j| j.mean).collect();
        let chosen = first(&drawn, &takes, left, person);
        let likeliest = first(&means, &takes, left, person);
        let propensity = propensities(&judged, left, person)[chosen].max(LEAST_PROPENSITY);

        let mut rows: Vec<decision::Candidate> = looks.iter().map(Look::row).collect();
        let best = rows.remove(chosen);
        rows.sort_by(|a, b| a.expected_minutes.total_cmp(&b.expected_minutes));
        rows.insert(0, best.clone());
        Some(Decision {
            playbook: best.playbook,
            why: why(&looks, chosen, likeliest, candidates, situation),
            confidence: best.confidence,
            interval: best.interval,
            propensity,
            candidates: rows,
            at: situation.now,
        })
    }
}

struct Look<'a> {
    candidate: &'a Candidate,
    view: View<'a>,
    known: Posterior,
    explored: bool,
    drawn: f64,
}

impl Look<'_> {
    fn row(&self) -> decision::Candidate {
        decision::Candidate {
            playbook: self.candidate.playbook.clone(),
            confidence: self.known.mean,
            interval: self.known.interval,
            n: self.known.n,
            expected_minutes: self.view.expected(),
        }
    }
}

/// The reasons, the deciding one first.
fn why(
    looks: &[Look<'_>],
    chosen: usize,
    likeliest: usize,
    candidates: &[Candidate],
    situation: &Situation<'_>,
) -> Vec<String> {
    let Look { candidate, view, known, explored, .. } = &looks[chosen];
    let verdict = match looks.len() {
        1 if candidates.len() == 1 => "the only candidate".to_owned(),
        1 => "the only one left".to_owned(),
        n if chosen == likeliest => format!("best of {n}"),
        n => format!("tried to learn, one of {n} that may be the best"),
    };
    let mut why = vec![format!(
        "{}: {}, {} → {:.1} expected minutes; {verdict}",
        candidate.playbook,
        text::chance(known),
        text::minutes(view.minutes),
        view.expected(),
    )];
    if chosen != likeliest {
        let better = &looks[likeliest];
        let chance = text::chance(&better.known);
        why.push(format!("{} looks better so far: {chance}", better.candidate.playbook));
    } else if looks.iter().any(|look| look.view.expected() < view.expected()) {
        why.push(format!(
            "attempts left: {}; after the last a person needs about {}, so the likelier goes before the quicker",
            situation.attempts_left.max(1),
            text::minutes(minutes(situation.person)),
        ));
    }
    if known.n == 0 {
        why.push(match view.siblings() {
            0 => format!("no verified outcome yet: every playbook starts at {:.2}", known.mean),
            n => format!("no outcome of this class yet: judged by {n} of other classes"),
        });
    }
    if view.alone() > 0.005 {
        let share = view.alone() * 100.0;
        let own = view.own(known.mean);
        why.push(format!("{share:.0} % heal by themselves in that time: its own share is {own:.2}"));
    }
    if !explored && looks.len() > 1 {
        let cause = if situation.priority == Priority::Critical { "critical" } else { "high risk" };
        why.push(format!("{cause}: nothing is tried for the sake of learning"));
    }
    if looks.len() < candidates.len() {
        let tried: Vec<&str> = candidates
            .iter()
            .map(|c| c.playbook.as_str())
            .filter(|name| situation.tried.iter().any(|t| t == name))
            .collect();
        why.push(format!("already tried for this intent: {}", tried.join(", ")));
    }
    why
}

fn minutes(span: Span) -> f64 {
    span.as_secs_f64() / 60.0
}
