//! Memory made what the disk says: at the start, and after a commit that failed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::quarantine::Quarantine;
use super::saving::{self, Saved};
use super::{Committed, Ingest, Mind, UnderWay};
use crate::engine::decisions::{self, Era};
use crate::engine::set_aside;
use crate::intents::board::Changes;
use crate::journal::edge;
use crate::model::{Event, Time};
use crate::rules::{RuleSet, Scratch, Stepped, Windows, is_timer};
use crate::store::{Error, Write};

/// Events of the log that are marked together as being matched again.
const MARKED: usize = 512;

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
        mind.saving.forget().await;
        let saved = self.saved(mind).await?;
        let mut again = Again::new(saved, mind);
        again.quarantine = mind.quarantine.take();
        let after = again.position;
        let again = Arc::new(Mutex::new(again));
        let (reader, store) = (again.clone(), self.store.clone());
        let each = move |_, event: Event| {
            let key = store.event_key(&event.source, &event.id);
            lock(&reader).take(key, event);
        };
        let read = self.store.replay_log(after, Box::new(each)).await;
        let mut again = lock(&again);
        mind.epoch += 1;
        again.flush();
        mind.quarantine = again.quarantine.take();
        mind.position = read?;
        mind.logged = again.arrived;
        mind.arrived = self.clock.now();
        mind.patterns_were_saved = again.was_saved;
        *self.windows() = std::mem::take(&mut again.windows);
        Ok(())
    }

    /// The patterns as they were saved, with the number of the last event in them and the time of its arrival.
    async fn saved(&self, mind: &mut Mind) -> Result<Option<(Windows, u64, Time)>, Error> {
        let Some(text) = self.store.meta(saving::KEY.into()).await? else { return Ok(None) };
        match self.read_saved(mind, &text).await? {
            Ok(saved) => Ok(Some(saved)),
            // What does not read is kept aside and told; the whole log says the same.
            Err(why) => {
                self.store.set_meta_aside(saving::KEY.into(), why).await?;
                Ok(None)
            }
        }
    }

    async fn read_saved(
        &self,
        mind: &mut Mind,
        text: &str,
    ) -> Result<Result<(Windows, u64, Time), String>, Error> {
        let saved = match serde_json::from_str::<Saved>(text) {
            Ok(saved) => saved,
            Err(error) => return Ok(Err(error.to_string())),
        };
        mind.saving.found(&saved);
        let windows = match saved.pieces {
            None => Windows::restore(saved.windows.get()),
            Some(pieces) => match saving::read(&*self.store, pieces).await? {
                Some(text) => Windows::restore(&text),
                None => return Ok(Err("a piece of it is missing".into())),
            },
        };
        let restored = windows.map_err(|error| error.to_string());
        Ok(restored.map(|mut windows| {
            windows.set_era(saved.era);
            (windows, saved.position, saved.arrived)
        }))
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
        let windows = {
            let mut windows = self.windows();
            windows.adopt(&mind.rules, mind.arrived);
            windows.copy()
        };
        mind.handed += 1;
        let at = (mind.position, mind.arrived);
        writes.extend(mind.saving.now(&self.store, windows, at, mind.handed).await);
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
    quarantine: Quarantine,
    /// Read and not taken yet: they are marked together.
    keys: Vec<u64>,
    events: Vec<Event>,
    was_saved: bool,
}

impl Again {
    fn new(saved: Option<(Windows, u64, Time)>, mind: &Mind) -> Self {
        let was_saved = saved.is_some();
        let (windows, position, arrived) = saved.unwrap_or((Windows::default(), 0, Time::MIN_UTC));
        Self {
            rules: mind.rules.clone(),
            windows,
            scratch: Scratch::default(),
            position,
            arrived,
            was_saved,
            quarantine: Quarantine::default(),
            keys: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes an event, with others that come after it.
    fn take(&mut self, key: u64, event: Event) {
        self.keys.push(key);
        self.events.push(event);
        if self.events.len() >= MARKED {
            self.flush();
        }
    }

    /// What they led to is in the store already; only the state of the patterns is wanted.
    fn flush(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let (keys, events) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.events));
        let careful = self.quarantine.begin(&keys);
        for (event, key) in events.into_iter().zip(&keys) {
            if let Some(stepped) = Stepped::of(&event) {
                self.windows.step(&self.rules, stepped);
                self.arrived = stepped.to;
                continue;
            }
            self.arrived = self.arrived.max(event.arrival());
            self.windows.advance(&self.rules, self.arrived, &mut Vec::new());
            if is_timer(&event) || careful && !self.quarantine.admit(*key) {
                continue;
            }
            edge::meet(&event.id);
            let event = Arc::new(event);
            let hits = self.rules.hits(&event, &mut self.scratch);
            self.windows.apply(&self.rules, &event, &hits, &mut Vec::new(), &mut Vec::new());
        }
        self.quarantine.end(&keys, careful);
    }
}

fn lock(again: &Mutex<Again>) -> std::sync::MutexGuard<'_, Again> {
    again.lock().unwrap_or_else(PoisonError::into_inner)
}
