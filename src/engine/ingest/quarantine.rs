//! Events that ended the engine while they were matched: tried once more alone, then kept without being matched.
//!
//! Before a batch is matched, its keys are written over a small file in the data directory, and crossed out after. That
//! costs two writes to the page cache and no sync, as it is the end of the process that is meant and not that of the
//! machine. If a start finds keys there, matching them was under way: each of these events is then matched by itself,
//! under a mark of its own. One that ends the process again is quarantined: it is in the log, its sender has its
//! receipt, and no rule sees it. Start with [`Quarantine::open`].

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::platform::private;

/// What is being matched: a phase and keys.
const UNDER_WAY: &str = "matching";
/// What is known of events that ended the engine.
const KNOWN: &str = "quarantine.json";
/// Most events that are remembered; of a batch that ended the engine all but one are innocent and soon forgotten.
const MOST: usize = 20_000;

/// Nothing is being matched.
const IDLE: u64 = 0;
/// A batch is, or events that are not suspected.
const BATCH: u64 = 1;
/// One event is, which is suspected.
const ALONE: u64 = 2;

/// What is known of an event that ended the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// It was in a batch that did: it is matched alone.
    Suspected,
    /// It did so alone: it is not matched.
    Quarantined,
}

/// The events that ended the engine, and the mark of those that are being matched.
#[derive(Debug, Default)]
pub(in crate::engine) struct Quarantine {
    dir: PathBuf,
    mark: Option<File>,
    known: BTreeMap<u64, Verdict>,
    /// What the mark says.
    phase: u64,
    keys: Vec<u64>,
    buffer: Vec<u8>,
}

