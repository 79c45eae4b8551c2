//! What would have become of firings, as far as events alone can say: intents without anybody who works on them.
//!
//! Intents are born as the board bears them, the guards are asked as the task manager asks them, and the lifecycle is
//! kept. What is not known here is what repairs would have done, what people would have answered, and which playbook
//! learning would have chosen: an intent that would have been acted on stays open until an event says that it is over,
//! or its time is up. Pure: time comes from the events. Start with [`Ledger::fire`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use super::report::{End, Foreseen, Outcome};
use super::sums::Sums;
use crate::condition::{self, Condition};
use crate::guard::{self, Facts, Fleet, Verdict};
use crate::intents::board;
use crate::intents::fleets;
use crate::intents::lifecycle::{self, Transition};
use crate::intents::past::Past;
use crate::model::{Event, Intent, Mode, Pattern, RunId, Status, Time};
use crate::rules::{Fired, Rule, RuleSet};
use crate::tasks::weigh::APPROVAL_WINDOW;

/// Intents that are listed; more are only counted, so that memory is bounded.
pub(super) const LISTED: usize = 100_000;

/// The condition by which a repair is mostly known to have worked; found by the target instead of by trying each.
const BY_TARGET: &str = "subject == target";

type Hashed<K, V> = HashMap<K, V, ahash::RandomState>;
/// A rule, by its place in the set, and a group.
type Key = (u32, String);

/// The intents of one set of rules.
pub(super) struct Ledger {
    pub(super) sums: Sums,
    numbers: Hashed<String, u32>,
    names: Vec<Arc<str>>,
    playbooks: Vec<Arc<[String]>>,
    /// By the order of their birth.
    open: Hashed<u64, Entry>,
    by_key: Hashed<Key, u64>,
    /// Those that were ended at birth, on which matches are counted for a while.
    recorded: Hashed<Key, u64>,
    due: BinaryHeap<Reverse<(Time, u64)>>,
    past: Past,
    checks: Vec<Check>,
    /// Of rules with a check: those that would be acted on, by their target.
    checked: Hashed<u32, BTreeMap<String, BTreeSet<u64>>>,
    births: u64,
    since: Option<Time>,
    only: Option<String>,
    done: Vec<(u64, Foreseen)>,
    listed: usize,
    omitted: u64,
}

/// An intent on the ledger.
struct Entry {
    key: Key,
    intent: Intent,
    /// When something happens to it by itself.
    due: Time,
    outcome: Option<Outcome>,
    acts_at: Option<Time>,
    held_back: Option<String>,
    /// Whether it is counted, and whether it is listed.
    counted: bool,
    listed: bool,
}

/// A rule's `verify.expect`.
struct Check {
    rule: u32,
    on: Pattern,
    when: Option<Condition>,
    by_target: bool,
}

impl Ledger {
    /// An empty one for `set`. What happens before `since` has its effects, and is not told; of rules whose name does
    /// not hold `only` nothing is told.
    pub(super) fn new(set: &RuleSet, since: Option<Time>, only: Option<&str>) -> Self {
        let checks = (0..).zip(set.rules()).filter_map(|(rule, it)| {
            let verify = it.plan.verify.as_ref().filter(|_| it.enabled)?;
            let when = verify.when.as_deref();
            Some(Check {
                rule,
                on: verify.expect.clone(),
                // Checked when the rule was loaded.
                when: when.and_then(|text| condition::compile(text, &["target"]).ok()),
                by_target: when.is_some_and(|text| text.trim() == BY_TARGET),
            })
        });
        Self {
            sums: Sums::new(set),
            numbers: (0..).zip(set.rules()).map(|(n, rule)| (rule.name.clone(), n)).collect(),
            names: set.rules().iter().map(|rule| rule.name.as_str().into()).collect(),
            playbooks: set.rules().iter().map(|rule| rule.plan.playbooks.clone().into()).collect(),
            open: Hashed::default(),
            by_key: Hashed::default(),
            recorded: Hashed::default(),
            due: BinaryHeap::new(),
            past: Past::default(),
            checks: checks.collect(),
            checked: Hashed::default(),
            births: 0,
            since,
            only: only.map(Into::into),
            done: Vec::new(),
            listed: 0,
            omitted: 0,
        }
    }

