//! Ends at which nothing was repaired and no attempt failed: an intent grew too old behind a guard, a guard refused it,
//! nobody answered, or there was nothing to act on. An operator is alerted before each of them.
//!
//! A storm of them is one alert per rule and cause, with its count and first targets. Where the rule has an escalation
//! chain, the first of a storm follows it and speaks for the others. Start with [`unrepaired`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::chain;
use crate::guard::GUARDS;
use crate::intents::lifecycle::Transition;
use crate::model::{AlertId, Failure, Intent, IntentId, Time};
use crate::tasks::worker::{Go, Stop, Worker};
use crate::tasks::{Parts, lock};

/// How long the first of a storm waits for the others, so that its escalation chain names how many they are.
const GATHER: chrono::TimeDelta = chrono::TimeDelta::seconds(5);

/// How long the chain that the first one followed speaks for others of the same rule and cause.
const SPEAKS_FOR: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// Targets named in the words of a storm.
const NAMED: usize = 5;

/// Storms remembered: more rules than anybody has. Past it the oldest is forgotten, which costs one more escalation.
const STORMS: usize = 10_000;

/// Why nothing was repaired.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It waited until it was too old; the guard that held it back, if one did.
    Expired(Option<&'static str>),
    /// This guard refused it.
    Refused(String),
    /// Nobody answered whether it may be repaired.
    Unanswered,
    /// The rule's target came out empty.
    NoTarget,
}

impl Cause {
    /// Too old, with the guard that `intent` last waited for.
    pub fn expired(intent: &Intent) -> Self {
        let named = intent.reason.as_deref().and_then(|reason| reason.split_once(": "));
        Self::Expired(named.and_then(|(name, _)| GUARDS.iter().map(|(it, _)| *it).find(|it| *it == name)))
    }

    /// How an intent that the cause ends is ended. One without a target was never open.
    fn end(&self) -> Transition {
        match self {
            Self::Expired(_) => Transition::Expire,
            Self::Refused(_) | Self::Unanswered | Self::NoTarget => Transition::Refuse,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Expired(Some(guard)) => format!("expired/{guard}"),
            Self::Expired(None) => "expired".into(),
            Self::Refused(guard) => format!("refused/{guard}"),
            Self::Unanswered => "unanswered".into(),
            Self::NoTarget => "no_target".into(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Expired(Some(guard)) => format!("too old after waiting for `{guard}`"),
            Self::Expired(None) => "too old before its turn came".into(),
            Self::Refused(guard) => format!("refused by `{guard}`"),
            Self::Unanswered => "nobody answered whether it may be repaired".into(),
            Self::NoTarget => "there is no target to act on".into(),
        }
    }
}

/// Storms that came lately, by rule and cause.
#[derive(Default)]
pub struct Storms(Mutex<HashMap<(String, Cause), Storm>>);

struct Storm {
    since: Time,
    leader: IntentId,
    count: u64,
    targets: Vec<String>,
}

/// Nothing of `intent` is repaired because of `cause`: an operator is alerted, and it ends, or follows its chain first.
pub async fn unrepaired(
    worker: &mut Worker<'_>,
    intent: &Arc<Intent>,
    cause: Cause,
    why: String,
) -> Result<Go, Stop> {
    let alerted = alert(worker.parts, intent, &cause, &why).await;
    alerted.map_err(|failure| Stop::Untold(failure.message))?;
    let end = cause.end();
    let leads = worker.parts.storms.count(intent, cause, worker.parts.clock.steady());
    if leads && let Some(first) = intent.plan.escalate.first() {
        return chain(worker, &why, first.after.delta().max(GATHER));
    }
    worker.transition(end, Some(why))?;
    Ok(Go::Wait)
}

/// Alerts an operator to `intent`, which ended as it was recorded because it has no target.
pub fn no_target(parts: &Parts, intent: &Intent) -> BoxFuture<'static, Result<AlertId, Failure>> {
    let why = intent.reason.clone().unwrap_or_else(|| "no target to act on".into());
    alert(parts, intent, &Cause::NoTarget, &why)
}

