//! What fires without an event, because a time has come.
//!
//! Such a firing is an event of its own, `paramedic.timer.<kind>`, so that the log, the explanation and the causes of
//! an intent show it like any other. Its id says which timer it was, so that one firing is in the log once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::state::{Heard, State};
use super::{Correlation, Fired, Windows, after};
use crate::condition::path::Key;
use crate::condition::{Path, Root, View};
use crate::model::{Event, Time, Topic, clock};
use crate::rules::rule::Rule;
use crate::rules::set::RuleSet;

/// The first tokens of the topics of timers.
const TOPIC: &str = "paramedic.timer.";
/// Most missed times of a schedule that are counted.
const MISSED: u64 = 10_000;
/// Who says so.
const SOURCE: &str = "paramedic";

/// A rule that fired because a time has come.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The event that says so.
    pub event: Arc<Event>,
    /// What fired.
    pub fired: Fired,
}

/// Whether `event` says that a timer fired. Rules do not match such events: they are told of them when they are made.
pub fn is_timer(event: &Event) -> bool {
    event.topic.as_str().starts_with(TOPIC)
}

/// What a group has to say when its time has come.
struct Due {
    /// When its time had come, in microseconds.
    at: i64,
    event: Option<Arc<Event>>,
    count: u64,
    data: Option<Value>,
}

impl Windows {
    /// Moves the time of arrival to `now` and adds to `out` what is due by then, in order.
    pub fn advance(&mut self, set: &RuleSet, now: Time, out: &mut Vec<Timed>) {
        let now = now.timestamp_micros();
        while let Some(entry) = self.timers.take(now) {
            let Some(rule) = set.get(&entry.rule).filter(|rule| self.of(rule).is_some()) else { continue };
            let Some(groups) = self.rules.get_mut(&rule.name) else { continue };
            let Some(group) = groups.get_mut(&entry.group).filter(|g| g.queued == Some(entry.due)) else {
                continue;
            };
            group.queued = None;
            let due = match group.state.due() {
                Some(due) if due <= entry.due => due,
                // It has been put off since: it stands in the queue again, behind what is due before.
                _ => {
                    self.queue(&entry.rule, &entry.group);
                    continue;
                }
            };
            let said = ring(&mut group.state, rule, due, now);
            if matches!(group.state, State::Collected(_)) {
                groups.forget(&entry.group);
            } else {
                groups.settle(&entry.group);
            }
            self.queue(&entry.rule, &entry.group);
            if let Some(said) = said {
                let event = Arc::new(event(rule, &entry.group, now, self.era, &said));
                let view = View::new(&event, &[]);
                let events = said.event.into_iter().collect();
                let fired = Fired::of(rule, entry.group.to_string(), &view, said.count, events);
                out.push(Timed { event: event.clone(), fired });
            }
        }
    }

    /// Begins to wait for what `rule` expects from the start, as far as it does not yet.
    pub(super) fn expect(&mut self, rule: &Arc<Rule>, now: i64) {
        if let Some(schedule) = &rule.schedule {
            let groups = self.groups(rule);
            if groups.get("").is_none()
                && let Some(next) = schedule.next_after(clock::micros(now))
            {
                groups.touch("", || State::Scheduled(next.timestamp_micros()));
                self.queue(&rule.name, "");
            }
            return;
        }
        let Correlation::Absent { quiet, expect, .. } = &rule.pattern else { return };
        let due = after(after(now, *quiet), rule.lateness);
        for member in expect.iter() {
            let groups = self.groups(rule);
            if groups.get(member).is_none() {
                let new = || State::Heard(Heard { at: now, due, event: None, silent: false });
                let followed = groups.touch(member, new).is_some();
                self.tally.refused += u64::from(!followed);
                self.queue(&rule.name, member);
            }
        }
    }
}

/// Takes out of `state` what is due.
fn ring(state: &mut State, rule: &Rule, due: i64, now: i64) -> Option<Due> {
    match state {
        State::Heard(heard) => {
            heard.silent = true;
            Some(Due { at: due, event: heard.event.clone(), count: 1, data: None })
        }
        State::Collected(collected) => {
            Some(Due { at: due, event: Some(collected.last.clone()), count: collected.count, data: None })
        }
        State::Awaited(awaited) => {
            let first = awaited.armed.iter().position(|armed| armed.due <= due)?;
            let armed = awaited.armed.remove(first)?;
            Some(Due { at: due, event: Some(armed.event), count: 1, data: None })
        }
        State::Scheduled(next) => {
            let schedule = rule.schedule.as_ref()?;
            let (mut last, mut missed) = (due, 0_u64);
            // What was missed is made up for once, at its latest time.
            *next = loop {
                match schedule.next_after(clock::micros(last)).map(|time| time.timestamp_micros()) {
                    Some(later) if later <= now && missed < MISSED => (last, missed) = (later, missed + 1),
                    Some(later) if later <= now => {
                        break schedule
                            .next_after(clock::micros(now))
                            .map_or(i64::MAX, |t| t.timestamp_micros());
                    }
                    later => break later.unwrap_or(i64::MAX),
                }
            };
            if now > after(last, rule.plan.expire) {
                return None;
            }
            let time = clock::micros(last).to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            let data = json!({ "rule": rule.name, "time": time, "missed": missed });
            Some(Due { at: last, event: None, count: 1, data: Some(data) })
        }
        State::Times(_) | State::Seen(_) | State::Values(_) => None,
    }
}

fn event(rule: &Rule, group: &str, now: i64, era: u32, said: &Due) -> Event {
    let (kind, due) = (rule.kind(), said.at);
    let topic = Topic::try_new(format!("{TOPIC}{kind}")).expect("kinds are tokens");
    let mut id = format!("{kind}/{}/{group}/{due}", rule.name);
    if let (Correlation::NotAfter { .. }, Some(about)) = (&rule.pattern, &said.event) {
        // Several of one group may be due at once, each for its own event.
        id = format!("{id}/{}/{}", about.source, about.id);
    }
    if era > 0 {
        // The clock was set, perhaps back: then the same time comes again, and is another one.
        id = format!("{id}/{era}");
    }
    let data = match (&said.data, &said.event) {
        (Some(data), _) => data.clone(),
        (None, Some(event)) => event.data.value(),
        (None, None) => expected(rule, group),
    };
    let mut event = Event::new(id, topic, SOURCE, clock::micros(due), data);
    event.priority = rule.wish.priority;
    event.subject = match &said.event {
        Some(about) => about.subject.clone(),
        None => (!group.is_empty()).then(|| group.into()),
    };
    if let Some(about) = &said.event {
        event.causationid = Some(about.id.clone());
        event.correlationid = about.correlationid.clone();
        event.traceparent = about.traceparent.clone();
    }
    event.arrived = (now != due).then(|| clock::micros(now));
    event
}

/// A payload for a group that was never heard: where the rule groups by one field, that field says which.
fn expected(rule: &Rule, group: &str) -> Value {
    let path = match &rule.group_by[..] {
        [by] => by.path().filter(|path| path.root == Root::Data),
        _ => None,
    };
    let Some(Path { keys, .. }) = path else { return json!({}) };
    let around = |value: Value, key: &Key| match key {
        Key::Name(name) => Some(json!({ (name.to_string()): value })),
        // Which place of a list it was is not known.
        Key::Index(_) => None,
    };
    keys.iter().rev().try_fold(Value::from(group), around).unwrap_or_else(|| json!({}))
}
