//! Commits that a test gathers into one group, which is then kept or lost as a whole, as a disk does it.

use std::sync::{Mutex, PoisonError};

use super::Memory;
use crate::store::conformance::{Fate, Grouped};
use crate::store::{Committer, Error, Write};

/// What one commit is to keep, and who is to hear of it.
type Unit = (Vec<Write>, Committer);

/// The units that wait for their group to be settled; none while nobody gathers.
#[derive(Debug, Default)]
pub(super) struct Group(Mutex<Option<Vec<Unit>>>);

impl Group {
    /// Takes a unit in, or gives it back if nobody gathers.
    pub(super) fn take_in(&self, writes: Vec<Write>, done: Committer) -> Option<Unit> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(gathered) => {
                gathered.push((writes, done));
                None
            }
            None => Some((writes, done)),
        }
    }
}

impl Grouped for Memory {
    fn gather(&self) {
        self.0.group.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    fn settle(&self, fate: Fate) {
        let units = self.0.group.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let mut answers = Vec::new();
        for (writes, done) in units {
            let answer = match fate {
                _ if writes.is_empty() => Ok(()),
                Fate::Kept => Ok(()),
                Fate::Lost | Fate::KeptUnseen => {
                    Err(Error::Io { dir: "memory".into(), detail: "a test says so".into() })
                }
            };
            if fate != Fate::Lost {
                self.put(writes);
            }
            answers.push((done, answer));
        }
        for (done, answer) in answers {
            done.settle(answer);
        }
    }
}
