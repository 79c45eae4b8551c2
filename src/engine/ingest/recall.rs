//! Memory made what the disk says: at the start, and after a commit that failed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::saving::{self, Saved};
use super::{Committed, Ingest, Mind, UnderWay};
use crate::engine::decisions::{self, Era};
use crate::engine::set_aside;
use crate::intents::board::Changes;
use crate::model::{Event, Time};
use crate::rules::{RuleSet, Scratch, Windows, is_timer};
use crate::store::{Error, Write};

impl Ingest {
    /// Reads back the intents that were open when the engine stopped, and of those that ended what guards ask for. Only
    /// at the start: afterwards they are being worked on, and what a batch did to them is taken back one by one.
    pub(super) async fn recall(&self, rules: &RuleSet) {
        while let Err(error) = self.board.recall(rules).await {
            set_aside::after(&*self.store, &error).await;
        }
    }

    /// Makes the known events and the patterns what the disk says.
    pub(super) async fn recover(&self, mind: &mut Mind) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        loop {
            self.failed.store(0, Ordering::SeqCst);
            match self.reload(mind).await {
                Ok(()) => return,
                Err(error) => set_aside::after(&*self.store, &error).await,
            }
        }
    }

    async fn reload(&self, mind: &mut Mind) -> Result<(), Error> {
        mind.seen.clear();
        for key in self.store.recent_keys(self.window).await? {
            mind.seen.insert(key);
        }
        self.board.doubt();
        if let Err(error) = self.board.heal().await {
            tracing::error!("failed to read back what a batch of events changed: {error}");
        }
        let saved = self.store.meta(saving::KEY.into()).await?;
        let again = match Again::new(saved.as_deref(), mind) {
            Ok(again) => again,
            Err(error) => {
                self.store.set_meta_aside(saving::KEY.into(), error.to_string()).await?;
                Again::fresh(mind)
            }
        };
        let after = again.position;
        let again = Arc::new(Mutex::new(again));
        let reader = again.clone();
        let each = move |_, event| lock(&reader).take(event);
        mind.position = self.store.replay_log(after, Box::new(each)).await?;
        let mut again = lock(&again);
        mind.epoch += 1;
        mind.arrived = mind.arrived.max(again.arrived);
        *self.windows() = std::mem::take(&mut again.windows);
        Ok(())
    }

    /// Follows the rules as they are now from here on, and says so on disk.
    /// At the start that writes the rules down too; a reload has done so itself.
    pub(super) async fn adopt(
        &self,
        mind: &mut Mind,
        first: bool,
    ) -> Result<(), mpsc::error::SendError<Committed>> {
        if !first {
            self.board.look_back(&mind.rules).await;
        }
        mind.arrived = mind.arrived.max(self.clock.now());
        let mut writes = self.era(mind, first).await;
        {
            let mut windows = self.windows();
            windows.adopt(&mind.rules, mind.arrived);
            writes.extend(mind.saving.now(&windows, mind.position, mind.arrived));
        }
        let commit = self.store.commit(writes);
        let committed = Committed {
            under_way: UnderWay::count(&self.under_way),
            commit,
            events: vec![],
            first: mind.position + 1,
            epoch: mind.epoch,
            unattended: vec![],
            changes: Changes::default(),
            replies: vec![],
            fired: 0,
        };
        self.hand_on(committed).await
    }

    /// That other rules decide from the next event on, if they are others.
    async fn era(&self, mind: &Mind, first: bool) -> Vec<Write> {
        let hash = mind.rules.hash().to_owned();
        let mut eras = match decisions::eras(&*self.store).await {
            Ok(eras) => eras,
            Err(error) => {
                tracing::error!("failed to read which rules decided when: {error}");
                return vec![];
            }
        };
        if eras.last().is_some_and(|era| era.rules == hash) {
            return vec![];
        }
        eras.push(Era { after: mind.position, rules: hash.clone(), since: mind.arrived });
        let pin = first.then(|| Write::Source { hash, text: mind.rules.pin() });
        pin.into_iter().chain([decisions::keep(eras)]).collect()
    }
}

/// The patterns on the way to where they were, event by event.
struct Again {
    rules: Arc<RuleSet>,
    windows: Windows,
    scratch: Scratch,
    position: u64,
    arrived: Time,
}

impl Again {
    /// Of the state that was saved last.
    ///
    /// # Errors
    /// When it does not read; then the whole log has to be.
    fn new(saved: Option<&str>, mind: &Mind) -> Result<Self, serde_json::Error> {
        let fresh = Self::fresh(mind);
        let Some(saved) = saved else { return Ok(fresh) };
        let Saved { windows, position, arrived } = serde_json::from_str(saved)?;
        Ok(Self { windows: Windows::restore(windows.get())?, position, arrived, ..fresh })
    }

    fn fresh(mind: &Mind) -> Self {
        Self {
            rules: mind.rules.clone(),
            windows: Windows::default(),
            scratch: Scratch::default(),
            position: 0,
            arrived: Time::MIN_UTC,
        }
    }

    /// What it led to is in the store already; only the state of the patterns is wanted.
    fn take(&mut self, event: Event) {
        self.arrived = self.arrived.max(event.arrival());
        self.windows.advance(&self.rules, self.arrived, &mut Vec::new());
        if is_timer(&event) {
            return;
        }
        let event = Arc::new(event);
        let hits = self.rules.hits(&event, &mut self.scratch);
        self.windows.apply(&self.rules, &event, &hits, &mut Vec::new(), &mut Vec::new());
    }
}

fn lock(again: &Mutex<Again>) -> std::sync::MutexGuard<'_, Again> {
    again.lock().unwrap_or_else(PoisonError::into_inner)
}
