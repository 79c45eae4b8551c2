//! The state of the patterns as it is saved now and then, with the events that it rests on: a restart reads it and goes
//! on with the events after it.
//!
//! A small state travels with a batch of events. A large one is copied on the ingest thread, encoded on another, and
//! written in pieces of its own, one at a time, so that no batch is ever refused for it; it counts once a short note
//! that names the pieces is durable. Pieces have two generations, and the one that the note names is never written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::task::JoinHandle;

use crate::model::Time;
use crate::rules::Windows;
use crate::store::{Error, Store, Write};

/// Name under which it is kept.
pub(super) const KEY: &str = "rules.windows";
/// How often it is saved.
const EVERY: Duration = Duration::from_secs(10);
/// It is saved sooner after so many events: a restart reads no more than these again.
const EVENTS: usize = 200_000;
/// Of the time between two savings, no more than one part in so many goes into them.
const SHARE: u32 = 50;
/// A state of about so many bytes is large.
const LARGE: usize = 128 << 10;
/// Bytes of a piece: a small part of what may wait for the writer.
const PIECE: usize = 1 << 20;
/// How long a piece waits where the writer is busy, and how often.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: usize = 150;

/// The state as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    /// Number of the last event in it.
    pub(super) position: u64,
    /// The latest time of arrival.
    pub(super) arrived: Time,
    /// The era of the clock.
    #[serde(default)]
    pub(super) era: u32,
    /// What [`Windows::save`] gave; of a large one, nothing.
    pub(super) windows: Box<RawValue>,
    /// Where the pieces of a large one are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pieces: Option<Pieces>,
}

/// The pieces of a large state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pieces {
    generation: u8,
    many: usize,
}

/// How far batches are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Batches handed to the store, this one included.
    pub(super) handed: u64,
    /// Of those, the ones that are known to be durable. None while one is known to have failed.
    pub(super) durable: Option<u64>,
}

/// A large state on its way.
struct Pending {
    /// The batch that it was taken with.
    batch: u64,
    position: u64,
    arrived: Time,
    era: u32,
    begun: Instant,
    task: JoinHandle<Option<Pieces>>,
}

/// When it was saved last, and what that cost.
pub(super) struct Saving {
    at: Instant,
    cost: Duration,
    events: usize,
    pending: Option<Pending>,
    /// The generation that the latest note names.
    generation: u8,
    /// The batch that the latest note travels with.
    noted: u64,
}

impl Default for Saving {
    fn default() -> Self {
        Self { at: Instant::now(), cost: Duration::ZERO, events: 0, pending: None, generation: 0, noted: 0 }
    }
}

impl Saving {
    /// What is to be written with this batch, `more` events after the last call: the state if it is small and it is
    /// time, or the note that a large one is complete.
    pub(super) fn write(
        &mut self,
        store: &Arc<dyn Store>,
        windows: &Windows,
        (position, arrived): (u64, Time),
        progress: Progress,
        more: usize,
    ) -> Option<Write> {
        self.events += more;
        if self.pending.is_some() {
            return self.finish(progress);
        }
        let age = self.at.elapsed();
        let wanted = self.events > 0 && age >= EVERY || self.events >= EVENTS;
        if !wanted || age < self.cost * SHARE {
            return None;
        }
        if windows.weight() <= LARGE {
            return self.small(windows, position, arrived, progress.handed);
        }
        // Until the latest note is durable the one before it counts, and its pieces are still needed.
        if progress.durable.is_none_or(|durable| durable < self.noted) {
            return None;
        }
        let task = tokio::spawn(write(store.clone(), windows.copy(), 1 - self.generation));
        self.pending = Some(Pending {
            batch: progress.handed,
            position,
            arrived,
            era: windows.era(),
            begun: Instant::now(),
            task,
        });
        self.events = 0;
        None
    }

    /// The state, where other rules begin to decide and nothing else goes on.
    pub(super) async fn now(
        &mut self,
        store: &Arc<dyn Store>,
        windows: Windows,
        (position, arrived): (u64, Time),
        batch: u64,
    ) -> Option<Write> {
        self.forget().await;
        if windows.weight() <= LARGE {
            return self.small(&windows, position, arrived, batch);
        }
        let (begun, era) = (Instant::now(), windows.era());
        let pieces = write(store.clone(), windows, 1 - self.generation).await?;
        self.note(pieces, (position, arrived, era), batch, begun)
    }

