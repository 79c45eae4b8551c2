//! What people do in a test: each waits until there is something to say, and says it once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::case::{Case, Does, Person};
use crate::engine::Engine;
use crate::model::{Intent, Status};

/// Who is named where a person acts.
const BY: &str = "test";

/// Those who have not acted yet, in order.
pub(super) struct People(VecDeque<Person>);

impl People {
    pub(super) fn new(case: &Case) -> Self {
        Self(case.people.iter().cloned().collect())
    }

    /// When the next of them may act, if that is still to come.
    pub(super) fn next_at(&self, passed: Duration) -> Option<Duration> {
        self.0.front().map(|person| person.at.0).filter(|at| *at > passed)
    }

    /// Those who had nothing to do, in words.
    pub(super) fn left(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|person| {
            let does = match &person.does {
                Does::Approve => "approve".to_owned(),
                Does::Deny => "deny".to_owned(),
                Does::Cancel => "cancel".to_owned(),
                Does::Answer(text) => format!("answer `{text}`"),
            };
            format!("{does}, at {} or later", person.at)
        })
    }

    /// Lets the next ones act, as far as their time has come and there is something for them to do; whether one did.
    pub(super) async fn act(&mut self, engine: &Engine, passed: Duration) -> bool {
        let mut acted = false;
        while let Some(person) = self.0.front().filter(|person| person.at.0 <= passed) {
            if !done(engine, person).await {
                break;
            }
            self.0.pop_front();
            acted = true;
        }
        acted
    }
}

async fn done(engine: &Engine, person: &Person) -> bool {
    let meant = |intent: &Arc<Intent>| {
        person.rule.as_ref().is_none_or(|rule| intent.rule == *rule)
            && person.target.as_ref().is_none_or(|target| intent.target == *target)
    };
    for intent in engine.0.board.open().into_iter().filter(meant) {
        let waits = intent.status == Status::AwaitingApproval;
        let done = match &person.does {
            Does::Approve => waits && engine.approve(intent.id, BY).await.is_ok(),
            Does::Deny => waits && engine.deny(intent.id, BY).await.is_ok(),
            Does::Cancel => engine.cancel(intent.id, BY).await.is_ok(),
            Does::Answer(text) => {
                intent.status == Status::Running
                    && engine.answer_question(intent.id, None, text, BY).await.is_ok()
            }
        };
        if done {
            return true;
        }
    }
    false
}
