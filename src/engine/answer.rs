//! A person's answer to what a playbook asks.

use super::{DeliverError, Engine};
use crate::model::{IntentId, Status};
use crate::tasks::ask;

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No open intent has this id.
    #[error("no open intent has the id {0}")]
    Unknown(IntentId),
    /// Nothing is asked, or not that.
    #[error(transparent)]
    Refused(#[from] ask::Refused),
    /// The journal could not be read.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// It could not be kept.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
}

impl Engine {
    /// A person answers what the playbook that runs for intent `id` asks; the first answer counts. `question` is the one
    /// that is meant (`RUN/STEP`), so that a late answer does not count for the next one.
    ///
    /// # Errors
    /// When nothing is asked, the answer is none of the choices, or it could not be kept.
    pub async fn answer_question(
        &self,
        id: IntentId,
        question: Option<&str>,
        answer: &str,
        by: &str,
    ) -> Result<(), Error> {
        let intent = self.0.board.get(id).ok_or(Error::Unknown(id))?;
        if intent.status == Status::AwaitingApproval {
            return Err(ask::Refused::Approval(id).into());
        }
        let run = intent.attempts.last().map(|attempt| attempt.run).ok_or(ask::Refused::NotAsked)?;
        let steps = self.0.store.steps(run).await?;
        let event = ask::answer(&intent, &steps, question, answer, by, self.0.clock.now())?;
        self.deliver(vec![event]).await?;
        Ok(())
    }

    /// What the playbook that runs for intent `id` asks a person just now, if it asks.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn question(&self, id: IntentId) -> Result<Option<ask::Asked>, crate::store::Error> {
        let Some(intent) = self.0.board.get(id) else { return Ok(None) };
        let at_work = matches!(intent.status, Status::Running | Status::Verifying);
        let Some(attempt) = intent.attempts.last().filter(|_| at_work) else { return Ok(None) };
        let Some((run, steps)) = self.0.store.run_and_steps(attempt.run).await? else { return Ok(None) };
        let asked = ask::asked(&steps).filter(|_| run.status.is_open());
        Ok(asked.map(|asked| ask::Asked { until: asked.until.min(run.deadline), ..asked }))
    }
}
