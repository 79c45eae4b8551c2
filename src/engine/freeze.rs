//! The kill switch as people use it: thrown and lifted through the engine or by its file, told to everybody, and made
//! felt by what waits.

use std::time::Duration;

use serde_json::json;

use super::Engine;
use crate::actions::Alerts;
use crate::freeze::{Freeze, Scope, Unwritten};
use crate::model::alert::Level;
use crate::model::{Event, Span, Time, Topic};

/// How often the file is looked at when nothing happens; before each effect it is looked at anyhow.
const POLL: Duration = Duration::from_millis(250);

impl Engine {
    /// All that is frozen.
    pub fn frozen(&self) -> Vec<Freeze> {
        self.0.parts.freeze.list()
    }

    /// Freezes `scope` in the name of `by`, `span` long or until it is thawed. Once it returns, no effect begins that this
    /// holds.
    ///
    /// # Errors
    /// When it could not be kept; it is frozen all the same, as long as this engine lives.
    pub async fn freeze(
        &self,
        scope: Scope,
        reason: String,
        by: String,
        span: Option<Span>,
    ) -> Result<Freeze, Unwritten> {
        let since = self.0.clock.now();
        let until = span.map(|span| since.checked_add_signed(span.delta()).unwrap_or(Time::MAX_UTC));
        let freeze = Freeze { scope, reason, by, since, until };
        let kept = self.0.parts.freeze.freeze(freeze.clone());
        self.0.parts.gate.clear(None).await;
        kept.map(|()| freeze)
    }

    /// Thaws `scope`; false if it was not frozen.
    ///
    /// # Errors
    /// When that could not be kept; then it stays frozen.
    pub fn thaw(&self, scope: &Scope) -> Result<bool, Unwritten> {
        self.0.parts.freeze.thaw(scope)
    }

    /// Sees what is frozen and thawed, by whomever, until the engine stops.
    pub(super) async fn watch_freeze(self) {
        let mut changed = self.0.parts.freeze.subscribe();
        let mut known: Vec<Freeze> = Vec::new();
        self.forget_thawed().await;
        loop {
            let now = self.frozen();
            if now != known {
                self.0.metrics.frozen.set(now.len() as i64);
                self.tell_frozen(&known, &now).await;
                self.0.tasks.thawed();
                known = now;
            }
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                _ = changed.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn tell_frozen(&self, before: &[Freeze], now: &[Freeze]) {
        for thawed in before.iter().filter(|old| !now.iter().any(|it| it.scope == old.scope)) {
            tracing::warn!("thawed: {}", thawed.scope);
            self.publish_freeze("brain.thawed", thawed);
            if let Err(failure) = self.0.alerts.resolve(key(&thawed.scope)).await {
                tracing::error!("{} is thawed, and its alert stays open: {failure}", thawed.scope);
            }
        }
        for frozen in now.iter().filter(|it| !before.contains(it)) {
            tracing::warn!("{frozen}");
            self.publish_freeze("brain.frozen", frozen);
            let message = format!("{frozen}. Nothing is repaired there until it is thawed: `paramedic thaw`");
            let title = format!("Frozen: {}", frozen.scope);
            let raised = self.0.alerts.raise(key(&frozen.scope), Level::Warning, title, message, None, None);
            if let Err(failure) = raised.await {
                tracing::error!("{frozen}, and the alert could not be recorded: {failure}");
            }
        }
    }

    /// Ends the alerts of an earlier life about what has been thawed since.
    async fn forget_thawed(&self) {
        let frozen: Vec<String> = self.frozen().iter().map(|it| key(&it.scope)).collect();
        let open: Vec<String> =
            self.0.alerts.list().read(|book| book.active().into_iter().map(|it| it.key.clone()).collect());
        for key in open.into_iter().filter(|key| key.starts_with("freeze/") && !frozen.contains(key)) {
            if let Err(failure) = self.0.alerts.resolve(key.clone()).await {
                tracing::warn!("the alert {key} stays open although it is over: {failure}");
            }
        }
    }

    fn publish_freeze(&self, topic: &'static str, freeze: &Freeze) {
        let Ok(topic) = Topic::try_new(topic) else { return };
        let now = self.0.clock.now();
        let id = format!("{topic}/{}", now.timestamp_micros());
        self.publish(Event::new(id, topic, "engine", now, json!(freeze)));
    }
}

fn key(scope: &Scope) -> String {
    format!("freeze/{scope}")
}