    /// A rule fired for `event` at `now`.
    pub(super) fn fire(&mut self, fired: &Fired, event: &Arc<Event>, now: Time) {
        let Some(&rule) = self.numbers.get(&fired.rule.name) else { return };
        let told = self.is_told(rule, now);
        if told {
            self.sums.fired(rule, now);
        }
        let key = (rule, fired.group.clone());
        if let Some(entry) = self.by_key.get(&key).and_then(|n| self.open.get_mut(n)) {
            return entry.count(now);
        }
        let n = self.births;
        let intent = board::birth(fired, event, now, u128::from(n));
        if !intent.status.is_open()
            && let Some(entry) = self.recorded.get(&key).and_then(|n| self.open.get_mut(n))
            && entry.intent.status == intent.status
        {
            return entry.count(now);
        }
        self.births += 1;
        if intent.status.is_open() {
            self.past.see(&intent, now);
        }
        let listed = told && self.listed < LISTED;
        if told {
            self.sums.made(rule);
            self.listed += usize::from(listed);
            self.omitted += u64::from(!listed);
        }
        let outcome = match intent.status {
            Status::Shadowed => Some(Outcome::Shadowed),
            Status::Denied => Some(Outcome::Denied),
            _ => None,
        };
        let due = match intent.not_before {
            Some(at) => at,
            None if outcome.is_some() => now + intent.plan.expire.delta(),
            None => now,
        };
        let held_back = (intent.status == Status::Held).then(|| reason(&intent));
        let map = if outcome.is_some() { &mut self.recorded } else { &mut self.by_key };
        if let Some(old) = map.insert(key.clone(), n) {
            // Recorded with another end; the newer counts from here on.
            self.end(old, End::Unheard, String::new(), now);
        }
        self.open
            .insert(n, Entry { key, intent, due, outcome, acts_at: None, held_back, counted: told, listed });
        if due > now || outcome.is_some() {
            self.due.push(Reverse((due, n)));
        } else {
            self.ring(n, now);
        }
    }

    /// `event` says that what `rule` repairs in `group` is over.
    pub(super) fn resolve(&mut self, rule: &Rule, group: &str, event: &Event, now: Time) {
        let Some(&number) = self.numbers.get(&rule.name) else { return };
        let key = (number, group.to_owned());
        let (recorded, open) = (self.recorded.get(&key).copied(), self.by_key.get(&key).copied());
        for n in [recorded, open].into_iter().flatten() {
            let Some(entry) = self.open.get_mut(&n) else { continue };
            let why = match entry.outcome {
                None => {
                    entry.outcome = Some(Outcome::Stale);
                    "was over by itself before anything was done"
                }
                // A live engine closes what waits for a person; whether one would have answered is not known.
                Some(_) => "was over",
            };
            self.end(n, End::Resolved, format!("{why}: {}", event.topic), now);
        }
    }

    /// `event` came: it may be what the check of a repair expects. What was made after birth number `before` came of
    /// the event itself, and is not checked by it.
    pub(super) fn hear(&mut self, event: &Event, before: u64, now: Time) {
        let mut over = Vec::new();
        for check in self.checks.iter().filter(|check| check.on.matches(event.topic.as_str())) {
            let Some(targets) = self.checked.get(&check.rule) else { continue };
            let mut take = |entries: &BTreeSet<u64>| over.extend(entries.range(..before));
            match &check.when {
                None => targets.values().for_each(take),
                Some(_) if check.by_target => {
                    let subject = event.subject.as_ref();
                    subject.and_then(|subject| targets.get(subject)).into_iter().for_each(take);
                }
                Some(when) => {
                    for (target, entries) in targets {
                        let target = target.as_str().into();
                        if when.test(event, &[("target", &target)]).unwrap_or(false) {
                            take(entries);
                        }
                    }
                }
            }
        }
        over.sort_unstable();
        for n in over {
            self.end(n, End::Verified, format!("the check saw {}", event.topic), now);
        }
    }

    /// The number of the next intent.
    pub(super) fn births(&self) -> u64 {
        self.births
    }

