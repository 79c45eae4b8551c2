//! The groups of one rule, bounded in number and in size.
//!
//! Above a bound the tenth that was quiet the longest is forgotten, which can only make a rule fire later, never
//! wrongly. A group that waits for a time is never forgotten for another: then the new one is not followed.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::state::State;

/// Most groups of one rule that are remembered.
pub const MAX_GROUPS: usize = 10_000;
/// Most bytes, about, that are remembered for one rule.
pub const MAX_BYTES: usize = 32 << 20;

/// The groups of one rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Groups {
    /// Hash of what the state depends on.
    pub window: u64,
    groups: HashMap<String, Group, ahash::RandomState>,
    /// Counts touches; a group's last one says how long it has been quiet.
    touches: u64,
    #[serde(skip)]
    bytes: usize,
    /// Groups forgotten since that was asked last.
    #[serde(skip)]
    evicted: u64,
}

/// One group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// What is remembered.
    pub state: State,
    /// The entry among the timers that counts.
    #[serde(skip)]
    pub queued: Option<i64>,
    touched: u64,
    #[serde(skip)]
    bytes: usize,
}

impl Groups {
    /// No groups, for patterns with this hash.
    pub fn new(window: u64) -> Self {
        Self { window, ..Self::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// About how many bytes they are as they are saved.
    pub fn weight(&self) -> usize {
        self.bytes + self.groups.len() * 100
    }

    /// One of them.
    pub fn get(&self, group: &str) -> Option<&Group> {
        self.groups.get(group)
    }

    /// One of them, to be changed; call [`Groups::settle`] afterwards.
    pub fn get_mut(&mut self, group: &str) -> Option<&mut Group> {
        self.groups.get_mut(group)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// All of them by name, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Group)> {
        self.groups.iter_mut()
    }

    /// One of them, made if there is room; call [`Groups::settle`] afterwards. None if there is no room.
    pub fn touch(&mut self, group: &str, new: impl FnOnce() -> State) -> Option<&mut Group> {
        self.touches += 1;
        if !self.groups.contains_key(group) {
            if self.groups.len() >= MAX_GROUPS {
                self.evict();
            }
            if self.groups.len() >= MAX_GROUPS || self.bytes > MAX_BYTES {
                return None;
            }
            let state = new();
            self.groups.insert(group.into(), Group { state, queued: None, touched: 0, bytes: 0 });
        }
        let found = self.groups.get_mut(group)?;
        found.touched = self.touches;
        Some(found)
    }

    /// Takes in how large `group` has become; how many groups were forgotten since the last call.
    pub fn settle(&mut self, group: &str) -> u64 {
        if let Some(group) = self.groups.get_mut(group) {
            let bytes = group.state.weight();
            self.bytes = self.bytes + bytes - group.bytes;
            group.bytes = bytes;
        }
        if self.bytes > MAX_BYTES {
            self.evict();
        }
        std::mem::take(&mut self.evicted)
    }

    /// Forgets a group.
    pub fn forget(&mut self, group: &str) -> Option<Group> {
        let gone = self.groups.remove(group)?;
        self.bytes -= gone.bytes;
        Some(gone)
    }

    /// The same groups as they are saved; sizes and timers are found again.
    pub fn recount(&mut self) {
        self.bytes = 0;
        for group in self.groups.values_mut() {
            group.bytes = group.state.weight();
            self.bytes += group.bytes;
        }
    }

    /// A copy with this group alone.
    pub fn only(&self, group: &str) -> Self {
        let groups =
            self.groups.get_key_value(group).map(|(k, v)| (k.clone(), v.clone())).into_iter().collect();
        let mut copy = Self { window: self.window, groups, touches: self.touches, bytes: 0, evicted: 0 };
        copy.recount();
        copy
    }

    fn evict(&mut self) {
        let mut touched: Vec<u64> =
            self.groups.values().filter(|g| g.state.due().is_none()).map(|g| g.touched).collect();
        if touched.is_empty() {
            return;
        }
        let tenth = touched.len() / 10;
        let (_, limit, _) = touched.select_nth_unstable(tenth);
        let (limit, before) = (*limit, self.groups.len());
        let bytes = &mut self.bytes;
        self.groups.retain(|_, group| {
            let kept = group.state.due().is_some() || group.touched > limit;
            if !kept {
                *bytes -= group.bytes;
            }
            kept
        });
        self.evicted += (before - self.groups.len()) as u64;
    }
}
