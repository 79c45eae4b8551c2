//! From a file to a version that is called: at the start, and whenever the file is replaced.
//!
//! A version is loaded and checked as a whole before it takes the place of the one before it; if anything is wrong with
//! it, that one stays. Calls that are under way hold their version until they end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::action::PluginAction;
use super::image::{self, Image};
use super::manifest::{self, Said};
use super::runner::{Runner, Told};
use super::slot::{AGAIN, Slot, Version};
use super::{Plugins, actions};
use crate::model::alert::Level;

/// The longest wait between two tries to load what never loaded.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Plugins {
    /// The first look at a file, with what is remembered of the plugin if it does not load.
    pub(super) async fn first(&self, slot: &Arc<Slot>) {
        self.look(slot).await;
        if slot.loaded().is_none() {
            self.recall(slot);
        }
    }

    /// Puts in the actions that the plugin had when it last loaded: calls of them say why it does not now.
    pub(super) fn recall(&self, slot: &Arc<Slot>) {
        if let Ok(text) = std::fs::read_to_string(self.memory_of(slot))
            && let Ok(said) = manifest::read(&text, slot.spec.timeout)
        {
            // A name that is taken by now is not given a second time.
            drop(self.register(slot, &said));
        }
    }

    /// Looks whether the file has changed and has come to rest; lets go of idle processes. True if there are other
    /// actions than before.
    pub(super) async fn tend(&self, slot: &Arc<Slot>) -> bool {
        let wanted = slot.wanted().clone();
        let stamp = image::stamp(wanted.as_ref().map_or(&slot.spec.path, |spec| &spec.path));
        let due = {
            let mut look = slot.look();
            let rests = look.seen == stamp;
            look.seen = stamp;
            let retry = look.again.is_some_and(|(at, _)| Instant::now() >= at);
            rests && (stamp != look.read && stamp.is_some() || retry)
        };
        if let Some(version) = slot.loaded() {
            version.runner.trim();
        }
        match wanted {
            Some(spec) if due => self.adopt(slot, spec).await.unwrap_or(false),
            _ => due && self.look(slot).await,
        }
    }

    /// Reads the file and swaps in what it holds, if it is another and good. True if there are other actions than before.
    pub(super) async fn look(&self, slot: &Arc<Slot>) -> bool {
        let _turn = slot.turn.lock().await;
        match self.version(slot).await {
            Ok(None) => {
                let refused = {
                    let mut look = slot.look();
                    look.again = None;
                    look.refused.take()
                };
                if refused.is_some() {
                    self.resolve(format!("plugin/{}/refused", slot.spec.name));
                }
                false
            }
            Ok(Some(version)) => match self.register(slot, &version.said) {
                Ok(other) => {
                    self.remember(slot, &version.said);
                    self.swap(slot, version);
                    other
                }
                Err(why) => self.refuse(slot, why).await,
            },
            Err(why) => self.refuse(slot, why).await,
        }
    }

    /// What the file holds, loaded; none if that is loaded already.
    pub(super) async fn version(&self, slot: &Arc<Slot>) -> Result<Option<Version>, String> {
        let spec = slot.spec.clone();
        let path = spec.path.clone();
        let taken = tokio::task::spawn_blocking(move || Image::take(&path)).await;
        let image = taken.map_err(|_| "reading it ended badly".to_string())??;
        slot.look().read = image.stamp;
        if slot.loaded().is_some_and(|version| version.sha256 == image.sha256) {
            return Ok(None);
        }
        image.fits(spec.sha256.as_deref())?;
        let (sha256, size) = (image.sha256.clone(), image.size);
        let (most, spawner) = (spec.timeout, self.0.parts.spawner.clone());
        let tell = (self.told(slot), self.0.parts.problems.clone());
        let (runner, text) = Runner::load(spec, image, spawner, slot.health.clone(), tell).await?;
        let said = manifest::read(&text, most)?;
        Ok(Some(Version { runner, said, sha256, size, loaded_at: self.0.parts.clock.now() }))
    }

    /// Puts the actions into the registry in place of those of the version before.
    pub(super) fn register(&self, slot: &Arc<Slot>, said: &Said) -> Result<bool, String> {
        let mut look = slot.look();
        let new: Vec<Arc<dyn actions::Action>> = said
            .actions
            .iter()
            .map(|known| Arc::new(PluginAction::new(known.clone(), slot.clone())) as Arc<dyn actions::Action>)
            .collect();
        let mut names: Vec<String> = said.actions.iter().map(|known| known.spec.name.clone()).collect();
        names.sort();
        self.0.parts.actions.replace(&look.names, new).map_err(|taken| {
            let by = if actions::BUILTIN.contains(&taken.as_str()) {
                "is built in"
            } else {
                "is another plugin's"
            };
            format!("its action `{taken}` {by}: give it another name")
        })?;
        let other = look.names != names;
        look.names = names;
        Ok(other)
    }

    fn swap(&self, slot: &Slot, version: Version) {
        let (name, sha256) = (&slot.spec.name, version.sha256.clone());
        let actions = version.said.actions.len();
        slot.health.forgive();
        let before = slot.put(Some(Arc::new(version)));
        self.over(name);
        let mut look = slot.look();
        look.refused = None;
        look.again = None;
        match before {
            None => tracing::info!(plugin = name, actions, sha256, "plugin loaded"),
            Some(before) => {
                look.swaps += 1;
                tracing::info!(
                    plugin = name,
                    actions,
                    sha256,
                    "plugin replaced; calls under way finish on the old one"
                );
                tokio::spawn(async move { before.runner.retire().await });
            }
        }
    }

    /// Keeps what is loaded, says why, and gives false.
    pub(super) async fn refuse(&self, slot: &Slot, why: String) -> bool {
        let name = &slot.spec.name;
        let loaded = slot.loaded().is_some();
        let new = {
            let mut look = slot.look();
            let new = look.refused.as_ref() != Some(&why);
            look.refused = Some(why.clone());
            // One that goes on with what it had waits for a change; one that has nothing may need something else.
            let wait = look.again.map_or(AGAIN, |(_, wait)| (wait * 2).min(LONGEST_WAIT));
            look.again = (!loaded).then(|| (Instant::now() + wait, wait));
            new
        };
        if !new {
            return false;
        }
        let goes_on =
            if loaded { "the version that is loaded goes on" } else { "its actions fail until it is" };
        tracing::error!(plugin = name, "not loaded: {why}; {goes_on}");
        let title = format!("Plugin {name} is not loaded");
        let alerts = self.0.parts.alerts.clone();
        let key = format!("plugin/{name}/refused");
        // The list of alerts may not take any yet, as the engine starts.
        let message = format!("{why}; {goes_on}");
        tokio::spawn(async move {
            alerts.raise(key, Level::Warning, title, message, None, None).await.ok();
        });
        false
    }

    fn told(&self, slot: &Slot) -> Told {
        let (alerts, name) = (self.0.parts.alerts.clone(), slot.spec.name.clone());
        let plugins = self.clone();
        Box::new(move |why| {
            let key = format!("plugin/{name}/quarantined");
            let Some(why) = why else { return plugins.resolve(key) };
            tracing::error!(plugin = name, "quarantined after crashes in a row, the last because {why}");
            let title = format!("Plugin {name} is quarantined");
            let message = format!("It crashed several times in a row, the last time because {why}.");
            let raised = alerts.raise(key, Level::Warning, title, message, None, None);
            tokio::spawn(async move {
                raised.await.ok();
            });
        })
    }

    /// The plugin works: alerts that say otherwise are over.
    pub(super) fn over(&self, name: &str) {
        for what in ["refused", "quarantined"] {
            self.resolve(format!("plugin/{name}/{what}"));
        }
    }

    /// The alert of this key is over.
    pub(super) fn resolve(&self, key: String) {
        let resolved = self.0.parts.alerts.resolve(key);
        tokio::spawn(async move {
            if let Err(failure) = resolved.await {
                tracing::warn!("an alert about a plugin stays open although it is over: {failure}");
            }
        });
    }

    fn memory_of(&self, slot: &Slot) -> std::path::PathBuf {
        self.0.parts.memory.join(format!("{}.json", slot.spec.name))
    }

    /// Losing this costs only a start with a plugin that does not load.
    pub(super) fn remember(&self, slot: &Slot, said: &Said) {
        let path = self.memory_of(slot);
        let new = path.with_extension("new");
        let kept = std::fs::create_dir_all(&self.0.parts.memory)
            .and_then(|()| std::fs::write(&new, &said.text))
            .and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = kept {
            tracing::warn!("failed to write {}: {error}", path.display());
        }
    }
}
