//! What guards remember of repairs: when each rule last repaired each target, when its repairs began, whom they touched.
//!
//! It is kept, and read back at a start, by time: as far back as any live rule or open intent asks. Room is bounded all
//! the same; where something is missing, [`Facts`] says so and the guards wait. The board hands steady times in, which
//! no setting of the clock moves. Start with [`Past`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fleets::{self, Fleets};
use super::latest::Latest;
use crate::model::intent::{Guard, Plan, Rate};
use crate::model::{Intent, Mode, RunId, Span, Time};
use crate::rules::RuleSet;

/// Most pairs of a rule and a target whose last repair is remembered; about 40 MiB.
const MOST: usize = 500_000;

/// Most starts of one rule that are remembered, for its rate. No rate is larger, so none is missed.
const MOST_STARTS: usize = Rate::MAX as usize;

/// What is remembered of repairs.
#[derive(Clone, Debug)]
pub struct Past {
    /// By rule, as far back as it or one of its intents has ever asked in this life.
    windows: HashMap<String, Window>,
    longest: Window,
    last: Latest,
    starts: HashMap<String, BTreeSet<(Time, RunId)>>,
    fleets: Fleets,
    /// The store knows nothing of intents that ended before this time.
    pruned: Option<Time>,
    hasher: ahash::RandomState,
}

/// How far back a rule asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    cooldown: Span,
    rate: Span,
    fleet: Span,
    /// For what ended: as long as its failure may come back, or matches are counted on it.
    ended: Span,
}

/// What guards are told of the past of an intent.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// When a repair of the same target by the same rule last began.
    pub last_start: Option<Time>,
    /// When repairs of the rule began, oldest first.
    pub rule_starts: Vec<Time>,
    /// How many targets its fleet is known to have, its own among them.
    pub fleet_size: usize,
    /// When others of its fleet were last touched.
    pub touched: Vec<Time>,
    /// What is missing.
    pub forgotten: Forgotten,
}

/// Up to when something may be missing in what guards are told; none: nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// In `last_start`.
    pub last_start: Option<Time>,
    /// In `rule_starts`.
    pub rule_starts: Option<Time>,
    /// In `touched`.
    pub touched: Option<Time>,
}

impl Facts {
    /// The same on another scale of time.
    pub fn map(self, on: impl Fn(Time) -> Time) -> Self {
        let Forgotten { last_start, rule_starts, touched } = self.forgotten;
        Self {
            last_start: self.last_start.map(&on),
            rule_starts: self.rule_starts.into_iter().map(&on).collect(),
            fleet_size: self.fleet_size,
            touched: self.touched.into_iter().map(&on).collect(),
            forgotten: Forgotten {
                last_start: last_start.map(&on),
                rule_starts: rule_starts.map(&on),
                touched: touched.map(&on),
            },
        }
    }
}

impl Default for Past {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Past {
    /// Room for `most` repairs of each kind.
    pub fn new(most: usize) -> Self {
        Self {
            windows: HashMap::new(),
            longest: Window::default(),
            last: Latest::new(most),
            starts: HashMap::new(),
            fleets: Fleets::new(most),
            pruned: None,
            hasher: ahash::RandomState::new(),
        }
    }

    /// `rules` are live from now on. Returns the names of those that ask for more than was kept until now: their past
    /// has to be read back, since [`Past::since`].
    pub fn adopt(&mut self, rules: &RuleSet) -> BTreeSet<String> {
        let mut more = BTreeSet::new();
        // Rules that are gone stay: intents of them may still be open.
        for rule in rules.rules().iter().filter(|rule| rule.enabled) {
            let window = Window::of(&rule.plan, rule.wish.fleet.is_some());
            if window != Window::default() && self.widen(&rule.name, window) {
                more.insert(rule.name.clone());
            }
        }
        more
    }

    /// The store has forgotten the intents that ended before `time`.
    pub fn pruned(&mut self, time: Time) {
        self.pruned = self.pruned.max(Some(time));
    }

    /// From when on what ended is wanted at `now`, by rule; one of which nothing is wanted is not there.
    pub fn since(&self, now: Time) -> BTreeMap<String, Time> {
        let each = self.windows.iter();
        each.filter_map(|(rule, window)| Some((rule.clone(), window.since(now)?))).collect()
    }

    /// The earliest of these times.
    pub fn oldest(&self, now: Time) -> Option<Time> {
        self.longest.since(now)
    }

    /// `intent` was opened at `at`, or read back.
    pub fn see(&mut self, intent: &Intent, at: Time) {
        self.ask(intent);
        self.fleets.see(intent, at);
    }

