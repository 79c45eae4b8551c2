//! Why each rule does or does not fire for an event: for one at hand by the rules as they are, for one in the log as it
//! was decided then. It changes nothing.

use std::sync::{Arc, PoisonError};

use serde::Serialize;

use super::Engine;
use super::decisions::{self, Decisions};
use crate::guard::{self, Facts, Verdict};
use crate::intents::board::{Became, birth};
use crate::model::{Event, Intent, IntentId, Mode, Status, Time};
use crate::rules::{self, Fired, Firing, RuleReason, RuleSet, is_timer};
use crate::store::Error;
use crate::tasks::lock;
use crate::tasks::weigh;

/// Why each rule does or does not fire for an event.
#[derive(Debug, Serialize)]
pub struct Explanation {
    event: Event,
    decided: Decided,
    rules: Vec<Reason>,
}

/// When it was decided, and by which rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "when")]
enum Decided {
    /// The event is not in the log; this is what would happen.
    Now {
        /// Hash of the rules.
        rules: String,
    },
    /// When the event came in.
    Then {
        /// Its number in the log.
        number: u64,
        /// When that was.
        at: Time,
        /// Hash of the rules as they were.
        rules: String,
        /// Whether they are the rules of today too.
        still_live: bool,
    },
    /// When the event came in, but what is known of that has been lost: this is by the rules of today.
    Unknown {
        /// Why it is not known.
        why: String,
        /// Hash of the rules.
        rules: String,
    },
}

/// Why a rule fired or not, and what came of it.
#[derive(Debug, Serialize)]
struct Reason {
    #[serde(flatten)]
    reason: RuleReason,
    /// The intent that it opened, was counted on, or closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<IntentId>,
    /// How that intent stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

impl Explanation {
    /// The reasons alone, in the order of the rules.
    pub fn into_reasons(self) -> Vec<RuleReason> {
        self.rules.into_iter().map(|rule| rule.reason).collect()
    }
}

impl Engine {
    /// What would come of `event`, if it came now.
    pub fn explain(&self, event: &Arc<Event>) -> Explanation {
        let set = self.rule_set();
        let (reasons, firings) = rules::preview(&set, &lock(&self.0.windows), event);
        let would = |reason: RuleReason| {
            let fired = firings.iter().find_map(|firing| match firing {
                Firing::Fire(fired) if fired.rule.name == reason.rule => Some(fired),
                _ => None,
            });
            self.would(reason, fired, event)
        };
        let rules = reasons.into_iter().map(would).collect();
        let decided = Decided::Now { rules: set.hash().into() };
        Explanation { event: event.as_ref().clone(), decided, rules }
    }

    /// What came of the latest event with this id, as it was decided then; none if it is not in the log.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn explain_logged(&self, id: &str) -> Result<Option<Explanation>, Error> {
        let Some((number, event)) = self.0.store.find_event(id.into()).await? else { return Ok(None) };
        let live = self.rule_set();
        let (set, decided) = match self.rules_at(number).await? {
            Ok(set) => {
                let rules = set.hash().to_owned();
                let still_live = rules == live.hash();
                (set, Decided::Then { number, at: event.arrival(), rules, still_live })
            }
            Err(why) => (live.clone(), Decided::Unknown { why, rules: live.hash().into() }),
        };
        let known = Decisions::of(&*self.0.store, number).await?;
        let (notes, became) = known.map(|known| (known.notes, known.became)).unwrap_or_default();
        let mut rules = Vec::new();
        for mut reason in rules::explain(&set, &event, &notes) {
            let what = became.iter().find(|(rule, _)| *rule == reason.rule).map(|(_, became)| *became);
            if is_timer(&event) {
                reason.fired = what.is_some();
                let why = if reason.fired { "its time had come" } else { "it is the timer of another rule" };
                reason.reason = why.into();
            }
            rules.push(self.did(reason, what).await?);
        }
        Ok(Some(Explanation { event, decided, rules }))
    }