impl Quarantine {
    /// In `dir`, with what an earlier life left there. Without its files the engine works as ever, unprotected.
    pub(in crate::engine) fn open(dir: &Path) -> Self {
        let private = private::file(&dir.join(UNDER_WAY));
        let mark = private.and_then(|()| {
            File::options().read(true).write(true).create(true).truncate(false).open(dir.join(UNDER_WAY))
        });
        let mark = mark.map_err(|error| {
            tracing::warn!(
                "failed to open {}: {error}; an event that ends the engine will not be recognized",
                dir.join(UNDER_WAY).display()
            );
        });
        let known = std::fs::read(dir.join(KNOWN)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mut open =
            Self { dir: dir.into(), mark: mark.ok(), known: known.unwrap_or_default(), ..Self::default() };
        open.read_mark();
        open.struck();
        open
    }

    /// Takes it to where events are read again; what is left behind knows and marks nothing.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// How many events are quarantined.
    pub(in crate::engine) fn len(&self) -> usize {
        self.known.values().filter(|verdict| **verdict == Verdict::Quarantined).count()
    }

    /// Marks that these events are about to be matched; true if one of them is known, so that [`Quarantine::admit`] must
    /// be asked of each.
    pub(super) fn begin(&mut self, keys: &[u64]) -> bool {
        self.write(BATCH, keys);
        !self.known.is_empty() && keys.iter().any(|key| self.known.contains_key(key))
    }

    /// Whether the event may be matched. One that is suspected is marked by itself.
    pub(super) fn admit(&mut self, key: u64) -> bool {
        match self.known.get(&key) {
            Some(Verdict::Quarantined) => return false,
            Some(Verdict::Suspected) => self.write(ALONE, &[key]),
            None => self.write(BATCH, &[key]),
        }
        true
    }

    /// Crosses the mark out: these events were matched, and the process lives. With `careful`, each of them was admitted.
    pub(super) fn end(&mut self, keys: &[u64], careful: bool) {
        self.write(IDLE, &[]);
        if careful {
            let before = self.known.len();
            for key in keys {
                if self.known.get(key) == Some(&Verdict::Suspected) {
                    self.known.remove(key);
                }
            }
            if self.known.len() != before {
                self.keep();
            }
        }
    }

    /// What was marked ended the process, or the thread that matched it.
    pub(super) fn struck(&mut self) {
        if self.phase == IDLE || self.keys.is_empty() {
            return;
        }
        for key in std::mem::take(&mut self.keys) {
            if self.phase == ALONE {
                self.known.insert(key, Verdict::Quarantined);
            } else {
                self.known.entry(key).or_insert(Verdict::Suspected);
            }
        }
        let (what, many) = match self.phase {
            ALONE => ("is quarantined: matching it ended the engine twice", 1),
            _ => (
                "may have ended the engine while they were matched: each is matched alone once",
                self.known.len(),
            ),
        };
        tracing::warn!("{many} events: {what}");
        // The innocent ones first.
        while self.known.len() > MOST
            && let Some(key) =
                self.known.iter().find(|(_, it)| **it == Verdict::Suspected).map(|(key, _)| *key)
        {
            self.known.remove(&key);
        }
        self.keep();
        self.write(IDLE, &[]);
    }

    fn read_mark(&mut self) {
        let Some(file) = &self.mark else { return };
        let mut bytes = Vec::new();
        let len = file.metadata().map_or(0, |meta| meta.len());
        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        if file.read_exact_at(&mut bytes, 0).is_err() {
            return;
        }
        let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
        self.phase = words.next().unwrap_or(IDLE);
        let many = usize::try_from(words.next().unwrap_or(0)).unwrap_or(0);
        self.keys = words.take(many).collect();
    }

    fn write(&mut self, phase: u64, keys: &[u64]) {
        self.phase = phase;
        self.keys.clear();
        self.keys.extend_from_slice(keys);
        let Some(file) = &self.mark else { return };
        self.buffer.clear();
        for word in [phase, keys.len() as u64].iter().chain(keys) {
            self.buffer.extend_from_slice(&word.to_le_bytes());
        }
        if let Err(error) = file.write_all_at(&self.buffer, 0) {
            tracing::debug!("failed to mark which events are matched: {error}");
        }
    }

    /// Keeps what is known, in place of what was kept.
    fn keep(&self) {
        if self.mark.is_none() {
            return;
        }
        let (path, new) = (self.dir.join(KNOWN), self.dir.join("quarantine.new"));
        let text = serde_json::to_vec(&self.known).unwrap_or_default();
        let kept = private::file(&new)
            .and_then(|()| std::fs::write(&new, text))
            .and_then(|()| std::fs::rename(&new, &path));
        if let Err(error) = kept {
            tracing::warn!("failed to keep which events ended the engine: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_ends_the_engine_twice_is_not_matched_a_third_time() {
        let home = tempfile::tempdir().unwrap();
        let mut first = Quarantine::open(home.path());
        assert!(!first.begin(&[1, 2, 3]));
        // The process ends here.
        drop(first);
        let mut second = Quarantine::open(home.path());
        assert_eq!(second.len(), 0, "each of the three is only suspected");
        assert!(!second.begin(&[9]), "others are matched as ever");
        second.end(&[9], false);
        assert!(second.begin(&[1, 2, 3]));
        assert!(second.admit(1) && second.admit(2));
        // And here, at the second of the three.
        drop(second);
        let mut third = Quarantine::open(home.path());
        assert_eq!(third.len(), 1);
        assert!(third.begin(&[1, 2, 3]));
        assert!(third.admit(1) && !third.admit(2) && third.admit(3));
        third.end(&[1, 2, 3], true);
        drop(third);
        let mut fourth = Quarantine::open(home.path());
        assert!(!fourth.begin(&[1, 3]), "who was matched alone is free of suspicion");
        assert!(fourth.begin(&[2]) && !fourth.admit(2), "and the other stays where it is");
    }

    #[test]
    fn a_panic_counts_as_an_end_and_a_clean_stop_as_none() {
        let home = tempfile::tempdir().unwrap();
        let mut it = Quarantine::open(home.path());
        for _ in 0..2 {
            let careful = it.begin(&[7]);
            assert!(it.admit(7));
            assert!(careful || it.len() == 0);
            it.struck();
        }
        assert!(it.begin(&[7]) && !it.admit(7));
        it.end(&[7], true);
        it.begin(&[8]);
        it.end(&[8], false);
        drop(it);
        let mut next = Quarantine::open(home.path());
        assert!(!next.begin(&[8]));
        assert_eq!(next.len(), 1);
    }

    #[test]
    fn without_a_directory_to_write_to_events_are_matched_all_the_same() {
        let mut none = Quarantine::open(Path::new("/nowhere/at/all"));
        assert!(!none.begin(&[1]) && none.admit(1));
        none.end(&[1], false);
    }
}
