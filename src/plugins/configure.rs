//! Other specifications while the engine runs: plugins that are added, taken out, or configured differently.
//!
//! A plugin whose new specification does not work goes on with the one it has. The new one is tried again when the file
//! that it names changes, as people write a pin first and put the library there second, or the other way round.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::slot::Slot;
use super::spec::Spec;
use super::{Plugins, image};

/// What became of new specifications.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Changes {
    /// Plugins that are new.
    pub added: Vec<String>,
    /// Plugins that are gone, with their actions.
    pub removed: Vec<String>,
    /// Plugins that are configured differently from now on.
    pub changed: Vec<String>,
    /// Plugins that could not be loaded as they are configured now.
    pub kept: Vec<Kept>,
    /// Whether there are other actions than before.
    #[serde(skip)]
    pub actions: bool,
}

/// A plugin that could not be loaded as it is configured now.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Which.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Plugins {
    /// Takes `specs`, which were checked, for those that there are. Calls under way finish on what they began with.
    pub async fn configure(&self, specs: Vec<Spec>) -> Changes {
        let _turn = self.0.configuring.lock().await;
        let mut changes = Changes::default();
        for slot in self.slots() {
            if !specs.iter().any(|spec| spec.name == slot.spec.name) {
                changes.actions |= self.take_out(&slot);
                changes.removed.push(slot.spec.name.clone());
            }
        }
        for spec in specs {
            let name = spec.name.clone();
            match self.slot(&name) {
                Some(slot) if *slot.spec == spec => *slot.wanted() = None,
                Some(slot) => match self.adopt(&slot, spec).await {
                    Ok(other) => {
                        changes.actions |= other;
                        changes.changed.push(name);
                    }
                    Err(why) => changes.kept.push(Kept { name, why }),
                },
                None => {
                    let slot = Arc::new(Slot::new(spec));
                    self.first(&slot).await;
                    changes.actions |= !slot.look().names.is_empty();
                    let refused = slot.look().refused.clone();
                    changes.kept.extend(refused.map(|why| Kept { name: name.clone(), why }));
                    self.with_slots(|slots| slots.push(slot));
                    changes.added.push(name);
                }
            }
        }
        self.0.others.notify_one();
        changes
    }

    /// Puts a plugin of another specification in the place of `old`; true if it has other actions.
    pub(super) async fn adopt(&self, old: &Arc<Slot>, spec: Spec) -> Result<bool, String> {
        let _turn = old.turn.lock().await;
        let stamp = image::stamp(&spec.path);
        let new = Arc::new(Slot::new(spec.clone()));
        {
            let (mut new, old) = (new.look(), old.look());
            // What is registered under the old one is what the new one takes the place of.
            new.names.clone_from(&old.names);
            new.swaps = old.swaps + 1;
        }
        let adopted = match self.version(&new).await {
            Ok(Some(version)) => {
                let said = version.said.clone();
                // Before its actions are there, so that no call finds it empty.
                new.put(Some(Arc::new(version)));
                self.register(&new, &said).inspect(|_| self.remember(&new, &said))
            }
            Ok(None) => Err("it could not be loaded".into()),
            Err(why) => Err(why),
        };
        match adopted {
            Ok(other) => {
                self.put_in_place(old, new);
                if let Some(before) = old.loaded() {
                    tokio::spawn(async move { before.runner.retire().await });
                }
                tracing::info!(plugin = spec.name, "plugin loaded as it is configured now");
                self.over(&spec.name);
                Ok(other)
            }
            Err(why) => {
                if let Some(version) = new.put(None) {
                    tokio::spawn(async move { version.runner.retire().await });
                }
                if old.loaded().is_some() {
                    old.look().read = stamp;
                    *old.wanted() = Some(spec);
                    self.refuse(old, why.clone()).await;
                } else {
                    // There is nothing to keep, so it is the new specification that is tried again.
                    self.recall(&new);
                    self.put_in_place(old, new.clone());
                    self.refuse(&new, why.clone()).await;
                }
                Err(why)
            }
        }
    }

    /// True if actions are gone with it.
    fn take_out(&self, slot: &Arc<Slot>) -> bool {
        slot.gone.store(true, Ordering::SeqCst);
        self.with_slots(|slots| slots.retain(|it| !Arc::ptr_eq(it, slot)));
        let names = std::mem::take(&mut slot.look().names);
        // Nothing is put in, so no name can be taken.
        self.0.parts.actions.replace(&names, Vec::new()).ok();
        if let Some(version) = slot.put(None) {
            tokio::spawn(async move { version.runner.retire().await });
        }
        tracing::info!(plugin = slot.spec.name, "plugin taken out, as the configuration names it no more");
        self.over(&slot.spec.name);
        !names.is_empty()
    }

    fn put_in_place(&self, old: &Arc<Slot>, new: Arc<Slot>) {
        old.gone.store(true, Ordering::SeqCst);
        self.with_slots(|slots| {
            for slot in slots.iter_mut().filter(|slot| Arc::ptr_eq(slot, old)) {
                *slot = new.clone();
            }
        });
        self.0.others.notify_one();
    }
}