    /// The rules that decided about event number `number`, or why they are not known any more.
    async fn rules_at(&self, number: u64) -> Result<Result<Arc<RuleSet>, String>, Error> {
        let eras = decisions::eras(&*self.0.store).await?;
        let Some(era) = eras.iter().rev().find(|era| era.after < number) else {
            return Ok(Err("it came before this version kept which rules decide".into()));
        };
        let live = self.rule_set();
        if era.rules == live.hash() {
            return Ok(Ok(live));
        }
        let mut last = self.0.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if last.as_ref().is_none_or(|set| set.hash() != era.rules) {
            let pin = self.0.store.source(era.rules.clone()).await?;
            last = pin.and_then(|pin| RuleSet::from_pin(&pin)).map(Arc::new);
            self.0.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&last);
        }
        Ok(last.ok_or_else(|| "this version cannot read the rules of then any more".to_owned()))
    }

    fn would(&self, mut reason: RuleReason, fired: Option<&Fired>, event: &Arc<Event>) -> Reason {
        let Some(fired) = fired else { return Reason { reason, intent: None, status: None } };
        let open = self.0.board.open_of(&fired.rule.name, &fired.group);
        reason.reason.push_str(&match &open {
            Some(intent) => {
                format!("; it would be counted on intent {}, which is {}", intent.id, intent.status)
            }
            None => self.outlook(fired, event),
        });
        let (intent, status) = open.map(|intent| (intent.id, intent.status)).unzip();
        Reason { reason, intent, status }
    }

    /// What would become of an intent that `fired` opened now: its mode, and what the guards would say first.
    fn outlook(&self, fired: &Fired, event: &Arc<Event>) -> String {
        let (now, era) = self.0.clock.stamp();
        let intent = Intent { era, ..birth(fired, event, now, 0) };
        match (intent.status, &intent.reason) {
            (Status::Shadowed | Status::Denied, Some(why)) => {
                return format!("; it would only be recorded as {}: {why}", intent.status);
            }
            (Status::Held, Some(why)) => return format!("; it would open an intent that is held: {why}"),
            _ => {}
        }
        let past = self.0.board.past(&intent, now);
        let frozen = self.0.parts.freeze.on(&intent, None);
        let facts = Facts {
            intent: &intent,
            now,
            last_start: past.last_start,
            rule_starts: &past.rule_starts,
            confidence: None,
            approved: false,
            fleet: intent.plan.guard.blast_radius.map(|_| weigh::fleet(&self.0.parts, &intent, &past)),
            frozen: frozen.as_ref(),
            forgotten: past.forgotten,
        };
        let ruling = guard::combine(&facts);
        match (ruling.verdict, intent.plan.mode) {
            (Verdict::Deny { reason, .. }, _) => {
                format!("; it would open an intent that is denied by {}: {reason}", ruling.guard)
            }
            (Verdict::Wait { until, reason }, _) => {
                format!("; it would open an intent that waits until {until} for {}: {reason}", ruling.guard)
            }
            (Verdict::Ask { reason }, _) => {
                format!("; it would open an intent that waits for a person, by {}: {reason}", ruling.guard)
            }
            (Verdict::Allow, Mode::Ask) => "; it would open an intent that waits for a person".into(),
            (Verdict::Allow, _) => "; it would open an intent".into(),
        }
    }

    async fn did(&self, mut reason: RuleReason, what: Option<Became>) -> Result<Reason, Error> {
        let (id, did) = match what {
            None => return Ok(Reason { reason, intent: None, status: None }),
            Some(Became::Refused) => {
                reason.reason.push_str("; no intent was opened, as too many were open");
                return Ok(Reason { reason, intent: None, status: None });
            }
            Some(Became::Opened(id)) => (id, "it opened"),
            Some(Became::Counted(id)) => (id, "it was counted on"),
            Some(Became::Over(id)) => (id, "it told of its end"),
        };
        let intent = match self.0.board.get(id) {
            Some(open) => Some(open),
            None => self.0.store.intent(id).await?.map(Arc::new),
        };
        reason.reason.push_str(&format!(
            "; {did} intent {id}{}",
            intent.as_ref().map(|i| stands(i)).unwrap_or_default()
        ));
        Ok(Reason { reason, intent: Some(id), status: intent.map(|intent| intent.status) })
    }
}

/// How the intent stands, with the words of the guard or the decision.
fn stands(intent: &Intent) -> String {
    let why = match (&intent.reason, &intent.decision) {
        (Some(reason), _) => format!(": {reason}"),
        (None, Some(decision)) => format!(": {}", decision.why.join("; ")),
        (None, None) => String::new(),
    };
    format!(", which is now {}{why}", intent.status)
}
