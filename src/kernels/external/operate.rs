//! What is done to a kernel outside, and the wait until it has come out.

use std::time::Duration;

use serde_json::{Map, json};
use tokio::time::{Instant, sleep};

use super::note::Note;
use super::track::{Look, Track};
use super::{Inner, LOOK};
use crate::kernels::view::State;
use crate::model::Failure;

/// How often it is looked at while somebody waits: the error of a measured boot, and what a provider can bear.
const POLL: Duration = Duration::from_millis(100);

/// Over and above its grace, what a stop may take until the provider shows it.
const STOP_MARGIN: Duration = Duration::from_secs(10);

impl Inner {
    /// Takes it as it is; waits for one that is booting.
    pub(super) async fn adopt(&self) -> Result<(), Failure> {
        let mut track = self.track.lock().await;
        self.see(&mut track).await;
        match track.state {
            State::Booting => self.settle(&mut track).await,
            // Told as an event already, and nobody's fault here.
            _ => Ok(()),
        }
    }

    /// Boots it in any case.
    pub(super) async fn boot_anew(&self) -> Result<(), Failure> {
        let mut track = self.track.lock().await;
        let look = self.look(track.begun).await;
        let runs = look.sight.as_ref().is_ok_and(|s| !matches!(s.state, State::Stopped | State::Exited));
        if runs && look.problem().is_none() {
            return self.do_restart(&mut track, &look, self.spec.stop_grace.0, "").await;
        }
        self.do_start(&mut track, "").await
    }

    pub(super) async fn start(&self, key: &str) -> Result<(), Failure> {
        let mut track = self.track.lock().await;
        let look = self.see(&mut track).await;
        let sight = look.sight.as_ref().map_err(|failure| self.about(failure))?;
        match track.state {
            State::Healthy => Ok(()),
            State::Booting => self.settle(&mut track).await,
            // It runs, and starting what runs changes nothing.
            State::Unhealthy if !sight.vague && !matches!(sight.state, State::Stopped | State::Exited) => {
                self.settle(&mut track).await
            }
            _ => self.do_start(&mut track, key).await,
        }
    }

    pub(super) async fn stop(&self, grace: Duration, key: &str) -> Result<(), Failure> {
        let mut track = self.track.lock().await;
        let vague = self.look(track.begun).await.sight.map_err(|failure| self.about(&failure))?.vague;
        track.ask_to_end();
        self.outside.stop(grace, key).await.map_err(|failure| self.about(&failure))?;
        let deadline = Instant::now() + grace + STOP_MARGIN;
        loop {
            let look = self.look(track.begun).await;
            let gone = look.sight.as_ref().is_ok_and(|s| matches!(s.state, State::Stopped | State::Exited));
            if gone || (vague && look.problem().is_some()) {
                let sight = look.sight.ok();
                let words = sight.as_ref().filter(|_| gone).and_then(|sight| sight.problem.clone());
                let tale = track.end(&words.unwrap_or_else(|| "was stopped".into()));
                self.show(&track, sight.as_ref());
                tale.into_iter().for_each(|tale| self.tell(tale));
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = format!("kernel `{}` was told to stop and still runs", self.spec.name);
                return Err(Failure::retryable("failed", message));
            }
            self.pause().await?;
        }
    }

    pub(super) async fn restart(&self, grace: Duration, key: &str) -> Result<(), Failure> {
        let mut track = self.track.lock().await;
        let look = self.look(track.begun).await;
        self.do_restart(&mut track, &look, grace, key).await
    }

    async fn do_start(&self, track: &mut Track, key: &str) -> Result<(), Failure> {
        let begun = Instant::now();
        self.outside.start(key).await.map_err(|failure| self.about(&failure))?;
        self.begin(track, begun, None);
        self.settle(track).await
    }

    async fn do_restart(
        &self,
        track: &mut Track,
        look: &Look,
        grace: Duration,
        key: &str,
    ) -> Result<(), Failure> {
        let sight = look.sight.as_ref().map_err(|failure| self.about(failure))?;
        let before = sight.instance.clone();
        let begun = Instant::now();
        if self.was_restarted(key, before.as_deref())? {
            tracing::info!(
                kernel = self.spec.name,
                "a restart that was cut off had been done; it is not done again"
            );
            self.begin(track, begun, None);
            return self.settle(track).await;
        }
        if !key.is_empty() {
            let note = Note { key: key.into(), before: before.clone() };
            note.write(&self.context.logs_dir, &self.spec.name).map_err(|error| {
                let dir = self.context.logs_dir.display();
                Failure::new(
                    "failed",
                    format!("cannot note the restart in {dir}, so it was not begun: {error}"),
                )
            })?;
        }
        let done = match self.outside.restart(grace, key).await {
            Ok(()) => {
                self.begin(track, begun, before);
                self.settle(track).await
            }
            Err(failure) => {
                self.see(track).await;
                Err(self.about(&failure))
            }
        };
        if done.is_err() {
            // How it came out is known, and another try comes with the same key.
            Note::clear(&self.context.logs_dir, &self.spec.name);
        }
        done
    }