/// Whether `intent` was ended as it was recorded because it has no target.
pub fn is_without_target(intent: &Intent) -> bool {
    intent.status == crate::model::Status::Denied && intent.target.is_empty()
}

/// The key of the alert for what ends because of `cause`.
pub fn key(intent: &Intent, cause: &Cause) -> String {
    format!("unrepaired/{}/{}", intent.rule, cause.name())
}

fn alert(
    parts: &Parts,
    intent: &Intent,
    cause: &Cause,
    why: &str,
) -> BoxFuture<'static, Result<AlertId, Failure>> {
    let title = format!("{}: not repaired, {}", intent.rule, cause.words());
    let of = if intent.target.is_empty() { &intent.group } else { &intent.target };
    let message =
        format!("{of}: {why}. Repair it by hand, or try again with `paramedic intents retry {}`.", intent.id);
    let target = Some(of.clone()).filter(|it| !it.is_empty());
    parts.alerts.raise(key(intent, cause), intent.priority.into(), title, message, target, Some(intent.id))
}

impl Storms {
    /// Counts `intent` on the storm that it belongs to; whether it is the first, which speaks for all.
    fn count(&self, intent: &Intent, cause: Cause, now: Time) -> bool {
        let mut storms = lock(&self.0);
        let key = (intent.rule.clone(), cause);
        if let Some(storm) = storms.get_mut(&key).filter(|it| now - it.since < SPEAKS_FOR) {
            storm.count += 1;
            if storm.targets.len() < NAMED {
                storm.targets.push(intent.target.clone());
            }
            return false;
        }
        if storms.len() >= STORMS
            && let Some(oldest) = storms.iter().min_by_key(|(_, it)| it.since).map(|(key, _)| key.clone())
        {
            storms.remove(&oldest);
        }
        let targets = vec![intent.target.clone()];
        storms.insert(key, Storm { since: now, leader: intent.id, count: 1, targets });
        true
    }

    /// What the chain of `intent` says besides its own reason: for how many others it speaks.
    pub(super) fn others(&self, intent: &Intent) -> Option<String> {
        let storms = lock(&self.0);
        let storm = storms.values().find(|it| it.leader == intent.id && it.count > 1)?;
        let names = storm.targets[1..].join(", ");
        let others = storm.count - 1;
        let more = if others as usize > storm.targets.len() - 1 { ", …" } else { "" };
        Some(format!("; {others} more ended the same way: {names}{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::micros;
    use crate::model::{Event, Topic};

    fn intent(n: u128) -> Intent {
        let event = Event::new("1", Topic::try_new("t").unwrap(), "s", micros(0), serde_json::Value::Null);
        let target = format!("h{n}");
        Intent::new(
            IntentId::new(micros(0), n),
            "r",
            &target,
            &target,
            event.into(),
            Arc::default(),
            micros(0),
        )
    }

    #[test]
    fn ninety_ends_of_one_cause_have_one_speaker_that_counts_them_all() {
        let storms = Storms::default();
        let rate = || Cause::Expired(Some("rate"));
        let leads: Vec<bool> = (0..90).map(|n| storms.count(&intent(n), rate(), micros(n as i64))).collect();
        assert_eq!(leads.iter().filter(|it| **it).count(), 1);
        let words = storms.others(&intent(0)).unwrap();
        assert_eq!(words, "; 89 more ended the same way: h1, h2, h3, h4, …");
        assert!(storms.count(&intent(100), Cause::Unanswered, micros(1)), "another cause is another storm");
        let later = micros(0) + SPEAKS_FOR;
        assert!(storms.count(&intent(101), rate(), later), "a later storm is escalated again");
        for n in 0..20_000 {
            storms.count(&intent(n), Cause::Refused(n.to_string()), micros(1));
        }
        assert!(lock(&storms.0).len() <= STORMS);
    }

    #[test]
    fn the_guard_that_held_it_back_is_named() {
        let held = Intent { reason: Some("rate: 10 of this rule started within 1h".into()), ..intent(1) };
        assert_eq!(Cause::expired(&held), Cause::Expired(Some("rate")));
        let other = Intent { reason: Some("approved: by me".into()), ..intent(1) };
        assert_eq!(Cause::expired(&other), Cause::Expired(None));
    }
}