    /// Drops a large state that is on its way.
    pub(super) async fn forget(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.task.abort();
            // That it was aborted is no news.
            drop(pending.task.await);
        }
    }

    /// Takes in what the store has.
    pub(super) fn found(&mut self, saved: &Saved) {
        self.generation = saved.pieces.map_or(self.generation, |pieces| pieces.generation);
        self.noted = 0;
    }

    fn small(&mut self, windows: &Windows, position: u64, arrived: Time, batch: u64) -> Option<Write> {
        let begun = Instant::now();
        let era = windows.era();
        let windows = RawValue::from_string(windows.save()).ok()?;
        let value = serde_json::to_string(&Saved { position, arrived, era, windows, pieces: None }).ok()?;
        (self.at, self.cost, self.events, self.noted) = (Instant::now(), begun.elapsed(), 0, batch);
        Some(Write::Meta { key: KEY.into(), value })
    }

    /// The note of a large state, once it is written and all batches that it rests on are durable.
    fn finish(&mut self, progress: Progress) -> Option<Write> {
        let ready = |pending: &mut Pending| {
            pending.task.is_finished() && progress.durable.is_some_and(|durable| durable >= pending.batch)
        };
        let Pending { position, arrived, era, begun, task, .. } = self.pending.take_if(ready)?;
        let Some(Ok(Some(pieces))) = task.now_or_never() else {
            // It is tried again at its time.
            self.at = Instant::now();
            return None;
        };
        self.note(pieces, (position, arrived, era), progress.handed, begun)
    }

    fn note(
        &mut self,
        pieces: Pieces,
        (position, arrived, era): (u64, Time, u32),
        batch: u64,
        begun: Instant,
    ) -> Option<Write> {
        let windows = RawValue::from_string("{}".into()).ok()?;
        let value =
            serde_json::to_string(&Saved { position, arrived, era, windows, pieces: Some(pieces) }).ok()?;
        (self.at, self.cost, self.noted) = (Instant::now(), begun.elapsed(), batch);
        self.generation = pieces.generation;
        Some(Write::Meta { key: KEY.into(), value })
    }
}

