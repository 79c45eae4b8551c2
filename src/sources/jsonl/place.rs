//! Where we are in each file that was ever followed, as the store keeps it: one entry a file, also for files that are
//! away, so that a folder that comes back after minutes or days is not read again from its start.
//!
//! Start with [`Places`]. What is in a file is read in [`super::file`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::mark::Mark;
use crate::model::Time;
use crate::store::Write;

/// How long the place in a file that is away is kept.
const KEEP: TimeDelta = TimeDelta::days(30);
/// Places kept of files that are away; past it the one that went first is forgotten.
const MOST: usize = 10_000;

/// What makes a file the same file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Identity {
    inode: u64,
    /// Nanoseconds since 1970 at which it was made: inodes are used again, and device numbers change at a reboot.
    born: u64,
    /// Only where the file system does not say when a file was made.
    device: u64,
}

impl Identity {
    pub(super) fn of(file: &Metadata) -> Self {
        let born = file.created().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let born = born.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        Self { inode: file.ino(), born, device: if born == 0 { file.dev() } else { 0 } }
    }

    /// Whether only the number of the device differs, which a file system that was mounted again may get anew.
    pub(super) fn differs_by_device(self, other: Self) -> bool {
        self.inode == other.inode && self.born == 0 && other.born == 0 && self.device != other.device
    }

    /// As it begins the ids of the file's lines and ends the names under which places are kept.
    pub(super) fn text(self) -> String {
        let Self { inode, born, device } = self;
        format!("{inode:x}-{born:x}-{device:x}")
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// The file that ids of lines are made of: another one where this file is a copy that took the other's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<Identity>,
    /// How often the file was begun anew under the same identity.
    pub(super) generation: u64,
    /// Start of the first line that was not delivered.
    pub(super) offset: u64,
    #[serde(flatten)]
    pub(super) mark: Mark,
    /// When the file was written last, in seconds and nanoseconds since 1970, if all of it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<(i64, i64)>,
    /// Since when the file is away; none while it is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) away: Option<Time>,
}

/// The places in files that are away, and what of all places has to be written.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The names in the store begin with it.
    prefix: String,
    away: BTreeMap<Identity, Place>,
    /// Of followed files and of those away: what the store does not have yet.
    changed: BTreeMap<Identity, Option<Place>>,
    /// Names in the store that are of no use any more.
    stale: BTreeSet<String>,
}

impl Places {
    /// The name under which version 0.1 kept all places of `source` as one list.
    pub(super) fn old_name(source: &str) -> String {
        format!("source.jsonl.{source}")
    }

    /// The beginning of the names under which the places of `source` are kept.
    pub(super) fn prefix(source: &str) -> String {
        format!("source.jsonl.{source}/")
    }

    /// What the store kept: `old` under [`Places::old_name`], `kept` under [`Places::prefix`]. Also says what of it
    /// does not read.
    pub(super) fn read(source: &str, old: Option<&str>, kept: &[(String, String)]) -> (Self, Vec<String>) {
        let mut places = Self { prefix: Self::prefix(source), ..Self::default() };
        let mut wrong = Vec::new();
        if let Some(list) = old {
            match serde_json::from_str::<Vec<Place>>(list) {
                Ok(list) => {
                    for place in list {
                        places.changed.insert(place.identity, Some(place.clone()));
                        places.away.insert(place.identity, place);
                    }
                    places.stale.insert(Self::old_name(source));
                }
                Err(error) => wrong.push(format!("`{}`: {error}", Self::old_name(source))),
            }
        }
        for (name, text) in kept {
            // Another source's name may begin with this one's and a slash.
            let is_ours = name.strip_prefix(&places.prefix).is_some_and(|rest| !rest.contains('/'));
            match serde_json::from_str::<Place>(text) {
                Ok(place) if is_ours => {
                    places.away.insert(place.identity, place);
                }
                Err(error) if is_ours => wrong.push(format!("`{name}`: {error}")),
                _ => {}
            }
        }
        (places, wrong)
    }

    /// Takes out the place in this very file.
    pub(super) fn take(&mut self, identity: Identity) -> Option<Place> {
        self.away.remove(&identity)
    }

    /// The places in files that are away and were called `path`: the file there now may be a copy of one of them.
    pub(super) fn called<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Place> {
        self.away.values().filter(move |place| place.path == path && place.mark.is_distinct())
    }

    /// The files that are away.
    pub(super) fn away(&self) -> impl Iterator<Item = &Place> {
        self.away.values()
    }

    /// The place in a followed file moved on.
    pub(super) fn moved(&mut self, place: Place) {
        self.changed.insert(place.identity, Some(place));
    }

    /// A file is not there any more.
    pub(super) fn left(&mut self, mut place: Place, now: Time) {
        place.away.get_or_insert(now);
        self.changed.insert(place.identity, Some(place.clone()));
        self.away.insert(place.identity, place);
    }

    /// A copy has taken the place of this file.
    pub(super) fn replaced(&mut self, identity: Identity) {
        self.away.remove(&identity);
        self.changed.insert(identity, None);
    }

    /// Forgets what has been away for too long, or is too much; says how many were forgotten before their time.
    pub(super) fn forget(&mut self, now: Time) -> usize {
        let since = |place: &Place| place.away.unwrap_or(now);
        let old: Vec<Identity> =
            self.away.values().filter(|it| now - since(it) > KEEP).map(|it| it.identity).collect();
        old.into_iter().for_each(|identity| self.replaced(identity));
        let more = self.away.len().saturating_sub(MOST);
        if more > 0 {
            let mut by_age: Vec<(Time, Identity)> =
                self.away.values().map(|it| (since(it), it.identity)).collect();
            by_age.sort_unstable();
            by_age.truncate(more);
            by_age.into_iter().for_each(|(_, identity)| self.replaced(identity));
        }
        more
    }

    /// What is to be written; [`Places::kept`] once it is durable.
    pub(super) fn writes(&self) -> Vec<Write> {
        let name = |identity: &Identity| format!("{}{}", self.prefix, identity.text());
        let stale = self.stale.iter().map(|key| Write::RemoveMeta { key: key.clone() });
        let changed = self.changed.iter().filter_map(|(identity, place)| {
            let key = name(identity);
            let Some(place) = place else { return Some(Write::RemoveMeta { key }) };
            // Plain values always become JSON.
            Some(Write::Meta { key, value: serde_json::to_string(place).ok()? })
        });
        changed.chain(stale).collect()
    }

    /// The latest [`Places::writes`] are durable.
    pub(super) fn kept(&mut self) {
        self.changed.clear();
        self.stale.clear();
    }
}