    /// A repair for `intent` began at `at`, in `run`. The same again changes nothing.
    pub fn start(&mut self, intent: &Intent, at: Time, run: RunId) {
        self.ask(intent);
        self.fleets.start(intent, at);
        let Some(window) = self.windows.get(&intent.rule).copied() else { return };
        if !window.cooldown.is_zero() {
            let (rule, target) = self.key(intent);
            self.last.put(rule, target, at);
        }
        if !window.rate.is_zero() {
            let starts = self.starts.entry(intent.rule.clone()).or_default();
            starts.insert((at, run));
            let floor = at - window.rate.delta();
            while starts.len() > MOST_STARTS || starts.first().is_some_and(|(first, _)| *first < floor) {
                starts.pop_first();
            }
        }
    }

    /// What guards are told about `intent` at `now`. A rule that nobody asks about costs nothing.
    pub fn facts(&mut self, intent: &Intent, now: Time) -> Facts {
        let Guard { cooldown, rate, blast_radius, .. } = &intent.plan.guard;
        let mut facts = Facts::default();
        // Later attempts wait for neither: looked for only where it matters, as there may be thousands.
        let first = intent.repairs().next().is_none();
        if cooldown.is_some() && first {
            self.last.expire(now - self.longest.cooldown.delta());
            let (rule, target) = self.key(intent);
            facts.last_start = self.last.get(rule, target);
            facts.forgotten.last_start = self.last.forgotten().max(self.pruned);
        }
        if rate.is_some() && first {
            let starts = self.starts.get(&intent.rule);
            facts.rule_starts = starts.into_iter().flatten().map(|(at, _)| *at).collect();
            facts.forgotten.rule_starts = self.pruned;
        }
        if blast_radius.is_some() {
            (facts.fleet_size, facts.touched) = self.fleets.facts(intent, now);
            facts.forgotten.touched = self.fleets.forgotten().max(self.pruned);
        }
        facts
    }

    /// Whether repairs were forgotten for want of room that guards may ask for at `now`.
    pub fn is_short(&self, now: Time) -> bool {
        let is_within = |at: Option<Time>, window: chrono::TimeDelta| at.is_some_and(|at| at > now - window);
        is_within(self.last.forgotten(), self.longest.cooldown.delta())
            || is_within(self.fleets.forgotten(), fleets::WINDOW)
    }

    /// How many repairs were forgotten for want of room, ever.
    pub fn dropped(&self) -> u64 {
        self.last.dropped() + self.fleets.dropped()
    }

    /// An intent keeps the plan that it was born with, whatever rules are live.
    fn ask(&mut self, intent: &Intent) {
        self.widen(&intent.rule, Window::of(&intent.plan, intent.fleet.is_some()));
    }

    /// Answers whether `rule` asks for more than was kept for it.
    fn widen(&mut self, rule: &str, window: Window) -> bool {
        let kept = self.windows.get(rule).copied().unwrap_or_default();
        let wide = kept.join(window);
        if wide == kept {
            return false;
        }
        self.windows.insert(rule.to_owned(), wide);
        self.longest = self.longest.join(wide);
        true
    }

    fn key(&self, intent: &Intent) -> (u64, u64) {
        (self.hasher.hash_one(&intent.rule), self.hasher.hash_one(&intent.target))
    }
}

impl Window {
    fn of(plan: &Plan, has_fleet: bool) -> Self {
        let counts = has_fleet || plan.guard.blast_radius.is_some();
        let fleet = if counts { Span(fleets::KNOWN.to_std().unwrap_or_default()) } else { Span::default() };
        let hold = plan.verify.as_ref().map(|verify| verify.hold).unwrap_or_default();
        let recorded = if plan.mode == Mode::Shadow { plan.expire } else { Span::default() };
        Self {
            cooldown: plan.guard.cooldown.unwrap_or_default(),
            rate: plan.guard.rate.map(|rate| rate.within).unwrap_or_default(),
            fleet,
            ended: hold.max(recorded),
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            cooldown: self.cooldown.max(other.cooldown),
            rate: self.rate.max(other.rate),
            fleet: self.fleet.max(other.fleet),
            ended: self.ended.max(other.ended),
        }
    }

    fn since(self, now: Time) -> Option<Time> {
        let longest = self.cooldown.max(self.rate).max(self.fleet).max(self.ended);
        (!longest.is_zero()).then(|| now.checked_sub_signed(longest.delta()).unwrap_or(Time::MIN_UTC))
    }
}