    /// Whether a restart with this key has been done by an engine that did not live to say so.
    fn was_restarted(&self, key: &str, now: Option<&str>) -> Result<bool, Failure> {
        let note = Note::read(&self.context.logs_dir, &self.spec.name).filter(|note| note.key == key);
        match note.filter(|_| !key.is_empty()) {
            None => Ok(false),
            Some(Note { before: Some(before), .. }) if now.is_some() => Ok(now != Some(&before)),
            Some(_) if self.outside.keeps_keys() => Ok(false),
            Some(_) => Err(Failure::new(
                "interrupted",
                format!(
                    "kernel `{}` was being restarted when the engine died, and nothing tells whether it was: look at it, \
                     or let `http.instance` or `http.idempotent` in its configuration tell",
                    self.spec.name
                ),
            )),
        }
    }

    pub(super) async fn scale(&self, n: u32, key: &str) -> Result<(), Failure> {
        let mut track = self.track.lock().await;
        let look = self.see(&mut track).await;
        let from = match &look.sight {
            Ok(sight) => sight.replicas.map_or(self.shown().replicas.0, |(wished, _)| wished),
            Err(failure) => return Err(self.about(failure)),
        };
        self.outside.scale(n, key).await.map_err(|failure| self.about(&failure))?;
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).replicas.0 = n;
        let deadline = Instant::now() + self.spec.start_timeout.0;
        let done = loop {
            let look = self.see(&mut track).await;
            let there = match look.sight.as_ref().ok().and_then(|sight| sight.replicas) {
                Some((wished, ready)) => wished == n && ready >= n,
                None => true,
            };
            if there && look.problem().is_none() {
                break Ok(());
            }
            if Instant::now() >= deadline {
                let problem = look.problem().unwrap_or_else(|| "not all of them are ready".into());
                let message = format!(
                    "kernel `{}` has not come to {n} replicas within {}: {problem}",
                    self.spec.name, self.spec.start_timeout
                );
                break Err(Failure::retryable("failed", message));
            }
            self.pause().await?;
        };
        let mut data = Map::new();
        data.insert("from".into(), json!(from));
        data.insert("to".into(), json!(n));
        data.insert("state".into(), json!(track.state));
        data.insert("provider".into(), json!(self.spec.provider));
        self.context.publish(&self.spec, "scaled", data);
        done
    }

    fn begin(&self, track: &mut Track, begun: Instant, before: Option<String>) {
        let tale = track.begin(begun, before);
        self.show(track, None);
        self.tell(tale);
    }

    /// Waits until it is healthy, or will not be.
    async fn settle(&self, track: &mut Track) -> Result<(), Failure> {
        // It gives up a boot by itself; this is for one that cannot even be looked at.
        let deadline = Instant::now() + self.spec.start_timeout.0 + LOOK;
        loop {
            let look = self.see(track).await;
            let problem = match track.state {
                State::Healthy => return Ok(()),
                State::Booting if Instant::now() < deadline => None,
                State::Unhealthy if look.problem().is_none() => None,
                _ => track.error.clone().or_else(|| look.problem()).or_else(|| Some("is not healthy".into())),
            };
            if let Some(problem) = problem {
                let found = look.problem().filter(|found| *found != problem && found != "is still booting");
                let found = found.map(|found| format!(" ({found})")).unwrap_or_default();
                let message = format!("kernel `{}` did not boot: it {problem}{found}", self.spec.name);
                return Err(Failure::retryable("failed", message));
            }
            self.pause().await?;
        }
    }

    async fn pause(&self) -> Result<(), Failure> {
        tokio::select! {
            () = sleep(POLL) => Ok(()),
            () = self.context.closing.cancelled() => Err(Failure::new("cancelled", "the engine is shutting down")),
        }
    }

    /// What the provider says, with the kernel's name.
    fn about(&self, failure: &Failure) -> Failure {
        Failure { message: format!("kernel `{}`: {}", self.spec.name, failure.message), ..failure.clone() }
    }
}