/// Encodes a state and writes its pieces; none if that does not succeed in time.
async fn write(store: Arc<dyn Store>, windows: Windows, generation: u8) -> Option<Pieces> {
    let text = tokio::task::spawn_blocking(move || windows.save()).await.ok()?;
    let (mut rest, mut many) = (text.as_str(), 0);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        let mut tries = 0;
        loop {
            let write = Write::Meta { key: name(generation, many), value: piece.into() };
            match store.commit(vec![write]).await {
                Ok(()) => break,
                Err(Error::Busy(_)) if tries < TRIES => tries += 1,
                Err(error) => {
                    tracing::warn!("failed to save the state of the patterns, which is tried again: {error}");
                    return None;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        (rest, many) = (after, many + 1);
    }
    Some(Pieces { generation, many })
}

/// What the pieces say together; none if one is missing.
pub(super) async fn read(store: &dyn Store, pieces: Pieces) -> Result<Option<String>, Error> {
    let mut text = String::new();
    for n in 0..pieces.many {
        match store.meta(name(pieces.generation, n)).await? {
            Some(piece) => text.push_str(&piece),
            None => return Ok(None),
        }
    }
    Ok(Some(text))
}

fn name(generation: u8, n: usize) -> String {
    format!("{KEY}/{generation}/{n}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{Event, Topic, clock};
    use crate::rules::{Known, Scratch, SourceFile, compile};
    use crate::store::{Sqlite, Store};

    const RULES: &str = "rules:\n  - { name: c, on: a.b, group_by: data.n, mode: shadow, playbooks: [p], \
                         pattern: { once_after: 1h } }\n";

    /// Patterns that wait in so many groups.
    fn waiting(groups: usize) -> Windows {
        let files = [SourceFile { path: "r.yaml".into(), text: RULES.into() }];
        let compiled = compile(&files, &Known { playbooks: &["p".to_owned()] });
        let set = compiled.set.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
        let (mut windows, mut scratch) = (Windows::default(), Scratch::default());
        for n in 0..groups {
            let data = serde_json::json!({ "n": n, "text": "x".repeat(500) });
            let event =
                Event::new(n.to_string(), Topic::try_new("a.b").unwrap(), "s", clock::micros(0), data);
            let event = Arc::new(event);
            let hits = set.hits(&event, &mut scratch);
            windows.apply(&set, &event, &hits, &mut Vec::new(), &mut Vec::new());
        }
        assert_eq!(windows.len(), groups);
        windows
    }

    fn due() -> Saving {
        Saving { at: Instant::now().checked_sub(EVERY * 2).unwrap_or_else(Instant::now), ..Saving::default() }
    }

    fn store(dir: &Path) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(dir, crate::model::Clock::system()).unwrap())
    }

    fn at(handed: u64, durable: Option<u64>) -> Progress {
        Progress { handed, durable }
    }

    #[tokio::test]
    async fn a_large_state_is_in_no_batch_and_counts_once_all_it_rests_on_is_durable() {
        let home = tempfile::tempdir().unwrap();
        let (store, windows, mut saving) = (store(home.path()), waiting(4_000), due());
        let when = (7, clock::micros(1));
        assert!(windows.save().len() > 2 * PIECE, "it takes several pieces");
        assert!(saving.write(&store, &windows, when, at(5, Some(4)), 10).is_none());
        while !saving.pending.as_ref().unwrap().task.is_finished() {
            assert!(saving.write(&store, &windows, when, at(6, Some(5)), 1).is_none());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(saving.write(&store, &windows, when, at(9, Some(4)), 1).is_none(), "its batch is on its way");
        assert!(saving.write(&store, &windows, when, at(9, None), 1).is_none(), "a batch has failed");
        let note = saving.write(&store, &windows, when, at(9, Some(5)), 1).unwrap();
        let Write::Meta { key, value } = &note else { panic!("{note:?}") };
        assert_eq!(key, KEY);
        assert!(value.len() < 1_000, "{} bytes", value.len());
        let saved: Saved = serde_json::from_str(value).unwrap();
        assert_eq!((saved.position, saved.arrived), when);
        let text = read(&*store, saved.pieces.unwrap()).await.unwrap().unwrap();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&text), json(&windows.save()));
        assert_eq!(Windows::restore(&text).unwrap().len(), 4_000);
    }

    #[tokio::test]
    async fn the_pieces_that_count_are_never_written_over() {
        let home = tempfile::tempdir().unwrap();
        let (store, mut saving) = (store(home.path()), due());
        let when = (7, clock::micros(1));
        let note = saving.now(&store, waiting(1_000), when, 1).await.unwrap();
        let Write::Meta { value, .. } = &note else { panic!("{note:?}") };
        let first: Saved = serde_json::from_str(value).unwrap();
        let more = waiting(2_000);
        saving.at = due().at;
        saving.cost = Duration::ZERO;
        assert!(saving.write(&store, &more, when, at(3, Some(0)), 10).is_none());
        assert!(saving.pending.is_none(), "the note of the first is not durable yet");
        assert!(saving.write(&store, &more, when, at(4, Some(3)), 10).is_none());
        assert!(saving.pending.is_some());
        while !saving.pending.as_ref().unwrap().task.is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // It dies here, without a note of the second.
        let text = read(&*store, first.pieces.unwrap()).await.unwrap().unwrap();
        assert_eq!(Windows::restore(&text).unwrap().len(), 1_000);
    }

    #[tokio::test]
    async fn a_small_state_travels_with_its_batch_as_ever() {
        let home = tempfile::tempdir().unwrap();
        let (store, mut saving) = (store(home.path()), due());
        let note = saving.write(&store, &waiting(10), (7, clock::micros(1)), at(2, Some(0)), 10).unwrap();
        let Write::Meta { value, .. } = &note else { panic!("{note:?}") };
        let saved: Saved = serde_json::from_str(value).unwrap();
        assert_eq!(saved.pieces, None);
        assert_eq!(Windows::restore(saved.windows.get()).unwrap().len(), 10);
    }
}
