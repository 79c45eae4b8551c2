//! What operators and playbooks wished of kernels for longer than the engine lives: that one is stopped, or how many
//! replicas it has. Who wished it and when is kept beside it and shown.
//!
//! It is about the engine's own processes only: what lives outside stays as it is when the engine ends. Start with
//! [`Wishes`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::store::{self, Store, Write};

/// What was wished of a kernel last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Whether it is to stay down until it is started.
    #[serde(default)]
    pub stopped: bool,
    /// How many replicas it is to have; the least that its configuration allows if nobody has wished for a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Who wished it: an operator, or the run of a playbook.
    pub by: String,
    /// When.
    pub at: Time,
}

/// What is wished of each kernel, as the store has it.
pub(super) struct Wishes {
    store: Arc<dyn Store>,
    by_kernel: Mutex<BTreeMap<String, Wish>>,
}

/// Name under which the store keeps them.
const KEY: &str = "kernels";

/// Longest name of whoever wishes something that is kept.
const NAME: usize = 200;

impl Wishes {
    /// Reads those of the kernels `known`; others are forgotten with the next wish.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn read(
        store: Arc<dyn Store>,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, store::Error> {
        let text = store.meta(KEY.into()).await?.unwrap_or_else(|| "{}".into());
        let mut by_kernel: BTreeMap<String, Wish> = serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::error!(
                "failed to read which kernels were stopped or scaled by hand: {error}; all of them start as configured"
            );
            BTreeMap::new()
        });
        by_kernel.retain(|name, _| known(name));
        Ok(Self { store, by_kernel: Mutex::new(by_kernel) })
    }

    /// What is wished of `kernel`, if anything but its configuration.
    pub(super) fn of(&self, kernel: &str) -> Option<Wish> {
        self.lock().get(kernel).cloned()
    }

    /// Changes it; durable when this comes back.
    ///
    /// # Errors
    /// When the store does not take it. It holds for the life of this engine even so.
    pub(super) async fn change(
        &self,
        kernel: &str,
        by: &str,
        at: Time,
        change: impl FnOnce(&mut Wish),
    ) -> Result<(), store::Error> {
        let commit = {
            let mut all = self.lock();
            let before = all.get(kernel).cloned();
            let mut wish =
                before.clone().unwrap_or(Wish { stopped: false, replicas: None, by: String::new(), at });
            change(&mut wish);
            let is_same =
                before.as_ref().is_some_and(|it| (it.stopped, it.replicas) == (wish.stopped, wish.replicas));
            let is_nothing = !wish.stopped && wish.replicas.is_none();
            if is_same || is_nothing && before.is_none() {
                return Ok(());
            }
            if is_nothing {
                all.remove(kernel);
            } else {
                wish.by = by.chars().filter(|c| !c.is_control()).take(NAME).collect();
                wish.at = at;
                all.insert(kernel.into(), wish);
            }
            let value = serde_json::to_string(&*all).unwrap_or_default();
            // Within the lock, so that what is kept last is what was wished last.
            self.store.commit(vec![Write::Meta { key: KEY.into(), value }])
        };
        commit.await.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Wish>> {
        self.by_kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