    /// Moves time to `now`: what was held is released, what asked for too long is denied, what is too old ends.
    pub(super) fn advance(&mut self, now: Time) {
        while let Some(&Reverse((at, n))) = self.due.peek().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            if self.open.get(&n).is_some_and(|entry| entry.due == at) {
                self.ring(n, at);
            }
        }
    }

    /// When something happens next without an event.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// All intents in the order of their birth, and how many are not listed.
    pub(super) fn finish(mut self, now: Time) -> (Sums, Vec<Foreseen>, u64) {
        let mut open: Vec<u64> = self.open.keys().copied().collect();
        open.sort_unstable();
        for n in open {
            self.end(n, End::Open, String::new(), now);
        }
        self.done.sort_by_key(|(n, _)| *n);
        let intents = self.done.into_iter().map(|(_, intent)| intent).collect();
        (self.sums, intents, self.omitted)
    }

    /// Whether what this rule does at `now` is told.
    pub(super) fn is_told(&self, rule: u32, now: Time) -> bool {
        let named = |only: &String| self.names[rule as usize].contains(only.as_str());
        self.since.is_none_or(|since| now >= since) && self.only.as_ref().is_none_or(named)
    }

    /// The time has come at which something happens to intent `n`.
    fn ring(&mut self, n: u64, now: Time) {
        let Some(entry) = self.open.get_mut(&n) else { return };
        match entry.intent.status {
            Status::Held => {
                if lifecycle::apply(&mut entry.intent, Transition::Release, None, now).is_ok() {
                    self.weigh(n, now);
                }
            }
            Status::Pending => self.weigh(n, now),
            Status::AwaitingApproval => {
                let why = format!("nobody answered within {APPROVAL_WINDOW}, as far as is known here");
                self.end(n, End::Unheard, why, now);
            }
            _ => {
                let why = format!("no event said that it was over within {}", entry.intent.plan.expire);
                self.end(n, End::Unheard, why, now);
            }
        }
    }

    /// Asks the guards, as the task manager does before the first attempt.
    fn weigh(&mut self, n: u64, now: Time) {
        let Some(entry) = self.open.get_mut(&n) else { return };
        let past = self.past.facts(&entry.intent, now);
        let fleet = entry.intent.plan.guard.blast_radius.map(|_| Fleet {
            name: fleets::of(&entry.intent),
            size: past.fleet_size,
            touched: past.touched,
        });
        let ruling = guard::combine(&Facts {
            intent: &entry.intent,
            now,
            last_start: past.last_start,
            rule_starts: &past.rule_starts,
            confidence: None,
            approved: false,
            fleet,
            frozen: None,
            forgotten: past.forgotten,
        });
        let because = |reason: &str| format!("{}: {reason}", ruling.guard);
        match &ruling.verdict {
            Verdict::Deny { reason, expired } => {
                entry.outcome = Some(if *expired { Outcome::Expired } else { Outcome::Denied });
                self.end(n, End::Refused, because(reason), now);
            }
            Verdict::Wait { until, reason } => {
                entry.held_back = Some(because(reason));
                // When it is too old, the guards are asked once more, and say so.
                entry.due = (*until).min(entry.intent.expires_at);
                self.due.push(Reverse((entry.due, n)));
            }
            Verdict::Ask { .. } | Verdict::Allow => self.begin(n, now),
        }
    }

    /// The guards allow it: it would be acted on, or a person would be asked.
    fn begin(&mut self, n: u64, now: Time) {
        let Some(entry) = self.open.get_mut(&n) else { return };
        let asks = entry.intent.plan.mode == Mode::Ask;
        let (outcome, transition) =
            if asks { (Outcome::Asked, Transition::Ask) } else { (Outcome::Acted, Transition::Start) };
        if lifecycle::apply(&mut entry.intent, transition, None, now).is_err() {
            return;
        }
        entry.outcome = Some(outcome);
        entry.acts_at = Some(now);
        entry.due = if asks { now + APPROVAL_WINDOW.delta() } else { entry.intent.expires_at.max(now) };
        self.due.push(Reverse((entry.due, n)));
        let rule = entry.key.0;
        let target = &entry.intent.target;
        if !asks {
            self.past.start(&entry.intent, now, RunId::new(now, u128::from(n)));
        }
        if entry.intent.plan.verify.is_some() {
            let targets = self.checked.entry(rule).or_default();
            targets.entry(target.clone()).or_default().insert(n);
        }
    }

    /// Intent `n` is over at `now`, or at the end of the events.
    fn end(&mut self, n: u64, end: End, why: String, now: Time) {
        let Some(entry) = self.open.remove(&n) else { return };
        for map in [&mut self.by_key, &mut self.recorded] {
            if map.get(&entry.key) == Some(&n) {
                map.remove(&entry.key);
            }
        }
        if let Some(targets) = self.checked.get_mut(&entry.key.0)
            && let Some(entries) = targets.get_mut(&entry.intent.target)
        {
            entries.remove(&n);
            if entries.is_empty() {
                targets.remove(&entry.intent.target);
            }
        }
        let outcome = entry.outcome.unwrap_or(Outcome::Waiting);
        if entry.counted {
            self.sums.ended(entry.key.0, outcome);
        }
        if entry.listed {
            let rule = entry.key.0 as usize;
            let (name, playbooks) = (self.names[rule].clone(), self.playbooks[rule].clone());
            let ended_at = (end != End::Open).then_some(now);
            self.done.push((n, entry.told(name, playbooks, outcome, end, ended_at, why)));
        }
    }
}

impl Entry {
    fn count(&mut self, now: Time) {
        self.intent.count += 1;
        self.intent.last_event_at = now;
    }

    fn told(
        self,
        rule: Arc<str>,
        playbooks: Arc<[String]>,
        outcome: Outcome,
        end: End,
        ended_at: Option<Time>,
        why: String,
    ) -> Foreseen {
        let intent = self.intent;
        // One that was ended at birth says itself why.
        let why = match intent.status {
            Status::Denied if end != End::Refused => intent.reason.unwrap_or(why),
            _ => why,
        };
        Foreseen {
            at: intent.created_at,
            rule,
            group: self.key.1,
            target: intent.target,
            class: intent.class,
            goal: intent.goal,
            priority: intent.priority,
            count: intent.count,
            last: intent.last_event_at,
            playbooks,
            mode: intent.plan.mode,
            outcome,
            acts_at: self.acts_at,
            held_back: self.held_back,
            end,
            ended_at,
            why,
            event: intent.event.id.clone(),
            plan: intent.plan,
        }
    }
}

fn reason(intent: &Intent) -> String {
    format!("hold_down: {}", intent.reason.as_deref().unwrap_or_default())
}
