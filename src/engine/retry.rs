//! A person has an intent that ended without success tried again: as a new intent of the same rule, group, target and
//! plan, which names the one that it goes back to.

use std::sync::Arc;

use super::Engine;
use crate::intents::board::{self, Changes};
use crate::model::intent::{Guard, Plan};
use crate::model::{Intent, IntentId, Status};
use crate::store::Commit;

/// Why an intent is not tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There never was one.
    #[error("there is no intent {0}")]
    Unknown(IntentId),
    /// It has not ended.
    #[error("intent {id} is {}: it has not ended, so there is nothing to try again", .status.as_str())]
    Open {
        /// Which.
        id: IntentId,
        /// Where it stands.
        status: Status,
    },
    /// Another is open for the same thing.
    #[error("intent {0} is open for the same rule and group: it is what tries again")]
    Another(IntentId),
    /// There is nothing that could be tried.
    #[error("intent {id} cannot be tried again: {why}")]
    Never {
        /// Which.
        id: IntentId,
        /// Why.
        why: String,
    },
    /// It could not be opened.
    #[error(transparent)]
    Board(#[from] board::Error),
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl Engine {
    /// Opens the intent `id`, which has ended, anew; gives the new one. Guards are asked as ever, but for those that only
    /// wait (`hold_down`, `cooldown`): somebody has looked.
    ///
    /// # Errors
    /// When it is open, never was, succeeded, has no playbook any more, or cannot be kept.
    pub async fn retry(&self, id: IntentId, by: &str) -> Result<Arc<Intent>, Error> {
        if let Some(intent) = self.0.board.get(id) {
            return Err(Error::Open { id, status: intent.status });
        }
        let old = self.0.store.intent(id).await?.ok_or(Error::Unknown(id))?;
        if let Some(why) = self.never(&old) {
            return Err(Error::Never { id, why });
        }
        let new = self.anew(&old, by);
        let new_id = new.id;
        let (commit, changes) = self.reopen(new)?;
        self.0.tasks.settle(commit, changes).await?;
        // It may be taken up, even over, by now.
        let open = self.0.board.get(new_id);
        match open {
            Some(intent) => Ok(intent),
            None => Ok(Arc::new(self.0.store.intent(new_id).await?.ok_or(Error::Unknown(new_id))?)),
        }
    }

    fn reopen(&self, new: Intent) -> Result<(Commit, Changes), Error> {
        let id = new.id;
        let mut batch = self.0.board.batch();
        match batch.reopen(new)? {
            opened if opened == id => Ok(batch.commit(vec![])),
            other => Err(Error::Another(other)),
        }
    }

    fn never(&self, old: &Intent) -> Option<String> {
        let playbooks = &old.plan.playbooks;
        match old.status {
            Status::Succeeded => Some("it succeeded".into()),
            Status::Shadowed => Some("its rule only records".into()),
            _ if playbooks.is_empty() => Some("its rule names no playbook, so nothing was tried".into()),
            _ if !playbooks.iter().any(|name| self.has_playbook(name)) => {
                Some(format!("none of its playbooks is there any more: {}", playbooks.join(", ")))
            }
            _ => None,
        }
    }

    fn anew(&self, old: &Intent, by: &str) -> Intent {
        let (now, era) = self.0.clock.stamp();
        let id = IntentId::new(now, self.0.parts.chance.identity());
        let guard = Guard { hold_down: None, cooldown: None, ..old.plan.guard.clone() };
        let plan = Arc::new(Plan { guard, ..old.plan.as_ref().clone() });
        Intent {
            goal: old.goal.clone(),
            priority: old.priority,
            domain: old.domain.clone(),
            fleet: old.fleet.clone(),
            class: old.class.clone(),
            events: old.events.clone(),
            reason: Some(format!("tried again by {by}")),
            retry_of: Some(old.id),
            era,
            ..Intent::new(id, &old.rule, &old.group, &old.target, old.event.clone(), plan, now)
        }
    }
}
